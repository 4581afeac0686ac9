#!/usr/bin/env python3
"""The worker of bench/peers for diffusers on PyTorch, eager.

    peer_diffusers.py --threads N --dtype bfloat16|float32 [--channels-last]

All three components are in memory, as after a pipeline's first picture.
"""
import argparse

import diffusers
import torch

import peer_worker


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], required=True)
    parser.add_argument("--channels-last", action="store_true")
    options = parser.parse_args()

    peer_worker.set_threads(options.threads)
    dtype = getattr(torch, options.dtype)
    text = peer_worker.build_text(dtype)
    unet = peer_worker.build_unet(dtype)
    vae = peer_worker.build_vae(dtype)
    if options.channels_last:
        unet = unet.to(memory_format=torch.channels_last)
        vae = vae.to(memory_format=torch.channels_last)

    size = peer_worker.LATENT
    with torch.inference_mode():
        tokens = torch.randint(0, 49000, (2, peer_worker.TOKENS))
        condition = text(tokens)[0]
        latent = torch.randn(1, 4, size, size).to(dtype)

        @torch.inference_mode()
        def step():
            both = unet(torch.cat([latent, latent]), 500, encoder_hidden_states=condition, return_dict=False)[0]
            negative, positive = both.chunk(2)
            return negative + 7.0 * (positive - negative)

        @torch.inference_mode()
        def decode():
            return vae.decode(latent, return_dict=False)[0]

        peer_worker.serve(f"diffusers {diffusers.__version__}, torch {torch.__version__}",
                          {"unet": step, "vae": decode})


if __name__ == "__main__":
    main()
