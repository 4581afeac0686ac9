#!/usr/bin/env python3
"""How the service starts, leaves and is told to stop: signals, --grace, --exit-idle, and what systemd sees."""
import os
import signal
import socket
import subprocess
import sys
import time

import server

# Runs the program as systemd does: the descriptor given first becomes 3, and LISTEN_PID is its number.
AS_SYSTEMD = """
import os, sys
passed = int(sys.argv[1])
if passed != 3:
    os.dup2(passed, 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
if "WATCHDOG_USEC" in os.environ:
    os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """A NOTIFY_SOCKET, and what was sent to it."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.states = []

    def receive(self):
        self.socket.settimeout(0.01)
        try:
            while True:
                self.states.append(self.socket.recv(4096).decode())
        except TimeoutError:
            return self.states

    def has(self, text):
        return any(text in state for state in self.receive())

    def close(self):
        self.socket.close()


class Activation(server.Case):
    def passed(self, family=socket.AF_INET):
        made = socket.socket(family)
        made.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(self.folder / "door"))
        made.listen(16)
        self.addCleanup(made.close)
        return made

    def activated(self, listening, *options, home=None, **more):
        return self.server(*options, home=home, listen=None, pass_fds=(listening.fileno(),),
                           wrap=(sys.executable, "-c", AS_SYSTEMD, str(listening.fileno())), **more)

    def test_the_socket_of_systemd_is_used_and_outlives_the_service(self):
        listening = self.passed()
        home = self.folder / "home"
        home.mkdir()
        for _ in range(2):
            made = self.activated(listening, home=home)
            self.assertEqual(made.port, listening.getsockname()[1])
            self.assertEqual(made.get("/health").status, 200)
            self.assertEqual(made.stop(), 0)
        # Nobody serves now, but the socket takes connections for the next one.
        waiting = socket.create_connection(listening.getsockname())
        waiting.sendall(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\nConnection: close\r\n\r\n".encode())
        made = self.activated(listening, home=home)
        waiting.settimeout(server.LIMIT_S)
        self.assertTrue(waiting.recv(4096).startswith(b"HTTP/1.1 200 "))
        waiting.close()

    def test_a_unix_socket_of_systemd_stays_after_the_service(self):
        listening = self.passed(socket.AF_UNIX)
        made = self.activated(listening)
        self.assertEqual(made.said, f"listening on unix:{self.folder / 'door'}")
        self.assertEqual(made.get("/health").status, 200)
        self.assertEqual(made.stop(), 0)
        self.assertTrue((self.folder / "door").exists())

    def test_systemd_is_told_ready_stopping_and_that_it_lives(self):
        manager = Manager(self.folder)
        self.addCleanup(manager.close)
        made = self.activated(self.passed(), more_environment={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "200000"})
        self.assertEqual(manager.receive()[0].split("\n")[0], "READY=1")
        self.assertTrue(manager.has(f"STATUS=listening on http://127.0.0.1:{made.port}"))
        self.wait_for(lambda: manager.receive().count("WATCHDOG=1") >= 3, "the watchdog's food")
        self.assertFalse(manager.has("STOPPING=1"))
        self.assertEqual(made.stop(), 0)
        self.assertTrue(manager.has("STOPPING=1\n"))

    def test_R32_users_are_taken_from_systemds_credentials(self):
        path = self.folder / "users"
        path.write_text("ada:secret\n")
        path.chmod(0o400)
        made = self.server(more_environment={"CREDENTIALS_DIRECTORY": str(self.folder)})
        self.assertEqual(made.get("/nothing").status, 401)
        self.assertEqual(made.get("/nothing", Authorization=server.basic("ada", "secret")).status, 404)
        path.unlink()
        made = self.server(more_environment={"CREDENTIALS_DIRECTORY": str(self.folder)})
        self.assertEqual(made.get("/nothing").status, 404)
        self.assertIn("users is not there, so nobody has to log in", made.errors())

    def test_R32_users_that_cannot_be_read_are_not_nobody(self):
        (self.folder / "file").write_text("")
        (self.folder / "loop").symlink_to("loop")
        (self.folder / "torn").mkdir()
        (self.folder / "torn/users").symlink_to("users")
        for name in ("file", "loop", "torn"):
            made = server.Server(more_environment={"CREDENTIALS_DIRECTORY": str(self.folder / name)})
            done = subprocess.run(made.command(), env=made.environment, cwd=made.home, capture_output=True, text=True,
                                  timeout=server.LIMIT_S, check=False)
            self.assertNotEqual(done.returncode, 0, name)
            self.assertNotIn("listening", done.stdout, name)
            self.assertIn("users", done.stderr, name)

    def test_what_systemd_passed_has_to_be_one_socket(self):
        file = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, file)
        done = subprocess.run([sys.executable, "-c", AS_SYSTEMD, str(file), server.DARKROOM, "serve"], pass_fds=(file,),
                              env=server.environment(self.folder), capture_output=True, text=True, timeout=server.LIMIT_S, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("not a listening socket", done.stderr)


class Leaving(server.Case):
    def test_it_leaves_when_idle_and_nobody_is_connected(self):
        made = self.server("--exit-idle", "1s")
        kept = made.connection()
        kept.connect()
        time.sleep(3.0)
        self.assertIsNone(made.process.poll(), "it left while somebody was connected")
        self.assertEqual(made.get("/health", connection=kept).status, 200)
        kept.close()
        self.assertEqual(made.wait(), 0)

    def test_a_log_that_was_moved_is_opened_again(self):
        log = self.folder / "access"
        made = self.server("--access-log", log)
        made.get("/health")
        self.wait_for(lambda: log.read_text().count("\n") == 1)
        log.rename(self.folder / "access.1")
        made.process.send_signal(signal.SIGHUP)
        self.wait_for(log.exists)
        made.get("/health")
        self.wait_for(lambda: log.read_text().count("\n") == 1)
        self.assertEqual(made.stop(), 0)


    def test_it_stops_when_its_terminal_is_closed(self):
        self.assertEqual(self.server().stop(signal.SIGHUP), 0)

    def test_connections_do_not_keep_it_from_stopping(self):
        made = self.server()
        idle, halfway, after = made.socket(), made.socket(), made.connection()
        halfway.sendall(f"POST /sdapi/v1/options HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\nContent-Length: 1000\r\n\r\n{{".encode())
        self.assertEqual(made.get("/health", connection=after).status, 200)
        events = made.connection()
        events.request("GET", "/api/v1/events")
        reply = events.getresponse()
        self.assertEqual(made.stop(), 0)
        reply.read()  # the stream has an end
        for line in (idle, halfway, after, events):
            line.close()


class Stopping(server.Case):
    """A job that takes minutes, and the service is told to stop."""

    BODY = {"prompt": "a lighthouse", "width": 1024, "height": 1024, "steps": 200, "model": "tiny"}

    def begin(self, *options):
        made = self.server(*options)
        answer = made.post("/api/v1/jobs", {"kind": "txt2img", **self.BODY})
        self.assertEqual(answer.status, 202, answer)
        job = answer.json()["id"]
        self.wait_for(lambda: made.get(f"/api/v1/jobs/{job}").json()["state"] == "running", "the job to run")
        return made, job

    def state_after_restart(self, made, job):
        again = self.server(home=made.home)
        return again.get(f"/api/v1/jobs/{job}").json()["state"]

    def test_a_job_that_does_not_end_in_time_is_queued_again(self):
        made, job = self.begin("--grace", "1s")
        began = time.monotonic()
        self.assertEqual(made.stop(), 0)
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertIn(self.state_after_restart(made, job), ("queued", "running"))

    def test_a_second_signal_ends_it_at_once(self):
        made, job = self.begin("--grace", "1h")
        made.process.send_signal(signal.SIGTERM)
        time.sleep(1.0)
        self.assertIsNone(made.process.poll(), "it did not wait for the job")
        # While it waits it takes no new connections, and answers those that it has no more.
        with self.assertRaises(ConnectionRefusedError):
            made.get("/health")
        self.assertEqual(made.stop(signal.SIGINT), 0)
        self.assertIn(self.state_after_restart(made, job), ("queued", "running"))

    def test_it_waits_for_a_job_that_ends(self):
        made = self.server("--grace", "10m")
        job = made.post("/api/v1/jobs", {"kind": "txt2img", "prompt": "a", "steps": 20, "width": 256, "height": 256,
                                         "model": "tiny"}).json()["id"]
        self.wait_for(lambda: made.get(f"/api/v1/jobs/{job}").json()["state"] != "queued", "the job to run")
        self.assertEqual(made.stop(), 0)
        self.assertEqual(self.state_after_restart(made, job), "done")


if __name__ == "__main__":
    server.main()
