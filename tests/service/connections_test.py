#!/usr/bin/env python3
"""What shows on sockets alone: start and stop, connections that stay, and requests as bytes."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import time

import memory_test
import server

MOST_GROWTH = 1 << 20  # of private bytes, after thousands of connections


def reset(line):
    """Closes a socket with RST in place of FIN."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


class Life(server.Case):
    def test_it_says_where_it_listens_and_stops_when_told(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            made = self.server()
            self.assertEqual(made.host, "127.0.0.1")
            answer = made.get("/health")
            self.assertEqual((answer.status, answer.json()), (200, {"status": "ok"}))
            self.assertEqual(made.stop(number), 0)
            with self.assertRaises(ConnectionRefusedError):
                made.get("/health")

    def test_a_directory_that_is_not_there_is_said(self):
        made = self.server("--models", self.folder / "nowhere")
        self.assertIn(f"--models {self.folder}/nowhere: No such file", made.errors())
        made = self.server()
        self.assertNotIn("warning", made.errors())

    def test_a_unix_socket_is_its_owners_and_goes_with_the_service(self):
        path = self.folder / "door"
        made = self.server(listen=f"unix:{path}")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(made.get("/health").status, 200)
        self.assertEqual(made.stop(), 0)
        self.assertFalse(path.exists())

    def test_a_socket_that_a_dead_service_left_is_replaced_and_a_live_one_is_not(self):
        path = self.folder / "door"
        self.server(listen=f"unix:{path}").kill()
        self.assertTrue(path.exists())
        self.server(listen=f"unix:{path}")
        done = self.run_serve("--listen", f"unix:{path}")
        self.assertEqual(done.returncode, 9)
        self.assertIn("another service listens there", done.stderr)


class Connections(server.Case):
    def test_T13_twenty_requests_on_one_connection_with_errors_between(self):
        made = self.server()
        kept = made.connection()
        kept.connect()
        first = kept.sock
        for i in range(20):
            if i % 3 == 1:
                self.assertEqual(made.post("/sdapi/v1/nothing", {"a": i}, connection=kept).status, 404)
            elif i % 3 == 2:
                self.assertEqual(made.ask("PUT", "/health", connection=kept).status, 405)
            else:
                self.assertEqual(made.get("/health", connection=kept).status, 200)
            self.assertIs(kept.sock, first, "the connection was closed")
        kept.close()

    def test_those_that_wait_leave_connections_to_others(self):
        made = self.server("--max-connections", "8")  # four of them may wait
        waiting = []
        for _ in range(4):
            line = made.connection()
            line.request("GET", "/api/v1/events")
            self.assertEqual(line.getresponse().status, 200)
            waiting.append(line)
        answer = made.get("/api/v1/events")
        self.assertEqual(answer.status, 503)
        self.assertGreater(int(answer.headers["Retry-After"]), 0)
        self.assertIn("4 requests wait", answer.json()["error"]["message"])
        self.assertEqual(made.get("/health").status, 200)
        self.assertEqual(made.post("/sdapi/v1/interrupt").status, 200)
        for line in waiting:
            line.close()
        self.wait_for(lambda: self.streams(made), "a free place")

    @staticmethod
    def streams(made):
        line = made.connection()
        line.request("GET", "/api/v1/events")
        status = line.getresponse().status
        line.close()
        return status == 200

    def test_bodies_together_have_a_limit_and_give_it_back(self):
        made = self.server("--body-memory", "300K", "--max-body", "200K")
        request = (f"POST /sdapi/v1/png-info HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\nContent-Type: application/json\r\n"
                   "Content-Length: 200000\r\nConnection: close\r\n\r\n").encode()

        def status():
            got = made.raw(request + b" " * 200000)
            return int(got.split()[1]) if got else 0

        def hold():
            """A body that is not whole. Whoever comes second is refused, and that may be this one."""
            line = made.socket()
            with contextlib.suppress(ConnectionError):
                line.sendall(request + b" " * 190000)
            return line

        def is_taken():
            with contextlib.closing(hold()):
                return status() == 503

        self.wait_for(is_taken, "the memory to be taken")
        self.wait_for(lambda: status() != 503, "the memory to be free")

    # ---- many ----

    @staticmethod
    def held(made):
        """Descriptors, threads, and private bytes (0 where they are not known)."""
        process = pathlib.Path(f"/proc/{made.process.pid}")
        knows = not server.IS_SANITIZED and memory_test.has_rollup()
        return (len(os.listdir(process / "fd")), len(os.listdir(process / "task")),
                memory_test.private_bytes(made.process.pid) if knows else 0)

    def settled(self, made):
        """What is held when no connection is about to end: the same for a second."""
        seen, since = None, time.monotonic()
        while time.monotonic() - since < 1:
            now = self.held(made)
            if now[:2] != seen:
                seen, since = now[:2], time.monotonic()
            time.sleep(0.05)
        return now

    def assert_returned(self, made, before):
        """Descriptors and threads are as before, memory nearly so."""
        self.wait_for(lambda: all(now <= then for now, then in zip(self.held(made)[:2], before)), f"{before[:2]} descriptors and threads")
        self.assertLess(self.held(made)[2], before[2] + MOST_GROWTH)
        self.assertEqual(made.get("/health").status, 200)

    def connect(self, made, count):
        """One after the other: nothing, a request, half a request, a reset."""
        request = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\nConnection: close\r\n\r\n".encode()
        for i in range(count):
            with made.socket() as line:
                if i % 4 == 1:
                    line.sendall(request)
                    self.assertTrue(line.recv(100).startswith(b"HTTP/1.1 200 "), i)
                elif i % 4 == 2:
                    line.sendall(request[:20])
                elif i % 4 == 3:
                    reset(line)

    def test_ten_thousand_connections_one_after_the_other(self):
        made = self.server()
        self.connect(made, 400)
        before = self.settled(made)
        self.connect(made, 10000)
        self.assert_returned(made, before)

    def test_as_many_connections_at_once_as_the_limit_allows(self):
        made = self.server()  # 160 of them
        kept = made.connection()
        self.addCleanup(kept.close)

        def fill():
            lines = []
            for i in range(600):
                with contextlib.suppress(ConnectionError):
                    lines.append(made.socket())
                if i % 50 == 0:
                    self.assertEqual(made.get("/health", connection=kept).status, 200)
            self.wait_for(lambda: self.held(made)[1] >= 160, "the limit to be reached")
            self.assertLess(self.held(made)[1], 180)
            self.assertEqual(made.get("/health", connection=kept).status, 200)
            for line in lines:
                line.close()
        self.assertEqual(made.get("/health", connection=kept).status, 200)
        fill()
        before = self.settled(made)
        for _ in range(3):
            fill()
        self.assert_returned(made, before)

    # ---- resets ----

    def test_a_reset_at_every_phase(self):
        made = self.server("-m", "tiny", "--max-steps", "1000")
        small = {"prompt": "a", "steps": 1, "width": 64, "height": 64, "seed": 5}
        plain = made.post("/sdapi/v1/txt2img", small).json()["images"]
        host = f"Host: 127.0.0.1:{made.port}\r\nContent-Type: application/json\r\n"
        body = json.dumps({**small, "width": 256, "height": 256, "steps": 1000}).encode()
        answer = json.dumps({**small, "width": 512, "height": 512, "batch_size": 4}).encode()
        head = f"POST /sdapi/v1/txt2img HTTP/1.1\r\n{host}Content-Length: %d\r\n\r\n"
        whole, large = (head % len(body)).encode() + body, (head % len(answer)).encode() + answer
        states = lambda: [job["state"] for job in made.get("/api/v1/jobs").json()["jobs"]]
        runs = lambda: made.get("/sdapi/v1/progress").json()["state"]["sampling_step"] > 0

        def cut(data, until=None, read=0):
            with made.socket() as line:
                line.sendall(data)
                if until:
                    self.wait_for(until, "the phase")
                if read:
                    self.assertTrue(line.recv(read).startswith(b"HTTP/1.1 200 "))
                reset(line)
        before = self.settled(made)
        for data in (b"", whole[:1], whole[:30], whole[:-len(body)], whole[:-len(body) // 2]):
            for _ in range(20):
                cut(data)
        self.assertEqual(states(), ["done"])  # none of these was a request
        for _ in range(3):
            cut(whole, until=runs)
            self.wait_for(lambda: states()[0] == "cancelled", "the job to be cancelled")
        for _ in range(2):
            cut(large, read=100)
            self.assertEqual(states()[0], "done")
        events = f"GET /api/v1/events HTTP/1.1\r\n{host}\r\n".encode()
        for _ in range(5):
            cut(events, read=100)
        self.assert_returned(made, before)
        self.assertEqual(made.post("/sdapi/v1/txt2img", small).json()["images"], plain)
        self.assertEqual(made.stop(), 0)


if __name__ == "__main__":
    server.main()
