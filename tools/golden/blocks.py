#!/usr/bin/env python3
"""Blocks of GGUF's types and the numbers in them, by the Python package gguf.

    blocks.py > tests/golden/blocks.bin

Of each type in turn 1024 elements: the blocks, random bytes but for scales that are finite, and what
they decode to in float32. Then 1024 numbers in float32, and what they encode to in Q8_0 and in Q4_0.
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType, quants

# name: bytes of a block, elements, where its float16 numbers are
TYPES = {
    "Q8_0": (34, 32, [0]),
    "Q5_0": (22, 32, [0]),
    "Q5_1": (24, 32, [0, 2]),
    "Q4_0": (18, 32, [0]),
    "Q4_1": (20, 32, [0, 2]),
    "Q6_K": (210, 256, [208]),
    "Q5_K": (176, 256, [0, 2]),
    "Q4_K": (144, 256, [0, 2]),
    "Q3_K": (110, 256, [108]),
    "Q2_K": (84, 256, [80, 82]),
}
ELEMENTS = 1024


def random_blocks(generator, size, elements, halves):
    blocks = generator.integers(0, 256, (ELEMENTS // elements, size), dtype=np.uint8)
    for at in halves:
        blocks[:, at + 1] &= np.where((blocks[:, at + 1] & 0x7C) == 0x7C, 0xBF, 0xFF).astype(np.uint8)
    return blocks


def numbers(generator):
    """Normal ones of many sizes, a block of zeros, one of equal numbers, ties of the rounding."""
    values = generator.standard_normal(ELEMENTS).astype(np.float32)
    values *= np.exp2(generator.integers(-20, 10, ELEMENTS // 32)).repeat(32).astype(np.float32)
    values[:32] = 0
    values[32:64] = -3.5
    values[64:96] = np.arange(-16, 16) * 127 / 16 / 2
    values[64] = 127
    return values


def main():
    generator = np.random.default_rng(1)
    out = sys.stdout.buffer
    for name, (size, elements, halves) in TYPES.items():
        blocks = random_blocks(generator, size, elements, halves)
        values = quants.dequantize(blocks, GGMLQuantizationType[name])
        assert values.size == ELEMENTS and np.isfinite(values).all()
        out.write(blocks.tobytes())
        out.write(values.astype("<f4").tobytes())
    values = numbers(generator)
    out.write(values.astype("<f4").tobytes())
    for name in ("Q8_0", "Q4_0"):
        out.write(quants.quantize(values, GGMLQuantizationType[name]).tobytes())


main()
