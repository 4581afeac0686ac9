#!/usr/bin/env python3
"""Configurations of well-known models are taken whole, without a finding; one value that changes the picture is found in them."""
import json

import harness
import layouts
import real_configs
from harness import HOME, Case
from meaning_test import ONE, UNET
from torch_save import Storage, Tensor

NONE = Tensor(Storage("F32", b""), (0,))


class RealConfigs(Case):
    def folder_of(self, name, family, source, *changes):
        """A folder of that family with the configs of source, (path, text) of changes in their place."""
        folder = self.folder / name
        model = {"sd15": "tiny.safetensors", "sdxl": "xl.safetensors"}[family]
        layouts.save(folder, family, layouts.read(HOME / model)[0])
        for path, text in (*source.items(), *changes):
            (folder / path).write_text(text)
        return name

    def looked_at(self, model):
        answer, got = self.ask("inspect", model)
        self.assertEqual(got, 0, answer)
        return answer

    def take(self, model, prediction="epsilon", zero=False):
        answer = self.looked_at(model)
        self.assertEqual((answer.get("refused", []), answer.get("warnings", [])), ([], []), model)
        self.assertEqual(answer["prediction"]["type"], prediction, answer)
        self.assertEqual(answer["schedule"]["zero_terminal_snr"], zero, answer)

    def find(self, model, *parts):
        refused = self.looked_at(model).get("refused", [])
        self.assertEqual(len(refused), 1, (model, refused))
        for part in parts:
            self.assertIn(part, refused[0])

    @classmethod
    def setUpClass(cls):
        harness.take("xl.safetensors", "--family", "sdxl", "--seed", "3")

    def test_folders(self):
        self.take(self.folder_of("sd15", "sd15", real_configs.SD15))
        self.take(self.folder_of("sdxl", "sdxl", real_configs.SDXL))
        for number, (name, text) in enumerate(real_configs.SCHEDULERS.items()):
            with self.subTest(name):
                self.take(self.folder_of(f"s{number}", "sd15", real_configs.SD15, ("scheduler/scheduler_config.json", text)))
        for number, (name, text) in enumerate(real_configs.UNETS.items()):
            with self.subTest(name):
                self.take(self.folder_of(f"u{number}", "sd15", real_configs.SD15, ("unet/config.json", text)))
        for number, (name, text) in enumerate(real_configs.TEXTS.items()):
            with self.subTest(name):
                self.take(self.folder_of(f"t{number}", "sd15", real_configs.SD15, ("text_encoder/config.json", text)))

    def test_yaml_files(self):
        layouts.write(self.folder / "m.safetensors", layouts.read(HOME / "tiny.safetensors")[0])
        for name, text in real_configs.YAMLS.items():
            with self.subTest(name):
                (self.folder / "m.yaml").write_text(text)
                self.take("m.safetensors", "v" if "-v." in name else "epsilon")

    def test_tensors_beside_the_networks(self):
        tensors = layouts.read(HOME / "tiny.safetensors")[0]
        layouts.write(self.folder / "m.safetensors", {**tensors, **dict.fromkeys(real_configs.BUFFERS, ONE)})
        self.take("m.safetensors")
        # NoobAI-XL's markers are tensors of no elements.
        layouts.write(self.folder / "v.safetensors", {**tensors, "v_pred": NONE, "ztsnr": NONE})
        self.take("v.safetensors", "v", zero=True)

    def test_a_projection_of_another_spelling(self):
        """diffusers' convert_diffusers_to_original_sdxl.py leaves this one tensor as it was."""
        tensors = layouts.read(HOME / "xl.safetensors")[0]
        name = layouts.TEXT2 + "text_projection"
        layouts.write(self.folder / "own.safetensors", tensors)
        tensors[name + ".weight"] = layouts.transposed(tensors.pop(name))
        layouts.write(self.folder / "other.safetensors", tensors)
        own, other = (self.ask("inspect", f"{kind}.safetensors", "--digest")[0] for kind in ("own", "other"))
        self.assertNotIn("refused", other)
        self.assertEqual(own["digests"], other["digests"])

    def test_one_value_is_found(self):
        scheduler = "scheduler/scheduler_config.json"
        for number, (path, old, new, parts) in enumerate((
                (scheduler, '"trained_betas": null', '"trained_betas": ' + json.dumps([k / 50000 for k in range(1000)]), ("trained_betas",)),
                (scheduler, '"steps_offset": 1', '"timestep_type": "continuous"', ("timestep_type", '"continuous"')),
                (scheduler, '"steps_offset": 1', '"use_dynamic_shifting": true', ("use_dynamic_shifting",)),
                ("text_encoder/config.json", '"num_hidden_layers": 12', '"num_hidden_layers": 1', ("num_hidden_layers",)),
                ("text_encoder/config.json", None, real_configs.TEXTS["a whole CLIP's"].replace(
                    '"hidden_act": "quick_gelu", "hidden_size"', '"hidden_act": "mish", "hidden_size"'), ("hidden_act", '"mish"')),
                ("unet/config.json", '"attention_head_dim": 8', '"attention_head_dim": [8, 8, 4, 8]', ("attention_head_dim", "[8,8,4,8]")))):
            text = new if old is None else real_configs.SD15[path].replace(old, new)
            self.assertNotEqual(text, real_configs.SD15[path])
            with self.subTest(new[:60]):
                self.find(self.folder_of(f"f{number}", "sd15", real_configs.SD15, (path, text)), path, *parts)
        layouts.write(self.folder / "m.safetensors", layouts.read(HOME / "tiny.safetensors")[0])
        discretization = "discretizer.LegacyDDPMDiscretization\n"
        for text, old, new, parts in (
                (real_configs.XL_YAML, discretization, discretization + "          params: {linear_end: 0.02}\n", ("linear_end", '"0.02"')),
                (real_configs.XL_YAML, "num_idx: 1000", "num_idx: 500", ("num_idx", '"500"')),
                (real_configs.XL_YAML, "denoiser.DiscreteDenoiser", "denoiser.Denoiser", ("denoiser_config.target", "denoiser.Denoiser"))):
            with self.subTest(new):
                (self.folder / "m.yaml").write_text(text.replace(old, new))
                self.find("m.safetensors", "m.yaml", *parts)


if __name__ == "__main__":
    harness.main()
