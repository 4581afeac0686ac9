#!/usr/bin/env python3
"""Write tests/golden/image/resize.bin: pictures resized by Pillow, for src/image/resize_test.c.

Needs Pillow (made with 13.0.0) and NumPy. Pillow's mode "F" filters in floating point; each
colour channel is resized on its own. The sources are a formula, so that only results are
stored.

    Format, little-endian: int32 count, then for each case int32 source_width, source_height,
    target_width, target_height and float32 [target_height, target_width, 3].
"""
import pathlib
import struct

import numpy as np
from PIL import Image

CASES = [  # source, target: width, height
    (7, 5, 7, 5),
    (7, 5, 14, 10),
    (7, 5, 3, 2),
    (1, 1, 5, 4),
    (5, 4, 1, 1),
    (33, 21, 20, 34),
    (33, 21, 34, 20),
    (33, 21, 33, 8),
    (33, 21, 9, 21),
    (300, 200, 13, 9),
    (2, 300, 5, 3),
    (31, 17, 32, 16),
    (64, 64, 24, 24),
    (3, 2, 40, 31),
    (1000, 3, 7, 5),
]


def source(width, height):
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    values = (x * 37 + y * 101 + c * 59 + x * y * 7) % 256
    return values.astype(np.float32) / np.float32(255)


def resized(picture, width, height):
    planes = [
        np.asarray(Image.fromarray(picture[:, :, c]).resize((width, height), Image.LANCZOS))
        for c in range(3)
    ]
    return np.stack(planes, axis=2).astype("<f4")


def main():
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    data = struct.pack("<i", len(CASES))
    for sw, sh, tw, th in CASES:
        data += struct.pack("<4i", sw, sh, tw, th) + resized(source(sw, sh), tw, th).tobytes()
    path = root / "tests/golden/image/resize.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    print(f"{path}: {len(data)} bytes")


if __name__ == "__main__":
    main()
