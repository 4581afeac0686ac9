#!/usr/bin/env python3
"""Bad files, options and requests: one clear sentence, a code, and nothing broken."""
import io
import json
import os
import shutil
import struct
import subprocess
import zipfile
import zlib

import harness
from harness import DARKROOM, ENVIRONMENT, GENERATE, HOME, LIMIT_S, LINE, Case, header, make, png


class BadInput(Case):
    def refused(self, shell_line_or_arguments, exit_code, code, *parts):
        answer, got = self.ask(*shell_line_or_arguments)
        self.assertEqual((got, answer["error"]["code"]), (exit_code, code), answer)
        self.check_sentence(answer["error"]["message"], parts)
        return answer["error"]["message"]

    def test_numbers(self):
        cases = [
            ("-W", "100", "multiple of 8"), ("-H", "-64", "64"), ("-W", "100000", "8192"), ("--steps", "0", "steps"),
            ("--steps", "100000", "steps"), ("--cfg", "nan", "cfg"), ("--cfg", "-1", "cfg"), ("--batch", "0", "batch"),
            ("--seed", "-5", "seed"), ("--bits", "12", "bits"), ("--quality", "0", "quality"),
            ("--clip-skip", "0", "clip"), ("--clip-skip", "99", "clip"), ("--threads", "-1", "threads"),
            ("-o", "a.gif", ".png"), ("-o", ".", ""),
        ]
        shell = self.shell("-m", "../tiny.safetensors")
        for option, value, part in cases:
            if option == "--threads":
                self.refused([*GENERATE, "-o", "a.png", option, value], 2, "bad_input", part)
            else:
                self.fail_with(shell, f"{LINE} -o a.png {option} {value}", "bad_input", part)
        self.fail_with(shell, f"{LINE} -o a.png --init ../vae.safetensors", "unsupported")
        self.fail_with(shell, f"{LINE} -o a.png --init missing.png", "not_found", "missing.png")
        self.fail_with(shell, f"{LINE} -o nowhere/a.png", "not_found", "nowhere")
        self.assertEqual(self.files(), set())
        self.succeed(shell, f"{LINE} -o a.png")

    def test_no_model(self):
        shell = self.shell()
        for line in (LINE, "encode a.png -o b.safetensors", "decode a.safetensors -o b.png", "forecast"):
            self.fail_with(shell, line, "not_found", "no model")
        self.succeed(shell, "unload")

    def test_models(self):
        data = (HOME / "tiny.safetensors").read_bytes()
        files = {
            "truncated": (data[:len(data) // 2], 4, "corrupt", []),
            "header": (struct.pack("<Q", 1 << 60) + data[8:100], 4, "corrupt", []),
            "empty": (b"", 4, "corrupt", []),
            "deep": (struct.pack("<Q", 20000) + b"[" * 20000, 4, "corrupt", []),
            "nan": (header({"a": {"dtype": "F32", "shape": [float("nan")], "data_offsets": [0, 4]}}) + b"1234", 4,
                    "corrupt", []),
            "overlapping": (header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                                    "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}) + bytes(12), 4,
                            "corrupt", []),
            "unknown-type": (header({"a": {"dtype": "Q9", "shape": [1], "data_offsets": [0, 4]}}) + bytes(4), 5,
                             "unsupported", ["Q9"]),
            "no-model": (header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}) + bytes(4), 5,
                         "unsupported", []),
            "zip": (b"PK\x03\x04" + bytes(100), 4, "corrupt", []),
            "pickle": (b"\x80\x02}.", 5, "unsupported", ["torch.save"]),
        }
        shell = self.shell("-m", "../tiny.safetensors")
        self.succeed(shell, f"{LINE} -o a.png")
        for name, (content, exit_code, code, parts) in files.items():
            path = self.folder / f"{name}.safetensors"
            path.write_bytes(content)
            answer, got = self.ask("inspect", path.name)
            self.assertEqual((got, answer["error"]["code"]), (exit_code, code), (name, answer))
            self.fail_with(shell, f"model {path.name}", code, path.name, *parts)
        self.fail_with(shell, "model missing.safetensors", "not_found", "missing.safetensors")
        self.succeed(shell, f"{LINE} -o b.png")
        self.assertEqual((self.folder / "a.png").read_bytes(), (self.folder / "b.png").read_bytes())

    def test_duplicate_tensors(self):
        text = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],' \
               b'"data_offsets":[4,8]}}'
        (self.folder / "twice.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
        self.refused(["inspect", "twice.safetensors"], 4, "corrupt", "twice.safetensors")

    def test_missing_tensors_are_listed(self):
        name = "first_stage_model.decoder.conv_in.weight"
        make("lacking.safetensors", "--part", "vae", "--seed", "2", "--drop", name.removeprefix("first_stage_model."))
        shell = self.shell("-m", "../tiny.safetensors")
        self.fail_with(shell, "vae ../lacking.safetensors", "incomplete", "decoder.conv_in.weight")
        unet = "model.diffusion_model.input_blocks.0.0.weight"
        make("lame.safetensors", "--seed", "1", "--drop", unet)
        self.fail_with(shell, "model ../lame.safetensors", "incomplete", "input_blocks.0.0.weight")

    def test_a_vae_of_other_shapes(self):
        data = (HOME / "vae.safetensors").read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        tensors = json.loads(data[8:8 + length])
        name = "decoder.mid.block_1.conv1.weight"
        outputs, inputs, *kernel = tensors[name]["shape"]
        tensors[name]["shape"] = [outputs // 2, inputs * 2, *kernel]
        metadata = tensors.pop("__metadata__", {})
        (self.folder / "odd.safetensors").write_bytes(header(tensors, **metadata) + data[8 + length:])
        shell = self.shell("-m", "../tiny.safetensors")
        self.fail_with(shell, "vae odd.safetensors", "incomplete", "odd.safetensors", name)
        self.assertEqual(self.succeed(shell, "vae")["vae"]["active"], "base")
        self.succeed(shell, f"{LINE} -o a.png")

    def test_an_unreadable_vae(self):
        shell = self.shell("-m", "../tiny.safetensors")
        (self.folder / "folder.safetensors").mkdir()
        answer = shell.ask("vae folder.safetensors")
        self.assertFalse(answer["ok"])
        self.check_sentence(answer["error"]["message"], ["folder.safetensors"])
        if os.geteuid() != 0:
            path = self.folder / "secret.safetensors"
            shutil.copy(HOME / "vae.safetensors", path)
            path.chmod(0)
            self.fail_with(shell, "vae secret.safetensors", "io", "secret.safetensors")

    def test_not_finite(self):
        make("nan.safetensors", "--seed", "1", "--nan", "model.diffusion_model.out.2.weight")
        self.refused([*GENERATE[:2], "../nan.safetensors", *GENERATE[3:], "-o", "a.png"], 13, "not_finite")
        make("nan-vae.safetensors", "--part", "vae", "--seed", "2", "--nan", "decoder.conv_out.weight")
        self.refused([*GENERATE, "-o", "a.png", "--vae", "../nan-vae.safetensors"], 13, "not_finite",
                     "decoder.conv_out.weight")
        self.assertEqual(self.files(), set())

    def test_a_model_without_parts(self):
        make("no-vae.safetensors", "--seed", "1", "--without", "vae")
        make("no-text.safetensors", "--seed", "1", "--without", "text")
        self.assertIn("VAE", self.ask("inspect", "../no-vae.safetensors")[0]["lacks"])
        arguments = [*GENERATE, "-o", "a.png"]
        arguments[2] = "../no-text.safetensors"
        self.refused(arguments, 6, "incomplete", "text encoder")
        arguments[2] = "../no-vae.safetensors"
        self.refused(arguments, 6, "incomplete", "VAE")
        answer, code = self.ask(*arguments, "--vae", "../vae.safetensors")
        self.assertEqual(code, 0, answer)

    def test_inpainting_is_refused_by_name(self):
        make("inpainting.safetensors", "--seed", "1", "--unet-channels", "9")
        arguments = [*GENERATE, "-o", "a.png"]
        arguments[2] = "../inpainting.safetensors"
        self.refused(arguments, 5, "unsupported", "inpainting")

    def test_a_png_bomb(self):
        (self.folder / "bomb.png").write_bytes(png(60000, 60000, zlib.compress(bytes(1 << 20))))
        (self.folder / "short.png").write_bytes(png(64, 64, zlib.compress(bytes(100))))
        shell = self.shell("-m", "../tiny.safetensors")
        answer = shell.ask(f"{LINE} -o a.png --init bomb.png")
        self.assertFalse(answer["ok"])
        self.check_sentence(answer["error"]["message"], ["bomb.png"])
        self.fail_with(shell, f"{LINE} -o a.png --init short.png", "corrupt", "short.png")
        self.succeed(shell, f"{LINE} -o a.png")

    def test_a_full_disk(self):
        if os.geteuid() != 0:
            self.skipTest("mounting a small file system needs root")
        small = self.folder / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", small], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest("no file system can be mounted here")
        try:
            self.refused([*GENERATE, "-o", "small/a.png"], 9, "io", "small/a.png")
            message = self.refused([*GENERATE, "-o", "small/a.safetensors", "-W", "256"], 9, "io",
                                   "small/a.safetensors")
            self.assertIn("free", message)
            (small / "filler").write_bytes(bytes(4096))
            shell = self.shell("-m", "../tiny.safetensors")
            for name in ("small/a.png", "small/a.jpg", "small/a.safetensors"):
                self.fail_with(shell, f"{LINE} -o {name}", "io", "0 B free", name)
            self.assertEqual({event.get("stage") for event in shell.events()} - {None, "load"}, set())
            self.succeed(shell, f"{LINE} -o latents.safetensors")
            self.fail_with(shell, "decode latents.safetensors -o small/b.png", "io", "0 B free", "small/b.png")
            (self.folder / "in.png").write_bytes(png(64, 64))
            self.fail_with(shell, "encode in.png -o small/b.safetensors", "io", "0 B free", "small/b.safetensors")
            (small / "filler").unlink()
            self.assertEqual(list(small.iterdir()), [])
        finally:
            subprocess.run(["umount", small], check=True)

    def test_known_before_the_first_step(self):
        """What would fail at the end is refused at the start: no step, and the model that is named is not loaded."""
        make("other.safetensors", "--seed", "5")
        shell = self.shell("-m", "../tiny.safetensors")
        long = "w" * 40000
        (self.folder / "taken-2.png").mkdir()
        (self.folder / "file").write_text("")
        (self.folder / "text.png").write_text("a text")
        (self.folder / "latent.safetensors").write_bytes(b"")
        (self.folder / "gone").symlink_to("/nowhere")
        other = "-m ../other.safetensors"
        cases = [
            (f"{LINE} {other} -o a.gif", "bad_input", ".gif is not: .png or .jpg"),
            (f"{LINE} {other} -o none/a.png", "not_found", "there is no directory none/"),
            (f"{LINE} {other} -o gone/a.png", "not_found", "gone is a symbolic link to /nowhere"),
            (f"{LINE} {other} -o file/a.png", "not_found", "file is a file"),
            (f"{LINE} {other} -o {'n' * 300}.png", "bad_input", "too long for the file system"),
            (f"{LINE} {other} -o taken.png --batch 2", "bad_input", "taken-2.png is a directory"),
            (f"{LINE} {other} -o file/", "not_found", "file is a file"),
            (f"{LINE} {other} -o file/x/", "io", "cannot make the directory file/x"),
            (f"{LINE} {other} -o file.png/x.png", "not_found", "there is no directory file.png/"),
            (f"{LINE} {other} -o '{{x}}.png'", "bad_input", "has {x}; known are {seed}"),
            (f"{LINE} {other} -o text.png", "bad_input", "text.png exists and is not a picture"),
            (f"{LINE} {other} -o text.png --overwrite --no-clobber", "bad_input", "exclude each other"),
            (f"{LINE} {other} -o x.png -p -", "bad_input", "standard input has the commands"),
            (f"{LINE} {other} -o x.png -p @none.txt", "not_found", "cannot open the file of prompts none.txt"),
            (f"{LINE} {other} -o x.png -p @file", "bad_input", "file has no prompt"),
            (f"{LINE} {other} -o -", "bad_input", "standard output has the answers"),
            (f"encode {other} file -o latent.safetensors", "bad_input", "latent.safetensors exists and is not"),
            (f"{LINE} {other} -o .", "bad_input", ". is a directory; name a file in it"),
            (f"{LINE} -o ../tiny.safetensors --overwrite", "bad_input", "is the model that is in use"),
            ("encode file -o ../tiny.safetensors -W 64 -H 64 --overwrite", "bad_input", "is the model that is in use"),
            (f"{LINE} --vae ../vae.safetensors -o ../vae.safetensors --overwrite", "bad_input", "is the VAE that is in use"),
            ("encode file --vae ../vae.safetensors -o ../vae.safetensors -W 64 -H 64 --overwrite", "bad_input", "is the VAE that is in use"),
            (f"{LINE} {other} -o a.jpg --bits 16", "bad_input", "8 bits"),
            (f"encode {other} file -o a.png", "bad_input", ".safetensors"),
            (f"encode {other} file -o none/a.safetensors", "not_found", "no directory none/"),
            (f"decode {other} latent.safetensors -o a.safetensors", "bad_input", ".png"),
            (f"decode {other} latent.safetensors -o a.gif", "bad_input", ".png"),
            (f"{LINE} -o a.jpg -p {long}", "bad_input", "a JPEG holds at most 65533"),
            (f"{LINE} -o a.jpeg -n {long} --batch 3", "bad_input", "write a PNG"),
        ]
        before = self.memory(shell)["components"]
        for line, code, part in cases:
            self.fail_with(shell, line, code, part)
        stages = {event.get("stage") for event in shell.events()} - {None, "load"}
        self.assertEqual(stages, set())
        self.assertEqual(self.memory(shell)["components"], before)
        self.assertEqual(self.files(), {"taken-2.png", "file", "text.png", "latent.safetensors", "gone"})
        self.refused([*GENERATE, "-o", "none/a.png", "-m", "missing.safetensors"], 3, "not_found", "no directory none/")
        self.refused([*GENERATE, "-o", "a.jpg", "-p", long], 2, "bad_input", "JPEG")
        self.succeed(shell, f"{LINE} -o a.png")
        self.assertIn("unet", {event.get("stage") for event in shell.events()})

    def test_an_init_picture_that_is_too_small(self):
        """Its own size is named, not what would be left of it in multiples of 8."""
        (self.folder / "small.png").write_bytes(png(63, 200))
        arguments = [word for word in GENERATE if word not in ("-W", "-H", "64")]
        self.refused([*arguments, "-o", "a.png", "--init", "small.png"], 2, "bad_input", "small.png has 63 x 200 pixels")
        self.refused([*GENERATE[:-2], "-o", "a.png", "--init", "none.png"], 3, "not_found", "none.png")

    def test_what_is_no_model_is_named(self):
        pages = {
            "page.safetensors": (b"<!DOCTYPE html>\n<html>", "a web page (HTML)"),
            "page.ckpt": (b"\n\n<HTML><HEAD>", "a web page (HTML)"),
            "denied.safetensors": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "an XML document"),
            "packed.safetensors": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "a gzip file: unpack it first"),
            "pointer.safetensors": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
            "answer.safetensors": (b'{"error": "Invalid credentials"}', "Invalid credentials"),
            "text.safetensors": (b"Entry not found", "Entry not found"),
            "zeros.safetensors": (bytes(8192), "zeros"),
        }
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("model\x1b/other.safetensors", b"")
        pages["zip.safetensors"] = pages["zip.ckpt"] = (
            packed.getvalue(), "not a PyTorch checkpoint; unpack it first: it holds model?/other.safetensors")
        shell = self.shell("-m", "../tiny.safetensors")
        for name, (content, part) in pages.items():
            (self.folder / name).write_bytes(content)
            for line in (f"model {name}", f"vae ./{name}", f"decode {name} -o a.png"):
                answer = self.fail_with(shell, line, "unsupported", name, part)
                self.assertNotIn("header", answer["error"]["message"])
        data = (HOME / "tiny.safetensors").read_bytes()
        (self.folder / "m.safetensors.part").write_bytes(data[:-1])
        self.fail_with(shell, "model m.safetensors.part", "corrupt", "truncated", "ends in .part", "not finished")
        (self.folder / "m.safetensors").write_bytes(data)
        (self.folder / "m.safetensors.aria2").write_bytes(b"")
        self.fail_with(shell, "model m.safetensors", "corrupt", "there is an .aria2 file beside it")
        self.fail_with(shell, f"{LINE} -o a.png --init page.safetensors", "unsupported", "a web page (HTML)")
        self.fail_with(shell, f"{LINE} -o a.png --init ../tiny.safetensors", "unsupported", "a safetensors file")
        self.succeed(shell, f"{LINE} -o a.png")

    def test_only_what_is_missing_is_not_found(self):
        """Links to nothing are named with their targets; what may not be read is not called missing."""
        (self.folder / "gone.safetensors").symlink_to("../blobs/0123")
        (self.folder / "loop.safetensors").symlink_to("loop.safetensors")
        (self.folder / "file").write_text("")
        link = "is a symbolic link to ../blobs/0123, which is missing"
        shell = self.shell("-m", "../tiny.safetensors")
        for line in ("model gone.safetensors", "vae ./gone.safetensors", "vae gone.safetensors",
                     f"{LINE} -o a.png --vae ./gone.safetensors", f"{LINE} -o a.png --init gone.safetensors",
                     "decode gone.safetensors -o a.png", "encode gone.safetensors -o a.safetensors"):
            self.fail_with(shell, line, "not_found", "gone.safetensors", link)
        for line in ("model loop.safetensors", "vae ./loop.safetensors", f"{LINE} -o a.png --init loop.safetensors",
                     "decode loop.safetensors -o a.png"):
            self.fail_with(shell, line, "io", "loop.safetensors", "Too many levels")
        for line in ("model file/a.safetensors", "vae file/a.safetensors", f"{LINE} -o a.png --init file/a.png"):
            self.fail_with(shell, line, "io", "file is a file")
        # Root may read everything, so somebody else asks.
        shutil.copy(HOME / "vae.safetensors", self.folder / "secret.safetensors")
        shut = self.folder / "shut"
        shut.mkdir()
        shutil.copy(HOME / "vae.safetensors", shut / "vae.safetensors")
        HOME.chmod(0o755)
        self.folder.chmod(0o755)
        (self.folder / "secret.safetensors").chmod(0)
        shut.chmod(0)
        try:
            user = {"user": 65534} if os.geteuid() == 0 else {}
            for path, part in (("secret.safetensors", "secret.safetensors: Permission denied"),
                               ("shut/vae.safetensors", "the directory shut may not be searched")):
                for arguments in (["inspect", path], ["generate", "-m", path, "-p", "x", "-o", "/dev/null/a.png"],
                                  ["generate", "-m", "../tiny.safetensors", "-p", "x", "-o", "shut/a.png"]):
                    done = subprocess.run([DARKROOM, *arguments, "--json"], cwd=self.folder, capture_output=True,
                                          env=ENVIRONMENT, check=False, timeout=LIMIT_S, **user)
                    error = json.loads(done.stdout)["error"]
                    if arguments[0] == "inspect":
                        self.assertEqual((error["code"], done.returncode), ("io", 9), error)
                        self.assertIn(part, error["message"])
                    elif arguments[2] == path:
                        self.assertIn("/dev/null is a file", error["message"])
                    else:
                        self.assertEqual(error["code"], "io", error)
                        self.assertIn("shut", error["message"])
                        self.assertIn("Permission denied", error["message"])
        except PermissionError as problem:
            self.skipTest(f"another user cannot run the program here: {problem}")
        finally:
            shut.chmod(0o755)
            HOME.chmod(0o700)

    def test_an_unwritable_folder(self):
        message = self.ask(*GENERATE, "-o", "/proc/a.png")[0]["error"]
        self.assertIn(message["code"], ("io", "not_found"))
        if os.geteuid() != 0:
            (self.folder / "shut").mkdir(mode=0o555)
            self.refused([*GENERATE, "-o", "shut/a.png"], 9, "io", "shut")

    def test_standard_output_that_takes_nothing(self):
        with open("/dev/full", "wb") as full:
            self.assertEqual(self.run_program("help", stdout=full).returncode, 9)
            self.assertEqual(self.run_program("inspect", "../tiny.safetensors", "--json", stdout=full).returncode, 9)
            self.assertEqual(self.run_program("shell", "--json", stdin=b"help\nhelp\n", stdout=full).returncode, 9)
        closed = subprocess.Popen([DARKROOM, "shell", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=ENVIRONMENT)
        closed.stdout.close()
        closed.stdin.write(b"help\nhelp\n")
        closed.stdin.close()
        self.assertEqual(closed.wait(LIMIT_S), 9)
        closed.stderr.close()

    def test_file_names_that_are_not_text(self):
        name = os.fsencode(self.folder) + b"/caf\xe9.safetensors"
        os.link(HOME / "tiny.safetensors", name)
        done = subprocess.run([DARKROOM, "inspect", name, "--json"], capture_output=True, env=ENVIRONMENT, check=True)
        self.assertIn("caf\ufffd", json.loads(done.stdout)["path"])
        done = subprocess.run([DARKROOM, "inspect", b"no\xff", "--json"], capture_output=True, env=ENVIRONMENT,
                              check=False)
        self.assertEqual((done.returncode, json.loads(done.stdout)["error"]["code"]), (3, "not_found"))


if __name__ == "__main__":
    harness.main()
