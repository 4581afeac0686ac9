#!/usr/bin/env python3
"""The rules of the gate from outside: what a browser, a stranger or a broken client gets. What needs no socket is in
src/service/gate_test.c; docs/SERVICE_RULES.md says which test holds which rule."""
import json
import pathlib
import re
import socket
import threading
import time

import server


def head_of(data):
    """Status, headers (lower case) and body of a reply as bytes."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    return int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line), body


class Wire(server.Case):
    @classmethod
    def setUpClass(cls):
        cls.made = server.Server("--max-body", "100K", "--allowed-host", "box.lan", "--cors-origin", "https://listed.example").start()

    @classmethod
    def tearDownClass(cls):
        cls.made.kill()

    def raw(self, head, body=b"", close=True):
        """A request as bytes, with Host where it has none."""
        lines = head.strip("\n").split("\n")
        if not any(line.lower().startswith("host") for line in lines[1:]):
            lines.append(f"Host: 127.0.0.1:{self.made.port}")
        if close:
            lines.append("Connection: close")
        return self.made.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def status(self, *words, **more):
        got = self.raw(*words, **more)
        self.assertTrue(got.startswith(b"HTTP/1.1 "), got[:100])
        return head_of(got)[0]

    def test_R02_no_path_is_a_file(self):
        for path in ("/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/%252e%252e/etc/passwd", "/..%5c..%5cetc/passwd",
                     "//etc/passwd", "/file=/etc/passwd", "/file=../../etc/passwd", "/page/..%2f..%2f..%2fetc%2fpasswd",
                     "/page/%2fetc%2fpasswd", "/api/v1/images/..%2f..%2fdarkroom.db", "/%00", "/etc/passwd%00.png", "/%ff",
                     "/" + "a" * 5000):
            got = self.raw(f"GET {path} HTTP/1.1")
            status, headers, body = head_of(got)
            self.assertIn(status, (400, 404, 414), path)
            self.assertNotIn(b"root:", got, path)
            if status != 414:
                self.assertEqual(headers["content-type"], "application/json", path)
                json.loads(body)

    def test_R12_only_our_names_are_answered(self):
        port = self.made.port
        for host, status in ((f"127.0.0.1:{port}", 200), (f"localhost:{port}", 200), (f"[::1]:{port}", 200), ("box.lan", 200),
                             ("evil.example", 403), (f"evil.example:{port}", 403), ("localhost:1", 403), (f"0.0.0.0:{port}", 403)):
            self.assertEqual(self.made.get("/health", Host=host).status, status, host)
        self.assertEqual(self.status("GET /health HTTP/1.1\nHost: "), 400)
        got = self.made.raw(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
        self.assertEqual(head_of(got)[0], 400)

    def test_R13_R14_an_origin_is_ours_or_listed(self):
        answer = self.made.get("/health", Origin="https://evil.example")
        self.assertEqual(answer.status, 403)
        self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])
        answer = self.made.get("/health", Origin="https://listed.example")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://listed.example")
        self.assertIn("Origin", answer.headers.get_all("Vary"))
        self.assertIsNone(answer.headers["Access-Control-Allow-Credentials"])
        self.assertEqual(self.made.get("/health", Origin=f"http://127.0.0.1:{self.made.port}").status, 200)
        self.assertEqual(self.made.get("/health", Origin="null").status, 403)
        answer = self.made.ask("OPTIONS", "/health", Origin="https://evil.example", Access_Control_Request_Method="GET")
        self.assertEqual(answer.status, 204)
        self.assertFalse([name for name in answer.headers if name.lower().startswith("access-control")])

    def test_T07_T08_options_and_head(self):
        answer = self.made.ask("OPTIONS", "/health")
        self.assertEqual((answer.status, answer.headers["Allow"], answer.body), (204, "GET, HEAD", b""))
        answer = self.made.ask("HEAD", "/")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_T09_a_question_mark_at_the_end(self):
        self.assertEqual(self.made.get("/health?").json(), {"status": "ok"})

    def test_T11_unknown_paths_answer_json(self):
        for path in ("/config", "/login", "/StableStudio/x", "/controlnet/version", "/v1/nothing", "/api/v1/nothing", "/x.html"):
            answer = self.made.get(path)
            self.assertEqual(answer.status, 404, path)
            self.assertEqual(answer.headers["Content-Type"], "application/json")
            answer.json()

    def test_R19_R20_every_answer_has_the_headers(self):
        for path, status in (("/", 200), ("/health", 200), ("/nothing", 404), ("/page/main.js", None), ("/favicon.ico", None)):
            answer = self.made.get(path, Accept="text/html")
            if status:
                self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff", path)
            self.assertEqual(answer.headers["X-Frame-Options"], "DENY", path)
            self.assertEqual(answer.headers["Referrer-Policy"], "no-referrer", path)
            self.assertIn("frame-ancestors 'none'", answer.headers["Content-Security-Policy"], path)
        page = self.made.get("/", Accept="text/html").headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:", "connect-src 'self'",
                     "base-uri 'none'", "form-action 'none'"):
            self.assertIn(part, page)
        self.assertNotIn("unsafe", page)

    def test_R21_a_body_that_is_said_to_be_too_large_is_not_read(self):
        with self.made.socket() as made:
            made.sendall(f"POST /nothing HTTP/1.1\r\nHost: 127.0.0.1:{self.made.port}\r\nContent-Length: 1000000\r\n\r\n".encode())
            got = b""
            while piece := made.recv(65536):  # it is closed without a byte of the body
                got += piece
        self.assertEqual(head_of(got)[0], 404)
        got = self.raw(f"GET /health HTTP/1.1\nContent-Length: {100 * 1024 + 1}", close=False)
        status, headers, body = head_of(got)
        self.assertEqual((status, headers["connection"]), (413, "close"))
        self.assertIn("102400", json.loads(body)["error"]["message"])

    def test_R21_a_chunked_body_is_counted_as_it_comes(self):
        head = "GET /health HTTP/1.1\nTransfer-Encoding: chunked"
        piece = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        self.assertEqual(self.status(head, body=piece * 25 + b"0\r\n\r\n"), 200)
        got = self.raw(head, body=piece * 26)  # and no end
        status, headers, body = head_of(got)
        self.assertEqual((status, headers["connection"]), (413, "close"))
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertEqual(int(headers["content-length"]), len(body))
        self.assertIn("--max-body", json.loads(body)["error"]["message"])
        self.assertEqual(self.status(head, body=b"zz\r\n"), 400)

    def test_T12_expect_gets_its_answer_at_once(self):
        with self.made.socket() as made:
            made.sendall(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{self.made.port}\r\nExpect: 100-continue\r\n"
                         "Content-Length: 5\r\n\r\n".encode())
            self.assertTrue(made.recv(4096).startswith(b"HTTP/1.1 100 "))
            made.sendall(b"12345")
            self.assertTrue(made.recv(4096).startswith(b"HTTP/1.1 200 "))
        with self.made.socket() as made:
            made.sendall(f"POST /health HTTP/1.1\r\nHost: 127.0.0.1:{self.made.port}\r\nExpect: 100-continue\r\n"
                         "Content-Length: 5\r\n\r\n".encode())
            self.assertTrue(made.recv(4096).startswith(b"HTTP/1.1 405 "))

    def test_R24_heads_that_are_too_large(self):
        for head, statuses in (("GET /health HTTP/1.1\nX: " + "x" * 40000, (431,)),
                               ("GET /health HTTP/1.1\n" + "X: y\n" * 1000, (431,)),
                               ("GET /health HTTP/1.1\nX: " + "x" * 9000, (431,)),
                               ("GET /health HTTP/1.1\n" + "X: y\n" * 101, (431,)),
                               ("GET /" + "x" * 65536 + " HTTP/1.1", (414, 431)),
                               ("GET /" + "x" * 5000 + " HTTP/1.1", (414,))):
            self.assertIn(self.status(head), statuses, head[:60])
        # More parameters than a connection's memory holds: the library closes the connection without an answer.
        self.assertEqual(self.status("GET /health?" + "a=b&" * 100 + " HTTP/1.1"), 200)
        self.assertEqual(self.raw("GET /health?" + "a=b&" * 2000 + " HTTP/1.1"), b"")
        self.assertEqual(self.made.get("/health").status, 200)

    def test_R29_requests_with_two_ends_are_refused_and_the_connection_ends(self):
        hidden = b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
        for name, head in (("both", "Content-Length: 4\nTransfer-Encoding: chunked"), ("two lengths", "Content-Length: 5\nContent-Length: 4"),
                           ("unknown coding", "Transfer-Encoding: xchunked"), ("signed", "Content-Length: +4"),
                           ("two hosts", f"Host: 127.0.0.1:{self.made.port}\nHost: 127.0.0.1:{self.made.port}"),
                           ("blank", "Content-Length : 4")):
            got = self.raw(f"GET /health HTTP/1.1\n{head}", body=hidden, close=False)
            self.assertEqual(set(re.findall(rb"HTTP/1\.1 (\d+)", got)), {b"400"}, (name, got))

    def test_R30_old_and_odd_requests(self):
        port = self.made.port
        got = self.made.raw(f"GET /health HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        self.assertEqual(head_of(got)[0], 200)  # and the connection ended by itself
        self.assertEqual(self.status(f"GET http://127.0.0.1:{port}/health HTTP/1.1"), 400)
        self.assertEqual(self.status("OPTIONS * HTTP/1.1"), 204)
        self.assertEqual(self.status("CONNECT evil.example:443 HTTP/1.1"), 400)
        self.assertEqual(self.status("TRACE /health HTTP/1.1"), 405)
        self.assertEqual(self.status("BREW /health HTTP/1.1"), 405)
        self.made.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100 + b"\r\n\r\n")  # TLS
        self.made.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.assertEqual(self.made.get("/health").status, 200)


class Requests(server.Case):
    """What a request may say, and what comes of it: nothing on disk, no connection, no more memory than the limits."""

    @classmethod
    def setUpClass(cls):
        cls.made = server.Server("-m", "tiny", "--cors-origin", "https://listed.example").start()

    @classmethod
    def tearDownClass(cls):
        cls.made.kill()

    SMALL = {"prompt": "a", "steps": 1, "width": 64, "height": 64}

    def files(self):
        return {str(path) for path in self.made.home.rglob("*")
                if path.name != "serve.log" and not path.name.startswith("darkroom.db")}

    def test_R04_names_of_models_are_below_their_directory(self):
        for entry in self.made.get("/sdapi/v1/sd-models").json() + self.made.get("/sdapi/v1/sd-vae").json():
            self.assertNotIn(str(self.made.home), json.dumps(entry))
            self.assertFalse(entry["filename"].startswith("/") or ".." in entry["filename"], entry)
        for path in ("/api/v1/models?path=/etc", "/sdapi/v1/sd-models?folder=/etc", "/api/v1/models/etc", "/page/"):
            self.assertNotIn(b"passwd", self.made.get(path).body)

    def test_R06_options_that_name_places_stay_as_they_are(self):
        before, files = self.made.get("/sdapi/v1/options").json(), self.files()
        places = {name: str(self.folder / name) for name in
                  ("outdir_samples", "outdir_txt2img_samples", "outdir_save", "samples_filename_pattern", "directories_filename_pattern",
                   "sd_vae_checkpoint_cache", "font", "temp_dir", "api_enable_requests", "cors_origins", "data_folder", "auth_file")}
        self.assertIn(self.made.post("/sdapi/v1/options", places).status, (200, 422))
        self.assertEqual(self.made.get("/sdapi/v1/options").json(), before)
        self.assertEqual(self.made.post("/sdapi/v1/txt2img", {**self.SMALL, "override_settings": places, "outpath_samples": str(self.folder),
                                                              "save_images": False}).status, 200)
        self.assertEqual(list(self.folder.iterdir()), [])
        added = self.files() - files
        self.assertFalse({path for path in added if "/service/images" not in path}, added)

    def test_R09_no_answer_leads_to_another_site(self):
        for head in ({}, {"Host": "evil.example"}, {"X_Forwarded_Host": "evil.example"}, {"Forwarded": "host=evil.example"}):
            answer = self.made.post("/v1/images/generations", {"prompt": "a", "size": "64x64", "model": "tiny", "response_format": "url"}, **head)
            self.assertNotIn(b"//evil.example", answer.body)
            self.assertNotIn("evil.example", str(answer.headers.get("Location")))
        answer = self.made.post("/api/v1/jobs", {"kind": "txt2img", **self.SMALL}, X_Forwarded_Host="evil.example")
        self.assertRegex(answer.headers["Location"], r"^/api/v1/jobs/[0-9a-f]{32}$")

    def test_R15_forms_of_other_sites_have_no_effect(self):
        before = self.made.get("/sdapi/v1/options").body
        count = len(self.made.get("/api/v1/jobs").json()["jobs"])
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "application/json"):
            for path in ("/sdapi/v1/txt2img", "/sdapi/v1/options", "/sdapi/v1/interrupt", "/sdapi/v1/unload-checkpoint", "/api/v1/unload",
                         "/api/v1/jobs", "/v1/images/edits"):
                answer = self.made.ask("POST", path, b'{"sd_vae": "None", "kind": "txt2img"}', Content_Type=kind, Origin="https://evil.example")
                self.assertEqual(answer.status, 403, (kind, path))
        self.assertEqual(self.made.get("/sdapi/v1/options").body, before)
        self.assertEqual(len(self.made.get("/api/v1/jobs").json()["jobs"]), count)

    def test_R16_GET_changes_nothing(self):
        for path in ("/sdapi/v1/txt2img", "/sdapi/v1/interrupt", "/sdapi/v1/skip", "/sdapi/v1/unload-checkpoint", "/sdapi/v1/png-info",
                     "/api/v1/unload", "/api/v1/forecast"):
            self.assertEqual(self.made.get(path).status, 405, path)

    def test_R18_there_are_no_websockets_and_events_are_guarded(self):
        answer = self.made.get("/api/v1/memory", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Key="eA==", Sec_WebSocket_Version="13")
        self.assertEqual(answer.status, 200)  # an ordinary answer: nothing was switched
        self.assertEqual(self.made.get("/api/v1/events", Origin="https://evil.example").status, 403)
        self.assertEqual(self.made.get("/api/v1/events", Host="evil.example").status, 403)

    def test_R19_R20_pictures_and_answers_of_every_kind(self):
        picture = self.made.post("/sdapi/v1/txt2img", {**self.SMALL, "prompt": "<script>alert(1)</script>", "save_images": True})
        self.assertNotIn(b"<script>", picture.body)
        image = self.made.get("/api/v1/images").json()["images"][0]
        for path in ("/api/v1/images", f"/api/v1/images/{image['id']}", f"/api/v1/images/{image['id']}/parameters", "/docs", "/openapi.json"):
            answer = self.made.get(path)
            self.assertEqual(answer.status, 200, path)
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff", path)
            self.assertEqual(answer.headers["X-Frame-Options"], "DENY", path)
            self.assertEqual(answer.headers["Cross-Origin-Resource-Policy"], "same-origin", path)
            if not answer.headers["Content-Type"].startswith("image/"):
                self.assertFalse(b"<script>alert" in answer.body, path)
        self.assertIn(self.made.get(f"/api/v1/images/{image['id']}").headers["Content-Type"], ("image/png", "image/jpeg"))

    def peak(self):
        status = pathlib.Path(f"/proc/{self.made.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

    def test_R25_work_is_judged_before_memory_is_taken(self):
        self.assertEqual(self.made.post("/sdapi/v1/txt2img", self.SMALL).status, 200)
        before = self.peak()
        for more in ({"width": 100000, "height": 100000}, {"width": 2 ** 31, "height": 1}, {"batch_size": 10 ** 6}, {"steps": 10 ** 9},
                     {"width": 64, "height": 64, "n_iter": 10 ** 9}, {"width": -64}, {"hr_scale": 1e300, "enable_hr": True}):
            answer = self.made.post("/sdapi/v1/txt2img", {**self.SMALL, **more})
            self.assertTrue(400 <= answer.status < 500 or "hr_scale" in more, (more, answer))
        self.assertLess(self.peak() - before, 32 * 1024)

    def test_R25_a_full_queue_says_when_to_come_back(self):
        made = self.server("-m", "tiny", "--queue", "2", "--grace", "0")
        long = {"kind": "txt2img", "prompt": "a", "steps": 200, "width": 1024, "height": 1024}
        running = made.post("/api/v1/jobs", long).json()["id"]
        self.wait_for(lambda: made.get(f"/api/v1/jobs/{running}").json()["state"] == "running", "the first one to run")
        answers = [made.post("/api/v1/jobs", long) for _ in range(3)]
        self.assertEqual([answer.status for answer in answers], [202, 202, 429], answers)
        self.assertGreater(int(answers[-1].headers["Retry-After"]), 0)

    def test_R27_a_prompt_of_brackets_is_read_at_once(self):
        before = self.peak()
        for prompt in ("(" * 20000, "[a:b:" * 4000, "[a|" * 6000, "((a:1.1)" * 2500, "{" * 20000):
            began = time.monotonic()
            answer = self.made.post("/api/v1/forecast", {"kind": "txt2img", **self.SMALL, "prompt": prompt})
            # Brackets may make a weight that no number holds: that is said.
            self.assertTrue(answer.status == 200 or (answer.status == 400 and "not finite" in answer.json()["error"]["message"]), answer)
            self.assertLess(time.monotonic() - began, 60)
        self.assertLess(self.peak() - before, 64 * 1024)

    def test_R36_nothing_is_installed_or_stopped_by_a_request(self):
        for path in ("/sdapi/v1/server-kill", "/sdapi/v1/server-restart", "/sdapi/v1/server-stop", "/sdapi/v1/extensions",
                     "/sdapi/v1/reload-script", "/api/v1/models/install"):
            self.assertIn(self.made.post(path, {}).status, (404, 405), path)
        self.assertIsNone(self.made.process.poll())


class Users(server.Case):
    def users(self, text, mode=0o600):
        path = self.folder / "users"
        path.write_text(text)
        path.chmod(mode)
        return path

    def test_R03_R32_credentials_are_asked_for(self):
        made = self.server("--auth-file", self.users("ada:secret\nkey:token\n"))
        self.assertEqual(made.get("/health").status, 200)
        self.assertEqual(made.get("/").status, 200)
        for path in ("/nothing", "/sdapi/v1/options", "/sdapi/v1/cmd-flags", "/api/v1/jobs", "/v1/models"):
            answer = made.get(path)
            self.assertEqual(answer.status, 401, path)
            self.assertIn("Basic", answer.headers["WWW-Authenticate"])
            answer.json()
        for right in (server.basic("ada", "secret"), server.basic("x", "token"), "Bearer token"):
            self.assertEqual(made.get("/nothing", Authorization=right).status, 404)
        for _ in range(12):
            self.assertEqual(made.get("/nothing", Authorization=server.basic("ada", "guess")).status, 401)
        self.assertEqual(made.get("/nothing", Authorization=server.basic("ada", "secret")).status, 401)
        self.assertEqual(made.stop(), 0)
        self.assertNotIn("secret", made.errors() + made.said)

    def test_R31_other_machines_need_credentials(self):
        done = self.run_serve("--listen", "0.0.0.0:0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--insecure-no-auth", done.stderr)
        self.assertEqual(done.stdout, "")
        made = self.server("--insecure-no-auth", listen="0.0.0.0:0")
        self.assertIn("warning", made.errors())
        made.stop()
        self.server("--auth-file", self.users("ada:secret\n"), listen="0.0.0.0:0").stop()
        self.assertEqual(server.Server().listen, "127.0.0.1:0")

    def test_R32_a_file_that_others_can_read(self):
        done = self.run_serve("--listen", "127.0.0.1:0", "--auth-file", self.users("ada:secret\n", 0o644))
        self.assertEqual(done.returncode, 2)
        self.assertIn("chmod 600", done.stderr)
        self.assertNotIn("secret", done.stderr)

    def test_R33_the_log_has_neither_queries_nor_credentials(self):
        log = self.folder / "access"
        made = self.server("--access-log", log, "--auth-file", self.users("ada:secret\n"))
        made.get("/health?prompt=lighthouse", Authorization=server.basic("ada", "secret"))
        made.get("/nothing/lighthouse?prompt=dusk", Authorization=server.basic("ada", "secret"))
        made.get("/nothing", Authorization=server.basic("ada", "guess"))
        self.assertEqual(made.stop(), 0)
        lines = log.read_text().splitlines()
        self.assertEqual([line.split(" ", 1)[1].rsplit(" ", 2)[0] for line in lines],
                         ["127.0.0.1 GET /health 200", "127.0.0.1 GET - 404", "127.0.0.1 GET - 401"])
        for word in ("lighthouse", "dusk", "secret", "guess", "ada"):
            self.assertNotIn(word, log.read_text() + made.errors())
        self.assertEqual(log.stat().st_mode & 0o777, 0o600)


class Slow(server.Case):
    """Clients that are slow on purpose: each holds one connection until its time has passed, and nobody else waits."""

    def trickle(self, made, first, piece, pause, ended, name):
        started = time.monotonic()
        with made.socket() as line:
            line.sendall(first)
            line.settimeout(pause)
            while time.monotonic() - started < 120:
                try:
                    if not line.recv(4096):
                        break
                except TimeoutError:
                    pass
                except ConnectionError:
                    break
                try:
                    line.sendall(piece)
                except OSError:
                    break
        ended[name] = time.monotonic() - started

    def stop_reading(self, made, ended):
        started = time.monotonic()
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect((made.host, made.port))
        request = f"GET /page/main.js HTTP/1.1\r\nHost: {made.host}:{made.port}\r\n\r\n".encode()
        line.setblocking(False)
        sent = b""
        while time.monotonic() - started < 200:  # asks again and again, and reads nothing
            try:
                line.send(request)
            except BlockingIOError:
                time.sleep(0.2)
            except OSError:
                break
        ended["reader"] = time.monotonic() - started
        line.close()

    def test_R23_slow_clients_are_ended_and_others_served(self):
        made = self.server()
        host = f"Host: 127.0.0.1:{made.port}\r\n"
        ended = {}
        clients = [threading.Thread(target=self.trickle, args=(made, f"GET /health HTTP/1.1\r\n{host}".encode(), b"X-A: b\r\n", 1.0, ended, "head")),
                   threading.Thread(target=self.trickle, args=(made, b"", b"", 1.0, ended, "silence")),
                   threading.Thread(target=self.trickle, args=(made, f"GET /health HTTP/1.1\r\n{host}Content-Length: 50000\r\n\r\n".encode(),
                                                               b"x", 1.0, ended, "body")),
                   threading.Thread(target=self.stop_reading, args=(made, ended))]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            self.assertEqual(made.get("/health").status, 200)
            time.sleep(0.2)
        for client in clients:
            client.join()
        # Ten seconds for a head, twenty for a body that hardly comes or a reply that is not read.
        self.assertGreater(ended["head"], 9.0)
        self.assertLess(ended["head"], 60.0)
        self.assertLess(ended["silence"], 60.0)
        self.assertGreater(ended["body"], 19.0)
        self.assertLess(ended["body"], 90.0)
        self.assertGreater(ended["reader"], 19.0)
        self.assertLess(ended["reader"], 190.0)

    def test_R23_connections_have_a_limit_and_come_back(self):
        made = self.server("--max-connections", "8")
        idle = [made.socket() for _ in range(20)]
        time.sleep(0.5)
        for line in idle:
            line.close()
        self.wait_for(lambda: self.is_served(made), "a free connection")

    def test_R23_one_machine_cannot_have_all_connections(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing: it asks for the way
            try:
                probe.connect(("192.0.2.1", 9))
                address = probe.getsockname()[0]
            except OSError:
                self.skipTest("this machine has no address but loopback")
        made = self.server("--max-connections", "8", "--insecure-no-auth", listen="0.0.0.0:0")
        idle = [socket.create_connection((address, made.port), timeout=server.LIMIT_S) for _ in range(4)]
        self.wait_for(lambda: self.is_refused(address, made.port), "the fifth connection to be refused")
        made.host = "127.0.0.1"
        self.assertEqual(made.get("/health").status, 200)
        for line in idle:
            line.close()
        self.wait_for(lambda: not self.is_refused(address, made.port), "a free connection")

    @staticmethod
    def is_refused(address, port):
        with socket.create_connection((address, port), timeout=server.LIMIT_S) as line:
            try:
                line.sendall(f"GET /health HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n".encode())
                return line.recv(100) == b""
            except ConnectionError:
                return True

    @staticmethod
    def is_served(made):
        try:
            return made.get("/health", connection=None).status == 200
        except (ConnectionError, OSError):
            return False


if __name__ == "__main__":
    server.main()
