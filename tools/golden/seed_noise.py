#!/usr/bin/env python3
"""Write tests/golden/seed_noise.txt: the first noise of pictures with a variation seed and of another size, for
src/job/seed_noise_test.c.

    python tools/golden/seed_noise.py tests/golden

The rules of A1111's modules/rng.py, stated again over torch's CPU generator. Lines:
    SEED VARIATION_SEED STRENGTH WIDTH HEIGHT FROM_WIDTH FROM_HEIGHT SEED_DELTA  first[4*h*w] next[4*h*w]
next is what the generator gives for the first step.
"""
import pathlib
import sys

import torch


def randn(seed, shape):
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))


def slerp(strength, low, high):
    dot = (low / torch.norm(low, dim=1, keepdim=True) * (high / torch.norm(high, dim=1, keepdim=True))).sum(1)
    if dot.mean() > 0.9995:
        return low * strength + high * (1 - strength)
    omega = torch.acos(dot)
    return ((torch.sin((1 - strength) * omega) / torch.sin(omega)).unsqueeze(1) * low
            + (torch.sin(strength * omega) / torch.sin(omega)).unsqueeze(1) * high)


def first(seed, variation, strength, w, h, from_w, from_h, delta):
    generator = torch.Generator("cpu").manual_seed(seed)
    shape, taken = (4, h, w), (4, from_h or h, from_w or w)
    noise = randn(seed, taken) if taken != shape else torch.randn(shape, generator=generator)
    if strength:
        noise = slerp(strength, noise, randn(variation, taken))
    if taken != shape:
        x = torch.randn(shape, generator=generator)
        dx, dy = (w - taken[2]) // 2, (h - taken[1]) // 2
        cw, ch = (taken[2] if dx >= 0 else taken[2] + 2 * dx), (taken[1] if dy >= 0 else taken[1] + 2 * dy)
        tx, ty, dx, dy = max(dx, 0), max(dy, 0), max(-dx, 0), max(-dy, 0)
        x[:, ty:ty + ch, tx:tx + cw] = noise[:, dy:dy + ch, dx:dx + cw]
        noise = x
    if delta:
        generator = torch.Generator("cpu").manual_seed(seed + delta)
    return noise, torch.randn(shape, generator=generator)


def main():
    rows = [(1, 2, 0, 4, 5, 0, 0, 0), (1, 2, 0.3, 4, 5, 0, 0, 0), (7, 9, 1, 4, 5, 0, 0, 0), (7, 7, 0.25, 4, 5, 0, 0, 0),
            (7, 9, 0, 6, 5, 3, 8, 0), (7, 9, 0.6, 6, 5, 3, 8, 0), (7, 9, 0, 5, 6, 8, 3, 0), (7, 9, 0, 4, 4, 7, 9, 0),
            (7, 9, 0, 4, 5, 0, 0, 31337), (7, 9, 0.5, 5, 5, 4, 4, -3)]
    with open(pathlib.Path(sys.argv[1]) / "seed_noise.txt", "w", encoding="utf-8") as out:
        for row in rows:
            noise, after = first(*row)
            print(*row, " ".join(f"{v:.9g}" for v in torch.cat([noise.flatten(), after.flatten()]).tolist()), file=out)


if __name__ == "__main__":
    sys.exit(main())
