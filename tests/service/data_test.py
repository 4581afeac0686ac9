#!/usr/bin/env python3
"""Faults of the data directory: a full disk, a locked, damaged or newer database, a second service. Each is reported in words,
and nothing that was accepted is lost."""
import pathlib
import sqlite3
import subprocess
import time

import server

# A disk of 8 MiB at $1, for this process alone; then the rest of the arguments.
SMALL_DISK = 'mount -t tmpfs -o size=8m none "$1" && shift && exec "$@"'


class Data(server.Case):
    def submit(self, instance, prompt, **more):
        return instance.post("/api/v1/jobs", {"prompt": prompt, "width": 64, "height": 64, "steps": 1, "cfg_scale": 1, "seed": 1, **more})

    def state(self, instance, number):
        return instance.get(f"/api/v1/jobs/{number}").json()["state"]

    def wait_until_done(self, instance, number):
        self.wait_for(lambda: self.state(instance, number) not in ("queued", "running"), "the job to end")
        self.assertEqual(self.state(instance, number), "done", instance.get(f"/api/v1/jobs/{number}"))

    # ---- a database that another process keeps locked ----

    def lock(self, instance):
        other = sqlite3.connect(instance.data / "darkroom.db", isolation_level=None, timeout=server.LIMIT_S)
        self.addCleanup(other.close)
        other.execute("BEGIN EXCLUSIVE")
        return other

    def test_a_locked_database_is_an_error_until_it_is_free(self):
        instance = self.server("-m", "tiny")
        before = self.submit(instance, "before").json()["id"]
        self.wait_until_done(instance, before)
        other = self.lock(instance)
        answer = self.submit(instance, "meanwhile")
        self.assertEqual(answer.status, 500, answer)
        self.assertIn("another process keeps it locked", answer.json()["error"]["message"])
        self.assertEqual(self.state(instance, before), "done")
        self.assertEqual(instance.get("/health").status, 200)
        other.execute("ROLLBACK")
        self.wait_until_done(instance, self.submit(instance, "after").json()["id"])
        self.assertEqual(len(instance.get("/api/v1/jobs").json()["jobs"]), 2)

    def test_jobs_wait_while_the_database_is_locked(self):
        """One that was to begin begins later, and one that was to end has its end later."""
        instance = self.server("-m", "tiny")
        numbers = [self.submit(instance, f"job {count}", steps=30).json()["id"] for count in range(3)]
        self.wait_for(lambda: self.state(instance, numbers[0]) != "queued")
        other = self.lock(instance)
        time.sleep(6)  # longer than SQLite waits
        self.assertEqual(instance.get("/api/v1/jobs").status, 200)
        other.execute("ROLLBACK")
        for number in numbers[1:]:
            self.wait_until_done(instance, number)
        self.wait_for(lambda: self.state(instance, numbers[0]) not in ("queued", "running"), "the first job to end")
        first = instance.get(f"/api/v1/jobs/{numbers[0]}").json()
        if first["state"] == "failed":  # its picture could not be entered
            self.assertIn("another process keeps it locked", first["error"]["message"])
        else:
            self.assertEqual(len(first["images"]), 1)

    # ---- a full disk ----

    def small_disk(self):
        instance = server.Server("-m", "tiny", wrap=["unshare", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK, "sh"])
        instance.data.mkdir()
        instance.wrap.append(str(instance.data))
        try:
            tried = subprocess.run([*instance.wrap, "true"], capture_output=True, text=True, timeout=server.LIMIT_S, check=False)
        except FileNotFoundError:
            self.skipTest("there is no unshare")
        if tried.returncode != 0:
            self.skipTest(f"no disk can be mounted here: {tried.stderr.strip()}")
        instance.start()
        self.addCleanup(instance.kill)
        return instance, pathlib.Path(f"/proc/{instance.process.pid}/root") / str(instance.data).lstrip("/")

    def test_a_full_disk_is_an_error_and_loses_nothing(self):
        instance, inside = self.small_disk()
        kept = [self.submit(instance, f"kept {count}").json()["id"] for count in range(3)]
        for number in kept:
            self.wait_until_done(instance, number)
        pictures = {image["url"]: instance.get(image["url"]).body for image in instance.get("/api/v1/images").json()["images"]}
        running = self.submit(instance, "runs while full", steps=150).json()["id"]
        self.wait_for(lambda: self.state(instance, running) == "running")
        with open(inside / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                pass
        accepted = [running]
        for count in range(50):  # the log of the database still has some room
            answer = self.submit(instance, f"while full {count}")
            if answer.status != 202:
                break
            accepted.append(answer.json()["id"])
        self.assertEqual(answer.status, 500, answer)
        self.assertIn("the disk is full", answer.json()["error"]["message"])
        for url, body in pictures.items():
            self.assertEqual(instance.get(url).body, body)
        # The running job ends, and cannot write its picture, nor perhaps that it has failed.
        self.wait_for(lambda: not instance.get(f"/api/v1/jobs/{running}").json().get("stage"), "the job to be over")
        (inside / "ballast").unlink()
        last = self.submit(instance, "after").json()["id"]
        self.wait_until_done(instance, last)
        for number in accepted:
            self.wait_for(lambda number=number: self.state(instance, number) in ("done", "failed"), "accepted jobs to end")
            job = instance.get(f"/api/v1/jobs/{number}").json()
            if job["state"] == "failed":
                self.assertRegex(job["error"]["message"], "full|No space left")
            else:
                self.assertEqual(len(job["images"]), 1)
        for number in kept:
            self.assertEqual(self.state(instance, number), "done")
        for url, body in pictures.items():
            self.assertEqual(instance.get(url).body, body)

    # ---- at the start ----

    def stopped(self):
        """A data directory with a picture."""
        instance = self.server("-m", "tiny")
        self.wait_until_done(instance, self.submit(instance, "a picture").json()["id"])
        self.assertEqual(instance.stop(), 0)
        return instance

    def refused(self, instance, code):
        """What the service says, that has to refuse to start."""
        done = subprocess.run(instance.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=instance.environment,
                              cwd=instance.home, timeout=server.LIMIT_S, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_a_damaged_database_is_refused(self):
        instance = self.stopped()
        path = instance.data / "darkroom.db"
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + bytes(4096) + whole[8192:])
        said = self.refused(instance, 4)
        self.assertIn("darkroom.db is damaged", said)
        self.assertIn("backup", said)
        self.assertEqual(len(list((instance.data / "images").iterdir())), 1)
        path.write_bytes(whole)  # the backup
        instance.start()
        self.assertEqual(len(instance.get("/api/v1/images").json()["images"]), 1)

    def test_a_database_that_was_moved_away_leaves_the_pictures(self):
        instance = self.stopped()
        for path in instance.data.glob("darkroom.db*"):
            path.unlink()
        instance.start()
        self.assertEqual(instance.get("/api/v1/images").json()["images"], [])
        self.assertEqual(len(list((instance.data / "images").iterdir())), 1)

    def test_a_newer_database_is_refused(self):
        instance = self.stopped()
        with sqlite3.connect(instance.data / "darkroom.db") as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
        said = self.refused(instance, 5)
        self.assertIn("version is 99", said)
        self.assertIn("update darkroom", said)

    def test_a_second_service_is_refused(self):
        instance = self.server("-m", "tiny")
        said = self.refused(instance, 12)
        self.assertIn(f"process {instance.process.pid}", said)
        self.assertIn("--data", said)
        self.assertEqual(instance.get("/health").status, 200)


if __name__ == "__main__":
    server.main()
