"""What the tests of the darkroom program share: models, one-shot runs, a shell to talk to.

Each test file is run as FILE BUILD_ROOT SOURCE_ROOT [TEST...] and ends with harness.main(). The models are tiny ones of
random weights, links to those that the build has made, in a folder for each test file; the tokenizer is the tiny one of tests/data.
"""
import contextlib
import json
import os
import pathlib
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True
import cases

BUILD = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(sys.argv[2]).resolve()
DARKROOM = str(BUILD / "darkroom")
LIMIT_S = 600  # of one command: a busy machine, or a slow disk, takes its time

# A folder with the models, where each test's own folder lies too.
HOME = pathlib.Path(tempfile.mkdtemp(prefix="darkroom-cli-"))
ENVIRONMENT = {}
# The networks' size, as random_checkpoint takes it: "tiny" (four times the bytes) where a test compares the weights'
# bytes with a number of mebibytes.
size = "least"


def make(name, *arguments):
    path = HOME / name
    subprocess.run([BUILD / "tools/random_checkpoint", "--family", "sd15", "--size", size, *arguments, "-o", path],
                   check=True, capture_output=True)
    return path


def take(name, *arguments):
    """A link to the checkpoint that the build has made with these arguments (tests/checkpoints): only to be read."""
    words = ["--family", "sd15", *arguments] if "--family" not in arguments else list(arguments)
    options = [*words[:2], "--size", size, *words[2:]]
    ready = BUILD / "tests/checkpoints" / ("-".join(options).replace("--", "") + ".safetensors")
    if not ready.exists():
        sys.exit(f"{ready} is not there: \"ninja checkpoints\" makes those that tests/checkpoints/meson.build lists")
    (HOME / name).unlink(missing_ok=True)
    (HOME / name).symlink_to(ready)
    return HOME / name


def set_up():
    kept = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH")
    ENVIRONMENT.update({key: os.environ[key] for key in kept if key in os.environ})
    ENVIRONMENT.update(HOME=str(HOME), XDG_DATA_HOME=str(HOME / "data"),
                       XDG_CONFIG_HOME=str(HOME / "config"), TERM="xterm",
                       DARKROOM_PACKS="off",  # but where a test is about them
                       DARKROOM_TOKENIZER=str(SOURCE / "tests/data/tiny-tokenizer"))
    take("tiny.safetensors", "--seed", "1")
    take("vae.safetensors", "--part", "vae", "--seed", "2")
    take("own-vae.safetensors", "--part", "vae", "--seed", "1")


def tear_down():
    shutil.rmtree(HOME, ignore_errors=True)


def header(tensors, **metadata):
    """The bytes of a safetensors file's head."""
    record = dict(tensors)
    if metadata:
        record["__metadata__"] = metadata
    text = json.dumps(record).encode()
    return struct.pack("<Q", len(text)) + text


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data=None, gray=128):
    """An 8-bit RGB picture of one colour, or with the given compressed data."""
    if data is None:
        data = zlib.compress((b"\0" + bytes([gray, 255 - gray, 90]) * width) * height)
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b""))


def png_head(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", path
    return struct.unpack(">IIBB", data[16:26])  # width, height, bits, colour type


def latents_of(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), data[8 + length:]


def idat_of(data):
    """The picture of a PNG, as bytes or a path, without its text."""
    data, at, out = data if isinstance(data, bytes) else data.read_bytes(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            out += data[at + 8:at + 8 + length]
        at += length + 12
    return zlib.decompress(out)


@contextlib.contextmanager
def changed(environment, more):
    """The environment with more in it, for the block."""
    before = dict(environment)
    environment.update(more)
    try:
        yield
    finally:
        environment.clear()
        environment.update(before)


class Shell:
    """A `darkroom shell --json` that answers line by line."""

    def __init__(self, folder, *arguments, threads=1):
        self.log_path = folder / "shell.log"
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen([DARKROOM, "shell", "--json", "--threads", str(threads), *map(str, arguments)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, cwd=folder,
                                        env=ENVIRONMENT)
        self.rest = b""

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n" if isinstance(line, str) else line)
        self.process.stdin.flush()

    def receive(self):
        end = time.monotonic() + LIMIT_S
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not data:
                raise AssertionError(f"no answer; stderr: {self.said()[-2000:]}")
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def ask(self, line):
        self.send(line)
        return self.receive()

    def said(self):
        self.log.flush()
        return self.log_path.read_text(errors="replace")

    def events(self):
        return [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]

    def wait_for(self, condition):
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end and self.process.poll() is None, self.said()[-2000:]
            time.sleep(0.01)

    def close(self):
        """The rest of the answers after the end of the input, and the exit code."""
        self.process.stdin.close()
        rest = self.rest + self.process.stdout.read()
        code = self.process.wait(LIMIT_S)
        self.process.stdout.close()
        self.log.close()
        return [json.loads(line) for line in rest.splitlines()], code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            try:
                stream.close()
            except BrokenPipeError:
                pass


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=HOME))

    def pack_folder(self):
        """An empty folder for packs, beside the build: /tmp may lie in memory, where packs are turned off."""
        folder = tempfile.mkdtemp(prefix="cli-packs-", dir=BUILD)
        self.addCleanup(shutil.rmtree, folder, True)
        state = self.run_program("packs", "--packs", folder)
        if "lies in memory" in state.stderr:
            self.skipTest(state.stderr)
        self.assertEqual(state.returncode, 0, state)
        return folder

    def run_program(self, *arguments, stdin=b"", stdout=subprocess.PIPE, environment=None, folder=None):
        done = subprocess.run([DARKROOM, *map(str, arguments)], input=stdin, stdout=stdout, stderr=subprocess.PIPE,
                              cwd=folder or self.folder, env={**ENVIRONMENT, **(environment or {})}, timeout=LIMIT_S,
                              check=False)
        done.stderr = done.stderr.decode(errors="replace")
        done.stdout = (done.stdout or b"").decode()
        return done

    def ask(self, *arguments, **more):
        """One answer of a one-shot command with --json, and its exit code."""
        done = self.run_program(*arguments, "--json", **more)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 1, (arguments, done))
        answer = json.loads(lines[0])
        self.assertEqual(answer["command"], str(arguments[0]))
        self.assertIsInstance(answer["ms"], (int, float))
        self.assertEqual(answer["ok"], done.returncode == 0, done)
        return answer, done.returncode

    def succeed_to(self, *arguments):
        """The answer of a one-shot command."""
        answer, code = self.ask(*arguments)
        self.assertEqual(code, 0, answer)
        return answer

    def fail_to(self, *arguments, code, parts=()):
        answer, exit_code = self.ask(*arguments)
        self.assertNotEqual(exit_code, 0)
        self.assertEqual(answer["error"]["code"], code)
        self.check_sentence(answer["error"]["message"], parts)

    def shell(self, *arguments, **more):
        shell = Shell(self.folder, *arguments, **more)
        self.addCleanup(shell.kill)
        return shell

    def succeed(self, shell, line):
        answer = shell.ask(line)
        self.assertTrue(answer["ok"], (line, answer))
        self.assertEqual(answer["command"], line.split()[0])
        return answer

    def fail_with(self, shell, line, code, *parts):
        answer = shell.ask(line)
        self.assertFalse(answer["ok"], (line, answer))
        self.assertEqual(set(answer), {"ok", "command", "ms", "error"})
        self.assertEqual(set(answer["error"]), {"code", "message"})
        self.assertEqual(answer["error"]["code"], code, (line, answer))
        self.check_sentence(answer["error"]["message"], parts)
        return answer

    def check_sentence(self, message, parts=()):
        self.assertGreater(len(message), 10, message)
        self.assertNotIn("\n", message)
        for part in parts:
            self.assertIn(part, message)

    def memory(self, shell):
        memory = self.succeed(shell, "memory")
        self.assertTrue(memory["regions_agree"], memory)
        private = sum(region["bytes"] for region in memory["regions"] if region["kind"] == "private")
        self.assertEqual(private, memory["ledger"]["private_bytes"])
        return memory

    def files(self):
        """What lies in the test's folder, beside the shell's log."""
        return {path.name for path in self.folder.iterdir()} - {"shell.log"}


GENERATE = ("generate", "-m", "../tiny.safetensors", "-p", "a lighthouse", "-W", "64", "-H", "64", "--steps", "2",
            "--seed", "7", "--threads", "1")
LINE = "generate -p 'a lighthouse' -W 64 -H 64 --steps 2 --seed 7"


def main():
    set_up()
    try:
        program = unittest.main(module="__main__", argv=[sys.argv[0], *sys.argv[3:]], exit=False)
    finally:
        tear_down()
    cases.report(program.result)
