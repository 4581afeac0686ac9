#!/usr/bin/env python3
"""Golden tensors: what diffusers computes with the weights of tools/random_checkpoint.

    golden.py --tool build/tools/random_checkpoint --out tests/golden
    golden.py --tool build/tools/random_checkpoint --size full --out FOLDER

Each file holds inputs and outputs of one network in float32, images and maps channels-last, as
darkroom keeps them. Its metadata says which command made the checkpoint and the SHA-256 of
that file, so that a test can tell "another network" from "other weights".

The checkpoint is converted with diffusers' own functions, the models are its own classes: the
only thing stated here are the sizes that the family has by definition (multipliers, heads).
"""
import argparse
import hashlib
import json
import os
import struct
import subprocess
import tempfile

import diffusers
import numpy
import torch
import transformers
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils
from diffusers.models.embeddings import get_timestep_embedding
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

TOKENS = 77
UNET = "model.diffusion_model."
VAE = "first_stage_model."
TIME = 946.4211  # a step of Euler's normal schedule at 20 steps: not a whole number


class Checkpoint:
    """A checkpoint made on the spot, and how to make it again."""

    def __init__(self, tool, family, size, folder):
        self.path = os.path.join(folder, f"{family}-{size}.safetensors")
        dtype = "f32" if size == "tiny" else "f16"
        arguments = ["--family", family, "--size", size, "--dtype", dtype, "--seed", "0"]
        subprocess.run([tool, *arguments, "-o", self.path], check=True)
        with open(self.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.metadata = {
            "checkpoint": "random_checkpoint " + " ".join(arguments),
            "checkpoint_sha256": digest,
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        }
        with safe_open(self.path, "pt") as file:
            self.head_dim = int(file.metadata().get("darkroom.unet.head_dim", 0))
        # Of full size they stay as they are in the file: a network of float32 takes their values.
        self.tensors = load_file(self.path)


def save_file(tensors, path, metadata):
    """A safetensors file with everything in order: safetensors' own writer shuffles the
    metadata, so that the same results would be another file each time."""
    types = {"float32": "F32", "int32": "I32"}
    header, offset = {"__metadata__": dict(sorted(metadata.items()))}, 0
    for name, value in sorted(tensors.items()):
        end = offset + value.nbytes
        header[name] = {
            "dtype": types[str(value.dtype)],
            "shape": list(value.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, value in sorted(tensors.items()):
            file.write(value.tobytes())


class Golden:
    """The tensors of one file."""

    def __init__(self, seed):
        self.generator = numpy.random.default_rng(seed)
        self.tensors = {}

    def normal(self, name, shape):
        """A random input, kept under its name; maps are given and kept channels-last."""
        value = self.generator.standard_normal(shape, dtype=numpy.float32)
        self.keep(name, value)
        return torch.from_numpy(value)

    def keep(self, name, value):
        if isinstance(value, torch.Tensor):
            value = value.detach().numpy()
        self.tensors[name] = numpy.ascontiguousarray(value)

    def save(self, folder, name, checkpoint):
        path = os.path.join(folder, name + ".safetensors")
        save_file(self.tensors, path, checkpoint.metadata)
        print(path, os.path.getsize(path), "bytes")


def to_channels_first(map_):
    return map_.permute(0, 3, 1, 2).contiguous()


def to_channels_last(map_):
    return map_.permute(0, 2, 3, 1).contiguous()


# ---- text encoder ----------------------------------------------------------------------


def text_model(checkpoint, heads):
    tensors = single_file_utils.convert_ldm_clip_checkpoint(checkpoint.tensors)
    if "text_model.final_layer_norm.weight" not in tensors:
        raise SystemExit("the converter found no text encoder")
    embedding = tensors["text_model.embeddings.token_embedding.weight"]
    layers = 1 + max(int(name.split(".")[3]) for name in tensors if ".layers." in name)
    config = CLIPTextConfig(
        vocab_size=embedding.shape[0],
        hidden_size=embedding.shape[1],
        intermediate_size=tensors["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=layers,
        num_attention_heads=heads or embedding.shape[1] // 64,
        max_position_embeddings=TOKENS,
        hidden_act="quick_gelu",
        layer_norm_eps=1e-5,
    )
    model = CLIPTextModel(config).eval()
    names = model.state_dict().keys()
    if not any(name.startswith("text_model.") for name in names):
        tensors = {name.removeprefix("text_model."): t for name, t in tensors.items()}
    tensors = {name: t for name, t in tensors.items() if "position_ids" not in name}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    missing = [name for name in missing if "position_ids" not in name]
    if missing or unexpected:
        raise SystemExit(f"text encoder: missing {missing}, unexpected {unexpected}")
    return model


def text_context(model, ids, clip_skip):
    """clip_skip as A1111 counts. The final layer norm comes last in either case; diffusers
    0.42.1's own clip_skip fails with this transformers, hence by hand."""
    states = model(torch.from_numpy(ids).long(), output_hidden_states=True).hidden_states
    inner = getattr(model, "text_model", model)
    return inner.final_layer_norm(states[-clip_skip])


def make_text(checkpoint, folder, size):
    golden = Golden(1)
    embedding = next(
        tensor
        for name, tensor in checkpoint.tensors.items()
        if name.endswith("token_embedding.weight")
    )
    ids = golden.generator.integers(0, embedding.shape[0], (2, TOKENS), dtype=numpy.int32)
    golden.keep("ids", ids)
    model = text_model(checkpoint, None)
    for clip_skip in (1, 2):
        golden.keep(f"context_skip{clip_skip}", text_context(model, ids, clip_skip))
    last = model(torch.from_numpy(ids).long()).last_hidden_state
    difference = (torch.from_numpy(golden.tensors["context_skip1"]) - last).abs().max()
    if difference > 1e-5:
        raise SystemExit("the last state is not the model's own result")
    if size == "tiny":
        golden.keep("context_heads4", text_context(text_model(checkpoint, 4), ids, 1))
    golden.save(folder, "text", checkpoint)


def text2_model(checkpoint, end_id, heads=None):
    """SDXL's second encoder; end_id: the token whose first place is pooled."""
    prefix = "conditioner.embedders.1.model."
    width = checkpoint.tensors[prefix + "text_projection"].shape[0]
    resblocks = prefix + "transformer.resblocks."
    layers = [n for n in checkpoint.tensors if n.startswith(resblocks)]
    config = CLIPTextConfig(
        vocab_size=checkpoint.tensors[prefix + "token_embedding.weight"].shape[0],
        hidden_size=width,
        intermediate_size=checkpoint.tensors[resblocks + "0.mlp.c_fc.weight"].shape[0],
        num_hidden_layers=1 + max(int(n[len(resblocks):].split(".")[0]) for n in layers),
        num_attention_heads=heads or width // 64,
        max_position_embeddings=TOKENS,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
        projection_dim=width,
        bos_token_id=0,
        pad_token_id=0,
        eos_token_id=end_id,
    )
    model = CLIPTextModelWithProjection(config).eval()
    tensors = single_file_utils.convert_open_clip_checkpoint(
        model, checkpoint.tensors, prefix
    )
    tensors = {name: t for name, t in tensors.items() if "position_ids" not in name}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    missing = [name for name in missing if "position_ids" not in name]
    if missing or unexpected:
        raise SystemExit(f"text encoder 2: missing {missing}, unexpected {unexpected}")
    return model


def make_text_sdxl(checkpoint, folder):
    """Both encoders: the last state but one, and of the second the pooled vector."""
    golden = Golden(5)
    first = text_model(checkpoint, None)
    count = first.config.vocab_size
    end_id = count - 1
    ids = golden.generator.integers(0, end_id, (2, TOKENS), dtype=numpy.int32)
    ends = numpy.array([9, 76], dtype=numpy.int32)
    for row, end in enumerate(ends):
        ids[row, end] = end_id
    ids[0, 40] = end_id  # a second one: the first counts
    golden.keep("ids", ids)
    golden.keep("ends", ends)
    second = text2_model(checkpoint, end_id)
    tokens = torch.from_numpy(ids).long()
    for name, model in (("text", first), ("text2", second)):
        result = model(tokens, output_hidden_states=True)
        golden.keep(f"{name}.context", result.hidden_states[-2])
        golden.keep(f"{name}.context_skip2", result.hidden_states[-3])
    golden.keep("text2.pooled", result.text_embeds)
    golden.save(folder, "text_sdxl", checkpoint)


# ---- UNet ------------------------------------------------------------------------------


def unet_config(checkpoint, family, head_dim):
    tensors = checkpoint.tensors
    base = tensors[UNET + "input_blocks.0.0.weight"].shape[0]
    context = next(
        tensor.shape[1]
        for name, tensor in tensors.items()
        if name.startswith(UNET) and name.endswith("attn2.to_k.weight")
    )
    multipliers = (1, 2, 4, 4) if family == "sd15" else (1, 2, 4)
    widths = tuple(base * m for m in multipliers)
    config = {
        "block_out_channels": widths,
        "layers_per_block": 2,
        "cross_attention_dim": context,
        "sample_size": 64,
    }
    if family == "sd15":
        # What diffusers calls attention_head_dim is the number of heads.
        heads = tuple(w // head_dim for w in widths) if head_dim else 8
        return config | {"attention_head_dim": heads}

    def depth(block):
        prefix = f"{UNET}{block}.1.transformer_blocks."
        found = [int(n[len(prefix):].split(".")[0]) for n in tensors if n.startswith(prefix)]
        return 1 + max(found)

    vector = tensors[UNET + "label_emb.0.0.weight"].shape[1]
    return config | {
        "attention_head_dim": tuple(max(w // (head_dim or 64), 1) for w in widths),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, depth("input_blocks.4"), depth("input_blocks.7")),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": vector,
    }


def unet_model(checkpoint, family, head_dim=None):
    config = unet_config(checkpoint, family, head_dim)
    # Without the random values that a new network would be filled with first: SDXL's are 10 GB.
    with torch.device("meta"):
        model = UNet2DConditionModel(**config)
    model = model.to_empty(device="cpu").eval()
    tensors = single_file_utils.convert_ldm_unet_checkpoint(dict(checkpoint.tensors), config)
    model.load_state_dict(tensors)
    return model


def run_unet(golden, model, case, height, width):
    context = golden.normal(f"{case}.context", (2, TOKENS, model.config.cross_attention_dim))
    latent = golden.normal(f"{case}.latent", (2, height, width, 4))
    added = None
    if model.config.addition_embed_type == "text_time":
        pooled_width = model.config.projection_class_embeddings_input_dim - 6 * 256
        pooled = golden.normal(f"{case}.pooled", (2, pooled_width))
        time_ids = torch.tensor([[1024.0, 768.0, 0.0, 16.0, 1024.0, 768.0]]).repeat(2, 1)
        time_ids[1, 2] = 32.0
        sinusoid = get_timestep_embedding(
            time_ids.flatten(), 256, flip_sin_to_cos=True, downscale_freq_shift=0
        ).reshape(2, -1)
        golden.keep(f"{case}.vector", torch.cat([pooled, sinusoid], dim=1))
        added = {"text_embeds": pooled, "time_ids": time_ids}
    result = model(
        to_channels_first(latent),
        torch.tensor(TIME),
        encoder_hidden_states=context,
        added_cond_kwargs=added,
    ).sample
    golden.keep(f"{case}.result", to_channels_last(result))


def make_unet(checkpoint, folder, size, family):
    golden = Golden(2)
    golden.keep("time", numpy.array([TIME], dtype=numpy.float32))
    golden.keep(
        "time_embedding",
        get_timestep_embedding(
            torch.tensor([TIME]), 320, flip_sin_to_cos=True, downscale_freq_shift=0
        ),
    )
    model = unet_model(checkpoint, family, checkpoint.head_dim)
    if size == "tiny":
        run_unet(golden, model, "even", 16, 16)
        run_unet(golden, model, "odd", 9, 11)
        if family == "sd15":
            model = unet_model(checkpoint, family, head_dim=16)
            run_unet(golden, model, "head_dim16", 8, 8)
    else:
        side = 64 if family == "sd15" else 128
        run_unet(golden, model, "even", side, side)
        run_unet(golden, model, "odd", 33, 47)
    golden.save(folder, "unet" if family == "sd15" else "unet_sdxl", checkpoint)


# ---- VAE -------------------------------------------------------------------------------


def vae_model(checkpoint):
    tensors = checkpoint.tensors
    base = tensors[VAE + "encoder.conv_in.weight"].shape[0]
    config = {
        "block_out_channels": tuple(base * m for m in (1, 2, 4, 4)),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
    }
    model = AutoencoderKL(**config).eval()
    model.load_state_dict(single_file_utils.convert_ldm_vae_checkpoint(tensors, config))
    return model


def run_vae(golden, model, case, n, height, width):
    latent = golden.normal(f"{case}.latent", (n, height, width, 4))
    image = model.decode(to_channels_first(latent)).sample
    golden.keep(f"{case}.decoded", to_channels_last(image))
    picture = golden.generator.uniform(-1, 1, (n, 8 * height, 8 * width, 3))
    golden.keep(f"{case}.image", picture.astype(numpy.float32))
    picture = torch.from_numpy(golden.tensors[f"{case}.image"])
    moments = model.encode(to_channels_first(picture)).latent_dist.parameters
    golden.keep(f"{case}.moments", to_channels_last(moments))


def make_vae(checkpoint, folder, size):
    golden = Golden(3)
    model = vae_model(checkpoint)
    if size == "tiny":
        run_vae(golden, model, "even", 1, 8, 8)
        run_vae(golden, model, "odd", 2, 5, 7)
    else:
        run_vae(golden, model, "even", 1, 64, 64)
        run_vae(golden, model, "odd", 1, 33, 47)
    golden.save(folder, "vae", checkpoint)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tool", required=True, help="the built random_checkpoint")
    parser.add_argument("--out", required=True, help="folder for the golden files")
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--family", choices=("sd15", "sdxl", "both"), default="both")
    options = parser.parse_args()

    os.makedirs(options.out, exist_ok=True)
    torch.set_grad_enabled(False)
    families = ("sd15", "sdxl") if options.family == "both" else (options.family,)
    for family in families:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Checkpoint(options.tool, family, options.size, folder)
            make_unet(checkpoint, options.out, options.size, family)
            if family == "sd15":
                make_text(checkpoint, options.out, options.size)
                make_vae(checkpoint, options.out, options.size)
            else:
                make_text_sdxl(checkpoint, options.out)


if __name__ == "__main__":
    main()
