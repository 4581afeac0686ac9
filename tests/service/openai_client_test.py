#!/usr/bin/env python3
"""A script of the openai package's images API, as people write it, with its own retries."""
import base64
import os
import threading

import server
import client_venv

client_venv.use("openai", "openai==3.57.0")

import openai

PNG = b"\x89PNG\r\n\x1a\n"


class Script(server.Case):
    @classmethod
    def setUpClass(cls):
        cls.made = server.Server("-m", "tiny.safetensors").start()
        cls.client = cls.client_of(cls.made)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        assert cls.made.stop() == 0, cls.made.errors()

    @staticmethod
    def client_of(made, **more):
        return openai.OpenAI(base_url=f"http://127.0.0.1:{made.port}/v1", **{"api_key": "none", **more})

    def generate(self, client=None, **more):
        return (client or self.client).images.generate(**{"prompt": "a lighthouse", "size": "64x64", "extra_body": {"steps": 2}, **more})

    def jobs(self):
        return self.made.get("/api/v1/jobs?limit=200").json()["jobs"]

    def test_models(self):
        names = [model.id for model in self.client.models.list()]
        self.assertEqual(sorted(names), ["other", "tiny"])
        self.assertEqual(self.client.models.retrieve("tiny").owned_by, "darkroom")

    def test_generate(self):
        made = self.generate(model="gpt-image-1", n=2, quality="high", user="somebody", extra_body={"seed": 5, "steps": 2})
        self.assertEqual(len(made.data), 2)
        self.assertIsInstance(made.created, int)
        self.assertEqual((made.size, made.output_format), ("64x64", "png"))
        for item in made.data:
            self.assertTrue(base64.b64decode(item.b64_json).startswith(PNG))
            self.assertIsNone(item.url)
        again = self.generate(model="tiny", n=2, extra_body={"seed": 5, "steps": 2})
        self.assertEqual([item.b64_json for item in again.data], [item.b64_json for item in made.data])

    def test_url(self):
        item, = self.generate(model="dall-e-3", response_format="url").data
        self.assertIsNone(item.b64_json)
        self.assertTrue(self.made.get("/" + item.url.split("/", 3)[3]).body.startswith(PNG))

    def test_jpeg(self):
        made = self.generate(output_format="jpeg", output_compression=50)
        self.assertTrue(base64.b64decode(made.data[0].b64_json).startswith(b"\xff\xd8"))

    def test_stream(self):
        with self.generate(stream=True, partial_images=2, n=1) as stream:
            events = list(stream)
        self.assertEqual(events[-1].type, "image_generation.completed")
        self.assertTrue(base64.b64decode(events[-1].b64_json).startswith(PNG))
        self.assertTrue(all(event.type == "image_generation.partial_image" for event in events[:-1]))

    def test_errors(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.generate(model="nobody's")
        self.assertEqual((caught.exception.code, caught.exception.param), ("model_not_found", "model"))
        with self.assertRaises(openai.BadRequestError) as caught:
            self.generate(size="large")
        self.assertEqual(caught.exception.param, "size")
        with self.assertRaises(openai.InternalServerError) as caught:
            self.client.images.edit(image=("a.png", PNG, "image/png"), prompt="a hat")
        self.assertEqual(caught.exception.status_code, 501)
        with self.assertRaises(openai.BadRequestError):
            self.client.images.edit(image=[("a.png", PNG, "image/png")], mask=("m.png", PNG, "image/png"), prompt="a hat", n=50)

    def test_an_error_that_stays_is_not_asked_for_again(self):
        """501 is one that the client would repeat twice."""
        made = self.server("-m", "tiny.safetensors", "--access-log", "-")
        with self.client_of(made) as client, self.assertRaises(openai.InternalServerError):
            client.images.edit(image=("a.png", PNG, "image/png"), prompt="a hat")
        self.assertEqual(made.stop(), 0)
        self.assertEqual(made.errors().count("/v1/images/edits 501"), 1, made.errors())

    def test_a_client_that_gives_up_waiting_gets_its_picture_by_a_retry(self):
        """The client's own time limit is shorter than the job; what keeps its job makes one picture all the same."""
        before = len(self.jobs())
        job = {"prompt": "slow", "n": 1, "size": "256x256", "extra_body": {"steps": 40, "keep_on_disconnect": True}}
        with self.client_of(self.made, timeout=0.5, max_retries=200) as client:
            item, = self.generate(client, **job).data
        self.assertTrue(base64.b64decode(item.b64_json).startswith(PNG))
        self.assertEqual(len(self.jobs()), before + 1)

    def test_key(self):
        users = self.folder / "users"
        users.write_text("key:a-token\n", encoding="ascii")
        os.chmod(users, 0o600)
        made = self.server("-m", "tiny.safetensors", "--auth-file", users)
        with self.client_of(made, api_key="wrong") as client, self.assertRaises(openai.AuthenticationError):
            self.generate(client)
        with self.client_of(made, api_key="a-token") as client:
            self.assertEqual(len(self.generate(client).data), 1)

    def test_several_at_once(self):
        made = []
        threads = [threading.Thread(target=lambda seed=seed: made.append(self.generate(extra_body={"seed": seed, "steps": 1})))
                   for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(server.LIMIT_S)
        self.assertEqual(len({answer.data[0].b64_json for answer in made}), 6)


if __name__ == "__main__":
    server.main()
