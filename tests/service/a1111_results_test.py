#!/usr/bin/env python3
"""The A1111 API from outside: what answers hold, and pictures that come with requests."""
import base64
import json
import re
import socket
import threading

import a1111
import server


class Results(a1111.Case):
    def test_T33_a_batch(self):
        made = self.make(batch_size=2, n_iter=2)
        info = json.loads(made["info"])
        self.assertEqual(len(made["images"]), 4)
        self.assertEqual(len(set(made["images"])), 4)
        self.assertEqual((info["index_of_first_image"], len(info["infotexts"])), (0, 4))
        self.assertEqual(info["all_seeds"], [5, 6, 7, 8])
        self.assertEqual(len(info["all_prompts"]), 4)
        self.assertEqual((made["parameters"]["batch_size"], made["parameters"]["n_iter"]), (2, 2))
        self.assertEqual(a1111.decode(made["images"][2]), self.picture(seed=7))

    def test_T34_without_images(self):
        made = self.make(send_images=False)
        self.assertEqual(made["images"], [])
        self.assertEqual(len(json.loads(made["info"])["infotexts"]), 1)

    def test_T35_sides_of_any_length(self):
        made = self.make(width=70, height=58)
        info = json.loads(made["info"])
        self.assertEqual(a1111.size(a1111.decode(made["images"][0])), (70, 58))
        self.assertEqual((info["width"], info["height"]), (70, 58))

    def test_T36_the_type_of_a_data_url_is_not_believed(self):
        jpeg = self.picture(override_settings={"samples_format": "jpg"})
        self.assertTrue(jpeg.startswith(a1111.JPEG))
        made = self.picture("img2img", init_images=["data:image/png;base64," + a1111.encode(jpeg)])
        self.assertEqual(a1111.size(made), (64, 64))
        for data in (b"GIF89a" + bytes(40), b"RIFF\x20\0\0\0WEBPVP8 " + bytes(40), b"BM" + bytes(60), b"<svg/>"):
            self.refused("init_images[0] is not a PNG or JPEG", 422, "img2img", init_images=[a1111.encode(data)])

    def test_T37_every_kind_of_png(self):
        for kind in ({"colour": 0}, {"colour": 4}, {"colour": 6}, {"colour": 3}, {"colour": 2, "bits": 16}, {"colour": 0, "bits": 16},
                     {"colour": 6, "bits": 16}, {"interlaced": True}, {"colour": 3, "interlaced": True},
                     {"colour": 4, "bits": 16, "interlaced": True}):
            with self.subTest(**kind):
                plain = kind | {"interlaced": False}
                made = self.picture("img2img", init_images=[a1111.encode(a1111.png(**kind))])
                self.assertEqual(made, self.picture("img2img", init_images=[a1111.encode(a1111.png(**plain))]))

    def test_T38_base64_with_and_without_a_prefix(self):
        data = a1111.png()
        plain = self.picture("img2img", init_images=[a1111.encode(data)])
        for text in ("data:image/png;base64," + a1111.encode(data), base64.encodebytes(data).decode(),
                     a1111.encode(data).rstrip("=")):
            self.assertEqual(self.picture("img2img", init_images=[text]), plain)
        self.assertEqual(self.picture("img2img", init_images=a1111.encode(data)), plain)
        self.assertNotEqual(self.picture("img2img", init_images=[a1111.encode(a1111.png(shade=9))]), plain)

    def test_T39_what_is_no_picture(self):
        for text in ("not base64!", "aGVsbG8gd29ybGQ=", "data:text/html;base64,aGVsbG8=", "A"):
            self.refused("init_images", 422, "img2img", init_images=[text])
        self.refused("init_images", 422, "img2img", init_images=[5])
        whole = a1111.png()
        for data in (whole[:20], whole[:60], a1111.PNG + b"x" * 100):
            self.refused("", (400, 422), "img2img", init_images=[a1111.encode(data)])
        self.assertTrue(self.is_idle())

    def test_a_strength_that_leaves_no_step_takes_one(self):
        begin = [a1111.encode(a1111.png())]
        make = lambda strength, **more: self.picture("img2img", init_images=begin, denoising_strength=strength, **more)
        one = make(0.5)  # of two steps
        for strength in (0, 0.01, 0.49):
            self.assertEqual(self.pixels(make(strength)), self.pixels(one), strength)
        self.assertNotEqual(self.pixels(make(1)), self.pixels(one))
        self.assertEqual(self.pixels(make(0, steps=30)), self.pixels(make(0.034, steps=30)))
        self.assertEqual(a1111.size(make(0.01, steps=None)), (64, 64))
        info = self.info("img2img", init_images=begin, denoising_strength=0.01)
        self.assertEqual(info["denoising_strength"], 0.01)
        self.assertIn("Denoising strength: 0.5", info["infotexts"][0])

    @staticmethod
    def pixels(png):
        """The packed pixels: the text beside them may be another."""
        at, found = 8, b""
        while at < len(png):
            count = int.from_bytes(png[at:at + 4], "big")
            if png[at + 4:at + 8] == b"IDAT":
                found += png[at + 8:at + 8 + count]
            at += 12 + count
        return found

    def test_T40_no_picture_to_begin_with(self):
        self.refused("Init image not found", 404, "img2img")
        for images in ([], None, [""], [None]):
            self.refused("Init image not found", 404, "img2img", init_images=images)
        self.assertEqual(self.picture(init_images=[]), self.picture())
        self.assertEqual(self.picture(init_images=[a1111.encode(a1111.png())]), self.picture())

    def test_T41_T42_inpainting_is_not_built(self):
        image = a1111.encode(a1111.png())
        self.refused("mask", 501, "img2img", init_images=[image], mask=image)
        plain = self.picture("img2img", init_images=[image])
        for mask in ("", None):
            self.assertEqual(self.picture("img2img", init_images=[image], mask=mask, inpainting_mask_invert=None), plain)

    def test_T43_pictures_are_not_sent_back(self):
        data = a1111.png()
        made = self.make("img2img", init_images=[a1111.encode(data)])
        self.assertIsNone(made["parameters"]["init_images"])
        self.assertIsNone(made["parameters"]["mask"])
        made = self.make("img2img", init_images=[a1111.encode(data)], include_init_images=True)
        self.assertEqual([a1111.decode(text) for text in made["parameters"]["init_images"]], [data])

    def test_T44_info_is_a_text(self):
        made = self.make(negative_prompt="fog, rain")
        self.assertIsInstance(made["info"], str)
        info = json.loads(made["info"])
        lines = info["infotexts"][0].split("\n")
        self.assertEqual(lines[:2], ["a lighthouse", "Negative prompt: fog, rain"])
        self.assertTrue(lines[-1].startswith("Steps: 2, "))
        self.assertTrue(all(": " in part for part in lines[-1].split(", ")))
        for name, kind in {"prompt": str, "all_prompts": list, "negative_prompt": str, "all_negative_prompts": list, "seed": int,
                           "all_seeds": list, "subseed": int, "all_subseeds": list, "subseed_strength": float, "width": int,
                           "height": int, "sampler_name": str, "cfg_scale": float, "steps": int, "batch_size": int,
                           "restore_faces": bool, "sd_model_name": str, "sd_model_hash": str, "sd_vae_name": str,
                           "sd_vae_hash": str, "seed_resize_from_w": int, "seed_resize_from_h": int,
                           "extra_generation_params": dict, "index_of_first_image": int, "infotexts": list, "styles": list,
                           "job_timestamp": str, "clip_skip": int, "is_using_inpainting_conditioning": bool, "version": str,
                           "warnings": list, "darkroom": dict}.items():
            self.assertIsInstance(info[name], kind, name)
        self.assertIsNone(info["denoising_strength"])
        self.assertIsNone(info["face_restoration_model"])
        self.assertRegex(info["job_timestamp"], r"^\d{14}$")
        self.assertIn("VAE", info["darkroom"]["vae"]["reason"])
        self.assertNotIn(str(self.made.home), made["info"])

    def test_T45_png_info_gives_the_text_back(self):
        for chosen in ("png", "jpg"):
            made = self.make(negative_prompt="fog: \u65e5", prompt="a <b>\nsecond", override_settings={"samples_format": chosen})
            said = json.loads(made["info"])["infotexts"][0]
            read = self.post("png-info", {"image": made["images"][0]})
            self.assertEqual(read["info"], said)
            self.assertTrue(all(isinstance(value, str) for value in read["parameters"].values()))
            self.assertEqual(read["parameters"]["Seed"], "5")
            self.assertEqual(read["parameters"]["Prompt"], "a <b>\nsecond")
            self.assertEqual(self.post("png-info", {"image": "data:image/png;base64," + made["images"][0]}), read)
        self.assertEqual(self.post("png-info", {"image": a1111.encode(a1111.png())})["info"], "")
        for body in ({"image": "!"}, {"image": ""}, {}, {"image": "aGVsbG8="}, {"image": 5}):
            self.post("png-info", body, status=422)

    def test_T46_upscaling_is_not_built(self):
        self.post("extra-single-image", {"image": a1111.encode(a1111.png()), "upscaling_resize": 2}, status=501)
        self.post("extra-batch-images", {"imageList": [{"data": a1111.encode(a1111.png()), "name": "../x"}]}, status=501)
        self.post("interrogate", {"image": a1111.encode(a1111.png()), "model": "clip"}, status=501)

    def test_R05_no_name_of_a_request_becomes_a_path(self):
        before = {path for path in self.made.home.rglob("*") if path.is_file() and path.suffix in (".png", ".jpg", ".txt")}
        self.make("img2img", init_images=[a1111.encode(a1111.png())], save_images=True, prompt="../../escape",
                  styles=["../style"], outpath_samples=str(self.folder), filename="../x.png", samples_filename_pattern="../[seed]")
        after = {path for path in self.made.home.rglob("*") if path.is_file() and path.suffix in (".png", ".jpg", ".txt")}
        self.assertEqual({path.parent for path in after - before}, {self.made.data / "images"})
        self.assertTrue(all(re.fullmatch(r"[0-9a-f]{32}\.png", path.name) for path in after - before))
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(list((self.made.data / "inputs").iterdir()), [])

    def test_R08_nothing_is_fetched(self):
        came = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.2)
            stop = threading.Event()

            def listen():
                while not stop.is_set():
                    try:
                        came.append(listener.accept())
                    except TimeoutError:
                        pass
            thread = threading.Thread(target=listen)
            thread.start()
            port = listener.getsockname()[1]
            for url in (f"http://127.0.0.1:{port}/a.png", f"https://127.0.0.1:{port}/a.png", f"//127.0.0.1:{port}/a.png",
                        "file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/html,hello"):
                self.refused("init_images", 422, "img2img", init_images=[url])
                self.post("png-info", {"image": url}, status=422)
            stop.set()
            thread.join()
        self.assertEqual(came, [])

    def test_R22_a_picture_is_judged_before_it_is_read(self):
        used = self.get("memory")["ram"]["used"]
        huge = a1111.PNG + a1111.chunk(b"IHDR", (30000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0") + a1111.png()[33:]
        frame = b"\xff\xc0\0\x11\x08" + (65500).to_bytes(2, "big") * 2 + b"\x03\1\x22\0\2\x11\1\3\x11\1"
        text = a1111.PNG + a1111.png()[8:33]
        text += a1111.chunk(b"zTXt", b"parameters\0\0" + a1111.zlib.compress(bytes(64 << 20), 9)) + a1111.png()[33:]
        for data in (huge, b"\xff\xd8" + frame + bytes(100)):
            self.refused("pixels", 422, "img2img", init_images=[a1111.encode(data)])
            self.post("png-info", {"image": a1111.encode(data)}, status=422)
        answer = self.made.post("/sdapi/v1/png-info", {"image": a1111.encode(text)})
        self.assertIn(answer.status, (200, 422), answer)
        if not server.IS_SANITIZED:
            self.assertLess(self.get("memory")["ram"]["used"] - used, 32 << 20)


if __name__ == "__main__":
    server.main()
