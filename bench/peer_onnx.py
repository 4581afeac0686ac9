#!/usr/bin/env python3
"""The worker of bench/peers for ONNX Runtime's CPU provider, float32.

    peer_onnx.py --threads N --cache FOLDER [--convert]

--convert writes the UNet and the VAE decoder as ONNX files into FOLDER and ends; it is done once. The text encoder is
not part of this worker: its peak lacks about 0.5 GB.
"""
import argparse
import pathlib

import numpy
import onnxruntime

import peer_worker


def convert(folder):
    import torch

    def write(name, module, example, target):
        with torch.no_grad():
            torch.onnx.export(module, example, target / f"{name}.onnx", dynamo=True, external_data=True)

    peer_worker.convert_networks(folder, write)


def open_session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--convert", action="store_true")
    options = parser.parse_args()
    if options.convert:
        convert(options.cache)
        return

    sessions = {name: open_session(options.cache / f"{name}.onnx", options.threads) for name in ("unet", "vae")}
    latent, condition = peer_worker.random_inputs()

    def run(name, *inputs):
        names = [entry.name for entry in sessions[name].get_inputs()]
        return sessions[name].run(None, dict(zip(names, inputs, strict=True)))[0]

    def step():
        both = run("unet", numpy.concatenate([latent, latent]), numpy.array(500, numpy.float32), condition)
        return both[0] + 7.0 * (both[1] - both[0])

    peer_worker.serve(f"ONNX Runtime {onnxruntime.__version__}",
                      {"unet": step, "vae": lambda: run("vae", latent)})


if __name__ == "__main__":
    main()
