#!/usr/bin/env python3
"""generate, encode and decode: every option, files and names."""
import re
import shutil

import harness
from harness import ENVIRONMENT, GENERATE, HOME, LINE, Case, idat_of, latents_of, png, png_head


class Generate(Case):
    def test_answer(self):
        answer, code = self.ask(*GENERATE, "-o", "a.png")
        self.assertEqual(code, 0)
        self.assertEqual(answer["images"], [{"path": "a.png", "seed": 7}])
        self.assertEqual(set(answer["timings_ms"]), {"text", "unet_per_step", "vae"})
        self.assertTrue(all(ms > 0 for ms in answer["timings_ms"].values()))
        self.assertEqual(answer["planned_private_bytes"], answer["peak_private_bytes"])
        self.assertEqual(answer["vae"]["active"], "base")
        self.assertEqual(answer["warnings"], [])
        self.assertLessEqual({"released_bytes", "acquired_bytes", "before", "after", "ms", "reason"},
                             set(answer["receipt"]))
        self.assertEqual(png_head(self.folder / "a.png"), (64, 64, 8, 2))
        self.assertEqual(self.files(), {"a.png"})

    def test_text(self):
        done = self.run_program(*GENERATE, "-o", "a.png")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^a\.png  seed 7\n\d+\.\d\d s, VAE: the checkpoint's own\n$")
        self.assertIn("unet", done.stderr)
        self.assertNotIn("\033", done.stderr + done.stdout)
        quiet = self.run_program(*GENERATE, "-o", "a.png", "-q")
        self.assertEqual((quiet.stdout, quiet.stderr), ("a.png\n", ""))
        full = self.run_program(*GENERATE, "-o", "a.png", "-v").stdout
        for word in ("timings", "planned private", "peak private", "receipt", "  acquired"):
            self.assertRegex(full, rf"(?m)^{word}\b")
            self.assertNotIn(word.strip(), done.stdout)

    def test_text_of_the_others(self):
        self.ask(*GENERATE, "-o", "a.png", "--batch", "2")
        model = ("-m", "../tiny.safetensors")
        encoded = self.run_program("encode", *model, "a.png", "-o", "l.sft")
        self.assertRegex(encoded.stdout, r"^l\.sft\n\d+\.\d\d s, VAE: the checkpoint's own\n$")
        decoded = self.run_program("decode", *model, "l.sft", "-o", "d.png", "--vae", "../vae.safetensors", "--force")
        self.assertRegex(decoded.stdout, r"^d\.png\n\d+\.\d\d s, VAE: \.\./vae\.safetensors\n$")
        quiet = self.run_program("decode", *model, "l.sft", "-o", "d.png", "-q")
        self.assertEqual((quiet.stdout, quiet.stderr), ("d.png\n", ""))
        latents = self.run_program(*GENERATE, "-o", "b.sft", "--batch", "2")
        self.assertRegex(latents.stdout, r"^b\.sft  seeds 7 to 8\n\d+\.\d\d s\n$")

    def test_a_name_is_made(self):
        seedless = [word for word in GENERATE if word not in ("--seed", "7")]
        answer, _ = self.ask(*seedless)
        seed = answer["images"][0]["seed"]
        self.assertEqual(self.files(), {f"darkroom-{seed}.png"})
        self.ask(*GENERATE)
        self.assertIn("darkroom-7.png", self.files())

    def test_batch_names(self):
        answer, _ = self.ask(*GENERATE, "--batch", "3", "-o", "x.png")
        self.assertEqual(answer["images"], [{"path": "x.png", "seed": 7}, {"path": "x-2.png", "seed": 8},
                                            {"path": "x-3.png", "seed": 9}])
        self.assertEqual(self.files(), {"x.png", "x-2.png", "x-3.png"})
        self.ask(*GENERATE[:-4], "--seed", "8", "-o", "y.png")
        self.assertEqual((self.folder / "y.png").read_bytes(), (self.folder / "x-2.png").read_bytes())

    def test_formats(self):
        self.ask(*GENERATE, "-o", "a.jpg", "--quality", "80")
        self.assertEqual((self.folder / "a.jpg").read_bytes()[:3], b"\xff\xd8\xff")
        self.ask(*GENERATE, "-o", "b.png", "--bits", "16")
        self.assertEqual(png_head(self.folder / "b.png"), (64, 64, 16, 2))

    def check_profile(self, answer, networks):
        """The profile's networks, held against themselves."""
        self.assertGreater(answer["library_flop_per_ms"], 0)
        self.assertEqual([network["network"] for network in answer["profile"]], networks)
        for network in answer["profile"]:
            self.assertGreater(network["ms"], 0)
            self.assertLess(network["ms"], answer["ms"])
            rows = network["rows"]
            self.assertAlmostEqual(sum(row["share"] for row in rows), 1.0, places=4)
            for key in ("flop", "ms", "bytes"):
                self.assertAlmostEqual(sum(row[key] for row in rows) / network[key], 1.0, places=4)
            self.assertEqual([row["ms"] for row in rows], sorted((row["ms"] for row in rows), reverse=True))
            for row in rows:
                self.assertEqual(len(row["shape"]), 4)
                self.assertAlmostEqual(row["flop_per_ms"] / answer["library_flop_per_ms"], row["library_share"],
                                       delta=1e-4 * row["library_share"] + 1e-9)
        return {network["network"]: network for network in answer["profile"]}

    def test_profile_as_json(self):
        plain, _ = self.ask(*GENERATE, "-o", "plain.png")
        self.assertNotIn("profile", plain)
        self.assertNotIn("library_flop_per_ms", plain)
        answer, _ = self.ask(*GENERATE, "-o", "profile.png", "--profile")
        self.assertEqual((self.folder / "plain.png").read_bytes(), (self.folder / "profile.png").read_bytes())
        self.assertEqual(answer["planned_private_bytes"], answer["peak_private_bytes"])
        self.assertEqual(answer["peak_private_bytes"], plain["peak_private_bytes"])
        networks = self.check_profile(answer, ["text", "unet", "vae decoder"])
        self.assertEqual([networks[name]["runs"] for name in networks], [2, 2, 1])
        forecast = self.ask("memory", *GENERATE[1:3], "-W", "64", "-H", "64", "--steps", "2")[0]["forecast"]
        self.assertAlmostEqual(networks["unet"]["flop"] / (2 * forecast["unet_flop"]), 1.0, places=4)
        self.assertAlmostEqual(networks["vae decoder"]["flop"] / forecast["vae_flop"], 1.0, places=4)
        answer, _ = self.ask("encode", "-m", "../tiny.safetensors", "plain.png", "-o", "l.safetensors", "--profile")
        self.check_profile(answer, ["vae encoder"])
        answer, _ = self.ask("decode", "-m", "../tiny.safetensors", "l.safetensors", "-o", "d.png", "--profile")
        self.check_profile(answer, ["vae decoder"])

    def test_profile_as_text(self):
        plain = self.run_program(*GENERATE, "-o", "a.png", "-q")
        done = self.run_program(*GENERATE, "-o", "a.png", "-q", "--profile")
        self.assertEqual((done.returncode, plain.stderr), (0, ""))
        self.assertNotIn("profile", done.stdout)
        tables = re.split(r"(?m)^(text|unet|vae decoder): (\d+) runs?, [\d.]+ s\n", done.stderr)
        self.assertEqual((tables[0], tables[1::3], tables[2::3]),
                         ("", ["text", "unet", "vae decoder"], ["2", "2", "1"]))
        for name, table in zip(tables[1::3], tables[3::3]):
            lines = [line for line in table.splitlines() if line.startswith("  ")]
            columns = ["layer", "count", "GFLOP", "ms", "share", "GFLOP/s", "of library", "touched"]
            self.assertEqual(re.split(r"  +| (?=of lib|GFLOP/s)", lines[0].strip()), columns)
            form = r"  (.+?) +(\d+) +[\d.]+ +([\d.]+) +([\d.]+)% +([\d.]+|-) +(\d+%|-) +[\d.]+ [KMG]?i?B"
            rows = [re.fullmatch(form, line) for line in lines[1:]]
            self.assertTrue(all(rows), table)
            rows, total = rows[:-1], rows[-1]
            self.assertEqual((total[1], total[4]), ("total", "100.0"))
            self.assertEqual(sum(int(row[2]) for row in rows), int(total[2]))
            self.assertAlmostEqual(sum(float(row[4]) for row in rows), 100.0, delta=0.06 * len(rows))
            named = [row for row in rows if re.fullmatch(r"[A-Za-z0-9 ]+ \d+x\d+x\d+ \d+->\d+", row[1])]
            self.assertLessEqual(len(named), 20)
            if name == "unet":
                self.assertEqual(len(named), 20)
                self.assertRegex(rows[-1][1], r"^\d+ more kinds and shapes$")
        self.assertRegex(done.stderr, r"of library: relative to [\d.]+ GFLOP/s, the rate of a GEMM measured just before "
                                      r"the job\n$")

    def test_profile_in_the_shell(self):
        shell = self.shell("-m", "../tiny.safetensors")
        self.check_profile(self.succeed(shell, f"{LINE} -o a.png --profile"), ["text", "unet", "vae decoder"])
        self.assertNotIn("profile", self.succeed(shell, f"{LINE} -o b.png"))
        self.check_profile(self.succeed(shell, f"{LINE} -o c.png --profile"), ["unet", "vae decoder"])
        self.memory(shell)
        self.assertTrue(all(event["event"] != "profile" for event in shell.events()))
        shell.close()

    def test_options_change_the_picture(self):
        shell = self.shell("-m", "../tiny.safetensors")
        self.succeed(shell, f"{LINE} -o base.png")
        base = (self.folder / "base.png").read_bytes()
        self.succeed(shell, f"{LINE} -o again.png")
        self.assertEqual((self.folder / "again.png").read_bytes(), base)
        for index, option in enumerate(["-p fog", "-n fog", "-W 72", "-H 72", "--seed 8", "--steps 3", "--cfg 2",
                                        "--cfg 1", "--sampler euler", "--scheduler karras", "--prediction v",
                                        "--clip-skip 2", "--rng cpu"]):
            self.succeed(shell, f"{LINE} -o o{index}.png {option}")
            self.assertNotEqual((self.folder / f"o{index}.png").read_bytes(), base, option)
        shell.close()

    def test_rng_of_the_start_is_the_default(self):
        cuda, cpu = self.shell("-m", "../tiny.safetensors"), self.shell("-m", "../tiny.safetensors", "--rng", "cpu")
        self.succeed(cuda, f"{LINE} -o cuda.png --rng cpu")
        self.succeed(cpu, f"{LINE} -o cpu.png")
        self.assertEqual((self.folder / "cuda.png").read_bytes(), (self.folder / "cpu.png").read_bytes())

    def test_every_sampler(self):
        shell = self.shell("-m", "../tiny.safetensors")
        for sampler in ("euler", "euler-a", "heun", "dpmpp-2m", "dpmpp-2m-sde", "unipc", "ddim", "lcm", "dpmpp-sde", "dpmpp-2m-sde-heun",
                        "dpmpp-2s-a", "dpmpp-3m-sde", "dpm2", "dpm2-a", "lms", "restart", "plms", "deis", "ddpm", "tcd"):
            self.succeed(shell, f"{LINE} -o {sampler}.png --sampler {sampler}")
        pictures = {path.read_bytes() for path in self.folder.glob("*.png")}
        self.assertGreaterEqual(len(pictures), 18)  # some agree where steps are few

    def test_a_pair_that_does_not_go(self):
        answer, code = self.ask(*GENERATE, "--sampler", "ddim", "--scheduler", "karras", "-o", "x.png")
        self.assertEqual((code, answer["error"]["code"]), (2, "bad_input"))
        self.check_sentence(answer["error"]["message"], ["ddim", "karras", "leading", "trailing", "normal"])
        answer, _ = self.ask(*GENERATE, "--sampler", "magic", "-o", "x.png")
        self.check_sentence(answer["error"]["message"], ["magic", "euler-a", "dpmpp-2m-sde", "lcm"])
        answer, _ = self.ask(*GENERATE, "--scheduler", "magic", "-o", "x.png")
        self.check_sentence(answer["error"]["message"], ["magic", "karras"])

    def test_image_to_image(self):
        (self.folder / "in.png").write_bytes(png(100, 50))
        answer, _ = self.ask(*GENERATE, "--init", "in.png", "--strength", "0.5", "-o", "a.png")
        self.assertEqual((answer["width"], answer["height"]), (64, 64))
        self.ask(*GENERATE, "--init", "in.png", "--strength", "0.9", "-o", "b.png")
        self.assertNotEqual((self.folder / "a.png").read_bytes(), (self.folder / "b.png").read_bytes())
        answer, _ = self.ask(*GENERATE, "--strength", "0.5", "-o", "c.png")
        self.assertEqual(len(answer["warnings"]), 1)
        self.assertIn("--init", answer["warnings"][0])

    def test_a_long_prompt_is_used_whole(self):
        arguments = [*GENERATE, "-o", "a.png"]
        pictures = []
        for last in ("a", "b"):
            arguments[4] = "a " * 120 + last
            answer, _ = self.ask(*arguments, "--overwrite")
            self.assertEqual(answer["warnings"], [])
            pictures.append(idat_of(self.folder / "a.png"))
        self.assertNotEqual(*pictures)

    def test_latents_round_trip(self):
        self.ask(*GENERATE, "--batch", "2", "-o", "x.png")
        answer, _ = self.ask(*GENERATE, "--batch", "2", "-o", "x.safetensors")
        self.assertEqual(answer["latents"], "x.safetensors")
        self.assertEqual([image["seed"] for image in answer["images"]], [7, 8])
        head, data = latents_of(self.folder / "x.safetensors")
        self.assertEqual((head["latent"]["dtype"], head["latent"]["shape"]), ("F32", [2, 4, 8, 8]))
        self.assertEqual(len(data), 2 * 4 * 8 * 8 * 4)
        answer, _ = self.ask("decode", "-m", "../tiny.safetensors", "x.safetensors", "-o", "y.png", "--threads", "1")
        self.assertEqual([image["path"] for image in answer["images"]], ["y.png", "y-2.png"])
        self.assertEqual(answer["planned_private_bytes"], answer["peak_private_bytes"])
        self.assertGreater(answer["timings_ms"]["vae"], 0)
        for made, decoded in (("x.png", "y.png"), ("x-2.png", "y-2.png")):
            self.assertEqual(idat_of(self.folder / made), idat_of(self.folder / decoded))

    def test_encode(self):
        (self.folder / "in.png").write_bytes(png(70, 90))
        answer, _ = self.ask("encode", "-m", "../tiny.safetensors", "in.png", "-o", "l.safetensors")
        self.assertEqual((answer["latents"], answer["width"], answer["height"]), ("l.safetensors", 64, 88))
        head, _ = latents_of(self.folder / "l.safetensors")
        self.assertEqual(head["latent"]["shape"], [1, 4, 11, 8])
        answer, _ = self.ask("encode", "-m", "../tiny.safetensors", "in.png", "-o", "m.safetensors", "-W", "128", "-H",
                             "64")
        self.assertEqual(latents_of(self.folder / "m.safetensors")[0]["latent"]["shape"], [1, 4, 8, 16])
        answer, code = self.ask("encode", "-m", "../tiny.safetensors", "in.png", "-o", "l.png")
        self.assertEqual(code, 2)
        answer, code = self.ask("decode", "-m", "../tiny.safetensors", "l.safetensors", "-o", "o.safetensors")
        self.assertEqual(code, 2)

    def test_a_vae_for_one_job(self):
        self.ask(*GENERATE, "-o", "a.png")
        answer, _ = self.ask(*GENERATE, "-o", "b.png", "--vae", "../vae.safetensors")
        self.assertEqual((answer["vae"]["active"], answer["vae"]["source"]), ("override", "job"))
        self.assertNotEqual((self.folder / "a.png").read_bytes(), (self.folder / "b.png").read_bytes())
        vaes = self.folder / "vaes"
        vaes.mkdir()
        shutil.copy(HOME / "vae.safetensors", vaes / "mine.safetensors")
        for more in ({"arguments": ["--vae-dir", "vaes"]}, {"environment": {"DARKROOM_VAE_DIR": "vaes"}}):
            answer, _ = self.ask(*GENERATE, "-o", "c.png", "--vae", "mine", *more.get("arguments", []),
                                 environment=more.get("environment"))
            self.assertEqual(answer["vae"]["path"], "vaes/mine.safetensors")
            self.assertEqual(idat_of(self.folder / "b.png"), idat_of(self.folder / "c.png"))

    def test_tokenizer_places(self):
        nowhere = {"DARKROOM_TOKENIZER": ""}
        answer, code = self.ask(*GENERATE, "-o", "a.png", environment=nowhere)
        self.assertEqual((code, answer["error"]["code"]), (3, "not_found"))
        self.check_sentence(answer["error"]["message"], ["--tokenizer", "darkroom vocabulary"])
        tiny = ENVIRONMENT["DARKROOM_TOKENIZER"]
        self.assertEqual(self.ask(*GENERATE, "-o", "a.png", "--tokenizer", tiny, environment=nowhere)[1], 0)
        shutil.copytree(tiny, HOME / "data/darkroom/tokenizer")
        try:
            self.assertEqual(self.ask(*GENERATE, "-o", "a.png", environment=nowhere)[1], 0)
        finally:
            shutil.rmtree(HOME / "data")


if __name__ == "__main__":
    harness.main()
