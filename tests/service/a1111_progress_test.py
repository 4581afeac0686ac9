#!/usr/bin/env python3
"""The A1111 API from outside: a job while it runs, its end before its time, and what is left of it."""
import json
import socket
import statistics
import time
import unittest

import a1111
import server


class Progress(a1111.Case):
    options = ("-m", "tiny", *a1111.LONG_OPTIONS)

    def start_long(self, **fields):
        answers, thread = self.start(**{**a1111.LONG, **fields})
        self.wait_for(self.runs, "the job to run")
        return answers, thread

    def leave(self, **fields):
        """A client that closes its connection while its job runs."""
        body = json.dumps({**a1111.LONG, **fields}).encode()
        with self.made.socket() as made:
            made.sendall(self.head("txt2img", body) + body)
            self.wait_for(self.runs, "the job to run")

    def test_T55_idle_after_everything(self):
        self.assertTrue(self.is_idle())
        idle = self.progress()
        self.assertEqual((idle["progress"], idle["state"]["job_count"], idle["state"]["job"], idle["current_image"]), (0, 0, "", None))
        self.assertIsInstance(idle["progress"], int)
        self.picture()
        self.assertTrue(self.is_idle())
        self.refused("width", 422, width=0)
        self.assertTrue(self.is_idle())
        _, thread = self.start_long()
        self.interrupt()
        thread.join()
        self.assertTrue(self.is_idle())
        self.leave()
        self.wait_for(self.is_idle, "the job of a client that left to end")

    def test_T56_progress_of_a_job(self):
        _, thread = self.start_long(n_iter=2)
        shares = []
        for _ in range(20):
            now = self.progress()
            state = now["state"]
            shares.append(now["progress"])
            self.assertTrue(0 < now["progress"] <= 1, now)
            self.assertLessEqual(state["sampling_step"], state["sampling_steps"])
            self.assertEqual((state["sampling_steps"], state["job_count"]), (1000, 2))
            self.assertRegex(state["job_timestamp"], r"^\d{14}$")
            self.assertTrue(state["job"])
            self.assertGreaterEqual(now["eta_relative"], 0)
            for path in ("options", "memory", "sd-models"):
                self.get(path)
        self.assertEqual(shares, sorted(shares))
        self.assertTrue(thread.is_alive())
        self.interrupt()
        thread.join()

    def test_T57_interrupt(self):
        answers, thread = self.start_long(n_iter=2)
        self.interrupt()
        thread.join()
        self.assertEqual(answers[0].status, 200, answers[0])
        made = answers[0].json()
        self.assertLess(len(made["images"]), 2)
        self.assertEqual(json.loads(made["info"])["darkroom"]["state"], "cancelled")
        answers, thread = self.start_long()
        self.assertFalse(self.progress()["state"]["interrupted"])
        self.interrupt()
        thread.join()
        self.assertEqual(len(self.make()["images"]), 1)

    def test_T57_what_is_made_of_an_interrupted_batch_is_there(self):
        answers, thread = self.start(prompt="a lighthouse", steps=150, width=64, height=64, seed=5, n_iter=16)
        self.wait_for(lambda: self.progress()["state"]["job_no"] >= 1, "the second picture")
        self.interrupt()
        thread.join()
        made = answers[0].json()
        self.assertTrue(1 <= len(made["images"]) < 16, len(made["images"]))
        self.assertEqual(a1111.decode(made["images"][0]), self.picture(steps=150))
        self.assertEqual(len(json.loads(made["info"])["all_seeds"]), len(made["images"]))

    def test_T58_interrupt_while_idle(self):
        self.interrupt()
        self.post("skip")
        self.assertEqual(len(self.make()["images"]), 1)

    def test_T59_a_client_that_leaves(self):
        self.picture()
        self.leave()
        self.wait_for(self.is_idle, "the job to end")
        before = len(self.regions())
        for _ in range(20):
            self.leave()
            self.wait_for(self.is_idle, "the job to end")
        self.assertEqual(len(self.regions()), before)
        self.assertTrue(self.get("memory")["darkroom"]["regions_agree"] is not False)

    def test_T59_a_job_that_is_to_go_on(self):
        body = json.dumps({"prompt": "a lighthouse", "steps": 60, "width": 128, "height": 128, "seed": 5, "save_images": True,
                           "keep_on_disconnect": True}).encode()
        kept = len(self.made.get("/api/v1/images").json()["images"])
        with self.made.socket() as made:
            made.sendall(self.head("txt2img", body) + body)
            self.wait_for(lambda: not self.is_idle(), "the job to run")
        self.wait_for(lambda: len(self.made.get("/api/v1/images").json()["images"]) == kept + 1, "the picture")

    def test_T60_previews(self):
        _, thread = self.start_long()
        self.wait_for(lambda: self.progress()["current_image"], "a preview")
        self.assertTrue(a1111.decode(self.progress()["current_image"]).startswith(a1111.PNG))
        for query in ("?skip_current_image=true", "?skip_current_image=True", "?skip_current_image=1&genkey=x"):
            self.assertIsNone(self.progress(query)["current_image"], query)
        self.assertTrue(self.progress("?skip_current_image=false")["current_image"])
        self.set_options(live_previews_enable=False)
        self.assertIsNone(self.progress()["current_image"])
        self.interrupt()
        thread.join()
        self.assertIsNone(self.progress()["current_image"])

    def test_T61_unload_gives_memory_back(self):
        plain = self.picture()
        before = self.get("memory")
        receipt = self.post("unload-checkpoint")["receipt"]
        after = self.get("memory")
        if not server.IS_SANITIZED:
            self.assertLess(after["ram"]["used"], before["ram"]["used"])
        self.assertEqual(after["darkroom"]["ledger"]["private_bytes"], 0)
        self.assertEqual(receipt["released_bytes"], before["darkroom"]["ledger"]["private_bytes"])
        self.assertEqual(self.picture(), plain)
        self.post("unload-checkpoint")
        self.post("reload-checkpoint")
        self.assertGreater(self.get("memory")["darkroom"]["ledger"]["private_bytes"], 0)
        self.assertEqual(self.picture(), plain)

    def test_T62_two_at_once(self):
        expected = {seed: self.picture(seed=seed) for seed in (11, 12)}
        fields = {"prompt": "a lighthouse", "steps": 2, "width": 64, "height": 64}
        started = [(seed, *self.start(seed=seed, **fields)) for seed in (11, 12) for _ in range(3)]
        for seed, answers, thread in started:
            thread.join()
            self.assertEqual(answers[0].status, 200)
            self.assertEqual(a1111.decode(answers[0].json()["images"][0]), expected[seed])

    def test_T63_options_during_a_job(self):
        fields = {"prompt": "a lighthouse", "steps": 100, "width": 128, "height": 128, "seed": 5}
        plain = self.make(**fields)
        self.addCleanup(self.post, "options", {"sd_model_checkpoint": "tiny", "sd_vae": "Automatic"})
        answers, thread = self.start(**fields)
        self.wait_for(self.runs, "the job to run")
        self.post("options", {"sd_model_checkpoint": "other", "sd_vae": "sharp"})
        thread.join()
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(answers[0].json()["images"], plain["images"])
        self.assertEqual(self.get("options")["sd_model_checkpoint"], "other.safetensors")
        self.assertEqual(self.info()["sd_model_name"], "other")

    def test_T77_progress_on_a_kept_connection(self):
        connection = self.made.connection()
        times = []
        for _ in range(200):
            begin = time.perf_counter()
            self.assertEqual(self.made.get("/sdapi/v1/progress", connection=connection).status, 200)
            times.append((time.perf_counter() - begin) * 1e3)
        connection.close()
        print(f"idle GET progress: median {statistics.median(times):.2f} ms")


class Bounds(a1111.Case):
    options = ("-m", "tiny", "--queue", "1", *a1111.LONG_OPTIONS)

    def test_T62_a_full_queue_is_said(self):
        first = self.start(**a1111.LONG)
        self.wait_for(self.runs, "the job to run")
        second = self.start(**a1111.LONG)
        self.wait_for(lambda: self.progress()["queue_size"] == 1, "the second to wait")
        answer = self.made.post("/sdapi/v1/txt2img", {"steps": 1, "width": 64, "height": 64})
        self.assertEqual(answer.status, 429, answer)
        self.assertGreater(int(answer.headers["Retry-After"]), 0)
        self.assertIn("detail", answer.json())
        for answers, thread in (first, second):
            self.wait_for(self.runs, "the job to run")
            self.interrupt()
            thread.join()
            self.assertEqual(answers[0].status, 200)

    @unittest.skipIf(server.IS_SANITIZED, "a sanitizer holds memory of its own")
    def test_T76_memory_does_not_creep(self):
        def one(i):
            if i % 2:
                self.refused("", (404, 422), sampler_name="x" if i % 4 == 1 else None, width=64 if i % 4 == 1 else 10**6)
            else:
                self.make(batch_size=2)
        for i in range(6):
            one(i)
        before = self.get("memory")["ram"]["used"]
        for i in range(20):
            one(i)
        self.assertLess(self.get("memory")["ram"]["used"] - before, 16 << 20)


class Users(server.Case):
    def test_R34_another_users_job_is_not_shown(self):
        users = self.folder / "users.txt"
        users.write_text("ann:first-password\nbob:second-password\n")
        users.chmod(0o600)
        made = self.server("-m", "tiny", "--auth-file", users, *a1111.LONG_OPTIONS)
        ann, bob = server.basic("ann", "first-password"), server.basic("bob", "second-password")

        def progress(who):
            return made.get("/sdapi/v1/progress", Authorization=who).json()
        body = json.dumps(a1111.LONG).encode()
        with socket.create_connection((made.host, made.port)) as client:
            client.sendall(b"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: %s\r\n"
                           b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (made.port, ann.encode(), len(body))
                           + body)
            self.wait_for(lambda: progress(ann)["current_image"], "a preview")
            other = progress(bob)
            self.assertGreater(other["progress"], 0)
            self.assertIsNone(other["current_image"])
            self.assertIsNone(other["current_task"])
            self.assertEqual(made.post("/sdapi/v1/interrupt", Authorization=bob).status, 200)
            time.sleep(0.2)
            self.assertFalse(progress(ann)["state"]["interrupted"])
        self.assertEqual(made.get("/sdapi/v1/progress").status, 401)


if __name__ == "__main__":
    server.main()
