#!/usr/bin/env python3
"""What a checkpoint says beside its weights is obeyed, or refused by file, key and value; and what is not run is named."""
import json
import struct

import harness
import layouts
import torch_save
from harness import HOME, Case
from torch_save import Storage, Tensor

UNET = "model.diffusion_model."
LINEAR = UNET + "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
ONE = Tensor(Storage("F32", struct.pack("<f", 1.0)), (1,))
SMALL = ("-p", "x", "-W", "64", "-H", "64", "--steps", "1", "--seed", "4", "--cfg", "3")


def f8_value(byte):
    """E4M3 without infinities."""
    exponent, mantissa = byte >> 3 & 15, byte & 7
    value = mantissa / 8 * 2.0 ** -6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return -value if byte & 0x80 else value


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def blob(text):
    return Tensor(Storage("U8", text.encode()), (len(text),))


def count_of(tensor):
    count = 1
    for dim in tensor.shape:
        count *= dim
    return count


class Meaning(Case):
    def tensors(self, name="tiny.safetensors"):
        return layouts.read(HOME / name)[0]

    def write(self, name, tensors, **metadata):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        layouts.write(path, tensors, **metadata)
        return name

    def latents(self, model, *options):
        """Of a picture: all that changes it shows there, but for what the VAE does."""
        answer, got = self.ask("generate", "-m", model, *SMALL, "-o", "x.safetensors", "--precision", "f32", *options)
        self.assertEqual(got, 0, answer)
        return harness.latents_of(self.folder / "x.safetensors")[1]

    def picture(self, model, *options):
        answer, got = self.ask("generate", "-m", model, *SMALL, "-o", "x.png", "--precision", "f32", *options)
        self.assertEqual(got, 0, answer)
        return harness.idat_of(self.folder / "x.png")

    def refuse(self, model, *parts, code="unsupported", options=()):
        answer, got = self.ask("generate", "-m", model, *SMALL, "-o", "never.png", *options)
        self.assertNotEqual(got, 0, model)
        self.assertEqual(answer["error"]["code"], code, answer)
        for part in parts:
            self.assertIn(part, answer["error"]["message"])
        self.assertFalse((self.folder / "never.png").exists())

    # ---- scaled float8 ----

    def scaled(self, tensors, spelling, per_row):
        """Some linears of the UNet as float8 and a scale, and as the float32 that they stand for."""
        scaled, plain = dict(tensors), dict(tensors)
        names = [name for name in tensors if name.startswith(UNET) and name.endswith("to_k.weight")][:4]
        self.assertEqual(len(names), 4)
        for i, name in enumerate(names):
            shape = tensors[name].shape
            rows, columns = shape[0], count_of(tensors[name]) // shape[0]
            stored = bytes((37 * k + 11 * i + k // 5) % 0x60 | (0x80 if k % 3 else 0) for k in range(rows * columns))
            scales = [single(0.011 + 0.0007 * (row if per_row else 0)) for row in range(rows)]
            values = (single(f8_value(byte) * scales[k // columns]) for k, byte in enumerate(stored))
            scaled[name] = Tensor(Storage("F8_E4M3", stored), shape)
            stem = name.removesuffix("weight")
            count = rows if per_row else 1
            scaled[stem + spelling] = Tensor(Storage("F32", struct.pack(f"<{count}f", *scales[:count])),
                                             (rows, 1) if per_row else ())
            plain[name] = Tensor(Storage("F32", struct.pack(f"<{rows * columns}f", *values)), shape)
        return scaled, plain

    def test_scaled_float8_is_the_picture_of_its_numbers(self):
        tensors = self.tensors()
        for per_row in (False, True):
            digests = set()
            for spelling in ("scale_weight", "weight_scale"):
                scaled, plain = self.scaled(tensors, spelling, per_row)
                if spelling == "scale_weight":
                    scaled[UNET + "scaled_fp8"] = Tensor(Storage("F8_E4M3", b"\0\0"), (2,))
                self.write("scaled.safetensors", scaled)
                self.write("plain.safetensors", plain)
                first = self.latents("scaled.safetensors")
                self.assertEqual(first, self.latents("plain.safetensors"))
                answer, _ = self.ask("inspect", "scaled.safetensors", "--digest")
                self.assertNotIn("refused", answer)
                digests.add(answer["digests"]["unet"])
                # A pack that is made of it is the same, and another scale makes another one.
                packs = ("--packs", self.folder / "packs")
                for _ in range(2):
                    self.assertEqual(first, self.latents("scaled.safetensors", *packs))
                name = next(name for name in scaled if name.endswith(spelling))
                data = bytearray(scaled[name].storage.data)
                data[2] ^= 0x40
                scaled[name] = Tensor(Storage("F32", bytes(data)), scaled[name].shape)
                self.write("scaled.safetensors", scaled)
                self.assertNotEqual(first, self.latents("scaled.safetensors", *packs))
            self.assertEqual(len(digests), 1, "the spelling is not in the digest")

    def test_int8_with_scales_is_the_picture_of_its_numbers(self):
        tensors = self.tensors()
        for per_row in (False, True):
            for said in (None, '{"format": "int8_tensorwise"}'):
                scaled, plain = self.scaled(tensors, "weight_scale", per_row)
                for name in [name for name in scaled if scaled[name].storage.dtype == "F8_E4M3"]:
                    stored, shape = scaled[name].storage.data, scaled[name].shape
                    scale = scaled[name + "_scale"].storage.data
                    scales = struct.unpack(f"<{len(scale) // 4}f", scale) * (1 if per_row else shape[0])
                    columns = len(stored) // shape[0]
                    values = (single((byte - 256 if byte > 127 else byte) * scales[k // columns]) for k, byte in enumerate(stored))
                    scaled[name] = Tensor(Storage("I8", stored), shape)
                    plain[name] = Tensor(Storage("F32", struct.pack(f"<{len(stored)}f", *values)), shape)
                    if said:
                        scaled[name.removesuffix("weight") + "comfy_quant"] = blob(said)
                self.write("scaled.safetensors", scaled)
                self.write("plain.safetensors", plain)
                first = self.latents("plain.safetensors")
                self.assertEqual(first, self.latents("scaled.safetensors"), (per_row, said))
                self.assertNotIn("refused", self.ask("inspect", "scaled.safetensors")[0])
        self.assertTrue(self.ask("convert", "scaled.safetensors", "-o", "written.safetensors", "--weights", "f32")[0]["ok"])
        self.assertEqual(first, self.latents("written.safetensors"))

    def test_a_scale_that_does_not_fit_is_refused(self):
        scaled, _ = self.scaled(self.tensors(), "weight_scale", False)
        name = next(name for name in scaled if name.endswith("weight_scale"))
        scaled[name] = Tensor(Storage("F32", bytes(12)), (3,))
        self.write("odd.safetensors", scaled)
        self.refuse("odd.safetensors", "odd.safetensors", name, "F32 [3]", "--force")
        self.write("alone.safetensors", {**self.tensors(), UNET + "out.2.weight_scale.more": ONE})
        self.refuse("alone.safetensors", "out.2.weight_scale.more")

    # ---- prediction, schedule ----

    def test_every_marker_of_v_is_obeyed(self):
        tensors = self.tensors()
        self.write("plain/m.safetensors", tensors)
        want, eps = self.latents("plain/m.safetensors", "--prediction", "v"), self.latents("plain/m.safetensors")
        self.assertNotEqual(want, eps)
        self.write("key/m.safetensors", {**tensors, "v_pred": ONE})
        self.write("spec/m.safetensors", tensors, **{"modelspec.prediction_type": "v"})
        self.write("comfy/m.safetensors", tensors, **{"modelspec.predict_key": "v"})
        self.write("yaml/m.safetensors", tensors)
        (self.folder / "yaml/m.yaml").write_text('model:\n  params:\n    parameterization: "v"\n    linear_start: 0.00085\n')
        for name, source in (("key", "tensor v_pred"), ("spec", "modelspec.prediction_type"),
                             ("comfy", "modelspec.predict_key"), ("yaml", "model.params.parameterization of m.yaml")):
            self.assertEqual(want, self.latents(f"{name}/m.safetensors"), name)
            answer, _ = self.ask("inspect", f"{name}/m.safetensors")
            self.assertEqual(answer["prediction"]["type"], "v")
            self.assertIn(source, answer["prediction"]["source"])
            # Who asks for the other gets the other.
            self.assertEqual(eps, self.latents(f"{name}/m.safetensors", "--prediction", "eps"))
        answer, _ = self.ask("inspect", "plain/m.safetensors")
        self.assertEqual(answer["prediction"], {"type": "epsilon", "source": "default"})
        self.assertEqual(answer["schedule"]["zero_terminal_snr"], False)

    def test_what_is_not_obeyed_is_refused_by_name(self):
        tensors = self.tensors()
        cases = {
            "edm_mean": ({"edm_mean": ONE}, {}, ("edm_mean", "F32 [1]", "Playground v2.5")),
            "cosxl": ({"edm_vpred.sigma_max": ONE}, {}, ("edm_vpred.sigma_max", "CosXL")),
            "lcm": ({UNET + "time_embed.cond_proj.weight": ONE}, {}, ("cond_proj", "guidance scale")),
            "flow": ({}, {"modelspec.prediction_type": "flow"}, ("modelspec.prediction_type", '"flow"')),
            "marker": ({"strange": ONE}, {}, ("strange", "marker")),
            "module": ({LINEAR.removesuffix("weight") + "bias": ONE}, {}, ("to_q.bias", "F32 [1]")),
            "extra": ({UNET + "middle_block.3.in_layers.0.weight": ONE}, {}, ("middle_block.3", "would not be used")),
            "lora": ({LINEAR.removesuffix("weight") + "lora_A.weight": ONE}, {}, ("LoRA",)),
        }
        plain = self.latents(self.write("plain/m.safetensors", tensors))
        for name, (more, metadata, parts) in cases.items():
            model = self.write(f"{name}/m.safetensors", {**tensors, **more}, **metadata)
            self.refuse(model, f"{name}/m.safetensors", "--force", *parts)
            self.assertEqual(plain, self.latents(model, "--force"), name)
            if name != "extra":  # which only the network's walk finds
                answer, _ = self.ask("inspect", model)
                self.assertTrue(any(parts[0] in text for text in answer["refused"]), answer)
        (self.folder / "plain/m.yaml").write_text("model:\n  params:\n    linear_end: 0.02\n")
        self.refuse("plain/m.safetensors", "plain/m.yaml", "linear_end", '"0.02"', "noise schedule")
        (self.folder / "plain/m.yaml").write_text("model: [")
        self.refuse("plain/m.safetensors", "plain/m.yaml", "line 2")
        self.assertEqual(plain, self.latents("plain/m.safetensors", "--force"))

    def test_strangers_are_a_warning(self):
        tensors = self.tensors()
        plain = self.latents(self.write("plain/m.safetensors", tensors))
        model = self.write("more/m.safetensors", {**tensors, "some.other.weight": ONE, "model_ema.x": ONE})
        self.assertEqual(plain, self.latents(model))
        run = self.run_program("generate", "-m", model, *SMALL, "-o", "x.png")
        self.assertEqual(run.returncode, 0)
        self.assertIn("some.other.weight", run.stderr)
        self.assertNotIn("model_ema", run.stderr)

    def test_the_shell_takes_force(self):
        tensors = self.tensors()
        self.write("m.safetensors", {**tensors, "strange": ONE})
        shell = self.shell("-m", "../tiny.safetensors")
        self.fail_with(shell, "model m.safetensors", "unsupported", "strange")
        self.assertTrue(self.succeed(shell, "model m.safetensors --force")["model"]["path"].endswith("m.safetensors"))
        self.succeed(shell, "generate -p x -W 64 -H 64 --steps 1 -o x.png")
        self.succeed(self.shell("-m", "m.safetensors", "--force"), "memory")

    def test_a_model_is_read_again_where_its_config_changed(self):
        self.write("m.safetensors", self.tensors())
        shell = self.shell("-m", "m.safetensors")
        words = "generate -p x -W 64 -H 64 --steps 1 --seed 4 --cfg 3 -o "
        self.succeed(shell, words + "first.safetensors")
        yaml = self.folder / "m.yaml"
        yaml.write_text('model:\n  params:\n    parameterization: "v"\n')
        self.succeed(shell, "model m.safetensors")
        self.succeed(shell, words + "v.safetensors")
        self.assertNotEqual(*(harness.latents_of(self.folder / name) for name in ("first.safetensors", "v.safetensors")))
        # One that is refused now leaves what is loaded.
        yaml.write_text("model:\n  params:\n    linear_end: 0.02\n")
        self.fail_with(shell, "model m.safetensors", "unsupported", "m.yaml", "linear_end")
        self.succeed(shell, words + "again.safetensors")
        yaml.unlink()
        self.assertNotIn("already loaded", str(self.succeed(shell, "model m.safetensors")))
        self.assertIn("already loaded", str(self.succeed(shell, "model m.safetensors")))
        self.succeed(shell, words + "last.safetensors")
        latents = [harness.latents_of(self.folder / f"{name}.safetensors") for name in ("first", "v", "again", "last")]
        self.assertEqual(latents[:2], [latents[3], latents[2]])

    # ---- diffusers configs ----

    def folder_of(self, name, family, tensors, part=None, **keys):
        folder = self.folder / name
        layouts.save(folder, family, tensors)
        path = folder / (f"{part}/config.json" if part else "model_index.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))
        return name

    def test_configs_are_obeyed(self):
        tensors = self.tensors()
        plain = self.picture(self.folder_of("plain", "sd15", tensors))
        self.assertEqual(plain, self.picture(self.folder_of("quick", "sd15", tensors, "text_encoder", hidden_act="quick_gelu")))
        self.assertNotEqual(plain, self.picture(self.folder_of("gelu", "sd15", tensors, "text_encoder", hidden_act="gelu")))
        # A mean of zero and a deviation of one are none; another deviation is another scale factor.
        same = self.folder_of("same", "sd15", tensors, "vae", latents_mean=[0, 0, 0, 0], latents_std=[1, 1, 1, 1])
        self.assertEqual(plain, self.picture(same))
        twice = self.folder_of("twice", "sd15", tensors, "vae", latents_mean=None, latents_std=[2.0, 2.0, 2.0, 2.0],
                               scaling_factor=0.3643)
        self.assertEqual(plain, self.picture(twice))
        moved = self.folder_of("moved", "sd15", tensors, "vae", latents_mean=[0.5, -0.5, 0.25, 0], latents_std=[1, 1.5, 1, 1])
        self.assertNotEqual(plain, self.picture(moved))
        first, got = self.ask("inspect", moved, "--digest")[0]["digests"], self.ask("inspect", "plain", "--digest")[0]["digests"]
        self.assertNotEqual(first["vae"], got["vae"])
        self.assertEqual(first["unet"], got["unet"])
        for name, text, code in (("short", [1, 1, 1], "incomplete"), ("words", ["a"] * 4, "unsupported"),
                                 ("zero", [1, 1, 0, 1], "incomplete")):
            self.refuse(self.folder_of(name, "sd15", tensors, "vae", latents_std=text), "latents_std", code=code)

    def test_zeros_for_an_empty_prompt(self):
        harness.take("xl.safetensors", "--family", "sdxl", "--seed", "3")
        tensors = self.tensors("xl.safetensors")
        plain = self.latents(self.folder_of("plain", "sdxl", tensors))
        self.assertNotEqual(plain, self.latents("plain", "-n", ""))
        encodes = self.folder_of("encodes", "sdxl", tensors, force_zeros_for_empty_prompt=False)
        self.assertEqual(self.latents(encodes), self.latents("plain", "-n", ""))
        zeros = self.folder_of("zeros", "sdxl", tensors, force_zeros_for_empty_prompt=True)
        self.assertEqual(plain, self.latents(zeros))

    def test_configs_of_other_networks_are_refused(self):
        tensors = self.tensors()
        for name, part, keys, parts in (
                ("act", "unet", {"act_fn": "gelu"}, ("unet/config.json", "act_fn", '"gelu"')),
                ("lcm", "unet", {"time_cond_proj_dim": 256}, ("time_cond_proj_dim", '"256"', "guidance scale")),
                ("new", "unet", {"quantum_gate": 3}, ("quantum_gate", '"3"', "does not know")),
                ("mish", "text_encoder", {"hidden_act": "mish"}, ("text_encoder/config.json", "hidden_act", '"mish"')),
                ("kind", None, {"unet": ["diffusers", "UNetMotionModel"]}, ("model_index.json", "UNetMotionModel"))):
            self.refuse(self.folder_of(name, "sd15", tensors, part, **keys), "--force", *parts)
        for name, scheduler, parts in (
                ("edm", {"_class_name": "EDMEulerScheduler", "prediction_type": "epsilon"}, ("EDMEulerScheduler", "EDM")),
                ("flow", {"_class_name": "FlowMatchEulerDiscreteScheduler"}, ("flow matching",)),
                ("betas", {"beta_start": 0.0001, "beta_end": 0.012}, ("beta_start", '"0.0001"')),
                ("steps", {"num_train_timesteps": 500}, ("num_train_timesteps", '"500"')),
                ("clip", {"clip_sample": True}, ("clip_sample", '"true"'))):
            layouts.save(self.folder / name, "sd15", tensors, scheduler=scheduler)
            self.refuse(name, "scheduler/scheduler_config.json", "--force", *parts)
        # A VAE of such a folder is whole, and only the VAE's own config counts for it.
        answer, got = self.ask("generate", "-m", "../tiny.safetensors", *SMALL, "-o", "x.png", "--vae", "./edm")
        self.assertEqual(got, 0, answer)
        self.refuse("../tiny.safetensors", "vae/config.json", "act_fn",
                    options=("--vae", "./" + self.folder_of("vact", "sd15", tensors, "vae", act_fn="relu")))

    # ---- families, wrappers, quantised weights ----

    def test_what_is_not_run_is_named(self):
        harness.take("xl.safetensors", "--family", "sdxl", "--seed", "3")
        for source, what, drop in (
                ("tiny.safetensors", "BK-SDM", ("middle_block.",)),
                ("tiny.safetensors", "one resnet", ("middle_block.1.", "middle_block.2.")),
                ("xl.safetensors", "KOALA", ("middle_block.",)),
                ("xl.safetensors", "Vega", ("middle_block.1.", "middle_block.2."))):
            tensors = self.tensors(source)
            pruned = {name: t for name, t in tensors.items() if not name.startswith(tuple(UNET + part for part in drop))}
            self.assertLess(len(pruned), len(tensors))
            self.write("pruned.safetensors", pruned)
            self.refuse("pruned.safetensors", "pruned.safetensors", what, "not supported yet")
            self.assertIn(what, self.ask("inspect", "pruned.safetensors")[0]["unsupported"])
        harness.make("svd.safetensors", "--family", "sdxl", "--unet-channels", "8")
        video = {**self.tensors("svd.safetensors"), UNET + "middle_block.1.time_stack.0.norm1.weight": ONE}
        self.write("video.safetensors", video)
        self.refuse("video.safetensors", "Stable Video Diffusion", "not supported yet")
        harness.make("sd2.safetensors", "--linear-proj", "--without", "text")
        self.refuse("../sd2.safetensors", "SD2.x checkpoint", "not supported yet")
        # A whole model of another kind has a VAE too, and is no VAE.
        vae = {name: t for name, t in self.tensors().items() if name.startswith("first_stage_model.")}
        for name, what in (("joint_blocks.0.x_block.attn.qkv.weight", "Stable Diffusion 3"),
                           ("double_blocks.0.img_attn.qkv.weight", "Flux")):
            for prefix in (UNET, "", "transformer."):
                self.write("other.safetensors", {**vae, prefix + name: ONE})
                self.refuse("other.safetensors", what)

    def test_names_of_wrappers_are_taken_off(self):
        tensors = self.tensors()
        first = self.latents(self.write("plain/m.safetensors", tensors))
        digests = self.ask("inspect", "plain/m.safetensors", "--digest")[0]["digests"]
        for kind, rename in (("ddp", lambda n: "module." + n), ("compiled", lambda n: "_orig_mod." + n),
                             ("inner", lambda n: n.replace(UNET, UNET + "_orig_mod."))):
            model = self.write(f"{kind}/m.safetensors", {rename(name): t for name, t in tensors.items()})
            self.assertEqual(digests, self.ask("inspect", model, "--digest")[0]["digests"])
            self.assertEqual(first, self.latents(model), kind)
        for kind, value in (("module", {"module": tensors, "epoch": 3}), ("model", {"model": {"state_dict": tensors}}),
                            ("ema", {"ema": tensors})):
            (self.folder / f"{kind}.ckpt").write_bytes(torch_save.save_zip(value))
            self.assertEqual(digests, self.ask("inspect", f"{kind}.ckpt", "--digest")[0]["digests"], kind)
        (self.folder / "odd.ckpt").write_bytes(torch_save.save_zip({"weights_of_mine": tensors, "epoch": 3}))
        self.refuse("odd.ckpt", "weights_of_mine", "epoch")
        self.write("ema.safetensors", {"model_ema.diffusion_modelinput_blocks00weight": ONE, "model_ema.decay": ONE})
        self.refuse("ema.safetensors", "EMA")
        self.write("both.safetensors", {**tensors, "module." + LINEAR: tensors[LINEAR]})
        self.refuse("both.safetensors", "twice", LINEAR, code="corrupt")

    def test_quantised_weights_are_named(self):
        tensors = self.tensors()
        shape, count = tensors[LINEAR].shape, count_of(tensors[LINEAR])
        stem = LINEAR.removesuffix("weight")
        bytes_of = Tensor(Storage("U8", bytes(count // 2)), (count // 2, 1))
        for kind, what, weight, beside in (
                ("int8", "int8", Tensor(Storage("I8", bytes(count)), shape), {}),
                ("rotated", "rotated", Tensor(Storage("I8", bytes(count)), shape),
                 {"weight_scale": ONE, "comfy_quant": blob('{"format": "int8_tensorwise", "convrot": true}')}),
                ("other", "not known", Tensor(Storage("I8", bytes(count)), shape),
                 {"weight_scale": ONE, "comfy_quant": blob('{"format": "int8_blockwise"}')}),
                ("blocks", "int8 with a scale", Tensor(Storage("I8", bytes(count)), shape),
                 {"weight_scale": Tensor(Storage("F32", bytes(12)), (3,))}),
                ("nf4", "NF4", bytes_of, {"weight.absmax": ONE, "weight.quant_map": ONE,
                                          "weight.quant_state.bitsandbytes__nf4": ONE}),
                ("nvfp4", "NVFP4", Tensor(Storage("U8", bytes(count // 2)), (shape[0], shape[1] // 2)),
                 {"weight_scale": ONE, "weight_scale_2": ONE}),
                ("gptq", "GPTQ", None, {"qweight": ONE, "qzeros": ONE, "scales": ONE}),
                ("svdq", "SVDQuant", None, {"qweight": ONE, "wscales": ONE, "smooth_factor": ONE}),
                ("quanto", "optimum-quanto", None, {"weight._data": ONE, "weight._scale": ONE, "input_scale": ONE}),
                ("hqq", "HQQ", None, {"W_q": ONE, "scale": ONE, "zero": ONE}),
                ("packed", "compressed-tensors", None, {"weight_packed": ONE, "weight_scale": ONE})):
            changed = {**tensors, LINEAR: weight, **{stem + name: t for name, t in beside.items()}}
            if weight is None:
                del changed[LINEAR]
            self.write(f"{kind}.safetensors", changed)
            self.refuse(f"{kind}.safetensors", "quantised", what, "attn1.to_q", "float16")


if __name__ == "__main__":
    harness.main()
