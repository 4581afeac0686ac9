#!/usr/bin/python3
"""Scenes and captions: what is held out stays out, captions say what a scene shows, the vocabulary spells them.

    captions_test.py BUILD_ROOT SOURCE_ROOT
"""
import pathlib
import tempfile
import unittest

import support
import numpy

import captions
import scenes


def drawn(seed, count=400, **more):
    random = numpy.random.default_rng(seed)
    return [scenes.draw(random, **more) for _ in range(count)]


def combination(scene):
    looks = sorted(f"{o.shape} {o.colour}" for o in scene.objects)
    return tuple(looks) if len(looks) == 2 else (*looks, scene.place)


class SceneTest(unittest.TestCase):
    def test_held_out_combinations_are_never_trained_on(self):
        trained = {combination(scene) for scene in drawn(1, 3000)}
        judged = {combination(scene) for scene in drawn(2, held_out=True)}
        self.assertGreater(len(judged), 100)
        self.assertFalse(trained & judged)
        # The control: two draws of the same side do meet.
        self.assertTrue(trained & {combination(scene) for scene in drawn(3)})

    def test_one_seed_is_one_list_of_scenes(self):
        self.assertEqual(drawn(4), drawn(4))
        self.assertNotEqual(drawn(4), drawn(5))

    def test_everything_is_drawn(self):
        seen = drawn(6, 1500)
        for part, values in (("shape", scenes.SHAPES), ("colour", scenes.COLOURS), ("size", scenes.RADII)):
            self.assertEqual({getattr(o, part) for scene in seen for o in scene.objects}, set(values))
        self.assertEqual({scene.place for scene in seen}, {*scenes.POSITIONS, *scenes.RELATIONS})
        self.assertEqual({(scene.tone, scene.pattern) for scene in seen},
                         {(tone, pattern) for tone in scenes.TONES for pattern in scenes.PATTERNS})

    def test_single_objects_are_in_the_centre_as_often_as_asked(self):
        singles = [scene for scene in drawn(22, 1000, pairs=0.0, centred=0.5)]
        self.assertAlmostEqual(numpy.mean([scene.place == "centre" for scene in singles]), 0.5, delta=0.06)

    def test_objects_do_not_touch(self):
        for scene in drawn(7):
            if len(scene.objects) == 2:
                a, b = scene.objects
                self.assertGreater(max(abs(a.x - b.x), abs(a.y - b.y)), a.radius + b.radius - 3)

    def test_a_window_is_a_part_of_the_whole(self):
        for scene in drawn(8, 20):
            whole = scenes.render(scene)
            self.assertTrue(numpy.array_equal(scenes.render(scene, 24, 40, 64, 48), whole[40:88, 24:88]))

    def test_edges_are_smooth(self):
        scene = scenes.Scene((scenes.Object("circle", "black", "large", 64.3, 63.8, 29.0),), "centre", "grey", "plain",
                             False)
        self.assertGreater(len(numpy.unique(scenes.render(scene)[..., 0])), 20)

    def test_enlarging_a_small_picture_blurs_it(self):
        for scene in drawn(9, 5):
            whole = scenes.render(scene)
            self.assertIs(scenes.enlarged(whole, scenes.SIDE), whole)
            soft = scenes.enlarged(whole, 40)
            self.assertEqual(soft.shape, whole.shape)
            self.assertLess(numpy.abs(numpy.diff(soft, axis=1)).max(), numpy.abs(numpy.diff(whole, axis=1)).max())
            self.assertAlmostEqual(float(soft.mean()), float(whole.mean()), delta=0.01)


class CaptionTest(unittest.TestCase):
    def test_colour_and_shape_are_named_and_the_rest_as_it_says(self):
        random = numpy.random.default_rng(10)
        for scene in drawn(11):
            said = captions.describe(random, scene)
            for item, says_size in zip(scene.objects, said.sizes):
                found = [f"{item.colour} {word}" for word in captions.SHAPE_WORDS[item.shape]
                         if f"{item.colour} {word}" in said.text]
                self.assertTrue(found, (said, scene))
                sized = any(f"{size} {phrase}" in said.text for phrase in found for size in captions.SIZE_WORDS[item.size])
                self.assertEqual(sized, says_size, (said, scene))
            self.assertEqual(scene.tone in said.text, said.tone)
            self.assertEqual("background" in said.text, said.pattern)

    def test_a_caption_read_again_asks_for_the_scene_that_it_was_made_of(self):
        """Everything that it says, and no more; so two scenes that differ in what was said differ in their captions."""
        random = numpy.random.default_rng(18)
        for scene in drawn(19, 1500, centred=0.4):
            said = captions.describe(random, scene)
            found, again = captions.read(said.text)
            self.assertEqual(captions.attributes(found, again), captions.attributes(scene, said), said)

    def test_the_shortest_prompts_are_among_them(self):
        random = numpy.random.default_rng(20)
        forms = set()
        for scene in drawn(21, 3000, centred=0.3):
            words = captions.describe(random, scene).text.replace("an ", "a ").split()
            forms.add(" ".join("X" if word in scenes.COLOURS else "Y" if word in scenes.SHAPES else word for word in words))
        for form in ("a X Y", "a large X Y", "a X Y left of a X Y", "a X Y above a X Y", "X Y"):
            self.assertTrue(form in forms, form)

    def test_what_is_no_prompt_of_these_words_is_not_read(self):
        for text in ("a dog", "a red circle left of a blue square and a green star", "a pink circle", "",
                     "a red circle on a blue square"):
            self.assertIsNone(captions.read(text), text)

    def test_one_scene_is_said_in_many_ways(self):
        random = numpy.random.default_rng(12)
        scene = drawn(13, 1)[0]
        self.assertGreater(len({captions.caption(random, scene) for _ in range(50)}), 20)

    def test_no_article_before_the_wrong_letter(self):
        random = numpy.random.default_rng(14)
        for scene in drawn(15):
            words = captions.caption(random, scene).split()
            for article, word in zip(words, words[1:]):
                if article in ("a", "an"):
                    self.assertEqual(article == "an", word[0] in "aeiou", words)


class VocabularyTest(unittest.TestCase):
    def test_learning_it_again_gives_the_same_files(self):
        with tempfile.TemporaryDirectory() as folder:
            places = [pathlib.Path(folder, name) for name in "ab"]
            for place in places:
                captions.learn_vocabulary(str(place))
            for name in ("vocab.json", "merges.txt"):
                self.assertEqual((places[0] / name).read_bytes(), (places[1] / name).read_bytes())
            vocabulary = captions.Vocabulary(str(places[0]))
        self.check(vocabulary)

    def test_the_shipped_one_spells_every_caption(self):
        """It was learned before captions had all of their words; letters spell the others."""
        if not (support.MODELS / "tokenizer").is_dir():
            self.skipTest("there is no models/tokenizer")
        vocabulary = captions.Vocabulary(str(support.MODELS / "tokenizer"))
        random = numpy.random.default_rng(23)
        longest = max(vocabulary.encode(captions.caption(random, scene)).index(vocabulary.ids[captions.END])
                      for scene in drawn(24, 2000))
        self.assertLess(longest, 50)

    def check(self, vocabulary):
        """Every caption fits, and its words are whole tokens."""
        random = numpy.random.default_rng(16)
        start, end = vocabulary.ids[captions.START], vocabulary.ids[captions.END]
        for scene in drawn(17):
            text = captions.caption(random, scene)
            ids = vocabulary.encode(text)
            self.assertEqual((len(ids), ids[0], ids[-1]), (captions.TOKENS, start, end))
            self.assertLess(ids.index(end), 40)
            self.assertLessEqual(ids.index(end) - 1, len(text.replace(",", " , ").replace("-", " - ").split()))
        self.assertEqual(vocabulary.encode("a red circle", pad=0)[5:], [0] * 72)


if __name__ == "__main__":
    support.cases.main()
