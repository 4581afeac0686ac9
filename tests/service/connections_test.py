#!/usr/bin/env python3
"""What shows on sockets alone: start and stop, connections that stay, and requests as bytes."""
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


if __name__ == "__main__":
    server.main()
