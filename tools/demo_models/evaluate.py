#!/usr/bin/python3
"""Score a model's pictures for prompts that it was never trained on.

    evaluate.py --model models/demo-sd15.safetensors [--prompts 200] [--seeds 2]

Draws held-out scenes from a seed of their own, says each in words, lets build/darkroom make the pictures and the judge
(judge.py) look at them. Prints how often colour, shape and position are right; with --sheet FILE.png also the first
pictures side by side, with --list each picture that is not right.
"""
import argparse
import json
import os
import pathlib
import shlex
import subprocess
import tempfile

import numpy
from PIL import Image

import captions
import judge
import scenes

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCENE_SEED = 20250101
SHEET_COLUMNS, SHEET_MOST = 8, 64


def prompts(count):
    """Held-out scenes and a caption for each."""
    random = numpy.random.default_rng(SCENE_SEED)
    drawn = [scenes.draw(random, held_out=True) for _ in range(count)]
    return [(scene, captions.caption(random, scene)) for scene in drawn]


def read(path):
    return numpy.asarray(Image.open(path).convert("RGB")).astype(numpy.float64) / 255


def generate(options, asked, folder):
    """Every prompt with every seed in one session of the shell; yields scene, prompt, seed, picture."""
    command = [options.darkroom, "shell", "--json", "--packs", "off", "--precision", options.precision, "--tokenizer", options.tokenizer,
               "--threads", str(options.threads)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as shell:

        def ask(line):
            shell.stdin.write(line + "\n")
            shell.stdin.flush()
            answer = json.loads(shell.stdout.readline())
            if not answer["ok"]:
                raise SystemExit(f"evaluate.py: {line}: {answer['error']['message']}")

        ask("model " + shlex.quote(str(options.model)))
        path = os.path.join(folder, "picture.png")
        for scene, prompt in asked:
            for seed in range(1, options.seeds + 1):
                ask(f"generate -p {shlex.quote(prompt)} -W {scenes.SIDE} -H {scenes.SIDE} --steps {options.steps} "
                    f"--cfg {options.cfg} --sampler {options.sampler} --seed {seed} --force -o {shlex.quote(path)}")
                yield scene, prompt, seed, read(path)
        shell.stdin.close()


def rates(verdicts):
    """How often colours, shapes and positions are right: three numbers in 0..1."""
    colours, shapes = ([right for verdict in verdicts for right in getattr(verdict, part)] for part in ("colours", "shapes"))
    return tuple(float(numpy.mean(rights)) for rights in (colours, shapes, [verdict.position for verdict in verdicts]))


def save_sheet(pictures, path):
    shown = pictures[:SHEET_COLUMNS * (min(len(pictures), SHEET_MOST) // SHEET_COLUMNS)]
    rows = [numpy.concatenate(shown[at:at + SHEET_COLUMNS], axis=1) for at in range(0, len(shown), SHEET_COLUMNS)]
    Image.fromarray(numpy.uint8(numpy.round(numpy.concatenate(rows) * 255))).save(path)


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokenizer", default=str(ROOT / "models/tokenizer"))
    parser.add_argument("--darkroom", default=str(ROOT / "build/darkroom"))
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--sampler", default="dpmpp-2m")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet", help="a PNG of the first pictures")
    parser.add_argument("--json", help="a file for the figures")
    parser.add_argument("--list", action="store_true", help="each picture that is not right")
    return parser.parse_args(arguments)


def main():
    options = parse()
    verdicts, pictures = [], []
    with tempfile.TemporaryDirectory() as folder:
        for scene, prompt, seed, picture in generate(options, prompts(options.prompts), folder):
            verdict = judge.judge(picture, scene)
            verdicts.append(verdict)
            pictures.append(picture)
            if options.list and not (all(verdict.colours) and all(verdict.shapes) and verdict.position):
                seen = "; ".join(f"{f.colour} {f.shape} at {f.x:.0f},{f.y:.0f}" for f in judge.look(picture))
                print(f"{prompt} (seed {seed}): {seen or 'nothing'}")
    rows = []
    for name, counts in (("one object", (1,)), ("two objects", (2,)), ("any number", (1, 2))):
        chosen = [verdict for verdict in verdicts if len(verdict.colours) in counts]
        if chosen:
            rows.append({"name": name, "pictures": len(chosen),
                         **dict(zip(("colour", "shape", "position"), rates(chosen)))})
            print("{name:11} {pictures:4} pictures   colour {colour:6.1%}   shape {shape:6.1%}   position {position:6.1%}"
                  .format(**rows[-1]))
    if options.json:
        said = f"--model {options.model} --prompts {options.prompts} --seeds {options.seeds} --cfg {options.cfg}"
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"arguments": said, "rows": rows}, file, indent=1)
    if options.sheet:
        save_sheet(pictures, options.sheet)


if __name__ == "__main__":
    main()
