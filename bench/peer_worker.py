"""What the peers' workers share: the conversation with bench/peers_table.py, and SD1.5's shapes.

A worker is a process that holds one engine with all its weights. It reads one command a line and answers
each with one JSON object a line:

    unet N      -> {"ms": [...]}   N guided UNet steps at 512x512, timed one by one
    vae N       -> {"ms": [...]}   N VAE decodes at 512x512
    quit

Its first answer, unasked, is {"ready": true, "version": ...}. Memory is measured from outside.
"""
import json
import os
import shutil
import sys
import time

import numpy
import torch

# Widths of stable-diffusion-v1-5 (its unet, vae and text_encoder config.json).
UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}
TEXT = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
TOKENS = 77
LATENT = 64  # 512 / 8


def fill_randomly(module, seed):
    """Weights as tools/random_checkpoint draws them: normal with 0.7/sqrt(fan in), norms around 1, the rest 0.02."""
    generator = torch.Generator().manual_seed(seed)
    # One draw serves every tensor, since a timing does not depend on the values as long as they are finite. Each
    # begins elsewhere in it: equal tensors would be stored once by an engine that looks for them.
    draw = torch.randn(1 << 22, generator=generator)
    with torch.no_grad():
        for index, (name, parameter) in enumerate(module.named_parameters()):
            count = parameter.numel()
            if parameter.dim() >= 2 and "embedding" not in name:
                spread, centre = 0.7 / (count / parameter.shape[0]) ** 0.5, 0.0
            elif "norm" in name and name.endswith("weight"):
                spread, centre = 0.05, 1.0
            else:
                spread, centre = 0.02, 0.0
            flat = parameter.view(-1)
            begin, start = 0, index * 4099 % draw.numel()
            while begin < count:
                piece = draw[start : start + count - begin]
                flat[begin : begin + piece.numel()] = piece * spread + centre
                begin, start = begin + piece.numel(), 0
    return module


def build(make, dtype, seed):
    """A module of the given type that was never held in any other type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            module = make()
    finally:
        torch.set_default_dtype(before)
    module = module.to_empty(device="cpu")
    for name, buffer in module.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.numel()).view_as(buffer))
    return fill_randomly(module, seed).eval().requires_grad_(False)


def build_unet(dtype):
    from diffusers import UNet2DConditionModel
    return build(lambda: UNet2DConditionModel(**UNET), dtype, 1)


def build_vae(dtype):
    from diffusers import AutoencoderKL
    return build(lambda: AutoencoderKL(**VAE), dtype, 2)


def build_text(dtype):
    from transformers import CLIPTextConfig, CLIPTextModel
    return build(lambda: CLIPTextModel(CLIPTextConfig(**TEXT)), dtype, 3)


def convert_networks(folder, write):
    """Let write(name, module, example, target) put the UNet ("unet") and the VAE's decoder ("vae") into a folder, in
    another engine's format; it takes its name when both are there."""
    class Unet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unet = build_unet(torch.float32)

        def forward(self, sample, timestep, condition):
            return self.unet(sample, timestep, encoder_hidden_states=condition, return_dict=False)[0]

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vae = build_vae(torch.float32)

        def forward(self, latent):
            return self.vae.decode(latent, return_dict=False)[0]

    examples = {
        "unet": (Unet, (torch.randn(2, 4, LATENT, LATENT), torch.tensor(500.0), torch.randn(2, TOKENS, 768))),
        "vae": (Decoder, (torch.randn(1, 4, LATENT, LATENT),)),
    }
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, (make, example) in examples.items():
        write(name, make().eval(), example, partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def random_inputs():
    """A latent [1,4,64,64] and the two contexts [2,77,768], for engines that take numpy's arrays."""
    generator = numpy.random.default_rng(0)
    return (generator.standard_normal((1, 4, LATENT, LATENT), dtype=numpy.float32),
            generator.standard_normal((2, TOKENS, 768), dtype=numpy.float32))


def set_threads(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)


def timed(run, count):
    milliseconds = []
    for _ in range(count):
        begin = time.perf_counter()
        run()
        milliseconds.append(1000 * (time.perf_counter() - begin))
    return milliseconds


def serve(version, work):
    """Answers until `quit`. work: {"unet": callable, "vae": callable}."""
    serve_timed(version, {kind: lambda count, run=run: timed(run, count) for kind, run in work.items()})


def serve_timed(version, work):
    """The same for work that times itself: each takes a count and gives as many milliseconds. Libraries may talk on
    stdout, so the answers go to a copy of it and whatever else is printed goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(record):
        answers.write(json.dumps(record) + "\n")

    answer({"ready": True, "version": version})
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            return
        answer({"ms": work[words[0]](int(words[1]))})
