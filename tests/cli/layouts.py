#!/usr/bin/env python3
"""A safetensors checkpoint in other layouts: the same bytes in a folder as diffusers writes it, in shards, in a pickle.

    layouts.py FAMILY KIND CHECKPOINT TARGET

KIND is what save() takes, a folder then, or zip, legacy, index (shards beside TARGET). For tests that are not in Python.
The networks' names come from tests/golden/diffusers-names.txt, which diffusers' own converters wrote; those of the text
encoders are Hugging Face's.
"""
import array
import json
import pathlib
import re
import struct
import sys

import torch_save
from torch_save import Storage, Tensor

SOURCE = pathlib.Path(__file__).resolve().parents[2]

UNET, VAE = "model.diffusion_model.", "first_stage_model."
TEXT = {"sd15": "cond_stage_model.transformer.", "sdxl": "conditioner.embedders.0.transformer."}
TEXT2 = "conditioner.embedders.1.model."
OPEN_CLIP = {"token_embedding.": "embeddings.token_embedding.", "ln_final.": "final_layer_norm.",
             "transformer.resblocks.": "encoder.layers.", ".ln_1.": ".layer_norm1.", ".ln_2.": ".layer_norm2.",
             ".mlp.c_fc.": ".mlp.fc1.", ".mlp.c_proj.": ".mlp.fc2.", ".attn.": ".self_attn."}
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}


def read(path):
    """The tensors of a safetensors file, and its texts."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    texts = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = Tensor(Storage(entry["dtype"], data[start:end]), entry["shape"])
    return tensors, texts


def write(path, tensors, **texts):
    header, data, offset = {"__metadata__": texts} if texts else {}, [], 0
    for name, tensor in tensors.items():
        size = SIZES[tensor.storage.dtype]
        for dim in tensor.shape:
            size *= dim
        start = tensor.start * SIZES[tensor.storage.dtype]
        header[name] = {"dtype": tensor.storage.dtype, "shape": tensor.shape,
                        "data_offsets": [offset, offset + size]}
        data.append(tensor.storage.data[start:start + size])
        offset += size
    text = json.dumps(header).encode()
    path.write_bytes(b"".join([struct.pack("<Q", len(text)), text, *data]))


def write_pickle(path, tensors):
    path.write_bytes(torch_save.save_zip(tensors))


def write_shards(folder, stem, tensors, variant="", ending=".safetensors"):
    names = list(tensors)
    put = write_pickle if ending == ".bin" else write
    weight_map = {}
    for i, part in enumerate((names[:len(names) // 2], names[len(names) // 2:])):
        shard = f"{stem}-{i + 1:05}-of-00002{variant}{ending}"
        put(folder / shard, {name: tensors[name] for name in part})
        weight_map.update(dict.fromkeys(part, shard))
    text = json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map})
    (folder / f"{stem}{ending}.index{variant}.json").write_text(text)


def golden(network):
    lines = (SOURCE / "tests/golden/diffusers-names.txt").read_text().splitlines()
    pairs = (line.split()[1:] for line in lines if line.startswith(network + " "))
    return {original.removesuffix(".weight"): name.removesuffix(".weight") for name, original in pairs}


def renamed(tensors, prefix, names):
    """Golden names have the first block of each transformer only."""
    block = re.compile(r"transformer_blocks\.(\d+)\.")
    out = {}
    for name, tensor in tensors.items():
        if not name.startswith(prefix):
            continue
        stem, kind = name.removeprefix(prefix).rsplit(".", 1)
        numbers = block.findall(stem)
        found = names[block.sub("transformer_blocks.0.", stem)]
        out[block.sub(lambda _: f"transformer_blocks.{numbers[0]}.", found) + "." + kind] = tensor
    return out


def transposed(tensor):
    rows, columns = tensor.shape
    data = array.array("H", tensor.storage.data)
    turned = array.array("H", (data[row * columns + column] for column in range(columns) for row in range(rows)))
    return Tensor(Storage(tensor.storage.dtype, turned.tobytes()), (columns, rows))


def second_text_encoder(tensors):
    out = {}
    for name, tensor in tensors.items():
        if not name.startswith(TEXT2):
            continue
        name = name.removeprefix(TEXT2)
        if name == "logit_scale":
            continue
        if name == "text_projection":
            out["text_projection.weight"] = transposed(tensor)
            continue
        if name == "positional_embedding":
            name = "embeddings.position_embedding.weight"
        for original, own in OPEN_CLIP.items():
            name = name.replace(original, own)
        if "in_proj_" not in name:
            out["text_model." + name] = tensor
            continue
        rows, rest = tensor.shape[0] // 3, tensor.shape[1:]
        row = 1 if not rest else rest[0]
        for i, kind in enumerate("qkv"):
            own = name.replace("in_proj_", f"{kind}_proj.")
            out["text_model." + own] = Tensor(tensor.storage, (rows, *rest), i * rows * row)
    return out


def parts_of(family, tensors):
    parts = {"unet": renamed(tensors, UNET, golden(f"{family}.unet")), "vae": renamed(tensors, VAE, golden("sd15.vae")),
             "text_encoder": {name.removeprefix(TEXT[family]): tensor for name, tensor in tensors.items()
                              if name.startswith(TEXT[family])}}
    if family == "sdxl":
        parts["text_encoder_2"] = second_text_encoder(tensors)
    return parts


def save(folder, family, tensors, kind="safetensors", scheduler=None):
    """kind: safetensors, fp16, bin, fp16.bin, shards, fp16.shards, bin.shards or fp16.bin.shards. Configs are as diffusers writes them for these sizes."""
    heads = 8 if family == "sd15" else [2, 4, 8]
    configs = {"unet": {"_class_name": "UNet2DConditionModel", "attention_head_dim": heads,
                        "block_out_channels": [32, 64, 128]},
               "vae": {"_class_name": "AutoencoderKL", "scaling_factor": 0.18215 if family == "sd15" else 0.13025},
               "text_encoder": {"num_attention_heads": 1, "hidden_size": 64},
               "text_encoder_2": {"num_attention_heads": 2, "hidden_size": 128}}
    variant = ".fp16" if kind.startswith("fp16") else ""
    for name, part in parts_of(family, tensors).items():
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(configs[name]))
        stem = "diffusion_pytorch_model" if name in ("unet", "vae") else "model"
        is_pickle = "bin" in kind
        if is_pickle and stem == "model":
            stem = "pytorch_model"
        if kind.endswith("shards"):
            write_shards(folder / name, stem, part, variant, ".bin" if is_pickle else ".safetensors")
        elif is_pickle:
            write_pickle(folder / name / f"{stem}{variant}.bin", part)
        else:
            write(folder / name / f"{stem}{variant}.safetensors", part)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(
        json.dumps(scheduler or {"prediction_type": "epsilon"}))
    (folder / "model_index.json").write_text("{}")


def main():
    family, kind = sys.argv[1:3]
    tensors, target = read(pathlib.Path(sys.argv[3]))[0], pathlib.Path(sys.argv[4])
    if kind == "index":
        write_shards(target.parent, target.name.removesuffix(".safetensors.index.json"), tensors)
    elif kind in ("zip", "legacy"):
        target.write_bytes(torch_save.save_zip(tensors) if kind == "zip" else torch_save.save_legacy(tensors))
    else:
        save(target, family, tensors, kind)


if __name__ == "__main__":
    main()
