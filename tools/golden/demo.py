#!/usr/bin/env python3
"""Golden pictures of the demo models: the files of models/ through diffusers, from words to pixels.

    demo.py [--models models] --out tests/golden

Writes demo_sd15.safetensors and demo_sdxl.safetensors, of those models that are there. The checkpoints are converted in
memory with diffusers' own functions; stated here is only what a checkpoint does not say itself. Tensors, float32:
    latent   [1,4,16,16]  after the last step, in the UNet's scale
    picture  [48,48,3]    the middle of the decoded picture, in 0..1, not rounded
The metadata says what the test must repeat, and the checkpoint's SHA-256.
"""
import argparse
import hashlib
import os

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.loaders import single_file_utils
from golden import Golden, text2_model, text_model, to_channels_last
from safetensors import safe_open
from safetensors.torch import load_file
from samplers import SAMPLERS, make
from transformers import CLIPTokenizer

SEED, STEPS, GUIDANCE, SIDE, MIDDLE = 1234, 20, 4.0, 128, 48
PROMPT, NEGATIVE = "a red circle left of a blue square", "a green star"


class DemoCheckpoint:
    """A file of models/, in float32, with its metadata."""

    def __init__(self, path):
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with safe_open(path, "pt") as file:
            self.own = file.metadata()
        self.tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        self.metadata = {
            "checkpoint": os.path.basename(path), "checkpoint_sha256": digest, "prompt": PROMPT, "negative": NEGATIVE,
            "seed": str(SEED), "steps": str(STEPS), "guidance": str(GUIDANCE), "sampler": "euler",
            "diffusers": diffusers.__version__, "transformers": transformers.__version__, "torch": torch.__version__,
        }

    def heads(self, part):
        return int(self.own[f"darkroom.{part}.heads"])


def vae_model(checkpoint):
    config = {
        "block_out_channels": (64,) * 4,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 1,
        "latent_channels": 4,
        "scaling_factor": float(checkpoint.own["darkroom.vae.scale_factor"]),
    }
    model = AutoencoderKL(**config, force_upcast=False).eval()
    model.load_state_dict(single_file_utils.convert_ldm_vae_checkpoint(checkpoint.tensors, config))
    return model


def unet_model(checkpoint, family):
    prefix = "model.diffusion_model."
    widths = (64, 64, 128)
    config = {
        "block_out_channels": widths,
        "layers_per_block": 1,
        "cross_attention_dim": checkpoint.tensors[
            prefix + "middle_block.1.transformer_blocks.0.attn2.to_k.weight"].shape[1],
        "attention_head_dim": (checkpoint.heads("unet"),) * 3,  # diffusers' name for the number of heads
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "sample_size": SIDE // 8,
    }
    if family == "sdxl":
        config |= {
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": checkpoint.tensors[prefix + "label_emb.0.0.weight"].shape[1],
        }
    model = UNet2DConditionModel(**config).eval()
    model.load_state_dict(single_file_utils.convert_ldm_unet_checkpoint(dict(checkpoint.tensors), config))
    return model


def make_pipeline(checkpoint, family, vocabulary):
    files = [os.path.join(vocabulary, name) for name in ("vocab.json", "merges.txt")]
    tokenizer = CLIPTokenizer(*files, model_max_length=77)
    parts = {
        "vae": vae_model(checkpoint),
        "text_encoder": text_model(checkpoint, checkpoint.heads("text")),
        "tokenizer": tokenizer,
        "unet": unet_model(checkpoint, family),
        "scheduler": make("euler", SAMPLERS["euler"][1][0], False, "eps", STEPS),
    }
    if family == "sd15":
        return StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None,
                                       requires_safety_checker=False)
    return StableDiffusionXLPipeline(
        **parts, text_encoder_2=text2_model(checkpoint, tokenizer.eos_token_id, checkpoint.heads("text2")),
        # Padded with id 0, as open_clip does: in CLIP's own vocabulary that is "!", in this one another token.
        tokenizer_2=CLIPTokenizer(*files, model_max_length=77, pad_token=tokenizer.convert_ids_to_tokens(0)),
        add_watermarker=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--models", default=os.path.join(here, "..", "..", "models"))
    parser.add_argument("--out", required=True, help="folder for the golden files")
    options = parser.parse_args()

    torch.set_grad_enabled(False)
    for family in ("sd15", "sdxl"):
        path = os.path.join(options.models, f"demo-{family}.safetensors")
        if not os.path.exists(path):
            print(f"{path} is not there: left out")
            continue
        checkpoint, golden = DemoCheckpoint(path), Golden(7)
        pipeline = make_pipeline(checkpoint, family, os.path.join(options.models, "tokenizer"))
        pipeline.set_progress_bar_config(disable=True)
        latent = pipeline(
            PROMPT, negative_prompt=NEGATIVE, width=SIDE, height=SIDE, num_inference_steps=STEPS,
            guidance_scale=GUIDANCE, generator=torch.Generator("cpu").manual_seed(SEED), output_type="latent").images
        picture = pipeline.vae.decode(latent / pipeline.vae.config.scaling_factor).sample.clamp(-1, 1) / 2 + 0.5
        low = (SIDE - MIDDLE) // 2
        golden.keep("latent", latent)
        golden.keep("picture", to_channels_last(picture)[0, low:low + MIDDLE, low:low + MIDDLE])
        golden.save(options.out, f"demo_{family}", checkpoint)


if __name__ == "__main__":
    main()
