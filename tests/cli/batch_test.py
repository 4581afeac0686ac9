#!/usr/bin/env python3
"""Several pictures in one command: none that is finished is lost, whatever ends the command."""
import json
import signal
import subprocess
import time

import harness
from harness import DARKROOM, ENVIRONMENT, GENERATE, LIMIT_S, Case

STEPS = "24"  # of a job that is cancelled in time
BATCH = ("--batch", "4", "-o", "x.png")
NAMES = ["x.png", "x-2.png", "x-3.png", "x-4.png"]


class Ends(Case):
    def budget_of_one_at_a_time(self, side="64"):
        """A budget that holds one component: all pictures are sampled before the first is decoded."""
        levels = self.ask("memory", *GENERATE[1:3], "-W", side, "-H", side)[0]["forecast"]["levels"]
        return next(level["budget_bytes"] for level in levels if "one component" in level["manner"])

    def start(self, *arguments):
        self.log = self.folder / "log"
        stream = open(self.log, "wb")
        process = subprocess.Popen([DARKROOM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=stream,
                                   cwd=self.folder, env=ENVIRONMENT)
        stream.close()
        self.addCleanup(process.stdout.close)
        return process

    def events(self):
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")
                and line.endswith("}")]

    def wait_for(self, condition):
        end = time.monotonic() + LIMIT_S
        while not any(condition(event) for event in self.events()) and time.monotonic() < end:
            time.sleep(0.002)

    def whole(self, steps):
        self.ask(*GENERATE[:9], "--steps", steps, "--seed", "7", "--threads", "1", "--batch", "4", "-o", "whole.png")
        return [(self.folder / name.replace("x", "whole", 1)).read_bytes() for name in NAMES]

    def check_cancelled(self, *more):
        """Cancelled in the third picture: two are there, and the answer names them."""
        whole = self.whole(STEPS)
        process = self.start(*GENERATE[:9], "--steps", STEPS, "--seed", "7", "--threads", "1", *BATCH, "--json", *more)
        self.wait_for(lambda event: event.get("stage") == "unet" and event["image"] == 2 and event["step"] > 0)
        process.send_signal(signal.SIGINT)
        answer = json.loads(process.stdout.read())
        self.assertEqual((process.wait(LIMIT_S), answer["error"]["code"]), (130, "cancelled"), answer)
        self.check_sentence(answer["error"]["message"], ["2 of 4"])
        self.assertEqual(answer["images"], [{"path": "x.png", "seed": 7}, {"path": "x-2.png", "seed": 8}])
        self.assertEqual(set(answer), {"ok", "command", "ms", "error", "images"})
        self.assertEqual([(self.folder / name).read_bytes() for name in NAMES[:2]], whole[:2])
        self.assertFalse((self.folder / NAMES[2]).exists())
        written = [event for event in self.events() if event["event"] == "written"]
        self.assertEqual([event["path"] for event in written], NAMES[:2])
        return self.events()

    def test_cancel_with_all_networks_there(self):
        events = self.check_cancelled()
        self.assertFalse(any("finishing" in event for event in events))
        # each picture is there before the next is sampled
        order = [(event["event"] == "written", event["image"]) for event in events
                 if event["event"] == "written" or event.get("stage") == "unet"]
        self.assertLess(order.index((True, 0)), order.index((False, 1)))

    def test_cancel_where_all_are_sampled_first(self):
        events = self.check_cancelled("--budget", self.budget_of_one_at_a_time())
        self.assertEqual(max(event.get("finishing", 0) for event in events), 2)

    def test_a_second_interrupt_ends_at_once(self):
        process = self.start(*GENERATE[:5], "-W", "256", "-H", "256", "--steps", "2", "--seed", "7", "--threads", "1",
                             *BATCH, "--json", "--budget", self.budget_of_one_at_a_time("256"))
        self.wait_for(lambda event: event.get("stage") == "unet" and event["image"] == 2)
        process.send_signal(signal.SIGINT)
        self.wait_for(lambda event: "finishing" in event)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(LIMIT_S), -signal.SIGINT)
        self.assertEqual(process.stdout.read(), b"")
        self.assertFalse((self.folder / "x-2.png").exists())

    def test_a_person_is_told(self):
        process = self.start(*GENERATE[:9], "--steps", "400", "--seed", "7", "--threads", "1", *BATCH, "--budget",
                             self.budget_of_one_at_a_time())
        end = time.monotonic() + LIMIT_S
        while "image 2/4" not in self.log.read_text() and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out = process.stdout.read().decode()
        self.assertEqual(process.wait(LIMIT_S), 130)
        said = self.log.read_text()
        lines = said.splitlines()
        self.assertEqual(lines[0], "seeds 7 to 10")
        self.assertRegex(said, r"(?m)^stopping; \d finished picture(s are| is) decoded and written first")
        self.assertRegex(lines[-1], r"^darkroom generate: after [1-3] of 4 pictures were written: .*cancelled")
        self.assertRegex(out, r"\Ax\.png +seed 7\n")
        self.assertNotIn(" s, VAE", out)

    def test_the_seed_and_the_time_left_are_told(self):
        process = self.start(*GENERATE[:9], "--steps", "5", "--threads", "1", *BATCH, "--json")
        answer = json.loads(process.stdout.read())
        self.assertEqual(process.wait(LIMIT_S), 0)
        seeds = [image["seed"] for image in answer["images"]]
        progress = [event for event in self.events() if event["event"] == "progress" and "image" in event]
        self.assertEqual({event["seed"] for event in progress}, set(seeds))
        self.assertEqual(progress[0]["seed"], seeds[0])
        self.assertNotEqual(progress[0]["stage"], "unet")
        decodes = [event for event in progress if event["stage"] == "decode"]
        self.assertTrue(all("left_ms" in event for event in decodes))
        self.assertLess(decodes[-1]["left_ms"], decodes[0]["left_ms"])


if __name__ == "__main__":
    harness.main()
