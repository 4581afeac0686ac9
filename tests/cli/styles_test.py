#!/usr/bin/env python3
"""Styles and wildcards from outside: what a picture's text then says, that it is made again, and what is refused."""
import random

import harness
from harness import LINE, Case

OPTIONS = ("-m", "../tiny.safetensors", "-W", "64", "-H", "64", "--steps", "2", "--threads", "1")
COLOURS = ["red", "green", "blue", "white"]


def chosen(seed, lines=COLOURS):
    """The line that A1111's extension for wildcards takes."""
    return random.Random(seed).choice(lines)


class Styles(Case):
    def setUp(self):
        super().setUp()
        (self.folder / "styles.csv").write_text(
            '\ufeffname,prompt,negative_prompt\nnight,"{prompt}, at night",day\nink,"in ""__colour__"" ink",\n#no,x,\n', encoding="utf-8")
        (self.folder / "wild/deep").mkdir(parents=True)
        (self.folder / "wild/colour.txt").write_text("# four\n" + "\n\n".join(COLOURS))
        (self.folder / "wild/deep/thing.txt").write_text("a __colour__ cat\n")
        (self.folder / "wild/none.txt").write_text("# nothing\n")

    def words(self, *more):
        return ("--styles", "styles.csv", "--wildcard-dir", "wild", *more)

    def make(self, prompt, *more, seed=7, output="a.png"):
        return self.succeed_to("generate", *OPTIONS, "-p", prompt, "--seed", seed, "-o", output, *self.words(*more))

    def said(self, name="a.png"):
        parameters = self.succeed_to("inspect", name)["parameters"]
        return parameters.split("\nSteps: ")[0]

    def test_the_text_has_the_prompt_as_it_was_used(self):
        self.make("a __colour__ hat", "--style", "night", "--style", "INK")
        colour = random.Random(7)
        expected = f'a {colour.choice(COLOURS)} hat, at night, in "{colour.choice(COLOURS)}" ink'
        self.assertEqual(self.said(), f"{expected}\nNegative prompt: day")
        # The same as if it had been typed.
        self.succeed_to("generate", *OPTIONS, "-p", expected, "-n", "day", "--seed", 7, "-o", "typed.png")
        self.assertEqual((self.folder / "a.png").read_bytes(), (self.folder / "typed.png").read_bytes())
        answer = self.succeed_to("again", "a.png", "-m", "../tiny.safetensors", "--threads", "1")
        self.assertTrue(answer["identical"], answer)

    def test_each_picture_of_a_batch_chooses(self):
        answer = self.make("a __deep/thing__", "--batch", 4, seed=20)
        self.assertEqual([job["prompt"] for job in answer["jobs"]],
                         [f"a a {self.second(20 + i)} cat" for i in range(4)])
        for i, name in enumerate(("a.png", "a-2.png", "a-3.png", "a-4.png")):
            self.assertEqual(self.said(name), f"a a {self.second(20 + i)} cat")
            self.make("a __deep/thing__", seed=20 + i, output="one.png")
            self.assertEqual((self.folder / "one.png").read_bytes(), (self.folder / name).read_bytes())
        self.assertGreater(len({self.second(20 + i) for i in range(4)}), 1)

    @staticmethod
    def second(seed):
        """The line of the second wildcard; the first had one line to choose from."""
        source = random.Random(seed)
        source.choice([0])
        return source.choice(COLOURS)

    def test_a_batch_without_wildcards_stays_one_job(self):
        answer = self.make("a hat", "--style", "night", "--batch", 2)
        self.assertEqual(len(answer["images"]), 2)
        self.assertNotIn("jobs", answer)

    def test_a_variation_keeps_the_seed_and_so_the_line(self):
        answer = self.make("a __colour__ hat", "--batch", 3, "--variation-seed", 5, "--variation-strength", 0.5)
        self.assertEqual({job["prompt"] for job in answer["jobs"]}, {f"a {chosen(7)} hat"})
        self.succeed_to("generate", *OPTIONS, "-p", f"a {chosen(7)} hat", "--seed", 7, "--batch", 3, "--variation-seed", 5,
                        "--variation-strength", 0.5, "-o", "b.png")
        for name in ("", "-2", "-3"):
            self.assertEqual((self.folder / f"a{name}.png").read_bytes(), (self.folder / f"b{name}.png").read_bytes())

    def test_what_is_not_expanded(self):
        self.make("a __colour__ hat", "--prompt-syntax", "plain")
        self.assertEqual(self.said(), "a __colour__ hat")
        # A picture's own prompt is what it says, also where it has what looks like a wildcard.
        answer = self.succeed_to("again", "a.png", "-m", "../tiny.safetensors", "--threads", "1")
        self.assertTrue(answer["identical"], answer)

    def test_the_shell_and_places(self):
        environment = {"DARKROOM_STYLES": str(self.folder / "styles.csv"), "DARKROOM_WILDCARD_DIR": str(self.folder / "wild")}
        with harness.changed(harness.ENVIRONMENT, environment):
            shell = self.shell("-m", "../tiny.safetensors")
            self.succeed(shell, f"{LINE} -o s.png --style ink")
            self.assertEqual(self.said("s.png"), f'a lighthouse, in "{chosen(7)}" ink')
            listed = self.succeed(shell, "styles")
            self.assertEqual(listed["styles_file"], str(self.folder / "styles.csv"))
            self.assertEqual(listed["styles"], [{"name": "night", "prompt": "{prompt}, at night", "negative": "day"},
                                                {"name": "ink", "prompt": 'in "__colour__" ink', "negative": ""}])
        self.assertEqual(self.succeed_to("styles")["styles"], [])

    def test_prompt_shows_it(self):
        answer = self.succeed_to("prompt", "a __colour__ hat", "--seed", 7, *self.words("--style", "night"))
        self.assertEqual(answer["texts"][0]["text"], f"a {chosen(7)} hat, at night")
        answer = self.succeed_to("prompt", "mist", "--as-negative", *self.words("--style", "night"))
        self.assertEqual(answer["texts"][0]["text"], "mist, day")

    def test_what_is_wrong_is_named(self):
        (self.folder / "bad.csv").write_text("night,dark\n")
        (self.folder / "latin.csv").write_bytes(b"name,prompt\nx,\xe9\n")
        (self.folder / "wild/loop.txt").write_text("__loop__")
        make = ("generate", *OPTIONS, "-o", "no.png", "-p")
        for words, code, *parts in (
            ((*make, "x", "--style", "noon", "--styles", "styles.csv"), "not_found", 'no style "noon"', "which has 2"),
            ((*make, "x", "--style", "x", "--styles", "bad.csv"), "bad_input", 'no column "name"'),
            ((*make, "x", "--style", "x", "--styles", "latin.csv"), "bad_input", "line 2", "0xE9"),
            ((*make, "x", "--style", "x", "--styles", "gone.csv"), "not_found", "gone.csv"),
            (("styles", "--styles", "gone.csv"), "not_found", "gone.csv"),
            ((*make, "a __gone__", *self.words()), "not_found", "wild/gone.txt"),
            ((*make, "a __none__", *self.words()), "bad_input", "none.txt has no line"),
            ((*make, "a __loop__", *self.words()), "bad_input", "more than 256 wildcards"),
            (("generate", *OPTIONS, "-p", "__colour__", "--batch", 2, "-o", "no.safetensors", *self.words()), "bad_input",
             "a prompt of its own"),
        ):
            with self.subTest(parts):
                self.fail_to(*words, code=code, parts=parts)
        self.assertNotIn("no.png", self.files())


if __name__ == "__main__":
    harness.main()
