#!/usr/bin/env python3
"""Models by name, the list of them, and the settings that fill what a command leaves open."""
import json
import shutil

import harness
from harness import HOME, Case, make, take


class Models(Case):
    """Each test has a settings file and a model directory of its own."""

    def setUp(self):
        super().setUp()
        place = {"XDG_CONFIG_HOME": str(self.folder / "config"), "XDG_DATA_HOME": str(self.folder / "data")}
        harness.ENVIRONMENT.update(place)
        self.addCleanup(harness.ENVIRONMENT.update, XDG_CONFIG_HOME=str(HOME / "config"), XDG_DATA_HOME=str(HOME / "data"))
        self.models = self.folder / "data/darkroom/models"
        (self.models / "deep").mkdir(parents=True)
        shutil.copy(HOME / "tiny.safetensors", self.models / "alpha-one.safetensors")
        shutil.copy(HOME / "tiny.safetensors", self.models / "deep/alpha-two.safetensors")

    def path_of(self, name, *more):
        return self.succeed_to("inspect", name, *more)["path"]

    def test_a_name_its_beginning_and_a_path(self):
        one, two = str(self.models / "alpha-one.safetensors"), str(self.models / "deep/alpha-two.safetensors")
        self.assertEqual(self.path_of("alpha-one"), one)
        self.assertEqual(self.path_of("alpha-two.safetensors"), two)
        self.assertEqual(self.path_of("alpha-t"), two)
        self.fail_to("memory", "-m", "alpha", code="bad_input", parts=["2 models", one, two])
        self.fail_to("inspect", "alpha", code="bad_input", parts=["2 models"])
        self.fail_to("memory", "-m", "beta", code="not_found", parts=["beta", str(self.models), "darkroom models"])
        self.fail_to("memory", "-m", "./alpha-one", code="not_found", parts=["./alpha-one"])
        # A VAE of the same beginning is no candidate; a name alone is.
        shutil.copy(HOME / "vae.safetensors", self.models / "alpha-one.vae.safetensors")
        self.assertEqual(self.path_of("alpha-o"), one)
        # A path comes first.
        shutil.copy(HOME / "tiny.safetensors", self.folder / "alpha-one")
        self.assertEqual(self.path_of("alpha-one"), "alpha-one")
        # So does an option before the user's directory.
        self.assertEqual(self.path_of("alpha-two", "--models", str(self.models / "deep")), two)
        self.fail_to("memory", "-m", "alpha-two", "--models", str(self.folder / "config"), code="not_found")

    def test_a_digest(self):
        packs = self.pack_folder()
        self.succeed_to("generate", "-m", "alpha-one", "-W", "64", "-H", "64", "--steps", "1", "--packs", packs, "-o", "a.png", "-p", "x")
        digest = self.succeed_to("inspect", "alpha-one", "--digest")["digests"]["unet"]
        (self.models / "deep/alpha-two.safetensors").unlink()
        found = self.succeed_to("generate", "-m", digest[:10], "-W", "64", "-H", "64", "--steps", "1", "--packs", packs,
                                "-o", "b.png", "-p", "x")
        self.assertIn("seed", found["images"][0])
        self.fail_to("memory", "-m", "0123456789", "--packs", packs, code="not_found", parts=["digest"])

    def test_the_list(self):
        (self.models / "torn.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
        shutil.copy(HOME / "vae.safetensors", self.models / "alpha-one.vae.safetensors")
        packs = self.pack_folder()
        answer = self.succeed_to("models", "--packs", packs)
        self.assertEqual([model["name"] for model in answer["models"]], ["alpha-one", "torn", "alpha-two"])
        self.assertEqual([model.get("packs") for model in answer["models"]], [False, None, False])
        self.assertEqual(answer["models"][0]["family"], "sd15")
        self.assertEqual(answer["models"][0]["bytes"], (self.models / "alpha-one.safetensors").stat().st_size)
        self.assertEqual(answer["models"][0]["vae"], str(self.models / "alpha-one.vae.safetensors"))
        self.assertEqual(answer["models"][2]["vae"], "its own")
        self.assertIn("torn.safetensors", answer["models"][1]["problem"])
        self.succeed_to("generate", "-m", "alpha-two", "-W", "64", "-H", "64", "--steps", "1", "--packs", packs, "-o", "a.png", "-p", "x")
        answer = self.succeed_to("models", "--packs", packs)
        self.assertEqual([model.get("packs") for model in answer["models"]], [False, None, True])
        done = self.run_program("models")
        self.assertRegex(done.stdout, r"(?m)^ +alpha-one +sd15 ")
        self.assertEqual(self.succeed_to("models", "--models", "/nowhere")["models"], [])
        self.assertIn("no model was found: put checkpoints", self.run_program("models", "--models", "/nowhere").stderr)

    def test_settings_fill_what_is_open(self):
        self.fail_to("generate", "-p", "x", code="bad_input", parts=["-m FILE", "--default-model"])
        self.succeed_to("settings", "--default-model", "alpha-one", "-W", "64", "-H", "72", "--steps", "2", "--cfg", "3",
                        "--sampler", "euler", "--output-dir", "out", "--precision", "f32", "--budget", "2G", "--packs-limit", "3G")
        answer = self.succeed_to("settings", "-m", "alpha-two", "--steps", "1")
        self.assertEqual(answer["by_model"], [{"model": "alpha-two", "steps": 1}])
        self.assertEqual(json.loads((self.folder / "config/darkroom/settings.json").read_text()), {
            "model": "alpha-one", "size": "64x72", "steps": 2, "cfg": 3.0, "sampler": "euler", "output_dir": str(self.folder / "out"),
            "precision": "f32", "budget": "2G", "packs_limit": "3G", "by_model": {"alpha-two": {"steps": 1}}})
        made = self.succeed_to("generate", "-p", "x", "-s", "5")
        path = made["images"][0]["path"]
        self.assertEqual(path, str(self.folder / "out/darkroom-5.png"))
        text = self.succeed_to("inspect", path)["parameters"]
        for part in ("Steps: 2, Sampler: Euler, ", "CFG scale: 3, ", "Size: 64x72", "Model: alpha-one", "Precision: f32"):
            self.assertIn(part, text)
        self.succeed_to("generate", "-m", "alpha-two", "-p", "x", "-o", "b.png", "--cfg", "4")
        text = self.succeed_to("inspect", "b.png")["parameters"]
        for part in ("Steps: 1, Sampler: Euler, ", "CFG scale: 4, ", "Model: alpha-two"):
            self.assertIn(part, text)
        forecast = self.succeed_to("memory")
        self.assertEqual((forecast["forecast"]["width"], forecast["forecast"]["height"]), (64, 72))
        self.assertEqual(self.succeed_to("packs", "--packs", self.pack_folder())["limit_bytes"], 3 << 30)
        answer = self.succeed_to("settings", "--unset", "model,size,steps,cfg,sampler,output_dir,precision,budget,packs_limit")
        self.assertEqual(sorted(set(answer) - {"ok", "command", "ms"}), ["by_model", "exists", "path", "vae_by_model"])
        self.succeed_to("settings", "-m", "alpha-two", "--unset", "steps")
        self.assertEqual((self.folder / "config/darkroom/settings.json").read_text(), "{}\n")
        for words, part in ((["--unset", "stepps"], "stepps"), (["-W", "64"], "--height"), (["--packs-limit", "0"], "out of range"), (["--sampler", "best"], "euler-a"),
                            (["-m", "alpha-one", "--budget", "1G"], "all models"), (["--scheduler", "karras", "--sampler", "lcm"], "lcm")):
            self.fail_to("settings", *words, code="bad_input", parts=[part])

    def test_the_shell_loads_the_settings_model_when_it_needs_one(self):
        self.succeed_to("settings", "--default-model", "alpha-one")
        shell = self.shell()
        answer = shell.ask("generate -p x -W 64 -H 64 --steps 1 -o a.png")
        self.assertTrue(answer["ok"], answer)
        self.assertEqual(answer["model"]["path"], str(self.models / "alpha-one.safetensors"))
        answer = shell.ask("model alpha-two")
        self.assertEqual(answer["model"]["path"], str(self.models / "deep/alpha-two.safetensors"))
        answer = shell.ask("generate -p x -W 64 -H 64 --steps 1 -o a.png")
        self.assertNotIn("model", answer)


if __name__ == "__main__":
    take("vae.safetensors", "--part", "vae", "--seed", "2")
    harness.main()
