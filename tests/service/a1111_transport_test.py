#!/usr/bin/env python3
"""The A1111 API from outside: what every answer has in common, whatever is asked and however."""
import json
import random
import socket
import unittest
import zlib

import a1111
import server

GETS = ("progress", "options", "samplers", "schedulers", "sd-models", "sd-vae", "sd-modules", "upscalers", "latent-upscale-modes",
        "loras", "embeddings", "hypernetworks", "face-restorers", "realesrgan-models", "prompt-styles", "extensions", "artists",
        "artist-categories", "scripts", "script-info", "memory", "version", "cmd-flags")
POSTS = ("interrupt", "skip", "refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings", "unload-checkpoint",
         "reload-checkpoint")


class Transport(a1111.Case):
    def test_T01_images_are_base64_of_the_chosen_format(self):
        for chosen, magic in (("png", a1111.PNG), ("jpg", a1111.JPEG)):
            self.set_options(samples_format=chosen)
            for text in self.make(batch_size=2)["images"]:
                self.assertTrue(a1111.decode(text).startswith(magic), chosen)

    def test_T02_every_answer_is_json(self):
        asked = [("GET", "/sdapi/v1/" + name, None) for name in GETS] + [("POST", "/sdapi/v1/" + name, b"") for name in POSTS]
        asked += [("GET", "/sdapi/v1/no-such", None), ("GET", "/internal/no-such", None), ("GET", "/no/such", None),
                  ("GET", "/v1/no-such", None), ("POST", "/sdapi/v1/progress", b""), ("GET", "/sdapi/v1/txt2img", None),
                  ("POST", "/sdapi/v1/txt2img", b"{"), ("POST", "/sdapi/v1/txt2img", b'{"width":0}'),
                  ("POST", "/sdapi/v1/txt2img", b'{"enable_hr":true}'), ("POST", "/sdapi/v1/txt2img", b'{"sampler_name":"x"}')]
        statuses = set()
        for method, path, body in asked:
            with self.subTest(path=path, method=method):
                answer = self.made.ask(method, path, body, Content_Type="application/json")
                self.assertEqual(answer.headers["Content-Type"], "application/json")
                answer.json()
                statuses.add(answer.status)
        self.assertLessEqual({200, 400, 404, 405, 422, 501}, statuses)

    def test_T02_a_body_over_the_limit_is_a_json_413(self):
        reply = self.made.raw(self.head("txt2img", b"").replace(b"Length: 0", b"Length: 99999999999"))
        head, body = reply.split(b"\r\n\r\n", 1)
        self.assertIn(b" 413 ", head.split(b"\r\n")[0])
        self.assertIn(b"application/json", head)
        self.assertIn("detail", json.loads(body))

    def test_T03_T04_posts_answer_an_object(self):
        for name in POSTS:
            self.assertIsInstance(self.post(name), dict, name)
        self.assertIsInstance(self.post("options", {}), dict)

    def test_T05_bodies_of_posts_without_one(self):
        for name in ("interrupt", "skip", "unload-checkpoint", "reload-checkpoint", "refresh-checkpoints"):
            for body, head in ((None, {}), (b"{}", {"Content_Type": "application/json"}), (b'""', {"Content_Type": "application/json"}),
                               (b'""', {})):
                with self.subTest(name=name, body=body):
                    self.assertEqual(self.made.post("/sdapi/v1/" + name, body, **head).status, 200)

    def test_T06_credentials_that_nobody_asked_for_are_ignored(self):
        for value in ("Basic ", "Basic dW5kZWZpbmVk", "Bearer x"):
            self.assertEqual(self.made.get("/sdapi/v1/options", Authorization=value).status, 200, value)

    def test_T07_options_without_origin(self):
        for path in ("/sdapi/v1/txt2img", "/sdapi/v1/options", "/v1/images/generations"):
            answer = self.made.ask("OPTIONS", path)
            self.assertIn(answer.status, (200, 204), path)
            self.assertIn("Allow", answer.headers)

    def test_T08_head_has_no_body(self):
        for path in ("/", "/sdapi/v1/options"):
            answer = self.made.ask("HEAD", path)
            self.assertEqual((answer.status, answer.body), (200, b""), path)

    def test_T09_a_question_mark_changes_nothing(self):
        self.assertEqual(self.made.get("/sdapi/v1/samplers?").body, self.made.get("/sdapi/v1/samplers").body)
        self.assertEqual(self.made.post("/sdapi/v1/interrupt?").status, 200)

    def test_T10_queue_status(self):
        answer = self.made.get("/queue/status")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json()["queue_size"], 0)

    def test_T11_what_is_not_there_is_never_a_page(self):
        for method, path in (("GET", "/config"), ("POST", "/login"), ("POST", "/StableStudio/get-generated-images"),
                             ("GET", "/controlnet/version"), ("GET", "/controlnet/model_list"), ("GET", "/gradio_api/info")):
            answer = self.made.ask(method, path, b"" if method == "POST" else None)
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (404, "application/json"), path)
            self.assertIsInstance(answer.json(), dict)

    def test_T12_a_large_body_may_be_announced(self):
        # Two pictures of 1024 x 1024 that do not compress: over 6 MiB.
        rows = b"".join(b"\0" + random.Random(y).randbytes(3 * 1024) for y in range(1024))
        noise = a1111.PNG + a1111.chunk(b"IHDR", (1024).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0")
        noise += a1111.chunk(b"IDAT", zlib.compress(rows)) + a1111.chunk(b"IEND", b"")
        body = json.dumps({"prompt": "a", "steps": 2, "width": 64, "height": 64, "seed": 5,
                           "init_images": [a1111.encode(noise)] * 2}).encode()
        self.assertGreater(len(body), 6 << 20)
        with self.made.socket() as made:
            made.sendall(self.head("img2img", body, b"Expect: 100-continue\r\nConnection: close\r\n"))
            first = made.recv(4096)
            self.assertTrue(first.startswith(b"HTTP/1.1 100 "), first)
            made.sendall(body)
            reply = b""
            while piece := made.recv(65536):
                reply += piece
        self.assertTrue(reply.startswith(b"HTTP/1.1 200 "), reply[:400])

    def test_T13_twenty_requests_on_one_connection(self):
        connection = self.made.connection()
        connection.connect()
        port = connection.sock.getsockname()[1]
        for i in range(20):
            path, status = (("/sdapi/v1/samplers", 200), ("/sdapi/v1/none", 404), ("/sdapi/v1/txt2img", 405))[i % 3]
            self.assertEqual(self.made.get(path, connection=connection).status, status)
            self.assertEqual(connection.sock.getsockname()[1], port)
        connection.close()

    def test_T14_any_text_is_a_prompt(self):
        texts = ['"\\ud83d\\ude00 a"', '"\\ud800 lone"', '"nul \\u0000 inside"', '"' + "(long) " * 2900 + '"',
                 '"\U0001F600 \u65e5\u672c <script>\\n"']
        for text in texts:
            body = ('{"prompt":%s,"steps":1,"width":64,"height":64,"seed":5}' % text).encode()
            answer = self.made.post("/sdapi/v1/txt2img", body, Content_Type="application/json")
            self.assertEqual(answer.status, 200, text[:40])
            self.assertTrue(json.loads(answer.json()["info"])["infotexts"][0])
            answer.body.decode("utf-8", "strict")
            self.assertNotIn(b"<script>", answer.body)
        # Brackets that are not closed: 1.1 to the power of 3400 is no weight.
        endless = self.made.post("/sdapi/v1/txt2img", {"prompt": "(long " * 3400, "steps": 1, "width": 64, "height": 64})
        self.assertEqual(endless.status, 422)
        self.assertIn("not finite", endless.json()["detail"])
        broken = self.made.post("/sdapi/v1/txt2img", b'{"prompt":"\xff\xfe"}', Content_Type="application/json")
        self.assertIn(broken.status, (200, 400))


class Cut(a1111.Case):
    def test_T12_a_client_that_leaves_while_it_is_answered(self):
        self.picture()
        for _ in range(3):
            with self.made.socket() as made:
                body = json.dumps({"prompt": "a", "steps": 1, "width": 256, "height": 256, "batch_size": 4}).encode()
                made.sendall(self.head("txt2img", body) + body)
                self.assertTrue(made.recv(100).startswith(b"HTTP/1.1 200 "))
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.wait_for(self.is_idle, "the service to be idle")
        self.assertTrue(self.picture().startswith(a1111.PNG))


class Slow(a1111.Case):
    options = ("-m", "tiny", *a1111.LONG_OPTIONS)

    @unittest.skipUnless(server.os.environ.get("DARKROOM_LONG_TESTS"), "it takes six minutes: set DARKROOM_LONG_TESTS to run it")
    def test_T75_a_job_of_five_minutes_is_answered(self):
        answers, thread = self.start(**{**a1111.LONG, "width": 1024, "height": 1024})
        self.wait_for(self.runs, "the job to run")
        end = server.time.monotonic() + 310
        while server.time.monotonic() < end and thread.is_alive():
            server.time.sleep(5)
        self.assertTrue(thread.is_alive(), "the job ended before five minutes had passed")
        self.interrupt()
        thread.join()
        self.assertEqual(answers[0].status, 200)


if __name__ == "__main__":
    server.main()
