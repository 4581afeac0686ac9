#!/usr/bin/env python3
"""darkroom convert: what is written, read back; what is refused; what is left by a signal and by a full disk."""
import importlib.util
import os
import signal
import subprocess
import time

import gguf_file
import harness
import layouts
from harness import DARKROOM, ENVIRONMENT, GENERATE, HOME, Case, idat_of

WORDS = ("-p", "a lighthouse", "-W", "64", "-H", "64", "--steps", "2", "--seed", "7", "--threads", "1", "-o", "x.png")


class Convert(Case):
    def picture_of(self, model, *options):
        self.succeed_to("generate", "-m", model, *WORDS, *options)
        return idat_of(self.folder / "x.png")

    def test_written_files_are_read(self):
        for family in ("sd15", "sdxl"):
            source = harness.make(f"{family}-c.safetensors", "--family", family, "--seed", "5")
            first = self.picture_of(source)
            whole = self.succeed_to("inspect", source)
            for weights in ("f32", "f16"):
                for ending in ("gguf", "safetensors"):
                    name = f"{family}.{ending}"
                    answer = self.succeed_to("convert", source, "-o", name, "--weights", weights, "--overwrite")
                    self.assertEqual(answer["weights"], weights.upper())
                    self.assertNotIn("in_blocks", answer)
                    self.assertEqual(self.picture_of(name), first, name)  # the source is float16
                    again = self.succeed_to("inspect", name)
                    for key in ("family", "prediction", "schedule", "defaults"):
                        self.assertEqual(again[key], whole[key], (name, key))
                    self.assertEqual({part["role"]: part["parameter_count"] for part in again["components"]},
                                     {part["role"]: part["parameter_count"] for part in whole["components"]})
            sizes = {}
            for weights, kind in (("q8", "Q8_0"), ("q4", "Q4_0")):
                answer = self.succeed_to("convert", source, "-o", f"{weights}.gguf", "--weights", weights, "--overwrite")
                self.assertEqual(answer["weights"], kind)
                self.assertGreater(answer["in_blocks"]["parameter_count"], answer["parameter_count"] // 2)
                sizes[weights] = answer["file_bytes"]
                types = {part["role"]: part["stored_types"] for part in self.succeed_to("inspect", f"{weights}.gguf")["components"]}
                self.assertEqual(types["vae"], "F16")
                self.assertEqual(set(types["unet"].split()), {"F16", kind})
                # The numbers that are in the blocks, in float32: the same picture.
                self.succeed_to("convert", f"{weights}.gguf", "-o", "plain.safetensors", "--weights", "f32", "--overwrite")
                self.assertEqual(self.picture_of(f"{weights}.gguf"), self.picture_of("plain.safetensors"), (family, kind))
            self.assertLess(sizes["q4"], sizes["q8"])
            self.assertLess(sizes["q8"], os.path.getsize(source))

    def test_numbers_are_those_of_the_package(self):
        """Where the Python package gguf is installed: it reads the file, and quantises to the same bytes."""
        if importlib.util.find_spec("gguf") is None or importlib.util.find_spec("numpy") is None:
            self.skipTest("the Python package gguf is not installed")
        import gguf
        import numpy
        source = HOME / "tiny.safetensors"
        tensors, _ = layouts.read(source)
        for weights, kind in (("q8", gguf.GGMLQuantizationType.Q8_0), ("q4", gguf.GGMLQuantizationType.Q4_0)):
            self.succeed_to("convert", source, "-o", f"{weights}.gguf", "--weights", weights)
            count = 0
            for tensor in gguf.GGUFReader(self.folder / f"{weights}.gguf").tensors:
                stored = tensors[tensor.name]
                numbers = numpy.frombuffer(stored.storage.data, numpy.float16).astype(numpy.float32)
                if tensor.tensor_type == gguf.GGMLQuantizationType.F16:
                    self.assertEqual(tensor.data.tobytes(), stored.storage.data, tensor.name)
                    continue
                self.assertEqual(tensor.tensor_type, kind)
                self.assertEqual(tensor.data.tobytes(), gguf.quants.quantize(numbers, kind).tobytes(), tensor.name)
                count += 1
            self.assertGreater(count, 20)

    def test_a_unet_alone_and_a_vae(self):
        tensors, texts = layouts.read(HOME / "tiny.safetensors")
        prefix = "model.diffusion_model."
        layouts.write(self.folder / "u.safetensors",
                      {name[len(prefix):]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}, **texts)
        self.succeed_to("convert", "u.safetensors", "-o", "u.gguf")
        self.assertIn(b"input_blocks.1.0.in_layers.0.weight", (self.folder / "u.gguf").read_bytes())
        self.assertNotIn(prefix.encode(), (self.folder / "u.gguf").read_bytes())
        self.picture_of("u.gguf", "--base", "../tiny.safetensors")
        answer = self.succeed_to("convert", "../vae.safetensors", "-o", "v.gguf", "--weights", "f16")
        self.assertEqual(answer["weights"], "F16")
        self.succeed_to(*GENERATE, "--vae", "v.gguf", "-o", "x.png")
        self.fail_to("convert", "../vae.safetensors", "-o", "w.gguf", "--weights", "q8", code="bad_input", parts=["stays float16"])

    def test_a_folder_keeps_what_its_configs_say(self):
        source = harness.make("v-c.safetensors", "--family", "sd15", "--seed", "6")
        layouts.save(self.folder / "folder", "sd15", layouts.read(source)[0], "safetensors")
        config = self.folder / "folder/scheduler/scheduler_config.json"
        config.write_text(config.read_text().replace('"epsilon"', '"v_prediction"') if config.exists() else
                          '{"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}')
        first = self.picture_of("folder")
        self.succeed_to("convert", "folder", "-o", "one.safetensors")
        self.assertEqual(self.succeed_to("inspect", "one.safetensors")["prediction"]["type"], "v")
        self.assertEqual(self.picture_of("one.safetensors"), first)

    def test_refusals(self):
        self.succeed_to("convert", "../tiny.safetensors", "-o", "a.gguf")
        before = (self.folder / "a.gguf").read_bytes()
        self.fail_to("convert", "../tiny.safetensors", "-o", "a.gguf", code="bad_input", parts=["exists", "--overwrite"])
        self.fail_to("convert", "a.gguf", "-o", "a.gguf", "--overwrite", code="bad_input", parts=["is the model that is converted"])
        os.symlink("a.gguf", self.folder / "b.gguf")
        self.fail_to("convert", "a.gguf", "-o", "b.gguf", "--overwrite", code="bad_input", parts=["is the model that is converted"])
        for weights in ("q8", "q4"):
            self.fail_to("convert", "a.gguf", "-o", "c.gguf", "--weights", weights, code="bad_input",
                         parts=["quantised already", "Q8_0"])
        self.fail_to("convert", "../tiny.safetensors", "-o", "c.safetensors", "--weights", "q8", code="bad_input",
                     parts=["name a .gguf file"])
        self.fail_to("convert", "../tiny.safetensors", "-o", "c.ckpt", code="bad_input", parts=[".gguf or a .safetensors"])
        self.fail_to("convert", "../tiny.safetensors", "-o", "nowhere/c.gguf", code="io", parts=["nowhere"])
        self.fail_to("convert", "../tiny.safetensors", code="bad_input", parts=["-o FILE.gguf"])
        self.fail_to("convert", "missing.safetensors", "-o", "c.gguf", code="not_found")
        self.assertEqual(self.files(), {"a.gguf", "b.gguf"})
        self.assertEqual((self.folder / "a.gguf").read_bytes(), before)

    def test_numbers_that_do_not_fit(self):
        tensors, texts = layouts.read(HOME / "tiny.safetensors")
        name = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
        kind = tensors[name].storage.dtype
        self.assertEqual(kind, "F16")
        data = bytearray(tensors[name].storage.data)
        data[10:12] = b"\x00\x7c"
        tensors[name] = type(tensors[name])(type(tensors[name].storage)(kind, bytes(data)), tensors[name].shape)
        layouts.write(self.folder / "inf.safetensors", tensors, **texts)
        for weights in ("q8", "f16", "f32"):
            self.fail_to("convert", "inf.safetensors", "-o", "c.gguf", "--weights", weights, code="not_finite", parts=[name])
        self.assertEqual(self.files(), {"inf.safetensors"})

    def start(self, *words):
        process = subprocess.Popen([DARKROOM, "convert", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   cwd=self.folder, env=ENVIRONMENT)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def parts(self):
        return [path for path in self.folder.iterdir() if path.name.endswith(".darkroom-part")]

    def test_signals(self):
        """A pipe in the place of the disk would not do: the part is waited for, and then the process is stopped in it."""
        source = HOME / "large-c.safetensors"
        if not source.exists():
            subprocess.run([harness.BUILD / "tools/random_checkpoint", "--family", "sd15", "--size", "tiny", "--seed", "5", "-o",
                            source], check=True, capture_output=True)
        for number in (signal.SIGINT, signal.SIGKILL):
            for _ in range(20):
                process = self.start(source, "-o", "c.gguf", "--weights", "f32")
                while process.poll() is None and not self.parts():
                    time.sleep(0.0005)
                process.send_signal(number)
                process.wait()
                if process.returncode != 0:
                    break
                (self.folder / "c.gguf").unlink()
            self.assertNotEqual(process.returncode, 0)
            self.assertFalse((self.folder / "c.gguf").exists())
            if number == signal.SIGINT:
                self.assertEqual(self.parts(), [])
        # The next one removes what the killed one left.
        self.succeed_to("convert", source, "-o", "d.gguf")
        self.assertEqual(self.files(), {"d.gguf"})

    def test_a_full_disk_leaves_nothing(self):
        def limited():
            import resource
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        done = subprocess.run([DARKROOM, "convert", "../tiny.safetensors", "-o", "c.gguf"], capture_output=True,
                              cwd=self.folder, env=ENVIRONMENT, preexec_fn=limited, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"c.gguf", done.stderr)
        self.assertEqual(self.files(), set())


if __name__ == "__main__":
    harness.main()
