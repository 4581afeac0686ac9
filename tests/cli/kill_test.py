#!/usr/bin/env python3
"""kill -9 at any moment: every output that exists is whole, and what was unfinished goes with the next job there.

DARKROOM_SEED gives the moments, DARKROOM_KILLS says how many.
"""
import os
import pathlib
import random
import shutil
import signal
import sys
import time
import zlib

import harness
from harness import HOME, LINE, Case, Shell, idat_of, latents_of, png_head

SEED = int(os.environ.get("DARKROOM_SEED", "20240611"))
KILLS = int(os.environ.get("DARKROOM_KILLS", "20"))
FOLDERS = ("one", "two", "three")
PART_ENDING = ".darkroom-part"


def parts(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(PART_ENDING))


def check_chunks(data):
    """A PNG from its signature to IEND, each chunk with its checksum, and nothing behind."""
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = int.from_bytes(data[at:at + 4], "big"), data[at + 4:at + 8]
        body = data[at + 4:at + 8 + length]
        if len(body) != 4 + length or int.from_bytes(data[at + 8 + length:at + 12 + length], "big") != zlib.crc32(body):
            raise ValueError(f"chunk {kind} is damaged")
        at += length + 12
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes behind the end")


def check_whole(path):
    """Raises where the file does not decode to its last byte."""
    if path.suffix == ".safetensors":
        head, data = latents_of(path)
        if len(data) != head["latent"]["data_offsets"][1]:
            raise ValueError("latents are truncated")
        return
    width, height, bits, _ = png_head(path)
    check_chunks(path.read_bytes())
    if len(idat_of(path)) != height * (1 + width * 3 * bits // 8):
        raise ValueError("rows are missing")


def damaged(folder):
    """What lies in a folder and is neither whole nor known as unfinished."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.endswith(PART_ENDING):
            continue
        try:
            check_whole(path)
        except Exception as problem:  # any way in which it does not decode
            found.append(f"{path.name}: {problem}")
    return found


class Kill(Case):
    def setUp(self):
        super().setUp()
        self.folders = [self.folder / name for name in FOLDERS]
        for folder in self.folders:
            folder.mkdir()

    def lines(self):
        """Jobs that write all the time: pictures, batches, large and small, latents, over what is there."""
        jobs = []
        for number in range(400):
            name = FOLDERS[number % 3]
            kind = ("-o {}/a.png --bits 16", "--batch 3 -o {}/b.png", "-o {}/c.safetensors")[number // 3 % 3]
            jobs.append(f"generate -p x -W 64 -H 64 --steps 1 --cfg 1 --seed {number} " + kind.format(name))
        return "".join(line + "\n" for line in jobs).encode()

    def start(self):
        shell = Shell(self.folder, "-m", HOME / "tiny.safetensors")
        self.addCleanup(shell.kill)
        return shell

    def test_killed_at_random_moments(self):
        print(f"DARKROOM_SEED={SEED} DARKROOM_KILLS={KILLS}", file=sys.stderr)
        chance = random.Random(SEED)
        outputs = unfinished = 0
        for _ in range(KILLS):
            shell = self.start()
            # The first answer says that it writes; the moment is counted from there.
            shell.send(self.lines())
            self.assertTrue(shell.receive()["ok"])
            if chance.random() < 0.7:
                self.wait_for_part(chance.random() * 0.02)
            else:
                time.sleep(chance.random() * 0.5)
            shell.process.send_signal(signal.SIGKILL)
            self.assertEqual(shell.process.wait(harness.LIMIT_S), -signal.SIGKILL)
            shell.kill()
            for folder in self.folders:
                self.assertEqual(damaged(folder), [])
                outputs += len(list(folder.glob("[a-c]*")))
                unfinished += len(parts(folder))
            if chance.random() < 0.5:
                self.tidy(chance.choice(FOLDERS))
        print(f"{outputs} outputs looked at, {unfinished} unfinished files left by kills", file=sys.stderr)
        self.assertGreater(outputs, KILLS)
        for name in FOLDERS:
            self.tidy(name)

    def wait_for_part(self, then_s):
        """Until an unfinished file is seen, or a while: a kill while something is written."""
        end = time.monotonic() + 1.0
        while time.monotonic() < end and not any(parts(folder) for folder in self.folders):
            pass
        time.sleep(then_s * then_s)

    def tidy(self, name):
        """The next start's job to a folder takes what was left there away, and only there."""
        others = {other: parts(self.folder / other) for other in FOLDERS if other != name}
        shell = self.start()
        self.succeed(shell, f"{LINE} -o {name}/next.png")
        self.assertEqual(shell.close(), ([], 0))
        self.assertEqual(parts(self.folder / name), [])
        self.assertEqual(damaged(self.folder / name), [])
        self.assertEqual({other: parts(self.folder / other) for other in others}, others)

    def test_what_is_damaged_is_found(self):
        """The checks above can fail."""
        folder = self.folders[0]
        shell = self.start()
        self.succeed(shell, f"{LINE} -o one/a.png")
        self.succeed(shell, f"{LINE} -o one/b.safetensors")
        self.assertEqual(damaged(folder), [])
        for name in ("a.png", "b.safetensors"):
            whole = (folder / name).read_bytes()
            for length in (len(whole) - 1, len(whole) // 2, 9, 0):
                (folder / name).write_bytes(whole[:length])
                self.assertEqual(len(damaged(folder)), 1, (name, length))
            (folder / name).write_bytes(whole)
        flipped = bytearray((folder / "a.png").read_bytes())
        flipped[len(flipped) // 2] ^= 1
        (folder / "a.png").write_bytes(flipped)
        self.assertEqual(len(damaged(folder)), 1)

    def test_a_leftover_is_found_and_swept(self):
        """A part of a process that is no more goes; one of a process that lives stays."""
        folder = self.folders[1]
        gone, alive = folder / f".x.png.{2 ** 22 + 7}-0{PART_ENDING}", folder / f".x.png.{os.getpid()}-0{PART_ENDING}"
        for path in (gone, alive):
            path.write_bytes(b"half")
        self.assertEqual(parts(folder), sorted([gone.name, alive.name]))
        shell = self.start()
        self.succeed(shell, f"{LINE} -o two/a.png")
        self.assertEqual(parts(folder), [alive.name])


if __name__ == "__main__":
    harness.main()
