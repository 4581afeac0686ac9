#!/usr/bin/env python3
"""The A1111 API from outside: options, model and VAE, for good and for one request."""
import difflib
import json
import os
import shutil
import tempfile
import threading

import a1111
import server


class Options(a1111.Case):
    options = ("-m", "tiny", *a1111.LONG_OPTIONS)

    def test_T47_all_options_come_back_and_nothing_is_loaded(self):
        self.picture()
        before = self.regions()
        answer = self.post("options", self.get("options"))
        self.assertEqual((answer["updated"], answer["ignored"]), ([], []))
        self.assertEqual(self.regions(), before)
        self.assertTrue(before)

    def test_T48_unknown_options_and_nulls(self):
        self.addCleanup(self.post, "options", {"CLIP_stop_at_last_layers": 1})
        answer = self.post("options", {"no_such": 1, "sd_vae": None, "sd_model_checkpoint": None, "samples_format": None,
                                       "CLIP_stop_at_last_layers": 2, "outdir_samples": "/tmp", "api_auth": "a:b"})
        self.assertEqual(answer["updated"], ["CLIP_stop_at_last_layers"])
        self.assertEqual(sorted(answer["ignored"]), ["api_auth", "no_such", "outdir_samples"])
        now = self.get("options")
        self.assertEqual((now["CLIP_stop_at_last_layers"], now["outdir_samples"]), (2, ""))
        self.assertNotIn("no_such", now)

    def test_T49_every_vae_can_be_set(self):
        self.addCleanup(self.post, "options", {"sd_vae": "Automatic"})
        for name in [vae["model_name"] for vae in self.get("sd-vae")] + ["None", "Automatic"]:
            self.post("options", {"sd_vae": name})
            self.assertEqual(self.get("options")["sd_vae"], name)
            before = self.regions()
            self.assertEqual(self.post("options", {"sd_vae": name})["updated"], [])
            self.assertEqual(self.regions(), before)
        for name, shown in (("Default", "None"), ("Baked", "None"), ("sharp", "sharp.safetensors"), ("SOFT", "soft.safetensors")):
            self.post("options", {"sd_vae": name})
            self.assertEqual(self.get("options")["sd_vae"], shown)

    def test_T49_the_vae_that_is_set_is_the_one_that_runs(self):
        plain = self.make()
        self.addCleanup(self.post, "options", {"sd_vae": "Automatic"})
        self.post("options", {"sd_vae": "sharp.safetensors"})
        sharp = self.make()
        info = json.loads(sharp["info"])
        self.assertEqual(info["sd_vae_name"], "sharp.safetensors")
        self.assertNotEqual(info["sd_vae_hash"], json.loads(plain["info"])["sd_vae_hash"])
        self.assertIn("sharp.safetensors", info["darkroom"]["vae"]["reason"])
        self.assertNotIn(str(self.made.home), sharp["info"])
        self.assertNotEqual(sharp["images"], plain["images"])
        self.post("options", {"sd_vae": "None"})
        info = json.loads(self.make()["info"])
        self.assertEqual((info["sd_vae_name"], info["sd_vae_hash"]), ("None", json.loads(plain["info"])["sd_vae_hash"]))
        self.assertEqual(self.make()["images"], plain["images"])

    def test_T50_what_is_not_there_changes_nothing(self):
        before = self.get("options")
        plain = self.picture()
        for values, status in (({"sd_vae": "gone"}, 404), ({"sd_model_checkpoint": "gone"}, 404), ({"samples_format": "tiff"}, 422),
                               ({"CLIP_stop_at_last_layers": 99}, 422), ({"samples_save": False, "sd_vae": "gone"}, 404),
                               ([1], 422)):
            with self.subTest(values=values):
                self.assertIn("detail", self.post("options", values, status=status))
                self.assertEqual(self.get("options"), before)
                self.assertEqual(self.picture(), plain)

    def test_T50_a_vae_that_is_incomplete_changes_nothing(self):
        whole = server.checkpoint("--part", "vae", "--seed", "2").read_bytes()
        (self.made.vaes / "torn.safetensors").write_bytes(whole[:len(whole) // 2])
        self.addCleanup((self.made.vaes / "torn.safetensors").unlink)
        self.post("refresh-vae")
        before, regions, plain = self.get("options"), self.regions(), self.picture()
        self.post("options", {"sd_vae": "torn"}, status=422)
        self.assertEqual(self.get("options"), before)
        self.assertEqual(self.picture(), plain)
        self.refused("torn", 422, override_settings={"sd_vae": "torn"})
        self.assertEqual(self.picture(), plain)
        self.assertEqual(len(self.regions()), len(regions))

    def test_T51_overrides_are_taken_back(self):
        before = self.get("options")
        self.make(override_settings={"sd_vae": "sharp", "CLIP_stop_at_last_layers": 2})
        self.assertEqual(self.get("options"), before)
        self.refused("width", 422, override_settings={"sd_vae": "sharp"}, width=10**6)
        self.assertEqual(self.get("options"), before)
        answers, thread = self.start(**a1111.LONG, override_settings={"sd_vae": "sharp", "samples_format": "jpg"})
        self.wait_for(self.runs, "the job to run")
        self.interrupt()
        thread.join()
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(self.get("options"), before)
        plain = self.picture()
        self.addCleanup(self.post, "options", {"sd_vae": "Automatic"})
        kept = self.make(override_settings={"sd_vae": "sharp"}, override_settings_restore_afterwards=False)
        self.assertEqual(self.get("options")["sd_vae"], "sharp.safetensors")
        self.assertEqual(self.make()["images"], kept["images"])
        self.assertNotEqual(self.picture(), plain)

    def test_T52_a_vae_for_one_request(self):
        plain = self.make()
        before = self.regions("unet")
        self.assertTrue(before)
        made = self.make(override_settings={"sd_vae": "soft.safetensors"})
        info = json.loads(made["info"])
        self.assertEqual(info["sd_vae_name"], "soft.safetensors")
        self.assertNotEqual(made["images"], plain["images"])
        self.assertEqual(self.regions("unet"), before)
        again = self.make()
        self.assertEqual(again["images"], plain["images"])
        self.assertEqual(json.loads(again["info"])["sd_vae_name"], "None")
        self.assertEqual(self.regions("unet"), before)
        self.assertEqual(self.make(override_settings={"sd_vae": "None"})["images"], plain["images"])
        self.refused("gone", 404, override_settings={"sd_vae": "gone"})

    def test_T53_what_options_hold(self):
        held = self.get("options")
        self.assertEqual(held["samples_format"], "png")
        self.assertIn(held["sd_model_checkpoint"], [model["title"] for model in self.get("sd-models")])
        for name in ("sd_checkpoint_hash", "sd_vae", "CLIP_stop_at_last_layers", "img2img_color_correction", "face_restoration_model",
                     "sd_model_refiner", "eta_noise_seed_delta", "live_previews_enable", "show_progress_type", "randn_source"):
            self.assertIn(name, held)
        for name in ("forge_preset", "sd_backend", "cross_attention_sep", "cuda_compile_sep"):
            self.assertNotIn(name, held)
        self.assertNotIn(str(self.made.home), json.dumps(held))

    def test_T56_options_survive_a_restart(self):
        home = self.folder / "home"
        home.mkdir()
        made = self.server("-m", "tiny", home=home)
        self.assertEqual(made.post("/sdapi/v1/options", {"sd_model_checkpoint": "other", "sd_vae": "soft", "samples_format": "jpg",
                                                         "CLIP_stop_at_last_layers": 2}).status, 200)
        self.assertEqual(made.stop(), 0)
        made = self.server(home=home)
        held = made.get("/sdapi/v1/options").json()
        self.assertEqual((held["sd_model_checkpoint"], held["sd_vae"], held["samples_format"], held["CLIP_stop_at_last_layers"]),
                         ("other.safetensors", "soft.safetensors", "jpg", 2))
        info = json.loads(made.post("/sdapi/v1/txt2img", {"steps": 1, "width": 64, "height": 64}).json()["info"])
        self.assertEqual((info["sd_model_name"], info["sd_vae_name"]), ("other", "soft.safetensors"))

    def test_T53_a_model_is_shown_where_none_was_chosen(self):
        made = self.server()
        self.assertEqual(made.get("/sdapi/v1/options").json()["sd_model_checkpoint"], "other.safetensors")
        info = json.loads(made.post("/sdapi/v1/txt2img", {"steps": 1, "width": 64, "height": 64}).json()["info"])
        self.assertEqual(info["sd_model_name"], "other")
        for name in ("other", "tiny"):
            (made.models / f"{name}.safetensors").unlink()
        self.assertEqual(made.post("/sdapi/v1/refresh-checkpoints").status, 200)
        self.assertEqual(made.get("/sdapi/v1/options").json()["sd_model_checkpoint"], "")
        answer = made.post("/sdapi/v1/txt2img", {"steps": 1, "width": 64, "height": 64})
        self.assertEqual(answer.status, 404)
        self.assertIn("there is no model", answer.json()["detail"])

    def test_a_vae_directory_that_vanishes(self):
        made = self.server("-m", "tiny")

        def make(status=200, **overrides):
            answer = made.post("/sdapi/v1/txt2img", {"prompt": "a", "steps": 1, "width": 64, "height": 64, "seed": 5,
                                                     "override_settings": overrides})
            self.assertEqual(answer.status, status, answer)
            return answer.json()

        def names():
            return [vae["model_name"] for vae in made.get("/sdapi/v1/sd-vae").json()]
        plain, soft = make(), make(sd_vae="soft")
        self.assertEqual(made.post("/sdapi/v1/options", {"sd_vae": "sharp"}).status, 200)
        sharp = make()
        self.assertEqual(len({answer["images"][0] for answer in (plain, soft, sharp)}), 3)
        made.vaes.rename(made.home / "elsewhere")
        self.assertIn("soft", make(404, sd_vae="soft")["detail"])
        self.wait_for(lambda: "soft.safetensors" not in names(), "the list to change")
        # What is set stays what runs while it is in memory; then it is named, and no other is taken for it.
        self.assertEqual(make()["images"], sharp["images"])
        self.assertEqual(made.post("/sdapi/v1/unload-checkpoint").status, 200)
        self.assertIn("sharp", make(409)["detail"])
        self.assertEqual(make(sd_vae="None")["images"], plain["images"])
        self.assertEqual(made.post("/sdapi/v1/options", {"sd_vae": "soft"}).status, 404)
        self.assertEqual(made.get("/sdapi/v1/options").json()["sd_vae"], "sharp.safetensors")
        (made.home / "elsewhere").rename(made.vaes)
        self.wait_for(lambda: "soft.safetensors" in names(), "the list to change")
        self.assertEqual(make()["images"], sharp["images"])
        self.assertEqual(make(sd_vae="soft")["images"], soft["images"])

    def test_an_error_names_no_path_of_this_machine(self):
        made = self.server("-m", "tiny")
        request = {"prompt": "a", "steps": 1, "width": 64, "height": 64, "seed": 5}

        def check(answer, status, part):
            self.assertEqual(answer.status, status, answer)
            self.assertIn(part, str(answer.json()))
            self.assertNotIn(str(made.home), str(answer.json()))
        self.assertEqual(made.post("/sdapi/v1/options", {"sd_model_checkpoint": "other", "sd_vae": "sharp"}).status, 200)
        (made.vaes / "sharp.safetensors").unlink()
        self.assertEqual(made.post("/sdapi/v1/unload-checkpoint").status, 200)
        check(made.post("/sdapi/v1/txt2img", request), 409, "sharp.safetensors was removed")
        check(made.post("/sdapi/v1/reload-checkpoint"), 200, "sharp.safetensors was removed")  # the receipt
        receipts = [one["receipt"]["reason"] for one in made.get("/api/v1/memory").json()["receipts"]]
        self.assertTrue(any("sharp.safetensors" in one for one in receipts), receipts)
        self.assertNotIn(str(made.home), str(receipts))
        (made.models / "other.safetensors").unlink()
        self.assertEqual(made.post("/sdapi/v1/unload-checkpoint").status, 200)
        check(made.post("/sdapi/v1/txt2img", request), 404, "other.safetensors")
        check(made.post("/sdapi/v1/reload-checkpoint"), 404, "other.safetensors")
        (made.models / "other.safetensors").write_text("<html>")
        check(made.post("/sdapi/v1/txt2img", request), 422, "other.safetensors")
        self.assertNotIn(str(made.home), str([one["error"] for one in made.get("/api/v1/jobs").json()["jobs"] if "error" in one]))

    def test_the_vae_of_the_users_settings(self):
        home = self.folder / "home"
        (home / "config/darkroom").mkdir(parents=True)
        (home / "config/darkroom/settings.json").write_text('{"vae": "sharp"}')
        made = self.server("-m", "tiny", home=home)
        held = made.get("/sdapi/v1/options").json()
        self.assertEqual(held["sd_vae"], "sharp.safetensors")
        self.assertEqual(made.post("/sdapi/v1/options", held).json()["updated"], [])

        def vae():
            return json.loads(made.post("/sdapi/v1/txt2img", {"steps": 1, "width": 64, "height": 64}).json()["info"])["sd_vae_name"]
        self.assertEqual(vae(), "sharp.safetensors")
        self.assertEqual(made.post("/sdapi/v1/options", {"sd_vae": "Automatic"}).json()["updated"], ["sd_vae"])
        self.assertEqual(vae(), "None")

    def test_a_model_for_one_request(self):
        plain = self.make()
        made = self.make(override_settings={"sd_model_checkpoint": "other"})
        self.assertEqual(json.loads(made["info"])["sd_model_name"], "other")
        self.assertNotEqual(made["images"], plain["images"])
        self.assertEqual(self.get("options")["sd_model_checkpoint"], "tiny.safetensors")
        self.assertEqual(self.make()["images"], plain["images"])
        self.refused("there is no model", 404, override_settings={"sd_model_checkpoint": "gone"})

    def test_two_clients_that_select_different_models_at_once(self):
        self.addCleanup(self.post, "options", {"sd_model_checkpoint": "tiny"})
        alone = {name: self.make(override_settings={"sd_model_checkpoint": name})["images"] for name in ("tiny", "other")}
        self.assertNotEqual(*alone.values())
        made = {"tiny": [], "other": []}

        def ask(name):
            for i in range(12):
                if i % 2:
                    self.post("options", {"sd_model_checkpoint": name})  # the other client may choose before the job comes
                    made[name].append((None, self.make()))
                else:
                    made[name].append((name, self.make(override_settings={"sd_model_checkpoint": name})))
        clients = [threading.Thread(target=ask, args=(name,)) for name in made]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        for name, answers in made.items():
            self.assertEqual(len(answers), 12)
            for wanted, answer in answers:
                model = json.loads(answer["info"])["sd_model_name"]
                self.assertEqual(model, wanted or model)
                self.assertEqual(answer["images"], alone[model], (name, model))

    def test_a_model_that_was_deleted_is_named(self):
        shutil.copy(server.checkpoint("--seed", "2"), self.made.models / "brief.safetensors")
        self.post("refresh-checkpoints")
        self.assertIn("brief", [model["model_name"] for model in self.get("sd-models")])
        os.unlink(self.made.models / "brief.safetensors")
        answer = self.made.post("/sdapi/v1/txt2img", {"steps": 1, "override_settings": {"sd_model_checkpoint": "brief.safetensors"}})
        self.assertEqual(answer.status, 404, answer)
        self.assertIn("brief", answer.json()["detail"])
        self.wait_for(lambda: "brief" not in [model["model_name"] for model in self.get("sd-models")], "the list to change")


class Names(a1111.Case):
    """With packs, whose directory remembers hashes."""

    @classmethod
    def setUpClass(cls):
        cls.packs = tempfile.mkdtemp(prefix="test-packs-", dir=server.BUILD)
        cls.made = server.Server("-m", "tiny", more_environment={"DARKROOM_PACKS": cls.packs}).start()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.packs, ignore_errors=True)

    def test_T54_a_model_by_all_its_names(self):
        self.make()
        self.make(override_settings={"sd_model_checkpoint": "other"})
        self.post("refresh-checkpoints")
        models = {model["model_name"]: model for model in self.get("sd-models")}
        self.assertEqual(set(models), {"tiny", "other"})
        if not models["other"]["sha256"]:
            self.skipTest("packs are off here, so hashes are not remembered")
        names = [models["other"][key] for key in ("title", "model_name", "filename", "hash", "sha256")]
        self.assertRegex(names[0], r"^other\.safetensors \[[0-9a-f]{10}\]$")
        names += [f"other [{models['other']['hash']}]", "OTHER", names[4].upper(), "Other.SafeTensors", "oth",
                  difflib.get_close_matches("othr.safetensors", [model["title"] for model in models.values()], 1)[0]]
        for name in names:
            self.post("options", {"sd_model_checkpoint": "tiny"})
            self.post("options", {"sd_model_checkpoint": name})
            held = self.get("options")
            self.assertEqual((held["sd_model_checkpoint"], held["sd_checkpoint_hash"]),
                             (models["other"]["title"], models["other"]["sha256"]), name)
        self.assertEqual(self.info()["sd_model_hash"], models["other"]["hash"])


if __name__ == "__main__":
    server.main()
