"""The other way round of export.py: the checkpoints of models/ as results that a family's last stage starts from.

    restore.py [--models models] [--state out/demo-models]

Where the stages' own results are gone, training goes on from the files: their float16 weights, kernels cut down to what is
trained of them. A result that is there already is left alone. What is not in a file (steps, loss) is not known then, and
cards.py keeps the line that models/README.md has.
"""
import argparse
import json
import os
import struct

import numpy
import torch

from export import TEXT, TEXT2, UNET, VAE
from networks import ClipText, Conv, OpenClipText, Vae, make_unet


def read(path):
    """A safetensors file of float16: its tensors as float32, and its metadata."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:start])
    metadata = head.pop("__metadata__")
    tensors = {}
    for name, entry in head.items():
        first, end = (start + offset for offset in entry["data_offsets"])
        values = numpy.frombuffer(data[first:end], numpy.float16).astype(numpy.float32)
        tensors[name] = torch.from_numpy(values.reshape(entry["shape"]))
    return tensors, metadata


def cut(conv, full):
    """What a Conv keeps of the full kernel: its groups' blocks, or the middle."""
    outer, inner, side = conv.out_channels, conv.in_channels, conv.kernel_size[0]
    rows, columns, first = outer // conv.groups, inner // conv.groups, 1 if side == 1 else 0
    return torch.cat([full[group * rows:(group + 1) * rows, group * columns:(group + 1) * columns,
                           first:first + side, first:first + side] for group in range(conv.groups)])


def state_of(module, tensors, prefix):
    """The module's state dict, from the file's tensors under a prefix."""
    convs = {name + ".weight": part for name, part in module.named_modules() if isinstance(part, Conv)}
    state = {}
    for name, tensor in module.state_dict().items():
        full = tensors[prefix + name]
        state[name] = cut(convs[name], full) if name in convs else full.reshape(tensor.shape)
    return state


def text_states(family, tensors):
    size = len(tensors[TEXT[family] + "embeddings.token_embedding.weight"])
    texts = {"text": state_of(ClipText(size), tensors, TEXT[family])}
    if family == "sdxl":
        texts["text2"] = state_of(OpenClipText(size), tensors, TEXT2)
    return texts


def results(models):
    """Each stage's name with its result; those of files that are not there are left out."""
    for family, text, before in (("sd15", "text-sd15", "sd15-pairs"), ("sdxl", "text-sdxl", "sdxl-sizes")):
        path = os.path.join(models, f"demo-{family}.safetensors")
        if not os.path.exists(path):
            continue
        tensors, metadata = read(path)
        scale, vae = float(metadata["darkroom.vae.scale_factor"]), state_of(Vae(), tensors, VAE)
        yield f"vae-{family}", {"model": vae, "scale": scale}
        yield text, {"text": text_states(family, tensors)}
        yield before, {"model": state_of(make_unet(family), tensors, UNET), "text": text_states(family, tensors),
                     "vae": vae, "scale": scale}
    path = os.path.join(models, "demo-sdxl-vae.safetensors")
    if os.path.exists(path):
        tensors, metadata = read(path)
        yield "vae-sdxl-frame", {"model": state_of(Vae(), tensors, ""),
                                 "scale": float(metadata["darkroom.vae.scale_factor"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="models")
    parser.add_argument("--state", default="out/demo-models", help="folder of the stages' results (%(default)s)")
    options = parser.parse_args()
    os.makedirs(options.state, exist_ok=True)
    for stage, result in results(options.models):
        path = os.path.join(options.state, stage + ".pt")
        if not os.path.exists(path):
            torch.save(result, path)
            print(f"{path}: from {options.models}", flush=True)


if __name__ == "__main__":
    main()
