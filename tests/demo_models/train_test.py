#!/usr/bin/python3
"""The training program: an interrupted stage ends in the same weights, and what is exported is what was trained.

    train_test.py BUILD_ROOT SOURCE_ROOT

Needs PyTorch, which only the training's own environment has: HACKING.md says how to run it there. Elsewhere it skips.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile
import unittest

import support

try:
    import torch
    from torch import nn
except ImportError:
    support.skip("PyTorch is missing: run it with the Python of the environment that tools/demo_models/train makes")
import numpy
from PIL import Image

import aim
import captions
import evaluate
import export
import lora
import networks
import restore
import scenes
import train

PROMPT, NEGATIVE, SCALE = "a red circle left of a blue square", "a green star", 0.7


class Interrupted(Exception):
    pass


class SmallText(train.TextStage):
    batch, stop = 4, None

    def loss(self, model, step, random):
        if step == self.stop:
            raise Interrupted
        return super().loss(model, step, random)


def tensors(path):
    """The tensors of a safetensors file of float32 alone."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    return {name: torch.from_numpy(numpy.frombuffer(data[start:], numpy.float32, int(numpy.prod(entry["shape"])),
                                                    entry["data_offsets"][0]).reshape(entry["shape"]).copy())
            for name, entry in json.loads(data[8:start]).items() if name != "__metadata__"}


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="darkroom-train-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        torch.set_num_threads(1)
        captions.learn_vocabulary(str(self.folder / "tokenizer"), captions=500)


class ResumeTest(Case):
    def stage(self, state, seed=0, stop=None):
        (self.folder / state).mkdir(exist_ok=True)
        stage = SmallText(argparse.Namespace(stage="text-sd15", state=str(self.folder / state), seed=seed, steps=6,
                                             vocabulary=str(self.folder / "tokenizer")))
        stage.stop = stop
        return stage

    def weights(self, state):
        kept = torch.load(self.folder / state / "text-sd15.pt")
        return torch.cat([tensor.flatten() for tensor in kept["text"]["text"].values()])

    def test_an_interrupted_stage_ends_in_the_same_weights(self):
        self.addCleanup(setattr, train, "SAVE_SECONDS", train.SAVE_SECONDS)
        train.SAVE_SECONDS = 0
        train.run(self.stage("straight"))
        with self.assertRaises(Interrupted):
            train.run(self.stage("broken", stop=3))
        self.assertFalse((self.folder / "broken/text-sd15.pt").exists())
        train.run(self.stage("broken"))
        self.assertTrue(torch.equal(self.weights("straight"), self.weights("broken")))
        self.assertTrue((self.folder / "broken/text-sd15.png").exists())
        train.run(self.stage("other", seed=1))
        self.assertFalse(torch.equal(self.weights("straight"), self.weights("other")))


class LayoutTest(Case):
    """What the text encoders are asked for: each token after a caption's end tells of one place, or of the background."""

    def test_every_state_is_held_against_the_answers_of_its_own_place(self):
        said, most = [], 60
        stage = SmallText(argparse.Namespace(stage="text-sd15", state=str(self.folder), seed=0, steps=1,
                                             vocabulary=str(self.folder / "tokenizer")))
        drawn = stage.said

        def remembered(*arguments):
            said.append(drawn(*arguments))
            return said[-1]

        def encode(texts, vocabulary, prompts, _):
            """States that say whose they are: the prompt's number and the position."""
            ends = torch.tensor([vocabulary.encode(prompt).index(vocabulary.ids[captions.END]) for prompt in prompts])
            rows, places = torch.meshgrid(torch.arange(len(prompts)), torch.arange(most), indexing="ij")
            return torch.stack([rows, places], dim=2), None, ends

        stage.said = remembered
        self.addCleanup(setattr, train, "encode", train.encode)
        train.encode = encode
        told = stage.read(None, numpy.random.default_rng(5))
        slots, seen = len(captions.SLOTS), set()
        told_kinds = torch.cat(told["kind"], dim=1).tolist()
        for reader, width in (("object", 3), ("background", 2)):
            for (row, place), answers in zip(told[reader][0].tolist(), told[reader][1].tolist()):
                kind = place % train.KINDS
                self.assertEqual(reader, "background" if kind == slots else "object")
                self.assertEqual(answers, said[row][1][3 * kind:3 * kind + width])
                self.assertIn([row, place, kind], told_kinds)
                self.assertGreater(place, stage.vocabulary.encode(said[row][0]).index(stage.vocabulary.ids[captions.END]))
                seen.add((row, kind))
        self.assertEqual(len(seen), stage.batch * train.KINDS)


class AimTest(Case):
    """The heads of a UNet's attention over the text begin by looking at one thing each."""

    def looked_at(self, part, cells, context, kinds):
        """[heads, cells, what tokens tell of]: how much of each head's look goes there."""
        query, key = (layer(states).unflatten(2, (part.heads, -1)).transpose(1, 2)
                      for layer, states in ((part.to_q, cells), (part.to_k, context)))
        weights = torch.softmax(query @ key.transpose(2, 3) / query.shape[-1] ** 0.5, dim=-1)
        told = torch.nn.functional.one_hot(kinds, aim.WORD + 1).float()
        return torch.einsum("bhct,btk->bhck", weights, told).mean(dim=0)

    @torch.no_grad()
    def test_each_head_looks_at_what_it_is_aimed_at(self):
        if not (support.MODELS / "demo-sd15.safetensors").exists():
            self.skipTest("there is no models/demo-sd15.safetensors")
        kept = dict(restore.results(str(support.MODELS)))
        unet = networks.make_unet("sd15").eval()
        unet.load_state_dict(kept["sd15-pairs"]["model"])
        torch.manual_seed(0)
        # Tokens that tell what they tell of, under noise of their own.
        marks = torch.randn(aim.WORD + 1, networks.WIDTH)

        def batch():
            kinds = torch.where(torch.arange(captions.TOKENS) < 12, aim.WORD, torch.arange(captions.TOKENS) % train.KINDS)
            kinds = kinds.expand(8, -1)
            context = marks[kinds] + 0.3 * torch.randn(8, captions.TOKENS, networks.WIDTH)
            return torch.randn(8, 4, 16, 16), torch.randint(150, 1000, (8,)), context, None, kinds

        batches, held_back = [batch() for _ in range(4)], batch()
        part = unet.output_blocks[0][1].transformer_blocks[0].attn2

        def look():
            seen = []
            hook = part.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
            unet(*held_back[:-1])
            hook.remove()
            return self.looked_at(part, *seen[0], held_back[-1])

        before = look()
        aim.aim(unet, batches)
        after = look()
        for head, kind in ((2, aim.CENTRE), (3, aim.BACKGROUND)):
            self.assertGreater(float(after[head, :, kind].mean()), 0.6)
            self.assertGreater(float((after - before)[head, :, kind].mean()), 0.2)
        side = int(after.shape[1] ** 0.5)
        halves = after.unflatten(1, (side, side))
        right, left = halves[0, :, side // 2:], halves[0, :, :side // 2]
        self.assertGreater(float(right[..., aim.RIGHT].mean()), 1.5 * float(right[..., aim.LEFT].mean()))
        self.assertGreater(float(left[..., aim.LEFT].mean()), 1.5 * float(left[..., aim.RIGHT].mean()))
        bottom, top = halves[1, side // 2:], halves[1, :side // 2]
        self.assertGreater(float(bottom[..., aim.BOTTOM].mean()), 1.5 * float(bottom[..., aim.TOP].mean()))
        self.assertGreater(float(top[..., aim.TOP].mean()), 1.5 * float(top[..., aim.BOTTOM].mean()))


class LatentsTest(Case):
    """A set of scenes that grows keeps the latents that are made."""

    def stage(self, scenes_wanted):
        return train.UnetStage(argparse.Namespace(stage="sd15", state=str(self.folder), seed=0, steps=1, scenes=scenes_wanted,
                                                  vocabulary=str(self.folder / "tokenizer")))

    def test_a_chunk_is_encoded_once(self):
        self.addCleanup(setattr, train, "CHUNK", train.CHUNK)
        train.CHUNK = 2
        torch.save({"model": networks.Vae().state_dict(), "scale": 1.0}, self.folder / "vae-sd15.pt")
        texts = train.make_texts(captions.Vocabulary(str(self.folder / "tokenizer")), False)
        torch.save({"text": {name: part.state_dict() for name, part in texts.items()}}, self.folder / "text-sd15.pt")
        first = self.stage(4).latents
        # Another VAE: what it did not encode shows.
        torch.save({"model": networks.Vae().state_dict(), "scale": 1.0}, self.folder / "vae-sd15.pt")
        more = self.stage(6).latents
        self.assertTrue(torch.equal(more[:4], first))
        (self.folder / "sd15.latents.pt").unlink()
        self.assertFalse(torch.equal(self.stage(6).latents[:4], first))


class RateTest(unittest.TestCase):
    def test_it_rises_stays_and_falls(self):
        rates = [train.rate_at(step, 1000, held=0.6) for step in range(1000)]
        self.assertLess(rates[0], 0.05)
        self.assertEqual(set(rates[50:600]), {1.0})
        self.assertEqual(rates[600:], sorted(rates[600:], reverse=True))
        self.assertLess(rates[-1], 0.03)
        self.assertLess(train.rate_at(300, 1000), 0.9)


class LoraTest(Case):
    """A LoRA begins as nothing, only its own matrices are trained, and its names are those of its family."""

    def inputs(self):
        torch.manual_seed(3)
        return torch.randn(2, 4, 16, 16), torch.tensor([10, 900]), torch.randn(2, 9, networks.WIDTH)

    def test_it_begins_as_nothing_and_only_it_learns(self):
        unet, inputs = networks.make_unet("sd15"), self.inputs()
        random_weights(unet)
        with torch.no_grad():
            before = unet(*inputs)
        kept = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
        adapted = lora.adapt(unet)
        with torch.no_grad():
            self.assertTrue(torch.equal(adapted(*inputs), before))
        optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=1.0)
        adapted(*inputs).square().mean().backward()
        optimizer.step()
        with torch.no_grad():
            self.assertFalse(torch.equal(adapted(*inputs), before))
        for name, tensor in adapted.state_dict().items():
            if ".up." not in name and ".down." not in name:
                self.assertTrue(torch.equal(tensor, kept[name.replace(".layer.", ".")]), name)

    def test_names(self):
        self.assertEqual([lora.diffusers_name(name) for name in (
            "input_blocks.1.0.out_layers.3", "input_blocks.3.1.proj_in", "middle_block.1.transformer_blocks.0.ff.net.2",
            "middle_block.2.in_layers.2", "output_blocks.0.0.out_layers.3", "output_blocks.3.1.proj_out")],
            ["down_blocks.0.resnets.0.conv2", "down_blocks.1.attentions.0.proj_in",
             "mid_block.attentions.0.transformer_blocks.0.ff.net.2", "mid_block.resnets.1.conv1",
             "up_blocks.0.resnets.0.conv2", "up_blocks.1.attentions.1.proj_out"])
        for family, first in (("sd15", "lora_unet_down_blocks_0_resnets_0_conv2.alpha"),
                              ("sdxl", "lora_unet_input_blocks_1_0_out_layers_3.alpha")):
            self.assertIn(first, lora.tensors_of(lora.adapt(networks.make_unet(family)), family))


def random_weights(module):
    """Weights that a float16 file holds exactly, and under which activations stay finite."""
    for name, tensor in module.named_parameters():
        if tensor.dim() > 1:
            deviation = 0.1 if "embedding" in name else 0.7 / tensor[0].numel() ** 0.5
            torch.nn.init.normal_(tensor, std=deviation)
    for part in module.modules():
        if hasattr(part, "asleep"):
            part.asleep = False
    return module.half().float()


class ExportTest(Case):
    @torch.no_grad()
    def check(self, family):
        torch.manual_seed(0)
        vocabulary = captions.Vocabulary(str(self.folder / "tokenizer"))
        vae, unet = random_weights(networks.Vae()), random_weights(networks.make_unet(family))
        texts = random_weights(train.make_texts(vocabulary, family == "sdxl"))
        result = {"vae": vae.state_dict(), "model": unet.state_dict(),
                  "text": {name: part.state_dict() for name, part in texts.items()}}
        self.model = self.folder / "model.safetensors"
        export.write(str(self.model), export.network_of(result, family), export.metadata_of(family, SCALE))
        self.check_restored(family, result)

        picture = scenes.render(scenes.draw(numpy.random.default_rng(3)))
        pixels = numpy.uint8(numpy.round(picture * 255))
        Image.fromarray(pixels).save(self.folder / "in.png")
        mean, _ = vae.moments(train.to_tensor([pixels.astype(numpy.float32) / 255]))
        self.darkroom("encode", self.folder / "in.png", "-o", self.folder / "encoded.safetensors")
        encoded = tensors(self.folder / "encoded.safetensors")["latent"]
        self.assertLess((encoded - mean * SCALE).abs().max(), 1e-4)
        self.darkroom("decode", self.folder / "encoded.safetensors", "-o", self.folder / "out.png")
        decoded = (vae.decode(mean).clamp(-1, 1)[0].permute(1, 2, 0).numpy() + 1) / 2
        self.assertLess(numpy.abs(decoded - evaluate.read(self.folder / "out.png")).max(), 0.51 / 255)

        made = self.made()
        expected = self.euler(unet, texts, vocabulary)
        self.assertLess((made - expected).norm() / expected.norm(), 1e-4)
        # The control: other words, another latent.
        other = self.euler(unet, texts, vocabulary, "a blue square left of a red circle")
        self.assertGreater((made - other).norm() / expected.norm(), 1e-3)
        self.check_lora(family, unet, made, lambda adapted: self.euler(adapted, texts, vocabulary))

    def made(self, *more):
        """The latents of two guided Euler steps."""
        path = self.folder / "made.safetensors"
        self.darkroom("generate", "-p", PROMPT, "-n", NEGATIVE, "--steps", 2, "--cfg", 2, "--sampler",
                      "euler", "--scheduler", "normal", "--rng", "cpu", "--seed", 7, "-o", path, *more)
        return tensors(path)["latent"]

    def check_lora(self, family, unet, without, steps):
        """A LoRA beside the UNet does here what its file does there."""
        adapted = lora.adapt(unet)
        for part in adapted.modules():
            if isinstance(part, lora.Lora):
                nn.init.normal_(part.up.weight, std=0.3)
                for layer in (part.up, part.down):
                    layer.weight.copy_(layer.weight.half().float())
        path = self.folder / "lora.safetensors"
        export.write(str(path), lora.tensors_of(adapted, family), {"ss_network_module": "networks.lora"})
        made, expected = self.made("--lora", path), steps(adapted)
        self.assertLess((made - expected).norm() / expected.norm(), 1e-4)
        self.assertGreater((made - without).norm() / expected.norm(), 1e-2)

    def check_restored(self, family, result):
        """restore.py gives back what was written: grouped and point kernels too."""
        self.model.rename(self.folder / f"demo-{family}.safetensors")
        found = dict(restore.results(str(self.folder)))
        (self.folder / f"demo-{family}.safetensors").rename(self.model)
        again = found["sd15-pairs" if family == "sd15" else "sdxl-sizes"]
        for part in ("model", "vae"):
            self.assertEqual(again[part].keys(), result[part].keys())
            for name, tensor in result[part].items():
                self.assertTrue(torch.equal(again[part][name], tensor), name)
        for name, state in result["text"].items():
            for key, tensor in state.items():
                self.assertTrue(torch.allclose(again["text"][name][key], tensor, atol=0.01), key)  # 4.6052 has no float16
        self.assertAlmostEqual(again["scale"], SCALE)

    def darkroom(self, command, *arguments):
        subprocess.run([str(part) for part in (support.BUILD / "darkroom", command, "-m", self.model, "--tokenizer",
                                               self.folder / "tokenizer", "--precision", "f32", "--threads", 1, "-q",
                                               *arguments)], check=True, capture_output=True, timeout=300)

    def euler(self, unet, texts, vocabulary, prompt=PROMPT):
        """Two guided Euler steps, from the schedule's first to its last time."""
        alpha_bar = train.noise_schedule().double()
        sigmas = [float(((1 - alpha_bar[t]) / alpha_bar[t]).sqrt()) for t in (999, 0)] + [0.0]
        context, pooled, _ = train.encode(texts, vocabulary, [NEGATIVE, prompt])
        vector = None
        if pooled is not None:
            sizes = networks.sinusoid(torch.tensor([[128, 128, 0, 0, 128, 128]] * 2), networks.SIZE_WIDTH)
            vector = torch.cat([pooled, sizes.flatten(1)], dim=1)
        x = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(7)) * sigmas[0]
        for step, time in enumerate((999.0, 0.0)):
            scaled = (x / (sigmas[step] ** 2 + 1) ** 0.5).repeat(2, 1, 1, 1)
            negative, positive = unet(scaled, torch.tensor([time, time]), context, vector).chunk(2)
            x = x + (negative + 2 * (positive - negative)) * (sigmas[step + 1] - sigmas[step])
        return x

    def test_sd15(self):
        self.check("sd15")

    def test_sdxl(self):
        self.check("sdxl")


if __name__ == "__main__":
    support.cases.main()
