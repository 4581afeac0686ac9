#!/usr/bin/env python3
"""The A1111 API from outside: fields in the types that clients send, and values that are wrong."""
import json
import os

import a1111
import server


class Types(a1111.Case):
    def test_T15_null_is_not_given(self):
        fields = ("negative_prompt", "cfg_scale", "sampler_name", "sampler_index", "scheduler", "batch_size", "n_iter", "clip_skip",
                  "denoising_strength", "styles", "override_settings", "override_settings_restore_afterwards", "script_name",
                  "script_args", "alwayson_scripts", "hr_upscaler", "hr_scale", "hr_scheduler", "hr_sampler_name",
                  "hr_second_pass_steps", "hr_resize_x", "hr_resize_y", "hr_prompt", "hr_negative_prompt", "enable_hr",
                  "restore_faces", "tiling", "mask", "eta", "s_churn", "s_tmin", "s_tmax", "s_noise", "subseed",
                  "subseed_strength", "seed_resize_from_h", "seed_resize_from_w", "send_images", "save_images",
                  "do_not_save_samples", "do_not_save_grid", "refiner_checkpoint", "refiner_switch_at", "init_images", "model")
        self.assertEqual(self.picture(**dict.fromkeys(fields)), self.picture())

    def test_T16_numbers_as_text(self):
        self.assertEqual(self.picture(width="64", height="64", steps="2", cfg_scale="7.5", seed="5", batch_size="1", clip_skip="1"),
                         self.picture(cfg_scale=7.5))
        self.assertNotEqual(self.info(seed="-1")["seed"], -1)

    def test_T17_whole_numbers_as_reals(self):
        self.assertEqual(self.picture(width=64.0, steps=2.0, seed=5.0, n_iter=1.0, clip_skip=2.0,
                                      override_settings={"CLIP_stop_at_last_layers": 1.0}), self.picture(clip_skip=2))
        self.assertEqual(self.picture(override_settings={"CLIP_stop_at_last_layers": 2.0}), self.picture(clip_skip=2))

    def test_T18_flags_as_numbers_and_numbers_as_flags(self):
        self.assertEqual(self.make(send_images=0)["images"], [])
        self.assertEqual(self.make(send_images="false")["images"], [])
        self.assertEqual(self.picture(inpaint_full_res=0, inpainting_mask_invert=False, batch_size=True, send_images=1),
                         self.picture())

    def test_T19_empty_text_is_the_default(self):
        for value in ("", None):
            self.assertEqual(self.picture(sampler_name=value, sampler_index=value, scheduler=value, hr_upscaler=value,
                                          hr_scheduler=value, script_name=value), self.picture())

    def test_T20_unknown_fields_are_taken_and_forgotten(self):
        log = self.folder / "access.log"
        made = self.server("-m", "tiny", "--access-log", log)
        secret = "Tr0ub4dor"
        answer = made.post("/sdapi/v1/txt2img?key=" + secret,
                           {"prompt": "a", "steps": 1, "width": 64, "height": 64, "url": "http://" + secret, "auth": secret,
                            "selection_info": {"a": [secret]}, "outpath_samples": "/" + secret, "override_settings": {}})
        self.assertEqual(answer.status, 200)
        self.assertNotIn(secret.encode(), answer.body)
        self.assertEqual(made.stop(), 0)
        self.assertGreater(os.path.getsize(log), 0)
        self.assertNotIn(secret, log.read_text() + made.errors())
        for folder, _, names in os.walk(made.home):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(secret.encode(), file.read(), name)

    def test_T21_wrong_values_name_their_field(self):
        self.assertEqual(len(self.make(prompt="a" * 32768, negative_prompt="b" * 32768)["images"]), 1)
        before = self.regions()
        for field, values in {"width": ("abc", 0, 10**6, -64, [64], {}, 1e300), "steps": (-5, 0, 10**9, "2.5", 2.5),
                              "cfg_scale": ("NaN", "inf", -1, [7], "7,5"), "batch_size": (0, 10**6, "x"), "n_iter": (-1, 10**9),
                              "denoising_strength": (2, -1, "x"), "seed": ("x", 1.5, 1e40, "18446744073709551616"),
                              "clip_skip": (13, -1), "prompt": (5, ["a"]), "override_settings": ([1], "x")}.items():
            for value in values:
                with self.subTest(field=field, value=value):
                    self.refused(field, 422, **{field: value})
        self.refused("", 422, batch_size=100, n_iter=10**8)
        self.refused("prompt has 32769 bytes", 422, prompt="a" * 32769)
        self.refused("negative_prompt has 1000000 bytes", 422, negative_prompt="a" * 10**6)
        self.assertEqual(self.made.post("/sdapi/v1/txt2img", b'{"cfg_scale":NaN}', Content_Type="application/json").status, 400)
        self.assertEqual(self.regions(), before)
        self.assertTrue(self.is_idle())

    def test_T22_styles(self):
        plain = self.picture()
        self.assertEqual(self.picture(styles=[""]), plain)
        self.assertEqual(self.picture(styles=None), plain)
        self.assertEqual(self.picture(styles=["No Such Style"]), plain)
        self.assertTrue(any("No Such Style" in warning for warning in self.info(styles=["No Such Style"])["warnings"]))

    def test_T23_malformed_json(self):
        for body in (b"{", b'{"prompt":', b"[" * 100000, b'{"a":' * 100000, b"\0", b"{'a':1}", b'{"steps":' + b"1" * (50 << 20) + b"}",
                     b'{"prompt":"\x01"}', b'{"prompt":"\xff"', b"nul"):
            answer = self.made.post("/sdapi/v1/txt2img", body, Content_Type="application/json")
            self.assertIn(answer.status, (400, 413), body[:20])
            self.assertIn("detail", answer.json())
        twice = self.made.post("/sdapi/v1/txt2img", b'{"prompt":"x","steps":1,"prompt":"a lighthouse","steps":2,"width":64,"height":64,'
                               b'"seed":5}', Content_Type="application/json")
        self.assertEqual(a1111.decode(twice.json()["images"][0]), self.picture())

    def test_T24_scripts_that_are_not_there(self):
        plain = self.picture()
        for scripts in ({}, {"ADetailer": {"args": [False]}}, {"ADetailer": {"args": []}}, {"ControlNet": {}}):
            self.assertEqual(self.picture(alwayson_scripts=scripts), plain)
        self.refused("ControlNet", 422, alwayson_scripts={"ControlNet": {"args": [{"model": "x"}]}})
        self.refused("x/y/z plot", 422, script_name="X/Y/Z plot")

    def test_R26_as_many_fields_as_there_can_be(self):
        fields = json.dumps({f"field{i}": i for i in range(60000)})[1:-1]
        body = '{"prompt":"a lighthouse","steps":2,"width":64,"height":64,"seed":5,' + fields + "}"
        answer = self.made.post("/sdapi/v1/txt2img", body.encode(), Content_Type="application/json")
        self.assertIn(answer.status, (200, 400))
        self.assertEqual(self.made.post("/sdapi/v1/txt2img", {"steps": 1, "width": 64, "height": 64, "x": [0] * 10**6}).status, 400)
        self.assertTrue(self.picture())


if __name__ == "__main__":
    server.main()
