#!/usr/bin/env python3
"""Inputs that every other program accepts: other endings, large seeds, other layouts, more tokens than CLIP has."""
import json
import os
import pathlib
import shutil

import harness
import layouts
from harness import ENVIRONMENT, GENERATE, HOME, Case, latents_of
from torch_save import Storage, Tensor


class Endings(Case):
    def test_sft_is_a_model_a_vae_and_latents(self):
        for name in ("tiny", "vae"):
            os.link(HOME / f"{name}.safetensors", self.folder / f"{name}.sft")
        line = (*GENERATE[:2], "tiny.sft", *GENERATE[3:])
        for name in ("plain.SFT", "plain.safetensors"):
            answer, code = self.ask(*line, "-o", name)
            self.assertEqual(code, 0, answer)
            self.assertEqual(answer["latents"], name)
        self.assertEqual(latents_of(self.folder / "plain.SFT"), latents_of(self.folder / "plain.safetensors"))
        answer, code = self.ask("decode", "-m", "tiny.sft", "plain.SFT", "-o", "plain.png", "--vae", "vae.sft")
        self.assertEqual((code, answer["vae"]["active"]), (0, "override"), answer)
        answer, code = self.ask("decode", "-m", "tiny.sft", "plain.SFT", "-o", "plain.sft")
        self.assertEqual((code, answer["error"]["code"]), (2, "bad_input"), answer)

    def test_sft_in_the_folder_and_beside(self):
        os.link(HOME / "tiny.safetensors", self.folder / "m.sft")
        os.link(HOME / "vae.safetensors", self.folder / "m.vae.sft")
        (self.folder / "vae").mkdir()
        os.link(HOME / "own-vae.safetensors", self.folder / "vae/sharp.sft")
        answer, code = self.ask("vaes", "-m", "m.sft", "--vae-dir", "vae")
        self.assertEqual(code, 0, answer)
        self.assertEqual({os.path.basename(vae["path"]) for vae in answer["vaes"] if vae["path"]} - {"m.sft"},
                         {"m.vae.sft", "sharp.sft"})
        answer, _ = self.ask("inspect", "m.sft", "--vae-dir", "vae")
        self.assertEqual(answer["automatic"]["path"], "./m.vae.sft")
        answer, code = self.ask("settings", "-m", "m", "--vae", "sharp", "--vae-dir", "vae",
                                environment={"XDG_CONFIG_HOME": str(self.folder)})
        self.assertEqual(code, 0, answer)
        answer, _ = self.ask("vaes", "-m", "m.sft", environment={"XDG_CONFIG_HOME": str(self.folder)})
        named = [choice for choice in answer["choices"] if choice["source"] == "model"]
        self.assertEqual([os.path.basename(choice["path"]) for choice in named], ["sharp.sft"], answer)


class HubCache(Case):
    """A model as Hugging Face's cache keeps it: a snapshot of links into blobs/."""

    def cache(self, folder, name, *snapshots):
        """models--NAME with the tree of folder as each of the snapshots."""
        top = self.folder / f"models--{name}"
        (top / "blobs").mkdir(parents=True)
        (top / "refs").mkdir()
        for snapshot in snapshots:
            for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
                link = top / "snapshots" / snapshot / path.relative_to(folder)
                link.parent.mkdir(parents=True, exist_ok=True)
                blob = top / "blobs" / f"{number:064x}"
                if not blob.exists():
                    os.link(path, blob)
                link.symlink_to(os.path.relpath(blob, link.parent))
        return top

    def digest(self, *options):
        answer, code = self.ask(*GENERATE[:1], *options, *GENERATE[3:], "-o", "x.png", environment={"DARKROOM_TOKENIZER": ""})
        self.assertEqual(code, 0, answer)
        return harness.idat_of(self.folder / "x.png"), answer["vae"]

    def test_a_model(self):
        folder = self.folder / "plain"
        layouts.save(folder, "sd15", layouts.read(HOME / "tiny.safetensors")[0], "shards")
        shutil.copytree(ENVIRONMENT["DARKROOM_TOKENIZER"], folder / "tokenizer")
        expected, _ = self.digest("-m", "plain")
        top = self.cache(folder, "org--tiny", "1111")
        for path in (top, f"{top}/", top / "snapshots/1111", top.name):
            self.assertEqual(self.digest("-m", path)[0], expected, path)
        self.assertEqual(self.ask("inspect", top)[0]["format"], "diffusers folder")
        shutil.copytree(top / "snapshots/1111", top / "snapshots/2222", symlinks=True)
        answer, code = self.ask("inspect", top)
        self.assertEqual((code, answer["error"]["code"]), (2, "bad_input"), answer)
        self.check_sentence(answer["error"]["message"], ["2 snapshots", "1111, 2222", "refs/main"])
        (top / "refs/main").write_text("2222")
        self.assertEqual(self.digest("-m", top)[0], expected)

    def test_a_vae(self):
        folder = self.folder / "plain"
        folder.mkdir()
        os.link(HOME / "vae.safetensors", folder / "diffusion_pytorch_model.safetensors")
        (folder / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
        expected, vae = self.digest("-m", "../tiny.safetensors", "--tokenizer", ENVIRONMENT["DARKROOM_TOKENIZER"],
                                    "--vae", "../vae.safetensors")
        top = self.cache(folder, "org--vae", "1111")
        for choice in (top, top / "snapshots/1111", top.name):
            picture, found = self.digest("-m", "../tiny.safetensors", "--tokenizer", ENVIRONMENT["DARKROOM_TOKENIZER"],
                                         "--vae", choice, "--vae-dir", self.folder)
            self.assertEqual((picture, found["digest"], found["active"]), (expected, vae["digest"], "override"), choice)
            self.assertTrue(found["path"].endswith("/snapshots/1111"), found)
        shutil.copytree(top / "snapshots/1111", top / "snapshots/2222", symlinks=True)
        answer, code = self.ask(*GENERATE, "--vae", top, "-o", "x.png")
        self.assertEqual((code, answer["error"]["code"]), (2, "bad_input"), answer)
        self.check_sentence(answer["error"]["message"], ["2 snapshots"])


class Seeds(Case):
    """Every number of 64 bits, as torch.Generator.manual_seed takes them."""

    LAST = 2 ** 64 - 1

    def line(self, seed, output, *options):
        return (*GENERATE[:-4], "--seed", seed, "--threads", 1, *options, "-o", output)

    def test_large_seeds_are_exact(self):
        pictures = set()
        for seed in (2 ** 63 - 1, 2 ** 63, self.LAST):
            answer, code = self.ask(*self.line(seed, f"{seed}.png"))
            self.assertEqual((code, answer["images"][0]["seed"]), (0, seed), answer)
            data = (self.folder / f"{seed}.png").read_bytes()
            self.assertIn(f"Seed: {seed}, ".encode(), data)
            pictures.add(harness.idat_of(data))
        self.assertEqual(len(pictures), 3)
        done = self.run_program(*self.line(self.LAST, "text.png"))
        self.assertIn(str(self.LAST), done.stdout)
        shell = self.shell("-m", "../tiny.safetensors")
        answer = self.succeed(shell, f"generate -p x -W 64 -H 64 --steps 1 --seed {self.LAST}")
        self.assertEqual(answer["images"], [{"path": f"darkroom-{self.LAST}.png", "seed": self.LAST}])

    def test_a_batch_goes_round(self):
        answer, code = self.ask(*self.line(self.LAST, "b.png", "--batch", 2))
        self.assertEqual([image["seed"] for image in answer["images"]], [self.LAST, 0], answer)
        for seed, name in ((self.LAST, "b.png"), (0, "b-2.png")):
            self.ask(*self.line(seed, "one.png"))
            self.assertEqual((self.folder / "one.png").read_bytes(), (self.folder / name).read_bytes())

    def test_the_processors_noise_has_the_low_half(self):
        for seed in (5, 2 ** 63 + 5):
            self.assertEqual(self.ask(*self.line(seed, f"{seed}.safetensors", "--rng", "cpu"))[1], 0)
        self.assertEqual(latents_of(self.folder / "5.safetensors")[1],
                         latents_of(self.folder / f"{2 ** 63 + 5}.safetensors")[1])

    def test_what_is_no_seed(self):
        for seed, part in ((2 ** 64, "the maximum is 18446744073709551615"), (-2, "the minimum is 0, or -1"), ("1e3", "whole number"),
                           ("0x10", "whole number"), ("", "whole number"), ("-", "whole number"), (-2 ** 64, "the minimum is 0")):
            answer, code = self.ask(*self.line(seed, "x.png"))
            self.assertEqual((code, answer["error"]["code"]), (2, "bad_input"), answer)
            self.check_sentence(answer["error"]["message"], ["--seed", part])


class AddedTokens(Case):
    """A row more in the token embedding, a copy of another's: the token that names it makes that one's picture."""

    TABLES = {"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": "tokenizer",
              "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight": "tokenizer",
              "conditioner.embedders.1.model.token_embedding.weight": "tokenizer_2"}

    def grown(self, tensors, token):
        """The tensors with the row of an id once more at the end of each table; how many rows there were."""
        out, rows = dict(tensors), 0
        for name in self.TABLES.keys() & tensors.keys():
            table = tensors[name]
            rows, columns = table.shape
            width = columns * layouts.SIZES[table.storage.dtype]
            row = table.storage.data[token * width:(token + 1) * width]
            out[name] = Tensor(Storage(table.storage.dtype, table.storage.data + row), (rows + 1, columns))
        return out, rows

    def tokenizer(self, folder, added=None, **config):
        shutil.copytree(ENVIRONMENT["DARKROOM_TOKENIZER"], folder)
        if added:
            (folder / "added_tokens.json").write_text(json.dumps(added))
        if config:
            (folder / "tokenizer_config.json").write_text(json.dumps(config))

    def latents(self, model, prompt, *options):
        line = ("generate", "-m", model, "-p", prompt, "-W", 64, "-H", 64, "--steps", 1, "--seed", 7, "--threads", 1)
        answer, code = self.ask(*line, *options, "-o", "out.safetensors", environment={"DARKROOM_TOKENIZER": ""})
        self.assertEqual(code, 0, answer)
        return latents_of(self.folder / "out.safetensors")[1]

    def word(self):
        """A word of one token, and its id."""
        words = json.loads((pathlib.Path(ENVIRONMENT["DARKROOM_TOKENIZER"]) / "vocab.json").read_text())
        return "b", words["b</w>"]

    def test_the_token_is_its_row(self):
        word, token = self.word()
        tensors, rows = self.grown(layouts.read(HOME / "tiny.safetensors")[0], token)
        layouts.write(self.folder / "m.safetensors", tensors)
        self.tokenizer(self.folder / "tokenizer", {"<my-cat>": rows})
        expected = self.latents("m.safetensors", f"a {word} circle")
        self.assertEqual(self.latents("m.safetensors", "a <my-cat> circle"), expected)
        self.assertEqual(self.latents("m.safetensors", "a <my-cat>circle"), expected)
        self.assertNotEqual(self.latents("m.safetensors", "a <my-dog> circle"), expected)
        self.assertEqual(self.latents("m.safetensors", "x", "-n", "<my-cat>"), self.latents("m.safetensors", "x", "-n", word))

    def test_a_change_of_the_file_is_seen_by_a_shell(self):
        word, token = self.word()
        tensors, rows = self.grown(layouts.read(HOME / "tiny.safetensors")[0], token)
        layouts.write(self.folder / "m.safetensors", tensors)
        self.tokenizer(self.folder / "tokenizer")
        line = "generate -p 'a <my-cat>' -W 64 -H 64 --steps 1 --seed 7 -o out.safetensors"
        with harness.changed(ENVIRONMENT, {"DARKROOM_TOKENIZER": ""}):
            shell = self.shell("-m", "m.safetensors")
            self.succeed(shell, line)
            before = latents_of(self.folder / "out.safetensors")[1]
            (self.folder / "tokenizer/added_tokens.json").write_text(json.dumps({"<my-cat>": rows}))
            self.succeed(shell, line)
            self.assertNotEqual(latents_of(self.folder / "out.safetensors")[1], before)
            self.succeed(shell, line.replace("<my-cat>", word).replace("out.", "word."))
            self.assertEqual(latents_of(self.folder / "out.safetensors")[1],
                             latents_of(self.folder / "word.safetensors")[1])

    def test_a_token_beyond_the_table(self):
        os.link(HOME / "tiny.safetensors", self.folder / "m.safetensors")
        rows = layouts.read(HOME / "tiny.safetensors")[0][next(iter(self.TABLES))].shape[0]
        self.tokenizer(self.folder / "tokenizer", {"<my-cat>": rows})
        line = ("generate", "-m", "m.safetensors", "-W", 64, "-H", 64, "--steps", 1, "-o", "x.png")
        nowhere = {"DARKROOM_TOKENIZER": ""}
        answer, code = self.ask(*line, "-p", "a <my-cat>", environment=nowhere)
        self.assertEqual((code, answer["error"]["code"]), (2, "bad_input"), answer)
        self.check_sentence(answer["error"]["message"], ['"<my-cat>"', f"id {rows}", f"{rows} rows"])
        self.assertEqual(self.files(), {"m.safetensors", "tokenizer"})
        self.assertEqual(self.ask(*line, "-p", "a cat", environment=nowhere)[1], 0)

    def test_both_tokenizers_of_an_sdxl_folder(self):
        word, token = self.word()
        file = harness.take("xl-inputs.safetensors", "--family", "sdxl", "--seed", "5")
        tensors, rows = self.grown(layouts.read(file)[0], token)
        layouts.save(self.folder / "m", "sdxl", tensors)
        for name in ("tokenizer", "tokenizer_2"):
            self.tokenizer(self.folder / "m" / name, {"<my-cat>": rows})
        expected = self.latents("m", f"a {word} circle")
        self.assertEqual(self.latents("m", "a <my-cat> circle"), expected)
        # Each encoder has the tokens of its own.
        (self.folder / "m/tokenizer_2/added_tokens.json").unlink()
        self.assertNotEqual(self.latents("m", "a <my-cat> circle"), expected)
        # The second one's padding, "!", is a token in the prompt as well.
        plain = self.latents("m", "a cat!")
        (self.folder / "m/tokenizer_2/tokenizer_config.json").write_text(json.dumps({"pad_token": "!"}))
        self.assertNotEqual(self.latents("m", "a cat!"), plain)
        self.assertEqual(self.latents("m", f"a {word} circle"), expected)


if __name__ == "__main__":
    harness.main()
