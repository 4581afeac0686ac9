#!/usr/bin/env python3
"""The soak: random operations on tiny models of both families, and what it leaves when it is over."""
import json
import os
import signal
import subprocess
import time

import harness
from harness import BUILD, ENVIRONMENT, HOME, LIMIT_S, Case

KINDS = {"model", "model, bad", "vae", "vae, bad", "generate", "generate, bad", "encode", "decode", "decode, bad",
         "unload vae", "unload model", "generate, cancelled"}
ONE = ("--models", "../tiny.safetensors")
BOTH = ("--models", "../tiny.safetensors,../xl.safetensors", "--vaes", "../vae.safetensors,../own-vae.safetensors")


class Soak(Case):
    def setUp(self):
        super().setUp()
        self.work = self.folder / "tmp"
        self.work.mkdir()
        if not (HOME / "xl.safetensors").exists():
            harness.take("xl.safetensors", "--family", "sdxl", "--seed", "5")

    def start(self, *arguments, parent=None):
        self.log = open(self.folder / "soak.log", "wb")
        self.addCleanup(self.log.close)
        soak = subprocess.Popen([BUILD / "tools/soak", "--threads", "1", *map(str, arguments)], stdout=subprocess.PIPE,
                                stderr=self.log, cwd=self.folder, env={**ENVIRONMENT, "TMPDIR": str(parent or self.work)})
        self.addCleanup(soak.stdout.close)
        self.addCleanup(soak.wait)
        self.addCleanup(soak.kill)
        return soak

    def events(self):
        # The last line may be half written.
        lines = (self.folder / "soak.log").read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for(self, soak, count):
        """Until so many operations are done."""
        end = time.monotonic() + LIMIT_S
        while not any(event["done"] >= count for event in self.events()):
            self.assertLess(time.monotonic(), end)
            self.assertIsNone(soak.poll())
            time.sleep(0.01)

    def answer(self, soak):
        output = soak.communicate(timeout=LIMIT_S)[0].decode()
        answer = json.loads(output)
        self.assertEqual(output.count("\n"), 1)
        self.assertEqual(answer["ok"], soak.returncode == 0, answer)
        self.assertEqual(list(self.work.iterdir()), [])
        self.assertEqual(self.files(), {"tmp", "soak.log"})
        return answer

    def succeed(self, *arguments):
        answer = self.answer(self.start(*arguments))
        self.assertTrue(answer["ok"], answer)
        return answer

    def refuse(self, code, part, *arguments, **more):
        answer = self.answer(self.start(*arguments, **more))
        self.assertEqual(set(answer), {"ok", "command", "ms", "error"})
        self.assertEqual(answer["error"]["code"], code, answer)
        self.check_sentence(answer["error"]["message"], [part])

    def test_both_families(self):
        answer = self.succeed(60, "--seed", 1, *BOTH)
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
        self.assertEqual([event["done"] for event in self.events()], list(range(60)))
        self.assertEqual({event["total"] for event in self.events()}, {60})

    def test_a_seed_is_a_sequence(self):
        first, again, other = (self.succeed(25, "--seed", seed, *ONE) for seed in (3, 3, 4))
        self.assertEqual(first["counts"], again["counts"])
        self.assertEqual(first["checks"], again["checks"])
        self.assertNotEqual(first["counts"], other["counts"])
        self.assertNotEqual(self.succeed(1, *ONE)["seed"], self.succeed(1, *ONE)["seed"])

    def test_a_signal_ends_it(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            soak = self.start(1000000, "--seed", 5, *BOTH)
            self.wait_for(soak, 3)
            soak.send_signal(number)
            answer = self.answer(soak)
            self.assertEqual(answer["error"]["code"], "cancelled", answer)
            self.check_sentence(answer["error"]["message"], ["of 1000000 operations"])

    def test_refusals(self):
        for part, *words in (("1 to", 0, *ONE), ('"x"', "x", *ONE), ("--help", *ONE), ("--help", 5, 6, *ONE),
                             ("--help", 5, "--modles", "x"), ("--help", 5, "--models"), ("give --models", 5),
                             ("bf16", 5, "--precision", "f64", *ONE), ("--seed", 5, "--seed", "-1", *ONE),
                             ("empty name", 5, "--models", "a,,b"), ("at most 14", 5, "--models", ",".join("m" * 20))):
            self.refuse("bad_input", part, *words)
        self.refuse("not_found", "missing.safetensors", 5, "--models", "../missing.safetensors")
        self.refuse("bad_input", "is a VAE", 5, "--models", "../vae.safetensors")
        self.refuse("io", "set TMPDIR", 5, *ONE, parent=self.work / "none")

    def test_a_violation_is_told(self):
        """The negative control from outside: a file turns up in the soak's folder, as a temporary left behind would."""
        soak = self.start(1000000, "--seed", 6, *ONE)
        self.wait_for(soak, 2)
        folder, = self.work.iterdir()
        (folder / ".out.png.1-1.darkroom-part").touch()
        answer = self.answer(soak)
        self.assertEqual(answer["error"]["code"], "failed", answer)
        self.check_sentence(answer["error"]["message"], ["of 1000000", "seed 6", "expected no file left behind",
                                                         "seen .out.png.1-1.darkroom-part"])

    def test_the_program_has_no_such_command(self):
        done = self.run_program("shell", "-m", "../tiny.safetensors", stdin=b"soak 5\n")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn('"soak"', done.stderr)


if __name__ == "__main__":
    os.umask(0o022)
    harness.main()
