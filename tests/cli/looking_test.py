#!/usr/bin/env python3
"""inspect and memory: what files and regions are, what a job would need."""
import hashlib
import os
import pathlib
import re
import shutil
import time

import harness
from harness import GENERATE, HOME, Case, png


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Inspect(Case):
    def test_checkpoint(self):
        answer, _ = self.ask("inspect", "../tiny.safetensors")
        self.assertEqual((answer["family"], answer["format"]), ("sd15", "safetensors"))
        self.assertEqual(answer["file_bytes"], (HOME / "tiny.safetensors").stat().st_size)
        self.assertEqual([part["role"] for part in answer["components"]], ["text", "unet", "vae"])
        self.assertNotIn("digests", answer)
        self.assertEqual(answer["automatic"]["active"], "base")
        done = self.run_program("inspect", "../tiny.safetensors")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"(?m)^family +sd15$")
        self.assertRegex(done.stdout, r"(?m)^ +unet +\d+ .* F16 ")

    def test_digests(self):
        whole, _ = self.ask("inspect", "../tiny.safetensors", "--digest")
        alone, _ = self.ask("inspect", "../own-vae.safetensors", "--digest")
        other, _ = self.ask("inspect", "../vae.safetensors", "--digest")
        self.assertEqual(alone["family"], "vae")
        self.assertRegex(whole["digests"]["vae"], r"^[0-9a-f]{64}$")
        self.assertEqual(whole["digests"]["vae"], alone["digests"]["vae"])
        self.assertNotEqual(whole["digests"]["vae"], other["digests"]["vae"])
        self.assertEqual(set(whole["digests"]), {"text", "unet", "vae"})
        self.assertEqual(whole["sha256"], sha256_of(HOME / "tiny.safetensors"))
        self.assertNotIn("sha256", self.ask("inspect", "../tiny.safetensors")[0])

    def test_neighbours(self):
        model = self.folder / "m.safetensors"
        os.link(HOME / "tiny.safetensors", model)
        os.link(HOME / "vae.safetensors", self.folder / "m.vae.safetensors")
        answer, _ = self.ask("inspect", model)
        self.assertEqual(answer["vae_neighbours"], [str(self.folder / "m.vae.safetensors")])
        self.assertEqual(answer["automatic"]["active"], "override")
        self.assertEqual(answer["automatic"]["path"], str(self.folder / "m.vae.safetensors"))

    def test_the_hash_of_a_file_is_remembered(self):
        """In the pack directory, as long as the file is the same; no other file is mistaken for it."""
        shutil.copy(HOME / "tiny.safetensors", self.folder / "m.safetensors")
        time.sleep(0.03)  # of a file that changed this moment nothing is noted
        packs = ("--packs", self.pack_folder())
        job = ["generate", "-m", "m.safetensors", *GENERATE[3:], "-o", "a.png", *packs]
        hashes = []
        for _ in range(2):
            self.ask(*job)
            hashes.append(re.search("Model hash: (.*?),", self.ask("inspect", "a.png")[0]["parameters"])[1])
        self.assertEqual(set(hashes), {sha256_of(self.folder / "m.safetensors")[:10]})
        notes = [note for note in pathlib.Path(packs[1]).glob("*.origin") if "\nfile " in note.read_text()]
        self.assertEqual(len(notes), 1)
        notes[0].write_text("f" * 64 + "\nfile m.safetensors\n")  # it is read: a run does not read the file again
        self.ask(*job)
        self.assertIn("Model hash: ffffffffff,", self.ask("inspect", "a.png")[0]["parameters"])
        shutil.copy(HOME / "tiny.safetensors", self.folder / "m.safetensors")
        self.ask(*job)
        self.assertIn(f"Model hash: {hashes[0]},", self.ask("inspect", "a.png")[0]["parameters"])

    def test_picture(self):
        self.ask(*GENERATE, "-o", "a.png")
        answer, _ = self.ask("inspect", "a.png")
        self.assertIn("a lighthouse\n", answer["parameters"])
        self.assertIn("Steps: 2, Sampler: Euler a, ", answer["parameters"])
        self.assertIn("Seed: 7, Size: 64x64", answer["parameters"])
        self.assertIn("VAE: built-in", answer["parameters"])
        self.assertIn(f"Model hash: {sha256_of(HOME / 'tiny.safetensors')[:10]}, Model: tiny,", answer["parameters"])
        digest = self.ask("inspect", "../tiny.safetensors", "--digest")[0]["digests"]["unet"]
        self.assertIn(f"Unet digest: {digest[:10]}, ", answer["parameters"])
        self.assertIn("Steps: 2", self.run_program("inspect", "a.png").stdout)
        (self.folder / "plain.png").write_bytes(png(8, 8))
        self.assertIsNone(self.ask("inspect", "plain.png")[0]["parameters"])


class Memory(Case):
    def test_budget_without_a_model(self):
        answer, _ = self.ask("memory")
        self.assertGreater(answer["budget"]["bytes"], 1 << 20)
        self.assertIn("90 % of ", answer["budget"]["reason"])
        answer, _ = self.ask("memory", "--budget", "1.5G")
        self.assertEqual(answer["budget"]["bytes"], 3 << 29)

    def test_the_forecast_is_what_the_job_takes(self):
        answer, _ = self.ask("memory", "-m", "../tiny.safetensors", "-W", "64", "-H", "64", "--threads", "1")
        forecast = answer["forecast"]
        self.assertTrue(forecast["fits"])
        self.assertLessEqual(forecast["phased_peak_bytes"], forecast["resident_peak_bytes"])
        answer, _ = self.ask(*GENERATE, "-o", "a.png")
        self.assertEqual(answer["peak_private_bytes"], forecast["resident_peak_bytes"])
        self.assertIn("fits", self.run_program("memory", "-m", "../tiny.safetensors").stdout)

    def test_the_forecast_says_no(self):
        answer, code = self.ask("memory", "-m", "../tiny.safetensors", "-W", "8192", "-H", "8192", "--budget", "200M")
        self.assertEqual(code, 0)
        self.assertFalse(answer["forecast"]["fits"])
        self.assertRegex(answer["forecast"]["verdict"], r"\d+ bytes")
        # In text there is one verdict, whatever is too small, and the budget that it names is sufficient.
        size = ["-m", "../tiny.safetensors", "-W", "64", "-H", "64", "--steps", "2", "--threads", "1"]
        for typed in ("1M", "51M"):
            answer, _ = self.ask("memory", *size, "--budget", typed)
            self.assertEqual((answer["forecast"]["fits"], answer["forecast"]["ram"]["verdict"]), (False, "would fit with a larger budget"))
            text = self.run_program("memory", *size, "--budget", typed).stdout
            named = re.match(rf"64x64: does not fit the budget of {typed[:-1]} MiB; the least that is sufficient is --budget (\d+M)\n", text)[1]
            self.assertEqual(len(re.findall(r"\bfits\b", text)), 0, text)
        self.ask("generate", *size, "-p", "x", "-o", "a.png", "--budget", named)
        self.assertEqual(self.files(), {"a.png"})
        full = self.run_program("memory", *size, "-v").stdout
        self.assertTrue(full.startswith("64x64: fits with all components resident\n"), full)
        self.assertIn("\n  unet arena ", full)

    def test_over_budget(self):
        answer, code = self.ask(*GENERATE[:5], "-W", "2048", "-H", "2048", "--budget", "100M", "-o", "a.png")
        self.assertEqual((code, answer["error"]["code"]), (11, "over_budget"))
        self.assertEqual(len(re.findall(r"\(\d+ bytes\)", answer["error"]["message"])), 3)
        self.assertEqual(self.files(), set())

    def test_same_bytes_at_a_small_budget(self):
        whole, _ = self.ask(*GENERATE, "-o", "whole.png")
        forecast = self.ask("memory", "-m", "../tiny.safetensors", "-W", "64", "-H", "64", "--budget", "1G",
                            "--threads", "1")[0]["forecast"]
        residual = self.memory(self.shell())["kernel"]["private_bytes"]
        # What the engine keeps back beside the baseline is told by its refusal of a tiny budget.
        refusal = self.run_program("shell", stdin=b"budget 4K\n").stderr
        kept = int(re.search(r"up to (\d+)\.0 MiB for primitives", refusal).group(1)) << 20
        budget = forecast["phased_peak_bytes"] + kept + residual + (2 << 20)
        answer, _ = self.ask(*GENERATE, "-o", "phased.png", "--budget", str(budget))
        self.assertLess(answer["peak_private_bytes"], whole["peak_private_bytes"])
        self.assertEqual((self.folder / "whole.png").read_bytes(), (self.folder / "phased.png").read_bytes())

    def test_shell_memory(self):
        shell = self.shell()
        empty = self.memory(shell)
        self.assertEqual(empty["regions"], [])
        self.assertEqual(empty["pid"], shell.process.pid)
        self.succeed(shell, "model ../tiny.safetensors")
        memory = self.memory(shell)
        self.assertEqual([part["name"] for part in memory["components"]], ["text", "unet", "vae"])
        for part in memory["components"]:
            self.assertEqual(set(part), {"name", "role", "state", "path", "private_bytes", "mapped_bytes"})
            self.assertEqual((part["state"], part["path"]), ("resident", "../tiny.safetensors"))
        for region in memory["regions"]:
            self.assertEqual(set(region), {"start", "bytes", "tag", "component", "kind"})
            self.assertIsInstance(region["start"], int)
        self.assertLessEqual({"private_bytes", "mapped_bytes", "peak_private_bytes"}, set(memory["ledger"]))
        self.assertLessEqual({"private_bytes", "mapped_resident_bytes", "rss_bytes", "pss_bytes"}, set(memory["kernel"]))
        self.assertEqual(set(memory["budget"]), {"bytes", "reason"})
        starts = {region["start"] for region in memory["regions"]}
        mapped = {int(line.split("-")[0], 16)
                  for line in pathlib.Path(f"/proc/{shell.process.pid}/maps").read_text().splitlines()}
        self.assertLessEqual(starts, mapped)
        text = self.run_program("shell", stdin=b"model ../tiny.safetensors\nmemory\n").stdout
        self.assertRegex(text, r"(?m)^ +0x[0-9a-f]+ +[0-9.]+ [KMG]iB +weights +unet +private$")


if __name__ == "__main__":
    harness.main()
