#!/usr/bin/env python3
"""Golden latents: 10 guided steps of every sampler through diffusers' UNet, from one noise.

    pipeline.py --tool build/tools/random_checkpoint --out tests/golden

Writes pipeline.safetensors: the networks and samplers of darkroom together are held against it.
The checkpoint is the tiny SD1.5 one of tools/random_checkpoint, as in golden.py (which see for
the metadata). Tensors, all float32:
    noise            [1,4,16,16]  what torch's CPU generator gives first; the samplers that draw
                                  more go on with the same generator (metadata: seed)
    context          [2,77,width] the negative prompt's, the positive's
    latent.SAMPLER   [1,4,16,16]  after the last step, default schedule, in the UNet's scale; those of
                                  samplers_k.py by its rules
Latents are channels-first here: the generator fills them in that order, so the samplers of
darkroom see them in that order, too.
"""
import argparse
import math
import os
import tempfile

import samplers_k
import torch
from golden import TOKENS, Checkpoint, Golden, unet_model
from samplers import SAMPLERS, make

SEED = 1234
STEPS = 10
GUIDANCE = 7.0
SIDE = 16


def guided(unet, x, time, context):
    negative, positive = unet(
        torch.cat([x, x]), time, encoder_hidden_states=context
    ).sample.chunk(2)
    return negative + GUIDANCE * (positive - negative)


def run(unet, sampler, context):
    scheduler = make(sampler, SAMPLERS[sampler][1][0], False, "eps", STEPS)
    generator = torch.Generator("cpu").manual_seed(SEED)
    noise = torch.randn((1, 4, SIDE, SIDE), generator=generator)
    extra = {} if sampler in ("heun", "unipc", "ddim", "plms", "deis") else {"generator": generator}
    x = noise * scheduler.init_noise_sigma
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    for time in scheduler.timesteps:
        answer = guided(unet, scheduler.scale_model_input(x, time), time, context)
        x = scheduler.step(answer, time, x, **extra).prev_sample
    if not torch.isfinite(x).all():
        raise SystemExit(f"{sampler}: not finite")
    return noise, x


class GuidedModel:
    """What samplers_k.py asks a model: the picture without noise."""
    def __init__(self, unet, context):
        self.unet, self.context = unet, context

    def __call__(self, x, sigma):
        scale = 1 / math.sqrt(sigma * sigma + 1)
        seen = torch.tensor(x * scale, dtype=torch.float32).reshape(samplers_k.SHAPE)
        time = torch.tensor(samplers_k.time_of(sigma), dtype=torch.float32)
        answer = guided(self.unet, seen, time, self.context)
        return x - sigma * answer.double().numpy().ravel()


def run_k(unet, sampler, context):
    """The samplers whose reference is k-diffusion."""
    samplers_k.SHAPE = (1, 4, SIDE, SIDE)
    sigmas = samplers_k.sigmas_of(sampler, "normal", STEPS)
    noise = samplers_k.Noise(sigmas)
    x = noise.next() * sigmas[0]
    x = samplers_k.RUNS[sampler](GuidedModel(unet, context), x, sigmas, noise, samplers_k.PLAIN)
    return torch.tensor(x, dtype=torch.float32).reshape(samplers_k.SHAPE)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tool", required=True, help="the built random_checkpoint")
    parser.add_argument("--out", required=True, help="folder for the golden file")
    options = parser.parse_args()

    os.makedirs(options.out, exist_ok=True)
    torch.set_grad_enabled(False)
    golden = Golden(4)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(options.tool, "sd15", "tiny", folder)
        unet = unet_model(checkpoint, "sd15")
        width = unet.config.cross_attention_dim
        context = golden.normal("context", (2, TOKENS, width))
        for sampler in SAMPLERS:
            noise, latent = run(unet, sampler, context)
            golden.keep("noise", noise)
            golden.keep("latent." + sampler, latent)
            print(f"{sampler:13} standard deviation {latent.std():.4g}")
        for sampler in samplers_k.SAMPLERS:
            golden.keep("latent." + sampler, run_k(unet, sampler, context))
        checkpoint.metadata |= {"seed": str(SEED), "steps": str(STEPS),
                                "guidance": str(GUIDANCE)}
        golden.save(options.out, "pipeline", checkpoint)


if __name__ == "__main__":
    main()
