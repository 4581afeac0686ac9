#!/usr/bin/env python3
"""Inputs that every other program accepts: other endings, large seeds, other layouts, more tokens than CLIP has."""
import os
import shutil

import harness
from harness import ENVIRONMENT, GENERATE, HOME, Case, latents_of


class Endings(Case):
    def test_sft_is_a_model_a_vae_and_latents(self):
        for name in ("tiny", "vae"):
            os.link(HOME / f"{name}.safetensors", self.folder / f"{name}.sft")
        line = (*GENERATE[:2], "tiny.sft", *GENERATE[3:])
        for name in ("plain.SFT", "plain.safetensors"):
            answer, code = self.ask(*line, "-o", name)
            self.assertEqual(code, 0, answer)
            self.assertEqual(answer["latents"], name)
        self.assertEqual(latents_of(self.folder / "plain.SFT"), latents_of(self.folder / "plain.safetensors"))
        answer, code = self.ask("decode", "-m", "tiny.sft", "plain.SFT", "-o", "plain.png", "--vae", "vae.sft")
        self.assertEqual((code, answer["vae"]["active"]), (0, "override"), answer)
        answer, code = self.ask("decode", "-m", "tiny.sft", "plain.SFT", "-o", "plain.sft")
        self.assertEqual((code, answer["error"]["code"]), (2, "bad_input"), answer)

    def test_sft_in_the_folder_and_beside(self):
        os.link(HOME / "tiny.safetensors", self.folder / "m.sft")
        os.link(HOME / "vae.safetensors", self.folder / "m.vae.sft")
        (self.folder / "vae").mkdir()
        os.link(HOME / "own-vae.safetensors", self.folder / "vae/sharp.sft")
        answer, code = self.ask("vaes", "-m", "m.sft", "--vae-dir", "vae")
        self.assertEqual(code, 0, answer)
        self.assertEqual({os.path.basename(vae["path"]) for vae in answer["vaes"] if vae["path"]} - {"m.sft"},
                         {"m.vae.sft", "sharp.sft"})
        answer, _ = self.ask("inspect", "m.sft", "--vae-dir", "vae")
        self.assertEqual(answer["automatic"]["path"], "./m.vae.sft")
        answer, code = self.ask("settings", "-m", "m", "--vae", "sharp", "--vae-dir", "vae",
                                environment={"XDG_CONFIG_HOME": str(self.folder)})
        self.assertEqual(code, 0, answer)
        answer, _ = self.ask("vaes", "-m", "m.sft", environment={"XDG_CONFIG_HOME": str(self.folder)})
        named = [choice for choice in answer["choices"] if choice["source"] == "model"]
        self.assertEqual([os.path.basename(choice["path"]) for choice in named], ["sharp.sft"], answer)


if __name__ == "__main__":
    harness.main()
