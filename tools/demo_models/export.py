"""Write a stage's result as a checkpoint in the original single-file layout: float16 safetensors.

    export.py --state STATE sd15-prompts|sdxl-prompts|vae-sdxl-frame|lora-sd15-ink FILE

Kernels that were trained small are written as the full ones that the layout has. Head counts and the scale factor are
metadata, since widths as small as these do not follow the families' rules; so are the size, steps, cfg and sampler with
which the models are judged. A LoRA's metadata are those of lora.py. The file's bytes depend on the weights alone.
"""
import argparse
import json
import os
import struct

import torch

import lora
from networks import HEADS, ClipText, OpenClipText, Vae, dense_state, make_unet

UNET, VAE = "model.diffusion_model.", "first_stage_model."
TEXT = {"sd15": "cond_stage_model.transformer.text_model.", "sdxl": "conditioner.embedders.0.transformer.text_model."}
# What a job has where its options say nothing.
DEFAULTS = {"size": "128x128", "steps": "20", "cfg": "4", "sampler": "dpmpp-2m", "scheduler": "normal"}
TEXT2 = "conditioner.embedders.1.model."


def write(path, tensors, metadata):
    """A safetensors file, its tensors in the order of their names."""
    header, offset = {"__metadata__": dict(sorted(metadata.items()))}, 0
    blobs = []
    for name, tensor in sorted(tensors.items()):
        blob = tensor.to(torch.float16).contiguous().cpu().numpy().tobytes()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".new", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(blobs)
    os.replace(path + ".new", path)
    return offset


def network_of(result, family):
    """The result's tensors under the layout's names, kernels full."""
    tensors = {}

    def add(prefix, module, state):
        module.load_state_dict(state)
        tensors.update({prefix + name: tensor for name, tensor in dense_state(module).items()})

    add(VAE, Vae(), result["vae"])
    text = result["text"]
    vocabulary = len(text["text"]["embeddings.token_embedding.weight"])
    add(TEXT[family], ClipText(vocabulary), text["text"])
    if family == "sdxl":
        add(TEXT2, OpenClipText(vocabulary), text["text2"])
    add(UNET, make_unet(family), result["model"])
    return tensors


def metadata_of(family, scale):
    metadata = {"format": "pt", "darkroom.vae.scale_factor": f"{scale:.6g}"}
    if family != "vae":
        heads = str(HEADS)
        metadata |= {"darkroom.unet.heads": heads, "darkroom.text.heads": heads}
        metadata |= {f"darkroom.default.{key}": text for key, text in DEFAULTS.items()}
    if family == "sdxl":
        metadata["darkroom.text2.heads"] = heads
    return metadata


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", help="of a UNet (its name begins with the family), of a VAE or of a LoRA")
    parser.add_argument("output")
    parser.add_argument("--state", default="out/demo-models", help="folder of the stages' results (%(default)s)")
    options = parser.parse_args()
    result = torch.load(os.path.join(options.state, options.stage + ".pt"), map_location="cpu")
    if "lora" in result:
        metadata = lora.metadata_of(options.stage.split("-")[1], result)
        print(f"{options.output}: {write(options.output, result['lora'], metadata)} bytes")
        return
    if "text" in result:
        family = options.stage.split("-")[0]
        tensors = network_of(result, family)
    else:
        vae = Vae()
        vae.load_state_dict(result["model"])
        tensors, family = dense_state(vae), "vae"
    print(f"{options.output}: {write(options.output, tensors, metadata_of(family, result['scale']))} bytes")


if __name__ == "__main__":
    main()
