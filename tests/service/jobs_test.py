#!/usr/bin/env python3
"""Jobs of the own API: queue, states, cancel, events, previews, joins, what survives a restart."""
import contextlib
import http.client
import json
import sqlite3
import struct
import subprocess

import server

SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 2, "seed": 7}
SLOW = {"prompt": "a red circle", "width": 256, "height": 256, "steps": 200, "seed": 7}


def size_of(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n", png[:16]
    return struct.unpack(">II", png[16:24])


class Jobs(server.Case):
    def server(self, *options, **more):
        return super().server("-m", "tiny", *options, **more)

    def submit(self, service, body, status=202, **headers):
        answer = service.post("/api/v1/jobs", body, **headers)
        self.assertEqual(answer.status, status, answer)
        return answer.json().get("id")

    def job(self, service, name):
        answer = service.get(f"/api/v1/jobs/{name}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def wait_state(self, service, name, *states):
        self.wait_for(lambda: self.job(service, name)["state"] in states, f"a job to be {states}")
        return self.job(service, name)

    def done(self, service, body):
        """The job as it ended, and its pictures' bytes."""
        job = self.wait_state(service, self.submit(service, body), "done", "failed", "cancelled")
        self.assertEqual(job["state"], "done", job)
        return job, [service.get(f"/api/v1/images/{one}").body for one in job["images"]]

    def test_a_job_makes_its_pictures(self):
        service = self.server()
        job, pictures = self.done(service, {**SMALL, "batch_size": 2, "n_iter": 2})
        self.assertEqual(len(pictures), 4)
        self.assertEqual(len(set(pictures)), 4)
        self.assertGreater(job["ended"], job["started"] - 1e-3)
        self.assertEqual(job["planned_private_bytes"], job["peak_private_bytes"])
        self.assertIn("resident", job["receipt"]["reason"])
        self.assertEqual(job["request"]["seed"], 7)

    def test_a_size_that_is_no_multiple_of_8_is_made_as_asked(self):
        service = self.server()
        job, (picture,) = self.done(service, {**SMALL, "width": 70, "height": 65})
        self.assertEqual(size_of(picture), (70, 65))
        text = service.get(f"/api/v1/images/{job['images'][0]}/parameters").body.decode()
        self.assertIn("Size: 70x65", text)

    def test_a_job_is_the_same_picture_as_on_the_command_line(self):
        service = self.server()
        _, (picture,) = self.done(service, SMALL)
        path = self.folder / "out.png"
        subprocess.run([server.DARKROOM, "generate", "-m", service.models / "tiny.safetensors", "-p", SMALL["prompt"], "-W", "64",
                        "-H", "64", "--steps", "2", "--seed", "7", "--threads", "1", "-o", path], env=service.environment, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=server.LIMIT_S)
        self.assertEqual(picture, path.read_bytes())

    def test_waiting_jobs_have_places_and_can_be_cancelled(self):
        service = self.server()
        slow = self.submit(service, SLOW)
        self.wait_state(service, slow, "running")
        waiting = [self.submit(service, SMALL) for _ in range(3)]
        self.assertEqual([self.job(service, one)["position"] for one in waiting], [1, 2, 3])
        listed = {one["id"]: one.get("position") for one in service.get("/api/v1/jobs").json()["jobs"]}
        self.assertEqual([listed[one] for one in waiting], [1, 2, 3])
        self.assertEqual(service.ask("DELETE", f"/api/v1/jobs/{waiting[1]}").json()["result"], "cancelled")
        self.assertEqual(self.job(service, waiting[1])["state"], "cancelled")
        self.assertEqual(self.job(service, waiting[2])["position"], 2)
        service.ask("DELETE", f"/api/v1/jobs/{slow}")
        self.wait_state(service, slow, "cancelled")
        for one in (waiting[0], waiting[2]):
            self.assertEqual(len(self.wait_state(service, one, "done")["images"]), 1)
        listed = service.get("/api/v1/jobs").json()["jobs"]
        self.assertEqual([one["id"] for one in listed], [*reversed(waiting), slow])
        self.assertEqual(service.ask("DELETE", f"/api/v1/jobs/{slow}").json()["result"], "forgotten")
        self.assertEqual(service.get(f"/api/v1/jobs/{slow}").status, 404)

    def test_a_full_queue_says_when_to_come_again(self):
        service = self.server("--queue", 2)
        slow = self.submit(service, SLOW)
        self.wait_state(service, slow, "running")
        for _ in range(2):
            self.submit(service, SMALL)
        answer = service.post("/api/v1/jobs", SMALL)
        self.assertEqual(answer.status, 429, answer)
        self.assertIn("2", answer.json()["error"]["message"])
        self.assertTrue(answer.headers["Retry-After"])

    def test_what_is_wrong_is_named(self):
        service = self.server()
        for change, field in (({"width": 10**6}, "width"), ({"steps": -5}, "steps"), ({"batch_size": 10**6}, "batch_size"),
                              ({"cfg_scale": -1}, "cfg_scale"), ({"kind": "video"}, "kind"), ({"kind": "img2img"}, "init_images")):
            answer = service.post("/api/v1/jobs", {**SMALL, **change})
            self.assertIn(answer.status, (404, 422), (change, answer))
            self.assertEqual(answer.json()["error"].get("field"), field, (change, answer))
        self.assertEqual(service.get("/api/v1/jobs").json()["jobs"], [])
        for name in ("x", "0" * 32, "..%2f..%2fetc"):
            self.assertEqual(service.get(f"/api/v1/jobs/{name}").status, 404, name)

    def test_progress_rises_and_a_preview_is_a_small_picture(self):
        service = self.server()
        slow = self.submit(service, {**SLOW, "width": 128, "height": 128, "steps": 80})
        shares, steps, preview = [], [], None
        while (job := self.job(service, slow))["state"] != "done":
            self.assertIn(job["state"], ("queued", "running"))
            if job["state"] == "running" and "step" in job:
                shares.append(job["progress"])
                steps.append(job["step"])
                answer = service.get(f"/api/v1/jobs/{slow}/preview")
                preview = answer if answer.status == 200 else preview
        self.assertEqual(shares, sorted(shares))
        self.assertEqual(steps, sorted(steps))
        self.assertGreater(len(set(steps)), 2)
        self.assertEqual(job["images"].__len__(), 1)
        self.assertEqual(preview.headers["Content-Type"], "image/png")
        self.assertEqual(size_of(preview.body), (16, 16))
        self.assertEqual(service.get(f"/api/v1/jobs/{slow}/preview").status, 404)

    def events(self, service, path, count, **headers):
        """So many events of a stream, as (id, type, data)."""
        connection = service.connection()
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.headers["Content-Type"], "text/event-stream")
        self.assertEqual(reply.headers["X-Accel-Buffering"], "no")
        found, event = [], {}
        while len(found) < count:
            line = reply.readline().decode().rstrip("\n")
            if line.startswith(":"):
                continue
            if line:
                name, value = line.split(": ", 1)
                event[name] = value
            elif event:
                found.append((int(event.get("id", 0)), event["event"], json.loads(event["data"])))
                event = {}
            elif not line:
                break
        connection.close()
        return found

    def all_events(self, service, path, **headers):
        return self.events(service, path, 10**9, **headers)

    def test_a_jobs_stream_tells_its_life_and_ends(self):
        service = self.server()
        name = self.submit(service, {**SMALL, "steps": 8})
        found = self.all_events(service, f"/api/v1/jobs/{name}/events")
        states = [data["state"] for _, kind, data in found if kind == "state"]
        self.assertEqual(states[-1], "done")
        self.assertLessEqual(set(states), {"queued", "running", "done"})
        # The whole log again, from its beginning.
        again = self.all_events(service, f"/api/v1/jobs/{name}/events", Last_Event_ID="0")
        self.assertEqual([data["state"] for _, kind, data in again if kind == "state"], ["queued", "running", "done"])
        images = [data for _, kind, data in again if kind == "image"]
        self.assertEqual([one["id"] for one in images], self.job(service, name)["images"])
        self.assertTrue(any(kind == "progress" for _, kind, _ in again))
        numbers = [number for number, _, _ in again]
        self.assertEqual(numbers, sorted(numbers))
        # From the middle: only what came after it.
        middle = numbers[len(numbers) // 2]
        rest = self.all_events(service, f"/api/v1/jobs/{name}/events", Last_Event_ID=str(middle))
        self.assertEqual(rest, [one for one in again if one[0] > middle])

    def test_the_stream_of_all_has_memory_and_ends_with_the_service(self):
        service = self.server()
        self.wait_state(service, self.submit(service, SMALL), "done")
        stream = service.connection()
        stream.request("GET", "/api/v1/events", headers={"Last-Event-ID": "0"})
        reply = stream.getresponse()
        self.assertEqual(service.stop(), 0)
        try:
            text = reply.read()
        except http.client.IncompleteRead as cut:
            text = cut.partial
        stream.close()
        text = text.decode()
        memory = [json.loads(line[6:]) for line in text.splitlines() if line.startswith('data: {"event":"opened"')]
        self.assertIn("unet", {one["component"] for one in memory})
        new = self.server(home=service.home).connection()
        new.request("GET", "/api/v1/events")
        self.assertEqual(new.getresponse().readline(), b": events\n")
        new.close()

    def test_a_clock_that_jumps_changes_no_order_and_loses_no_job(self):
        """All that is on the disk is a year late or early, as after a jump of the clock."""
        service = self.server()
        names = [self.submit(service, {**SMALL, "seed": seed, "save_images": True}) for seed in (1, 2)]
        for name in names:
            self.wait_state(service, name, "done")
        for shift in (365 * 86400, -2 * 365 * 86400):
            slow = self.submit(service, SLOW)
            waits = self.submit(service, {**SMALL, "seed": 3})
            self.wait_state(service, slow, "running")
            service.kill()
            with contextlib.closing(sqlite3.connect(service.data / "darkroom.db")) as database, database:
                for table, columns in (("job", ("created_s", "started_s", "ended_s")), ("picture", ("created_s",))):
                    for column in columns:
                        database.execute(f"UPDATE {table} SET {column} = {column} + ? WHERE {column} > 0", (shift,))
            service = self.server(home=service.home)
            names += [slow, waits, self.submit(service, {**SMALL, "seed": 4})]
            self.assertEqual([one["id"] for one in service.get("/api/v1/jobs").json()["jobs"]], names[::-1])
            self.wait_state(service, slow, "running")
            self.assertEqual(service.ask("DELETE", f"/api/v1/jobs/{slow}").status, 200)
            self.assertEqual(self.wait_state(service, waits, "done", "failed")["state"], "done")
            self.wait_state(service, names[-1], "done")
            self.assertEqual(service.get("/api/v1/images").json()["images"][-1]["job"], names[0])

    def test_a_key_joins_the_job_that_is_there(self):
        service = self.server()
        first = self.submit(service, {**SMALL, "seed": -1}, Idempotency_Key="order 1")
        again = self.submit(service, {**SMALL, "seed": -1}, Idempotency_Key="order 1")
        other = self.submit(service, {**SMALL, "seed": -1}, Idempotency_Key="order 2")
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        answer = service.post("/api/v1/jobs", SMALL, Idempotency_Key="order 1")
        self.assertEqual(answer.status, 422, answer)
        self.assertIn("Idempotency-Key", answer.json()["error"]["message"])
        self.wait_state(service, other, "done")
        self.assertEqual(self.submit(service, {**SMALL, "seed": -1}, Idempotency_Key="order 1"), first)

    def test_what_was_queued_runs_after_a_restart_with_the_same_picture(self):
        service = self.server("--grace", "0")
        expected = self.done(service, SMALL)[1]
        slow = self.submit(service, SLOW)
        self.wait_state(service, slow, "running")
        waiting = self.submit(service, SMALL)
        self.assertEqual(service.stop(), 0)
        again = self.server(home=service.home)
        self.assertIn(self.job(again, slow)["state"], ("queued", "running"))
        again.ask("DELETE", f"/api/v1/jobs/{slow}")
        job = self.wait_state(again, waiting, "done")
        self.assertEqual([again.get(f"/api/v1/images/{one}").body for one in job["images"]], expected)

    def test_a_kill_loses_no_job_and_doubles_no_picture(self):
        service = self.server()
        name = self.submit(service, {**SLOW, "width": 128, "height": 128, "steps": 30, "batch_size": 3})
        self.wait_for(lambda: len(self.job(service, name)["images"]) >= 1, "the first picture")
        service.kill()
        again = self.server(home=service.home)
        job = self.wait_state(again, name, "done")
        self.assertEqual(len(job["images"]), 3)
        listed = again.get("/api/v1/images").json()["images"]
        self.assertEqual(sorted(one["id"] for one in listed), sorted(job["images"]))

    def test_a_client_that_leaves_cancels_its_job(self):
        service = self.server()
        connection = service.connection()
        connection.request("POST", "/v1/images/generations", body=json.dumps({"prompt": "a", "size": "1024x1024"}),
                           headers={"Content-Type": "application/json"})
        self.wait_for(lambda: any(one["state"] == "running" for one in service.get("/api/v1/jobs").json()["jobs"]), "the job to run")
        connection.sock.shutdown(2)
        connection.close()
        self.wait_for(lambda: service.get("/api/v1/jobs").json()["jobs"][0]["state"] == "cancelled", "the job to be cancelled")
        self.assertEqual(len(self.done(service, SMALL)[1]), 1)

    def test_users_take_turns(self):
        users = self.folder / "users"
        users.write_text("ann:one\nbob:two\n")
        users.chmod(0o600)
        service = self.server("--auth-file", users)
        ann, bob = ({"Authorization": server.basic(*who)} for who in (("ann", "one"), ("bob", "two")))
        slow = self.submit(service, SLOW, **ann)
        self.wait_for(lambda: service.get(f"/api/v1/jobs/{slow}", **ann).json()["state"] == "running", "the first job")
        of_ann = [self.submit(service, SMALL, **ann) for _ in range(3)]
        of_bob = self.submit(service, SMALL, **bob)
        self.assertEqual(service.get(f"/api/v1/jobs/{of_bob}", **bob).json()["position"], 1)
        self.assertEqual(service.get(f"/api/v1/jobs/{of_ann[0]}", **ann).json()["position"], 2)
        # Neither sees, cancels or hears of the other's.
        self.assertEqual(service.get(f"/api/v1/jobs/{of_ann[0]}", **bob).status, 404)
        self.assertEqual(service.ask("DELETE", f"/api/v1/jobs/{of_ann[0]}", **bob).status, 404)
        self.assertEqual([one["id"] for one in service.get("/api/v1/jobs", **bob).json()["jobs"]], [of_bob])
        service.ask("DELETE", f"/api/v1/jobs/{slow}", **ann)
        self.wait_for(lambda: service.get(f"/api/v1/jobs/{of_ann[2]}", **ann).json()["state"] == "done", "all jobs")
        heard = self.all_events(service, f"/api/v1/jobs/{of_bob}/events", **bob)
        self.assertEqual({data.get("job", data.get("id")) for _, _, data in heard}, {of_bob})
        started = {one: service.get(f"/api/v1/jobs/{one}", **who).json()["started"]
                   for one, who in ((of_bob, bob), (of_ann[0], ann))}
        self.assertLess(started[of_bob], started[of_ann[0]])

    def test_a_job_of_another_model_changes_no_option(self):
        service = self.server()
        mine = self.done(service, SMALL)[1]
        other = self.done(service, {**SMALL, "override_settings": {"sd_model_checkpoint": "other", "sd_vae": "sharp"}})[1]
        self.assertNotEqual(mine, other)
        settings = service.get("/api/v1/settings").json()
        self.assertEqual((settings["model"], settings["vae"]), ("tiny.safetensors", "Automatic"))
        self.assertEqual(self.done(service, SMALL)[1], mine)


if __name__ == "__main__":
    server.main()
