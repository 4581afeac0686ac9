#!/usr/bin/env python3
"""Packs from outside: made once, found by every later run, shared between processes, and no harm in losing one."""
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time

import harness
from harness import DARKROOM, ENVIRONMENT, GENERATE, HOME, LINE, Case, Shell, make

MIB = 1 << 20


class Packs(Case):
    def setUp(self):
        super().setUp()
        self.packs = self.pack_folder()

    def listed(self, *arguments):
        answer, code = self.ask("packs", *arguments, "--packs", self.packs)
        self.assertEqual(code, 0, answer)
        return answer["packs"]

    def open_shell(self, name="one", *options):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        shell = Shell(folder, "--packs", self.packs, *options)
        self.addCleanup(shell.kill)
        return shell

    def test_made_once_and_found_again(self):
        plain = self.run_program(*GENERATE, "--packs", "off", "-o", "plain.png")
        self.assertEqual(plain.returncode, 0, plain)
        self.assertEqual(self.listed(), [])
        for name in ("first.png", "second.png"):
            answer, code = self.ask(*GENERATE, "--packs", self.packs, "-o", name)
            self.assertEqual(code, 0)
            self.assertEqual(answer["planned_private_bytes"], answer["peak_private_bytes"])
            self.assertLess(answer["peak_private_bytes"], 16 * MIB)  # the weights are 28 MiB
            self.assertEqual(harness.idat_of(self.folder / name), harness.idat_of(self.folder / "plain.png"))
            made = sorted((pack["path"], os.stat(pack["path"]).st_ino) for pack in self.listed())
            if name == "first.png":
                first = made
        self.assertEqual(made, first)
        self.assertEqual({pack["source"].split()[0] for pack in self.listed()}, {"text", "unet", "vae"})
        self.assertEqual({pack["state"] for pack in self.listed()}, {"ready"})
        # Those of the other precision are told apart; verify says that all are good, prune in one line what went.
        self.assertEqual(self.run_program(*GENERATE, "--packs", self.packs, "-o", "a.png", "--precision", "f32").returncode, 0)
        sources = {pack["source"].split(" of ")[0] for pack in self.listed()}
        self.assertTrue({f"{part} (f32, weights in f16)" for part in ("text", "unet", "vae")} <= sources, sources)
        count = len(self.listed())
        self.assertEqual(self.ask("packs", "verify", "--packs", self.packs)[0]["verified_count"], count)
        text = self.run_program("packs", "verify", "--packs", self.packs).stdout
        self.assertTrue(text.startswith(f"all {count} packs were read, and they are good\n"), text)
        text = self.run_program("packs", "prune", "--keep", "0", "-y", "--packs", self.packs).stdout
        self.assertRegex(text, rf"^removed {count} packs \([0-9.]+ MiB\), kept 0 \(0 B\)\n$")

    def test_two_processes_share_them(self):
        make("large.safetensors", "--seed", "9", "--dtype", "f32")
        one, two = (self.open_shell(name, "--precision", "f32") for name in ("one", "two"))
        self.succeed(one, "model ../../large.safetensors")
        self.succeed(one, LINE + " -o a.png")
        alone = self.memory(one)
        self.succeed(two, "model ../../large.safetensors")
        self.succeed(two, LINE + " -o a.png")
        both = [self.memory(one), self.memory(two)]
        weights = alone["ledger"]["mapped_bytes"]
        self.assertGreater(weights, 50 * MIB)
        for memory in both:
            self.assertEqual(memory["ledger"]["mapped_bytes"], weights)
            self.assertLess(memory["kernel"]["private_bytes"], weights // 4)
        together = sum(memory["kernel"]["pss_bytes"] for memory in both)
        added = together - alone["kernel"]["pss_bytes"]
        self.assertLess(added, weights // 4, "the second process holds weights of its own")

    def test_damage_is_told_and_mended(self):
        self.assertEqual(self.run_program(*GENERATE, "--packs", self.packs, "-o", "a.png").returncode, 0)
        path = next(pack["path"] for pack in self.listed() if pack["source"].startswith("unet"))
        with open(path, "r+b") as file:
            file.seek(5 * MIB)
            file.write(b"\xff" * 64)
        answer, code = self.ask("packs", "verify", "--packs", self.packs)
        self.assertEqual(answer["error"]["code"], "corrupt")
        self.assertEqual(code, 4)
        self.check_sentence(answer["error"]["message"], [path, "section"])
        done = self.run_program(*GENERATE, "--packs", self.packs, "-o", "b.png")
        self.assertEqual(done.returncode, 0)
        self.assertIn("made again", done.stderr)
        self.assertEqual(harness.idat_of(self.folder / "a.png"), harness.idat_of(self.folder / "b.png"))
        self.assertEqual({pack["state"] for pack in self.listed("verify")}, {"ready"})

    def test_no_room(self):
        """A limit on the size of files stands for a full disk: the program ignores SIGXFSZ as its starter did."""
        done = subprocess.run([DARKROOM, *GENERATE, "--packs", self.packs, "-o", "a.png"], cwd=self.folder, env=ENVIRONMENT,
                              capture_output=True, text=True, restore_signals=False, check=False,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB)))
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("the weights of unet will be private memory: no space for a pack", done.stderr)
        self.assertEqual({pack["source"].split()[0] for pack in self.listed()}, {"text"})

    def test_a_folder_that_cannot_be_used(self):
        place = self.folder / "file"
        place.write_text("no folder")
        done = self.run_program(*GENERATE, "--packs", place / "packs", "-o", "a.png")
        self.assertEqual(done.returncode, 0)
        self.assertIn("no packs", done.stderr)
        # Nobody asked for this one: not worth a word.
        done = self.run_program(*GENERATE, "-o", "b.png",
                                environment={"DARKROOM_PACKS": "", "XDG_CACHE_HOME": str(place)})
        self.assertEqual(done.returncode, 0)
        self.assertNotIn("packs", done.stderr)
        answer, code = self.ask("packs", "--packs", place / "packs")
        self.assertEqual((answer["error"]["code"], code), ("not_found", 3))

    def test_said_for_each_model(self):
        make("large.safetensors", "--seed", "9", "--dtype", "f32")
        make("other-large.safetensors", "--seed", "8", "--dtype", "f32")
        def generate(model, *words):
            done = self.run_program("generate", "-m", HOME / model, *GENERATE[3:], "--packs", self.packs, "-o", "a.png", "--precision", "f32", *words)
            self.assertEqual(done.returncode, 0, done)
            self.assertNotIn("warning", done.stderr)
            return done.stderr
        first = generate("other-large.safetensors")
        said = re.search(r"darkroom: ([0-9.]+ MiB) of weights are cached as packs in (\S+),.* later runs of other-large .*--packs off", first)
        self.assertEqual(said[2], str(self.packs))
        self.assertEqual(said[1], f"{sum(pack['bytes'] for pack in self.listed()) / MIB:.1f} MiB")
        self.assertNotIn("packs", generate("other-large.safetensors"))
        self.assertIn("later runs of large", generate("large.safetensors"))
        self.ask("packs", "prune", "--keep", "0", "-y", "--packs", self.packs)
        self.assertEqual(generate("large.safetensors", "-q"), "")
        self.ask("packs", "prune", "--keep", "0", "-y", "--packs", self.packs)
        self.assertNotIn("packs", self.run_program(*GENERATE, "--precision", "bf16", "--packs", self.packs, "-o", "a.png").stderr)  # 28 MiB

    def prune(self, *arguments):
        return self.ask("packs", "prune", *arguments, "--packs", self.packs)

    def test_prune(self):
        self.assertEqual(self.run_program(*GENERATE, "--packs", self.packs, "-o", "a.png").returncode, 0)
        packs = self.listed()
        total = sum(pack["bytes"] for pack in packs)
        # Within the limit nothing goes, so nobody has to be asked.
        for keep in ([], ["--keep", "1T"]):
            answer, code = self.prune(*keep)
            self.assertEqual((code, answer["removed_count"], answer["kept_bytes"]), (0, 0, total))
        # Nobody can be asked: what would go is told, and nothing goes.
        answer, code = self.prune("--keep", str(total - 1))
        self.assertEqual((answer["error"]["code"], code), ("bad_input", 2))
        self.check_sentence(answer["error"]["message"], ["--yes", "1 pack"])
        self.assertEqual([pack["path"] for pack in answer["would_remove"]], [packs[-1]["path"]])
        done = self.run_program("packs", "prune", "--keep", "0", "--packs", self.packs)
        self.assertEqual(done.returncode, 2)
        for pack in packs:
            self.assertIn(pack["name"][:12], done.stderr)
        self.assertEqual(len(self.listed()), len(packs))
        answer, _ = self.prune("--keep", str(total - 1), "--yes")
        self.assertGreaterEqual(answer["removed_count"], 1)
        answer, _ = self.prune("--keep", "0", "-y")
        self.assertEqual(answer["kept_count"], 0)
        self.assertEqual([name for name in os.listdir(self.packs) if name.endswith((".pack", ".checked", ".building"))], [])
        for words in (["purge"], ["list", "--keep", "1G"], ["list", "all"], ["rm"]):
            _, code = self.ask("packs", *words, "--packs", self.packs)
            self.assertEqual(code, 2)

    def test_a_person_is_asked(self):
        self.assertEqual(self.run_program(*GENERATE, "--packs", self.packs, "-o", "a.png").returncode, 0)
        for said, count in (("\n", 3), ("n\n", 3), ("y\n", 0)):
            ours, theirs = os.openpty()
            os.write(ours, said.encode())
            process = subprocess.Popen([DARKROOM, "packs", "prune", "--keep", "0", "--packs", self.packs], env=ENVIRONMENT,
                                       stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs)
            os.close(theirs)
            shown = b""
            while b"[y/N]" not in shown:
                shown += os.read(ours, 4096)
            process.wait()
            os.close(ours)
            self.assertRegex(shown, rb"unet \((bf16|f32)\) of ")
            self.assertEqual(len(self.listed()), count)

    def test_remove_by_name(self):
        make("first.safetensors", "--seed", "4")
        make("other.safetensors", "--seed", "5")
        for model in ("first", "other"):
            done = self.run_program("generate", "-m", HOME / f"{model}.safetensors", *GENERATE[3:], "--packs", self.packs, "-o", "a.png")
            self.assertEqual(done.returncode, 0, done)
        packs = self.listed()
        self.assertEqual(len(packs), 6)
        answer, code = self.ask("packs", "rm", packs[0]["name"][:8], "--packs", self.packs)
        self.assertEqual((code, answer["removed_count"], answer["kept_count"]), (0, 1, 5))
        shell = self.open_shell("one")
        self.succeed(shell, f"model {HOME / 'first.safetensors'}")
        self.assertEqual(sum(pack.get("in_use", False) for pack in self.listed()), 3)
        answer, code = self.ask("packs", "rm", "first", "--packs", self.packs)
        self.assertEqual((answer["error"]["code"], len(self.listed())), ("busy", 5))
        answer, code = self.prune("--keep", "0", "--yes")  # what is in use stays
        self.assertEqual((code, answer["kept_count"], answer["in_use_count"]), (0, 3, 3))
        self.succeed(shell, LINE + " -o b.png")
        shell.kill()
        answer, code = self.ask("packs", "rm", "first", "--packs", self.packs)
        self.assertEqual((code, answer["removed_count"]), (0, 3))
        answer, code = self.ask("packs", "rm", "first", "--packs", self.packs)
        self.assertEqual((answer["error"]["code"], code), ("not_found", 3))

    def limit(self, size):
        """The limit of the user's settings, for this test."""
        harness.ENVIRONMENT.update(XDG_CONFIG_HOME=str(self.folder / "config"))
        self.addCleanup(harness.ENVIRONMENT.update, XDG_CONFIG_HOME=str(HOME / "config"))
        answer, code = self.ask("settings", "--packs-limit", size)
        self.assertEqual(code, 0, answer)
        self.assertEqual(self.ask("packs", "--packs", self.packs)[0]["limit_bytes"], answer["packs_limit_bytes"])

    def test_a_limit(self):
        make("first.safetensors", "--seed", "4")
        make("other.safetensors", "--seed", "5")
        plain = self.run_program(*GENERATE, "--packs", "off", "-o", "plain.png")
        self.assertEqual(plain.returncode, 0, plain)
        # A pack that is larger than the limit alone: without it, with a warning, and as the forecast said.
        self.limit("1M")
        forecast, _ = self.ask("memory", "-m", "../tiny.safetensors", "-W", "64", "-H", "64", "--steps", "2", "--threads", "1",
                               "--packs", self.packs)
        budget = forecast["forecast"]["levels"][0]["budget_bytes"]
        done = self.run_program(*GENERATE, "--packs", self.packs, "--budget", budget, "-o", "small.png")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("warning: the weights of unet will be private memory: no space for a pack", done.stderr)
        self.assertIn("--packs-limit", done.stderr)
        self.assertEqual(harness.idat_of(self.folder / "small.png"), harness.idat_of(self.folder / "plain.png"))
        self.assertLessEqual(sum(pack["bytes"] for pack in self.listed()), MIB)
        # Room for one model: the other's packs go, and that is told.
        def generate(model):
            done = self.run_program("generate", "-m", HOME / f"{model}.safetensors", *GENERATE[3:], "--packs", self.packs, "-o", "a.png")
            self.assertEqual(done.returncode, 0, done)
            return done.stderr
        def made_of():
            return {pack["source"].rpartition("/")[2] for pack in self.listed()}
        self.ask("packs", "prune", "--keep", "0", "-y", "--packs", self.packs)
        self.limit("1G")
        generate("first")
        size = sum(pack["bytes"] for pack in self.listed())
        self.limit(str(size + size // 8))
        self.assertIn("removed", generate("other"))
        self.assertNotIn("removed", generate("other"))
        self.assertIn("other.safetensors", made_of())
        self.assertLessEqual(sum(pack["bytes"] for pack in self.listed()), size + size // 8)
        # A larger limit has room for both again.
        self.limit("1G")
        self.assertNotIn("removed", generate("first"))
        self.assertEqual(made_of(), {"first.safetensors", "other.safetensors"})
        self.assertEqual(len(self.listed()), 6)

    def test_kill_while_they_are_made(self):
        moments = random.Random(20261125)
        for turn in range(8):
            self.prune("--keep", "0", "--yes")
            process = subprocess.Popen([DARKROOM, *GENERATE, "--packs", self.packs, "-o", f"{turn}.png"],
                                       cwd=self.folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(moments.uniform(0.0, 0.5))
            process.kill()
            process.wait()
            for pack in self.listed("verify"):
                self.assertIn(pack["state"], ("ready", "leftover"))
        done = self.run_program(*GENERATE, "--packs", self.packs, "-o", "end.png")
        self.assertEqual((done.returncode, "warning" in done.stderr), (0, False), done)
        self.assertEqual({pack["state"] for pack in self.listed("verify")}, {"ready"})

    def test_interrupt_while_they_are_made(self):
        make("large.safetensors", "--seed", "9", "--dtype", "f32")
        shell = self.open_shell()
        shell.send("model ../../large.safetensors")
        shell.wait_for(shell.events)  # a line of progress: it runs
        shell.process.send_signal(signal.SIGINT)
        answer = shell.receive()
        self.assertTrue(answer["ok"] or answer["error"]["code"] == "cancelled", answer)
        # One that was done when the signal came may lack its mark yet: it is read whole when it is used.
        self.assertLessEqual({pack["state"] for pack in self.listed()}, {"ready", "unchecked"})
        if answer["ok"]:  # it was done before the signal came, which then ended the shell
            shell = self.open_shell("two")
        self.succeed(shell, "model ../../large.safetensors")
        memory = self.memory(shell)
        self.assertEqual(sum(part["private_bytes"] for part in memory["components"]), 0)

    def test_interrupt_while_they_are_verified(self):
        """The first Ctrl-C cancels the command, the shell stays; nothing is called damaged."""
        make("large.safetensors", "--seed", "9", "--dtype", "f32")
        done = self.run_program("generate", "-m", "../large.safetensors", "-p", "x", "-W", "64", "-H", "64", "--steps", "1",
                                "--packs", self.packs, "-o", "a.png")
        self.assertEqual(done.returncode, 0, done)
        cancelled = 0
        for attempt in range(20):
            shell = self.open_shell(f"shell-{attempt}")
            shell.send("packs verify")
            shell.wait_for(shell.events)
            shell.process.send_signal(signal.SIGINT)
            answer = shell.receive()
            if not answer["ok"]:
                self.assertEqual(answer["error"]["code"], "cancelled", answer)
                self.assertEqual(len(self.succeed(shell, "packs")["packs"]), 3)
                cancelled += 1
                break
        self.assertGreater(cancelled, 0)
        self.assertEqual({pack["state"] for pack in self.listed("verify")}, {"ready"})

    def versions(self):
        packs = sorted(path for path in os.listdir(self.packs) if path.endswith(".pack"))
        return [(name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                for name, status in ((name, os.stat(os.path.join(self.packs, name))) for name in packs)]

    def test_interrupt_while_they_are_checked(self):
        """As after a restart of the machine: all are read. A Ctrl-C meanwhile is no finding."""
        self.assertEqual(self.run_program(*GENERATE, "--packs", self.packs, "-o", "a.png").returncode, 0)
        first = self.versions()
        self.assertEqual(len(first), 3)
        for command in (["packs", "verify"], ["memory", "-m", "../tiny.safetensors", "-W", 64, "-H", 64],
                        [*GENERATE, "--threads", 1, "-o", "b.png"]):
            arguments = [*map(str, command), "--packs", self.packs]
            stopped, taken_s = 0, None
            for attempt in range(13):
                for name in os.listdir(self.packs):
                    if name.endswith(".checked"):
                        os.unlink(os.path.join(self.packs, name))
                begun = time.monotonic()
                with subprocess.Popen([DARKROOM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                      cwd=self.folder, env=ENVIRONMENT) as process:
                    if taken_s:  # the first runs to its end
                        time.sleep(taken_s * attempt / 13)
                        process.send_signal(signal.SIGINT)
                    said = process.communicate(timeout=harness.LIMIT_S)[1].decode()
                taken_s = taken_s or time.monotonic() - begun
                stopped += process.returncode != 0
                self.assertIn(process.returncode, (0, 130, -signal.SIGINT), said)
                self.assertNotIn("damaged", said)
                self.assertEqual(self.versions(), first)
                (self.folder / "b.png").unlink(missing_ok=True)
            self.assertGreater(stopped, 0, command)
        done = self.run_program(*GENERATE, "--packs", self.packs, "-o", "b.png")
        self.assertEqual((done.returncode, done.stderr.count("pack of")), (0, 0), done)
        self.assertEqual(harness.idat_of(self.folder / "a.png"), harness.idat_of(self.folder / "b.png"))
        self.assertEqual(self.versions(), first)

    def test_a_checkpoint_that_is_gone(self):
        gone = self.folder / "gone.safetensors"
        shutil.copy(HOME / "tiny.safetensors", gone)
        shell = self.open_shell()
        self.succeed(shell, "model ../gone.safetensors")
        self.succeed(shell, "unload")
        gone.unlink()
        self.fail_with(shell, LINE + " -o a.png", "changed", "gone.safetensors")
        self.assertEqual(self.memory(shell)["ledger"]["mapped_bytes"], 0)


if __name__ == "__main__":
    harness.size = "tiny"
    harness.main()
