#!/usr/bin/env python3
"""The VAE that is chosen, and the one that comes back."""
import json
import os
import shlex

import harness
import layouts
from harness import HOME, LINE, Case, idat_of


class Vae(Case):
    """Picture A with the base, B with an override, C with the base again: C is A, B differs."""

    def picture(self, shell, name, *options):
        self.succeed(shell, " ".join([LINE, "-o", name, *options]))
        self.memory(shell)
        return (self.folder / name).read_bytes()

    def start(self):
        shell = self.shell()
        self.succeed(shell, "model ../tiny.safetensors")
        return shell, self.picture(shell, "a.png")

    def finish(self, shell, first, override_name="b.png"):
        self.assertNotEqual((self.folder / override_name).read_bytes(), first)
        answer = self.succeed(shell, "vae none")
        self.assertEqual((answer["vae"]["active"], answer["vae"]["choice"]), ("base", "none"))
        self.assertTrue(answer["vae"]["verified"])
        self.assertEqual(self.picture(shell, "c.png"), first)

    def test_there_and_back(self):
        shell, first = self.start()
        digest = self.succeed(shell, "vae")["vae"]["digest"]
        self.succeed(shell, "vae ../vae.safetensors")
        self.picture(shell, "b.png")
        self.finish(shell, first)
        self.assertEqual(self.succeed(shell, "vae")["vae"]["digest"], digest)

    def test_image_to_image_in_between(self):
        shell, first = self.start()
        self.succeed(shell, "vae ../vae.safetensors")
        self.picture(shell, "b.png")
        self.picture(shell, "i.png", "--init b.png --strength 0.6")
        self.finish(shell, first)

    def test_after_a_failed_override(self):
        shell, first = self.start()
        before = self.memory(shell)["ledger"]["private_bytes"]
        self.fail_with(shell, "vae missing.safetensors", "not_found", "missing.safetensors")
        (self.folder / "broken.safetensors").write_bytes((HOME / "vae.safetensors").read_bytes()[:100000])
        self.fail_with(shell, "vae broken.safetensors", "corrupt", "broken.safetensors")
        self.fail_with(shell, f"{LINE} -o x.png --vae broken.safetensors", "corrupt", "broken.safetensors")
        self.assertEqual(self.memory(shell)["ledger"]["private_bytes"], before)
        self.assertEqual(self.picture(shell, "again.png"), first)
        self.succeed(shell, "vae ../vae.safetensors")
        second = self.picture(shell, "b.png")
        self.fail_with(shell, "vae broken.safetensors", "corrupt")
        self.assertEqual(self.picture(shell, "b2.png"), second)
        self.finish(shell, first)

    def test_chosen_before_the_first_load(self):
        _, first = self.start()
        shell = self.shell()
        self.assertEqual(self.succeed(shell, "vae ../vae.safetensors")["vae"]["source"], "setting")
        self.assertEqual(self.succeed(shell, "vae")["vae"]["choice"], "../vae.safetensors")
        self.assertEqual(self.succeed(shell, "model ../tiny.safetensors")["vae"]["active"], "override")
        self.picture(shell, "b.png")
        self.finish(shell, first)

    def test_a_setting_that_does_not_fit_is_no_failure(self):
        shell = self.shell()
        self.succeed(shell, "vae missing.safetensors")
        answer = self.succeed(shell, "model ../tiny.safetensors")
        self.assertEqual((answer["vae"]["active"], answer["vae"]["choice"]), ("base", "missing.safetensors"))
        self.assertIn("missing.safetensors", answer["receipt"]["reason"])

    def test_a_neighbour_and_then_none(self):
        _, first = self.start()
        os.link(HOME / "tiny.safetensors", self.folder / "m.safetensors")
        neighbour = self.folder / "m.vae.safetensors"
        os.link(HOME / "vae.safetensors", neighbour)
        shell = self.shell()
        answer = self.succeed(shell, "model m.safetensors")
        self.assertEqual(answer["vae"]["active"], "override")
        self.assertIn("m.vae.safetensors", answer["vae"]["reason"])
        self.assertNotEqual(idat_of(self.picture(shell, "b.png")), idat_of(first))
        neighbour.unlink()
        answer = self.succeed(shell, "vae automatic")
        self.assertEqual(answer["vae"]["active"], "base")
        self.assertEqual(idat_of(self.picture(shell, "c.png")), idat_of(first))

    def test_a_damaged_neighbour_is_said(self):
        os.link(HOME / "tiny.safetensors", self.folder / "m.safetensors")
        (self.folder / "m.vae.safetensors").write_bytes(b"not one")
        shell = self.shell()
        answer = self.succeed(shell, "model m.safetensors")
        self.assertEqual(answer["vae"]["active"], "base")
        self.assertIn("m.vae.safetensors", answer["receipt"]["reason"])

    def test_a_diffusers_folder(self):
        """By path, by name, in a pipeline's folder: the same VAE as the file; its own scale factor with it."""
        tensors = layouts.renamed(layouts.read(HOME / "vae.safetensors")[0], "", layouts.golden("sd15.vae"))
        folder = self.folder / "vaes" / "soft"
        folder.mkdir(parents=True)
        layouts.write(folder / "diffusion_pytorch_model.safetensors", tensors)
        (folder / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL", "scaling_factor": 0.5}))
        (self.folder / "vaes" / "other").mkdir()
        (self.folder / "vaes" / "other" / "config.json").write_text("{}")
        layouts.write(self.folder / "alone.safetensors", tensors)
        layouts.save(self.folder / "pipeline", "sd15", layouts.read(HOME / "tiny.safetensors")[0], "fp16.bin")
        shell = self.shell("--vae-dir", "vaes")
        self.succeed(shell, "model ../tiny.safetensors")
        own = self.succeed(shell, "vae")["vae"]
        first = self.picture(shell, "a.png")
        file = self.succeed(shell, "vae ../vae.safetensors")["vae"]
        for choice in ("soft", "vaes/soft", "vaes/soft/"):
            answer = self.succeed(shell, f"vae {choice}")["vae"]
            self.assertEqual((answer["digest"], answer["scale_factor"]), (file["digest"], 0.5), choice)
        self.assertIn("already the active VAE", self.succeed(shell, "vae vaes/soft")["receipt"]["reason"])
        self.picture(shell, "scaled.png")
        alone = self.succeed(shell, "vae alone.safetensors")["vae"]
        self.assertEqual((alone["digest"], alone["scale_factor"]), (file["digest"], file["scale_factor"]))
        self.assertNotEqual(self.picture(shell, "b.png"), (self.folder / "scaled.png").read_bytes())
        self.assertEqual(self.succeed(shell, "vae pipeline")["vae"]["digest"], own["digest"])
        self.fail_with(shell, "vae other", "not_found", "other")
        self.fail_with(shell, "vae vaes/other", "not_found", "vaes/other", "config.json")
        self.finish(shell, first)

    def test_release_is_complete(self):
        shell, _ = self.start()
        self.succeed(shell, "unload model")
        base = self.memory(shell)
        self.succeed(shell, "vae ../vae.safetensors")
        self.picture(shell, "b.png")
        self.succeed(shell, "vae none")
        self.succeed(shell, "unload model")
        after = self.memory(shell)
        self.assertEqual(after["regions"], [])
        self.assertLess(abs(after["kernel"]["private_bytes"] - base["kernel"]["private_bytes"]), 1 << 20)

    def test_a_foreign_one_is_refused(self):
        harness.make("home.safetensors", "--latent-space", "1")
        harness.make("home-vae.safetensors", "--part", "vae", "--latent-space", "1", "--seed", "3")
        harness.make("foreign-vae.safetensors", "--part", "vae", "--latent-space", "2")
        shell = self.shell()
        self.succeed(shell, "model ../home.safetensors")
        first = self.picture(shell, "a.png")
        held = self.memory(shell)["ledger"]["private_bytes"]
        for _ in range(2):
            self.fail_with(shell, "vae ../foreign-vae.safetensors", "foreign", "foreign-vae.safetensors")
            self.fail_with(shell, f"{LINE} -o x.png --vae ../foreign-vae.safetensors", "foreign", "--force")
            self.assertFalse((self.folder / "x.png").exists())
            self.assertEqual(self.memory(shell)["ledger"]["private_bytes"], held)
        self.assertEqual(self.succeed(shell, "vae")["vae"]["active"], "base")
        answer = self.succeed(shell, "vae ../home-vae.safetensors")
        self.assertIn("fits", answer["vae"]["probe"])
        self.assertIn(answer["vae"]["probe"], answer["receipt"]["reason"])
        answer = self.succeed(shell, "vae ../foreign-vae.safetensors --force")
        self.assertEqual(answer["vae"]["active"], "override")
        self.assertIn("--force", answer["vae"]["probe"])
        self.picture(shell, "b.png")
        self.finish(shell, first)

    def test_a_foreign_one_on_one_line(self):
        harness.make("home.safetensors", "--latent-space", "1")
        harness.make("foreign-vae.safetensors", "--part", "vae", "--latent-space", "2")
        line = shlex.split(LINE) + ["-m", "../home.safetensors", "-o", "a.png", "--vae", "../foreign-vae.safetensors"]
        ran = self.run_program(*line)
        self.assertEqual(ran.returncode, 7, ran.stderr)
        self.assertIn("another latent space", ran.stderr)
        self.assertFalse((self.folder / "a.png").exists())
        self.assertEqual(self.run_program(*line, "--force").returncode, 0)
        self.assertTrue((self.folder / "a.png").exists())


if __name__ == "__main__":
    harness.main()
