#!/usr/bin/env python3
"""Weights stored in their own type: the same pictures as converted ones, in packs as large as the file."""
import array
import struct

import gguf_file
import harness
import layouts
from harness import Case, idat_of, make
from torch_save import Storage, Tensor

SIZE = ("-W", "128", "-H", "192")  # large enough for the VAE in bands
WORDS = ("-p", "a lighthouse", *SIZE, "--steps", "1", "--seed", "7")


def floats_of(data):
    return array.array("f", struct.unpack(f"<{len(data) // 2}e", data))


def to_f32(data):
    return floats_of(data).tobytes()


def to_bf16(data):
    return array.array("H", array.array("H", to_f32(data))[1::2]).tobytes()


def to_e5m2(data):
    return data[1::2]


def to_e4m3(data):
    small = [(bits >> 8 & 0x80) | max((bits & 0x7FFF) >> 7, 64) - 64 for bits in range(1 << 16)]
    return bytes(small[bits] for bits in array.array("H", data))


TYPES = {"F16": bytes, "F32": to_f32, "BF16": to_bf16, "F8_E4M3": to_e4m3, "F8_E5M2": to_e5m2}


class Weights(Case):
    def store(self, family, types):
        """m.safetensors, its tensors in these types by turns."""
        tensors, texts = layouts.read(make(f"{family}-w.safetensors", "--family", family, "--seed", "5"))
        halves = [name for name in sorted(tensors) if tensors[name].storage.dtype == "F16"]
        self.assertGreater(len(halves), 100)
        for i, name in enumerate(halves):
            tensor, kind = tensors[name], types[i % len(types)]
            tensors[name] = Tensor(Storage(kind, TYPES[kind](tensor.storage.data)), tensor.shape)
        layouts.write(self.folder / "m.safetensors", tensors, **texts)

    def picture_of(self, *options, model="m.safetensors"):
        answer = self.succeed_to("generate", "-m", model, *WORDS, "-o", "x.png", *options)
        self.assertEqual(answer["planned_private_bytes"], answer["peak_private_bytes"])
        return idat_of(self.folder / "x.png")

    def least_budget(self, *options, model):
        """With it the VAE's activations are computed in bands."""
        forecast = self.succeed_to("memory", "-m", model, *SIZE, *options)["forecast"]
        self.assertIn("computed in bands", forecast["levels"][-1]["manner"])
        return str(forecast["levels"][-1]["budget_bytes"])

    def however_it_runs(self, plain_model, model, *weights):
        """The picture of the numbers in float32, whatever the packs, threads, budgets and bands."""
        pictures = set()
        for precision in (("--precision", "f32"), ("--precision", "bf16")):
            how = (*precision, "--threads", "1", *weights)
            plain = self.picture_of(*precision, "--threads", "1", "--packs", "off", "--weights", "f32", model=plain_model)
            pictures.add(plain)
            packs = ("--packs", self.pack_folder())
            for options in (("--packs", "off"), packs, packs):  # the pack is made, and mapped
                self.assertEqual(self.picture_of(*how, *options, model=model), plain, (how, options))
            self.assertEqual(self.picture_of(*precision, *weights, "--threads", "2", *packs, model=model), plain, how)
            for options in (packs, ("--packs", "off")):
                least = self.least_budget(*how, *options, model=model)
                self.assertEqual(self.picture_of(*how, *options, "--budget", least, model=model), plain, (how, options))
        self.assertEqual(len(pictures), 2, "the precisions make the same picture: the comparison shows nothing")

    def same_pictures(self, family, types):
        self.store(family, types)
        self.however_it_runs("m.safetensors", "m.safetensors")

    def blocks_are_as_converted(self, kind):
        self.store("sd15", ["F16"])
        self.succeed_to("convert", "m.safetensors", "-o", "m.gguf", "--weights", kind)
        self.however_it_runs("m.gguf", "m.safetensors", "--weights", kind)

    def test_q8(self):
        self.blocks_are_as_converted("q8")

    def test_q4(self):
        self.blocks_are_as_converted("q4")

    def test_every_type_of_blocks(self):
        tensors, texts = layouts.read(make("sd15-w.safetensors", "--family", "sd15", "--seed", "5"))
        made, kinds = gguf_file.with_every_type(tensors)
        self.assertEqual(kinds, set(gguf_file.BLOCKS))
        (self.folder / "m.gguf").write_bytes(gguf_file.build(made, texts, rows_of_256=True))
        self.however_it_runs("m.gguf", "m.gguf")
        how = ("--precision", "f32")
        decoded = self.pack_bytes(*how, "--weights", "f32", model="m.gguf")[0]
        self.assertLess(self.pack_bytes(*how, model="m.gguf")[0], 0.6 * decoded)  # the VAE is not in blocks

    def test_f16(self):
        self.same_pictures("sd15", ["F16"])

    def test_bf16(self):
        self.same_pictures("sd15", ["BF16"])

    def test_f32(self):
        self.same_pictures("sd15", ["F32"])

    def test_float8(self):
        self.same_pictures("sd15", ["F8_E4M3", "F8_E5M2"])

    def test_mixed(self):
        self.same_pictures("sd15", ["F16", "F32", "BF16", "F8_E4M3", "F16"])

    def test_sdxl(self):
        self.same_pictures("sdxl", ["F16", "F16", "BF16", "F8_E5M2"])

    def pack_bytes(self, *options, model="m.safetensors"):
        packs = self.pack_folder()
        self.picture_of("--packs", packs, *options, model=model)
        listed = self.succeed_to("packs", "--packs", packs)["packs"]
        return sum(pack["bytes"] for pack in listed), {pack["source"].split(" of ")[0] for pack in listed}

    def test_sizes(self):
        self.store("sd15", ["F32"])
        file_bytes = (self.folder / "m.safetensors").stat().st_size
        how = ("--precision", "f32")
        full, sources = self.pack_bytes(*how)
        self.assertIn("unet (f32)", sources)
        self.assertAlmostEqual(full / file_bytes, 1, delta=0.25)  # tiny widths fill blocks of 16
        half, sources = self.pack_bytes(*how, "--weights", "f16")
        self.assertIn("unet (f32, weights in f16)", sources)
        self.assertAlmostEqual(half / full, 0.5, delta=0.05)
        # A file in float16 is as large, and --weights f16 changes nothing of it.
        self.store("sd15", ["F16"])
        self.assertEqual(self.pack_bytes(*how)[0], half)
        self.assertEqual(self.pack_bytes(*how, "--weights", "f32")[0], full)
        self.assertEqual(self.picture_of(*how, "--weights", "f16"), self.picture_of(*how))

    def test_rounded_weights_are_another_picture(self):
        """--weights f16 rounds float32, also to infinity, which is refused."""
        tensors, texts = layouts.read(make("f32-w.safetensors", "--seed", "5", "--dtype", "f32"))
        layouts.write(self.folder / "m.safetensors", tensors, **texts)
        exact, rounded = (self.picture_of("--precision", "f32", "--weights", kind) for kind in ("auto", "f16"))
        self.assertNotEqual(exact, rounded)
        # The same as of the file with rounded numbers.
        halves = {name: Tensor(Storage("F16", struct.pack(f"<{len(tensor.storage.data) // 4}e",
                                                          *array.array("f", tensor.storage.data))), tensor.shape)
                  if len(tensor.shape) > 1 else tensor for name, tensor in tensors.items()}
        layouts.write(self.folder / "m.safetensors", halves, **texts)
        self.assertEqual(self.picture_of("--precision", "f32"), rounded)
        name = next(name for name in sorted(tensors) if name.endswith("input_blocks.0.0.weight"))
        large = array.array("f", tensors[name].storage.data)
        large[3] = 70000
        tensors[name] = Tensor(Storage("F32", large.tobytes()), tensors[name].shape)
        layouts.write(self.folder / "m.safetensors", tensors, **texts)
        answer, code = self.ask("generate", "-m", "m.safetensors", *WORDS, "-o", "x.png", "--precision", "f32", "--weights", "f16")
        self.assertNotEqual(code, 0)
        self.check_sentence(answer["error"]["message"], ["input_blocks.0.0.weight", "F16", "--weights auto"])

    def test_blocks_that_are_made_with_the_pack(self):
        """The same pictures as of the file that convert writes; in blocks, packs and memory are smaller."""
        for family in ("sd15", "sdxl"):
            self.store(family, ["F16"])
            for precision in ("f32", "bf16"):
                plain = self.pack_bytes("--precision", precision)[0]
                for kind in ("q8", "q4"):
                    self.succeed_to("convert", "m.safetensors", "-o", "m.gguf", "--weights", kind, "--overwrite")
                    words = ("--precision", precision, "--weights", kind)
                    made = self.picture_of(*words)
                    answer = self.succeed_to("generate", "-m", "m.gguf", *WORDS, "-o", "y.png", "--precision", precision)
                    self.assertTrue(answer["ok"])
                    self.assertEqual(harness.idat_of(self.folder / "y.png"), made, (family, words))
                    smaller = self.pack_bytes(*words)[0]
                    self.assertLess(smaller, plain)
                    plain = smaller

    def test_settings(self):
        self.store("sd15", ["F32"])
        self.addCleanup(self.run_program, "settings", "--unset", "weights")
        self.assertEqual(self.succeed_to("settings", "--weights", "f16")["weights"], "f16")
        self.assertIn("unet (f32, weights in f16)", self.pack_bytes("--precision", "f32")[1])
        self.assertIn("unet (f32)", self.pack_bytes("--precision", "f32", "--weights", "auto")[1])


if __name__ == "__main__":
    harness.main()
