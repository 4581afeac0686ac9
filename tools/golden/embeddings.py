#!/usr/bin/env python3
"""Golden contexts of prompts that name embeddings, restated with PyTorch.

    tools/golden/embeddings.py --tool build/tools/random_checkpoint

Writes the embeddings' files to tests/golden/embeddings/FAMILY, in the layouts of A1111, Forge and diffusers, and tests/golden/
embeddings.json, in the form of prompts.json. The rules are those of prompts.py, and: of the names that begin at a token, the one
with the most tokens is taken; its vectors stay in one chunk, have the weight of the text around them, and take the place of rows
of the encoder's token embedding, before the positions are added.
"""
import argparse
import json
import os
import random
import tempfile

import torch
import transformers
from safetensors.torch import save_file

import prompts

OUT = os.path.join(prompts.TESTS, "golden", "embeddings.json")
FILES = os.path.join(prompts.TESTS, "golden", "embeddings")
# Name, vectors, and the form of the file for one encoder.
EMBEDDINGS = [("easy", 1, "diffusers.bin"), ("easy-neg", 8, "a1111.pt"), ("Sks", 3, "forge.safetensors"),
              ("<cat-toy>", 2, "diffusers.safetensors"), ("long", 40, "forge.safetensors")]


class Embedding(torch.nn.Module):
    """A token embedding where -1 - i means row i of other vectors."""

    def __init__(self, table, vectors):
        super().__init__()
        self.table, self.vectors = table, vectors

    @property
    def weight(self):
        return self.table.weight

    def forward(self, ids):
        rows = self.table(ids.clamp(min=0))
        return torch.where((ids < 0)[..., None], self.vectors[(-1 - ids).clamp(min=0)], rows)


def write(folder, name, form, vectors):
    """vectors: of each encoder."""
    if len(vectors) == 2:
        save_file({"clip_l": vectors[0], "clip_g": vectors[1]}, os.path.join(folder, name + ".safetensors"))
        return
    path = os.path.join(folder, name + "." + form.split(".")[1])
    if form == "a1111.pt":
        torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": vectors[0]}, "name": name, "step": 10}, path)
    elif form == "forge.safetensors":
        save_file({"emb_params": vectors[0]}, path)
    elif form.endswith("bin"):
        torch.save({f"<{name}>": vectors[0][0]}, path)
    else:
        save_file({f"<{name}>": vectors[0]}, path)


def listed():
    """Prompts of known segments."""
    chance = random.Random(19)
    words = ["a", "red", "circle", "ring", ",", "left", "of", "1", ", soft light", "easy", "EASY-neg", "easy-neg", "sks", "Sks's",
             "<cat-toy>", "long", "neg", "cat", "uneasy"]
    yield [["easy", 1.0]]
    yield [["a ", 1.0], ["easy-neg", 1.4], [" ring", 1.0]]
    yield [["long long", 1.0]]
    yield [["red " * 60 + "long", 0.8]]
    yield [["red " * 60 + ", a ring easy-neg easy-neg", 1.0]]
    for number in range(120):
        segments = []
        for _ in range(chance.randint(1, 8)):
            text = " ".join(chance.choice(words) for _ in range(chance.randint(1, 16)))
            segments.append([text, 1.0 if chance.random() < 0.5 else round(chance.uniform(0.3, 1.9), 2)])
        if prompts.spelled(segments):
            yield segments


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(os.path.join(prompts.TESTS, "data", "tiny-tokenizer"))
    results = [{"prompt": prompts.spelled(segments)} for segments in listed()]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for family, arguments in prompts.FAMILIES.items():
            checkpoint = prompts.Random(options.tool, arguments, os.path.join(folder, family + ".safetensors"))
            models, own = prompts.encoders(family, checkpoint, tokenizer)
            widths = [model.get_input_embeddings().weight.shape[1] for model in models]
            numbers = torch.Generator().manual_seed(3)
            os.makedirs(os.path.join(FILES, family), exist_ok=True)
            names, tables, first = [], [[] for _ in widths], 0
            for name, count, form in EMBEDDINGS:
                vectors = [0.5 * torch.randn(count, width, generator=numbers) for width in widths]
                write(os.path.join(FILES, family), name, form, vectors)
                names.append((tokenizer(name, add_special_tokens=False)["input_ids"], first, count))
                first += count
                for table, part in zip(tables, vectors):
                    table.append(part)
            for model, encoder, table in zip(models, own, tables):
                model.set_input_embeddings(Embedding(model.get_input_embeddings(), torch.cat(table)))
                encoder.names = names
            for result, segments in zip(results, listed()):
                made = [encoder.contexts([segments]) for encoder in own]
                result[family] = {"0": prompts.measured(torch.cat([part for part, _ in made], 2)[0])}
                if family == "sdxl":
                    result["pooled"] = prompts.measured(made[1][1][0].double())
    with open(OUT, "w", encoding="utf-8") as out:
        rows = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in results)
        out.write('{"steps": %d, "sd15": "%s", "sdxl": "%s", "cases": [\n%s\n]}\n'
                  % (prompts.STEPS, prompts.FAMILIES["sd15"], prompts.FAMILIES["sdxl"], rows))
    print(len(results), "prompts")


if __name__ == "__main__":
    main()
