#!/usr/bin/env python3
"""The worker of bench/peers for stable-diffusion.cpp, as the package index's stable-diffusion-cpp-python builds it here.

    peer_sdcpp.py --threads N --checkpoint FILE --type f16|q8_0

It makes whole pictures only, so `unet N` makes one of N steps, times its steps, and keeps the time of its decode (with
what little else follows the last step) for the next `vae`.
"""
import argparse
import time

import peer_worker
import stable_diffusion_cpp

SIDE = 8 * peer_worker.LATENT


class Engine:
    def __init__(self, options):
        self.decode_ms = []
        self.engine = stable_diffusion_cpp.StableDiffusion(
            model_path=str(options.checkpoint), wtype=options.type, n_threads=options.threads, verbose=False)

    def picture(self, steps):
        """The milliseconds of each step but the first, if there is another: it has the preparations in it."""
        ends = []
        # It reports step 0 when it begins, and each step as it ends.
        self.engine.generate_image(
            prompt="a lighthouse at dusk", negative_prompt="fog", width=SIDE, height=SIDE, seed=7, cfg_scale=7.0,
            sample_method="euler", sample_steps=steps,
            progress_callback=lambda step, of, _: ends.append((step, of, time.perf_counter())))
        end = time.perf_counter()
        own = [moment for _, of, moment in ends if of == steps]
        self.decode_ms.append(1000 * (end - own[-1]))
        return [1000 * (later - before) for before, later in zip(own, own[1:])]

    def steps(self, count):
        return self.picture(count + 1)[-count:]

    def decodes(self, count):
        while len(self.decode_ms) < count:
            self.picture(1)
        return [self.decode_ms.pop() for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--type", required=True)
    engine = Engine(parser.parse_args())
    peer_worker.serve_timed(f"stable-diffusion.cpp, {stable_diffusion_cpp.__version__} of the package index",
                            {"unet": engine.steps, "vae": engine.decodes})


if __name__ == "__main__":
    main()
