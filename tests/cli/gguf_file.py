"""GGUF files of random blocks, and the float32 numbers in them: for tests, without the package gguf.

A tensor here is (type, shape, data): a safetensors type or "Q8_0" or "Q4_0", the shape as PyTorch has it.
"""
import random
import struct

NUMBERS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12,
           "Q5_K": 13, "Q6_K": 14, "I64": 27, "BF16": 30}
BLOCKS = {"Q8_0": 34, "Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q5_1": 24, "Q2_K": 84, "Q3_K": 110, "Q4_K": 144, "Q5_K": 176,
          "Q6_K": 210}
# Of each type where its scale is, what times it is about the largest number; and where the second is, what times the first.
SCALES = {"Q8_0": (0, 128), "Q4_0": (0, 8), "Q4_1": (0, 8, 2, -8), "Q5_0": (0, 16), "Q5_1": (0, 16, 2, -16),
          "Q2_K": (80, 23, 82, 1.5), "Q3_K": (108, 128), "Q4_K": (0, 473, 2, 7.5), "Q5_K": (0, 977, 2, 15.5), "Q6_K": (208, 4096)}
ALIGNMENT = 32


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def text_pair(key, text):
    return string(key) + struct.pack("<I", 8) + string(text)


def shape_pair(name, shape):
    return (string(f"comfy.gguf.orig_shape.{name}") + struct.pack("<IIQ", 9, 5, len(shape)) +
            b"".join(struct.pack("<i", dim) for dim in shape))


def padded(data):
    return data + bytes(-len(data) % ALIGNMENT)


def build(tensors, texts=(), rows_of_256=False):
    """The bytes of a file. rows_of_256: a tensor of blocks whose rows are not whole ones is stored as ComfyUI-GGUF does."""
    pairs = [text_pair(key, text) for key, text in dict(texts).items()]
    infos, data = [], bytearray()
    for name, (kind, shape, content) in tensors.items():
        stored = list(shape)
        if rows_of_256 and kind in BLOCKS:
            count = 1
            for dim in shape:
                count *= dim
            pairs.append(shape_pair(name, shape))
            stored = [count // 256, 256]
        infos.append(string(name) + struct.pack("<I", len(stored)) +
                     b"".join(struct.pack("<Q", dim) for dim in reversed(stored)) +
                     struct.pack("<IQ", NUMBERS[kind], len(data)))
        data += content + bytes(-len(content) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(pairs)) + b"".join(pairs) + b"".join(infos)
    return padded(head) + data


def random_blocks(kind, count, size, seed):
    """count numbers up to about `size`: their blocks, and what they are in float32."""
    dice = random.Random(seed)
    blocks, numbers = [], []
    steps = 127 if kind == "Q8_0" else 8
    scales = [size / steps, size / steps / 2]
    scales = [struct.unpack("<e", struct.pack("<e", scale))[0] for scale in scales]
    if kind == "Q8_0":
        tables = [[struct.pack("<f", scale * (byte - 256 if byte > 127 else byte)) for byte in range(256)] for scale in scales]
    else:
        tables = [[struct.pack("<f", scale * (half - 8)) for half in range(16)] for scale in scales]
    for block in range(count // 32):
        scale, table = scales[block % 2], tables[block % 2]
        content = dice.randbytes(BLOCKS[kind] - 2)
        blocks.append(struct.pack("<e", scale) + content)
        if kind == "Q4_0":
            content = [byte & 15 for byte in content] + [byte >> 4 for byte in content]
        numbers.extend(map(table.__getitem__, content))
    return b"".join(blocks), b"".join(numbers)


def random_bytes(kind, count, size, seed):
    """count numbers of any type of blocks, up to about `size`: the blocks alone."""
    dice = random.Random(seed)
    at, steps, *second = SCALES[kind]
    blocks = bytearray(dice.randbytes(count // (32 if "_K" not in kind else 256) * BLOCKS[kind]))
    for start in range(0, len(blocks), BLOCKS[kind]):
        scale = size / steps * dice.choice((1, 0.5))
        struct.pack_into("<e", blocks, start + at, scale)
        if second:
            struct.pack_into("<e", blocks, start + second[0], scale * second[1])
    return bytes(blocks)


def with_every_type(tensors):
    """A safetensors file's tensors as those of a GGUF file in blocks, in each type by turns; and which types there are."""
    made, kinds = {}, sorted(BLOCKS)
    turn = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        dtype, shape, data = tensor.storage.dtype, list(tensor.shape), tensor.storage.data
        made[name] = (dtype, shape, data)
        count = len(data) // 2
        if len(shape) < 2 or dtype != "F16" or count % 256:
            continue
        kind = kinds[turn % len(kinds)]
        turn += 1
        size = max(max(map(abs, struct.unpack("<64e", data[:128]))), 1e-3)
        made[name] = (kind, shape, random_bytes(kind, count, size, name))
    return made, {entry[0] for entry in made.values() if entry[0] in BLOCKS}


def quantised(tensors, kind, is_chosen):
    """A safetensors file's tensors (layouts.read) as those of a GGUF file, of which the chosen ones are random blocks; and the
    same in float32."""
    made, plain = {}, {}
    for name, tensor in tensors.items():
        dtype, shape, data = tensor.storage.dtype, list(tensor.shape), tensor.storage.data
        count = 1
        for dim in shape:
            count *= dim
        if len(shape) < 2 or dtype != "F16" or not is_chosen(name, shape, count):
            made[name] = plain[name] = (dtype, shape, data)
            continue
        sample = struct.unpack("<64e", data[:128])
        size = max(max(map(abs, sample)), 1e-3)
        blocks, numbers = random_blocks(kind, count, size, name)
        made[name], plain[name] = (kind, shape, blocks), ("F32", shape, numbers)
    return made, plain
