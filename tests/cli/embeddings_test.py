#!/usr/bin/env python3
"""Embeddings from outside: names in prompts, pictures, memory, and what is wrong."""
import hashlib
import json
import math
import random
import shutil
import struct

import harness
import torch_save
from harness import GENERATE, LINE, SOURCE, Case
from lora_file import lora, read_header, write

EMBEDDINGS = ("--embedding-dir", ".")


def vectors(count, width, seed, spread=0.5):
    numbers = random.Random(seed)
    return [count, width], [numbers.gauss(0, spread) for _ in range(count * width)]


class Embeddings(Case):
    def setUp(self):
        super().setUp()
        model = read_header(harness.HOME / "tiny.safetensors")
        self.width = next(entry["shape"][1] for name, entry in model.items() if name.endswith("token_embedding.weight"))
        for seed, (name, count) in enumerate((("easy", 3), ("easy-neg", 8), ("<cat-toy>", 1))):
            write(self.folder / f"{name}.safetensors", {"emb_params": vectors(count, self.width, seed)})

    def picture(self, shell, name, prompt, *more):
        answer = self.succeed(shell, f"{LINE} --embedding-dir . -o {name} -p {json.dumps(prompt)} {' '.join(more)}")
        self.assertEqual(answer["planned_private_bytes"], answer["peak_private_bytes"])
        return harness.idat_of(self.folder / name)

    def test_nothing_stays(self):
        shell = self.shell("-m", "../tiny.safetensors")
        first = self.picture(shell, "a.png", "a ring")
        seen = {first}
        # The prompt cache grows to as many rows as a job needs, with embeddings or without.
        self.picture(shell, "b.png", " ".join(["a ring"] * 100))
        before = self.memory(shell)
        for prompt in ("easy", "a easy-neg ring", "(easy-neg:1.5), easy", "<cat-toy> <cat-toy>"):
            changed = self.picture(shell, "b.png", prompt)
            self.assertNotIn(changed, seen, prompt)
            seen.add(changed)
            self.assertEqual(self.picture(shell, "c.png", "a ring"), first)
            after = self.memory(shell)
            self.assertEqual(after["ledger"]["private_bytes"], before["ledger"]["private_bytes"])
            self.assertEqual({region["component"] for region in after["regions"]}, {region["component"] for region in before["regions"]})
        self.assertEqual(self.picture(shell, "c.png", "EASY"), self.picture(shell, "d.png", "easy"))
        # In the negative prompt alone, too.
        self.assertNotIn(self.picture(shell, "e.png", "a ring", "-n", "easy-neg"), seen)

    def test_plain_text_names_none(self):
        shell = self.shell("-m", "../tiny.safetensors")
        without = self.succeed(shell, f"{LINE} --embedding-dir nowhere -o a.png -p easy")
        self.assertEqual(without.get("warnings", []), [])
        plain = self.picture(shell, "b.png", "easy", "--prompt-syntax", "plain")
        self.assertEqual(harness.idat_of(self.folder / "a.png"), plain)
        self.assertNotEqual(self.picture(shell, "c.png", "easy"), plain)

    def test_a_changed_file_makes_another_picture(self):
        shell = self.shell("-m", "../tiny.safetensors")
        first = self.picture(shell, "a.png", "easy")
        kept = (self.folder / "easy.safetensors").read_bytes()
        write(self.folder / "easy.safetensors", {"emb_params": vectors(3, self.width, 99)})
        self.assertNotEqual(self.picture(shell, "b.png", "easy"), first)
        (self.folder / "easy.safetensors").write_bytes(kept)
        self.assertEqual(self.picture(shell, "c.png", "easy"), first)

    def test_every_budget_and_thread_count_makes_the_same(self):
        job = ("-p", "a (easy-neg:1.3) ring, easy", *EMBEDDINGS)
        sizes = ("-m", "../tiny.safetensors", "-W", "64", "-H", "64")
        with_names = self.ask("memory", *sizes, *job)[0]["forecast"]
        without = self.ask("memory", *sizes, "-p", "a ring, x", *EMBEDDINGS)[0]["forecast"]
        self.assertGreater(with_names["levels"][0]["budget_bytes"], without["levels"][0]["budget_bytes"])
        pictures = set()
        for i, more in enumerate([("--budget", str(level["budget_bytes"])) for level in with_names["levels"]]
                                 + [("--threads", "1"), ("--threads", "2")]):
            answer, code = self.ask(*GENERATE, "-o", f"b{i}.png", *job, *more)
            self.assertEqual(code, 0, answer)
            pictures.add(harness.idat_of(self.folder / f"b{i}.png"))
        self.assertEqual(len(pictures), 1)

    def test_what_is_wrong(self):
        shell = self.shell("-m", "../tiny.safetensors")
        first = self.picture(shell, "a.png", "a ring")
        before = self.memory(shell)["ledger"]["private_bytes"]
        shape, numbers = vectors(2, self.width, 7)
        write(self.folder / "nan.safetensors", {"emb_params": (shape, [math.nan] + numbers[1:])})
        write(self.folder / "wide.safetensors", {"emb_params": vectors(2, self.width + 1, 7)})
        write(self.folder / "many.safetensors", {"emb_params": vectors(76, self.width, 7)})
        write(self.folder / "xl.safetensors", {"clip_l": vectors(1, self.width, 7), "clip_g": vectors(1, self.width, 7)})
        write(self.folder / "old.safetensors", {"emb_params": vectors(1, 768, 7)})
        (self.folder / "cut.safetensors").write_bytes((self.folder / "easy.safetensors").read_bytes()[:-10])
        shutil.copy(SOURCE / "tests/corpus/embedding/evil-vectors", self.folder / "evil.pt")
        for name, code, *parts in (("nan", "not_finite", "number 1 of its vector 1 is nan"),
                                   ("wide", "bad_input", f"vectors of {self.width + 1} values", f"takes {self.width}"),
                                   ("many", "unsupported", "76 vectors"),
                                   ("old", "bad_input", "vectors of 768 values"),
                                   ("cut", "corrupt", "cut.safetensors"),
                                   ("evil", "unsupported", "calling posix.system")):
            self.fail_with(shell, f"{LINE} --embedding-dir . -o f.png -p 'a {name} ring'", code, f'the embedding "{name}" in the prompt', *parts)
            self.assertEqual(self.memory(shell)["ledger"]["private_bytes"], before, name)
        self.assertEqual(self.picture(shell, "c.png", "a ring"), first)
        # Another family's: its name is text.
        answer = self.succeed(shell, f"{LINE} --embedding-dir . -o x.png -p xl")
        self.assertIn('The embedding "xl" is for sdxl', str(answer["warnings"]))
        self.succeed(shell, f"{LINE} --embedding-dir nowhere -o y.png -p xl")
        self.assertEqual(harness.idat_of(self.folder / "x.png"), harness.idat_of(self.folder / "y.png"))
        # An ordinary word.
        write(self.folder / "a.safetensors", {"emb_params": vectors(1, self.width, 3)})
        answer = self.succeed(shell, f"{LINE} --embedding-dir . -o x.png -p 'a ring'")
        self.assertIn('The word "a" in the prompt is taken for the embedding', str(answer["warnings"]))

    def test_pytorchs_files(self):
        """The same vectors in each form are the same picture."""
        shell = self.shell("-m", "../tiny.safetensors")
        shape, numbers = vectors(3, self.width, 0)
        data = b"".join(struct.pack("<e", x) for x in numbers)
        tensor = torch_save.Tensor(torch_save.Storage("F16", data), shape)
        content = {"string_to_token": {"*": 265}, "string_to_param": {"*": tensor}, "name": "other", "step": 7, "sd_checkpoint_name": "v1-5"}
        wanted = self.picture(shell, "a.png", "easy")
        for name, written in (("one.pt", torch_save.save_zip(content)), ("two.pt", torch_save.save_legacy(content)),
                              ("three.bin", torch_save.save_zip({"<x>": tensor}))):
            (self.folder / name).write_bytes(written)
            self.assertEqual(self.picture(shell, "b.png", name.split(".")[0]), wanted, name)
        listed = {entry["name"]: entry for entry in self.ask("embeddings", *EMBEDDINGS)[0]["embeddings"]}
        self.assertEqual((listed["one"]["step"], listed["one"]["base_model"], listed["three"]["step"]), (7, "v1-5", None))

    def test_the_list(self):
        (self.folder / "below").mkdir()
        write(self.folder / "below/xl.safetensors", {"clip_l": vectors(2, 768, 7), "clip_g": vectors(2, 1280, 7)})
        (self.folder / "broken.pt").write_bytes(b"\0" * 40)
        answer, code = self.ask("embeddings", *EMBEDDINGS)
        self.assertEqual(code, 0)
        listed = {entry["name"]: entry for entry in answer["embeddings"]}
        self.assertEqual(set(listed), {"easy", "easy-neg", "<cat-toy>", "xl", "broken"})
        xl = listed["xl"]
        self.assertEqual((xl["family"], xl["vector_count"], xl["width"], xl["width2"], xl["bytes"]), ("sdxl", 2, 768, 1280, 2 * 2048 * 2))
        self.assertEqual(xl["hash"], hashlib.sha256((self.folder / "below/xl.safetensors").read_bytes()).hexdigest()[:12])
        self.assertNotEqual(listed["broken"]["problem"], "")
        done = self.run_program("embeddings", *EMBEDDINGS)
        self.assertRegex(done.stdout, r"(?m)^ +xl +.*sdxl +2 +768 +1280")
        self.assertEqual(self.ask("embeddings", "--embedding-dir", "nowhere")[0]["embeddings"], [])

    def test_inspect(self):
        answer, code = self.ask("inspect", "easy-neg.safetensors")
        self.assertEqual((code, answer["kind"], answer["vector_count"], answer["width"]), (0, "embedding", 8, self.width))
        lora(self.folder / "ink.safetensors", harness.HOME / "tiny.safetensors", 1, ss_base_model_version="sd_v1", ss_sd_model_name="base.safetensors",
             ss_tag_frequency=json.dumps({"x": {"brush": 7}}))
        answer, code = self.ask("inspect", "ink.safetensors")
        self.assertEqual((code, answer["kind"], answer["rank"], answer["trigger_words"], answer["base_model"]),
                         (0, "LoRA", 4, "brush", "base.safetensors"))
        self.assertGreater(answer["layer_count"], 4)
        shape, numbers = vectors(2, self.width, 7)
        write(self.folder / "nan.safetensors", {"emb_params": (shape, [math.nan] + numbers[1:])})
        answer, code = self.ask("inspect", "nan.safetensors")
        self.assertEqual(answer["error"]["code"], "not_finite")
        write(self.folder / "two.safetensors", {"a": (shape, numbers), "b": (shape, numbers)})
        self.assertEqual(self.ask("inspect", "two.safetensors")[0]["error"]["code"], "unsupported")

    def test_where_they_are_in_a_prompt(self):
        answer, code = self.ask("prompt", "a (EASY-neg:1.4) ring", *EMBEDDINGS)
        self.assertEqual(code, 0, answer)
        self.assertEqual([(word["word"], word["position"], word["tokens"], word["weight"]) for word in answer["words"] if word.get("embedding")],
                         [("easy-neg", 2, 8, 1.4)])
        answer, _ = self.ask("prompt", "easy", *EMBEDDINGS, "--prompt-syntax", "plain")
        self.assertEqual([word for word in answer["words"] if word.get("embedding")], [])


if __name__ == "__main__":
    harness.main()
