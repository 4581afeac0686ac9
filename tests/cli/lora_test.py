#!/usr/bin/env python3
"""LoRAs from outside: they change the picture, and nothing of them stays, whatever happens to the job."""
import json
import math
import pathlib
import pickle
import sys
import zipfile

import harness
from harness import GENERATE, LINE, Case
from lora_file import lora, write


class Code:
    """Unpickled, it runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        import os
        return os.system, (self.command,)


def write_code(path, command):
    """A file as torch.save writes it, with code in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"lora_unet_conv_in.lora_up.weight": Code(command)}, 2))
        archive.writestr("archive/version", "3\n")


class Loras(Case):
    def setUp(self):
        super().setUp()
        self.model = harness.HOME / "tiny.safetensors"
        for i, name in enumerate(("one", "two", "three", "four", "five")):
            lora(self.folder / f"{name}.safetensors", self.model, i, text=i % 2 == 0)

    def picture(self, shell, name, *loras):
        words = "".join(f" --lora {lora}" for lora in loras)
        answer = self.succeed(shell, f"{LINE} -o {name}{words}")
        self.assertEqual(answer["planned_private_bytes"], answer["peak_private_bytes"])
        return harness.idat_of(self.folder / name)

    def test_nothing_stays(self):
        shell = self.shell("-m", "../tiny.safetensors")
        first = self.picture(shell, "a.png")
        before = self.memory(shell)
        files = [f"{name}.safetensors" for name in ("one", "two", "three", "four", "five")]
        seen = {first}
        for count in (1, 2, 5):
            changed = self.picture(shell, f"b{count}.png", *(f"{file}:0.6:0.4" for file in files[:count]))
            self.assertNotIn(changed, seen)
            seen.add(changed)
            self.assertEqual(self.picture(shell, "c.png"), first)
            after = self.memory(shell)
            self.assertEqual(after["ledger"]["private_bytes"], before["ledger"]["private_bytes"])
            self.assertEqual([r["component"] for r in after["regions"] if "lora" in r["component"]], [])
        # Weight 0 is no LoRA; the text encoder's weight alone changes the picture too.
        self.assertEqual(self.picture(shell, "d.png", "one.safetensors:0"), first)
        self.assertNotIn(self.picture(shell, "d.png", "one.safetensors:0:0.5"), seen)
        # Given twice it is one with the sum.
        twice = self.picture(shell, "e.png", "two.safetensors:0.25", "two.safetensors:0.5")
        self.assertEqual(self.picture(shell, "f.png", "two.safetensors:0.75"), twice)

    def test_every_budget_makes_the_same(self):
        budgets = self.ask("memory", "-m", "../tiny.safetensors", "-W", "64", "-H", "64", "--lora", "one.safetensors", "--lora", "two.safetensors:0.5")[0]
        named = [level["budget_bytes"] for level in budgets["forecast"]["levels"]]
        pictures = set()
        for i, budget in enumerate([*named, None]):
            more = ("--budget", str(budget)) if budget else ()
            answer, code = self.ask(*GENERATE, "-o", f"b{i}.png", "--lora", "one.safetensors", "--lora", "two.safetensors:0.5", *more)
            self.assertEqual(code, 0, answer)
            pictures.add(harness.idat_of(self.folder / f"b{i}.png"))
        self.assertEqual(len(pictures), 1)

    def test_every_thread_count_makes_the_same(self):
        adapters = pathlib.Path(sys.argv[2]) / "tests/golden/adapters"
        harness.make("golden.safetensors", "--size", "tiny", "--seed", "1")
        seen = set()
        for kind in ("lora", "mid", "loha", "lokr", "full", "norm", "dora-in", "dora-out"):
            pictures = set()
            for threads in ("1", "3"):
                words = [*GENERATE, "-o", "t.png", "--lora", f"{adapters}/sd15-{kind}.safetensors:0.75"]
                words[words.index("--threads") + 1] = threads
                words[words.index("-m") + 1] = "../golden.safetensors"
                answer, code = self.ask(*words)
                self.assertEqual(code, 0, answer)
                pictures.add(harness.idat_of(self.folder / "t.png"))
            self.assertEqual(len(pictures), 1, kind)
            seen |= pictures
        self.assertEqual(len(seen), 8)

    def test_after_what_fails(self):
        shell = self.shell("-m", "../tiny.safetensors")
        first = self.picture(shell, "a.png")
        before = self.memory(shell)["ledger"]["private_bytes"]
        good = (self.folder / "one.safetensors").read_bytes()
        (self.folder / "cut.safetensors").write_bytes(good[:-100])
        tensors = lora(self.folder / "x.safetensors", self.model, 9)
        name = next(n for n in tensors if n.endswith("lora_up.weight"))
        shape, numbers = tensors[name]
        write(self.folder / "nan.safetensors", tensors | {name: (shape, [math.nan] + numbers[1:])})
        write(self.folder / "wide.safetensors", tensors | {name: ([2 * shape[0], shape[1]], 2 * numbers)})
        write(self.folder / "zero.safetensors", tensors | {name.replace("lora_up.weight", "alpha"): ([], [0.0])})
        write(self.folder / "none.safetensors", {"lora_unet_nothing.lora_up.weight": ([2, 2], [0.0] * 4),
                                                 "lora_unet_nothing.lora_down.weight": ([2, 2], [0.0] * 4)})
        write(self.folder / "oft.safetensors", {"lora_unet_conv_in.oft_blocks": ([2, 2], [0.0] * 4)})
        for lora_name, code, *parts in (
            ("cut.safetensors", "corrupt"),
            ("nan.safetensors", "not_finite", name),
            ("wide.safetensors", "foreign", "another weight"),
            ("zero.safetensors", "bad_input", "alpha is 0"),
            ("none.safetensors", "foreign", "none of its 1 layers"),
            ("oft.safetensors", "unsupported", "OFT"),
            ("one.safetensors:1e9", "bad_input", "out of range"),
            ("one.safetensors:nan", "bad_input", "out of range"),
            ("a:b", "not_found", "a:b"),
            ("missing", "not_found", "missing"),
            ("../missing.safetensors", "not_found"),
        ):
            self.fail_with(shell, f"{LINE} -o f.png --lora {lora_name}", code, *parts)
            self.assertEqual(self.memory(shell)["ledger"]["private_bytes"], before, lora_name)
        self.assertEqual(self.picture(shell, "c.png"), first)

    def write_bad_files(self):
        """Each file, and the error's code, exit code and some of its words."""
        root = pathlib.Path(sys.argv[2])
        tensors = lora(self.folder / "x.safetensors", self.model, 9)
        up = next(n for n in tensors if n.startswith("lora_unet_") and n.endswith("lora_up.weight"))
        module = up.removesuffix(".lora_up.weight")
        down, alpha = module + ".lora_down.weight", module + ".alpha"
        shape, numbers = tensors[up]
        good = (self.folder / "x.safetensors").read_bytes()
        cases = {}

        def put(name, code, exit_code, *parts, **changes):
            write(self.folder / name, tensors | {key: value for key, value in changes.items()})
            cases[name] = (code, exit_code, parts)

        def raw(name, data, code, exit_code, *parts):
            (self.folder / name).write_bytes(data)
            cases[name] = (code, exit_code, parts)

        raw("cut.safetensors", good[:-100], "corrupt", 4, "cut.safetensors")
        raw("head.safetensors", good[:40], "corrupt", 4, "head.safetensors")
        raw("empty.safetensors", b"", "corrupt", 4, "empty.safetensors")
        put("nan.safetensors", "not_finite", 13, up, **{up: (shape, [math.nan] + numbers[1:])})
        put("nan-alpha.safetensors", "not_finite", 13, alpha, **{alpha: ([], [math.nan])})
        put("wide.safetensors", "foreign", 7, "another weight", **{up: ([2 * shape[0], shape[1]], 2 * numbers)})
        put("ranks.safetensors", "corrupt", 4, "does not go with", **{up: ([2 * shape[0], shape[1] // 2], numbers)})
        put("alpha.safetensors", "bad_input", 2, "alpha is 0", **{alpha: ([], [0.0])})
        put("rank.safetensors", "bad_input", 2, "no matrix of an adapter", **{up: ([shape[0], 0], []), down: ([0, tensors[down][0][1]], [])})
        other = "unet." + module.removeprefix("lora_unet_").replace("input_blocks_1_1", "input_blocks.1.1")
        put("twice.safetensors", "corrupt", 4, "two tensors for one part",
            **{other + ".lora_B.weight": tensors[up], other + ".lora_A.weight": tensors[down]})
        spelled = "lora_unet_down_blocks_0_attentions_0" + module.removeprefix("lora_unet_input_blocks_1_1")
        put("spelled.safetensors", "corrupt", 4, "twice", module.removeprefix("lora_unet_"), spelled.removeprefix("lora_unet_"),
            **{spelled + ".lora_up.weight": tensors[up], spelled + ".lora_down.weight": tensors[down]})
        family = (root / "tests/golden/adapters/sdxl-names-peft.safetensors").read_bytes()
        raw("family.safetensors", family, "foreign", 7, "is for sdxl", "choose a LoRA for sd15")
        write_code(self.folder / "code.ckpt", f"touch '{self.folder}/ran'")
        cases["code.ckpt"] = ("unsupported", 5, ("code.ckpt",))
        return cases

    def test_bad_files_by_name(self):
        shell = self.shell("-m", "../tiny.safetensors")
        first = self.picture(shell, "a.png")
        before = self.memory(shell)["ledger"]["private_bytes"]
        for name, (code, exit_code, parts) in self.write_bad_files().items():
            with self.subTest(name):
                self.fail_with(shell, f"{LINE} -o f.png --lora {name}", code, *parts)
                self.assertEqual(self.memory(shell)["ledger"]["private_bytes"], before)
                answer, exited = self.ask(*GENERATE, "-o", "f.png", "--lora", name)
                self.assertEqual((answer["error"]["code"], exited), (code, exit_code), answer)
                # The same by its name in a prompt.
                self.fail_with(shell, f"generate -p 'x <lora:{name}:1>' --lora-dir . -W 64 -H 64 --steps 2 -o f.png", code)
        self.assertNotIn("ran", self.files())
        self.assertNotIn("f.png", self.files())
        self.assertEqual(self.picture(shell, "c.png"), first)

    def test_bad_names_and_weights(self):
        shell = self.shell("-m", "../tiny.safetensors")
        first = self.picture(shell, "a.png")
        (self.folder / "loras").mkdir()
        (self.folder / "loras" / "ink.safetensors").write_bytes((self.folder / "one.safetensors").read_bytes())
        many = "".join(f"<lora:ink:{i}>" for i in range(500))
        for prompt, code, exit_code, *parts in (
            ("<lora:ink:1e9>", "bad_input", 2, "out of range"),
            ("<lora:ink:nan>", "bad_input", 2, "not a weight"),
            ("<lora:ink:1:-1e9>", "bad_input", 2, "out of range"),
            ("<lora:ink:loud>", "bad_input", 2, "not a weight"),
            ("<lora:>", None, 0),
            ("<lora:a:b:c>", "bad_input", 2, "not a weight"),
            ("<lora:../one:1>", "not_found", 3, "../one"),
            ("<lora:/etc/passwd:1>", "not_found", 3, "/etc/passwd"),
            ("<lora:none:1>", "not_found", 3, "none"),
            (many, "bad_input", 2, "use fewer"),
        ):
            with self.subTest(prompt[:40]):
                answer, exited = self.ask(*GENERATE, "-p", "x " + prompt, "-o", "f.png", "--lora-dir", "loras")
                self.assertEqual((answer.get("error", {}).get("code"), exited), (code, exit_code), answer)
                if code:
                    self.check_sentence(answer["error"]["message"], parts)
        for words, code, exit_code, *parts in (
            (["--lora", "one.safetensors:1e9"], "bad_input", 2, "out of range"),
            (["--lora", "one.safetensors:nan"], "bad_input", 2, "out of range"),
            (["--lora", "a:b"], "not_found", 3, "a:b"),
            (["--lora", "../missing.safetensors"], "not_found", 3),
            (["--lora", ""], "bad_input", 2),
            (["--lora", "one.safetensors"] * 500, "bad_input", 2, "16"),
        ):
            with self.subTest(words[:2]):
                answer, exited = self.ask(*GENERATE, "-o", "f.png", *words)
                self.assertEqual((answer["error"]["code"], exited), (code, exit_code), answer)
                self.check_sentence(answer["error"]["message"], parts)
        self.assertEqual(self.picture(shell, "c.png"), first)

    def test_the_list(self):
        lora(self.folder / "named.safetensors", self.model, 3, ss_base_model_version="sd_v1",
             ss_tag_frequency=json.dumps({"x": {"ink": 4, "brush": 7}}))
        (self.folder / "broken.safetensors").write_bytes(b"\0" * 40)
        answer, code = self.ask("loras", "--lora-dir", ".")
        self.assertEqual(code, 0)
        listed = {entry["name"]: entry for entry in answer["loras"]}
        self.assertEqual(listed["named"]["trigger_words"], "brush, ink")
        self.assertEqual(listed["named"]["family"], "sd15")
        self.assertNotEqual(listed["broken"]["problem"], "")
        self.assertEqual(self.ask(*GENERATE, "-o", "n.png", "--lora", "Named:0.5", "--lora-dir", ".")[1], 0)


if __name__ == "__main__":
    harness.main()
