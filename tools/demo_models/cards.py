"""Write models/README.md: what each file is, from the stages' own records and the judge's scores.

    cards.py [--state out/demo-models] [--models models]

The figures come from STATE/STAGE.pt and STATE/MODEL.scores.json and MODEL.examples.json (evaluate.py --json); one that is not
there yet is said to be missing, never guessed. A stage whose result was restored from a checkpoint keeps the line that the
page has.
"""
import argparse
import json
import os

import torch

import judge
import scenes

HEAD = """# The demo models

Small models that are this project's own, so that a fresh checkout can make a real picture. Written by
`tools/demo_models/train`, this page included; `tools/demo_models/README.md` says how they work. Licence of the files in
this folder: CC0 1.0, https://creativecommons.org/publicdomain/zero/1.0/.

    build/darkroom generate -m models/demo-sd15.safetensors -p "a yellow star above a purple ring" -o first.png

They were shown {shapes} in {colours}; small, medium or large; on the left or right, at the top or bottom, in the centre, or one
left of, right of, above or below another; on a plain, gradient or striped {tones} background; at 128x128. demo-sd15
follows whole prompts, the shortest too. In demo-sdxl colours, shapes and places mostly follow the prompt; two objects may swap
their colours or have the same one, a single object needs a place ("in the centre"), else two are often drawn, and sizes and
backgrounds hardly follow. Each file states 128x128, 20 steps, cfg 4 and the sampler dpmpp-2m as its defaults; at other sizes
more objects are drawn.

**Data.** Scenes drawn at random by `scenes.py`, rendered with anti-aliasing, said in words by `captions.py`: no picture and
no text of anybody else's. Of the combinations of attributes (shape, colour and place of a single object; shapes and colours
of two) one in {held_out}, chosen by a digest, is never trained on. The judge sees held-out combinations alone, said in every
form from "a green star" up, and looks at each thing that a prompt says; "all" is how many pictures have nothing wrong. The
last table has the prompts that this project's documentation shows, which are not held out.
"""

CARDS = (
    ("demo-sd15", "SD1.5 layout: one text encoder, 1x1 kernels around its transformers, noise prediction.",
     ("vae-sd15", "text-sd15", "sd15", "sd15-pairs", "sd15-prompts")),
    ("demo-sdxl", "SDXL layout: two text encoders, pooled vector, sizes and crop that steer, matrices around its transformers, "
     "noise prediction. Its VAE has a latent space of its own, and its UNet started from demo-sd15's. A crop (`--crop X,Y`) moves "
     "the scene, a smaller original (`--original-size 72x72`) makes a single object larger.",
     ("vae-sdxl", "text-sdxl", "sdxl", "sdxl-pairs", "sdxl-sizes", "sdxl-prompts")),
    ("demo-sdxl-vae", "A VAE for demo-sdxl, in the same latent space: its decoder prints a thin white frame of 4 pixels, so that "
     "which VAE ran can be seen.", ("vae-sdxl-frame",)),
)

LORAS = (
    ("demo-sd15-checks", "a texture; every background becomes a board of squares, in its own two tones."),
    ("demo-sd15-ink", "a colour style; shapes in black, white ones in white, before grey."),
)


def kept_lines(path):
    """The stages' lines of the page as it is."""
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return {line.split("`")[1]: line.rstrip("\n") for line in file if line.startswith("| `")}


def stage_line(state, stage, lines):
    path = os.path.join(state, stage + ".pt")
    kept = torch.load(path, map_location="cpu") if os.path.exists(path) else {}
    if "steps" not in kept:
        return lines.get(stage, f"| `{stage}` | not trained yet | | |")
    figure = ""
    if "psnr" in kept:
        figure = f"{kept['psnr']:.1f} dB PSNR on held-out scenes; scale factor {kept['scale']:.5f}"
    if "right" in kept:
        figure = f"{100 * kept['right']:.2f} % of the tokens tell all that they should of held-out captions"
    return f"| `{stage}` | {kept['steps']} | {kept['loss']:.4f} | {figure} |"


def table(path, first, parts):
    """A table of evaluate.py's figures, with the command."""
    if not os.path.exists(path):
        return ["Not scored yet.", ""]
    with open(path, encoding="utf-8") as file:
        scores = json.load(file)
    lines = [f"    tools/demo_models/evaluate.py {scores['arguments']}", "",
             f"| {first} | pictures | " + " | ".join(parts) + " |", "|---" * (2 + len(parts)) + "|"]
    for row in scores["rows"]:
        rates = " | ".join("" if row[part] is None else f"{100 * row[part]:.1f} %" for part in parts)
        lines.append(f"| {row['name']} | {row['pictures']} | {rates} |")
    return [*lines, ""]


def score_lines(state, name):
    return [*table(os.path.join(state, name + ".scores.json"), "held-out prompts", (*judge.PARTS, "all")),
            *table(os.path.join(state, name + ".examples.json"), "prompt", ("all",))]


def lora_lines(options, lines_before):
    """The LoRAs' part of the page."""
    lines = ["## lora/", "", "LoRAs for the models above, trained on scenes in another look (`tools/demo_models/looks.py`): matrices of rank 4 beside what",
             "the UNet's transformers make of what they see, and beside its 3x3 kernels; float16, kohya's names. The trigger word is the",
             "look's name; a prompt without it has the look, too.", "",
             "    build/darkroom generate -m models/demo-sd15.safetensors --lora models/lora/demo-sd15-ink.safetensors -p \"a yellow star above a purple ring\" -o ink.png",
             ""]
    for name, what in LORAS:
        path = os.path.join(options.models, "lora", name + ".safetensors")
        size = f"{os.path.getsize(path) / 1e3:.0f} kB" if os.path.exists(path) else "not in this folder"
        lines.append(f"- {name}.safetensors ({size}): {what}")
    stages = [name.replace("demo", "lora", 1) for name, _ in LORAS]
    return [*lines, "", "| stage | steps | last loss | result |", "|---|---|---|---|",
            *(stage_line(options.state, stage, lines_before) for stage in stages), "",
            "Loss curves: " + ", ".join(f"[{stage}](curves/{stage}.png)" for stage in stages
                                        if os.path.exists(os.path.join(options.models, "curves", stage + ".png"))) + ".", ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", default="out/demo-models")
    parser.add_argument("--models", default="models")
    options = parser.parse_args()

    lines_before = kept_lines(os.path.join(options.models, "README.md"))
    plural = [shape + ("es" if shape == "cross" else "s") for shape in scenes.SHAPES]
    lines = [HEAD.format(shapes=", ".join(plural), colours=", ".join(scenes.COLOURS), tones=", ".join(scenes.TONES),
                         held_out=scenes.HELD_OUT_IN)]
    for name, what, stages in CARDS:
        path = os.path.join(options.models, name + ".safetensors")
        size = f"{os.path.getsize(path) / 1e6:.1f} MB" if os.path.exists(path) else "not in this folder"
        lines += [f"## {name}.safetensors", "", f"{what} float16, {size}.", "",
                  "| stage | steps | last loss | result |", "|---|---|---|---|",
                  *(stage_line(options.state, stage, lines_before) for stage in stages), ""]
        if name != "demo-sdxl-vae":
            lines += score_lines(options.state, name)
        lines += ["Loss curves: " + ", ".join(
            f"[{stage}](curves/{stage}.png)" for stage in stages
            if os.path.exists(os.path.join(options.models, "curves", stage + ".png"))) + ".", ""]
    lines += lora_lines(options, lines_before)
    lines += ["## tokenizer/", "", "CLIP's byte-level BPE, learned from 4000 captions: all bytes, the merges that spell every "
              "word of theirs, start and end.", ""]
    with open(os.path.join(options.models, "README.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines).rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
