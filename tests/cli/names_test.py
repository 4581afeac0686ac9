#!/usr/bin/env python3
"""Files with names that people do have: spaces, quotes, other scripts, line breaks, dashes; and files that are no files."""
import json
import os
import shlex
import shutil

import harness
from harness import GENERATE, HOME, LINE, Case, header, idat_of

NAMES = ("with space", "it's \"quoted\", twice", "солнце ☀ 太陽", "line\nbreak", "-dash", "--vae", "a:b=c;d&e|f", "%s%n",
         "back\\slash", "dots...and.dots", "~", "$HOME `x`", "n" * 240)


class Names(Case):
    def copy(self, name):
        """A VAE with that name, in a VAE folder below the test's."""
        folder = self.folder / "vaes"
        folder.mkdir(exist_ok=True)
        os.link(HOME / "vae.safetensors", folder / f"{name}.safetensors")
        return f"{name}.safetensors"

    def inspect(self, path):
        return json.loads(self.run_program("inspect", "--json", "--", path).stdout)

    def test_vaes(self):
        """By name and by path, the same VAE; and the picture's text stays one that clients can read."""
        shell = self.shell("-m", "../tiny.safetensors", "--vae-dir", "vaes")
        digest, want = self.succeed(shell, "vae ../vae.safetensors")["vae"]["digest"], None
        for name in NAMES:
            file = self.copy(name)
            by_name = {"name": name, "file": file, "path": f"vaes/{file}"}
            for how, choice in by_name.items():
                if "\n" in choice:
                    continue  # the shell reads a command a line
                self.succeed(shell, "vae none")
                answer = self.succeed(shell, f"vae -- {shlex.quote(choice)}")
                self.assertEqual(answer["vae"]["digest"], digest, (name, how))
                self.assertEqual(answer["vae"]["path"], f"vaes/{file}", (name, how))
                self.assertEqual(self.succeed(shell, "vae")["vae"]["choice"], choice)
        for name in ("line\nbreak", "it's \"quoted\", twice", "-dash", "a:b=c;d&e|f", "солнце ☀ 太陽"):
            answer, code = self.ask(*GENERATE, "-o", "x.png", "--vae-dir", "vaes", f"--vae={name}")
            self.assertEqual((code, answer["vae"]["digest"]), (0, digest), (name, answer))
            text = self.inspect("x.png")["parameters"]
            self.assertEqual(text.count("\n"), 1, text)  # the prompt and the list
            shown = f"{name}.safetensors"
            if set(",:\n\"") & set(name):
                shown = '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
            self.assertIn(f", VAE: {shown}, ", text)
            want = want or idat_of(self.folder / "x.png")
            self.assertEqual(idat_of(self.folder / "x.png"), want)

    def test_models_and_pictures(self):
        first = None
        for name in NAMES:
            os.link(HOME / "tiny.safetensors", self.folder / f"{name}.safetensors")
            model, output = f"{name}.safetensors", f"{name}.png"
            arguments = [*GENERATE[:1], "-m", model, *GENERATE[3:], "-o", output]
            answer, code = self.ask(*arguments)
            self.assertEqual((code, [image["path"] for image in answer["images"]]), (0, [output]), answer)
            first = first or idat_of(self.folder / output)
            self.assertEqual(idat_of(self.folder / output), first, name)
            self.assertEqual(self.inspect(model)["family"], "sd15")
            (self.folder / model).unlink()
            (self.folder / output).unlink()
        self.assertEqual(self.files(), set())

    def test_neighbours(self):
        """`automatic` goes by the whole name, whatever is in it."""
        for name in NAMES[:-1]:
            folder = self.folder / "m"
            folder.mkdir()
            os.link(HOME / "tiny.safetensors", folder / f"{name}.safetensors")
            os.link(HOME / "vae.safetensors", folder / f"{name}.vae.safetensors")
            answer, _ = self.ask("inspect", f"m/{name}.safetensors")
            self.assertEqual(answer["automatic"]["path"], f"m/{name}.vae.safetensors", answer)
            shutil.rmtree(folder)

    def test_two_of_a_name(self):
        """In subfolders: an error that lists both, and a path decides."""
        for folder in ("vaes/one", "vaes/two"):
            (self.folder / folder).mkdir(parents=True)
            shutil.copy(HOME / "vae.safetensors", self.folder / folder / "twin.safetensors")
        shell = self.shell("-m", "../tiny.safetensors", "--vae-dir", "vaes")
        self.fail_with(shell, "vae twin", "bad_input", "vaes/one/twin.safetensors", "vaes/two/twin.safetensors")
        self.assertEqual(self.succeed(shell, "vae")["vae"]["active"], "base")
        self.assertEqual(self.succeed(shell, "vae vaes/two/twin.safetensors")["vae"]["path"],
                         "vaes/two/twin.safetensors")

    def test_what_is_no_vae(self):
        """A table of files that a user may choose: each a sentence, and what was active stays, to the byte."""
        good = (HOME / "vae.safetensors").read_bytes()
        files = {"empty": b"", "metadata-only": header({}, made="by nobody"), "text": b"not a model at all\n" * 9,
                 "half": good[:len(good) // 2], "one-byte-short": good[:-1], "one-byte-long": good + b"\0",
                 "picture": b"\x89PNG\r\n\x1a\n" + bytes(200), "huge-header": b"\xff" * 7 + b"\0{" + bytes(50)}
        shell = self.shell("-m", "../tiny.safetensors")
        self.succeed(shell, f"{LINE} -o base.png")
        for active in ("none", "../vae.safetensors"):
            digest = self.succeed(shell, f"vae {active}")["vae"]["digest"]
            held = self.memory(shell)["ledger"]["private_bytes"]
            for name, content in files.items():
                (self.folder / f"{name}.safetensors").write_bytes(content)
                answer = shell.ask(f"vae {name}.safetensors")
                self.assertIn(answer.get("error", {}).get("code"), ("corrupt", "unsupported", "incomplete"), answer)
                self.check_sentence(answer["error"]["message"], [name])
                self.assertEqual(self.succeed(shell, "vae")["vae"]["digest"], digest)
                self.assertEqual(self.memory(shell)["ledger"]["private_bytes"], held)
        self.succeed(shell, "vae none")
        self.succeed(shell, f"{LINE} -o again.png")
        self.assertEqual((self.folder / "again.png").read_bytes(), (self.folder / "base.png").read_bytes())

    def test_pipes_are_no_files(self):
        """To open one would wait for ever."""
        os.mkfifo(self.folder / "pipe.safetensors")
        os.mkfifo(self.folder / "pipe.png")
        self.assertEqual(self.ask("inspect", "pipe.png")[1], 2)
        for arguments in (["inspect", "pipe.safetensors"],
                          [*GENERATE, "-o", "x.png", "--vae", "./pipe.safetensors"],
                          [*GENERATE, "-o", "x.png", "--init", "pipe.png", "--steps", "4"],
                          ["decode", "-m", "../tiny.safetensors", "pipe.safetensors", "-o", "x.png"],
                          ["encode", "-m", "../tiny.safetensors", "pipe.png", "-o", "x.safetensors"],
                          ["generate", "-m", "pipe.safetensors", "-p", "x"]):
            answer, code = self.ask(*arguments)
            self.assertIn(code, (2, 3, 5, 9), answer)
            self.check_sentence(answer["error"]["message"], ["pipe"])
        self.assertEqual(self.files(), {"pipe.safetensors", "pipe.png"})

    def test_folders_that_take_nothing(self):
        """Models are read where nothing may be written: nothing is put beside them."""
        models = self.folder / "models"
        models.mkdir()
        os.link(HOME / "tiny.safetensors", models / "m.safetensors")
        models.chmod(0o555)
        try:
            answer, code = self.ask(*GENERATE[:1], "-m", "models/m.safetensors", *GENERATE[3:], "-o", "x.png")
            self.assertEqual(code, 0, answer)
            self.assertEqual([path.name for path in models.iterdir()], ["m.safetensors"])
        finally:
            models.chmod(0o755)
        self.assertEqual(self.files(), {"models", "x.png"})


if __name__ == "__main__":
    harness.main()
