#!/usr/bin/env python3
"""The worker of bench/peers for OpenVINO's CPU plugin with the bfloat16 hint.

    peer_openvino.py --threads N --cache FOLDER [--precision bf16|f32] [--convert]

--convert writes the UNet and the VAE decoder as OpenVINO's own files into FOLDER and ends; it is done once.
Their weights are float32, since it would unpack float16 ones anew at each step. The text encoder is not part of this worker: its peak lacks about 0.25 GB.
"""
import argparse
import pathlib

import numpy
import openvino

import peer_worker


def convert(folder):
    import torch

    def write(name, module, example, target):
        with torch.no_grad():
            model = openvino.convert_model(module, example_input=example,
                                           input=[tuple(tensor.shape) for tensor in example])
        openvino.save_model(model, target / f"{name}.xml", compress_to_fp16=False)

    peer_worker.convert_networks(folder, write)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--precision", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--convert", action="store_true")
    options = parser.parse_args()
    if options.convert:
        convert(options.cache)
        return

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": options.precision, "INFERENCE_NUM_THREADS": options.threads,
                "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    requests = {name: core.compile_model(options.cache / f"{name}.xml", "CPU", settings).create_infer_request()
                for name in ("unet", "vae")}

    latent, condition = peer_worker.random_inputs()

    def step():
        both = requests["unet"].infer([numpy.concatenate([latent, latent]), numpy.float32(500), condition])[0]
        return both[0] + 7.0 * (both[1] - both[0])

    peer_worker.serve(f"OpenVINO {openvino.__version__}",
                      {"unet": step, "vae": lambda: requests["vae"].infer([latent])})


if __name__ == "__main__":
    main()
