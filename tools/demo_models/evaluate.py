#!/usr/bin/python3
"""Score a model's pictures for prompts that it was never trained on, made as a user makes them: with -m and -p alone.

    evaluate.py --model models/demo-sd15.safetensors [--prompts 200] [--seeds 2]
    evaluate.py --model models/demo-sd15.safetensors --ask "a red circle left of a blue square" --seeds 100

Draws held-out scenes from a seed of their own, says each in words, of every form and length that captions.py has; lets
build/darkroom make the pictures with what the checkpoint says of size, steps, cfg and sampler; and the judge (judge.py)
looks at them. Prints how often each part of what was said is right, and how often all of it. With --ask it takes that
prompt instead (again for more), held out or not; with --examples those that the documentation has for this model. --sheet
FILE.png shows the first pictures side by side, --list each picture that is not right.
"""
import argparse
import json
import os
import pathlib
import re
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
CENTRED = 0.3  # of the single objects
SHEET_COLUMNS, SHEET_MOST = 8, 64
DOCUMENTS = ("README.md", "docs/USAGE.md", "models/README.md", "script/demo")


def prompts(count):
    """Held-out scenes, each with a caption: (scene, captions.Caption)."""
    random = numpy.random.default_rng(SCENE_SEED)
    drawn = [scenes.draw(random, held_out=True, centred=CENTRED) for _ in range(count)]
    return [(scene, captions.describe(random, scene)) for scene in drawn]


def examples(model):
    """The prompts that the documentation shows with this model's file, each once."""
    found = []
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        # A command that goes on in the next line is one command.
        for line in text.replace("\\\n", " ").splitlines():
            if model in line:
                found += re.findall(r'(?:-p|--prompt) "([^"]+)"', line)
            if name == "script/demo":
                found += re.findall(r'^prompt="([^"]+)"', line)
    return list(dict.fromkeys(found))


def asked_for(texts):
    """Prompts as given, each with the scene that it asks for."""
    asked = []
    for text in texts:
        read = captions.read(text)
        if not read:
            raise SystemExit(f"evaluate.py: \"{text}\" is no prompt of captions.py's words")
        asked.append((read[0], captions.Caption(text, *[getattr(read[1], part) for part in ("sizes", "tone", "pattern")])))
    return asked


def read(path):
    return numpy.asarray(Image.open(path).convert("RGB")).astype(numpy.float64) / 255


def generate(options, asked, folder):
    """Every prompt with every seed in one session of the shell; yields scene, caption, seed, picture."""
    command = [options.darkroom, "shell", "--json", "--packs", "off", "--precision", options.precision, "--tokenizer", options.tokenizer,
               "--threads", str(options.threads)]
    given = [f"--{name} {getattr(options, name)}" for name in ("steps", "cfg", "sampler") if getattr(options, name)]
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
        for scene, said in asked:
            for seed in range(1, options.seeds + 1):
                ask(" ".join(["generate -p", shlex.quote(said.text), *given, f"--seed {seed} --force -o", shlex.quote(path)]))
                yield scene, said, seed, read(path)
        shell.stdin.close()


def rates(verdicts):
    """How often each of judge.PARTS is right, and "all": numbers in 0..1; None where nothing was said of it."""
    found = {}
    for part in judge.PARTS:
        rights = [right for verdict in verdicts for right in judge.answers(verdict, part)]
        found[part] = float(numpy.mean(rights)) if rights else None
    found["all"] = float(numpy.mean([verdict.all() for verdict in verdicts]))
    return found


def is_short(said):
    """Only an object, or two and their relation: no background."""
    return not said.pattern


def save_sheet(pictures, path):
    shown = pictures[:SHEET_COLUMNS * (min(len(pictures), SHEET_MOST) // SHEET_COLUMNS)]
    rows = [numpy.concatenate(shown[at:at + SHEET_COLUMNS], axis=1) for at in range(0, len(shown), SHEET_COLUMNS)]
    Image.fromarray(numpy.uint8(numpy.round(numpy.concatenate(rows) * 255))).save(path)


def say(row):
    parts = "  ".join(f"{part} {row[part]:6.1%}" if row[part] is not None else f"{part}      -"
                      for part in (*judge.PARTS, "all"))
    print(f"{row['name']:24} {row['pictures']:4} pictures  {parts}")


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokenizer", default=str(ROOT / "models/tokenizer"))
    parser.add_argument("--darkroom", default=str(ROOT / "build/darkroom"))
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--ask", action="append", default=[], metavar="PROMPT", help="this prompt, in the place of held-out ones")
    parser.add_argument("--examples", action="store_true", help="the documentation's prompts")
    parser.add_argument("--steps", type=int, help="instead of the checkpoint's own, as --cfg and --sampler")
    parser.add_argument("--cfg", type=float)
    parser.add_argument("--sampler")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet", help="a PNG of the first pictures")
    parser.add_argument("--json", help="a file for the figures")
    parser.add_argument("--list", action="store_true", help="each picture that is not right")
    return parser.parse_args(arguments)


def row_of(name, verdicts):
    return {"name": name, "pictures": len(verdicts), **rates(verdicts)}


def main():
    options = parse()
    texts = options.ask + (examples(os.path.basename(options.model)) if options.examples else [])
    asked = asked_for(texts) if texts else prompts(options.prompts)
    made, pictures = [], []
    with tempfile.TemporaryDirectory() as folder:
        for scene, said, seed, picture in generate(options, asked, folder):
            verdict = judge.judge(picture, scene, said)
            made.append((said, verdict))
            pictures.append(picture)
            if options.list and not verdict.all():
                seen = "; ".join(f"{f.size} {f.colour} {f.shape} at {f.x:.0f},{f.y:.0f}" for f in judge.look(picture))
                behind = " ".join(judge.background(picture) or ("an unknown background",))
                print(f"{said.text} (seed {seed}): {seen or 'nothing'}; {behind}")
    if texts:
        rows = [row_of(said.text, [verdict for other, verdict in made if other is said]) for _, said in asked]
    else:
        chosen = (("one object", lambda said: len(said.sizes) == 1), ("two objects", lambda said: len(said.sizes) == 2),
                  ("no background said", is_short), ("any", lambda said: True))
        rows = [row_of(name, [verdict for said, verdict in made if takes(said)]) for name, takes in chosen
                if any(takes(said) for said, _ in made)]
    for row in rows:
        say(row)
    if options.json:
        said = f"--model {options.model} --seeds {options.seeds} " + ("--examples" if texts else f"--prompts {options.prompts}")
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"arguments": said, "rows": rows}, file, indent=1)
    if options.sheet:
        save_sheet(pictures, options.sheet)


if __name__ == "__main__":
    main()
