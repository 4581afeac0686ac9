"""A LoRA: small matrices beside the weights of a UNet, which stay as they are, and the file that holds them.

Names are kohya's: those of the layout for SDXL ("lora_unet_input_blocks_4_1_..."), those of diffusers for SD1.5
("lora_unet_down_blocks_1_attentions_0_...").
"""
import json
import re

import torch
from torch import nn

from networks import Conv

RANK = 4


class Lora(nn.Module):
    """A layer with its own low-rank difference: zero at the start."""

    def __init__(self, layer, rank=RANK):
        super().__init__()
        self.layer = layer
        self.kernel = isinstance(layer, nn.Conv2d)
        if self.kernel:
            side = layer.kernel_size[0]
            self.down = nn.Conv2d(layer.in_channels, rank, side, layer.stride, layer.padding, bias=False)
            self.up = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
        else:
            self.down = nn.Linear(layer.in_features, rank, bias=False)
            self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.layer(x) + self.up(self.down(x))


# Not where a transformer looks: a look changes what is drawn, and nothing of what is where.
ADAPTED = ("to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")


def is_adapted(name, layer):
    """What the transformers make of what they see, and the 3x3 kernels of the residual blocks."""
    if isinstance(layer, Conv):
        return ".out_layers." in name and layer.kernel_size[0] == 3
    return name.endswith(ADAPTED)


def adapt(unet):
    """The UNet with a Lora in the place of each layer that has one; only these are trained."""
    unet.requires_grad_(False)
    for name, layer in list(unet.named_modules()):
        if is_adapted(name, layer):
            parent, _, last = name.rpartition(".")
            setattr(unet.get_submodule(parent), last, Lora(layer))
    return unet


def diffusers_name(name, blocks=1):
    """A module of the layout in diffusers' names, for a UNet with so many residual blocks a level."""
    match = re.match(r"(input_blocks|middle_block|output_blocks)\.(\d+)\.?(.*)", name)
    group, number, rest = match[1], int(match[2]), match[3]
    if group == "middle_block":
        place = {0: "mid_block.resnets.0", 1: "mid_block.attentions.0", 2: "mid_block.resnets.1"}[number]
    else:
        part, _, rest = rest.partition(".")
        kind = "attentions" if part == "1" else "resnets"
        level, index = divmod(number - 1, blocks + 1) if group == "input_blocks" else divmod(number, blocks + 1)
        place = f"{'down' if group == 'input_blocks' else 'up'}_blocks.{level}.{kind}.{index}"
    return f"{place}.{rest}".replace("in_layers.2", "conv1").replace("out_layers.3", "conv2")


def tensors_of(unet, family):
    """The file's tensors. alpha is the rank, so that weight 1 is what was trained."""
    tensors = {}
    for name, part in unet.named_modules():
        if not isinstance(part, Lora):
            continue
        module = "lora_unet_" + (name if family == "sdxl" else diffusers_name(name)).replace(".", "_")
        tensors[module + ".lora_down.weight"] = part.down.weight.detach()
        tensors[module + ".lora_up.weight"] = part.up.weight.detach()
        tensors[module + ".alpha"] = torch.tensor(float(part.down.weight.shape[0]))
    return tensors


def metadata_of(family, result):
    """What trainers write, as far as it holds here, and the licence. The look's name is the trigger word."""
    look = result["look"]
    return {
        "ss_output_name": f"demo-{family}-{look}", "ss_network_module": "networks.lora", "ss_network_dim": str(RANK),
        "ss_network_alpha": str(RANK), "ss_base_model_version": "sdxl_base_v1-0" if family == "sdxl" else "sd_v1",
        "ss_sd_model_name": f"demo-{family}.safetensors", "ss_resolution": "(128, 128)",
        "ss_steps": str(result["steps"]), "ss_seed": str(result["seed"]), "ss_num_train_images": str(result["scenes"]),
        "ss_tag_frequency": json.dumps({look: {look: result["scenes"]}}),
        "modelspec.title": f"demo-{family}-{look}", "modelspec.license": "CC0-1.0",
    }
