#!/usr/bin/python3
"""Make the pictures of docs/PROMPTS.md again, with the demo models.

    tools/prompt_pictures.py [--build BUILD] [--out docs/prompts] [--json] [FIGURE...]

A figure is a strip of pictures, one for each prompt, in the order in which PROMPTS.md has them. They are kept in 256 colours. --json: print the figures' prompts and make nothing. Needs Pillow, as the
system's Python has it, hence this file's first line (Debian: python3-pil).
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
GAP, COLOURS = 4, 256
STYLES = '''name,prompt,negative_prompt
rose,"{prompt} on a striped rose background",
inked,<lora:demo-sd15-ink:1>,
'''
WILDCARDS = {"colour.txt": "red\nyellow\ngreen\nblue\npurple\nblack\n"}
RING = "a yellow star above a (purple{}) ring"
TURN = "[a red circle:a blue star:{}] in the centre"
STAR = "a yellow star above a purple ring"

# name: model, seed, options of each picture
FIGURES = {
    "weights": ("sdxl", 3, [["-p", RING.format("")], ["-p", RING.format(":2")], ["-p", RING.format(":3")]]),
    "and": ("sd15", 3, [["-p", "a red circle in the centre :0.3 AND a blue star in the centre :0.7"],
                        ["-p", "a red circle in the centre :0.6 AND a blue star in the centre :0.4"],
                        ["-p", "a red circle AND striped rose background"],
                        ["-p", "a yellow star AND yellow :-0.7"]]),
    "schedule": ("sd15", 3, [["-p", TURN.format(when)] for when in ("0.6", "0.7", "0.8", "0.9")]),
    "alternate": ("sd15", 4, [["-p", f"a {colour} circle in the centre on a plain sky background"]
                              for colour in ("red", "yellow", "[red|yellow]")]),
    "checks": ("sd15", 3, [["-p", f"{STAR} <lora:demo-sd15-checks:{weight}>"] for weight in ("0", "0.5", "1")]),
    "ink": ("sd15", 3, [["-p", f"{STAR} <lora:demo-sd15-ink:{weight}>"] for weight in ("0", "0.5", "1")]
            + [["-p", f"{STAR} <lora:demo-sd15-ink:1><lora:demo-sd15-checks:1>"]]),
    "styles": ("sd15", 4, [["-p", "a green cross"], ["-p", "a green cross", "--style", "rose"],
                           ["-p", "a green cross", "--style", "inked"],
                           ["-p", "a green cross", "--style", "rose", "--style", "inked"]]),
    "wildcards": ("sd15", 6, [["-p", "a __colour__ star on a plain sand background", "--batch", "4"]]),
}


def make(options, folder, model, seed, several):
    """The pictures' paths, in order."""
    paths = []
    for index, words in enumerate(several):
        count = int(words[words.index("--batch") + 1]) if "--batch" in words else 1
        first = folder / f"{index}.png"
        subprocess.run([options.build / "darkroom", "generate", "-q", "-m", ROOT / f"models/demo-{model}.safetensors",
                        "--lora-dir", ROOT / "models/lora", "--styles", folder / "styles.csv", "--wildcard-dir", folder,
                        "--precision", "f32", "--seed", str(seed), *words, "-o", first],
                       check=True, stdout=subprocess.DEVNULL)
        paths += [first, *(folder / f"{index}-{more}.png" for more in range(2, count + 1))]
    return paths


def join(paths, out):
    from PIL import Image

    pictures = [Image.open(path).convert("RGB") for path in paths]
    width, height = pictures[0].size
    strip = Image.new("RGB", (len(pictures) * (width + GAP) - GAP, height), "white")
    for index, picture in enumerate(pictures):
        strip.paste(picture, (index * (width + GAP), 0))
    strip.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE).save(out, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="instead of all of them: " + ", ".join(FIGURES))
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/prompts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.json:
        print(json.dumps({name: several for name, (_, _, several) in FIGURES.items()}))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.figures or FIGURES:
        with tempfile.TemporaryDirectory(prefix="darkroom-pictures-") as folder:
            folder = pathlib.Path(folder)
            (folder / "styles.csv").write_text(STYLES, encoding="utf-8")
            for file, text in WILDCARDS.items():
                (folder / file).write_text(text, encoding="utf-8")
            out = options.out / f"{name}.png"
            join(make(options, folder, *FIGURES[name]), out)
            print(f"{out}: {out.stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    main()
