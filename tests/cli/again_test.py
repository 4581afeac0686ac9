#!/usr/bin/env python3
"""A picture made again from what it says of itself: byte by byte the same, or what differs is said."""
import hashlib
import random
import shutil
import zlib

import harness
import layouts
import lora_file
from harness import HOME, SOURCE, Case, make, take

MAKE = ("generate", "-W", "64", "-H", "72", "--threads", "1")


class Again(Case):
    def setUp(self):
        super().setUp()
        self.models = self.folder / "models"
        self.models.mkdir()
        shutil.copy(HOME / "tiny.safetensors", self.models / "one.safetensors")
        harness.ENVIRONMENT.update(DARKROOM_MODELS=str(self.models))
        self.addCleanup(harness.ENVIRONMENT.pop, "DARKROOM_MODELS")

    def same(self, name, *made):
        """Made, made again, and equal byte by byte."""
        self.succeed_to(*MAKE, "-o", name, *made)
        answer = self.succeed_to("again", name, "--threads", "1")
        stem, dot, extension = name.rpartition(".")
        again = f"{stem}-again{dot}{extension}"
        self.assertEqual((answer["again"], answer["differences"], answer["identical"]), (name, [], True))
        self.assertEqual(answer["images"][0]["path"], again)
        self.assertEqual((self.folder / name).read_bytes(), (self.folder / again).read_bytes())

    def test_the_same_bytes(self):
        plain = ("-m", "one", "-p", "a lighthouse", "--steps", "2")
        self.same("plain.png", *plain)
        self.same("deep.png", *plain, "--bits", "16", "--seed", str(2**64 - 1))
        self.same("odd.png", "-m", "one", "-p", "two\nlines: \"x\", y", "-n", "fog, rain\nsnow", "--steps", "3", "--cfg", "4.3333333",
                  "--sampler", "dpmpp-2m", "--scheduler", "karras", "--clip-skip", "2", "--rng", "cpu", "--precision", "f32")
        self.same("v.png", *plain, "--prediction", "v", "--cfg", "1")
        self.same("empty.png", "-m", "one", "-p", "", "--steps", "1")
        self.same("picture.jpg", *plain)
        # A prompt that looks like the name of a list.
        self.same("at.png", "-m", "one", "-p", "@@/etc/passwd", "--steps", "1")

    def test_of_sdxl(self):
        shutil.copy(HOME / "xl.safetensors", self.models / "xl.safetensors")
        tiny = ("-m", "xl", "-p", "a cat", "--steps", "1")
        self.same("none.png", *tiny)
        self.same("empty.png", *tiny, "-n", "")
        self.same("sizes.png", *tiny, "--original-size", "300x200", "--crop", "8,16", "--target-size", "64x64")
        self.assertNotEqual((self.folder / "none.png").read_bytes(), (self.folder / "empty.png").read_bytes())

    def test_with_its_vae(self):
        shutil.copy(HOME / "vae.safetensors", self.models / "one.vae.safetensors")
        self.same("beside.png", "-m", "one", "-p", "x", "--steps", "1", "--force")
        (self.models / "one.vae.safetensors").unlink()
        self.fail_to("again", "beside.png", code="not_found", parts=["one.vae.safetensors"])
        answer = self.succeed_to("again", "beside.png", "--vae", "none")
        self.assertEqual([one["what"] for one in answer["differences"]], ["VAE", "VAE hash"])
        self.same("own.png", "-m", "one", "-p", "x", "--steps", "1", "--vae", "none")

    def parameters(self, name):
        return self.succeed_to("inspect", name)["parameters"]

    def test_with_its_weights_and_convolutions(self):
        plain = ("-m", "one", "-p", "a lighthouse", "--steps", "1", "-s", "7")
        texts = {}
        for name, options in (("plain.png", ()), ("f32.png", ("--weights", "f32")), ("q8.png", ("--weights", "q8")),
                              ("q4.png", ("--weights", "q4")), ("exact.png", ("--exact-convolutions", "--precision", "f32"))):
            self.same(name, *plain, *options)
            texts[name] = self.parameters(name)
        self.assertEqual(texts["f32.png"], texts["plain.png"])  # the same picture
        self.assertNotIn("Weights", texts["plain.png"])
        self.assertNotIn("Exact", texts["plain.png"])
        self.assertIn(", Weights: q8, ", texts["q8.png"])
        self.assertIn(", Weights: q4, ", texts["q4.png"])
        self.assertIn(", Exact convolutions: True, ", texts["exact.png"])
        # A float16 file is not rounded by f16.
        self.same("f16.png", *plain, "--weights", "f16")
        self.assertEqual(self.parameters("f16.png"), texts["plain.png"])
        # Whatever the settings have.
        self.addCleanup(self.run_program, "settings", "--unset", "weights")
        self.succeed_to("settings", "--weights", "q8")
        self.assertTrue(self.succeed_to("again", "plain.png", "--threads", "1")["identical"])
        self.same("set.png", *plain)
        self.assertEqual((self.folder / "set.png").read_bytes(), (self.folder / "q8.png").read_bytes())
        answer = self.succeed_to("again", "q8.png", "--weights", "q4", "--threads", "1")
        self.assertEqual(answer["differences"], [{"what": "weights", "was": "q8", "is": "q4"}])

    def test_rounded_weights_are_said(self):
        make("f32-again.safetensors", "--seed", "5", "--dtype", "f32")
        shutil.copy(HOME / "f32-again.safetensors", self.models / "wide.safetensors")
        wide = ("-m", "wide", "-p", "x", "--steps", "1", "--precision", "f32")
        self.same("wide.png", *wide)
        self.same("half.png", *wide, "--weights", "f16")
        self.assertNotIn("Weights", self.parameters("wide.png"))
        self.assertIn(", Weights: f16, ", self.parameters("half.png"))

    def test_with_its_base(self):
        tensors, texts = layouts.read(HOME / "tiny.safetensors")
        unet = {name: tensor for name, tensor in tensors.items() if name.startswith("model.diffusion_model.")}
        layouts.write(self.models / "bare.safetensors", unet, **texts)
        bare = ("-m", "bare", "-p", "x", "--steps", "1")
        self.same("bare.png", *bare, "--base", "one")
        said = self.parameters("bare.png")
        self.assertRegex(said, ", Base model: one, Base hash: [0-9a-f]{10}, ")
        # Another base, and none.
        make("other.safetensors", "--seed", "5")
        shutil.copy(HOME / "other.safetensors", self.models / "two.safetensors")
        answer = self.succeed_to("again", "bare.png", "--base", "two", "--threads", "1")
        self.assertEqual([one["what"] for one in answer["differences"]], ["VAE hash", "base model", "base hash"])
        (self.models / "one.safetensors").unlink()
        self.fail_to("again", "bare.png", code="not_found", parts=["bare.png", " one,", "--base MODEL"])

    def test_image_to_image_needs_its_picture(self):
        self.succeed_to(*MAKE, "-m", "one", "-p", "x", "--steps", "1", "-o", "a.png")
        self.succeed_to(*MAKE, "-m", "one", "-p", "y", "--steps", "4", "--init", "a.png", "--strength", "0.6", "-o", "b.png")
        self.fail_to("again", "b.png", code="bad_input", parts=["--init"])
        self.assertTrue(self.succeed_to("again", "b.png", "--init", "a.png", "--threads", "1")["identical"])

    def test_what_differs_is_said(self):
        self.succeed_to(*MAKE, "-m", "one", "-p", "x", "-s", "7", "--steps", "1", "-o", "a.png")
        answer = self.succeed_to("again", "a.png", "--steps", "2", "-p", "y", "-o", "b.png")
        self.assertEqual(answer["differences"], [{"what": "prompt", "was": "x", "is": "y"}, {"what": "steps", "was": "1", "is": "2"}])
        self.assertFalse(answer["identical"])
        # Another file of the same name: by its hash and its weights.
        make("other.safetensors", "--seed", "5")
        shutil.copy(HOME / "other.safetensors", self.models / "one.safetensors")
        answer = self.succeed_to("again", "a.png")
        self.assertEqual({one["what"] for one in answer["differences"]}, {"model hash", "UNet digest", "VAE hash"})
        done = self.run_program("again", "a.png", "-o", "c.png")
        self.assertRegex(done.stdout, r"differs from a.png:\n  model hash: [0-9a-f]{10} -> [0-9a-f]{10}\n")
        # In place of itself it is compared with what it was.
        answer = self.succeed_to("again", "a.png", "-o", "a.png")
        self.assertFalse(answer["identical"])
        self.assertTrue(self.succeed_to("again", "a.png", "-o", "a.png", "--threads", "1")["identical"])
        # Another version.
        data = (self.folder / "a.png").read_bytes()
        (self.folder / "old.png").write_bytes(self.with_version(data, b"0.0.9"))
        answer = self.succeed_to("again", "old.png")
        self.assertEqual([one["what"] for one in answer["differences"]], ["version"])

    @staticmethod
    def with_version(data, version):
        """The PNG with another version in its text, which is as long."""
        start = data.index(b"tEXtparameters\0")
        length = int.from_bytes(data[start - 4:start], "big")
        chunk = data[start:start + 4 + length]
        at = chunk.rindex(b"Version: darkroom ") + len(b"Version: darkroom ")
        changed = chunk[:at] + version + chunk[at + len(version):]
        return data[:start] + changed + zlib.crc32(changed).to_bytes(4, "big") + data[start + 4 + length + 4:]

    def test_the_model_is_found_by_its_digest(self):
        packs = self.pack_folder()
        more = ("--packs", packs, "--threads", "1")
        self.succeed_to(*MAKE, "-m", "one", "-p", "x", "--steps", "1", "-o", "a.png", "--packs", packs)
        (self.models / "one.safetensors").rename(self.models / "renamed.safetensors")
        shutil.copy(HOME / "tiny.safetensors", self.models / "one-more.safetensors")  # not the name, but its beginning
        # The change time is another: the file is not known any more, and its name is another, too.
        self.fail_to("again", "a.png", *more, code="not_found", parts=["hash", " one ", str(self.models), "-m FILE"])
        self.succeed_to(*MAKE, "-m", "renamed", "-p", "y", "--steps", "1", "-o", "b.png", "--packs", packs)
        answer = self.succeed_to("again", "a.png", *more)
        self.assertEqual(answer["differences"], [{"what": "model", "was": "one", "is": "renamed"}])
        # Wherever it lies: it was used before.
        harness.ENVIRONMENT.update(DARKROOM_MODELS="/nowhere")
        self.assertEqual(self.succeed_to("again", "a.png", *more)["differences"], answer["differences"])

    def test_what_says_nothing(self):
        (self.folder / "text.png").write_text("no picture")
        self.fail_to("again", "text.png", code="unsupported", parts=["text.png"])
        self.fail_to("again", "none.png", code="not_found", parts=["none.png"])
        self.assertEqual(self.run_program("again").returncode, 2)
        shell = self.shell()
        self.succeed_to(*MAKE, "-m", "one", "-p", "x", "--steps", "1", "-o", "a.png")
        answer = shell.ask("again a.png -o b.png --threads 1")
        self.assertFalse(answer["ok"])  # fixed when the shell starts
        answer = shell.ask("again a.png -o b.png")
        self.assertTrue(answer["identical"], answer)

    def test_the_shell_says_that_its_model_changes(self):
        self.succeed_to(*MAKE, "-m", "one", "-p", "x", "--steps", "1", "-o", "a.png")
        make("other.safetensors", "--seed", "5")
        other, one = str(HOME / "other.safetensors"), str(self.models / "one.safetensors")
        shell = self.shell("-m", other)
        def said():
            return [event["message"] for event in shell.events() if event["event"] == "log"]
        self.assertTrue(self.succeed(shell, "again a.png -o b.png -q")["images"])
        self.assertEqual((said(), self.succeed(shell, "model")["model"]["path"]), ([], one))
        self.succeed(shell, "again a.png -o b.png")
        self.succeed(shell, f"model {other}")
        self.assertEqual(said(), [])
        self.succeed(shell, "again a.png -o b.png")
        self.assertEqual(said(), [f"the model is now {one}, also for later commands; model {other} switches back"])


class Like(Case):
    """generate --like PICTURE, and files that a picture's text names by their hashes."""
    def setUp(self):
        super().setUp()
        models = self.folder / "models"
        models.mkdir()
        shutil.copy(HOME / "tiny.safetensors", models / "one.safetensors")
        harness.ENVIRONMENT.update(DARKROOM_MODELS=str(models))
        self.addCleanup(harness.ENVIRONMENT.pop, "DARKROOM_MODELS")
        self.networks = self.folder / "networks"
        self.networks.mkdir()
        self.directories = ("--lora-dir", str(self.networks), "--embedding-dir", str(self.networks))
        self.lora(1)
        self.embedding(2)

    def lora(self, seed):
        lora_file.lora(self.networks / "ink.safetensors", HOME / "tiny.safetensors", seed)

    def embedding(self, seed):
        width = next(entry["shape"][1] for name, entry in lora_file.read_header(HOME / "tiny.safetensors").items()
                     if name.endswith("token_embedding.weight"))
        numbers = random.Random(seed)
        lora_file.write(self.networks / "easy.safetensors", {"emb_params": ([2, width], [numbers.gauss(0, 0.5) for _ in range(2 * width)])})

    def text_of(self, name):
        return self.succeed_to("inspect", name)["parameters"]

    def put_text(self, name, text):
        """The picture with another text."""
        data = (self.folder / "base.png").read_bytes()
        start = data.index(b"tEXtparameters\0")
        length = int.from_bytes(data[start - 4:start], "big")
        chunk = b"tEXtparameters\0" + text.encode("latin-1")
        (self.folder / name).write_bytes(data[:start - 4] + (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
                                         + data[start + 4 + length + 4:])

    def logs(self, *arguments):
        done = self.run_program(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def test_hashes_are_written(self):
        ink, easy = self.networks / "ink.safetensors", self.networks / "easy.safetensors"
        self.succeed_to(*MAKE, "-m", "one", "-p", "easy <lora:ink:0.5>", "--steps", "2", "-o", "a.png", *self.directories)
        text = self.text_of("a.png")
        data = ink.read_bytes()
        data = data[8 + int.from_bytes(data[:8], "little"):]
        self.assertIn(f', Lora hashes: "ink: {hashlib.sha256(data).hexdigest()[:12]}", '
                      f'TI hashes: "easy: {hashlib.sha256(easy.read_bytes()).hexdigest()[:12]}", ', text)
        answer = self.succeed_to("again", "a.png", "--threads", "1", *self.directories)
        self.assertEqual((answer["differences"], answer["identical"]), ([], True))
        # One that was given beside the prompt is in the text's prompt.
        self.succeed_to(*MAKE, "-m", "one", "-p", "easy", "--lora", f"{ink}:0.5:0.25", "--steps", "2", "-o", "b.png", *self.directories)
        self.assertTrue(self.text_of("b.png").startswith("easy <lora:ink:0.25:0.5>\n"))
        answer = self.succeed_to("again", "b.png", "--threads", "1", *self.directories)
        self.assertEqual((answer["differences"], answer["identical"]), ([], True))

    def test_other_files_of_the_same_name_are_said(self):
        self.succeed_to(*MAKE, "-m", "one", "-p", "easy <lora:ink:0.5>", "--steps", "2", "-o", "a.png", *self.directories)
        self.lora(7)
        self.embedding(8)
        answer = self.succeed_to("again", "a.png", "--threads", "1", *self.directories)
        self.assertEqual([one["what"] for one in answer["differences"]], ["LoRA hash", "embedding hash"])
        said = self.logs("generate", "--like", "a.png", "-o", "b.png", *self.directories)
        for one in answer["differences"]:
            self.assertRegex(said, f"another file of the same name: the {one['what']} is {one['is']}, and was {one['was']}")

    def test_like_takes_all_settings(self):
        self.succeed_to(*MAKE, "-m", "one", "-p", "a (easy:1.2) ring", "-n", "fog", "--steps", "3", "--cfg", "4.5", "--sampler", "dpmpp-2m",
                        "--scheduler", "karras", "--clip-skip", "2", "--seed", "77", "--variation-strength", "0.25",
                        "--variation-seed", "5", "-o", "a.png", *self.directories)
        said = self.logs("generate", "--like", "a.png", "-o", "b.png", "--threads", "1", *self.directories)
        self.assertNotIn("not restored", said)
        self.assertEqual((self.folder / "a.png").read_bytes(), (self.folder / "b.png").read_bytes())
        # What is given wins.
        self.succeed_to("generate", "--like", "a.png", "-o", "c.png", "--seed", "78", "-p", "a cat", "--steps", "2", *self.directories)
        text = self.text_of("c.png")
        self.assertTrue(text.startswith("a cat\nNegative prompt: fog\nSteps: 2, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 4.5, Seed: 78, "), text)
        # The name is as of any new picture.
        answer = self.succeed_to("generate", "--like", "a.png", *self.directories)
        self.assertEqual(answer["images"][0]["path"], "darkroom-77.png")
        self.assertEqual(self.run_program("again", "a.png", "--like", "a.png").returncode, 2)
        self.assertEqual(self.run_program("generate", "--like", "nowhere.png").returncode, 3)

    def test_like_a_picture_of_a1111(self):
        self.succeed_to(*MAKE, "-m", "one", "-p", "x", "--steps", "1", "-o", "base.png")
        self.put_text("a1111.png", "a (easy:1.1) ring <lora:ink:0.7>\nNegative prompt: fog\nSteps: 2, Sampler: DPM++ 2M, Schedule type: Karras, "
                      "CFG scale: 6.5, Seed: 12, Size: 64x64, Model hash: 0123456789, Model: one, VAE hash: 735e4c3a44, VAE: lost.vae.pt, "
                      "Denoising strength: 0.4, Clip skip: 2, Hires upscale: 2, Hires upscaler: Latent, "
                      'Lora hashes: "ink: 0123456789ab", TI hashes: "easy: ba9876543210", Hashes: {"vae": "735e4c3a44"}, Version: v1.10.1')
        said = self.logs("generate", "--like", "a1111.png", "-o", "b.png", *self.directories)
        self.assertRegex(said, "not restored from the picture: Hires upscale, Hires upscaler, Denoising strength, the VAE lost.vae.pt\n")
        self.assertRegex(said, "the LoRA hash is ink [0-9a-f]{12}, and was ink 0123456789ab")
        self.assertRegex(said, "the embedding hash is easy [0-9a-f]{12}, and was easy ba9876543210")
        text = self.text_of("b.png")
        self.assertTrue(text.startswith("a (easy:1.1) ring <lora:ink:0.7>\nNegative prompt: fog\nSteps: 2, Sampler: DPM++ 2M, Schedule type: Karras, "
                                        "CFG scale: 6.5, Seed: 12, Size: 64x64, "), text)
        self.assertIn(", Clip skip: 2, ", text)
        # Another model where the picture's is not here; a sampler that is not.
        self.put_text("far.png", "x\nSteps: 2, Sampler: Foo, Seed: 1, Size: 64x64, Model: far-away, Version: f2.0")
        self.fail_to("generate", "--like", "far.png", code="not_found", parts=["far-away", "-m FILE"])
        said = self.logs("generate", "--like", "far.png", "-m", "one", "-o", "c.png")
        self.assertRegex(said, "not restored from the picture: Sampler Foo\n")
        shell = self.shell("-m", str(self.folder / "models/one.safetensors"))
        self.succeed(shell, "generate --like far.png -o d.png")
        self.assertTrue(any("the model far-away" in event.get("message", "") for event in shell.events()))
        # One made from another picture.
        self.put_text("second.png", "x\nSteps: 2, Sampler: Euler, Seed: 1, Size: 64x64, Model: one, Denoising strength: 0.5")
        self.assertIn("give it with --init", self.logs("generate", "--like", "second.png", "-o", "e.png"))
        self.assertNotIn("not restored", self.logs("generate", "--like", "second.png", "--init", "base.png", "-o", "f.png"))
        self.assertIn("Denoising strength: 0.5", self.text_of("f.png"))


if __name__ == "__main__":
    take("xl.safetensors", "--family", "sdxl", "--seed", "3")
    harness.main()
