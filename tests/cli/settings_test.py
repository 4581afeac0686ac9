#!/usr/bin/env python3
"""Settings and the list of VAEs, as a user meets them."""
import json
import os
import shutil

import harness
from harness import GENERATE, HOME, LINE, Case, idat_of


class Settings(Case):
    """Each test has a settings file and a VAE folder of its own."""

    def setUp(self):
        super().setUp()
        self.file = self.folder / "config/darkroom/settings.json"
        self.place = {"XDG_CONFIG_HOME": str(self.folder / "config"), "XDG_DATA_HOME": str(self.folder / "data")}
        harness.ENVIRONMENT.update(self.place)
        self.addCleanup(harness.ENVIRONMENT.update, XDG_CONFIG_HOME=str(HOME / "config"),
                        XDG_DATA_HOME=str(HOME / "data"))
        self.vaes = self.folder / "vae"
        self.vaes.mkdir()
        shutil.copy(HOME / "vae.safetensors", self.vaes / "sharp.safetensors")

    def set(self, *arguments):
        return self.succeed_to("settings", *arguments)

    def generate(self, name, *more):
        answer, code = self.ask(*GENERATE, "-o", name, *more)
        self.assertEqual(code, 0, answer)
        return answer["vae"], idat_of(self.folder / name)

    def test_shown_and_changed(self):
        answer = self.set()
        self.assertEqual((answer["path"], answer["exists"], answer["vae_by_model"]), (str(self.file), False, []))
        self.assertFalse(self.file.exists())
        self.set("--vae-dir", "vae")
        self.set("--vae", "sharp")
        answer = self.set("-m", "tiny", "--vae", "none")
        self.assertEqual(answer["vae_by_model"], [{"model": "tiny", "vae": "none"}])
        self.assertEqual(json.loads(self.file.read_text()),
                         {"vae_dir": str(self.vaes), "vae": "sharp", "vae_by_model": {"tiny": "none"}})
        done = self.run_program("settings")
        self.assertRegex(done.stdout, r"(?m)^vae +sharp$")
        self.assertRegex(done.stdout, r"(?m)^ +tiny +none$")
        self.assertEqual({path.name for path in self.file.parent.iterdir()}, {"settings.json"})
        self.fail_to("settings", "-m", "other", "--unset-vae", code="not_found", parts=["other"])
        self.set("-m", "tiny", "--unset-vae")
        self.set("--unset-vae", "--unset-vae-dir")
        self.assertEqual(json.loads(self.file.read_text()), {})

    def test_a_name_that_means_nothing_is_said(self):
        self.assertIn("shrap", self.set("--vae-dir", "vae", "--vae", "shrap")["warnings"])
        self.assertNotIn("warnings", self.set("--vae", "sharp"))

    def test_pictures_obey(self):
        vae, base = self.generate("base.png")
        self.assertEqual((vae["source"], vae["active"]), ("default", "base"))
        self.set("--vae-dir", "vae", "--vae", "sharp")
        vae, sharp = self.generate("sharp.png")
        self.assertEqual((vae["source"], vae["active"], vae["name"]), ("setting", "override", "sharp.safetensors"))
        self.assertNotEqual(sharp, base)
        self.set("-m", "../tiny.safetensors", "--vae", "none")
        vae, picture = self.generate("model.png")
        self.assertEqual((vae["source"], vae["choice"]), ("model", "none"))
        self.assertIn("takes precedence over sharp", vae["reason"])
        self.assertEqual(picture, base)
        vae, picture = self.generate("job.png", "--vae", "sharp")
        self.assertEqual(vae["source"], "job")
        self.assertEqual(picture, sharp)

    def test_the_folder_of_option_environment_and_settings(self):
        other = self.folder / "other"
        other.mkdir()
        self.set("--vae-dir", "vae")

        def folder(*more, **environment):
            answer, code = self.ask("vaes", "-m", "../tiny.safetensors", *more, environment=environment)
            self.assertEqual(code, 0, answer)
            return answer["vae_dir"]

        self.assertEqual(folder(), str(self.vaes))
        self.assertEqual(folder(DARKROOM_VAE_DIR=str(other)), str(other))
        self.assertEqual(folder("--vae-dir", "vae", DARKROOM_VAE_DIR=str(other)), "vae")
        self.set("--unset-vae-dir")
        self.assertEqual(folder(), str(self.folder / "data/darkroom/vae"))

    def test_damaged_settings_stop_what_depends_on_them(self):
        self.file.parent.mkdir(parents=True)
        self.file.write_text('{"vae": "none",\n}')
        for arguments in (("settings",), ("settings", "--vae", "none"), (*GENERATE, "-o", "x.png"),
                          ("vaes", "-m", "../tiny.safetensors"), ("inspect", "../tiny.safetensors")):
            self.fail_to(*arguments, code="bad_input", parts=["settings.json", "line 2", "move it away"])
        self.assertEqual(self.file.read_text(), '{"vae": "none",\n}')
        self.assertFalse((self.folder / "x.png").exists())
        self.assertEqual(self.run_program("shell", stdin=b"quit\n").returncode, 2)
        self.file.unlink()
        self.generate("x.png")

    def test_an_unknown_key_is_a_warning(self):
        self.file.parent.mkdir(parents=True)
        self.file.write_text('{"vea": "none"}')
        self.assertIn("vea", self.set()["warnings"])
        done = self.run_program(*GENERATE, "-o", "x.png")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"vea"', done.stderr)
        self.set("--vae", "none")
        self.assertEqual(json.loads(self.file.read_text()), {"vea": "none", "vae": "none"})

    def test_unset_takes_the_names_of_options_too(self):
        self.set("--output-dir", str(self.folder), "--packs-limit", "5G", "-W", "64", "-H", "64", "--steps", "3", "--vae-dir", "vae",
                 "--default-model", "../tiny.safetensors", "--styles", "s.csv", "--wildcard-dir", ".")
        self.set("--unset", "output-dir,--packs-limit,width,steps,vae-dir,default-model,styles,wildcard-dir")
        self.assertEqual(json.loads(self.file.read_text()), {})
        self.fail_to("settings", "--unset", "ouput-dir", code="bad_input", parts=["there is no setting ouput_dir", "output_dir"])

    def test_a_shell_goes_there_and_back(self):
        os.link(HOME / "tiny.safetensors", self.folder / "a.safetensors")
        os.link(HOME / "tiny.safetensors", self.folder / "b.safetensors")
        self.set("--vae-dir", "vae", "-m", "b", "--vae", "sharp")
        shell = self.shell()
        self.assertEqual(self.succeed(shell, "vae")["vae"]["choice"], "automatic")
        self.assertEqual(self.succeed(shell, "model a.safetensors")["vae"]["active"], "base")
        answer = self.succeed(shell, "model b.safetensors")
        self.assertEqual((answer["vae"]["active"], answer["vae"]["source"]), ("override", "model"))
        self.succeed(shell, LINE + " -o b.png")
        self.succeed(shell, "vae none")
        self.assertEqual(self.succeed(shell, "vae")["vae"]["source"], "setting")
        self.assertEqual(self.succeed(shell, "model a.safetensors")["vae"]["choice"], "none")
        self.assertEqual(self.succeed(shell, "model b.safetensors")["vae"]["source"], "model")
        self.memory(shell)


class Vaes(Case):
    def setUp(self):
        super().setUp()
        self.model = self.folder / "m.safetensors"
        os.link(HOME / "tiny.safetensors", self.model)
        (self.folder / "vae/below").mkdir(parents=True)
        for name in ("sharp.safetensors", "below/twin.safetensors", "../m.vae.safetensors"):
            shutil.copy(HOME / "vae.safetensors", self.folder / "vae" / name)
        shutil.copy(HOME / "own-vae.safetensors", self.folder / "vae/below/sharp.safetensors")
        (self.folder / "vae/cut.safetensors").write_bytes((HOME / "vae.safetensors").read_bytes()[:100000])

    arguments = ("vaes", "-m", "m.safetensors", "--vae-dir", "vae")

    def test_every_vae_is_listed(self):
        answer, code = self.ask(*self.arguments, "--digest")
        self.assertEqual(code, 0, answer)
        rows = {row["path"]: row for row in answer["vaes"]}
        self.assertEqual(set(rows), {"m.safetensors", "./m.vae.safetensors", "vae/sharp.safetensors", "vae/cut.safetensors",
                                     "vae/below/twin.safetensors", "vae/below/sharp.safetensors"})
        self.assertEqual([path for path, row in rows.items() if row["active"]], ["./m.vae.safetensors"])
        self.assertEqual({path: row["usable"] for path, row in rows.items()},
                         {"m.safetensors": True, "vae/below/sharp.safetensors": True,  # the checkpoint's own, and the same
                          "vae/cut.safetensors": False, "./m.vae.safetensors": None, "vae/sharp.safetensors": None,
                          "vae/below/twin.safetensors": None})
        self.assertRegex(self.run_program(*self.arguments).stdout, r"(?m)^  twin .* not tried .* whole; not tried yet: ")
        self.assertIn("truncated", rows["vae/cut.safetensors"]["fit"])
        self.assertEqual(rows["vae/below/twin.safetensors"]["same_as"], "./m.vae.safetensors")
        self.assertEqual(rows["vae/below/sharp.safetensors"]["same_as"], "none")  # the checkpoint's own, in a file
        inspected, _ = self.ask("inspect", "vae/below/twin.safetensors", "--digest")
        self.assertEqual(rows["vae/below/twin.safetensors"]["digest"], inspected["digests"]["vae"])
        choices = {choice["choice"]: choice for choice in answer["choices"]}
        self.assertEqual(choices["automatic"]["path"], "./m.vae.safetensors")
        self.assertEqual((choices["none"]["active"], choices["none"]["path"]), ("base", ""))
        self.assertIn("more than one", choices["sharp"]["reason"])
        self.assertEqual(choices["twin"]["path"], "vae/below/twin.safetensors")
        self.assertEqual(choices["cut"]["active"], "corrupt")
        self.assertEqual(answer["choices"][0]["source"], "default")

    def test_for_people(self):
        done = self.run_program(*self.arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^  none +no +yes +sd15 +F16 .* whole *$")
        self.assertRegex(done.stdout, r"(?m)^  cut +no +no .* unreadable: ")
        self.assertRegex(done.stdout, r"(?m)^  twin +override +vae/below/twin.safetensors ")

    def test_in_the_shell(self):
        shell = self.shell("--vae-dir", "vae")
        self.fail_with(shell, "vaes", "not_found", "model")
        self.succeed(shell, "model m.safetensors")
        self.succeed(shell, "vae twin")
        before = self.memory(shell)["ledger"]["private_bytes"]
        answer = self.succeed(shell, "vaes --digest")
        self.assertEqual([row["choice"] for row in answer["vaes"] if row["active"]], ["twin"])
        self.assertEqual((answer["choices"][0]["choice"], answer["choices"][0]["source"]), ("twin", "setting"))
        self.assertEqual(self.memory(shell)["ledger"]["private_bytes"], before)
        self.fail_with(shell, "vaes --vae-dir other", "bad_input", "shell starts")


if __name__ == "__main__":
    harness.main()
