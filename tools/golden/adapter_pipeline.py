#!/usr/bin/env python3
"""Golden latents and contexts with LoRAs: diffusers' whole pipelines with PEFT, weights fused in float32.

    adapter_pipeline.py --tool build/tools/random_checkpoint --out tests/golden

For each family and way of naming a LoRA `adapters/FAMILY-names-WAY.safetensors` of random numbers, which diffusers
loads itself, and in `adapters_steps_FAMILY.safetensors`, float32:
    latent.CASE       [1,4,H/8,W/8]  after the last step, in the UNet's scale
    context.CASE      [1,77,width]   the prompt's, of the first encoder (SD1.5: after the final norm)
    context2.CASE, pooled.CASE       of SDXL's second
The LoRAs with PEFT's names change text encoders and UNet, those with kohya's (diffusers' blocks, or for SDXL the
original ones) the UNet. The case `ten` is ten guided steps of Euler; the others are recipes of docs/USAGE.md for models
of few steps, with the names that such files have. `turbo` has no LoRA. What the test must repeat is said in the metadata.
"""
import argparse
import json
import os
import tempfile

import numpy
import torch
from diffusers import (DDIMScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, LCMScheduler,
                       StableDiffusionPipeline, TCDScheduler)
from golden import Checkpoint, Golden, text_model, unet_model, vae_model
from pipeline_sdxl import make_pipeline as make_sdxl
from safetensors.torch import save_file as save_lora
from transformers import CLIPTokenizer

SEED = 1234
WIDTH, HEIGHT = 128, 96
RANK = 2
STRENGTH = 0.75
PROMPT = "a red circle"
NEGATIVE = "fog"
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}

# case: scheduler, steps, guidance, names of modules, more arguments; and darkroom's words for it.
RECIPES = {
    "ten": (lambda: EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace", steps_offset=1), 10, 5.0, "peft", {},
            "euler normal"),
    "lcm": (lambda: LCMScheduler(**BETAS), 4, 1.0, "kohya", {}, "lcm lcm"),
    "hyper": (lambda: DDIMScheduler(**BETAS, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=False,
                                    steps_offset=1), 4, 1.0, "kohya", {}, "ddim trailing"),
    "hyper-one": (lambda: TCDScheduler(**BETAS), 4, 1.0, "kohya", {"eta": 1.0}, "tcd lcm"),
    "lightning": (lambda: EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing"), 4, 1.0, "original", {},
                  "euler trailing"),
    "dmd2": (lambda: LCMScheduler(**BETAS), 4, 1.0, "peft", {}, "lcm lcm"),
    "turbo": (lambda: EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing"), 1, 1.0, None, {},
              "euler-a trailing"),
}
CASES = {"sd15": ("ten", "lcm", "hyper", "hyper-one", "turbo"),
         "sdxl": ("ten", "lcm", "hyper", "lightning", "dmd2", "turbo")}


def make_sd15(checkpoint, vocabulary):
    files = [os.path.join(vocabulary, name) for name in ("vocab.json", "merges.txt")]
    pipeline = StableDiffusionPipeline(
        vae=vae_model(checkpoint), text_encoder=text_model(checkpoint, None),
        tokenizer=CLIPTokenizer(*files, model_max_length=77),
        unet=unet_model(checkpoint, "sd15", checkpoint.head_dim), scheduler=RECIPES["ten"][0](),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def wanted(unet):
    """Every fourth linear or convolution: files stay small. diffusers does not read kohya's name of add_embedding."""
    found = [(name, module) for name, module in unet.named_modules()
             if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and not name.startswith("add_embedding")]
    return found[::4]


def original_names(checkpoint, config):
    from adapters import original_names as of

    return of(checkpoint, config)


class Lora:
    def __init__(self, seed):
        self.random = numpy.random.default_rng(seed)
        self.file = {}

    def normal(self, *shape, spread):
        numbers = self.random.standard_normal(shape, dtype=numpy.float32) * spread
        return torch.from_numpy(numpy.asarray(numbers, numpy.float32)).half()

    def add(self, module, weight, up, down, alpha):
        out, inputs, *taps = weight.shape
        ones = [1] * len(taps)
        spread = float(weight.std()) * 0.7
        self.file[module + down] = self.normal(RANK, inputs, *taps, spread=0.5 / max(1, len(taps))).contiguous()
        self.file[module + up] = self.normal(out, RANK, *ones, spread=spread).contiguous()
        if alpha:
            self.file[module + ".alpha"] = torch.tensor(alpha)


def unet_lora(lora, checkpoint, family, unet, names):
    originals = original_names(checkpoint, unet.config) if names == "original" else None
    for name, module in wanted(unet):
        if names == "peft":
            lora.add("unet." + name, module.weight, ".lora_B.weight", ".lora_A.weight", None)
            continue
        spelled = originals[name] if originals else name
        lora.add("lora_unet_" + spelled.replace(".", "_"), module.weight, ".lora_up.weight", ".lora_down.weight", 1.5)


def text_lora(lora, prefix, model):
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and ".layers." in name:
            inner = name if name.startswith("text_model.") else "text_model." + name
            lora.add(f"{prefix}.{inner}", module.weight, ".lora_B.weight", ".lora_A.weight", None)


def make_lora(checkpoint, family, pipeline, names):
    lora = Lora(190)
    unet_lora(lora, checkpoint, family, pipeline.unet, names)
    if names == "peft":
        text_lora(lora, "text_encoder", pipeline.text_encoder)
        if family == "sdxl":
            text_lora(lora, "text_encoder_2", pipeline.text_encoder_2)
    return lora.file


def keep_contexts(golden, pipeline, family, case):
    tokens = pipeline.tokenizer(PROMPT, padding="max_length", max_length=77, return_tensors="pt").input_ids
    if family == "sd15":
        golden.keep("ids." + case, tokens.numpy().astype(numpy.int32))
        golden.keep("context." + case, pipeline.text_encoder(tokens).last_hidden_state)
        return
    second = pipeline.tokenizer_2(PROMPT, padding="max_length", max_length=77, return_tensors="pt").input_ids
    golden.keep("ids." + case, tokens.numpy().astype(numpy.int32))
    golden.keep("ids2." + case, second.numpy().astype(numpy.int32))
    golden.keep("context." + case, pipeline.text_encoder(tokens, output_hidden_states=True).hidden_states[-2])
    result = pipeline.text_encoder_2(second, output_hidden_states=True)
    golden.keep("context2." + case, result.hidden_states[-2])
    golden.keep("pooled." + case, result.text_embeds)


def run_case(golden, checkpoint, family, vocabulary, folder, case):
    scheduler, steps, guidance, names, extra, words = RECIPES[case]
    pipeline = (make_sd15 if family == "sd15" else make_sdxl)(checkpoint, vocabulary)
    pipeline.scheduler = scheduler()
    path = os.path.join(folder, "adapters", f"{family}-names-{names}.safetensors")
    arguments = {"width": WIDTH, "height": HEIGHT, "num_inference_steps": steps, "guidance_scale": guidance,
                 "output_type": "latent", **extra}
    if guidance > 1:
        arguments["negative_prompt"] = NEGATIVE

    def run():
        return pipeline(PROMPT, generator=torch.Generator("cpu").manual_seed(SEED), **arguments).images

    plain = run()
    size = 0
    if names:
        lora = make_lora(checkpoint, family, pipeline, names)
        save_lora(lora, path)
        size = os.path.getsize(path)
        pipeline.load_lora_weights(path)
        before = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}
        pipeline.fuse_lora(lora_scale=STRENGTH)
        changed = sum(not torch.equal(value, before[name]) for name, value in pipeline.unet.state_dict().items())
        pipeline.unload_lora_weights()
        asked = sum(name.startswith(("unet.", "lora_unet_")) and name.endswith((".lora_A.weight", ".lora_down.weight"))
                    for name in lora)
        if changed != asked:
            raise SystemExit(f"{family} {case}: diffusers changed {changed} weights of {asked}")
    latent = run()
    golden.keep("latent." + case, latent)
    if case == "ten":
        keep_contexts(golden, pipeline, family, case)
    away = ((latent - plain).norm() / plain.norm()).item()
    print(f"{family} {case:9} standard deviation {latent.std():.4g}, without {away:.3g} away, {size} bytes")
    return {"steps": steps, "guidance": guidance, "words": words}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    vocabulary = os.path.join(here, "..", "..", "tests", "data", "tiny-tokenizer")
    torch.set_grad_enabled(False)
    os.makedirs(os.path.join(options.out, "adapters"), exist_ok=True)
    for family, cases in CASES.items():
        golden = Golden(0)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Checkpoint(options.tool, family, "tiny", folder)
            said = {case: run_case(golden, checkpoint, family, vocabulary, options.out, case)
                    for case in cases}
            checkpoint.metadata |= {"seed": str(SEED), "strength": str(STRENGTH), "prompt": PROMPT,
                                    "negative": NEGATIVE, "cases": json.dumps(said)}
            golden.save(options.out, "adapters_steps_" + family, checkpoint)


if __name__ == "__main__":
    main()
