#!/usr/bin/env python3
"""Several pictures in one command: none that is finished is lost, whatever ends the command."""
import json
import re
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
        # A line comes every few seconds, and where the stage changes: in the sampling of the second or third picture there
        # has to be one, and the rest must not be over before the signal comes, on a busy machine too.
        process = self.start(*GENERATE[:5], "-W", "128", "-H", "128", "--steps", "1000", "--seed", "7", "--threads", "1", *BATCH,
                             "--budget", self.budget_of_one_at_a_time("128"))
        end = time.monotonic() + LIMIT_S
        while not re.search(r"unet .*image [23]/4", self.log.read_text()) and time.monotonic() < end:
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

    def test_an_interrupt_while_the_last_picture_is_decoded(self):
        """It is sampled: it is written, which is said, and the command has done what it was asked for."""
        process = self.start(*GENERATE[:5], "-W", "512", "-H", "512", "--steps", "1", "--cfg", "1", "--seed", "7",
                             "--threads", "1", "-o", "x.png")
        end = time.monotonic() + LIMIT_S
        while "decode" not in self.log.read_text() and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        out = process.stdout.read().decode()
        self.assertEqual(process.wait(LIMIT_S), 0, self.log.read_text())
        self.assertRegex(out, r"\Ax\.png +seed 7\n")
        self.assertIn("stopping; 1 finished picture is decoded and written first", self.log.read_text())

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


class Names(Case):
    JOB = GENERATE[:9] + ("--steps", "1", "--threads", "1")

    def paths(self, answer):
        return [image["path"] for image in answer["images"]]

    def refused(self, *arguments, **more):
        answer, code = self.ask(*self.JOB, *arguments, **more)
        self.assertEqual((code, answer["error"]["code"]), (2, "bad_input"), answer)
        return answer["error"]["message"]

    def test_a_directory_counts_on(self):
        answer, _ = self.ask(*self.JOB, "--seed", "9", "--batch", "2", "-o", "out/deep/")
        self.assertEqual(self.paths(answer), ["out/deep/00001-9.png", "out/deep/00002-10.png"])
        answer, _ = self.ask(*self.JOB, "--seed", "9", "-o", "out/deep/")
        self.assertEqual(self.paths(answer), ["out/deep/00003-9.png"])
        self.assertEqual((self.folder / "out/deep/00001-9.png").read_bytes(),
                         (self.folder / "out/deep/00003-9.png").read_bytes())
        self.assertIn("ends in a slash", self.refused("-o", "out"))

    def test_patterns(self):
        answer, _ = self.ask(*self.JOB, "--seed", "9", "--batch", "2", "-o", "{model}/{index}_{seed}.png")
        self.assertEqual(self.paths(answer), ["tiny/1_09.png", "tiny/2_10.png"])
        answer, _ = self.ask(*self.JOB, "--seed", "9", "-o", "{date}.jpg")
        self.assertRegex(self.paths(answer)[0], r"^20\d\d-\d\d-\d\d\.jpg$")
        self.assertIn("has {steps}; known are", self.refused("-o", "{steps}.png"))
        self.assertIn("too long for the file system", self.refused("-o", "x" * 250 + "{seed}.png"))
        shell = self.shell("-m", "../tiny.safetensors")
        answer = self.succeed(shell, "generate -p x -W 64 -H 64 --steps 1 --seed 1 -o '{model}.png'")
        self.assertEqual(self.paths(answer), ["tiny.png"])

    def test_what_exists(self):
        """By its content: pictures and latents are replaced and told, other files only where that was said."""
        self.ask(*self.JOB, "--seed", "1", "-o", "a.png")
        self.ask(*self.JOB, "--seed", "1", "-o", "l.safetensors")
        (self.folder / "l.safetensors").rename(self.folder / "l.png")
        (self.folder / "j.png").write_bytes(b"\xff\xd8\xff\xe0 and so on")
        (self.folder / "t.png").write_text("a text")
        (self.folder / "m.png").write_bytes((self.folder / "../tiny.safetensors").read_bytes())
        for name in ("a.png", "l.png", "j.png"):
            self.assertIn("--no-clobber", self.refused("-o", name, "--no-clobber"))
            answer, _ = self.ask(*self.JOB, "--seed", "2", "-o", name)
            self.assertEqual(answer["images"], [{"path": name, "seed": 2, "replaced": True}])
        for name in ("t.png", "m.png"):
            before = (self.folder / name).read_bytes()
            self.assertIn("--overwrite", self.refused("-o", name))
            self.assertIn("--no-clobber", self.refused("-o", name, "--no-clobber"))
            self.assertEqual((self.folder / name).read_bytes(), before)
            answer, _ = self.ask(*self.JOB, "--seed", "2", "-o", name, "--overwrite")
            self.assertTrue(answer["images"][0]["replaced"])
        done = self.run_program(*self.JOB, "--seed", "2", "--batch", "2", "-o", "a.png")
        self.assertRegex(done.stdout, r"(?m)^a\.png +seed 2  \(replaced\)\na-2\.png +seed 3$")
        # each of a batch, and of every job, before the first step
        (self.folder / "x-4.png").write_text("a text")
        self.assertIn("x-4.png exists", self.refused("-o", "x.png", "--batch", "2", "-p", "-", stdin=b"one\ntwo\n"))
        self.assertFalse((self.folder / "x.png").exists())
        # decode and encode as well
        self.ask(*self.JOB, "--seed", "1", "-o", "l.safetensors")
        (self.folder / "t.png").write_text("a text")
        model = ("-m", "../tiny.safetensors", "--threads", "1")
        answer, code = self.ask("decode", *model, "l.safetensors", "-o", "t.png")
        self.assertEqual((code, answer["error"]["code"]), (2, "bad_input"))
        answer, _ = self.ask("decode", *model, "l.safetensors", "-o", "t.png", "--overwrite")
        self.assertEqual(answer["images"], [{"path": "t.png", "replaced": True}])
        answer, _ = self.ask("encode", *model, "a.png", "-o", "l.safetensors")
        self.assertTrue(answer["replaced"])
        answer, code = self.ask("encode", *model, "a.png", "-o", "l.safetensors", "--no-clobber")
        self.assertEqual(code, 2)

    def test_standard_output(self):
        self.ask(*self.JOB, "--seed", "3", "-o", "a.png")
        done = subprocess.run([DARKROOM, *self.JOB, "--seed", "3", "-o", "-", "--json"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd=self.folder, timeout=LIMIT_S, check=True,
                              env={**ENVIRONMENT, "TMPDIR": str(self.folder)})
        self.assertEqual(done.stdout, (self.folder / "a.png").read_bytes())
        answer = json.loads(done.stderr.splitlines()[-1])
        self.assertEqual(answer["images"], [{"path": "-", "seed": 3}])
        self.assertEqual(self.files(), {"a.png"})  # nothing stays of it
        for more in (("--batch", "2"), ("-p", "@two.txt")):
            (self.folder / "two.txt").write_text("one\ntwo\n")
            done = self.run_program(*self.JOB, "-o", "-", *more)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("one picture, not 2", done.stderr)

    def test_decode_to_standard_output(self):
        model = ["-m", "../tiny.safetensors", "--threads", "1"]
        for name, batch in (("one.sft", "1"), ("two.sft", "2")):
            self.ask(*self.JOB, "--seed", "3", "-o", name, "--batch", batch)
        self.ask("decode", *model, "one.sft", "-o", "a.png")
        before = self.files()
        done = subprocess.run([DARKROOM, "decode", *model, "one.sft", "-o", "-", "--json"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd=self.folder, timeout=LIMIT_S, check=True,
                              env={**ENVIRONMENT, "TMPDIR": str(self.folder)})
        self.assertEqual(done.stdout, (self.folder / "a.png").read_bytes())
        self.assertEqual(json.loads(done.stderr.splitlines()[-1])["images"], [{"path": "-"}])
        done = self.run_program("decode", *model, "two.sft", "-o", "-")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("one picture, and two.sft has 2", done.stderr)
        shell = self.shell()
        self.fail_with(shell, "decode one.sft -o -", "bad_input", "name a file")
        self.assertEqual(self.files() - {"shell.log"}, before - {"shell.log"})  # nothing stays of it

    def test_prompts(self):
        """A job for each line; a seed that is given is that of each."""
        (self.folder / "list.txt").write_bytes(b"a red fox\r\n\n  \n  a \"grey\" owl  \nlast")
        prompts = ["a red fox", 'a "grey" owl', "last"]
        answer, _ = self.ask(*self.JOB, "-p", "@list.txt", "--seed", "5", "--batch", "2", "-o", "x.png")
        self.assertEqual([(image["path"], image["seed"], image["prompt"]) for image in answer["images"]],
                         [(f"x{f'-{2 * job + i + 1}' if job + i else ''}.png", 5 + i, prompts[job])
                          for job in range(3) for i in range(2)])
        self.assertEqual([job["prompt"] for job in answer["jobs"]], prompts)
        self.assertTrue(all(job["planned_private_bytes"] == job["peak_private_bytes"] for job in answer["jobs"]))
        self.ask(*self.JOB, "-p", 'a "grey" owl', "--seed", "5", "-o", "y.png")
        self.assertEqual((self.folder / "x-3.png").read_bytes(), (self.folder / "y.png").read_bytes())
        answer, _ = self.ask(*self.JOB, "-p", "-", stdin=b"one\ntwo\n")
        seeds = [image["seed"] for image in answer["images"]]
        self.assertEqual(self.paths(answer), [f"darkroom-{seed}.png" for seed in seeds])
        self.assertNotEqual(seeds[0], seeds[1])
        done = self.run_program(*self.JOB, "-p", "@list.txt", "--seed", "5", "-o", "z.sft", "--batch", "2")
        self.assertRegex(done.stdout, r"\Az\.sft +seeds 5 to 6\nz-2\.sft +seeds 5 to 6\nz-3\.sft +seeds 5 to 6\n")
        self.assertIn("no prompt", self.refused("-p", "-", "-o", "w.png", stdin=b"\n"))

    def test_a_list_that_ends_early(self):
        """The second job cannot be written: the first one's picture is in the answer."""
        hidden = self.folder / "x-2.png"
        process = subprocess.Popen([DARKROOM, *self.JOB, "-p", "-", "--seed", "5", "-o", "x.png", "--json"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   cwd=self.folder, env=ENVIRONMENT)
        process.stdin.write(b"one\ntwo\nthree\n")
        process.stdin.close()
        for line in process.stderr:
            if b'"written"' in line:
                hidden.mkdir()
                break
        process.stderr.read()
        answer = json.loads(process.stdout.read())
        self.assertEqual((process.wait(LIMIT_S), answer["error"]["code"]), (dict(bad_input=2, io=9)[answer["error"]["code"]],
                                                                            answer["error"]["code"]))
        self.check_sentence(answer["error"]["message"], ["prompt 2 of 3", "x-2.png"])
        self.assertEqual(answer["images"], [{"path": "x.png", "seed": 5, "prompt": "one"}])
        process.stdout.close()
        process.stderr.close()

    def test_a_disk_that_fills(self):
        """On the third picture: the first two stay, whole, and the answer names them."""
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest("no file system can be mounted here")
        try:
            self.ask(*self.JOB, "--seed", "7", "--batch", "3", "-o", "w.png")
            size = (self.folder / "w.png").stat().st_size
            (disk / "filler").write_bytes(b"x" * (65536 - 4096 - 2 * (-(-size // 4096)) * 4096))
            answer, code = self.ask(*self.JOB, "--seed", "7", "--batch", "3", "-o", "disk/w.png")
            self.assertEqual((code, answer["error"]["code"]), (9, "io"))
            self.check_sentence(answer["error"]["message"], ["2 of 3 pictures were written", "No space left"])
            self.assertEqual(self.paths(answer), ["disk/w.png", "disk/w-2.png"])
            for name in ("w.png", "w-2.png"):
                self.assertEqual((disk / name).read_bytes(), (self.folder / name).read_bytes())
            self.assertEqual({path.name for path in disk.iterdir()}, {"w.png", "w-2.png", "filler"})
        finally:
            subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    harness.main()
