#!/usr/bin/env python3
"""The worker of bench/peers for OpenVINO's CPU plugin with the bfloat16 hint.

    peer_openvino.py --threads N --cache FOLDER [--precision bf16|f32] [--convert]

--convert writes the UNet and the VAE decoder as OpenVINO's own files into FOLDER and ends; it is done once.
Their weights are float32, since it would unpack float16 ones anew at each step. The text encoder is not part of this worker: its peak lacks about 0.25 GB.
"""
import argparse
import pathlib
import shutil

import numpy
import openvino

import peer_worker


def convert(folder):
    import torch

    class Unet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unet = peer_worker.build_unet(torch.float32)

        def forward(self, sample, timestep, condition):
            return self.unet(sample, timestep, encoder_hidden_states=condition, return_dict=False)[0]

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vae = peer_worker.build_vae(torch.float32)

        def forward(self, latent):
            return self.vae.decode(latent, return_dict=False)[0]

    size = peer_worker.LATENT
    examples = {
        "unet": (Unet, (torch.randn(2, 4, size, size), torch.tensor(500.0),
                        torch.randn(2, peer_worker.TOKENS, 768))),
        "vae": (Decoder, (torch.randn(1, 4, size, size),)),
    }
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, (make, example) in examples.items():
        with torch.no_grad():
            model = openvino.convert_model(make().eval(), example_input=example,
                                           input=[tuple(tensor.shape) for tensor in example])
        openvino.save_model(model, partial / f"{name}.xml", compress_to_fp16=False)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


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

    generator = numpy.random.default_rng(0)
    size = peer_worker.LATENT
    latent = generator.standard_normal((1, 4, size, size), dtype=numpy.float32)
    condition = generator.standard_normal((2, peer_worker.TOKENS, 768), dtype=numpy.float32)

    def step():
        both = requests["unet"].infer([numpy.concatenate([latent, latent]), numpy.float32(500), condition])[0]
        return both[0] + 7.0 * (both[1] - both[0])

    peer_worker.serve(f"OpenVINO {openvino.__version__}",
                      {"unet": step, "vae": lambda: requests["vae"].infer([latent])})


if __name__ == "__main__":
    main()
