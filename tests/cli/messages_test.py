#!/usr/bin/env python3
"""Help and messages: width, defaults, "did you mean", ranges, names of pictures, units, prompts of other programs."""
import re

import harness
from harness import GENERATE, Case, png

MODEL = ("-m", "../tiny.safetensors")
COMMANDS = ("generate", "again", "encode", "decode", "inspect", "vaes", "models", "packs", "settings", "vocabulary", "memory",
            "shell", "help")


class Help(Case):
    def test_lines_are_short(self):
        texts = [self.run_program("--help").stdout]
        texts += [self.run_program("help", command).stdout for command in COMMANDS]
        shell = self.shell()
        names = re.findall(r"(?m)^  ([a-z]+) ", self.succeed(shell, "help")["help"])
        self.assertIn("unload", names)
        texts += [self.succeed(shell, f"help {name}")["help"] for name in names]
        for text in texts:
            for line in text.splitlines():
                self.assertLessEqual(len(line), 100, line)

    def test_defaults_are_the_commands_own(self):
        for command in ("encode", "decode"):
            text = self.run_program(command, "--help").stdout
            self.assertRegex(text, r"-o, --output FILE[^(]*\(required\)")
            self.assertNotIn("SEED", text)
            self.assertEqual(self.ask(command, *MODEL, "x")[0]["error"]["code"], "bad_input")
            self.assertIn("-o", self.ask(command, *MODEL, "x")[0]["error"]["message"])
        text = re.sub(r"\s+", " ", self.run_program("encode", "--help").stdout)
        self.assertIn("resize the picture to this width, a multiple of 8 (default: its own, cropped to a multiple of 8)", text)
        (self.folder / "p.png").write_bytes(png(77, 70))
        answer, _ = self.ask("encode", *MODEL, "p.png", "-o", "l.sft")
        self.assertEqual((answer["width"], answer["height"]), (72, 64))
        text = re.sub(r"\s+", " ", self.run_program("generate", "--help").stdout)
        self.assertIn("(default: darkroom-SEED.png)", text)
        text = re.sub(r"\s+", " ", self.run_program("again", "--help").stdout)
        self.assertIn("(default: NAME-again.png)", text)
        self.assertIn("sampling steps, 1 to 1000 (default: the picture's)", text)
        self.assertNotIn("SEED", text)
        self.assertNotIn("default", self.run_program("settings", "--help").stdout.split("--vae-dir DIR")[1].split("\n")[0])


class Meant(Case):
    def said(self, *arguments):
        done = self.run_program(*arguments)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_commands(self):
        self.assertEqual(self.said("genrate"), 'darkroom genrate: unknown command "genrate"; did you mean generate? '
                                               "darkroom --help lists the commands\n")
        self.assertNotIn("did you mean", self.said("photograph"))
        self.assertIn("did you mean encode?", self.said("help", "enocde"))
        self.assertIn("is a command of the shell: run darkroom shell, then unload", self.said("unload"))
        shell = self.shell()
        self.fail_with(shell, "modle x", "bad_input", "did you mean model?")
        self.fail_with(shell, "settings", "bad_input", "quit, then run darkroom settings")

    def test_options(self):
        self.assertIn("unknown option --heigth; did you mean --height?", self.said("generate", "--heigth", "64"))
        self.assertIn("did you mean --seed?", self.said("generate", "--sed=7"))
        self.assertNotIn("--seed", self.said("encode", "--sed=7"))  # encode has none
        self.assertNotIn("did you mean", self.said("generate", "--photograph"))

    def test_values(self):
        self.assertIn('unknown sampler "eulr"; did you mean euler?', self.said("generate", "--sampler", "eulr"))
        self.assertIn("did you mean euler-a?", self.said("generate", "--sampler", "Euler a"))
        self.assertIn("did you mean karras?", self.said("generate", "--scheduler", "kerras"))
        self.assertIn("did you mean cpu?", self.said("generate", "--rng", "cup"))
        self.assertIn("the samplers are euler, ", self.said("generate", *MODEL, "-p", "x", "--sampler", "photograph"))


class Names(Case):
    def message(self, *arguments):
        return self.ask("generate", *arguments)[0]["error"]["message"]

    def test_outputs(self):
        self.assertIn("needs a file name extension that can be written, which .webp is not: .png or .jpg for a picture",
                      self.message(*MODEL, "-p", "x", "-o", "x.webp"))
        self.assertIn("needs a file name extension: .png", self.message(*MODEL, "-p", "x", "-o", "x"))

    def test_models(self):
        self.assertIn("digest (at least 6 digits)", self.message("-m", "c39d", "-p", "x"))
        self.assertNotIn("6 digits", self.message("-m", "house", "-p", "x"))
        self.assertNotIn("6 digits", self.message("-m", "c39d55", "-p", "x"))
        self.assertIn("darkroom/models (does not exist)", self.message("-m", "house", "-p", "x"))
        self.ask(*GENERATE, "-o", "star.png")
        self.assertIn("star.png is a PNG picture, not a model; darkroom again", self.message("-m", "star.png", "-p", "x"))
        (self.folder / "plain.png").write_bytes(png(64, 64))
        self.assertTrue(self.message("-m", "plain.png", "-p", "x").endswith("plain.png is a PNG picture"))


class Numbers(Case):
    def test_out_of_range(self):
        for option, value, said in [("--steps", 0, "minimum is 1"), ("--steps", 9999, "1 to 1000"), ("--cfg", 2000, "0 to 1000"),
                                    ("--cfg", "1e999", "0 to 1000"), ("--batch", 999, "1 to 256"), ("--batch", 0, "1 to 256"),
                                    ("-W", 0, "minimum is 64"), ("-W", 9000, "64 to 8192"), ("-H", 32, "64 to 8192"),
                                    ("--quality", 101, "1 to 100"), ("--threads", 2000, "1 to 1024"),
                                    ("--crop", "70000,0", None), ("--seed", -2, "minimum is 0"), ("--clip-skip", 0, None)]:
            answer, code = self.ask(*GENERATE, option, value)
            self.assertEqual((code, answer["ok"]), (2, False), option)
            if said:
                self.assertRegex(answer["error"]["message"], rf"out of range.*{said}", option)
        (self.folder / "p.png").write_bytes(png(64, 64))
        answer, _ = self.ask(*GENERATE, "--init", "p.png", "--strength", "2")
        self.assertRegex(answer["error"]["message"], "out of range.*at most 1")

    def test_a_size_from_a_picture_names_it(self):
        generate = ["generate", *MODEL, "-p", "x", "--init", "p.png", "-o", "a.png"]
        for width, height, said in [(9000, 64, "8192"), (32, 64, "at least 64")]:
            (self.folder / "p.png").write_bytes(png(width, height))
            message = self.ask(*generate)[0]["error"]["message"]
            self.assertRegex(message, rf"^p\.png has {width} x {height} pixels.*{said}")
        (self.folder / "p.png").write_bytes(png(1024, 1024))
        message = self.ask(*generate, "--budget", "52M", "--packs", "off")[0]["error"]["message"]
        self.assertRegex(message, r"^1024x1024 \(the size of p\.png\) needs at least ")
        message = self.ask(*generate, "-W", "1024", "-H", "1024", "--budget", "52M", "--packs", "off")[0]["error"]["message"]
        self.assertRegex(message, r"^1024x1024 needs at least ")

    def test_budgets_are_in_the_typed_unit(self):
        for typed, said in [("1500M", "1500 MiB"), ("1.5G", "1.5 GiB"), ("3000000K", "3000000 KiB")]:
            self.assertRegex(self.run_program("memory", "--budget", typed).stdout, rf"bytes +{re.escape(said)}\n")
        lines = b"budget 1500M\nbudget default\nbudget 2G\nbudget\n"
        self.assertEqual(re.findall(r"bytes +(1500 .*|2 .*)", self.run_program("shell", stdin=lines).stdout),
                         ["1500 MiB", "2 GiB", "2 GiB"])
        job = [*GENERATE, "-W", "1024", "-H", "1024", "--packs", "off", "-o", "a.png"]
        self.assertIn("a budget of 6 MiB leaves nothing", self.run_program("shell", stdin=b"budget 6M\n").stderr)
        named = set()
        for typed in ("1M", "40M", "49M", "52M"):
            message = self.ask(*job, "--budget", typed)[0]["error"]["message"]
            found = re.search(rf"a budget of (\d+) bytes is sufficient \((\d+)M; {typed} was given\)$", message)
            self.assertLessEqual(int(found[1]), int(found[2]) << 20)
            self.assertGreater(int(found[1]), int(found[2]) - 1 << 20)
            named.add(found[1])
        self.assertEqual(len(named), 1)

    def test_the_last_of_repeated_options_counts(self):
        answer, _ = self.ask(*GENERATE, "--seed", "8", "--steps", "1", "-o", "a.png", "-o", "b.png")
        self.assertEqual(answer["images"], [{"path": "b.png", "seed": 8}])


class Characters(Case):
    def test_a_terminal_is_left_alone(self):
        """What is typed may have any byte; what is printed moves no cursor and sets no colour."""
        lines = "budget 2G\x1b[A\nnon\x1b[31msense\nmodel 'a\x07\u00e4'\n".encode()
        done = self.run_program("shell", stdin=lines)
        self.assertEqual(done.returncode, 1)
        self.assertNotRegex(done.stderr, "[\x00-\x09\x0b-\x1f\x7f]")
        self.assertIn("a?\u00e4", done.stderr)
        self.assertIn('"2G?[A" is not a size', done.stderr)
        done = self.run_program("generate", *MODEL, "-W", "64", "-H", "64", "--steps", "1", "-o", "a.png", "-p", "(a\x1b[31m:2)")
        self.assertNotRegex(done.stderr, "[\x00-\x09\x0b-\x1f\x7f]")
        done = self.run_program("generate", *MODEL, "-W", "64", "-H", "64", "--steps", "1", "-o", "a.png", "-p", "<lora:a\x1b[31m:2>")
        self.assertIn('no LoRA "a?[31m"', done.stderr)


class Prompts(Case):
    def test_a_job_asks_for_its_prompt(self):
        job = ["generate", *MODEL, "-W", "64", "-H", "64", "--steps", "1", "-o", "a.png"]
        answer, code = self.ask(*job)
        self.assertEqual(code, 2)
        self.assertIn("no prompt was given: give one with -p TEXT", answer["error"]["message"])
        self.assertEqual(self.files(), set())
        self.assertEqual(self.ask(*job, "-p", "")[1], 0)

    def test_syntax_of_prompts(self):
        job = ["generate", *MODEL, "-W", "64", "-H", "64", "--steps", "1", "-o", "a.png", "--seed", "1"]
        for prompt in "a (red:1.2) ring", "a [red] ring", "a ring BREAK a ball", "a ring AND a ball :0.5", "[a:b:1] [c|d]":
            answer, code = self.ask(*job, "-p", prompt)
            self.assertEqual((code, answer["warnings"]), (0, []), prompt)
        for prompt, said in [("a <lora:x:1> ring", 'there is no LoRA "x"'), ("(a:1.2.3)", '"1.2.3" in the prompt is not a weight'),
                             ("<lora:x:nan>", '"nan" is not a weight'), ("(" * 20000 + "a", "which is not finite")]:
            answer, code = self.ask(*job, "-p", prompt)
            self.assertNotEqual(code, 0, prompt[:20])
            self.assertIn(said, answer["error"]["message"])
            self.assertEqual(self.ask(*job, "-p", prompt, "--prompt-syntax", "plain")[1], 0)
        self.assertEqual(self.ask(*job, "-p", "(" * 10000 + ")" * 10000)[1], 0)

    def test_what_is_wrong_with_prompts_is_said_before_anything_is_read(self):
        job = ["generate", *MODEL, "-W", "64", "-H", "64", "--steps", "1", "-o", "a.png", "--seed", "1", "--strength", "0.5",
               "-p", "a (red:1.2) ring " + "a " * 120]
        done = self.run_program(*job)
        warnings, rest = done.stderr.split("\nseed 1\n")
        self.assertEqual(warnings.count("--strength has no effect"), 1, done.stderr)
        self.assertNotIn("warning", rest)
        self.assertNotIn("load\n", warnings)
        answer, _ = self.ask(*job)
        self.assertEqual(len([line for line in done.stderr.splitlines() if "warning" in line]), 1)
        self.assertIn("--strength", " ".join(answer["warnings"]))
        self.assertEqual(self.run_program(*job, "-q").stderr, "")


class Latents(Case):
    def test_inspect_knows_them(self):
        self.ask(*GENERATE, "-o", "l.sft", "--batch", "2")
        answer, code = self.ask("inspect", "l.sft")
        self.assertEqual(code, 0, answer)
        self.assertEqual((answer["family"], answer["latent_count"], answer["width"], answer["height"]), ("latents", 2, 64, 64))
        self.assertEqual(answer["file_bytes"], (self.folder / "l.sft").stat().st_size)
        self.assertRegex(self.run_program("inspect", "l.sft").stdout, r"(?m)^family +latents$")
        self.ask("encode", *MODEL, "-o", "e.safetensors", "../tiny.safetensors")
        (self.folder / "no.safetensors").write_bytes(harness.header({"latent": {"dtype": "F32", "shape": [1, 3, 8, 8],
                                                                                "data_offsets": [0, 768]}}) + bytes(768))
        self.assertEqual(self.ask("inspect", "no.safetensors")[0]["error"]["code"], "unsupported")


if __name__ == "__main__":
    harness.main()
