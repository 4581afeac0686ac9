#!/usr/bin/env python3
"""The worker of bench/peers for diffusers on PyTorch, eager or through torch.compile.

    peer_diffusers.py --threads N --dtype bfloat16|float32 [--channels-last] [--compile plain|frozen] [--probe]

All three components are in memory, as after a pipeline's first picture. --compile compiles the UNet and the VAE's
decoder, each at its first call and from an empty cache; frozen: weights are constants, laid out anew by the compiler.
--probe compiles one small function and ends: does the compiler run here?
float32 is torch's default ("highest"): no product is rounded to a shorter type.
"""
import argparse
import os
import tempfile

import diffusers
import torch

import peer_worker


def prepare_compiler(options, cache):
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    import torch._inductor.config as settings
    settings.compile_threads = options.threads
    # The weights as the module had them would stay beside those laid out anew.
    settings.freezing = settings.freezing_discard_parameters = options.compile == "frozen"


def probe():
    with torch.inference_mode():
        torch.compile(lambda values: torch.nn.functional.silu(values) + 1)(torch.zeros(64))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], required=True)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", choices=["plain", "frozen"])
    parser.add_argument("--probe", action="store_true")
    options = parser.parse_args()

    peer_worker.set_threads(options.threads)
    with tempfile.TemporaryDirectory() as cache:
        if options.compile:
            prepare_compiler(options, cache)
        if options.probe:
            probe()
        else:
            work(options)


def work(options):
    dtype = getattr(torch, options.dtype)
    text = peer_worker.build_text(dtype)
    unet = peer_worker.build_unet(dtype)
    vae = peer_worker.build_vae(dtype)
    if options.channels_last:
        unet = unet.to(memory_format=torch.channels_last)
        vae = vae.to(memory_format=torch.channels_last)
    if options.compile:
        unet.compile()
        vae.decoder.compile()

    size = peer_worker.LATENT
    with torch.inference_mode():
        tokens = torch.randint(0, 49000, (2, peer_worker.TOKENS))
        condition = text(tokens)[0]
        latent, time = torch.randn(1, 4, size, size).to(dtype), torch.tensor(500)

        @torch.inference_mode()
        def step():
            both = unet(torch.cat([latent, latent]), time, encoder_hidden_states=condition, return_dict=False)[0]
            negative, positive = both.chunk(2)
            return negative + 7.0 * (positive - negative)

        @torch.inference_mode()
        def decode():
            return vae.decode(latent, return_dict=False)[0]

        peer_worker.serve(f"diffusers {diffusers.__version__}, torch {torch.__version__}",
                          {"unet": step, "vae": decode})


if __name__ == "__main__":
    main()
