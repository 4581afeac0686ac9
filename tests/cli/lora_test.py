#!/usr/bin/env python3
"""LoRAs from outside: they change the picture, and nothing of them stays, whatever happens to the job."""
import json
import math

import harness
from harness import GENERATE, LINE, Case
from lora_file import lora, write


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
