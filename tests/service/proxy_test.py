#!/usr/bin/env python3
"""The service behind nginx and Caddy, with the configurations of docs/proxy."""
import http.client
import os
import shutil
import socket
import subprocess

import server


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


class Behind:
    """What each proxy has to let through. The subclasses start it."""

    def setUp(self):
        super().setUp()
        if not shutil.which(self.program):
            self.skipTest(f"{self.program} is not installed")
        self.port = free_port()
        self.made = self.server("--allowed-host", f"127.0.0.1:{self.port}")
        self.proxy = self.start()
        self.addCleanup(self.stop)
        self.wait_for(self.is_there, "the proxy")

    def stop(self):
        self.proxy.kill()
        self.proxy.wait(server.LIMIT_S)

    def is_there(self):
        self.assertIsNone(self.proxy.poll(), (self.folder / "log").read_text())
        try:
            return self.ask("GET", "/health")[0] == 200
        except OSError:
            return False

    def spawn(self, *words):
        with open(self.folder / "log", "wb") as log:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                    env={**server.environment(self.folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=server.LIMIT_S)

    def ask(self, method, path, body=None, headers=None):
        line = self.connection()
        try:
            line.request(method, path, body=body, headers=headers or {})
            reply = line.getresponse()
            return reply.status, reply.read()
        finally:
            line.close()

    def test_pages_of_the_proxys_name_are_ours_and_others_are_not(self):
        self.assertEqual(self.ask("GET", "/", headers={"Accept": "text/html"})[0], 200)
        self.assertEqual(self.ask("GET", "/health", headers={"Origin": f"https://127.0.0.1:{self.port}"})[0], 200)
        self.assertEqual(self.ask("GET", "/health", headers={"Origin": "https://evil.example"})[0], 403)
        # Caddy answers other names by itself, with nothing.
        self.assertNotIn(b"ok", self.ask("GET", "/health", headers={"Host": "evil.example"})[1])

    def test_events_leave_at_once(self):
        line = self.connection()
        line.request("GET", "/api/v1/events", headers={"Accept": "text/event-stream"})
        reply = line.getresponse()
        self.assertEqual(reply.status, 200)
        job = self.made.post("/api/v1/jobs", {"kind": "txt2img", "steps": 2, "width": 64, "height": 64, "prompt": "a",
                                              "model": "tiny"}).json()["id"]
        seen = b""
        while job.encode() not in seen or b'"done"' not in seen:  # the stream itself has no end
            seen += reply.read1(65536)
        line.close()

    @staticmethod
    def picture(size):
        return b'{"model": "tiny", "prompt": "a lighthouse", "size": "%s", "response_format": "b64_json"}' % size

    def test_a_long_request_waits_for_its_job(self):
        status, body = self.ask("POST", "/v1/images/generations", self.picture(b"256x256"), {"Content-Type": "application/json"})
        self.assertEqual(status, 200, body[:300])
        self.assertGreater(len(body), 10000)

    def test_a_client_that_leaves_cancels_its_job(self):
        line = self.connection()
        line.request("POST", "/v1/images/generations", body=self.picture(b"1024x1024"), headers={"Content-Type": "application/json"})
        self.wait_for(lambda: self.states() == ["running"], "the job to run")
        line.close()
        self.wait_for(lambda: self.states() != ["running"], "the job to end")
        self.assertEqual(self.states(), ["cancelled"])

    def states(self):
        return [job["state"] for job in self.made.get("/api/v1/jobs").json()["jobs"]]

    def test_a_body_of_many_megabytes_passes(self):
        status, body = self.ask("POST", "/api/v1/unload", b'{"what": "all", "padding": "' + b"x" * (6 << 20) + b'"}',
                                {"Content-Type": "application/json"})
        self.assertEqual(status, 200, body[:300])


class Nginx(Behind, server.Case):
    program = "nginx"

    def start(self):
        inside = (server.SOURCE / "docs/proxy/nginx.conf").read_text().replace("127.0.0.1:7860", f"127.0.0.1:{self.made.port}")
        path = self.folder / "nginx.conf"
        user = "user root; " if os.geteuid() == 0 else ""  # the workers have to reach the folder of this test
        temporary = "".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        path.write_text(f"{user}daemon off; pid {self.folder}/pid; error_log stderr;\nevents {{}}\nhttp {{ access_log off; {temporary}\n"
                        f"server {{ listen 127.0.0.1:{self.port};\n{inside}}}\n}}\n")
        return self.spawn("nginx", "-p", str(self.folder), "-c", str(path))


class Caddy(Behind, server.Case):
    program = "caddy"

    def start(self):
        text = (server.SOURCE / "docs/proxy/Caddyfile").read_text()
        text = text.replace("\ndarkroom.example.com {", f"\nhttp://127.0.0.1:{self.port} {{").replace("127.0.0.1:7860", f"127.0.0.1:{self.made.port}")
        path = self.folder / "Caddyfile"
        path.write_text("{\n\tadmin off\n}\n" + text)
        return self.spawn("caddy", "run", "--config", str(path), "--adapter", "caddyfile")


if __name__ == "__main__":
    server.main()
