#!/usr/bin/env python3
"""Less than the whole machine. Kernels that do not tell everything: sandboxes and hardened containers hide files of /proc. Pictures are made all the
same; figures that are not told are unknown, null in JSON, and never 0.

Limits on addresses and threads: oneDNN does not survive a refused allocation, nor libgomp a refused thread, so both are
asked for before (src/mem/headroom.h).

The files are hidden by a library that is loaded before the program (tests/cli/hidden_files.c), and, where a mount
namespace can be made, by the kernel itself, as container runtimes do it.
"""
import errno
import json
import os
import resource
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

    def check_picture(self, threads=1):
        done = self.run_program(*GENERATE, "--threads", threads, "-o", "plain.png")
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
        done = self.run_program("shell", "--threads", "1", environment=environment, stdin=b"model ../tiny.safetensors\n")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("kernel: unknown, unknown", done.stdout)

    def test_a_soak_goes_on(self):
        done = subprocess.run([str(BUILD / "tools/soak"), "3", "--seed", "1", "--threads", "1", "--models",
                               "../tiny.safetensors"], cwd=self.folder, capture_output=True, text=True,
                              env={**ENVIRONMENT, **hiding(SMAPS, ROLLUP, PAGEMAP)}, timeout=LIMIT_S, check=False)
        answer = json.loads(done.stdout)
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

    def test_every_address_space_ends_in_words(self):
        """From one that holds little more than the program's own libraries to one that is enough."""
        codes = []
        for mib in (54, 60, 70, 86, 90, 100, 120, 150, 180, 220, 260, 320, 400, 1024):
            done = subprocess.run([DARKROOM, *GENERATE, "--threads", "4", "-o", "a.png"], cwd=self.folder, env=ENVIRONMENT,
                                  capture_output=True, text=True, timeout=LIMIT_S, check=False,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20)))
            if done.returncode == 127 and "shared libraries" in done.stderr:
                continue  # the loader's own words
            codes.append(done.returncode)
            self.assertIn(done.returncode, (0, 10), (mib, done))
            if done.returncode == 10:
                self.check_sentence(done.stderr.splitlines()[-1], ["MiB", "ulimit -v"])
                self.assertEqual(self.files(), set())
            elif mib < 1024:
                (self.folder / "a.png").unlink()
        self.assertEqual((codes[0], codes[-1]), (10, 0), codes)

    def test_fewer_threads_than_wanted(self):
        """A limit on processes counts threads. It is asked of another user where this one has none."""
        is_root = os.geteuid() == 0
        for folder in (HOME, self.folder):
            folder.chmod(0o777)
        limit = (2, 2) if is_root else (1, 1)  # with this one, and any other process of the user
        done = subprocess.run([DARKROOM, *GENERATE, "--threads", "4", "-o", "a.png"], cwd=self.folder, env=ENVIRONMENT,
                              capture_output=True, text=True, timeout=LIMIT_S, check=False,
                              user=61234 if is_root else None,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, limit))
        self.assertEqual(done.returncode, 0, done)
        self.assertIn(f"{limit[0]} of 4 threads are used", done.stderr)
        self.assertNotIn("mapped", done.stderr)  # addresses have no limit here
        self.check_picture(limit[0])


if __name__ == "__main__":
    harness.main()
