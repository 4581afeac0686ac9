#!/usr/bin/env python3
"""The A1111 API from outside: its lists have what clients read of them."""
import a1111
import server


class Lists(a1111.Case):
    def test_T64_upscalers(self):
        first = self.get("upscalers")[0]
        self.assertEqual(first["name"], "None")
        self.assertEqual(set(first), {"name", "model_name", "model_path", "model_url", "scale"})
        self.assertIn("Latent", [mode["name"] for mode in self.get("latent-upscale-modes")])

    def test_T65_models_and_vaes(self):
        models = self.get("sd-models")
        self.assertEqual([model["model_name"] for model in models], ["other", "tiny"])
        for model in models:
            self.assertEqual(set(model), {"title", "model_name", "hash", "sha256", "filename", "config"})
        self.assertEqual([vae["model_name"] for vae in self.get("sd-vae")], ["sharp.safetensors", "soft.safetensors"])
        self.assertEqual(self.get("sd-modules"), self.get("sd-vae"))
        for entry in self.get("sd-vae"):
            self.assertNotIn("/", entry["filename"])  # R04: nothing of the disk above the directories

    def test_T65_the_other_lists(self):
        for name in ("loras", "hypernetworks", "face-restorers", "realesrgan-models", "prompt-styles", "extensions", "artists",
                     "artist-categories", "script-info"):
            self.assertIsInstance(self.get(name), list, name)
        self.assertEqual(self.get("embeddings"), {"loaded": {}, "skipped": {}})
        self.assertEqual(self.get("scripts"), {"txt2img": [], "img2img": []})
        for sampler in self.get("samplers"):
            self.assertTrue(sampler["name"] and isinstance(sampler["aliases"], list) and isinstance(sampler["options"], dict))
        for scheduler in self.get("schedulers"):
            self.assertEqual(set(scheduler), {"name", "label", "aliases", "default_rho", "need_inner_model"})
        self.assertTrue(self.get("cmd-flags")["api"])
        self.assertEqual(self.get("version")["app"], "darkroom")

    def test_T65_files_come_and_go(self):
        self.made.link(self.made.models / "new.safetensors", "--seed", "1")
        self.made.link(self.made.vaes / "new-vae.safetensors", "--part", "vae", "--seed", "4")
        self.assertEqual(self.post("refresh-checkpoints"), {})
        self.assertEqual(self.post("refresh-vae"), {})
        self.assertIn("new", [model["model_name"] for model in self.get("sd-models")])
        self.assertIn("new-vae.safetensors", [vae["model_name"] for vae in self.get("sd-vae")])
        (self.made.models / "new.safetensors").unlink()
        (self.made.vaes / "new-vae.safetensors").unlink()
        self.wait_for(lambda: len(self.get("sd-models")) == 2 and len(self.get("sd-vae")) == 2, "the lists to change")

    def test_R11_what_is_no_checkpoint_is_not_listed(self):
        for name, data in (("notes.safetensors", b"hello"), ("pickle.ckpt", b"\x80\x02cos\nsystem\n."), ("empty.safetensors", b"")):
            (self.made.models / name).write_bytes(data)
        self.post("refresh-checkpoints")
        listed = [model["model_name"] for model in self.get("sd-models")]
        for name in ("notes", "pickle", "empty"):
            (self.made.models / f"{name}.{'ckpt' if name == 'pickle' else 'safetensors'}").unlink()
            self.assertNotIn(name, listed)

    def test_T66_memory(self):
        memory = self.get("memory")
        for name in ("free", "used", "total"):
            self.assertGreater(memory["ram"][name], 0)
        self.assertLess(memory["ram"]["used"], memory["ram"]["total"])
        self.assertIsInstance(memory["cuda"], dict)
        self.assertIn("ledger", memory["darkroom"])
        self.assertIn("regions_agree", memory["darkroom"])


if __name__ == "__main__":
    server.main()
