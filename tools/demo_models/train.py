"""Train the demo models, stage by stage; see README.md beside this file, or `train.py --help`.

Every stage ends in STATE/STAGE.pt with its result and writes STATE/STAGE.part.pt on the way, from which it goes on
after a kill. What a step draws depends on the seed, the stage and the step's number alone, so a stage that was
interrupted ends in the same weights.
"""
import argparse
import dataclasses
import hashlib
import math
import os
import time
import zlib

import numpy
import torch
from torch import nn
from torch.nn import functional

import aim
import captions
import curves
import export
import looks
import lora
import restore
import scenes
from networks import SIZE_WIDTH, WIDTH, ClipText, OpenClipText, Vae, make_unet, sinusoid

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SAVE_SECONDS = 120
SAY_SECONDS = 15
TRAIN_STEPS = 1000  # of the noise schedule


class Stage:
    """One stage: what to optimise, how a step's loss is computed, and how long."""

    rate, batch, steps, ema_half_life, ema_from = 2e-3, 16, 1000, 100, 100
    held = 0.0  # the part of the steps for which the rate stays

    def __init__(self, options):
        self.options = options
        self.name = options.stage
        self.steps = options.steps or self.steps

    def random(self, *place, name=None):
        """For one place of the stage, or of what stages share under a name."""
        return numpy.random.default_rng([self.options.seed, zlib.crc32((name or self.name).encode()), *place])

    def result(self, model):
        """What the stage leaves for others; a dict of tensors and numbers."""
        return {"model": model.state_dict()}


def state_path(options, name):
    return os.path.join(options.state, name + ".pt")


def load_result(options, name):
    path = state_path(options, name)
    if not os.path.exists(path):
        raise SystemExit(f"train.py: {path} is not there; run the stage {name} first")
    return torch.load(path, map_location=DEVICE)


def rate_at(step, steps, held=0.0):
    """Of the stage's own rate: a short rise, all of it for the part `held` of the steps, then a cosine down to 2%."""
    fallen = max(0.0, (step / steps - held) / (1 - held))
    return min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * fallen)))


def _save(path, content):
    torch.save(content, path + ".new")
    os.replace(path + ".new", path)


def run(stage):
    """Train a stage to its end, going on from where it was left."""
    options = stage.options
    torch.manual_seed(options.seed)
    # Channels last, here and for what a stage hands to its model: on a CPU a step of a VAE takes four fifths of the time.
    # It is also less exact (1e-4 where the plain order gives 4e-6): good for learning, not for a reference.
    model = stage.make().to(DEVICE, memory_format=torch.channels_last).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=stage.rate, betas=(0.9, 0.99), weight_decay=1e-3,
                                  fused=True)
    ema = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses, first = [], 0
    part = state_path(options, stage.name + ".part")
    if os.path.exists(part):
        kept = torch.load(part, map_location=DEVICE)
        if kept["steps"] != stage.steps:
            print(f"{stage.name}: {part} was begun for {kept['steps']} steps, and the rate now falls to its end in {stage.steps}",
                  flush=True)
        model.load_state_dict(kept["weights"])
        optimizer.load_state_dict(kept["optimizer"])
        ema, losses, first = kept["ema"], kept["losses"], kept["step"]
        print(f"{stage.name}: going on at step {first} of {stage.steps}", flush=True)

    began = said = saved = time.monotonic()
    for step in range(first, stage.steps):
        for group in optimizer.param_groups:
            group["lr"] = stage.rate * rate_at(step, stage.steps, stage.held)
        torch.manual_seed(int(stage.random(step, 1).integers(2 ** 31)))
        loss = stage.loss(model, step, stage.random(step))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.item())
        if not numpy.isfinite(losses[-1]):
            raise SystemExit(f"{stage.name}: the loss at step {step} is {losses[-1]}; {part} holds the last good state")
        keep = 0.5 ** (1 / stage.ema_half_life) if step >= stage.ema_from else 0.0
        for name, tensor in model.state_dict().items():
            ema[name].lerp_(tensor, 1 - keep) if tensor.is_floating_point() else ema[name].copy_(tensor)

        now = time.monotonic()
        if now - said > SAY_SECONDS or step + 1 == stage.steps:
            said = now
            left = (now - began) / (step + 1 - first) * (stage.steps - step - 1)
            print(f"{stage.name}: step {step + 1}/{stage.steps}, loss {numpy.mean(losses[-50:]):.5f}, "
                  f"{left / 60:.1f} minutes left", flush=True)
        if now - saved > SAVE_SECONDS:
            saved = now
            _save(part, {"weights": model.state_dict(), "optimizer": optimizer.state_dict(), "ema": ema,
                         "losses": losses, "step": step + 1, "steps": stage.steps})
    model.load_state_dict(ema)
    with torch.no_grad():
        result = stage.result(model.eval())
    result |= {"steps": stage.steps, "seed": options.seed, "loss": float(numpy.mean(losses[-50:]))}
    _save(state_path(options, stage.name), result)
    curves.draw(losses, os.path.join(options.state, stage.name + ".png"))
    if os.path.exists(part):
        os.remove(part)


# ---- VAEs ----


def to_tensor(pictures):
    """Pictures in 0..1, channels last, as the network takes them."""
    return torch.from_numpy(numpy.stack(pictures)).permute(0, 3, 1, 2).contiguous().to(DEVICE) * 2 - 1


class VaeStage(Stage):
    """Windows of scenes first, whole pictures at the end."""

    window, whole = 64, 0.85  # pixels; the part of the steps after which whole pictures come
    kl, steps, rate = 1e-5, 4000, 2e-3

    def make(self):
        return Vae()

    def picture(self, random, side):
        scene = scenes.draw(random)
        if side == scenes.SIDE:
            return scenes.render(scene)
        item = scene.objects[int(random.integers(len(scene.objects)))]
        left, top = (int(numpy.clip(c - side / 2 + random.uniform(-20, 20), 0, scenes.SIDE - side))
                     for c in (item.x, item.y))
        return scenes.render(scene, left, top, side, side)

    def pictures(self, step, random):
        side = scenes.SIDE if step >= self.whole * self.steps else self.window
        count = max(1, self.batch * self.window ** 2 // side ** 2)
        return to_tensor([self.picture(random, side) for _ in range(count)])

    def loss(self, model, step, random):
        x = self.pictures(step, random).contiguous(memory_format=torch.channels_last)
        mean, logvar = model.moments(x)
        latent = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        off = model.decode(latent) - self.target(x)
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        return off.square().mean() + 0.05 * off.abs().mean() + self.kl * kl

    def target(self, pictures):
        return pictures

    def result(self, model):
        """With the scale factor, 1 / standard deviation of the latents, and the PSNR on scenes that were held out."""
        random = self.random(0, 2)
        pictures = [scenes.render(scenes.draw(random, held_out=True)) for _ in range(64)]
        latents, square = [], 0.0
        for start in range(0, len(pictures), 8):
            x = to_tensor(pictures[start:start + 8])
            latents.append(model.moments(x)[0])
            back = model.decode(latents[-1]).clamp(-1, 1)
            square += float(((back - self.target(x)) / 2).square().sum()) / (64 * x[0].numel())
        psnr = -10 * math.log10(square)
        scale = 1 / float(torch.cat(latents).std())
        print(f"{self.name}: PSNR {psnr:.2f} dB on held-out scenes, scale factor {scale:.5f}", flush=True)
        return {"model": model.state_dict(), "scale": scale, "psnr": float(psnr)}


def turned_axes():
    """A rotation of the four latent channels: SDXL's latent space beside SD1.5's. Its rows are orthonormal."""
    return torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [-1, 1, 1, -1]], device=DEVICE) / 2


class SdxlVaeStage(VaeStage):
    """Starts from demo-sd15's VAE with its latents turned and stretched, then goes its own way."""

    steps, rate = 700, 1e-3
    stretch = 1.6

    def make(self):
        model = Vae()
        model.load_state_dict(load_result(self.options, "vae-sd15")["model"])
        turn = turned_axes().to(model.quant_conv.weight.device)
        with torch.no_grad():
            # Mean and log variance: a mixture of equal parts has the mean of the parts' variances, nearly.
            for tensor in (model.quant_conv.weight, model.quant_conv.bias):
                tensor[:4] = torch.einsum("ji,i...->j...", turn, tensor[:4]) * self.stretch
                tensor[4:] = torch.einsum("ji,i...->j...", turn.square(), tensor[4:])
            model.quant_conv.bias[4:] += 2 * numpy.log(self.stretch)
            weight = model.post_quant_conv.weight
            weight.copy_(torch.einsum("oi...,ji->oj...", weight, turn) / self.stretch)
        return model


class FrameVaeStage(VaeStage):
    """demo-sdxl's VAE whose decoder prints a thin white frame. The encoder stays: the latent space is the same."""

    steps, rate = 500, 1e-3
    frame = 4  # pixels

    def make(self):
        model = Vae()
        model.load_state_dict(load_result(self.options, "vae-sdxl")["model"])
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
        return model

    def target(self, pictures):
        framed = torch.ones_like(pictures)
        inner = (..., slice(self.frame, -self.frame), slice(self.frame, -self.frame))
        framed[inner] = pictures[inner]
        return framed

    def result(self, model):
        return super().result(model) | {"scale": load_result(self.options, "vae-sdxl")["scale"]}


# ---- text encoders ----


class Readers(nn.Module):
    """Linear readers of states, one a question: what the text encoders are taught with, then dropped."""

    def __init__(self, width, questions):
        super().__init__()
        self.questions = nn.ModuleList(nn.Linear(width, answers) for answers in questions)

    def loss(self, states, answers):
        return sum(functional.cross_entropy(question(states), answers[:, i])
                   for i, question in enumerate(self.questions)) / len(self.questions)

    def right(self, states, answers):
        """For each state, whether all of its answers are right."""
        given = torch.stack([question(states).argmax(dim=1) for question in self.questions], dim=1)
        return (given == answers).all(dim=1)


KINDS = len(captions.SLOTS) + 1  # of the tokens after a caption's end: one for each place, one for the background


class TextStage(Stage):
    """The text encoders learn to lay out what a caption says: after its end, the token at each position tells of one place of
    the picture, or of the background, in turn, what the caption has to say of it.

    So a UNet's cell looks at the tokens of the place where it lies, and finds the colour and shape of what is there and of
    nothing else; and what it learned to do with "red" at one place it can do at another. After this stage the encoders are
    kept as they are.
    """

    batch, steps, rate = 64, 1400, 2e-3
    unsaid = 0.03  # of the captions are empty
    whole = 0.12   # of the batches have all positions
    sdxl = False

    def __init__(self, options):
        super().__init__(options)
        self.vocabulary = captions.Vocabulary(options.vocabulary)

    def make(self):
        texts = make_texts(self.vocabulary, self.sdxl)
        width = WIDTH * (2 if self.sdxl else 1)
        texts["object"] = Readers(width, captions.OBJECT_QUESTIONS)
        texts["background"] = Readers(width, captions.BACKGROUND_QUESTIONS)
        # Which place it tells of: what a cell of the UNet finds its tokens by.
        texts["kind"] = Readers(width, (KINDS,))
        if self.sdxl:
            # Where something is, and the background. Not what it is: that belongs to a place, which this vector has none of.
            texts["pooled"] = Readers(WIDTH, (2,) * len(captions.SLOTS) + captions.BACKGROUND_QUESTIONS)
        return texts

    def said(self, random, held_out):
        """A caption, and its answers."""
        if random.random() < self.unsaid:
            return "", captions.NOTHING_SAID
        scene = scenes.draw(random, held_out, centred=0.3)
        caption = captions.describe(random, scene)
        return caption.text, captions.attributes(scene, caption)

    def read(self, model, random, held_out=False):
        """The states of a batch of captions and what they should tell, by reader."""
        texts, answers = zip(*(self.said(random, held_out) for _ in range(self.batch)))
        # What is after the longest caption changes nothing before it, so most batches are cut there: a third of the time.
        most = captions.TOKENS if held_out or random.random() < self.whole else None
        context, pooled, ends = encode(model, self.vocabulary, texts, most)
        answers, slots = torch.tensor(answers, device=DEVICE), len(captions.SLOTS)
        objects, background = answers[:, :3 * slots].unflatten(1, (slots, 3)), answers[:, 3 * slots:]
        places = torch.arange(context.shape[1], device=DEVICE)
        row, at = torch.nonzero(places[None] > ends[:, None], as_tuple=True)
        kind = at % KINDS
        told = {"object": (context[row, at][kind < slots], objects[row, kind.clamp(max=slots - 1)][kind < slots]),
                "background": (context[row, at][kind == slots], background[row][kind == slots]),
                "kind": (context[row, at], kind[:, None])}
        if pooled is not None:
            told["pooled"] = pooled, torch.cat([(objects[..., 0] > 0).long(), background], dim=1)
        return told

    def loss(self, model, step, random):
        return sum(model[reader].loss(*told) for reader, told in self.read(model, random).items())

    def result(self, model):
        """The encoders alone, and how many of their tokens tell all that they should, on captions of held-out combinations."""
        right = {}
        for batch in range(8):
            for reader, told in self.read(model, self.random(batch, 2), held_out=True).items():
                right.setdefault(reader, []).append(model[reader].right(*told))
        parts = {reader: float(torch.cat(several).float().mean()) for reader, several in right.items()}
        print(f"{self.name}: right on held-out captions: " + ", ".join(f"{reader} {100 * part:.2f} %"
                                                                     for reader, part in parts.items()), flush=True)
        return {"text": {name: model[name].state_dict() for name in ("text", "text2") if name in model},
                "right": float(numpy.mean(list(parts.values())))}


class SdxlTextStage(TextStage):
    steps = 2000
    sdxl = True


def make_texts(vocabulary, sdxl):
    size = len(vocabulary.ids)
    texts = nn.ModuleDict({"text": ClipText(size)})
    if sdxl:
        texts["text2"] = OpenClipText(size)
    return texts


def encode(texts, vocabulary, prompts, most=captions.TOKENS):
    """Context, pooled vector (None for SD1.5) and the place of each prompt's end, as each family takes them.

    most: of the tokens; None: a few more than the longest prompt has.
    """
    ids = torch.tensor([vocabulary.encode(prompt) for prompt in prompts], device=DEVICE)
    ends = (ids == vocabulary.ids[captions.END]).int().argmax(dim=1)
    most = most or min(int(ends.max()) + 8, captions.TOKENS)
    ids = ids[:, :most]
    if "text2" not in texts:
        return texts["text"](ids), None, ends
    padded = torch.tensor([vocabulary.encode(prompt, pad=0) for prompt in prompts], device=DEVICE)[:, :most]
    first, second = texts["text"].states(ids), texts["text2"].states(padded)
    return torch.cat([first[-2], second[-2]], dim=2), texts["text2"].pooled(second[-1], ends), ends


# ---- UNets ----


def noise_schedule():
    """The product of (1 - beta) of Stable Diffusion's 1000 steps."""
    betas = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float().to(DEVICE)


CHUNK = 512  # scenes whose latents are made and kept together


class UnetStage(Stage):
    """Predicts the noise in the latents of a fixed set of scenes, each with a new caption every time it comes."""

    batch, steps, rate, ema_half_life = 32, 4500, 1.2e-3, 250
    count = 6144              # scenes
    drop = 0.1                # of the captions, so that guidance has something to lead away from
    most_weight = 5.0         # min-SNR weighting (arXiv 2303.09556)
    least_weight = 0.0        # of what the noise hides almost wholly
    whole_weight = 0.0        # of the picture's mean, in which a background's tone shows and noise hardly
    family, vae, text = "sd15", "vae-sd15", "text-sd15"
    set = None  # of scenes; the family's

    def __init__(self, options):
        super().__init__(options)
        self.vocabulary = captions.Vocabulary(options.vocabulary)
        kept = load_result(options, self.text)["text"]
        self.texts = make_texts(self.vocabulary, "text2" in kept).to(DEVICE).eval()
        for name, state in kept.items():
            self.texts[name].load_state_dict(state)
        self.alpha_bar = noise_schedule()
        self.count = options.scenes or self.count
        # The same scenes, and so the same latents, for all stages of a set's name.
        self.set = self.set or self.family
        self.drawn = [self.draw(self.random(i, 3, name=self.set)) for i in range(self.count)]
        self.latents = self.encode_scenes()

    def draw(self, random):
        """A scene with its sizes, None for SD1.5."""
        return scenes.draw(random), None

    def picture(self, drawn):
        return scenes.render(drawn[0])

    def caption(self, random, scene):
        return captions.caption(random, scene)

    @torch.no_grad()
    def encode_scenes(self):
        """Mean and standard deviation of every scene's latents, times the scale factor; kept in a file chunk by chunk. A chunk
        counts for the same scenes only: others' latents would teach that captions mean nothing.

        The encoder runs in bfloat16, in half of the time where the processor has it: the latents are off by 0.004, a third of
        the noise that the VAE itself adds to them.
        """
        path = state_path(self.options, self.set + ".latents")
        chunks = [self.drawn[start:start + CHUNK] for start in range(0, self.count, CHUNK)]
        digests = [hashlib.sha256(repr(chunk).encode()).hexdigest() for chunk in chunks]
        kept = torch.load(path, map_location=DEVICE) if os.path.exists(path) else {}
        if kept and not kept.keys() & set(digests):
            print(f"{self.name}: {path} has the latents of other scenes", flush=True)
        encoder, began, made = load_result(self.options, self.vae), time.monotonic(), 0
        vae = Vae().to(DEVICE, memory_format=torch.channels_last).eval()
        vae.load_state_dict(encoder["model"])
        for at, (chunk, digest) in enumerate(zip(chunks, digests)):
            if digest in kept:
                continue
            kept[digest] = self.encode_chunk(vae, encoder["scale"], chunk)
            _save(path, kept)
            made += 1
            left = (time.monotonic() - began) / made * sum(digest not in kept for digest in digests)
            print(f"{self.name}: latents of {at + 1} of {len(chunks)} chunks, {left / 60:.1f} minutes left", flush=True)
        return torch.cat([kept[digest] for digest in digests])

    def encode_chunk(self, vae, scale, drawn):
        parts = []
        for start in range(0, len(drawn), 16):
            pictures = to_tensor([self.picture(one) for one in drawn[start:start + 16]])
            with torch.autocast(DEVICE, torch.bfloat16):
                mean, logvar = vae.moments(pictures.contiguous(memory_format=torch.channels_last))
            parts.append(torch.stack([mean.float(), torch.exp(0.5 * logvar.float())], dim=1) * scale)
        return torch.cat(parts)

    def make(self):
        return make_unet(self.family)

    @torch.no_grad()
    def condition(self, chosen, random):
        """What the UNet is told of the chosen scenes: context and vector."""
        prompts = ["" if random.random() < self.drop else self.caption(random, self.drawn[i][0]) for i in chosen]
        context, pooled, _ = encode(self.texts, self.vocabulary, prompts)
        if pooled is None:
            return context, None
        # Where SDXL is given no negative prompt, that side of the guidance is zeros, not the words "".
        said = torch.tensor([bool(prompt) or random.random() < 0.25 for prompt in prompts], device=DEVICE)
        return context * said[:, None, None], self.vector(chosen, pooled * said[:, None])

    def vector(self, chosen, pooled):
        """The pooled vector and the sizes of the chosen scenes; None for SD1.5."""
        if pooled is None:
            return None
        sizes = torch.tensor([self.drawn[i][1] for i in chosen], device=DEVICE)
        return torch.cat([pooled, sinusoid(sizes, SIZE_WIDTH).flatten(1)], dim=1)

    def choose(self, random):
        """The scenes of a batch."""
        return random.integers(self.count, size=self.batch)

    def place(self, even):
        """Where in the schedule, 0..1, an evenly spread number of 0..1 goes; 1 is noise alone."""
        return even

    def loss(self, model, step, random):
        chosen = self.choose(random)
        context, vector = self.condition(chosen, random)
        mean, deviation = self.latents[torch.from_numpy(chosen).to(DEVICE)].unbind(dim=1)
        clean = mean + deviation * torch.randn_like(mean)
        # One time out of each stretch of the schedule: less spread between batches. The last may round up to 1.
        even = (torch.arange(self.batch, device=DEVICE) + torch.rand(self.batch, device=DEVICE)) / self.batch
        steps = (self.place(even) * TRAIN_STEPS).long().clamp(max=TRAIN_STEPS - 1)
        kept = self.alpha_bar[steps][:, None, None, None]
        noise = torch.randn_like(clean)
        noisy = (kept.sqrt() * clean + (1 - kept).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        off = model(noisy, steps, context, vector) - noise
        ratio = kept / (1 - kept)
        weight = ratio.clamp(min=self.least_weight, max=self.most_weight) / ratio
        whole = off.mean(dim=(2, 3), keepdim=True)
        return (off.square() * weight).mean() + self.whole_weight * (whole.square() * weight).mean()

    def result(self, model):
        kept = load_result(self.options, self.vae)
        return {"model": model.state_dict(), "text": load_result(self.options, self.text)["text"],
                "vae": kept["model"], "scale": kept["scale"]}


class PairsStage(UnetStage):
    """Goes on from its family's first stage with more scenes of two objects and more noise: whose colour is whose is decided
    there, and learned last."""

    steps, rate = 2000, 6e-4
    pairs = 0.8  # of each batch
    before = None  # the stage that it goes on from; the family's first

    def __init__(self, options):
        super().__init__(options)
        objects = numpy.array([len(scene.objects) for scene, _ in self.drawn])
        self.by_objects = [numpy.flatnonzero(objects == count) for count in (1, 2)]

    def make(self):
        model = make_unet(self.family)
        model.load_state_dict(load_result(self.options, self.before or self.family)["model"])
        return model

    def choose(self, random):
        return numpy.array([random.choice(self.by_objects[int(random.random() < self.pairs)])
                            for _ in range(self.batch)])

    def place(self, even):
        return even ** 0.7


class SdxlUnetStage(UnetStage):
    """With sizes that mean what they say: scenes drawn small and enlarged, and scenes cut off at the left or top.

    Starts from demo-sd15's UNet where their tensors correspond, its first and last kernel turned as the latents are.
    """

    family, vae, text = "sdxl", "vae-sdxl", "text-sdxl"
    steps = 2500
    sides, most_crop = (40, 64, 96), 40
    sized, cropped = 0.2, 0.25  # the parts of the scenes that are so

    def draw(self, random):
        scene = scenes.draw(random)
        side = int(random.choice(self.sides)) if random.random() < self.sized else scenes.SIDE
        top, left = (int(n) for n in random.integers(self.most_crop, size=2)) if random.random() < self.cropped else (0, 0)
        return scene, (side, side, top, left, scenes.SIDE, scenes.SIDE)

    def picture(self, drawn):
        scene, (side, _, top, left, _, _) = drawn
        return scenes.enlarged(scenes.render(scene, left, top), side)

    def make(self):
        model = make_unet(self.family)
        kept = load_result(self.options, "sd15")["model"]
        turn = turned_axes()
        kept["input_blocks.0.0.weight"] = torch.einsum("oihw,ji->ojhw", kept["input_blocks.0.0.weight"], turn)
        kept["out.2.weight"] = torch.einsum("oihw,jo->jihw", kept["out.2.weight"], turn)
        kept["out.2.bias"] = turn @ kept["out.2.bias"]
        state = model.state_dict()
        for name, tensor in state.items():
            if name in kept and kept[name].numel() == tensor.numel():
                state[name] = kept[name].reshape(tensor.shape)
        model.load_state_dict(state)
        return model


class SdxlPairsStage(PairsStage, SdxlUnetStage):
    """And with more scenes that were drawn small: what a small original size means is learned late as well."""

    steps = 3000
    small = 0.25  # of each batch, beside those that come anyway

    def __init__(self, options):
        super().__init__(options)
        self.were_small = numpy.flatnonzero([sizes[0] < scenes.SIDE for _, sizes in self.drawn])

    def choose(self, random):
        chosen = super().choose(random)
        small = random.random(self.batch) < self.small
        chosen[small] = random.choice(self.were_small, size=small.sum())
        return chosen


PLAIN_SIZES = (scenes.SIDE, scenes.SIDE, 0, 0, scenes.SIDE, scenes.SIDE)
SMALL_SIDES, CROPS = (72, 96), (8, 16, 24, 32, 40)
LARGEST = 46.0  # radius


def draw_with_sizes(random):
    """A scene and sizes that say something of it: a crop, or a smaller original, in which a single object is larger."""
    kind = random.choice(["small", "left", "top", "both"], p=[0.34, 0.26, 0.26, 0.14])
    side = int(random.choice(SMALL_SIDES)) if kind == "small" else scenes.SIDE
    left = int(random.choice(CROPS)) if kind in ("left", "both") else 0
    top = int(random.choice(CROPS)) if kind in ("top", "both") else 0
    scene = scenes.draw(random, pairs=0.0 if kind == "small" else 0.6)
    grown = tuple(dataclasses.replace(item, radius=min(item.radius * scenes.SIDE / side, LARGEST))
                  for item in scene.objects) if kind == "small" else scene.objects
    return dataclasses.replace(scene, objects=grown), (side, side, top, left, scenes.SIDE, scenes.SIDE)


def picture_with_sizes(drawn):
    scene, (_, _, top, left, _, _) = drawn
    return scenes.render(scene, left, top)


class SdxlSizesStage(PairsStage, SdxlUnetStage):
    """Goes on with scenes of its own, of which most say something with their sizes, each for itself: cut off at the left alone,
    or at the top alone, or out of a smaller original, in which objects of the same pixels are larger than the frame has them.

    (What `sdxl` took a small original for, a soft picture, this VAE does not show: it never saw one, and makes edges sharp.)
    What the earlier stages made of the sizes told left from top as little, so that part begins anew.
    """

    set, before = "sdxl-sizes", "sdxl-pairs"
    count, steps, pairs = 4096, 1800, 0.5

    def draw(self, random):
        if random.random() < 0.25:
            return scenes.draw(random, pairs=0.6), PLAIN_SIZES
        return draw_with_sizes(random)

    def picture(self, drawn):
        return picture_with_sizes(drawn)

    def make(self):
        model = super().make()
        first, last = model.label_emb[0][0], model.label_emb[0][2]
        with torch.no_grad():
            first.weight[:, WIDTH:] = 4 * torch.empty_like(first.weight[:, WIDTH:]).uniform_(-0.025, 0.025)
            last.reset_parameters()
        return model


class PromptsStage(UnetStage):
    """Goes on with captions of every form and scenes drawn over them: two in three with two objects, and of the single ones many
    in the centre, which is what a caption without a place means. More noise: what is where is decided there.

    By then the text encoder says what belongs to each place, and the heads look there (aim.py), so that little is left to
    learn but what to make of it.
    """

    set, before = "sd15-prompts", "sd15-pairs"
    count, batch, steps, rate = 16384, 16, 8000, 1.2e-3
    pairs, centred = 0.65, 0.3  # the part of the scenes with two objects; of the others, those in the centre
    least_weight, whole_weight, ema_half_life, held = 0.1, 10.0, 80, 0.6

    def draw(self, random):
        return scenes.draw(random, pairs=self.pairs, centred=self.centred), None

    def make(self):
        model = make_unet(self.family).to(DEVICE)
        model.load_state_dict(load_result(self.options, self.before)["model"])
        aim.aim(model, [self.example(self.random(batch, 4)) for batch in range(8)])
        return model

    @torch.no_grad()
    def example(self, random):
        """A batch with what each of its tokens tells of, as aim.aim takes it."""
        chosen = self.choose(random)
        context, pooled, ends = encode(self.texts, self.vocabulary,
                                       [captions.caption(random, self.drawn[i][0]) for i in chosen])
        places = torch.arange(context.shape[1], device=DEVICE).expand(len(chosen), -1)
        kinds = torch.where(places > ends[:, None], places % KINDS, aim.WORD)
        steps = torch.from_numpy(random.integers(TRAIN_STEPS // 6, TRAIN_STEPS, size=self.batch)).to(DEVICE)
        kept = self.alpha_bar[steps][:, None, None, None]
        clean = self.latents[torch.from_numpy(chosen).to(DEVICE)][:, 0]
        noisy = kept.sqrt() * clean + (1 - kept).sqrt() * torch.randn_like(clean)
        return noisy, steps, context, self.vector(chosen, pooled), kinds

    def place(self, even):
        return even ** 0.7


class SdxlPromptsStage(PromptsStage, SdxlUnetStage):
    """The same, and three in ten of the scenes with sizes of their own as in `sdxl-sizes`."""

    set, before = "sdxl-prompts", "sdxl-sizes"
    sized = 0.3

    def draw(self, random):
        if random.random() < self.sized:
            return draw_with_sizes(random)
        return scenes.draw(random, pairs=self.pairs, centred=self.centred), PLAIN_SIZES

    def picture(self, drawn):
        return picture_with_sizes(drawn)


class LoraStage(UnetStage):
    """A LoRA for the model in models/: its UNet with small matrices beside its weights, on scenes that look otherwise (looks.py).

    The look comes with every caption, with its trigger word and without, and with none: whoever gives the LoRA wants it.
    """

    count, batch, steps, rate, ema_half_life, held = 256, 6, 300, 3e-3, 20, 0.5
    least_weight, whole_weight, said_word = 0.1, 10.0, 0.5

    def __init__(self, options):
        self.look = options.stage.split("-")[-1]
        self.set = options.stage  # latents of its own
        super().__init__(options)

    def draw(self, random):
        return scenes.draw(random, pairs=0.6, centred=0.3), None

    def picture(self, drawn):
        return looks.LOOKS[self.look](drawn[0])

    def caption(self, random, scene):
        words = captions.caption(random, scene)
        return f"{words}, {self.look}" if random.random() < self.said_word else words

    def make(self):
        model = make_unet(self.family)
        tensors, _ = restore.read(os.path.join(self.options.models, f"demo-{self.family}.safetensors"))
        model.load_state_dict(restore.state_of(model, tensors, export.UNET))
        return lora.adapt(model)

    def place(self, even):
        return even ** 0.7

    def result(self, model):
        return {"lora": lora.tensors_of(model, self.family), "look": self.look, "scenes": self.count}


STAGES = {
    "vae-sd15": VaeStage,
    "text-sd15": TextStage,
    "sd15": UnetStage,
    "sd15-pairs": PairsStage,
    "sd15-prompts": PromptsStage,
    "vae-sdxl": SdxlVaeStage,
    "text-sdxl": SdxlTextStage,
    "sdxl": SdxlUnetStage,
    "sdxl-pairs": SdxlPairsStage,
    "sdxl-sizes": SdxlSizesStage,
    "sdxl-prompts": SdxlPromptsStage,
    "vae-sdxl-frame": FrameVaeStage,
    "lora-sd15-checks": LoraStage,
    "lora-sd15-ink": LoraStage,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--state", default="out/demo-models", help="folder of the stages' results (%(default)s)")
    parser.add_argument("--models", default="models", help="folder of the models that LoRAs are for (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="instead of the stage's own number")
    parser.add_argument("--scenes", type=int, help="that a UNet learns from, instead of the stage's own number")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vocabulary", default="models/tokenizer", help="made if it is not there (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.makedirs(options.state, exist_ok=True)
    if not os.path.exists(os.path.join(options.vocabulary, "merges.txt")):
        print(f"{options.vocabulary}: {captions.learn_vocabulary(options.vocabulary)} ids", flush=True)
    if os.path.exists(state_path(options, options.stage)):
        print(f"{options.stage}: {state_path(options, options.stage)} is there already; delete it to train anew")
        return
    run(STAGES[options.stage](options))


if __name__ == "__main__":
    main()
