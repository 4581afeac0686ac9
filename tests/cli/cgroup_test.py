#!/usr/bin/env python3
"""The budget under a real limit of the kernel: a memory cgroup (v1 or v2) of the test's own, where one can be made.

The limit is the budget and ALLOWANCE more, for what the kernel charges beside private memory: page tables (2 MiB a mapped
GiB), program text, the pages of the picture's own file. Weights that are mapped from packs are charged, too, but they can be
dropped, and are: that is what the test of pressure shows.
"""
import json
import os
import pathlib
import subprocess
import unittest

import harness
from harness import DARKROOM, ENVIRONMENT, GENERATE, HOME, Case, make

MIB = 1 << 20
ALLOWANCE = 16 * MIB
ROOT = pathlib.Path("/sys/fs/cgroup")


def own_group(controller):
    """This process's group in the hierarchy of a controller ("" for v2), as a path below the mount; None: not there."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path.lstrip("/")
    return None


class Group:
    """A memory cgroup below this process's own, or below the root where its own cannot be seen."""

    def __init__(self, name, limit):
        self.path = None
        self.is_v1 = (ROOT / "memory").is_dir()
        base = ROOT / "memory" if self.is_v1 else ROOT
        own = own_group("memory" if self.is_v1 else "")
        problems = []
        for parent in ([base / own] if own else []) + [base]:
            try:
                (parent / name).mkdir()
                self.path = parent / name
                self.write("memory.limit_in_bytes" if self.is_v1 else "memory.max", limit)
                if not self.is_v1:
                    self.write("memory.swap.max", 0)
                return
            except OSError as problem:
                problems.append(str(problem))
                self.close()
        raise unittest.SkipTest("no memory cgroup can be made: " + "; ".join(problems))

    def write(self, name, value):
        (self.path / name).write_text(str(value))

    def read(self, name):
        return (self.path / name).read_text()

    def enter(self):
        self.write("cgroup.procs", "0")

    def was_full(self):
        """Did the kernel have to make room?"""
        if self.is_v1:
            return int(self.read("memory.failcnt")) > 0
        return "max 0" not in self.read("memory.events").splitlines()

    def killed(self):
        events = self.read("memory.oom_control" if self.is_v1 else "memory.events")
        return any(line.split() != ["oom_kill", "0"] for line in events.splitlines() if line.startswith("oom_kill "))

    def close(self):
        if self.path:
            try:
                self.path.rmdir()
            except OSError:
                pass
            self.path = None


class Cgroup(Case):
    def setUp(self):
        super().setUp()
        self.packs = self.pack_folder()

    def run_in(self, limit, *arguments, stdin=None):
        group = Group(f"darkroom-{os.getpid()}-{self.id().split('.')[-1]}", limit)
        self.addCleanup(group.close)
        done = subprocess.run([DARKROOM, *map(str, arguments)], input=stdin, cwd=self.folder, env=ENVIRONMENT, text=True,
                              capture_output=True, preexec_fn=group.enter, timeout=harness.LIMIT_S, check=False)
        self.assertFalse(group.killed(), done)
        was_full = group.was_full()
        group.close()
        return done, was_full

    def test_the_budget_holds(self):
        budget = 90 * MIB  # less than weights, buffers and the program's own bound together
        plain = self.run_program(*GENERATE, "-o", "plain.png")
        self.assertEqual(plain.returncode, 0, plain)
        for packs in ("off", self.packs):
            done, _ = self.run_in(budget + ALLOWANCE, *GENERATE, "--budget", budget, "--packs", packs, "-o", "held.png")
            self.assertEqual(done.returncode, 0, done)
            self.assertEqual(harness.idat_of(self.folder / "held.png"), harness.idat_of(self.folder / "plain.png"))
            (self.folder / "held.png").unlink()

    def test_mapped_weights_give_way(self):
        """Two models in turn: 110 MiB of mapped weights and more of files that are read, in 72 MiB."""
        names = ("wide.safetensors", "other.safetensors")
        for seed, name in enumerate(names, 2):  # float32: other types are half as large, and would fit
            make(name, "--seed", str(seed), "--dtype", "f32")
        lines = "".join(f"model {HOME / name}\ngenerate -p x -W 64 -H 64 --steps 2 --seed 7 -o {name}{turn}.png\n"
                        for turn in range(2) for name in names)
        done, was_full = self.run_in(72 * MIB, "shell", "--packs", self.packs, "--threads", "1", "--precision", "f32", stdin=lines)
        self.assertEqual(done.returncode, 0, done)
        self.assertTrue(was_full, "the limit was never reached: the test shows nothing")
        for name in names:
            self.assertEqual((self.folder / f"{name}0.png").read_bytes(), (self.folder / f"{name}1.png").read_bytes())
        plain = self.run_program("generate", "-m", HOME / names[0], "-p", "x", "-W", "64", "-H", "64", "--steps", "2",
                                 "--seed", "7", "--threads", "1", "--precision", "f32", "-o", "plain.png")
        self.assertEqual(plain.returncode, 0, plain)
        self.assertEqual(harness.idat_of(self.folder / "plain.png"),
                         harness.idat_of(self.folder / f"{names[0]}0.png"))

    def test_what_does_not_fit_is_refused_in_words(self):
        """Where weights are private the same room is too small; the kernel never has to say so."""
        done, _ = self.run_in(60 * MIB, *GENERATE, "--packs", "off", "-o", "a.png")
        self.assertEqual(done.returncode, 11, done)
        self.assertIn("bytes", done.stderr)
        self.assertEqual(self.files(), set())

    def test_a_budget_above_the_limit_is_said(self):
        done, _ = self.run_in(256 * MIB, "memory", "--budget", "1G")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("256", done.stderr)
        self.assertIn("cgroup", done.stderr)
        done, _ = self.run_in(256 * MIB, "memory", "--budget", "200M")
        self.assertEqual((done.returncode, done.stderr), (0, ""))


    def forecast_in(self, limit, *arguments):
        """What `memory` says of the machine, with so much RAM; and as text."""
        words = ("memory", "-m", "../tiny.safetensors", "-W", "64", "-H", "64", "--precision", "f32", "--packs", self.packs,
                 *arguments)
        done, _ = self.run_in(limit, *words, "--json")
        self.assertEqual(done.returncode, 0, done)
        text, _ = self.run_in(limit, *words)
        ram = json.loads(done.stdout)["forecast"]["ram"]
        self.assertIn(ram["verdict"].split(":")[0], text.stdout)
        return ram

    def test_memory_says_what_fits_the_ram(self):
        self.ask("generate", *GENERATE[1:], "--precision", "f32", "--packs", self.packs, "-o", "a.png")
        unlimited = self.forecast_in(1 << 40)
        self.assertEqual((unlimited["fit"], unlimited["verdict"]), ("fits", "fits"))
        self.assertGreater(unlimited["mapped_bytes"], 4 * MIB)
        self.assertNotIn("reread_bytes", unlimited)
        self.assertGreaterEqual(unlimited["machine_bytes"], unlimited["available_bytes"])
        need = unlimited["step_bytes"]
        self.assertGreater(need, unlimited["private_bytes"] - 32 * MIB)
        # As much as a step needs, and a page; less than that; less than what is private.
        enough = self.forecast_in(need + 4096 & ~4095)
        self.assertEqual((enough["fit"], enough["step_bytes"]), ("fits", need))
        self.assertIn("cgroup", enough["reason"])
        less = self.forecast_in((need - MIB) & ~4095)
        self.assertEqual(less["fit"], "rereads", less)
        self.assertLessEqual(less["reread_bytes"], less["mapped_bytes"])
        self.assertIn(less["disk_rate"], ("measured", "assumed"))
        self.assertAlmostEqual(less["reread_ms"], 1000 * less["reread_bytes"] / less["disk_bytes_per_s"],
                               delta=0.01 * less["reread_ms"])
        self.assertRegex(less["verdict"], r"^fits, but weights will be re-read from disk every step: about [\d.]+ s "
                                          r"\(.* at \d+ MB/s, (measured|assumed)\)$")
        heun = self.forecast_in((need - MIB) & ~4095, "--sampler", "heun")
        self.assertEqual(heun["reread_bytes"], 2 * less["reread_bytes"])
        none = self.forecast_in(58 * MIB, "-W", "512", "-H", "512")
        self.assertEqual(none["fit"], "does_not_fit")
        self.assertRegex(none["verdict"], r"^does not fit: it needs at least .* of private memory, 58.0 MiB are available")
        # Without packs nothing is mapped.
        private = self.forecast_in(1 << 40, "--packs", "off")
        self.assertEqual((private["fit"], private["mapped_bytes"]), ("fits", 0))
        self.assertEqual(private["step_bytes"], private["private_bytes"])


if __name__ == "__main__":
    harness.size = "tiny"
    harness.main()
