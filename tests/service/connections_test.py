#!/usr/bin/env python3
"""What shows on sockets alone: start and stop, connections that stay, and requests as bytes."""
import contextlib
import signal

import server


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


if __name__ == "__main__":
    server.main()
