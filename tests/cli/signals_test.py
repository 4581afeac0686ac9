#!/usr/bin/env python3
"""Ctrl-C and SIGTERM, idle and at work."""
import json
import signal
import subprocess
import time

import harness
from harness import DARKROOM, ENVIRONMENT, LIMIT_S, LINE, Case


class Signals(Case):
    long_line = "generate -p x -W 64 -H 64 --steps 900 --seed 1 -o long.png"

    def until_sampling(self, shell):
        shell.wait_for(lambda: any(event.get("stage") == "unet" and event["step"] > 0 for event in shell.events()))

    def test_cancel_leaves_the_shell(self):
        shell = self.shell("-m", "../tiny.safetensors")
        self.succeed(shell, f"{LINE} -o a.png")
        before = self.memory(shell)["ledger"]["private_bytes"]
        known = len(shell.events())
        shell.send(self.long_line)
        shell.wait_for(lambda: any(event.get("stage") == "unet" and event["step"] > 0
                                   for event in shell.events()[known:]))
        sent = time.monotonic()
        shell.process.send_signal(signal.SIGINT)
        answer = shell.receive()
        self.assertEqual(answer["error"]["code"], "cancelled", answer)
        self.assertLess(time.monotonic() - sent, 30)
        self.assertEqual(self.files(), {"a.png"})
        self.assertEqual(self.memory(shell)["ledger"]["private_bytes"], before)
        self.succeed(shell, f"{LINE} -o b.png")
        self.assertEqual((self.folder / "a.png").read_bytes(), (self.folder / "b.png").read_bytes())
        self.assertEqual(shell.close(), ([], 0))  # a cancelled command is not a failed one

    def test_idle(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            shell = self.shell()
            self.succeed(shell, "help")
            shell.process.send_signal(number)
            self.assertEqual(shell.process.wait(LIMIT_S), 0)

    def test_termination_of_a_command(self):
        shell = self.shell("-m", "../tiny.safetensors")
        shell.send(self.long_line)
        self.until_sampling(shell)
        shell.process.send_signal(signal.SIGTERM)
        self.assertEqual(shell.receive()["error"]["code"], "cancelled")
        self.assertEqual(shell.process.wait(LIMIT_S), 0)
        self.assertEqual(self.files(), set())

    def test_one_shot(self):
        log = self.folder / "log"
        arguments = [DARKROOM, *self.long_line.split(), "-m", "../tiny.safetensors", "--threads", "1", "--json"]
        with open(log, "wb") as stream, subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=stream,
                                                         cwd=self.folder, env=ENVIRONMENT) as process:
            end = time.monotonic() + LIMIT_S
            while b'"step":1,' not in log.read_bytes() and time.monotonic() < end:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            answer = json.loads(process.stdout.read())
        self.assertEqual((process.returncode, answer["error"]["code"]), (130, "cancelled"))
        self.assertEqual(self.files(), {"log"})


if __name__ == "__main__":
    harness.main()
