"""LoRA files for tests: small ones, for the tiny checkpoints."""
import json
import math
import random
import struct

UNET = "model.diffusion_model."


def half(number):
    return struct.pack("<e", number)


def write(path, tensors, **texts):
    """tensors: {name: (shape, numbers)}, as float16."""
    header, offset, data = {"__metadata__": texts} if texts else {}, 0, []
    for name, (shape, numbers) in sorted(tensors.items()):
        blob = b"".join(half(x) for x in numbers)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        data.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))


def read_header(path):
    with open(path, "rb") as file:
        return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))


def lora(path, model, seed, rank=4, spread=0.5, text=True, name=None, **texts):
    """On all linears of the attention, and of the text encoder's layers."""
    numbers, tensors = random.Random(seed), {}
    for key, entry in read_header(model).items():
        shape = entry.get("shape", [])
        if not key.endswith(".weight") or len(shape) < 2:
            continue
        if key.startswith(UNET) and ".attn" in key:
            module = "lora_unet_" + key[len(UNET):-7].replace(".", "_")
        elif text and ".text_model.encoder.layers." in key and key.startswith("cond_stage_model"):
            module = "lora_te_" + key[key.index("text_model"):-7].replace(".", "_")
        else:
            continue
        out, inputs = shape[0], shape[1]
        tensors[module + ".lora_up.weight"] = ([out, rank], [numbers.gauss(0, spread) for _ in range(out * rank)])
        tensors[module + ".lora_down.weight"] = ([rank, inputs], [numbers.gauss(0, 1 / math.sqrt(inputs)) for _ in range(rank * inputs)])
        tensors[module + ".alpha"] = ([], [float(rank)])
    write(path, tensors, **texts)
    return tensors
