#!/usr/bin/env python3
"""The soak: random operations on tiny models of both families, and what is as before when it is over."""
import os
import signal

import harness
from harness import HOME, Case, make

KINDS = {"model", "model, bad", "vae", "vae, bad", "generate", "generate, bad", "encode", "decode", "decode, bad",
         "unload vae", "unload model", "generate, cancelled"}


class Soak(Case):
    models = "--models ../tiny.safetensors,../xl.safetensors --vaes ../vae.safetensors,../own-vae.safetensors"

    def setUp(self):
        super().setUp()
        self.work = self.folder / "tmp"
        self.work.mkdir()
        self.addCleanup(harness.ENVIRONMENT.pop, "TMPDIR")
        harness.ENVIRONMENT["TMPDIR"] = str(self.work)
        if not (HOME / "xl.safetensors").exists():
            make("xl.safetensors", "--family", "sdxl", "--seed", "5")

    def check_is_over(self):
        self.assertEqual(list(self.work.iterdir()), [])
        self.assertEqual(self.files(), {"tmp"})

    def test_both_families(self):
        shell = self.shell("-m", "../tiny.safetensors")
        self.succeed(shell, "vae ../vae.safetensors")
        before = self.succeed(shell, "vae")["vae"]
        bytes_before = self.memory(shell)["ledger"]["private_bytes"]
        answer = self.succeed(shell, f"soak 60 --seed 1 {self.models}")
        self.assertEqual((answer["seed"], answer["operations"]), (1, 60))
        counts = {row["operation"]: row for row in answer["counts"]}
        self.assertEqual(set(counts), KINDS)
        self.assertEqual(sum(row["done"] + row["refused"] for row in answer["counts"]), 60)
        for kind, row in counts.items():
            self.assertFalse(row["done"] and (", bad" in kind or "cancelled" in kind), row)
        self.assertGreater(sum(row["refused"] for row in answer["counts"]), 5)
        self.assertGreater(answer["checks"], 60 * 4)
        self.assertGreater(answer["pictures"], 3)
        self.assertGreater(answer["pictures_compared"], 0)
        memory = answer["memory"]
        self.assertEqual(memory["points"], 13)
        self.assertLessEqual(max(memory["first_private_bytes"], memory["last_private_bytes"]),
                             memory["max_private_bytes"])
        self.assertIn(f"all {answer['checks']} checks held", answer["verdict"])
        after = self.succeed(shell, "vae")["vae"]
        self.assertEqual({**after, "reason": ""}, {**before, "reason": ""})
        components = self.memory(shell)["components"]
        self.assertTrue(all(part["state"] == "resident" for part in components), components)
        self.assertEqual(sum(part["private_bytes"] for part in components), bytes_before)
        progress = [event for event in shell.events() if event.get("stage") == "soak"]
        self.assertGreater(len(progress), 0)
        self.assertEqual({event["total"] for event in progress}, {60})
        self.check_is_over()
        self.assertEqual(shell.close(), ([], 0))

    def test_a_seed_is_a_sequence(self):
        shell = self.shell("-m", "../tiny.safetensors")
        first, again, other = (self.succeed(shell, f"soak 25 --seed {seed}") for seed in (3, 3, 4))
        self.assertEqual(first["counts"], again["counts"])
        self.assertEqual(first["checks"], again["checks"])
        self.assertNotEqual(first["counts"], other["counts"])
        self.assertNotEqual(self.succeed(shell, "soak 1")["seed"], self.succeed(shell, "soak 1")["seed"])
        self.assertEqual(shell.close(), ([], 0))

    def test_what_was_unloaded_stays_unloaded(self):
        shell = self.shell("-m", "../tiny.safetensors")
        self.succeed(shell, "unload")
        self.succeed(shell, "soak 5 --seed 2")
        self.assertEqual(self.memory(shell)["ledger"]["private_bytes"], 0)
        self.check_is_over()

    def test_cancel_ends_it(self):
        shell = self.shell("-m", "../tiny.safetensors")
        shell.send(f"soak 1000000 --seed 5 {self.models}")
        shell.wait_for(lambda: any(event.get("stage") == "soak" and event["done"] >= 3 for event in shell.events()))
        shell.process.send_signal(signal.SIGINT)
        answer = shell.receive()
        self.assertEqual(answer["error"]["code"], "cancelled", answer)
        self.check_sentence(answer["error"]["message"], ["of 1000000 operations"])
        self.assertEqual(self.succeed(shell, "vae")["vae"]["active"], "base")
        self.check_is_over()
        self.assertEqual(shell.close(), ([], 1))

    def test_refusals(self):
        shell = self.shell()
        self.fail_with(shell, "soak 5", "not_found", "load one first")
        self.succeed(shell, "model ../tiny.safetensors")
        for words, part in (("0", "1 to"), ("x", '"x"'), ("-5", "1 to"), ("5 --models a,,b", "empty name"),
                            ("5 --models " + ",".join("m" * 20), "at most 14")):
            self.fail_with(shell, f"soak {words}", "bad_input", part)
        self.fail_with(shell, "soak 5 --models ../missing.safetensors", "not_found", "missing.safetensors")
        self.fail_with(shell, "soak 5 --models ../vae.safetensors", "bad_input", "is a VAE")
        self.assertEqual(self.succeed(shell, "vae")["vae"]["active"], "base")
        harness.ENVIRONMENT["TMPDIR"] = str(self.work / "none")
        elsewhere = self.shell("-m", "../tiny.safetensors")
        self.fail_with(elsewhere, "soak 5", "io", "set TMPDIR")
        self.check_is_over()

    def test_a_violation_is_told(self):
        """The negative control from outside: a file turns up in the soak's folder, as a temporary left behind would."""
        shell = self.shell("-m", "../tiny.safetensors")
        shell.send("soak 1000000 --seed 6")
        shell.wait_for(lambda: any(event.get("stage") == "soak" and event["done"] >= 2 for event in shell.events()))
        folder, = self.work.iterdir()
        (folder / ".out.png.1-1.darkroom-part").touch()
        answer = shell.receive()
        self.assertEqual(answer["error"]["code"], "failed", answer)
        self.check_sentence(answer["error"]["message"], ["of 1000000", "seed 6", "expected no file left behind",
                                                         "seen .out.png.1-1.darkroom-part"])
        self.check_is_over()
        self.assertEqual(shell.close(), ([], 1))


if __name__ == "__main__":
    os.umask(0o022)
    harness.main()
