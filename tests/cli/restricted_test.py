#!/usr/bin/env python3
"""Kernels that do not tell everything: sandboxes and hardened containers hide files of /proc. Pictures are made all the
same; figures that are not told are unknown, null in JSON, and never 0.

The files are hidden by a library that is loaded before the program (tests/cli/hidden_files.c), and, where a mount
namespace can be made, by the kernel itself, as container runtimes do it.
"""
import errno
import json
import os
import subprocess
import unittest

import harness
from harness import BUILD, DARKROOM, ENVIRONMENT, GENERATE, HOME, LIMIT_S, Case

SMAPS, ROLLUP, PAGEMAP, STATM = (f"/proc/self/{name}" for name in ("smaps", "smaps_rollup", "pagemap", "statm"))
MEMINFO, BOOT = "/proc/meminfo", "/proc/sys/kernel/random/boot_id"
SHIM = BUILD / "tests/cli/libhidden_files.so"


def hiding(*paths, error=errno.ENOENT):
    return {"LD_PRELOAD": str(SHIM), "HIDDEN_FILES": ":".join(paths), "HIDDEN_ERRNO": str(error)}


class Restricted(Case):
    def session(self, environment):
        """The answers to a switch, a picture and `memory`, and what was logged."""
        done = self.run_program("shell", "--json", "--threads", "1", "--drop-cache", environment=environment,
                                stdin=b"model ../tiny.safetensors\n"
                                      b"generate -p 'a lighthouse' -W 64 -H 64 --steps 2 --seed 7 -o a.png\nmemory\n")
        self.assertEqual(done.returncode, 0, done)
        events = [json.loads(line) for line in done.stderr.splitlines()]
        logged = [event["message"] for event in events if event["event"] == "log"]
        return [json.loads(line) for line in done.stdout.splitlines()], logged

    def check_picture(self):
        done = self.run_program(*GENERATE, "-o", "plain.png")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(harness.idat_of(self.folder / "a.png"), harness.idat_of(self.folder / "plain.png"))

    def check_told(self, answers):
        memory = answers[-1]
        self.assertIs(memory["regions_agree"], True)
        for figure in ("private_bytes", "rss_bytes", "pss_bytes"):
            self.assertGreater(memory["kernel"][figure], 1 << 20)
        self.assertGreater(memory["residual"]["total_bytes"], 0)
        self.assertGreater(memory["residual"]["baseline_bytes"], 0)
        self.assertGreaterEqual(memory["kernel"]["private_bytes"], memory["ledger"]["private_bytes"])
        self.assertGreater(answers[1]["receipt"]["after"]["kernel_private_bytes"], memory["ledger"]["private_bytes"])

    def check_unknown(self, answers):
        memory = answers[-1]
        self.assertIsNone(memory["regions_agree"])
        self.assertEqual(set(memory["kernel"].values()), {None})
        self.assertEqual(set(memory["residual"].values()), {None})
        self.assertGreater(memory["ledger"]["private_bytes"], 0)
        self.assertGreater(memory["budget"]["bytes"], 0)
        for answer in answers[:2]:
            for point in ("before", "after"):
                self.assertIsNone(answer["receipt"][point]["kernel_private_bytes"])

    def test_figures_come_from_smaps(self):
        for error in (errno.ENOENT, errno.EACCES, errno.EPERM):
            answers, logged = self.session(hiding(ROLLUP, PAGEMAP, error=error))
            self.check_told(answers)
            self.assertEqual(logged, [])
        self.check_picture()

    def test_the_rollup_alone(self):
        answers, logged = self.session(hiding(SMAPS))
        memory = answers[-1]
        self.assertIsNone(memory["regions_agree"])
        self.assertEqual(set(memory["residual"].values()) - {memory["residual"]["baseline_bytes"]}, {None})
        self.assertGreater(memory["kernel"]["private_bytes"], memory["ledger"]["private_bytes"])
        self.assertEqual(logged, [])

    def test_nothing_is_told(self):
        for hidden in ((SMAPS, ROLLUP, PAGEMAP), (SMAPS, ROLLUP, PAGEMAP, STATM, MEMINFO, BOOT)):
            answers, logged = self.session(hiding(*hidden))
            self.check_unknown(answers)
            self.assertEqual(len(logged), 1, logged)
            self.check_sentence(logged[0], ["private memory", "MiB of the budget"])
        self.check_picture()

    def test_text_says_unknown(self):
        environment = hiding(SMAPS, ROLLUP, PAGEMAP)
        done = self.run_program("shell", "-m", "../tiny.safetensors", "--threads", "1", environment=environment,
                                stdin=b"memory\n")
        self.assertEqual(done.returncode, 0, done)
        for label in ("private", "mapped resident", "rss", "pss", "total", "heap", "baseline", "regions agree"):
            self.assertRegex(done.stdout, rf"(?m)^ *{label} +unknown$")
        done = self.run_program(*GENERATE, "-o", "a.png", environment=environment)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("by the kernel unknown, unknown", done.stdout)

    def test_a_soak_goes_on(self):
        done = self.run_program("shell", "--json", "-m", "../tiny.safetensors", "--threads", "1",
                                environment=hiding(SMAPS, ROLLUP, PAGEMAP), stdin=b"soak 3 --seed 1\n")
        answer = json.loads(done.stdout.splitlines()[-1])
        self.assertTrue(answer["ok"], answer)
        self.assertIsNone(answer["memory"]["last_private_bytes"])
        self.assertIsNone(answer["memory"]["slope_bytes_per_operation"])
        self.assertIn("unknown", answer["verdict"])

    def test_files_that_the_kernel_hides(self):
        """An empty file over each, in a mount namespace, as runtimes mask paths."""
        masks = "".join(f"mount --bind /dev/null /proc/$$/{name} && "
                        for name in ("smaps", "smaps_rollup", "pagemap"))
        unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", masks + 'exec "$@"', "sh"]
        try:
            tried = subprocess.run([*unshare, "true"], capture_output=True, text=True, timeout=LIMIT_S, check=False)
        except FileNotFoundError:
            self.skipTest("there is no unshare")
        if tried.returncode != 0:
            self.skipTest(f"no mount namespace can be made: {tried.stderr.strip()}")
        done = subprocess.run([*unshare, DARKROOM, "shell", "--json", "--threads", "1"], cwd=self.folder, env=ENVIRONMENT,
                              input="model ../tiny.safetensors\ngenerate -p 'a lighthouse' -W 64 -H 64 --steps 2 --seed 7 "
                                    "-o a.png\nmemory\n",
                              capture_output=True, text=True, timeout=LIMIT_S, check=False)
        self.assertEqual(done.returncode, 0, done)
        self.check_unknown([json.loads(line) for line in done.stdout.splitlines()])
        self.check_picture()


if __name__ == "__main__":
    harness.main()
