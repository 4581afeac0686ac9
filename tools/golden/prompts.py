#!/usr/bin/env python3
"""Golden contexts: what A1111's rules make of more than two hundred prompts, restated with PyTorch.

    tools/golden/prompts.py --tool build/tools/random_checkpoint

Reads tests/golden/prompt-parts.json, where the reference's own parser says which words have which weight (see
prompt_parts.py); chunks, comma rule, emphasis and the joint mean of a schedule are stated here, the text
encoders are transformers', with the weights of tools/random_checkpoint, and the tokenizer is transformers' with the tiny
vocabulary. Writes tests/golden/prompts.json: for each prompt and evaluation the context's length, its L2 norm, and its products
with PROBES vectors of signs, which tell how far another context is from it: the mean square of their differences is the
square of the distance, to be expected.
"""
import argparse
import json
import os
import random
import tempfile

import numpy
import torch
import transformers

import golden

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(HERE, "..", "..", "tests")
OUT = os.path.join(TESTS, "golden", "prompts.json")
STEPS, PROBES, CHUNK, COMMA_TOKENS = 10, 4, 75, 20
FAMILIES = {"sd15": "--family sd15 --size least --seed 1 --dtype f32", "sdxl": "--family sdxl --size least --seed 5 --dtype f32"}


def signs(count):
    """PROBES rows of +1 and -1, by a hash that the test computes too."""
    rows = []
    for k in range(PROBES):
        x = (numpy.arange(count, dtype=numpy.uint64) * 2654435761 + (k + 1) * 2246822519) & 0xFFFFFFFF
        x ^= x >> 15
        x = (x * 2246822519) & 0xFFFFFFFF
        x ^= x >> 13
        rows.append(1.0 - 2.0 * (x & 1).astype(numpy.float64))
    return numpy.stack(rows)


def long_prompts():
    """Of known segments, so that nothing has to be parsed."""
    chance = random.Random(7)
    words = ["a", "red", "blue", "circle", "ring", ",", "left", "of", "1", "23", ", soft light", "it's", "naïve", "-"]
    for number in range(90):
        segments = []
        for _ in range(chance.randint(1, 14)):
            text = " ".join(chance.choice(words) for _ in range(chance.randint(1, 22)))
            weight = 1.0 if chance.random() < 0.5 else round(chance.uniform(0.3, 1.9), 2)
            if number % 9 == 4 and chance.random() < 0.3:
                segments.append(["BREAK", -1.0])
            segments.append([text, weight])
        yield segments


def spelled(segments):
    """The prompt of such segments; None where neighbours have one weight, which would be one segment."""
    for one, next_ in zip(segments, segments[1:]):
        if one[1] == next_[1]:
            return None
    return "".join(" BREAK " if weight == -1.0 else words if weight == 1.0 else f"({words}:{weight})"
                   for words, weight in segments)


class Encoder:
    def __init__(self, tokenizer, pad, run):
        self.tokenizer, self.pad, self.run = tokenizer, pad, run
        self.start, self.end = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.comma = tokenizer(",", add_special_tokens=False)["input_ids"][0]
        self.names = []  # of embeddings: tokens, first row, count

    def name_at(self, tokens, position):
        here = [name for name in self.names if tokens[position:position + len(name[0])] == name[0]]
        return max(here, key=lambda name: len(name[0]), default=None)

    def chunks(self, segments):
        done, ids, weights, comma = [], [], [], -1

        def close():
            filled = [self.start] + ids + [self.end] * (CHUNK + 1 - len(ids))
            first = filled.index(self.end)
            filled = filled[:first + 1] + [self.pad] * (CHUNK + 1 - first)
            done.append((filled, [1.0] + weights + [1.0] * (CHUNK + 1 - len(weights))))

        for text, weight in segments:
            if text == "BREAK" and weight == -1:
                close()
                ids, weights, comma = [], [], -1
                continue
            tokens, position = self.tokenizer(text, add_special_tokens=False)["input_ids"], 0
            while position < len(tokens):
                token, name = tokens[position], self.name_at(tokens, position)
                if token == self.comma:
                    comma = len(ids)
                elif len(ids) == CHUNK and comma >= 0 and len(ids) - comma <= COMMA_TOKENS:
                    rest = ids[comma + 1:], weights[comma + 1:]
                    ids, weights = ids[:comma + 1], weights[:comma + 1]
                    close()
                    (ids, weights), comma = rest, -1
                if len(ids) == CHUNK:
                    close()
                    ids, weights, comma = [], [], -1
                if name and len(ids) + name[2] > CHUNK:
                    close()
                    ids, weights, comma = [], [], -1
                ids += [-1 - name[1] - row for row in range(name[2])] if name else [token]
                weights += [weight] * (name[2] if name else 1)
                position += len(name[0]) if name else 1
        if ids or not done:
            close()
        return done

    def contexts(self, schedule):
        """schedule: the segments of each of its texts. Returns their contexts [texts, tokens, width] and the pooled vectors."""
        lists = [self.chunks(segments) for segments in schedule]
        most = max(len(chunks) for chunks in lists)
        empty = self.chunks([["", 1.0]])[0]
        parts, pooled = [], None
        for index in range(most):
            batch = [chunks[index] if index < len(chunks) else empty for chunks in lists]
            states, pool = self.run(torch.tensor([ids for ids, _ in batch]))
            states = states.double()
            weighed = states * torch.tensor([weights for _, weights in batch]).float().double()[:, :, None]
            parts.append(weighed * (states.mean() / weighed.mean()))
            pooled = pool if pooled is None else pooled
        return torch.cat(parts, 1), pooled


def encoders(family, checkpoint, tokenizer):
    """The models of transformers, and an Encoder for each."""
    model = golden.text_model(checkpoint, None)
    if family == "sd15":
        return [model], [Encoder(tokenizer, tokenizer.eos_token_id,
                                 lambda ids: (golden.text_context(model, ids.numpy(), 1), None))]
    second = golden.text2_model(checkpoint, tokenizer.eos_token_id)

    def run_second(ids):
        result = second(ids, output_hidden_states=True)
        return result.hidden_states[-2], result.text_embeds

    return [model, second], [
        Encoder(tokenizer, tokenizer.eos_token_id,
                lambda ids: (model(ids, output_hidden_states=True).hidden_states[-2], None)),
        Encoder(tokenizer, 0, run_second)]


def cases():
    with open(os.path.join(TESTS, "golden", "prompt-parts.json"), encoding="utf-8") as file:
        known = json.load(file)
    assert known["steps"] == STEPS
    taken = []
    for case in known["cases"]:
        if len(case["results"]) > 1 or len(case["results"][0]) != 1:
            continue
        weight, entries = case["results"][0][0]
        if weight == 1.0 and all(entry[2] and max(abs(s[1]) for s in entry[2]) < 100 for entry in entries):
            taken.append((case["prompt"], [entry[2] for entry in entries], [entry[0] for entry in entries]))
    yield from taken[:180]
    for segments in long_prompts():
        if spelled(segments):
            yield spelled(segments), [segments], [STEPS]


def entry_at(ends, evaluation):
    return next(index for index, end in enumerate(ends) if evaluation <= end)


def measured(context):
    values = context.detach().numpy().reshape(-1)
    products = signs(values.size) @ values
    return {"tokens": context.shape[-2] if context.dim() > 1 else 0,
            "norm": float(f"{numpy.linalg.norm(values):.7g}"), "products": [float(f"{p:.7g}") for p in products]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(os.path.join(TESTS, "data", "tiny-tokenizer"))
    listed = list(cases())
    results = [{"prompt": prompt} for prompt, _, _ in listed]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for family, arguments in FAMILIES.items():
            checkpoint = Random(options.tool, arguments, os.path.join(folder, family + ".safetensors"))
            _, own = encoders(family, checkpoint, tokenizer)
            for result, (_, schedule, ends) in zip(results, listed):
                made = [encoder.contexts(schedule) for encoder in own]
                context = torch.cat([part for part, _ in made], 2)
                for evaluation in (0,) if len(ends) == 1 or family == "sdxl" else (0, STEPS - 1):
                    at = entry_at(ends, evaluation)
                    result.setdefault(family, {})[str(evaluation)] = measured(context[at])
                    if family == "sdxl":
                        result["pooled"] = measured(made[1][1][at].double())
    with open(OUT, "w", encoding="utf-8") as out:
        rows = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in results)
        out.write('{"steps": %d, "sd15": "%s", "sdxl": "%s", "cases": [\n%s\n]}\n'
                  % (STEPS, FAMILIES["sd15"], FAMILIES["sdxl"], rows))
    print(len(results), "prompts")


class Random:
    """A checkpoint of these arguments, as golden.Checkpoint."""

    def __init__(self, tool, arguments, path):
        golden.subprocess.run([tool, *arguments.split(), "-o", path], check=True, stdout=golden.subprocess.DEVNULL)
        self.tensors = golden.load_file(path)


if __name__ == "__main__":
    main()
