#!/usr/bin/env python3
"""A budget that `darkroom memory` names is enough in another process: random jobs (tools/budget_jobs.py), and what that
program says where a promise is not kept."""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(sys.argv[2]).resolve()
JOBS = int(os.environ.get("DARKROOM_CASES", "25"))
SEED = int(os.environ.get("DARKROOM_SEED", random.randrange(1 << 32)))

# The program, with one thing that it does or says changed.
LIAR = """#!{python}
import json, subprocess, sys
{before}
done = subprocess.run([{program!r}, *sys.argv[1:]], stdout=subprocess.PIPE, check=False)
answer = json.loads(done.stdout)
{after}
print(json.dumps(answer))
sys.exit(done.returncode)
"""


def run_jobs(build, *arguments):
    return subprocess.run([sys.executable, SOURCE / "tools/budget_jobs.py", build, *map(str, arguments)],
                          capture_output=True, text=True, check=False)


class Budget(unittest.TestCase):
    def test_random_jobs(self):
        done = run_jobs(BUILD, "--jobs", JOBS, "--seed", SEED, "--keep-going")
        print(done.stdout, file=sys.stderr)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.splitlines()[-1],
                         f"{JOBS} jobs: none above its budget, none refused at its level, planned = peak in all")

    def lie(self, words, before="", after=""):
        """The jobs with a changed program: they end at the first that shows it, in these words."""
        build = pathlib.Path(tempfile.mkdtemp(prefix="cli-budget-", dir=BUILD))
        self.addCleanup(shutil.rmtree, build, True)
        (build / "tools").symlink_to(BUILD / "tools")
        program = build / "darkroom"
        program.write_text(LIAR.format(python=sys.executable, program=str(BUILD / "darkroom"), before=before, after=after))
        program.chmod(0o755)
        done = run_jobs(build, "--jobs", 40, "--seed", 3)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, words)

    def test_a_page_too_little_is_seen(self):
        self.lie("refused at a budget that was named|memory names",
                 after="for level in answer.get('forecast', {}).get('levels', []): level['budget_bytes'] -= 4096")

    def test_a_refusal_that_asks_for_too_much_is_seen(self):
        self.lie("not refused below what it needs|memory names",
                 after="import re\n"
                       "if 'error' in answer:\n"
                       "    answer['error']['message'] = re.sub(r'budget of (\\d+) bytes is sufficient',\n"
                       "        lambda found: f'budget of {int(found[1]) + 1} bytes is sufficient', answer['error']['message'])")

    def test_another_peak_is_seen(self):
        self.lie("planned [0-9]+, reached [0-9]+", after="if 'planned_private_bytes' in answer: answer['peak_private_bytes'] += 1")

    def test_memory_beside_the_plan_is_seen(self):
        self.lie("private bytes by the kernel", before="held = b'x' * (400 << 20)")


if __name__ == "__main__":
    del sys.argv[1:3]
    unittest.main()
