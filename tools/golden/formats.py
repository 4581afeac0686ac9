#!/usr/bin/env python3
"""A checkpoint of tools/random_checkpoint in the other layouts that checkpoints come in.

    formats.py CHECKPOINT.safetensors FOLDER
    formats.py --names SD15.safetensors SDXL.safetensors

The second writes tests/golden/diffusers-names.txt: diffusers' name and the original one of the
weights of each network, by diffusers' own converters. The first writes, with the same numbers in each:

    zip.ckpt, legacy.ckpt    torch.save both ways, beside what Lightning saves with it
    prefixed.vae.pt          the VAE alone, with its prefix, legacy
    bare.vae.ckpt            the same without the prefix, zip
    diffusers/               a folder as diffusers' save_pretrained writes it
    diffusers-bin/           its VAE and UNet as .bin (pickle), the VAE with the older names
    sharded/                 its UNet in shards, by an index; the rest as fp16 variants

The checkpoint is an SD1.5 or an SDXL one.
"""

import json
import os
import shutil
import sys
from types import SimpleNamespace

import torch
from diffusers.loaders import single_file_utils
from safetensors import safe_open
from safetensors.torch import load_file

from golden import UNET, VAE, text2_model, text_model, unet_config, unet_model, vae_model

TEXT2 = "conditioner.embedders.1.model."


class Callback:
    """Something that is no tensor, as the callbacks in Lightning's checkpoints."""


def write_pickles(tensors, folder):
    whole = {
        "state_dict": tensors,
        "epoch": 3,
        "global_step": 470000,
        "pytorch-lightning_version": "1.4.2",
        "callbacks": {Callback: {"monitor": "val/loss", "best": torch.tensor(0.5)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "lr": 1e-4}],
        "lr_schedulers": [Callback()],
    }
    torch.save(whole, f"{folder}/zip.ckpt")
    torch.save(whole, f"{folder}/legacy.ckpt", _use_new_zipfile_serialization=False)
    vae = {name: tensor for name, tensor in tensors.items() if name.startswith(VAE)}
    bare = {name.removeprefix(VAE): tensor for name, tensor in vae.items()}
    torch.save(vae, f"{folder}/prefixed.vae.pt", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": bare}, f"{folder}/bare.vae.ckpt")


def write_json(path, content):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)


def write_index(folder):
    os.makedirs(f"{folder}/scheduler", exist_ok=True)
    write_json(f"{folder}/model_index.json", {"_class_name": "StableDiffusionPipeline"})
    write_json(f"{folder}/scheduler/scheduler_config.json", {"prediction_type": "epsilon"})


def older_names(tensors):
    """The names of a VAE's attention before diffusers 0.13, with matrices."""
    pieces = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in tensors.items():
        for new, old in pieces.items():
            if ".attentions." in name:
                name = name.replace(f".{new}.", f".{old}.")
        renamed[name] = tensor
    return renamed


def write_folders(tensors, folder, head_dim):
    checkpoint = SimpleNamespace(tensors={k: t.clone() for k, t in tensors.items()})
    is_sdxl = any(name.startswith(TEXT2) for name in tensors)
    parts = {
        "vae": vae_model(checkpoint).half(),
        "unet": unet_model(checkpoint, "sdxl" if is_sdxl else "sd15", head_dim).half(),
        "text_encoder": text_model(checkpoint, None).half(),
    }
    if is_sdxl:
        parts["vae"].register_to_config(scaling_factor=0.13025)
        last = tensors[TEXT2 + "token_embedding.weight"].shape[0] - 1
        parts["text_encoder_2"] = text2_model(checkpoint, last).half()
    for variant in ("diffusers", "diffusers-bin", "sharded"):
        write_index(f"{folder}/{variant}")
    for name, model in parts.items():
        model.save_pretrained(f"{folder}/diffusers/{name}")
        shutil.copytree(f"{folder}/diffusers/{name}", f"{folder}/diffusers-bin/{name}")
        if name == "unet":
            model.save_pretrained(f"{folder}/sharded/{name}", max_shard_size="4MB")
        else:
            model.save_pretrained(f"{folder}/sharded/{name}", variant="fp16")
    for name in ("unet", "vae"):
        path = f"{folder}/diffusers-bin/{name}/diffusion_pytorch_model"
        content = load_file(path + ".safetensors")
        torch.save(older_names(content) if name == "vae" else content, path + ".bin")
        os.remove(path + ".safetensors")


def translate(network, tensors, convert):
    """Pairs of names, told by where the tensors lie in memory."""
    original = {tensor.data_ptr(): name for name, tensor in tensors.items()}
    for name, tensor in sorted(convert(tensors).items()):
        if name.endswith(".weight") and "transformer_blocks.1" not in name:
            yield f"{network} {name} {original[tensor.data_ptr()]}"


def write_names(paths):
    lines = []
    for family, path in zip(("sd15", "sdxl"), paths):
        checkpoint = SimpleNamespace(tensors=load_file(path))
        for kind, prefix in (("unet", UNET), ("vae", VAE)):
            if (family, kind) == ("sdxl", "vae"):
                continue  # as SD1.5's
            own = {n: t.clone() for n, t in checkpoint.tensors.items() if n.startswith(prefix)}
            if kind == "unet":
                config = unet_config(checkpoint, family, 16 if family == "sdxl" else None)
                convert = single_file_utils.convert_ldm_unet_checkpoint
            else:
                config = dict(vae_model(checkpoint).config)
                convert = single_file_utils.convert_ldm_vae_checkpoint
            pairs = translate(f"{family}.{kind}", own, lambda t: convert(dict(t), config))
            lines += [line.replace(" " + prefix, " ") for line in pairs]
    here = os.path.dirname(os.path.abspath(__file__))
    with open(f"{here}/../../tests/golden/diffusers-names.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--names":
        write_names(sys.argv[2:])
        return
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    path, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        head_dim = int((file.metadata() or {}).get("darkroom.unet.head_dim", 0)) or None
    write_pickles(tensors, folder)
    with torch.no_grad():
        write_folders(tensors, folder, head_dim)


if __name__ == "__main__":
    main()
