#!/usr/bin/env python3
"""`darkroom prompt`: parts, schedules, chunks and weights, as JSON and as text; what is wrong is said. And options of prompts."""
import harness
from harness import GENERATE, Case

MODEL = ("-m", "../tiny.safetensors")


class Prompt(Case):
    def words(self, answer):
        return [(word["word"], word["chunk"], word["position"], word["tokens"], word["weight"]) for word in answer["words"]]

    def test_where_each_word_falls(self):
        answer, code = self.ask("prompt", "1 (23:1.5) BREAK , 2")
        self.assertEqual(code, 0, answer)
        (text,) = answer["texts"]
        self.assertEqual((text["weight"], text["until_step"], text["chunks"], text["tokens"]), (1, 20, 2, 5))
        self.assertEqual(self.words(answer), [("1", 1, 1, 1, 1), ("2", 1, 2, 1, 1.5), ("3", 1, 3, 1, 1.5), (",", 2, 1, 1, 1), ("2", 2, 2, 1, 1)])

    def test_parts_and_schedules(self):
        answer, _ = self.ask("prompt", "[1:2:0.5] :0.7 AND 3 <lora:fur:0.5:0.25>", "--steps", "10")
        self.assertEqual([(text["part"], text["weight"], text["until_step"], text["text"]) for text in answer["texts"]],
                         [(1, 0.7, 5, "1"), (1, 0.7, 10, "2"), (2, 1, 10, " 3")])
        self.assertEqual(answer["networks"], [{"kind": "lora", "name": "fur", "unet_weight": 0.25, "text_weight": 0.5}])
        answer, _ = self.ask("prompt", "1 AND 2", "--as-negative")
        self.assertEqual(len(answer["texts"]), 1)
        answer, _ = self.ask("prompt", "(1:2) [a|b]", "--prompt-syntax", "plain")
        self.assertEqual(len(answer["texts"]), 1)
        self.assertEqual({word[4] for word in self.words(answer)}, {1})

    def test_as_text(self):
        done = self.run_program("prompt", "1 (2:1.5)")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^ +1 +20 +1 +2 +1 +1\.5 +2$")

    def test_what_is_wrong(self):
        answer, code = self.ask("prompt", "(1:1.2.3)")
        self.assertEqual(code, 2)
        self.assertIn('"1.2.3" in the prompt is not a weight', answer["error"]["message"])
        self.assertEqual(self.ask("prompt", "1", "--tokenizer", "nowhere")[1], 3)
        self.assertEqual(self.ask("prompt", "1", "-m", "nowhere")[1], 3)

    def test_the_tokenizer_of_a_model(self):
        answer, code = self.ask("prompt", "1", *MODEL)
        self.assertEqual(code, 0, answer)


class Options(Case):
    """The pictures of a seed."""
    def picture(self, *options):
        answer, code = self.ask(*GENERATE, "--steps", "2", "-o", "p.png", *options)
        self.assertEqual(code, 0, answer)
        return (self.folder / "p.png").read_bytes()

    def test_syntax_changes_pictures_and_plain_text_does_not(self):
        text = "a red circle, left of a ring"
        plain = self.picture("-p", text)
        for options in (), ("--emphasis", "ignore"), ("--prompt-syntax", "plain"), ("--pad-prompts",):
            written = self.ask(*GENERATE, "--steps", "2", "-o", "q.sft", "-p", text, *options)
            self.assertEqual(written[1], 0)
            latents = (self.folder / "q.sft").read_bytes()
            self.first = getattr(self, "first", latents)
            self.assertEqual(latents, self.first, options)
        self.assertNotEqual(plain, self.picture("-p", "a (red:1.5) circle, left of a ring"))

    def test_parameters_say_how(self):
        self.picture("-p", "a (red:1.5) ring", "--emphasis", "no-norm", "--pad-prompts")
        text = self.ask("inspect", "p.png")[0]["parameters"]
        self.assertIn("Emphasis: No norm, Pad conds: True", text)
        answer, code = self.ask("again", "p.png", "-o", "q.png", *MODEL)
        self.assertEqual(code, 0, answer)
        self.assertEqual((self.folder / "p.png").read_bytes(), (self.folder / "q.png").read_bytes())


if __name__ == "__main__":
    harness.main()
