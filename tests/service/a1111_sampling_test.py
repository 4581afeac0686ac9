#!/usr/bin/env python3
"""The A1111 API from outside: seeds, samplers and schedules by all their names."""
import a1111
import server


class Sampling(a1111.Case):
    def test_T25_seeds(self):
        made = self.make(seed=-1)
        seed = server.json.loads(made["info"])["seed"]
        self.assertEqual(self.picture(seed=seed), a1111.decode(made["images"][0]))
        self.assertNotEqual(self.info(seed=-1)["seed"], seed)
        self.assertEqual(self.picture(seed="5"), self.picture(seed=5))
        for seed in (2**40, 2**53 - 1, 2**63 - 1):
            info = self.info(seed=seed)
            self.assertEqual((info["seed"], info["all_seeds"]), (seed, [seed]))
            self.assertIn(f"Seed: {seed},", info["infotexts"][0])
        # JSON's own numbers end there for some readers, so that it is text.
        for sent in (2**64 - 1, str(2**64 - 1)):
            info = self.info(seed=sent)
            self.assertEqual(info["seed"], str(2**64 - 1))
            self.assertIn(f"Seed: {2**64 - 1},", info["infotexts"][0])

    def test_T26_every_name_that_is_offered_is_taken(self):
        for sampler in self.get("samplers"):
            for name in (sampler["name"], *sampler["aliases"]):
                info = self.info(sampler_name=name, steps=1)
                self.assertEqual((info["sampler_name"], info["warnings"]), (sampler["name"], []), name)
        for scheduler in self.get("schedulers"):
            for name in (scheduler["name"], scheduler["label"], *scheduler["aliases"]):
                sampler = "TCD" if scheduler["name"] == "lcm" else "Euler"
                info = self.info(sampler_name=sampler, scheduler=name)
                self.assertEqual(info["warnings"], [], name)
                if scheduler["name"] != "automatic":
                    self.assertEqual(info["extra_generation_params"]["Schedule type"], scheduler["label"])

    def test_T27_names_in_any_case_and_two_in_one(self):
        plain = self.picture(sampler_name="DPM++ 2M", scheduler="karras")
        for name in ("DPM++ 2M Karras", "dpm++ 2m karras", "k_dpmpp_2m karras", "DPMPP 2M KARRAS"):
            self.assertEqual(self.picture(sampler_name=name), plain, name)
        self.assertEqual(self.picture(sampler_name="EULER A"), self.picture(sampler_name="k_euler_a"))

    def test_T28_sampler_index_where_there_is_no_name(self):
        plain = self.picture(sampler_name="Heun")
        for more in ({}, {"sampler_name": None}, {"sampler_name": ""}):
            self.assertEqual(self.picture(sampler_index="Heun", **more), plain)
        self.assertEqual(self.picture(sampler_name="Heun", sampler_index="Euler"), plain)
        self.assertNotEqual(self.picture(sampler_index="Euler"), plain)

    def test_T29_spellings_of_other_programs(self):
        self.assertEqual(self.picture(sampler_name="euler_a", scheduler="discrete"),
                         self.picture(sampler_name="Euler a", scheduler="Normal"))
        self.assertEqual(self.picture(sampler_name="dpm++2m", scheduler="karras"), self.picture(sampler_name="DPM++ 2M Karras"))

    def test_T30_automatic_is_as_if_not_given(self):
        for sampler in ("Euler a", "DPM++ 2M", "DPM++ 2M SDE", "DDIM"):
            plain = self.picture(sampler_name=sampler)
            for scheduler in ("automatic", "Automatic", "", None):
                self.assertEqual(self.picture(sampler_name=sampler, scheduler=scheduler), plain, sampler)
        # A1111's own choices.
        self.assertEqual(self.picture(sampler_name="DPM++ 2M"), self.picture(sampler_name="DPM++ 2M", scheduler="karras"))
        self.assertEqual(self.picture(sampler_name="DPM++ 2M SDE"),
                         self.picture(sampler_name="DPM++ 2M SDE", scheduler="exponential"))

    def test_T31_no_other_sampler_without_a_word(self):
        self.refused("Sampler not found", 404, sampler_name="DPM adaptive")
        self.refused("Sampler not found", 404, sampler_index="no such")
        self.refused("Scheduler not found", 404, sampler_name="Euler", scheduler="no such")
        info = self.info(sampler_name="DDIM", scheduler="karras")
        self.assertEqual(info["sampler_name"], "DDIM")
        self.assertTrue(any("Karras" in warning for warning in info["warnings"]), info["warnings"])
        info = self.info(sampler_name="Euler", scheduler="turbo")
        self.assertTrue(any("turbo" in warning for warning in info["warnings"]), info["warnings"])

    def test_variations_and_noise_are_in_info_and_text(self):
        plain = self.picture(seed=5, sampler_name="Euler a")
        info = self.info(seed=5, sampler_name="Euler a", subseed=9, subseed_strength=0.3, eta=0.5, cfg_rescale=0.7)
        self.assertEqual((info["subseed"], info["all_subseeds"], info["subseed_strength"]), (9, [9], 0.3))
        for part in ("Variation seed: 9", "Variation seed strength: 0.3", "Eta: 0.5", "CFG rescale: 0.7"):
            self.assertIn(part, info["infotexts"][0])
        self.assertEqual(info["extra_generation_params"]["Eta"], 0.5)
        self.assertEqual(self.picture(seed=5, sampler_name="Euler a", subseed=9, subseed_strength=0), plain)
        self.assertNotEqual(self.picture(seed=5, sampler_name="Euler a", subseed=9, subseed_strength=0.3), plain)

    def test_T32_a_second_pass_is_not_built(self):
        self.refused("enable_hr", 501, enable_hr=True, hr_upscaler="Latent", hr_scale=2)
        plain = self.picture()
        for upscaler in ("Latent", "None", "none", "", None):
            self.assertEqual(self.picture(enable_hr=False, hr_upscaler=upscaler, hr_scale="1.0", hr_second_pass_steps=0,
                                          hr_resize_x=0, hr_resize_y=0, hr_sampler_name="Use same sampler",
                                          denoising_strength=0.7), plain)


if __name__ == "__main__":
    server.main()
