#!/usr/bin/env python3
"""GGUF checkpoints: the same pictures as of the numbers in them, UNets alone with a base, and what is refused."""
import os

import gguf_file
import harness
import layouts
from harness import ENVIRONMENT, GENERATE, HOME, LINE, Case, idat_of
from torch_save import Storage, Tensor

UNET = "model.diffusion_model."


def write_plain(path, tensors, texts):
    layouts.write(path, {name: Tensor(Storage(kind, data), shape) for name, (kind, shape, data) in tensors.items()}, **texts)


def rows_are_whole(name, shape, count):
    return shape[-1] % 32 == 0


def is_of_unet(name, shape, count):
    return name.startswith(UNET) and count % 256 == 0


def unet_alone(tensors):
    return {name[len(UNET):]: tensor for name, tensor in tensors.items() if name.startswith(UNET)}


class Gguf(Case):
    def picture_of(self, *options):
        self.succeed_to("generate", "-p", "a lighthouse", "-W", "64", "-H", "64", "--steps", "2", "--seed", "7", "--threads",
                        "1", "-o", "x.png", *options)
        return idat_of(self.folder / "x.png")

    def same_pictures(self, family, kind):
        source = harness.make(f"{family}-g.safetensors", "--family", family, "--seed", "5")
        tensors, texts = layouts.read(source)
        made, plain = gguf_file.quantised(tensors, kind, rows_are_whole)
        self.assertIn(kind, {entry[0] for entry in made.values()})
        (self.folder / "m.gguf").write_bytes(gguf_file.build(made, texts))
        write_plain(self.folder / "m.safetensors", plain, texts)
        for precision in ("f32", "bf16"):
            first = self.picture_of("-m", "m.safetensors", "--precision", precision)
            self.assertEqual(self.picture_of("-m", "m.gguf", "--precision", precision), first, (family, kind, precision))
        self.assertNotEqual(self.picture_of("-m", source), first)
        with harness.changed(ENVIRONMENT, {"DARKROOM_PACKS": self.pack_folder()}):
            first = self.picture_of("-m", "m.safetensors")
            for _ in range(2):  # the pack is made, and mapped
                self.assertEqual(self.picture_of("-m", "m.gguf"), first)

    def test_same_pictures_sd15_q8(self):
        self.same_pictures("sd15", "Q8_0")

    def test_same_pictures_sdxl_q4(self):
        self.same_pictures("sdxl", "Q4_0")

    def test_same_bytes_however_it_runs(self):
        for kind in ("q8", "q4"):
            self.succeed_to("convert", "../tiny.safetensors", "-o", "m.gguf", "--weights", kind, "--overwrite")
            words = ("-m", "m.gguf", "--precision", "f32")
            first = self.picture_of(*words)
            forecast = self.succeed_to("memory", *words, "-W", "64", "-H", "64")["forecast"]
            least = min(level["budget_bytes"] for level in forecast["levels"])
            for how in (("--threads", "2"), ("--threads", "3"), ("--weights", "f32"), ("--weights", "f16"), ("--budget", least)):
                self.assertEqual(self.picture_of(*words, *how), first, (kind, how))

    def make_unet(self):
        """u.gguf, a UNet alone in rows of 256; whole.safetensors, the same numbers in a complete model; and the base."""
        tensors, texts = layouts.read(HOME / "tiny.safetensors")
        made, plain = gguf_file.quantised(tensors, "Q8_0", is_of_unet)
        write_plain(self.folder / "whole.safetensors", plain, texts)
        texts = {**texts, "general.architecture": "sd1"}
        (self.folder / "u.gguf").write_bytes(gguf_file.build(unet_alone(made), texts, rows_of_256=True))
        os.link(os.path.realpath(HOME / "tiny.safetensors"), self.folder / "base.safetensors")

    def test_unet_alone(self):
        self.make_unet()
        first = self.picture_of("-m", "whole.safetensors")
        self.assertEqual(self.picture_of("-m", "u.gguf", "--base", "base.safetensors"), first)
        # The base by its name, from the settings, and for a shell and its later loads.
        with harness.changed(ENVIRONMENT, {"DARKROOM_MODELS": str(self.folder)}):
            self.assertEqual(self.picture_of("-m", "u", "--base", "base"), first)
            self.succeed_to("settings", "--base", "base")
            self.addCleanup(self.run_program, "settings", "--unset", "base")
            self.assertEqual(self.succeed_to("settings")["base"], "base")
            self.assertEqual(self.picture_of("-m", "u"), first)
            self.succeed_to("settings", "--unset", "base")
        shell = self.shell("-m", "u.gguf", "--base", "base.safetensors")
        self.succeed(shell, LINE + " -o s.png")
        self.assertEqual(idat_of(self.folder / "s.png"), first)
        self.memory(shell)
        # The base counts as the model does: it is not written over, and a change of it is seen.
        self.fail_with(shell, LINE + " -o base.safetensors", "bad_input")
        model = self.succeed(shell, "model u.gguf --base whole.safetensors")["model"]
        self.assertTrue(model["base"].endswith("whole.safetensors"))
        self.succeed(shell, LINE + " -o s.png")
        self.assertEqual(idat_of(self.folder / "s.png"), first)

    def test_unet_alone_is_looked_at(self):
        self.make_unet()
        answer = self.succeed_to("inspect", "u.gguf")
        self.assertEqual((answer["family"], answer["format"]), ("sd15", "GGUF"))
        self.assertEqual([part["role"] for part in answer["components"]], ["unet"])
        self.assertIn("Q8_0", answer["components"][0]["stored_types"])
        self.assertIn("no text encoder", answer["lacks"])
        self.assertNotIn("base", answer)
        self.assertEqual(answer["metadata"]["general.architecture"], "sd1")
        answer = self.succeed_to("inspect", "u.gguf", "--base", "base.safetensors")
        self.assertTrue(answer["base"].endswith("base.safetensors"))
        self.assertEqual({part["role"]: part.get("of_base", False) for part in answer["components"]},
                         {"unet": False, "text": True, "vae": True})
        self.assertNotIn("lacks", answer)
        listed = {model["name"]: model for model in self.succeed_to("models", "--models", self.folder)["models"]}
        self.assertEqual(listed["u"]["family"], "sd15")

    def test_base_is_refused(self):
        self.make_unet()
        harness.make("xl.safetensors", "--family", "sdxl", "--seed", "5")
        words = ["generate", "-m", "u.gguf", "-p", "x", "-W", "64", "-H", "64", "--steps", "1"]
        self.fail_to(*words, code="incomplete", parts=["no text encoder", "--base"])
        self.fail_to(*words, "--base", "../xl.safetensors", code="bad_input", parts=["of the family sdxl", "cannot be the base"])
        self.fail_to(*words, "--base", "../vae.safetensors", code="bad_input", parts=["vae", "cannot be the base"])
        self.fail_to(*words, "--base", "nowhere.safetensors", code="not_found", parts=["nowhere.safetensors"])
        self.fail_to("inspect", "u.gguf", "--base", "../xl.safetensors", code="bad_input", parts=["of the family sdxl"])
        # A base that is not needed is not looked at.
        self.succeed_to(*GENERATE, "--base", "../xl.safetensors", "-o", "x.png")
        self.assertEqual(self.files(), {"u.gguf", "whole.safetensors", "base.safetensors", "x.png"})

    def test_bad_files(self):
        self.make_unet()
        good = (self.folder / "u.gguf").read_bytes()
        for content, code, part in ((good[:-40], "corrupt", "it is truncated"), (good[:5000], "corrupt", "download it again"),
                                    (good[:4] + b"\1" + good[5:], "unsupported", "version 1"),
                                    (good[:8] + b"\xff" * 8 + good[16:], "corrupt", "18446744073709551615 tensors")):
            (self.folder / "bad.gguf").write_bytes(content)
            self.fail_to("inspect", "bad.gguf", code=code, parts=["bad.gguf", part])
            self.fail_to("generate", "-m", "bad.gguf", "-p", "x", code=code, parts=[part])


if __name__ == "__main__":
    harness.main()
