#!/usr/bin/env python3
"""The OpenAI images API from outside, request by request; openai_client_test.py has the same through its own client library."""
import base64
import contextlib
import io
import json
import re
import sqlite3
import threading
import time
import zlib

import server

PNG = b"\x89PNG\r\n\x1a\n"


def png_size(data):
    assert data.startswith(PNG), data[:16]
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def png(width=8, height=8):
    """A grey picture."""
    def chunk(name, data):
        body = name + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    return PNG + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * width) * height)) + chunk(b"IEND", b"")


def form(parts, boundary="x"):
    """(name, file name or None, bytes) as multipart/form-data: the body and its type."""
    body = io.BytesIO()
    for name, file, data in parts:
        kind = f'; filename="{file}"\r\nContent-Type: image/png' if file is not None else ""
        body.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{kind}\r\n\r\n'.encode() + data + b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue(), f"multipart/form-data; boundary={boundary}"


def events(data):
    """The events of a stream: (name, JSON)."""
    found = []
    for block in data.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


class Images(server.Case):
    @classmethod
    def setUpClass(cls):
        cls.made = server.Server("--metrics", "-m", "tiny.safetensors").start()

    @classmethod
    def tearDownClass(cls):
        cls.made.kill()

    def generate(self, to=None, path="/v1/images/generations", headers=None, **body):
        body = {"prompt": "a lighthouse", "size": "64x64", "steps": 2, **body}
        return (to or self.made).post(path, {key: value for key, value in body.items() if value is not ...}, **(headers or {}))

    def pictures(self, answer):
        self.assertEqual(answer.status, 200, answer)
        return [base64.b64decode(item["b64_json"], validate=True) for item in answer.json()["data"]]

    def refused(self, answer, status, param=None):
        """An error in the shape of the API, which is not to be tried again."""
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        error = answer.json()["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        self.assertEqual(error["param"], param)
        self.assertEqual(answer.headers["x-should-retry"], "false")
        return error

    def metric(self, name, of=None):
        text = (of or self.made).get("/metrics").body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        self.assertIsNotNone(found, name)
        return float(found[1])

    def jobs(self, result="done", of=None):
        return self.metric(f'darkroom_jobs_total{{result="{result}"}}', of)

    # ---- what is asked for ----

    def test_T67_b64_json_is_a_picture_and_no_url(self):
        answer = self.generate(response_format="b64_json").json()
        self.assertEqual([set(item) for item in answer["data"]], [{"b64_json"}])
        self.assertEqual(png_size(base64.b64decode(answer["data"][0]["b64_json"], validate=True)), (64, 64))

    def test_T67_without_response_format_it_is_b64_json(self):
        for given in (..., None, ""):
            self.assertEqual(set(self.generate(response_format=given).json()["data"][0]), {"b64_json"})

    def test_T67_url_can_be_fetched(self):
        item, = self.generate(response_format="url", seed=3).json()["data"]
        self.assertEqual(set(item), {"url"})
        base = f"http://127.0.0.1:{self.made.port}"
        self.assertRegex(item["url"], "^" + re.escape(base) + "/v1/images/files/[0-9a-f]{32}$")
        file = self.made.get(item["url"][len(base):])
        self.assertEqual((file.status, file.headers["Content-Type"]), (200, "image/png"))
        self.assertEqual(file.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(file.body, self.pictures(self.generate(seed=3))[0])
        self.assertEqual(self.made.ask("HEAD", item["url"][len(base):]).status, 200)

    def test_T67_url_names_the_host_that_was_asked(self):
        item, = self.generate(response_format="url", headers={"Host": f"localhost:{self.made.port}"}).json()["data"]
        self.assertTrue(item["url"].startswith(f"http://localhost:{self.made.port}/"), item)
        item, = self.generate(response_format="url", headers={"X-Forwarded-Proto": "https"}).json()["data"]
        self.assertTrue(item["url"].startswith("https://127.0.0.1:"), item)

    def test_T67_url_by_option(self):
        made = self.server("--openai-format", "url", "-m", "tiny.safetensors")
        self.assertEqual(set(self.generate(made).json()["data"][0]), {"url"})
        self.assertEqual(set(self.generate(made, response_format="b64_json").json()["data"][0]), {"b64_json"})

    def test_T67_url_expires(self):
        made = self.server("-m", "tiny.safetensors")
        item, = self.generate(made, response_format="url").json()["data"]
        path = "/" + item["url"].split("/", 3)[3]
        self.assertEqual(made.get(path).status, 200)
        self.assertEqual(made.stop(), 0)
        with sqlite3.connect(made.data / "darkroom.db") as database:
            self.assertEqual(database.execute("UPDATE picture SET created_s = created_s - 3700").rowcount, 1)
        database.close()
        made.start()
        self.assertEqual(self.refused(made.get(path), 404)["message"], "the address has expired after 60 minutes")

    def test_T67_url_of_nothing(self):
        for name in ("0" * 32, "..%2fdarkroom.db", "x"):
            self.refused(self.made.get(f"/v1/images/files/{name}"), 404)

    def test_T68_answer_has_created_and_size(self):
        answer = self.generate(size="72x64")
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        value = answer.json()
        self.assertIsInstance(value["created"], int)
        self.assertEqual((value["size"], value["output_format"]), ("72x64", "png"))
        self.assertEqual(png_size(self.pictures(answer)[0]), (72, 64))

    def test_T68_size_that_is_no_multiple_of_8_is_obeyed(self):
        self.assertEqual(png_size(self.pictures(self.generate(size="70x58"))[0]), (70, 58))

    def test_T68_no_size_is_the_models_own(self):
        sizes = {png_size(self.pictures(self.generate(size=given, steps=1))[0]) for given in (..., None, "auto", "")}
        self.assertEqual(len(sizes), 1)
        self.assertGreaterEqual(min(sizes.pop()), 64)

    def test_T68_wrong_sizes_are_refused(self):
        for size in ("abc", "64", "0x64", "-64x64", "64x", "100000x100000", 64):
            self.refused(self.generate(size=size), 400, "size")

    def test_T69_n(self):
        self.assertEqual(len(set(self.pictures(self.generate(n=2)))), 2)
        for n in (None, 1, "1", 1.0):
            self.assertEqual(len(self.pictures(self.generate(n=n))), 1)
        for n in (0, 11, -1, 1.5, "many"):
            self.refused(self.generate(n=n), 400, "n")

    def test_samplers_and_noise_are_in_A1111s_words(self):
        more = {"sampler_name": "Euler a", "scheduler": "karras", "seed": 5, "subseed": 9, "subseed_strength": 0.25, "eta": 0.5}
        other = self.made.post("/sdapi/v1/txt2img", {"prompt": "a lighthouse", "steps": 2, "width": 64, "height": 64, **more})
        self.assertEqual(self.pictures(self.generate(**more)), [base64.b64decode(other.json()["images"][0])])
        self.refused(self.generate(sampler_name="no such"), 404, "sampler_name")
        self.refused(self.generate(eta=7), 400, "eta")
        self.refused(self.generate(prompt="<lora:nothing:1>"), 404, "prompt")

    def test_T71_other_fields_are_ignored(self):
        picture, = self.pictures(self.generate(seed=4))
        same, = self.pictures(self.generate(seed=4, quality="hd", style="vivid", user="u", moderation="low", background="opaque",
                                            input_fidelity="high", safety_identifier="s", complexity=3))
        self.assertEqual(picture, same)

    def test_T72_names_of_other_services_mean_the_current_model(self):
        picture, = self.pictures(self.generate(seed=5))
        for model in (None, "", "dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "tiny", "tiny.safetensors"):
            self.assertEqual(self.pictures(self.generate(seed=5, model=model)), [picture], model)

    def test_T72_another_model_of_the_list_is_used(self):
        names = [model["id"] for model in self.made.get("/v1/models").json()["data"]]
        self.assertEqual(sorted(names), ["other", "tiny"])
        tiny, other = (self.pictures(self.generate(seed=6, model=name)) for name in ("tiny", "other"))
        self.assertNotEqual(tiny, other)
        self.assertEqual(self.pictures(self.generate(seed=6)), tiny)

    def test_T72_unknown_model(self):
        error = self.refused(self.generate(model="sd-of-nobody"), 404, "model")
        self.assertEqual(error["code"], "model_not_found")
        self.assertIn("tiny", error["message"])
        self.assertEqual(self.refused(self.made.get("/v1/models/nobody"), 404, "model")["code"], "model_not_found")

    def test_T72_models(self):
        answer = self.made.get("/v1/models").json()
        self.assertEqual(answer["object"], "list")
        for model in answer["data"]:
            self.assertEqual((model["object"], model["owned_by"]), ("model", "darkroom"))
            self.assertIsInstance(model["created"], int)
            self.assertEqual(self.made.get(f"/v1/models/{model['id']}").json(), model)

    def test_paths_without_v1(self):
        self.assertEqual(self.made.get("/models").json(), self.made.get("/v1/models").json())
        self.assertEqual(len(self.pictures(self.generate(path="/images/generations"))), 1)

    def test_output_format(self):
        answer = self.generate(output_format="jpeg", output_compression=60)
        self.assertTrue(self.pictures(answer)[0].startswith(b"\xff\xd8\xff"))
        self.assertEqual(answer.json()["output_format"], "jpeg")
        self.refused(self.generate(output_format="webp"), 422, "output_format")
        self.refused(self.generate(output_format="gif"), 400, "output_format")

    # ---- texts ----

    def test_T14_any_prompt(self):
        for prompt in ('"\\ud83d\\ude00 \\u00e9"', '"a \\ud83d b"', '"a\\u0000b"', json.dumps("a (b) " * 3400)):
            body = b'{"size":"64x64","steps":1,"prompt":' + prompt.encode() + b"}"
            answer = self.made.post("/v1/images/generations", body, Content_Type="application/json")
            self.assertEqual(answer.status, 200, answer)
            answer.body.decode("utf-8")

    def test_T23_malformed_bodies(self):
        for body in (b"{", b'{"prompt":}', b"[" * 100000, b'{"prompt":"a","seed":' + b"9" * 5000000 + b"}", b'{"prompt":"\xff"}',
                     b'{"prompt":"a"} x', b'{"prompt":NaN}'):
            answer = self.made.post("/v1/images/generations", body, Content_Type="application/json")
            self.refused(answer, 400)
        self.assertEqual(self.generate().status, 200)

    def test_T23_of_two_members_the_last_counts(self):
        body = b'{"prompt":"a","size":"abc","steps":1,"size":"64x64"}'
        self.assertEqual(self.made.post("/v1/images/generations", body, Content_Type="application/json").status, 200)

    def test_bodies_that_are_no_object(self):
        for body in (b"", b'""', b"[]", b"null", b"5"):
            self.refused(self.made.post("/v1/images/generations", body, Content_Type="application/json"), 400)

    # ---- edits ----

    def test_T70_forms_are_read(self):
        """Edits are not built: a form that is whole is answered 501, one that is not 400 with the field."""
        picture = png()
        forms = (
            [("prompt", None, b"a"), ("image", "a.png", picture)],
            [("image[]", "a.png", picture), ("image[]", "b.png", picture), ("mask", "m.png", picture), ("prompt", None, b"a")],
            [("n", None, b"2"), ("image", "", b"--x\r\n--xx" + picture), ("size", None, b"64x64"), ("prompt", None, "é".encode())],
        )
        for number, parts in enumerate(forms):
            for boundary in ("x", "-----------------------------9051914041544843365972754266", "a'()+_,-./:=?"):
                body, kind = form(parts, boundary)
                if not boundary.isalnum() and "?" in boundary:
                    kind = f'multipart/form-data; boundary="{boundary}"'
                path = ("/v1/images/edits", "/images/edits")[number % 2]
                self.refused(self.made.post(path, body, Content_Type=kind), 501)

    def test_T70_forms_that_lack_something(self):
        picture = png()
        for parts, param in (([("image", "a.png", picture)], "prompt"), ([("prompt", None, b"a")], "image"),
                             ([("prompt", None, b"a"), ("image", "a.png", picture), ("n", None, b"11")], "n"),
                             ([("prompt", None, b"a"), ("image", "a.png", picture), ("size", None, b"abc")], "size")):
            body, kind = form(parts)
            self.refused(self.made.post("/v1/images/edits", body, Content_Type=kind), 400, param)
        body, kind = form([("prompt", None, b"\xff"), ("image", "a.png", picture)])
        self.refused(self.made.post("/v1/images/edits", body, Content_Type=kind), 400)
        self.refused(self.made.post("/v1/images/edits", body[:-20], Content_Type=kind), 400)

    def test_R15_forms_are_for_edits_alone_and_not_for_other_sites(self):
        body, kind = form([("prompt", None, b"a"), ("image", "a.png", png())])
        self.assertEqual(self.made.post("/v1/images/generations", body, Content_Type=kind).status, 415)
        self.assertEqual(self.made.post("/v1/images/edits", b"{}", Content_Type="application/json").status, 415)
        before = self.jobs()
        for origin in ("https://evil.example", "null"):
            self.assertEqual(self.made.post("/v1/images/edits", body, Content_Type=kind, Origin=origin).status, 403)
            self.assertEqual(self.generate(headers={"Origin": origin}).status, 403)
        self.assertEqual(self.jobs(), before)

    def test_variations_are_not_there(self):
        body, kind = form([("image", "a.png", png())])
        self.refused(self.made.post("/v1/images/variations", body, Content_Type=kind), 404)

    # ---- retries ----

    def together(self, *calls):
        """The answers of calls that run at once."""
        answers = [None] * len(calls)
        threads = []
        for number, call in enumerate(calls):
            def run(number=number, call=call):
                answers[number] = call()
            threads.append(threading.Thread(target=run))
            threads[-1].start()
        for thread in threads:
            thread.join(server.LIMIT_S)
        return answers

    def test_T73_a_retry_joins_the_job_that_runs(self):
        before = self.jobs()
        body = {"prompt": "a retry that runs", "n": 4, "steps": 20}
        first = threading.Thread(target=lambda: answers.append(self.generate(**body)))
        answers = []
        first.start()
        self.wait_for(lambda: self.metric("darkroom_running_jobs") == 1 or answers, "the job to run")
        answers.append(self.generate(headers={"x-stainless-retry-count": "1"}, **body))
        first.join()
        self.assertEqual(self.pictures(answers[0]), self.pictures(answers[1]))
        self.assertEqual(self.jobs(), before + 1)

    def test_T73_a_retry_joins_the_job_that_has_just_ended(self):
        before = self.jobs()
        pictures = self.pictures(self.generate(prompt="a retry that comes late"))
        retry = self.generate(prompt="a retry that comes late", headers={"x-stainless-retry-count": "2"})
        self.assertEqual(self.pictures(retry), pictures)
        self.assertEqual(self.jobs(), before + 1)

    def test_T73_the_same_request_again_is_another_job(self):
        before = self.jobs()
        answers = [self.generate(prompt="twice", headers={"x-stainless-retry-count": "0"}) for _ in range(2)]
        self.assertNotEqual(*map(self.pictures, answers))
        self.assertEqual(self.jobs(), before + 2)

    def test_T73_another_body_joins_nothing(self):
        pictures = self.pictures(self.generate(prompt="one"))
        self.assertNotEqual(self.pictures(self.generate(prompt="two", headers={"x-stainless-retry-count": "1"})), pictures)

    def test_T73_an_idempotency_key_joins(self):
        before = self.jobs()
        key = {"Idempotency-Key": "a key"}
        one, two = self.together(*[lambda: self.generate(prompt="by key", headers=key)] * 2)
        self.assertEqual(self.pictures(one), self.pictures(two))
        self.assertEqual(self.jobs(), before + 1)
        self.refused(self.generate(prompt="another with the key", headers=key), 400)

    def test_T73_errors_say_that_they_stay(self):
        self.refused(self.generate(size="abc"), 400, "size")
        self.refused(self.made.post("/v1/images/nothing", {}), 404)
        self.refused(self.made.post("/v1/models", {}), 405)

    def test_a_client_that_goes_cancels_its_job(self):
        for stream in (False, True):
            before = self.jobs("cancelled")
            body = json.dumps({"prompt": "gone", "n": 10, "steps": 200, "size": "128x128", "stream": stream}).encode()
            with self.made.socket() as made:
                made.sendall(b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\n"
                             b"Content-Length: %d\r\n\r\n" % (self.made.port, len(body)) + body)
                self.wait_for(lambda: self.metric("darkroom_running_jobs") == 1, "the job to run")
            self.wait_for(lambda: self.metric("darkroom_running_jobs") == 0, "the job to end")
            self.assertEqual(self.jobs("cancelled"), before + 1)

    def test_a_client_that_goes_may_leave_its_job(self):
        before = self.jobs()
        body = json.dumps({"prompt": "left", "n": 2, "steps": 20, "size": "64x64", "keep_on_disconnect": True}).encode()
        with self.made.socket() as made:
            made.sendall(b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n" % (self.made.port, len(body)) + body)
            self.wait_for(lambda: self.metric("darkroom_running_jobs") == 1 or self.jobs() > before, "the job to run")
        self.wait_for(lambda: self.jobs() == before + 1, "the job to be done")

    # ---- streams ----

    def test_T74_a_retry_that_joins_and_goes_leaves_the_job_to_the_stream(self):
        for n in (2, 10):
            body = {"prompt": "a stream is joined", "size": "128x128", "n": n, "steps": 150}
            with contextlib.closing(self.made.connection()) as line:
                line.request("POST", "/v1/images/generations", json.dumps({**body, "stream": True}), {"Content-Type": "application/json"})
                self.wait_for(lambda: self.metric("darkroom_running_jobs") == 1, "the job to run")
                with self.made.socket() as retry:
                    retry.sendall(self.retry_of({**body, "stream": True}))
                    time.sleep(1)  # it joins
                time.sleep(1)  # its leaving is noticed
                runs = self.metric("darkroom_running_jobs") == 1
                found = events(line.getresponse().read())
            self.assertEqual([name for name, _ in found if name != "image_generation.partial_image"],
                             ["image_generation.completed"] * n)
            if runs:
                return
        self.fail("both jobs ended before the retry had gone")

    def retry_of(self, body):
        """The bytes of a request."""
        data = json.dumps(body).encode()
        return (b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\n"
                b"x-stainless-retry-count: 1\r\nContent-Length: %d\r\n\r\n" % (self.made.port, len(data)) + data)

    def test_T74_the_picture_comes_as_an_event(self):
        answer = self.generate(stream=True, seed=8)
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
        (name, data), = events(answer.body)
        self.assertEqual((name, data["type"]), ("image_generation.completed",) * 2)
        self.assertEqual(base64.b64decode(data["b64_json"]), self.pictures(self.generate(seed=8))[0])
        self.assertIsInstance(data["created_at"], int)
        self.assertEqual((data["size"], data["output_format"]), ("64x64", "png"))

    def test_T74_each_picture_of_several(self):
        found = events(self.generate(stream=True, n=2, seed=9, partial_images=0).body)
        self.assertEqual([name for name, _ in found], ["image_generation.completed"] * 2)
        self.assertEqual([base64.b64decode(data["b64_json"]) for _, data in found], self.pictures(self.generate(n=2, seed=9)))

    def test_T74_previews_come_while_it_runs(self):
        """As many as are asked for at most: a short job may end before there is one."""
        for _ in range(5):
            found = events(self.generate(stream=True, partial_images=2, steps=200, size="256x256").body)
            self.assertEqual(found[-1][0], "image_generation.completed")
            partial = [data for name, data in found[:-1] if name == "image_generation.partial_image"]
            self.assertEqual(len(partial), len(found) - 1)
            self.assertLessEqual(len(partial), 2)
            self.assertEqual([data["partial_image_index"] for data in partial], list(range(len(partial))))
            for data in partial:
                png_size(base64.b64decode(data["b64_json"], validate=True))
            if partial:
                return
        self.fail("no preview came with any of five jobs")

    def test_T74_errors_before_the_job_are_answers(self):
        self.refused(self.generate(stream=True, size="abc"), 400, "size")
        self.refused(self.generate(stream=True, partial_images=4), 400, "partial_images")

    def test_T74_an_error_of_the_job_is_an_event(self):
        made = self.server("-m", "tiny.safetensors", "--budget", "300M", "--max-pixels", "100M")
        (name, data), = events(self.generate(made, stream=True, size="8192x8192").body)
        self.assertEqual((name, data["type"]), ("error", "error"))
        self.assertEqual(data["error"]["code"], "over_budget")
        self.assertEqual(self.refused(self.generate(made, size="8192x8192"), 507)["code"], "over_budget")

    def test_no_model(self):
        made = self.server(models=False)
        error = self.refused(self.generate(made), 404, "model")
        self.assertEqual(error["code"], "model_not_found")
        self.assertEqual(made.get("/v1/models").json()["data"], [])


if __name__ == "__main__":
    server.main()
