#!/usr/bin/env python3
"""Help, manual, version, and words that are wrong."""
import json
import re
import shutil
import subprocess
import unittest.mock

import harness
from harness import SOURCE, Case


class Usage(Case):
    commands = ("generate", "encode", "decode", "inspect", "vaes", "packs", "settings", "memory", "shell", "help", "vocabulary", "models", "again", "serve", "ps", "stop", "submit", "convert", "prompt", "loras", "embeddings", "styles")

    def test_help_of_every_command(self):
        general = self.run_program("--help")
        self.assertEqual((general.returncode, general.stderr), (0, ""))
        self.assertEqual(self.run_program("help").stdout, general.stdout)
        for command in self.commands:
            self.assertRegex(general.stdout, rf"\n  {command} ")
            done = self.run_program(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            self.assertTrue(done.stdout.startswith(f"usage: darkroom {command}"), done.stdout)
            self.assertEqual(self.run_program("help", command).stdout, done.stdout)

    def test_every_option_is_in_help_and_manual(self):
        manual = (SOURCE / "man/darkroom.1").read_text()
        commands = self.run_program("--complete").stdout.split()
        self.assertEqual(sorted(commands), sorted(self.commands))
        for command in commands:
            text = self.run_program(command, "--help").stdout
            for option in self.run_program("--complete", command).stdout.split():
                self.assertRegex(text, rf"(?m)^ +(-\w, )?{option}\b", command)
                self.assertRegex(manual, rf"(?m)^\.It Fl (\w , Fl )?{option.removeprefix('-')}\b", command)
        for name in re.findall(r"(?m)^  ([a-z]+)", self.run_program("shell", stdin=b"help\n").stdout):
            self.assertRegex(manual, rf"(?m)^\.It Cm .*\b{name}\b")

    def test_version(self):
        done = self.run_program("--version")
        self.assertRegex(done.stdout, r"^darkroom \d+\.\d+\.\d+\n$")
        self.assertEqual(done.returncode, 0)

    def test_no_command(self):
        done = self.run_program()
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("usage", done.stderr)

    def test_wrong_usage(self):
        cases = [
            (["frobnicate"], "frobnicate", "--help"),
            (["generate", "--frobnicate"], "--frobnicate"),
            (["generate", "-m", "../tiny.safetensors", "word"], "word"),
            (["generate", "--steps"], "--steps needs a value"),
            (["generate", "--steps", "few"], "--steps", "few"),
            (["generate", "--rng", "gpu"], "cuda|cpu"),
            (["generate", "-p", "no model"], "-m FILE"),
            (["encode", "-m", "../tiny.safetensors", "-o", "x.safetensors"], "encode needs IN.png"),
            (["decode", "-m", "../tiny.safetensors", "x.safetensors"], "-o"),
            (["inspect"], "inspect needs FILE"),
            (["inspect", ""], "inspect needs FILE"),
            (["generate", "-m", ""], "--model needs a value"),
            (["memory", "--output", "x"], "--output"),
            (["help", "frobnicate"], "frobnicate"),
            (["vaes"], "-m FILE"),
            (["vaes", "-m", "../tiny.safetensors", "word"], "word"),
            (["settings", "--vae", "none", "--unset-vae"], "--unset-vae"),
            (["settings", "--vae-dir", "..", "--unset-vae-dir"], "--unset-vae-dir"),
            (["settings", "-m", "sd15"], "--vae CHOICE"),
            (["settings", "none"], "none"),
        ]
        for arguments, *parts in cases:
            done = self.run_program(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertTrue(done.stderr.startswith("darkroom " + arguments[0] + ": "), done.stderr)
            self.check_sentence(done.stderr.rstrip("\n"), parts)
            if arguments[0] != "frobnicate" and "--steps" != arguments[-1]:
                answer, code = self.ask(*arguments)
                self.assertEqual((code, answer["error"]["code"]), (2, "bad_input"))

    def test_shell_usage(self):
        done = self.run_program("shell", "word")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("standard input", done.stderr)
        answer = json.loads(self.run_program("shell", "--json", "--frobnicate").stdout)
        self.assertEqual((answer["command"], answer["error"]["code"]), ("shell", "bad_input"))
        done = self.run_program("shell", "-m", "missing.safetensors")
        self.assertEqual(done.returncode, 3)
        done = self.run_program("shell", "--threads", "-3")
        self.assertEqual(done.returncode, 2)
        # It starts with any budget: each job is refused, with one that is sufficient.
        done = self.run_program("shell", "--budget", "4K", "-m", "../tiny.safetensors", stdin=b"generate -p x -W 64 -H 64 -o a.png\n")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"a budget of \d+ bytes is sufficient \(\d+K; 4K was given\)")

    def test_vocabulary_runs_the_script_that_is_installed_with_the_program(self):
        installed = self.folder / "usr/bin/darkroom"
        script = self.folder / "usr/libexec/darkroom/clip-vocabulary"
        for path in (installed, script):
            path.parent.mkdir(parents=True)
        shutil.copy(harness.DARKROOM, installed)
        words = ("vocabulary", "--to", "a place", "--json")

        def run():
            return subprocess.run([installed, *words], env=harness.ENVIRONMENT, capture_output=True, text=True, check=False)

        self.assertIn("is not installed: it should be in /", json.loads(run().stdout)["error"]["message"])
        script.write_text('#!/bin/sh\necho "it was given $*"\nexit "$CODE"\n')
        script.chmod(0o755)
        for code, name in (("0", None), ("1", "io"), ("2", "bad_input"), ("130", "cancelled")):
            with unittest.mock.patch.dict(harness.ENVIRONMENT, CODE=code):
                done = run()
            answer = json.loads(done.stdout)
            self.assertEqual(answer.get("error", {}).get("code"), name)
            self.assertEqual(done.stderr, "it was given --to=a place\n")
        done = self.run_program("vocabulary", "--wheel", "missing.whl", "--to", "nowhere")
        self.assertEqual(done.returncode, 9)
        self.assertIn("there is no file missing.whl", done.stderr)


if __name__ == "__main__":
    harness.main()
