#!/usr/bin/env python3
"""A LoRA of random numbers on all linear layers of a checkpoint's UNet, for adapter_bench.

    bench/random_lora.py --rank 32 [--seed 1] CHECKPOINT LORA
"""
import argparse
import json
import math
import struct

import numpy

UNET = "model.diffusion_model."


def read_header(path):
    with open(path, "rb") as file:
        return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))


def layers(checkpoint):
    """Matrices, and kernels of 1x1: of attention, feed-forward and time."""
    for name, entry in sorted(read_header(checkpoint).items()):
        shape = entry.get("shape", [])
        if name.startswith(UNET) and name.endswith(".weight") and len(shape) >= 2 and all(n == 1 for n in shape[2:]):
            yield "lora_unet_" + name[len(UNET):-len(".weight")].replace(".", "_"), shape


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("checkpoint")
    parser.add_argument("lora")
    arguments = parser.parse_args()
    numbers = numpy.random.default_rng(arguments.seed)
    header, data, offset = {}, [], 0

    def put(name, array):
        nonlocal offset
        blob = array.astype(numpy.float16).tobytes()
        header[name] = {"dtype": "F16", "shape": list(array.shape), "data_offsets": [offset, offset + len(blob)]}
        data.append(blob)
        offset += len(blob)

    for module, (out, inputs, *taps) in layers(arguments.checkpoint):
        rank = arguments.rank
        put(f"{module}.alpha", numpy.array(float(rank)))
        put(f"{module}.lora_down.weight", numbers.standard_normal((rank, inputs, *taps)) / math.sqrt(inputs))
        put(f"{module}.lora_up.weight", numbers.standard_normal((out, rank, *taps)) * 0.02 / math.sqrt(rank))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(arguments.lora, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))


if __name__ == "__main__":
    main()
