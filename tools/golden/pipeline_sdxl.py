#!/usr/bin/env python3
"""Golden latents of SDXL: diffusers' whole pipeline, from words to the last step's latents.

    pipeline_sdxl.py --tool build/tools/random_checkpoint --out tests/golden

Writes pipeline_sdxl.safetensors. Both text encoders, the sizes, the UNet, guidance and sampler
are those of StableDiffusionXLPipeline, its checkpoint is the tiny SDXL one of
tools/random_checkpoint and its vocabulary tests/data/tiny-tokenizer. Tensors, float32:
    latent.CASE      [1,4,H/8,W/8]  after the last step, in the UNet's scale
Cases: `sizes` has a negative prompt and sizes of its own, `none` no negative prompt (zeros) and
the sizes' defaults, `empty` an empty one, which is encoded. What the test must repeat is said
once, in this file's metadata.
"""
import argparse
import os
import tempfile

import torch
from diffusers import StableDiffusionXLPipeline
from golden import Checkpoint, Golden, text2_model, text_model, unet_model, vae_model
from samplers import SAMPLERS, make
from transformers import CLIPTokenizer

SEED = 1234
STEPS = 10
GUIDANCE = 5.0
WIDTH, HEIGHT = 128, 96
PROMPT = "a red circle"
NEGATIVE = "fog"
SIZES = {
    "original_size": (1024, 768),  # height, width
    "crops_coords_top_left": (16, 32),
    "target_size": (512, 640),
}


def make_pipeline(checkpoint, vocabulary):
    files = [os.path.join(vocabulary, name) for name in ("vocab.json", "merges.txt")]
    first = CLIPTokenizer(*files, model_max_length=77)
    second = CLIPTokenizer(*files, model_max_length=77, pad_token="!")
    if second.pad_token_id != 0:
        raise SystemExit(f"the second tokenizer pads with {second.pad_token_id}")
    pipeline = StableDiffusionXLPipeline(
        vae=vae_model(checkpoint),
        text_encoder=text_model(checkpoint, None),
        text_encoder_2=text2_model(checkpoint, first.eos_token_id),
        tokenizer=first,
        tokenizer_2=second,
        unet=unet_model(checkpoint, "sdxl", checkpoint.head_dim),
        scheduler=make("euler", SAMPLERS["euler"][1][0], False, "eps", STEPS),
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tool", required=True, help="the built random_checkpoint")
    parser.add_argument("--out", required=True, help="folder for the golden file")
    options = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    vocabulary = os.path.join(here, "..", "..", "tests", "data", "tiny-tokenizer")

    os.makedirs(options.out, exist_ok=True)
    torch.set_grad_enabled(False)
    golden = Golden(6)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(options.tool, "sdxl", "tiny", folder)
        pipeline = make_pipeline(checkpoint, vocabulary)
        for case, extra in (
            ("sizes", {"negative_prompt": NEGATIVE, **SIZES}),
            ("none", {}),
            ("empty", {"negative_prompt": ""}),
        ):
            latent = pipeline(
                PROMPT,
                width=WIDTH,
                height=HEIGHT,
                num_inference_steps=STEPS,
                guidance_scale=GUIDANCE,
                generator=torch.Generator("cpu").manual_seed(SEED),
                output_type="latent",
                **extra,
            ).images
            golden.keep("latent." + case, latent)
            print(f"{case:8} standard deviation {latent.std():.4g}")
        checkpoint.metadata |= {
            "seed": str(SEED), "steps": str(STEPS), "guidance": str(GUIDANCE),
            "prompt": PROMPT, "negative": NEGATIVE, "sizes": str(SIZES),
            "sampler": "euler",
        }
        golden.save(options.out, "pipeline_sdxl", checkpoint)


if __name__ == "__main__":
    main()
