#!/usr/bin/env python3
"""Write tests/golden/noise.txt: what torch.randn draws on the CPU.

    python3 tools/golden/noise.py > tests/golden/noise.txt

Lines: "seed S calls N1 N2 ..." starts a sequence of calls on one generator; each
"call K index I value V" after it is one value of it. Long calls are sampled: their first and
last values, and every 997th between.
"""
import torch

SEEDS = [0, 1, 42, 2**32 - 1, 2**32 + 5, 2**63, 2**64 - 1]
SIZES = [5, 15, 16, 17, 100, 16384]
SEQUENCES = [
    [5, 5, 3],          # the spare of a short call serves the next
    [5, 16, 5],         # ... also across a longer call
    [3, 100, 17, 3, 15],
    [1, 1, 1, 1],
    [16384, 7, 31],
    [4 * 8 * 8, 4 * 8 * 8],
]


def indices(count):
    if count <= 100:
        return range(count)
    return sorted({*range(8), *range(0, count, 997), *range(count - 20, count)})


def main():
    print(f"# torch.randn on the CPU, torch {torch.__version__.split('+')[0]}")
    for seed in SEEDS:
        for calls in [[size] for size in SIZES] + SEQUENCES:
            generator = torch.Generator("cpu").manual_seed(seed)
            print("seed", seed, "calls", *calls)
            for call, count in enumerate(calls):
                values = torch.randn(count, generator=generator, dtype=torch.float32)
                for index in indices(count):
                    print(f"call {call} index {index} value {values[index].item():.9g}")


main()
