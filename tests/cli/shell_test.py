#!/usr/bin/env python3
"""The shell: lines, answers, progress, terminals."""
import json
import os
import pathlib
import pty
import re
import subprocess

import harness
from harness import DARKROOM, ENVIRONMENT, LIMIT_S, LINE, Case


class ShellSession(Case):
    def test_shapes(self):
        shell = self.shell()
        vae_keys = {"choice", "source", "reason", "active", "path", "digest", "verified", "scale_factor"}
        answer = self.succeed(shell, "vae")
        self.assertLessEqual(vae_keys, set(answer["vae"]))
        self.assertEqual((answer["vae"]["choice"], answer["vae"]["source"]), ("automatic", "default"))
        answer = self.succeed(shell, "model ../tiny.safetensors")
        self.assertEqual((answer["model"]["path"], answer["model"]["family"]), ("../tiny.safetensors", "sd15"))
        shown = self.succeed(shell, "model")
        self.assertEqual((shown["model"], shown["vae"]["active"]), (answer["model"], answer["vae"]["active"]))
        self.assertNotIn("receipt", shown)
        self.assertEqual([part["role"] for part in answer["model"]["components"]], ["text", "unet", "vae"])
        self.assertLessEqual(vae_keys, set(answer["vae"]))
        self.assertGreater(answer["receipt"]["acquired_bytes"], 1 << 20)
        answer = self.succeed(shell, "vae ../vae.safetensors")
        self.assertEqual((answer["vae"]["active"], answer["vae"]["path"]), ("override", "../vae.safetensors"))
        self.assertTrue(answer["vae"]["verified"])
        self.assertEqual(answer["receipt"]["released_bytes"], answer["receipt"]["acquired_bytes"])
        answer = self.succeed(shell, "vae")
        self.assertEqual((answer["vae"]["source"], answer["vae"]["active"]), ("setting", "override"))
        answer = self.succeed(shell, "unload vae")
        self.assertGreater(answer["receipt"]["released_bytes"], 1 << 20)
        answer = self.succeed(shell, "unload vae")
        self.assertEqual(answer["receipt"]["released_bytes"], 0)
        answer = self.succeed(shell, "unload model")
        self.assertEqual(answer["receipt"]["after"]["private_bytes"], 0)
        answer = self.succeed(shell, "unload")
        self.assertEqual(answer["receipt"]["released_bytes"], 0)
        answer = self.succeed(shell, f"{LINE} -o a.png")
        self.assertEqual(answer["vae"]["active"], "override")
        answer = self.succeed(shell, "budget 3G")
        self.assertEqual(answer["budget"]["bytes"], 3 << 30)
        self.assertEqual(self.succeed(shell, "budget")["budget"]["bytes"], 3 << 30)
        self.assertIn("90 % of ", self.succeed(shell, "budget default")["budget"]["reason"])
        self.assertIn("generate", self.succeed(shell, "help")["help"])
        self.assertIn("--steps", self.succeed(shell, "help generate")["help"])
        self.assertNotIn("--precision", self.succeed(shell, "generate --help")["help"])
        self.assertTrue(self.succeed(shell, "forecast -W 64 -H 64")["forecast"]["fits"])
        self.assertEqual(self.succeed(shell, "inspect ../tiny.safetensors")["family"], "sd15")
        self.succeed(shell, "quit")
        self.assertEqual(shell.close(), ([], 0))

    def test_a_random_seed_is_another_one_each_time(self):
        shell = self.shell("-m", "../tiny.safetensors")
        line = "generate -p x -W 64 -H 64 --steps 1"
        for words in ("", " --seed -1"):
            seeds = {self.succeed(shell, line + words)["images"][0]["seed"] for _ in range(3)}
            self.assertEqual(len(seeds), 3, seeds)
            self.assertLess(max(seeds), 1 << 32)
        self.assertEqual(shell.close(), ([], 0))

    def test_small_blocks_are_given_back(self):
        def settings(**environment):
            with harness.changed(ENVIRONMENT, environment):
                shell = self.shell()
                self.succeed(shell, "help")
                # glibc ends each tunable with a zero byte as it reads it.
                entries = pathlib.Path(f"/proc/{shell.process.pid}/environ").read_text().split("\0")
                self.assertEqual(shell.close(), ([], 0))
            return [entry.removeprefix("GLIBC_TUNABLES=") for entry in entries if "glibc.malloc" in entry]

        off, other, own = ("glibc.malloc." + rest for rest in ("tcache_count=0", "trim_threshold=131072", "tcache_count=3"))
        self.assertEqual(settings(), [off])
        self.assertEqual(settings(GLIBC_TUNABLES=other), [other, off])
        self.assertEqual(settings(GLIBC_TUNABLES=own), [own])

    def test_waiting_threads_sleep_soon(self):
        """What OpenMP itself says that it will do, at each start of the program: the last one counts."""
        def spins(**environment):
            done = self.run_program("packs", environment={"OMP_DISPLAY_ENV": "verbose", **environment})
            self.assertEqual(done.returncode, 3, done)  # packs are off
            return re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)

        tcache = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
        before, now = spins()
        self.assertGreaterEqual(int(before), 100000)
        self.assertEqual(now, "1000")
        self.assertEqual(spins(GOMP_SPINCOUNT="7"), ["7", "7"])
        self.assertEqual(spins(GOMP_SPINCOUNT="7", **tcache), ["7"])
        self.assertEqual(spins(OMP_WAIT_POLICY="passive", **tcache), ["0"])

    def test_memory_log(self):
        shell = self.shell("--memory-log", "memory.jsonl")
        regions, commands = [], []
        for line in ("model ../tiny.safetensors", "vae ../vae.safetensors", f"{LINE} -o a.png", "unload vae",
                     f"{LINE} -o b.png", "vae none"):
            self.succeed(shell, line)
            memory = self.succeed(shell, "memory")
            regions.append({(region["start"], region["bytes"]): region for region in memory["regions"]})
            commands += [line.split()[0], "memory"]
        self.fail_with(shell, "vae missing", "not_found", "missing")
        self.assertEqual(shell.close(), ([], 1))

        # Replaying the log gives what `memory` said, after each command.
        held, replayed, seen, before = {}, [], [], 0.0
        for event in map(json.loads, (self.folder / "memory.jsonl").read_text().splitlines()):
            self.assertGreaterEqual(event["ms"], before)
            before = event["ms"]
            if event["event"] == "opened":
                held[event["start"], event["bytes"]] = event
            elif event["event"] == "closed":
                del held[event["start"], event["bytes"]]
            elif event["event"] == "end":
                seen.append((event["command"], event["ok"]))
                if event["command"] == "memory":
                    replayed.append(dict(held))
            if event["event"] in ("opened", "closed"):
                self.assertEqual(event["private_bytes"] + event["mapped_bytes"], sum(size for _, size in held))
        self.assertEqual(seen, [(name, True) for name in commands] + [("vae", False)])
        self.assertEqual([set(each) for each in replayed], [set(each) for each in regions])
        for ours, theirs in zip(replayed, regions):
            for place, region in ours.items():
                for key in ("component", "tag", "kind"):
                    self.assertEqual(region[key], theirs[place][key])

    def test_memory_log_in_no_folder(self):
        answer, code = self.ask("memory", "-m", "../tiny.safetensors", "--memory-log", "nowhere/m.jsonl")
        self.assertEqual((answer["error"]["code"], code), ("io", 9), answer)
        self.assertIn("nowhere/m.jsonl", answer["error"]["message"])

    def test_readings_are_told(self):
        shell = self.shell()
        self.succeed(shell, "model ../tiny.safetensors")
        told = [event for event in shell.events() if event.get("component")]
        self.assertTrue(told)
        self.assertEqual({event["stage"] for event in told}, {"load"})
        self.assertEqual(len({event["total_bytes"] for event in told}), 1)
        self.assertEqual(told, sorted(told, key=lambda event: event["done_bytes"]))
        done = self.run_program("inspect", "--digest", "../tiny.safetensors", "--json")
        self.assertIn('"component":"text"', done.stderr)
        done = self.run_program("inspect", "--digest", "../tiny.safetensors", "-q")
        self.assertEqual(done.stderr, "")

    def test_drop_cache(self):
        """What is dropped is on the receipt; unasked it is nothing. How much that is the file system decides."""
        shell = self.shell("-m", "../tiny.safetensors")
        self.succeed(shell, "vae ../vae.safetensors")
        plain = self.succeed(shell, "vae none")["receipt"]
        self.assertEqual(plain["dropped_cache_bytes"], 0)
        self.assertNotIn("page cache", plain["reason"])
        self.assertIn("still in use", self.succeed(shell, "unload vae --drop-cache")["receipt"]["reason"])
        self.assertIn("page cache: ", self.succeed(shell, "unload --drop-cache")["receipt"]["reason"])
        self.fail_with(shell, "vae none --drop-cache", "bad_input", "--drop-cache")
        asked = self.shell("-m", "../tiny.safetensors", "--drop-cache")
        self.succeed(asked, "vae ../vae.safetensors")
        self.assertIn("page cache: ", self.succeed(asked, "vae none")["receipt"]["reason"])

    def test_lines(self):
        shell = self.shell()
        shell.send("")
        shell.send("   # a comment")
        self.succeed(shell, "budget")
        self.fail_with(shell, "frobnicate", "bad_input", "frobnicate", "help")
        self.fail_with(shell, "generate 'open", "bad_input", "quote")
        self.fail_with(shell, b"bud\0get\n", "bad_input", "NUL")
        self.fail_with(shell, b"x" * (1 << 20) + b"yz\n", "bad_input", "1 MiB")
        self.fail_with(shell, "budget 1 2", "bad_input", "2")
        self.fail_with(shell, "decode", "bad_input", "LATENT")
        self.fail_with(shell, "model", "not_found", "no model is loaded")
        self.fail_with(shell, "memory -W 64 -H 64", "bad_input", "forecast")
        self.fail_with(shell, "memory --budget 2G", "bad_input", "forecast")
        self.fail_with(shell, "memory --wdith 64", "bad_input", "unknown option")
        self.fail_with(shell, b"frob\xff\xfe\n", "bad_input")
        self.fail_with(shell, "generate " + "a " * 300, "bad_input", "256")
        shell.send(b"help\nquit\nhelp\n")
        answers, code = shell.close()
        self.assertEqual([answer["command"] for answer in answers], ["help", "quit"])
        self.assertEqual(code, 1)

    def test_a_last_line_without_its_end(self):
        done = self.run_program("shell", "--json", stdin=b"help\nbudget")
        self.assertEqual([json.loads(line)["command"] for line in done.stdout.splitlines()], ["help", "budget"])
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.run_program("shell", stdin=b"").returncode, 0)

    def test_start_options_in_a_line(self):
        shell = self.shell()
        for option in ("--precision f32", "--threads 2", "--tokenizer x", "--vae-dir x"):
            self.fail_with(shell, f"generate {option}", "bad_input", option.split()[0], "shell starts")

    def test_generate_switches_and_sets_the_budget(self):
        shell = self.shell()
        answer = self.succeed(shell, f"{LINE} -o a.png -m ../tiny.safetensors --budget 2G")
        self.assertEqual(answer["model"]["family"], "sd15")
        self.assertEqual(self.succeed(shell, "budget")["budget"]["bytes"], 2 << 30)
        answer = self.succeed(shell, f"{LINE} -o b.png")
        self.assertNotIn("model", answer)

    def test_text(self):
        done = self.run_program("shell", stdin=b"model ../tiny.safetensors\nvae ../missing.safetensors\nvae\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("family  sd15", done.stdout)
        self.assertRegex(done.stderr, r"(?m)^vae: .*missing")
        self.assertNotIn("darkroom>", done.stdout + done.stderr)

    def test_progress_and_logs(self):
        shell = self.shell("-v")
        self.succeed(shell, "model ../tiny.safetensors")
        self.succeed(shell, f"{LINE} -o a.png")
        events = shell.events()
        self.assertEqual(len(events), len(shell.said().splitlines()))
        steps = [event for event in events if event["event"] == "progress" and event["stage"] == "unet"]
        self.assertEqual([event["step"] for event in steps], [0, 1, 2])
        self.assertTrue(all(event["step_count"] == 2 for event in steps))
        self.assertTrue(any(event["event"] == "log" for event in events))
        shell = self.shell("-q")
        self.succeed(shell, "model ../tiny.safetensors")
        self.succeed(shell, f"{LINE} -o a.png")
        self.assertEqual(shell.said(), "")

    def test_on_a_terminal(self):
        main_end, other_end = pty.openpty()
        with subprocess.Popen([DARKROOM, "shell", "--threads", "1"], stdin=other_end, stdout=subprocess.PIPE,
                              stderr=other_end, cwd=self.folder, env=ENVIRONMENT) as process:
            os.close(other_end)
            os.write(main_end, f"{LINE} -m ../tiny.safetensors -o a.png\nquit\n".encode())
            seen = b""
            while True:
                try:
                    data = os.read(main_end, 4096)
                except OSError:
                    break
                if not data:
                    break
                seen += data
            self.assertEqual(process.wait(LIMIT_S), 0)
            out = process.stdout.read()
        os.close(main_end)
        self.assertEqual(seen.count(b"darkroom> "), 2)
        self.assertRegex(seen, rb"\r\x1b\[Kunet ")
        self.assertNotIn(b"\x1b", out)
        self.assertIn(b"a.png", out)


if __name__ == "__main__":
    harness.main()
