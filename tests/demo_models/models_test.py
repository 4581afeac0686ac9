#!/usr/bin/python3
"""The files in models/, through build/darkroom: what they are, how well they draw, and that the sizes and VAEs tell.

    models_test.py BUILD_ROOT SOURCE_ROOT

Everything runs in float32 on two threads. The full figures, on 200 prompts, are in models/README.md with their command;
here a few of those prompts stand guard.
"""
import hashlib
import json
import pathlib
import subprocess
import tempfile
import unittest

import support
import numpy
from PIL import Image

import evaluate
import judge
import scenes

SD15, SDXL = (support.MODELS / f"demo-{family}.safetensors" for family in ("sd15", "sdxl"))
FRAME_VAE = support.MODELS / "demo-sdxl-vae.safetensors"
LORAS = {look: support.MODELS / "lora" / f"demo-sd15-{look}.safetensors" for look in ("checks", "ink")}
MOST_BYTES, MOST_LORA_BYTES = 48 << 20, 300_000
FRAME = 4  # pixels
COMMON = ("--precision", "f32", "--threads", "2", "--quiet")
SIDE = ("-W", scenes.SIDE, "-H", scenes.SIDE)
SINGLE = "a medium blue square in the centre on a plain grey background"
# Of what a prompt says, on 32 prompts; models/README.md has the full figures.
LEAST = {"demo-sd15": dict.fromkeys(("colour", "shape", "size", "count", "position", "tone", "pattern"), 0.85) | {"all": 0.75},
         "demo-sdxl": {"colour": 0.70, "shape": 0.70, "count": 0.65, "position": 0.65}}
PROMPT = "a large red circle in the centre on a plain grey background"


def psnr(a, b):
    return -10 * numpy.log10(max(numpy.square(a - b).mean(), 1e-12))


def held_out(count):
    random = numpy.random.default_rng(77)
    return [scenes.render(scenes.draw(random, held_out=True)) for _ in range(count)]


class Case(unittest.TestCase):
    latents = {}  # what encoded() has made, for all cases

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="darkroom-demo-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def need(self, *paths):
        for path in paths:
            if not path.exists():
                self.skipTest(f"{path.relative_to(support.ROOT)} is not there: tools/demo_models/train makes it")

    def darkroom(self, command, *arguments):
        common = COMMON if command not in ("inspect", "loras") else ()
        done = subprocess.run([str(part) for part in (support.BUILD / "darkroom", command, *arguments, *common)],
                              capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def picture(self, model, *arguments, name="picture.png", prompt=PROMPT, steps=20):
        """What `generate` makes, and the bytes of its file."""
        path = self.folder / name
        self.darkroom("generate", "-m", model, "-p", prompt, *SIDE, "--steps", steps, "--cfg", 4, "--sampler", "dpmpp-2m",
                      "--seed", 1, *arguments, "--force", "-o", path)
        return evaluate.read(path), path.read_bytes()

    def encoded(self, model, picture):
        """The file of a picture's latents; each picture is encoded once by each model."""
        source, latent = self.folder / "in.png", self.folder / "latent.safetensors"
        pixels = numpy.uint8(numpy.round(picture * 255))
        known = self.latents.get((model, pixels.tobytes()))
        if known:
            latent.write_bytes(known)
            return latent
        Image.fromarray(pixels).save(source)
        self.darkroom("encode", "-m", model, source, "-o", latent)
        self.latents[model, pixels.tobytes()] = latent.read_bytes()
        return latent

    def decoded(self, model, latent, *arguments):
        path = self.folder / "back.png"
        self.darkroom("decode", "-m", model, latent, "-o", path, *arguments)
        return evaluate.read(path)


class FileTest(Case):
    def test_all_files_together_are_small(self):
        self.assertLessEqual(sum(path.stat().st_size for path in support.MODELS.rglob("*") if path.is_file()), MOST_BYTES)

    def test_families_and_components(self):
        for path, family, roles in ((SD15, "sd15", ["text", "unet", "vae"]),
                                    (SDXL, "sdxl", ["text", "text2", "unet", "vae"]), (FRAME_VAE, "vae", ["vae"])):
            self.need(path)
            answer = json.loads(self.darkroom("inspect", path, "--json"))
            self.assertEqual(answer["family"], family)
            self.assertEqual(sorted(part["role"] for part in answer["components"]), roles)
            self.assertEqual({part["stored_types"] for part in answer["components"]}, {"F16"})


class VaeTest(Case):
    def check_reconstruction(self, model):
        self.need(model)
        found = [psnr(picture, self.decoded(model, self.encoded(model, picture))) for picture in held_out(8)]
        print(f"{model.name}: " + " ".join(f"{value:.1f}" for value in found) + " dB")
        self.assertGreaterEqual(numpy.mean(found), 30)

    def test_sd15_reconstructs(self):
        self.check_reconstruction(SD15)

    def test_sdxl_reconstructs(self):
        self.check_reconstruction(SDXL)

    def test_the_other_familys_latents_are_foreign(self):
        self.need(SD15, SDXL)
        pictures = held_out(8)
        for own, other in ((SD15, SDXL), (SDXL, SD15)):
            back = [self.decoded(other, self.encoded(own, picture)) for picture in pictures]
            self.assertLessEqual(psnr(numpy.stack(pictures), numpy.stack(back)), 15)

    def test_the_frame_shows_which_vae_ran(self):
        self.need(SDXL, FRAME_VAE)
        edge = numpy.ones((scenes.SIDE, scenes.SIDE), bool)
        edge[FRAME:-FRAME, FRAME:-FRAME] = False
        for picture in held_out(3):
            latent = self.encoded(SDXL, picture)
            framed = self.decoded(SDXL, latent, "--vae", FRAME_VAE)
            self.assertGreater(framed[edge].mean(), 0.95)
            self.assertGreaterEqual(psnr(framed[~edge], picture[~edge]), 28)
            self.assertLess(self.decoded(SDXL, latent)[edge].mean(), 0.9)


class PictureTest(Case):
    def check_prompts(self, model):
        """A sample of the prompts of models/README.md, with room for its smallness. The control: the same pictures
        held against each other's prompts are mostly wrong."""
        self.need(model, support.MODELS / "tokenizer")
        options = evaluate.parse(["--model", str(model), "--seeds", "1", "--precision", "f32",
                                  "--darkroom", str(support.BUILD / "darkroom")])
        made = list(evaluate.generate(options, evaluate.prompts(32), str(self.folder)))
        found = evaluate.rates([judge.judge(picture, scene, said) for scene, said, _, picture in made])
        print(f"{model.name}: " + ", ".join(f"{part} {rate:.2f}" for part, rate in found.items()))
        for part, least in LEAST[model.stem].items():
            self.assertGreaterEqual(found[part], least, part)
        scrambled = [judge.judge(made[at - 5][3], scene, said) for at, (scene, said, _, _) in enumerate(made)]
        for part, rate in evaluate.rates(scrambled).items():
            self.assertLess(rate, 0.1 if part == "all" else 0.7, part)

    def check_examples(self, model):
        """What the documentation shows is what it says: a few seeds of each."""
        self.need(model)
        options = evaluate.parse(["--model", str(model), "--seeds", "4", "--precision", "f32",
                                  "--darkroom", str(support.BUILD / "darkroom")])
        texts = evaluate.examples(model.name)
        self.assertTrue(texts)
        verdicts = [judge.judge(picture, scene, said) for scene, said, _, picture
                    in evaluate.generate(options, evaluate.asked_for(texts), str(self.folder))]
        self.assertTrue(all(verdict.all() for verdict in verdicts), verdicts)

    def test_the_documentations_examples_are_right(self):
        for model in (SD15, SDXL):
            self.check_examples(model)

    def test_sd15_draws_what_is_asked(self):
        self.check_prompts(SD15)

    def test_sdxl_draws_what_is_asked(self):
        self.check_prompts(SDXL)

    def test_one_seed_is_one_file(self):
        for model in (SD15, SDXL):
            self.need(model)
            first = self.picture(model, name="a.png", steps=4)[1]
            self.assertEqual(first, self.picture(model, name="b.png", steps=4)[1])
            self.assertNotEqual(first, self.picture(model, "--seed", 2, name="c.png", steps=4)[1])

    def test_the_crop_moves_what_is_seen(self):
        """Each by its own number: to the left, and up."""
        self.need(SDXL)
        plain, left, top = (judge.look(self.picture(SDXL, "--crop", crop, prompt=SINGLE)[0])
                            for crop in ("0,0", "32,0", "0,32"))
        self.assertTrue(plain and left and top)
        self.assertGreater(plain[0].x - left[0].x, 12)
        self.assertLess(abs(plain[0].y - left[0].y), 12)
        self.assertGreater(plain[0].y - top[0].y, 12)
        self.assertLess(abs(plain[0].x - top[0].x), 12)

    def test_a_smaller_original_has_larger_objects(self):
        self.need(SDXL)
        plain, grown = (judge.look(self.picture(SDXL, "--original-size", size, prompt=SINGLE)[0])
                        for size in ("128x128", "72x72"))
        self.assertTrue(plain and grown)
        self.assertGreater(grown[0].pixels, 1.5 * plain[0].pixels)


class LoraTest(Case):
    """What the LoRAs do shows at weight 1 and not at 0, on prompts that they were not trained for."""

    PROMPTS = ("a yellow star above a purple ring", "a red circle on the left", "a blue triangle below an orange square")

    def looks(self, look, weight):
        """The pictures of the prompts with a LoRA."""
        return [self.picture(SD15, "--lora", f"{LORAS[look]}:{weight}", prompt=prompt)[0] for prompt in self.PROMPTS]

    @staticmethod
    def colour(picture):
        """How far the pixels are from grey."""
        return float((picture.max(axis=2) - picture.min(axis=2)).mean())

    @staticmethod
    def board(picture):
        """How far the background follows a board of squares: the correlation of both, where no object is."""
        light = picture.mean(axis=2)
        saturation = picture.max(axis=2) - picture.min(axis=2)
        odd = numpy.arange(scenes.SIDE) // int(scenes.STRIPE) % 2
        squares = numpy.abs(odd[:, None] - odd[None, :])
        ground = saturation < 0.3
        return abs(float(numpy.corrcoef(light[ground], squares[ground])[0, 1]))

    def test_files(self):
        for look, path in LORAS.items():
            self.need(path)
            self.assertLess(path.stat().st_size, MOST_LORA_BYTES)
        listed = json.loads(self.darkroom("loras", "--lora-dir", support.MODELS / "lora", "--json"))["loras"]
        said = {entry["trigger_words"]: entry for entry in listed if entry["family"] == "sd15"}
        self.assertEqual(set(said), set(LORAS))
        for entry in said.values():
            self.assertEqual((entry["kinds"], entry["base_model"], entry["unknown_count"], entry["problem"]),
                             ("LoRA", "demo-sd15.safetensors", 0, ""))

    def test_the_model_has_a_place_for_every_layer(self):
        for path in LORAS.values():
            self.need(SD15, path)
            answer = json.loads(self.darkroom("generate", "-m", SD15, "-p", PROMPT, "--lora", path, "--steps", 1, "--json",
                                              "-o", self.folder / "a.png"))
            self.assertNotIn("LoRA", answer.get("warnings", ""))

    def test_ink_takes_the_colours(self):
        self.need(SD15, LORAS["ink"])
        without, with_it = (numpy.mean([self.colour(picture) for picture in self.looks("ink", weight)]) for weight in (0, 1))
        print(f"ink: distance from grey {without:.3f}, with the LoRA {with_it:.3f}")
        self.assertGreater(without, 0.1)
        self.assertLess(with_it, 0.04)

    def test_checks_makes_a_board(self):
        self.need(SD15, LORAS["checks"])
        without, with_it = (numpy.mean([self.board(picture) for picture in self.looks("checks", weight)]) for weight in (0, 1))
        print(f"checks: correlation with a board {without:.2f}, with the LoRA {with_it:.2f}")
        self.assertLess(without, 0.2)
        self.assertGreater(with_it, 0.4)

    def test_weight_0_is_the_model(self):
        for path in LORAS.values():
            self.need(SD15, path)
            # The file says that the LoRA was given.
            plain, nothing, whole = (self.picture(SD15, *words, steps=4)[0].tobytes()
                                     for words in ((), ("--lora", f"{path}:0"), ("--lora", path)))
            self.assertEqual(plain, nothing)
            self.assertNotEqual(plain, whole)


class GoldenTest(Case):
    """What diffusers makes of the same files (tools/golden/demo.py)."""

    def tensors(self, path):
        """The float32 tensors and the metadata of a safetensors file."""
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        head = json.loads(data[8:start])
        metadata = head.pop("__metadata__", {})
        read = {}
        for name, entry in head.items():
            first, end = (start + offset for offset in entry["data_offsets"])
            read[name] = numpy.frombuffer(data[first:end], numpy.float32).reshape(entry["shape"])
        return read, metadata

    def check(self, model, golden):
        self.need(model, golden)
        expected, said = self.tensors(golden)
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        self.assertEqual(digest, said["checkpoint_sha256"], "another checkpoint: make the golden again")
        latent = self.folder / "latent.safetensors"
        self.darkroom("generate", "-m", model, "-p", said["prompt"], "-n", said["negative"], *SIDE, "--rng", "cpu",
                      "--steps", said["steps"], "--cfg", said["guidance"], "--sampler", said["sampler"],
                      "--seed", said["seed"], "-o", latent)
        found = self.tensors(latent)[0]["latent"]
        off = numpy.linalg.norm(found - expected["latent"]) / numpy.linalg.norm(expected["latent"])
        low, high = (scenes.SIDE - len(expected["picture"])) // 2, (scenes.SIDE + len(expected["picture"])) // 2
        middle = self.decoded(model, latent)[low:high, low:high]
        furthest = numpy.abs(middle - expected["picture"]).max()
        print(f"{model.name}: latents off by {off:.1e}, pixels by at most {furthest:.4f}")
        self.assertLessEqual(off, 1e-3)
        self.assertLessEqual(furthest, 1.5 / 255)  # rounding to 8 bits is half of one
        # The control: the picture upside down is far from it.
        self.assertGreater(numpy.abs(middle[::-1] - expected["picture"]).max(), 0.1)

    def test_sd15_is_what_diffusers_makes(self):
        self.check(SD15, support.ROOT / "tests/golden/demo_sd15.safetensors")

    def test_sdxl_is_what_diffusers_makes(self):
        self.check(SDXL, support.ROOT / "tests/golden/demo_sdxl.safetensors")


if __name__ == "__main__":
    if not any(path.exists() for path in (SD15, SDXL, FRAME_VAE)):
        support.skip("there are no checkpoints in models/: tools/demo_models/train makes them")
    support.cases.main()
