#!/usr/bin/env python3
"""The gallery over HTTP: lists, files, thumbnails, search, removal, and who sees what."""
import server

USERS = "ann:first secret\nbob:second secret\n"


class Gallery(server.Case):
    def make(self, instance, prompt, **more):
        """A picture of 64 x 64 pixels; its entry."""
        headers = more.pop("headers", {})
        body = {"prompt": prompt, "size": "64x64", "seed": 7, "steps": 2, **more}
        answer = instance.post("/v1/images/generations", body, **headers)
        self.assertEqual(answer.status, 200, answer)
        return instance.get("/api/v1/images?limit=1", **headers).json()["images"][0]

    def test_R01_R19_R20_a_picture_and_its_headers(self):
        instance = self.server("-m", "tiny")
        image = self.make(instance, "a <b>lighthouse</b>")
        self.assertEqual((image["width"], image["height"], image["seed"], image["format"]), (64, 64, 7, "png"))
        answer = instance.get(image["url"])
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Content-Type"], "image/png")
        self.assertEqual(len(answer.body), image["bytes"])
        self.assertTrue(answer.body.startswith(b"\x89PNG"))
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(answer.headers["Cross-Origin-Resource-Policy"], "same-origin")
        self.assertIn("private", answer.headers["Cache-Control"])
        again = instance.get(image["url"], If_None_Match=answer.headers["ETag"])
        self.assertEqual((again.status, again.body), (304, b""))
        head = instance.ask("HEAD", image["url"])
        self.assertEqual((head.status, head.headers["Content-Length"], head.body), (200, str(image["bytes"]), b""))
        small = instance.get(image["thumbnail"])
        self.assertEqual(small.headers["Content-Type"], "image/jpeg")
        self.assertTrue(small.body.startswith(b"\xff\xd8\xff"))
        self.assertEqual(instance.get(image["thumbnail"]).body, small.body)
        raw = instance.get(image["url"] + "/parameters")
        self.assertNotIn(b"<b>", raw.body)
        self.assertIn("Steps: 2", raw.json()["parameters"])
        files = sorted(path.name for path in (instance.data / "images").iterdir())
        self.assertEqual(files, [image["id"] + ".png"])

    def test_a_jpeg_has_a_thumbnail_too(self):
        instance = self.server("-m", "tiny")
        image = self.make(instance, "sea", output_format="jpeg")
        self.assertEqual(image["format"], "jpeg")
        self.assertEqual(instance.get(image["url"]).headers["Content-Type"], "image/jpeg")
        self.assertEqual(instance.get(image["thumbnail"]).status, 200)

    def test_search_pages_and_removal(self):
        instance = self.server("-m", "tiny")
        made = [self.make(instance, prompt) for prompt in ("red house", "blue house", "red tree")]
        found = instance.get("/api/v1/images?q=RED").json()["images"]
        self.assertEqual([image["id"] for image in found], [made[2]["id"], made[0]["id"]])
        page = instance.get("/api/v1/images?limit=2").json()
        self.assertEqual([image["id"] for image in page["images"]], [made[2]["id"], made[1]["id"]])
        page = instance.get(f"/api/v1/images?limit=2&before={page['next']}").json()
        self.assertEqual([image["id"] for image in page["images"]], [made[0]["id"]])
        self.assertIsNone(page["next"])
        instance.get(made[1]["thumbnail"])
        self.assertEqual(instance.ask("DELETE", made[1]["url"]).status, 200)
        for path in (made[1]["url"], made[1]["thumbnail"], made[1]["url"] + "/parameters"):
            self.assertEqual(instance.get(path).status, 404, path)
        self.assertEqual(instance.ask("DELETE", made[1]["url"]).status, 404)
        left = {path.name for folder in ("images", "thumbnails") for path in (instance.data / folder).iterdir()}
        self.assertEqual(left, {made[0]["id"] + ".png", made[2]["id"] + ".png"})
        instance.stop()
        instance.start()
        self.assertEqual(len(instance.get("/api/v1/images").json()["images"]), 2)

    def test_a_request_cannot_leave_the_directory(self):
        """R02, R05: nothing of a request is a path, and only ids name pictures."""
        instance = self.server("-m", "tiny")
        self.make(instance, "../../../../tmp/x", filename="../x", outpath_samples="/tmp", samples_filename_pattern="../[seed]")
        for name in ("..%2fdarkroom.db", "..", "%2e%2e%2fdarkroom.db", "darkroom.db", "0" * 32, "lock", "%00", "x" * 4000):
            for rest in ("", "/thumbnail", "/parameters"):
                answer = instance.get(f"/api/v1/images/{name}{rest}")
                self.assertIn(answer.status, (400, 404, 414), name)
                self.assertNotIn(b"SQLite", answer.body)
        self.assertEqual(len(list((instance.data / "images").iterdir())), 1)

    def test_R34_users_see_their_own(self):
        users = self.folder / "users.txt"
        users.write_text(USERS)
        users.chmod(0o600)
        instance = self.server("-m", "tiny", "--auth-file", users)
        ann = {"Authorization": server.basic("ann", "first secret")}
        bob = {"Authorization": server.basic("bob", "second secret")}
        image = self.make(instance, "sea", headers=ann)
        self.assertEqual(instance.get("/api/v1/images").status, 401)
        self.assertEqual(instance.get("/api/v1/images", **bob).json()["images"], [])
        self.assertEqual(instance.get("/api/v1/images?q=sea", **bob).json()["images"], [])
        for path in (image["url"], image["thumbnail"], image["url"] + "/parameters"):
            self.assertEqual(instance.get(path, **ann).status, 200, path)
            self.assertEqual(instance.get(path, **bob).status, 404, path)
        self.assertEqual(instance.ask("DELETE", image["url"], **bob).status, 404)
        job = f"/api/v1/jobs/{image['job']}"
        self.assertEqual([len(instance.get("/api/v1/jobs", **who).json()["jobs"]) for who in (ann, bob)], [1, 0])
        self.assertEqual([instance.get(job, **who).status for who in (ann, bob)], [200, 404])
        self.assertEqual(instance.ask("DELETE", job, **bob).status, 404)
        self.assertEqual(instance.get(image["url"], **ann).status, 200)

    def test_U02_a_picture_has_nothing_of_the_job_before(self):
        """The same request gives the same bytes, whatever ran before it."""
        instance = self.server("-m", "tiny")
        first = instance.get(self.make(instance, "sea")["url"]).body
        self.make(instance, "a red house, and very many other words", size="128x64", seed=1)
        self.assertEqual(instance.get(self.make(instance, "sea")["url"]).body, first)

    def test_U02_an_interrupted_batch_has_its_own_pictures(self):
        """What is there of it is what the whole batch has at that place; nothing is half made."""
        instance = self.server("-m", "tiny")
        body = {"prompt": "sea", "width": 64, "height": 64, "steps": 40, "seed": 3, "batch_size": 4, "save_images": True}

        def job(number):
            return instance.get(f"/api/v1/jobs/{number}").json()

        def is_over(number):
            return job(number)["state"] not in ("queued", "running")

        whole = instance.post("/api/v1/jobs", body).json()["id"]
        self.wait_for(lambda: is_over(whole))
        pictures = [instance.get(f"/api/v1/images/{image}").body for image in job(whole)["images"]]
        self.assertEqual(len(pictures), 4)
        self.make(instance, "another picture in between", size="128x64")
        part = instance.post("/api/v1/jobs", body).json()["id"]
        self.wait_for(lambda: job(part)["images"] or is_over(part))
        self.assertEqual(instance.ask("DELETE", f"/api/v1/jobs/{part}").status, 200)
        self.wait_for(lambda: is_over(part))
        made = [instance.get(f"/api/v1/images/{image}").body for image in job(part)["images"]]
        self.assertGreater(len(made), 0)
        self.assertEqual(made, pictures[:len(made)])
        self.assertEqual(job(part)["state"], "cancelled" if len(made) < 4 else "done")


if __name__ == "__main__":
    server.main()
