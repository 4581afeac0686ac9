#!/usr/bin/env python3
"""The same checkpoint in every container: the same digests, the same picture; and pickles that want to run something."""
import json
import os
import re
import shutil
from collections import OrderedDict

import harness
import layouts
import torch_save
from harness import ENVIRONMENT, HOME, LINE, Case, idat_of
from torch_save import Storage, Tensor

VAE = "first_stage_model."


def read_tensors(path):
    return layouts.read(path)[0]


class Touch:
    """What a hostile checkpoint does: a call of os.system when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


class Formats(Case):
    def picture_of(self, model, *options):
        shell = self.shell("-m", model)
        self.succeed(shell, " ".join([LINE, "-o", "picture.png", *options]))
        digest = self.succeed(shell, "vae")["vae"]["digest"]
        data = (self.folder / "picture.png").read_bytes()
        text = data[data.index(b"parameters"):data.index(b"IDAT") - 8]  # without the sum, and IDAT's length
        is_one_file = (self.folder / model).is_file() and not str(model).endswith(".json")
        self.assertEqual(b"Model hash: " in text, is_one_file, text)
        # A hash of the file is another for each container; all else is the same.
        return (idat_of(data), re.sub(rb"Model hash: [0-9a-f]{10}, ", b"", text)), digest

    def checkpoints(self):
        tensors = read_tensors(HOME / "tiny.safetensors")
        ema = {name.replace("model.", "model_ema.", 1): tensor for name, tensor in tensors.items()}
        whole = {"epoch": 1, "global_step": 2.5, "state_dict": OrderedDict(tensors, **ema),
                 "optimizer_states": [{"state": {}, "groups": [{"lr": 1e-4}]}], "callbacks": {Touch: Touch("never")}}
        yield "zip", torch_save.save_zip(whole)
        yield "legacy", torch_save.save_legacy(whole)
        yield "bare", torch_save.save_zip(tensors, "sd-v1")

    def test_same_picture(self):
        # In folders, so that the model's name in the picture is the same.
        first, digest = self.picture_of("../tiny.safetensors")
        for name, content in self.checkpoints():
            (self.folder / name).mkdir()
            (self.folder / name / "tiny.ckpt").write_bytes(content)
            picture, own = self.picture_of(f"{name}/tiny.ckpt")
            self.assertEqual(own, digest, name)
            self.assertTrue(picture == first, name)
        self.assertFalse((self.folder / "never").exists())

    def folders(self, family, name, *kinds):
        """The checkpoint as one file and as folders: equal digests and pictures. The last kind's folder."""
        (self.folder / "file").mkdir()
        file = self.folder / "file" / f"{name}.safetensors"
        os.link(harness.make(f"{family}-{name}.safetensors", "--family", family, "--seed", "5"), file)
        first, digest = self.picture_of(f"file/{name}.safetensors")
        tensors = read_tensors(file)
        for kind in kinds:
            layouts.save(self.folder / kind / name, family, tensors, kind)
            picture, own = self.picture_of(f"{kind}/{name}")
            self.assertEqual(own, digest, kind)
            self.assertTrue(picture == first, kind)
        return self.folder / kinds[-1] / name, first

    def test_same_picture_from_sd15_folders(self):
        self.folders("sd15", "m", "safetensors", "fp16.shards", "fp16.bin", "bin.shards", "fp16.bin.shards")

    def test_same_picture_from_sdxl_folders(self):
        folder, first = self.folders("sdxl", "m", "shards", "bin", "fp16", "safetensors")
        # What the second text encoder is decides the picture: another projection makes another.
        path = folder / "text_encoder_2" / "model.safetensors"
        text = read_tensors(path)
        whole = text["text_projection.weight"]
        text["text_projection.weight"] = layouts.transposed(whole)
        layouts.write(path, text)
        self.assertNotEqual(self.picture_of("safetensors/m")[0], first)
        # A part that is missing is named as what it is a part of.
        del text["text_model.encoder.layers.1.self_attn.k_proj.weight"]
        layouts.write(path, text)
        answer, _ = self.ask("generate", "-m", "safetensors/m", "-p", "x", "-o", "x.png")
        self.assertIn("1 tensor is missing: transformer.resblocks.1.attn.in_proj_weight", answer["error"]["message"])

    def test_shards_of_pickles_by_themselves(self):
        first, digest = self.picture_of("../tiny.safetensors")
        (self.folder / "m").mkdir()
        tensors = read_tensors(HOME / "tiny.safetensors")
        layouts.write_shards(self.folder / "m", "tiny", tensors, ending=".bin")
        index = self.folder / "m/tiny.bin.index.json"
        picture, own = self.picture_of(index)
        self.assertEqual(own, digest)
        self.assertEqual(picture[0], first[0])
        self.assertEqual(self.ask("inspect", index)[0]["format"], "sharded PyTorch checkpoint")
        vae = {name: tensor for name, tensor in tensors.items() if name.startswith(VAE)}
        layouts.write_shards(self.folder, "vae", vae, ending=".bin")
        answer, _ = self.ask(*harness.GENERATE, "--vae", "vae.bin.index.json", "-o", "x.png")
        self.assertEqual((answer["vae"]["active"], answer["vae"]["digest"]), ("override", digest))
        # A shard that is no file of tensors, is missing, or is of another download.
        shard = self.folder / "m/tiny-00002-of-00002.bin"
        for content, code, part in ((b"<!DOCTYPE html><html>", "unsupported", "a web page"),
                                    (index.read_bytes(), "corrupt", "is JSON, not a file with tensors"),
                                    (None, "not_found", "is missing"),
                                    ((self.folder / "m/tiny-00001-of-00002.bin").read_bytes(), "corrupt", "the index says")):
            shard.unlink()
            if content:
                shard.write_bytes(content)
            answer, _ = self.ask("inspect", index)
            self.assertEqual(answer["error"]["code"], code, answer)
            self.check_sentence(answer["error"]["message"], ["tiny-00002-of-00002.bin", part])
            shard.touch()

    def test_a_folder_brings_its_own_vocabulary(self):
        tensors = read_tensors(HOME / "tiny.safetensors")
        layouts.save(self.folder / "m", "sd15", tensors, "safetensors")
        line = ("generate", "-m", "m", "-p", "a lighthouse", "-W", "64", "-H", "64", "--steps", "1", "-o", "x.png")
        nowhere = {"DARKROOM_TOKENIZER": ""}
        self.assertEqual(self.ask(*line, environment=nowhere)[1], 3)
        shutil.copytree(ENVIRONMENT["DARKROOM_TOKENIZER"], self.folder / "m/tokenizer")
        self.assertEqual(self.ask(*line, environment=nowhere)[1], 0)

    def test_the_scheduler_is_obeyed(self):
        def picture_with(name, scheduler):
            if scheduler:
                layouts.save(self.folder / name / "m", "sd15", tensors, "safetensors", scheduler)
            else:
                (self.folder / name).mkdir()
                harness.make(self.folder / name / "m.safetensors", "--seed", "1", *name.split("+"))
            return self.picture_of(f"{name}/m" if scheduler else f"{name}/m.safetensors", "--scheduler trailing")[0]

        tensors = read_tensors(HOME / "tiny.safetensors")
        plain = picture_with("epsilon", {"prediction_type": "epsilon", "rescale_betas_zero_snr": False})
        v = picture_with("v", {"prediction_type": "v_prediction"})
        zero = picture_with("zero", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True})
        self.assertEqual(v, picture_with("--v-pred", None))
        self.assertEqual(zero, picture_with("--v-pred+--ztsnr", None))
        self.assertEqual(len({plain, v, zero}), 3)
        layouts.save(self.folder / "sample", "sd15", tensors, "safetensors", {"prediction_type": "sample"})
        answer, _ = self.ask("generate", "-m", "sample", "-p", "x", "-o", "x.png")
        self.assertEqual(answer["error"]["code"], "unsupported")
        self.assertIn('prediction_type is "sample"', answer["error"]["message"])

    def write_vae(self, container, name, tensors):
        """The path of a new file or folder with these tensors."""
        path = self.folder / f"{container}-{name}"
        if container == "folder":
            path.mkdir()
            layouts.write(path / "diffusion_pytorch_model.safetensors", tensors)
            (path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
        elif container == "safetensors":
            path = path.with_suffix(".safetensors")
            layouts.write(path, tensors)
        else:
            save = torch_save.save_zip if container == "zip" else torch_save.save_legacy
            path = path.with_suffix(".pt")
            path.write_bytes(save({"state_dict": tensors} if name == "bare" else tensors))
        return path.name

    def variants(self, bare, diffusers):
        """The same VAE as programs leave it: matrices for 1x1 kernels, prefixes, copies and leftovers beside it."""
        extra = Tensor(Storage("F32", bytes(16)), (4,))
        for naming, own, attention in (("bare", bare, ".attn_1."), ("diffusers", diffusers, ".attentions.")):
            yield naming, own
            yield naming + "-2d", {name: Tensor(t.storage, t.shape[:2]) if attention in name and len(t.shape) == 4 else t
                                   for name, t in own.items()}
            yield naming + "-ema", {**own, **{f"{name}_ema": extra for name in own},
                                    **{"model_ema." + name.replace(".", ""): extra for name in own},
                                    "model_ema.decay": extra}
            yield naming + "-extra", {**own, "loss.logvar": extra, "unheard.of": extra, "steps": extra,
                                      "loss.discriminator.main.0.weight": extra}
        for prefix in (VAE, "vae."):
            yield "prefix-" + prefix[:3], {prefix + name: tensor for name, tensor in bare.items()}
        yield "prefix-ema", {**{VAE + name: tensor for name, tensor in bare.items()},
                             **{f"first_stage_model_ema.{name}": extra for name in bare},
                             **{f"{VAE}{name}_ema": extra for name in bare}, "global_step": extra}

    def test_same_vae(self):
        bare = read_tensors(HOME / "vae.safetensors")
        diffusers = layouts.renamed(bare, "", layouts.golden("sd15.vae"))
        shell = self.shell("-m", "../tiny.safetensors")
        digest = self.succeed(shell, "vae ../vae.safetensors")["vae"]["digest"]
        count = 0
        for name, tensors in self.variants(bare, diffusers):
            for container in ("safetensors", "zip", "legacy", "folder"):
                path = self.write_vae(container, name, tensors)
                self.assertEqual(self.succeed(shell, f"vae ./{path}")["vae"]["digest"], digest, path)
                count += 1
        self.assertEqual(count, 44)

    def test_another_vae(self):
        """One bit of one weight is another digest in every container."""
        bare = read_tensors(HOME / "vae.safetensors")
        weight = bare["decoder.conv_out.weight"]
        data = bytearray(weight.storage.data)
        data[0] ^= 1
        changed = {**bare, "decoder.conv_out.weight": Tensor(Storage(weight.storage.dtype, bytes(data)), weight.shape)}
        shell = self.shell("-m", "../tiny.safetensors")
        digests = {self.succeed(shell, "vae ../vae.safetensors")["vae"]["digest"]}
        for container in ("safetensors", "zip", "legacy", "folder"):
            path = self.write_vae(container, "changed", changed)
            digests.add(self.succeed(shell, f"vae ./{path}")["vae"]["digest"])
        self.assertEqual(len(digests), 2)

    def test_runs_nothing(self):
        tensors = read_tensors(HOME / "tiny.safetensors")
        target = self.folder / "touched"
        hostile = {"itself": Touch(target), "state": {"state_dict": Touch(target)},
                   "tensor": {"state_dict": {**tensors, "a": Touch(target)}}}
        for name, value in hostile.items():
            for save in (torch_save.save_zip, torch_save.save_legacy):
                (self.folder / f"{name}.ckpt").write_bytes(save(value))
                answer, got = self.ask("inspect", f"{name}.ckpt")
                self.assertEqual((got, answer["error"]["code"]), (5, "unsupported"), (name, answer))
                self.assertIn("system", answer["error"]["message"])
        self.assertFalse(target.exists())

    def test_not_contiguous(self):
        storage = Storage("F32", bytes(24))
        (self.folder / "turned.ckpt").write_bytes(torch_save.save_zip({"w": Tensor(storage, (2, 3), 0, (1, 2))}))
        answer, _ = self.ask("inspect", "turned.ckpt")
        self.assertIn("tensor w: [2, 3] is not contiguous", answer["error"]["message"])


if __name__ == "__main__":
    harness.main()
