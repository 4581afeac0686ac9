#!/usr/bin/env python3
"""A script of webuiapi's (sdwebuiapi) whole surface, as people write it: what it reads must be there."""
import base64
import io
import sys
import threading

import server
import client_venv

client_venv.use("webuiapi", "webuiapi==0.9.17")

import PIL.Image
import webuiapi


class Script(server.Case):
    @classmethod
    def setUpClass(cls):
        cls.made = server.Server("-m", "tiny", "--max-steps", "1000").start()
        cls.api = webuiapi.WebUIApi(host=cls.made.host, port=cls.made.port, sampler="Euler a", steps=2)

    @classmethod
    def tearDownClass(cls):
        assert cls.made.stop() == 0, cls.made.errors()

    def make(self, **more):
        return self.api.txt2img(**{"prompt": "a lighthouse", "seed": 5, "width": 64, "height": 64, **more})

    def same(self, one, other):
        return one.image.tobytes() == other.image.tobytes()

    def test_txt2img(self):
        made = self.make(negative_prompt="fog", cfg_scale=6.5, styles=[])
        self.assertEqual(made.image.size, (64, 64))
        self.assertEqual((made.info["seed"], made.info["steps"], made.info["cfg_scale"]), (5, 2, 6.5))
        self.assertEqual(made.parameters["sampler_name"], "Euler a")
        self.assertIn("Negative prompt: fog", made.info["infotexts"][0])
        self.assertTrue(self.same(self.make(), self.make()))

    def test_batches(self):
        made = self.make(batch_size=2, n_iter=2)
        self.assertEqual(len(made.images), 4)
        self.assertEqual(made.info["all_seeds"], [5, 6, 7, 8])

    def test_img2img(self):
        first = self.make()
        made = self.api.img2img(images=[first.image], prompt="a lighthouse", seed=5, width=64, height=64, steps=4, denoising_strength=0.5)
        self.assertEqual(made.image.size, (64, 64))
        self.assertEqual(made.info["denoising_strength"], 0.5)
        self.assertFalse(self.same(made, first))
        with self.assertRaises(RuntimeError) as caught:
            self.api.img2img(images=[first.image], mask_image=first.image, prompt="a", width=64, height=64)
        self.assertEqual(caught.exception.args[0], 501)

    def test_every_sampler_and_schedule(self):
        for name in self.api.util_get_sampler_names():
            self.assertEqual(self.make(sampler_name=name).info["sampler_name"], name)
        for name in self.api.util_get_scheduler_names():
            self.assertEqual(self.make(sampler_name="LCM" if name == "lcm" else "Euler", scheduler=name).info["warnings"], [], name)

    def test_options_and_models(self):
        options = self.api.get_options()
        self.assertTrue(options["samples_format"])
        self.assertIn("updated", self.api.set_options(options))
        self.assertEqual(len(self.api.util_get_model_names()), 2)
        self.api.util_set_model("Other")
        self.assertEqual(self.api.util_get_current_model(), "other.safetensors")
        other = self.make()
        self.api.util_set_model("tiny")
        self.assertEqual(self.api.util_get_current_model(), "tiny.safetensors")
        plain = self.make()
        self.assertFalse(self.same(plain, other))
        self.api.set_options({"sd_vae": "sharp.safetensors"})
        self.assertEqual(self.make().info["sd_vae_name"], "sharp.safetensors")
        self.api.set_options({"sd_vae": "Automatic"})
        self.assertTrue(self.same(self.make(), plain))
        self.assertTrue(self.same(self.make(override_settings={"sd_model_checkpoint": "other.safetensors"}), other))
        self.assertTrue(self.same(self.make(), plain))

    def test_lists(self):
        for name in ("samplers", "schedulers", "sd_models", "sd_vae", "upscalers", "latent_upscale_modes", "loras", "hypernetworks",
                     "face_restorers", "realesrgan_models", "prompt_styles", "artist_categories", "artists"):
            self.assertIsInstance(getattr(self.api, "get_" + name)(), list, name)
        self.assertEqual(self.api.get_scripts(), {"txt2img": [], "img2img": []})
        self.assertEqual(self.api.get_embeddings()["loaded"], {})
        self.assertTrue(self.api.get_cmd_flags()["api"])
        self.assertGreater(self.api.get_memory()["ram"]["total"], 0)
        self.assertEqual(self.api.refresh_checkpoints(), {})

    def test_pictures_that_come(self):
        made = self.make()
        png = io.BytesIO()
        info = PIL.PngImagePlugin.PngInfo()
        info.add_text("parameters", made.info["infotexts"][0])
        made.image.save(png, "PNG", pnginfo=info)
        read = self.api.png_info(PIL.Image.open(io.BytesIO(png.getvalue())))
        self.assertIsInstance(read.info, str)
        for call in (lambda: self.api.extra_single_image(image=made.image, upscaler_1="None", upscaling_resize=2),
                     lambda: self.api.extra_batch_images(images=[made.image], upscaler_1="None", upscaling_resize=2),
                     lambda: self.api.interrogate(made.image)):
            with self.assertRaises(RuntimeError) as caught:
                call()
            self.assertEqual(caught.exception.args[0], 501)

    def test_progress_and_interrupt(self):
        made = []
        thread = threading.Thread(target=lambda: made.append(self.make(steps=1000, width=256, height=256)))
        thread.start()
        self.wait_for(lambda: self.api.get_progress()["state"]["sampling_step"] > 0, "the job to run")
        self.wait_for(lambda: self.api.get_progress()["current_image"], "a preview")
        PIL.Image.open(io.BytesIO(base64.b64decode(self.api.get_progress()["current_image"]))).load()
        self.assertEqual(self.api.interrupt(), {})
        thread.join()
        self.assertEqual(made[0].info["darkroom"]["state"], "cancelled")
        self.api.util_wait_for_ready(check_interval=0.05)
        self.assertEqual(self.api.skip(), {})
        self.make()

    def test_errors_say_what_is_wrong(self):
        for more, status, part in (({"width": 0}, 422, "width"), ({"sampler_name": "no such"}, 404, "Sampler not found"),
                                   ({"enable_hr": True}, 501, "enable_hr"), ({"override_settings": {"sd_vae": "gone"}}, 404, "gone"),
                                   ({"alwayson_scripts": {"x": {"args": [1]}}}, 422, "alwayson_scripts")):
            with self.assertRaises(RuntimeError) as caught:
                self.make(**more)
            self.assertEqual(caught.exception.args[0], status)
            self.assertIn(part, caught.exception.args[1])

    def test_routes_that_it_has_no_name_for(self):
        plain = self.make()
        self.assertIsNotNone(self.api.custom_post("unload-checkpoint", baseurl=True))
        self.assertEqual(self.api.get_memory()["darkroom"]["ledger"]["private_bytes"], 0)
        self.assertIsNotNone(self.api.custom_post("reload-checkpoint", baseurl=True))
        self.assertTrue(self.same(self.make(), plain))
        self.assertIsInstance(self.api.custom_get("sd-modules", baseurl=True), list)


if __name__ == "__main__":
    sys.stderr.flush()
    server.main()
