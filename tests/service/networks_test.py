#!/usr/bin/env python3
"""What prompts can name, from outside: LoRAs are listed, used, and refused before a job is accepted."""
import json
import math
import pathlib
import random

import a1111
import lora_file
import server

TINY = pathlib.Path("models/tiny.safetensors")
JOB = {"prompt": "a lighthouse", "steps": 2, "width": 64, "height": 64, "seed": 5}


def fill(made):
    """Two directories of LoRAs for a server that has not started: their paths."""
    folders = [made.home / "lora", made.home / "more"]
    for folder in folders:
        (folder / "style").mkdir(parents=True)
    model = made.home / TINY
    lora_file.lora(folders[0] / "style/ink.safetensors", model, 1, ss_base_model_version="sd_v1", ss_sd_model_name="base.safetensors",
                   ss_tag_frequency=json.dumps({"x": {"ink": 4, "brush": 7}}))
    tensors = lora_file.lora(folders[1] / "wash.safetensors", model, 2, text=False)
    (folders[1] / "broken.safetensors").write_bytes(b"\0" * 40)
    name = next(name for name in tensors if name.endswith("lora_up.weight"))
    shape, numbers = tensors[name]
    lora_file.write(folders[1] / "nan.safetensors", tensors | {name: (shape, [math.nan] + numbers[1:])})
    embeddings = made.home / "embeddings"
    embeddings.mkdir()
    for name, width, texts in (("soft", 768, {}), ("hard", 1024, {})):
        lora_file.write(embeddings / f"{name}.safetensors", {"emb_params": ([2, width], [0.25] * 2 * width)}, **texts)
    width = next(entry["shape"][1] for name, entry in lora_file.read_header(model).items() if name.endswith("token_embedding.weight"))
    lora_file.write(embeddings / "velvet.safetensors", {"emb_params": ([2, width], [(-1) ** i * 0.5 for i in range(2 * width)])})
    lora_file.write(embeddings / "wide.safetensors", {"clip_l": ([3, 768], [0.5] * 2304), "clip_g": ([3, 1280], [0.5] * 3840)})
    (embeddings / "broken.pt").write_bytes(b"\x80\x02cos\nsystem\n.")
    (made.home / "styles.csv").write_text("name,prompt,negative_prompt\nInk,\"drawing of {prompt}, ink\",photo\nNight,dark,\n")
    return folders


def pixels(png):
    """Without the text that says how it was made."""
    return png[png.index(b"IDAT"):]


class Case(a1111.Case):
    @classmethod
    def setUpClass(cls):
        cls.made = server.Server("-m", "tiny")
        cls.folders = fill(cls.made)
        cls.made.options += [word for folder in cls.folders for word in ("--lora-dir", folder)]
        cls.made.options += ["--embedding-dir", cls.made.home / "embeddings", "--styles", cls.made.home / "styles.csv"]
        cls.made.start()


class Lists(Case):
    def test_T65_loras_have_what_clients_read(self):
        listed = self.get("loras")
        self.assertEqual([(lora["name"], lora["alias"], lora["path"]) for lora in listed],
                         [("nan", "nan", "nan.safetensors"), ("wash", "wash", "wash.safetensors"), ("ink", "ink", "style/ink.safetensors")])
        self.assertEqual(listed[2]["metadata"], {"modelspec.trigger_phrase": "brush, ink", "ss_sd_model_name": "base.safetensors"})
        self.assertNotIn(str(self.made.home), json.dumps(listed))  # R04

    def test_the_own_list_has_more(self):
        listed = {lora["name"]: lora for lora in self.made.get("/api/v1/loras").json()["loras"]}
        self.assertEqual(listed["ink"]["family"], "sd15")
        self.assertEqual(listed["ink"]["trigger_words"], "brush, ink")
        self.assertGreater(listed["ink"]["bytes"], 1000)
        self.assertEqual(listed["ink"]["problem"], "")
        self.assertNotEqual(listed["broken"]["problem"], "")
        self.assertNotIn(str(self.made.home), listed["broken"]["problem"])

    def test_T65_embeddings_are_those_of_the_model_and_the_others(self):
        listed = self.get("embeddings")
        self.assertEqual(set(listed["loaded"]) | set(listed["skipped"]), {"soft", "hard", "wide", "velvet"})
        self.assertIn("velvet", listed["loaded"])
        self.assertEqual(listed["loaded"]["soft"], {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 768, "vectors": 2})
        self.assertEqual((listed["skipped"]["wide"]["shape"], listed["skipped"]["wide"]["vectors"]), (2048, 3))
        self.assertIn("hard", listed["skipped"])
        own = {one["name"]: one for one in self.made.get("/api/v1/embeddings").json()["embeddings"]}
        self.assertEqual((own["wide"]["family"], own["wide"]["vector_count"]), ("sdxl", 3))
        self.assertNotEqual(own["broken"]["problem"], "")
        self.assertNotIn(str(self.made.home), own["broken"]["problem"] + json.dumps(listed))
        self.assertEqual(self.post("refresh-embeddings"), {})

    def test_T65_styles(self):
        self.assertEqual(self.get("prompt-styles"), [{"name": "Ink", "prompt": "drawing of {prompt}, ink", "negative_prompt": "photo"},
                                                     {"name": "Night", "prompt": "dark", "negative_prompt": ""}])
        self.assertEqual([style["name"] for style in self.made.get("/api/v1/styles").json()["styles"]], ["Ink", "Night"])
        with self.subTest("a table that cannot be read"):
            table = self.made.home / "styles.csv"
            good = table.read_text()
            self.addCleanup(table.write_text, good)
            table.write_text("nothing of this kind\n")
            answer = self.made.get("/sdapi/v1/prompt-styles")
            self.assertGreaterEqual(answer.status, 400)
            self.assertNotIn(str(self.made.home).encode(), answer.body)

    def test_files_come_and_go(self):
        new = self.folders[0] / "new.safetensors"
        new.write_bytes((self.folders[1] / "wash.safetensors").read_bytes())
        self.assertEqual(self.post("refresh-loras"), {})
        self.assertIn("new", [lora["name"] for lora in self.get("loras")])
        new.unlink()
        self.assertEqual(self.post("refresh-loras"), {})
        self.assertNotIn("new", [lora["name"] for lora in self.get("loras")])


class Jobs(Case):
    def test_a_lora_changes_its_own_picture_alone(self):
        plain = self.picture()
        inked = self.picture(prompt="a lighthouse <lora:ink:0.8>")
        self.assertNotEqual(inked, plain)
        self.assertNotEqual(self.picture(prompt="a lighthouse <lora:ink:0.8> <lora:wash:1>"), inked)
        held = self.get("memory")["darkroom"]
        self.assertEqual([region for region in held["regions"] if "lora" in region["component"]], [])
        self.assertEqual(self.picture(), plain)
        info = self.info(prompt="a lighthouse <lora:ink:0.8>")
        self.assertIn("<lora:ink:0.8>", info["infotexts"][0])
        self.assertEqual(info["prompt"], "a lighthouse <lora:ink:0.8>")
        self.assertRegex(info["extra_generation_params"]["Lora hashes"], r"^ink: [0-9a-f]{12}$")

    def test_an_embedding_is_a_word_of_the_prompt(self):
        plain = pixels(self.picture(prompt="a ring"))
        self.assertNotEqual(pixels(self.picture(prompt="a velvet ring")), pixels(self.picture(prompt="a soaked ring")))
        self.assertNotEqual(pixels(self.picture(prompt="a ring", negative_prompt="velvet")), plain)
        self.assertEqual(pixels(self.picture(prompt="a ring")), plain)
        words = self.made.post("/api/v1/prompt", {"prompt": "a Velvet ring"}).json()["words"]
        self.assertIn("velvet: ", self.info(prompt="a velvet ring")["extra_generation_params"]["TI hashes"])
        self.assertEqual([(word["word"], word["tokens"]) for word in words if word.get("embedding")], [("velvet", 2)])

    def test_the_field_lora_is_the_same(self):
        self.assertEqual(self.picture(lora=[{"path": "style/ink.safetensors", "multiplier": 0.8, "is_high_noise": False}]),
                         self.picture(prompt="a lighthouse <lora:ink:0.8>"))
        self.refused("no LoRA file", 404, lora=[{"path": "../more/wash.safetensors", "multiplier": 1}])
        self.refused("no LoRA file", 404, lora=[{"path": str(self.folders[1] / "wash.safetensors"), "multiplier": 1}])
        self.refused("multiplier", 422, lora=[{"path": "wash.safetensors", "multiplier": "much"}])

    def test_T22_styles_are_put_around_the_prompts(self):
        info = self.info(prompt="a cat", negative_prompt="fog", styles=["ink", "Night"])
        self.assertEqual((info["prompt"], info["negative_prompt"], info["styles"]), ("drawing of a cat, ink, dark", "fog, photo", ["Ink", "Night"]))
        self.assertIn("drawing of a cat, ink, dark\n", info["infotexts"][0])
        self.assertEqual(self.picture(prompt="a cat", negative_prompt="fog", styles=["Ink"]),
                         self.picture(prompt="drawing of a cat, ink", negative_prompt="fog, photo"))
        for styles in ([""], [], None, "Ink"):
            self.assertEqual(self.info(styles=styles)["styles"], [])
        info = self.info(prompt="a cat", styles=["Oil", "Night"])
        self.assertEqual((info["prompt"], info["styles"]), ("a cat, dark", ["Night"]))
        self.assertTrue(any("Oil" in warning for warning in info["warnings"]), info["warnings"])

    def test_a_name_that_is_not_there_is_refused_before_the_job_is_accepted(self):
        before = len(self.made.get("/api/v1/jobs").json()["jobs"])
        for prompt, status, part in (("<lora:nothing:1>", 404, "nothing"), ("<lora:../more/wash:1>", 404, "wash"),
                                     ("<lora:ink:nan>", 422, "nan"), ("<hypernet:ink:1>", None, "hypernet"), ("(a:1.2.3)", 422, "1.2.3"),
                                     ("<lora:ink:0.1>" * 17, 422, "16")):
            answers = [self.made.post("/sdapi/v1/txt2img", {**JOB, "prompt": prompt}), self.made.post("/api/v1/jobs", {**JOB, "prompt": prompt}),
                       self.made.post("/v1/images/generations", {"prompt": prompt, "steps": 1, "size": "64x64"})]
            for answer in answers:
                self.assertIn(answer.status, {404: (404,), 422: (400, 422), None: (422, 501)}[status], (prompt, answer))
                self.assertIn(part.encode(), answer.body)
                self.assertNotIn(str(self.made.home).encode(), answer.body)
        self.refused("1.2.3", 422, negative_prompt="(a:1.2.3)")
        self.assertEqual(len(self.made.get("/api/v1/jobs").json()["jobs"]), before)

    def test_a_file_that_cannot_be_used_fails_its_job_alone(self):
        plain = self.picture()
        for name, part in (("broken", "broken.safetensors"), ("nan", "nan.safetensors")):
            answer = self.made.post("/sdapi/v1/txt2img", {**JOB, "prompt": f"<lora:{name}:1>"})
            self.assertGreaterEqual(answer.status, 400, answer)
            self.assertIn(part.encode(), answer.body)
            self.assertNotIn(str(self.made.home).encode(), answer.body)  # R04
        self.assertEqual(self.picture(), plain)

    def test_emphasis_and_padding_are_settings(self):
        weighed = self.picture(prompt="a (lighthouse:1.5)")
        self.assertNotEqual(self.picture(prompt="a (lighthouse:1.5)", override_settings={"emphasis": "No norm"}), weighed)
        self.assertEqual(pixels(self.picture(prompt="a (lighthouse:1.5)", override_settings={"emphasis": "Ignore"})),
                         pixels(self.picture(prompt="a lighthouse")))
        info = self.info(prompt="a (lighthouse:1.5)", override_settings={"emphasis": "Ignore", "pad_cond_uncond": True})
        self.assertEqual([info["extra_generation_params"][name] for name in ("Emphasis", "Pad conds")], ["Ignore", "True"])
        self.assertNotIn("Emphasis", self.info()["extra_generation_params"])
        self.set_options(emphasis="No norm")
        self.assertNotEqual(self.picture(prompt="a (lighthouse:1.5)"), weighed)
        self.refused("Original, No norm, Ignore", 422, override_settings={"emphasis": "loud"})
        long = "a, " * 60
        self.assertNotEqual(self.picture(prompt=long, override_settings={"pad_cond_uncond": True}), self.picture(prompt=long))

    def test_an_eta_noise_seed_delta_is_a_setting_and_a_field(self):
        plain = self.picture(sampler_name="Euler a")
        moved = self.picture(sampler_name="Euler a", override_settings={"eta_noise_seed_delta": 31337})
        self.assertNotEqual(moved, plain)
        self.assertEqual(self.picture(sampler_name="Euler a", eta_noise_seed_delta=31337), moved)
        self.assertEqual(self.picture(sampler_name="Euler a", override_settings={"eta_noise_seed_delta": 31337}, eta_noise_seed_delta=0), plain)


class Meaning(Case):
    def ask(self, prompt, status=200, **more):
        answer = self.made.post("/api/v1/prompt", {"prompt": prompt, **more})
        self.assertEqual(answer.status, status, answer)
        return answer.json()

    def test_a_prompt_is_what_the_command_line_says(self):
        for prompt in ("1 (2:1.3) 3 BREAK [4:5:0.5]", "1 AND 2 :0.5", "<lora:ink:0.8:0.5> 1"):
            words = ["prompt", prompt, "--steps", "10", "--json"]
            done = server.subprocess.run([server.DARKROOM, *words], env=self.made.environment, capture_output=True, check=True)
            said = json.loads(done.stdout)
            answer = self.ask(prompt, steps=10)
            for name in ("texts", "words", "networks"):
                for one, other in zip(answer.get(name, []), said.get(name, []), strict=True):
                    one["weight"] = other["weight"] = round(one.get("weight", 0) - other.get("weight", 0), 6)
                    self.assertEqual((one, one["weight"]), (other, 0), (prompt, name))
            self.assertEqual(answer["chunk_tokens"], 75)

    def test_chunks_have_borders(self):
        answer = self.ask("1, " * 50)
        self.assertEqual((answer["texts"][0]["chunks"], answer["texts"][0]["tokens"]), (2, 100))
        second = next(word for word in answer["words"] if word["chunk"] == 2)
        self.assertEqual((second["position"], answer["words"][74]["chunk"]), (1, 1))

    def test_a_negative_prompt_has_no_parts(self):
        self.assertEqual(len(self.ask("1 AND 2")["texts"]), 2)
        self.assertEqual(len(self.ask("1 AND 2", is_negative=True)["texts"]), 1)

    def test_R26_what_it_takes_is_bounded(self):
        for body, part in (({"prompt": "a," * 20000}, "32768"), ({"prompt": "1 " * 9000}, "8192 words"), ({"prompt": "[1|2]" + "3 " * 8000, "steps": 200}, "8192 words"),
                           ({"prompt": "1", "steps": 201}, "steps"), ({"prompt": "(1:2.3.4)"}, "2.3.4"), ({"prompt": [1]}, "prompt")):
            answer = self.made.post("/api/v1/prompt", body)
            self.assertEqual(answer.status, 422, answer)
            self.assertIn(part.encode(), answer.body)
        self.assertEqual(self.made.post("/api/v1/prompt", {"prompt": "1", "model": "nowhere"}).status, 404)


class Wildcards(a1111.Case):
    @classmethod
    def setUpClass(cls):
        cls.made = server.Server("-m", "tiny")
        folder = cls.made.home / "wildcards"
        folder.mkdir()
        cls.lines = ["a red ring", "2 blue rings", "3 green rings", "4 grey rings", "a brown ring"]
        (folder / "thing.txt").write_text("".join(line + "\n" for line in cls.lines))
        (folder / "deep.txt").write_text("<lora:nothing:1>\n")
        cls.made.options += ["--wildcard-dir", folder]
        cls.made.start()

    def line(self, seed):
        return random.Random(seed).choice(self.lines)

    def test_each_picture_has_a_line_by_its_seed(self):
        made = self.make(prompt="__thing__, fog", batch_size=2, n_iter=2)
        info = json.loads(made["info"])
        lines = [self.line(seed) for seed in range(5, 9)]
        self.assertGreater(len(set(lines)), 1)
        self.assertEqual(info["all_prompts"], [f"{line}, fog" for line in lines])
        self.assertEqual(info["all_seeds"], [5, 6, 7, 8])
        self.assertEqual([text.splitlines()[0] for text in info["infotexts"]], info["all_prompts"])
        for image, line, seed in zip(made["images"], lines, range(5, 9), strict=True):
            self.assertEqual(a1111.decode(image), self.picture(prompt=f"{line}, fog", seed=seed))

    def test_the_answer_has_all_pictures(self):
        job = self.made.post("/api/v1/jobs", {**JOB, "prompt": "__thing__", "batch_size": 3}).json()["id"]

        def look():
            return self.made.get(f"/api/v1/jobs/{job}").json()
        self.wait_for(lambda: look()["state"] == "done", "the job")
        images = [self.made.get(f"/api/v1/images/{image}/parameters").json() for image in look()["images"]]
        self.assertEqual([image["prompt"] for image in images], [self.line(seed) for seed in (5, 6, 7)])

    def test_progress_never_falls(self):
        answers, thread = self.start(prompt="__thing__", steps=30, width=128, height=128, n_iter=3, seed=5)
        seen = [0]
        while thread.is_alive():
            seen.append(self.progress()["progress"])
            if seen[-1] == 0 and max(seen) > 0:  # it is over
                seen.pop()
        thread.join()
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(seen, sorted(seen))
        self.assertTrue(any(0.4 < share < 0.6 for share in seen), seen)

    def test_an_interrupt_ends_them_all(self):
        answers, thread = self.start(prompt="__thing__", steps=150, width=256, height=256, n_iter=4, seed=5)
        self.wait_for(self.runs, "the first step")
        self.interrupt()
        thread.join()
        self.assertLess(len(answers[0].json()["images"]), 4)
        self.wait_for(self.is_idle, "the end")

    def test_what_cannot_be_is_refused_before_the_job_is_accepted(self):
        error = self.refused("nowhere", 404, prompt="__nowhere__")
        self.assertNotIn(str(self.made.home), error["detail"])
        self.refused("nothing", 404, prompt="__deep__")
        self.refused("nowhere", 404, negative_prompt="__nowhere__")


class WithoutWildcards(a1111.Case):
    def test_they_are_text(self):
        self.assertEqual(self.info(prompt="a __thing__")["all_prompts"], ["a __thing__"])


if __name__ == "__main__":
    server.main()
