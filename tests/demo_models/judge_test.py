#!/usr/bin/python3
"""The judge on pictures whose content is known: rendered scenes, and scenes held against a wrong description.

    judge_test.py BUILD_ROOT SOURCE_ROOT
"""
import dataclasses
import unittest

import support  # noqa: F401
import numpy

import captions
import evaluate
import judge
import scenes

COUNT = 200


def rendered(seed, count=COUNT):
    random = numpy.random.default_rng(seed)
    for _ in range(count):
        scene = scenes.draw(random, held_out=bool(random.integers(2)))
        # As a file holds it: 8 bits a channel.
        yield scene, numpy.round(scenes.render(scene) * 255) / 255


def other(random, values, value):
    return str(random.choice([v for v in values if v != value]))


class JudgeTest(unittest.TestCase):
    def test_rendered_scenes_are_right(self):
        found = evaluate.rates([judge.judge(picture, scene) for scene, picture in rendered(1)])
        print(found)
        for part, rate in found.items():
            self.assertGreaterEqual(rate, 0.99, part)

    def test_blurred_and_noisy_scenes_are_right(self):
        random = numpy.random.default_rng(2)
        verdicts = []
        for scene, picture in rendered(3, 100):
            soft = (picture + sum(numpy.roll(picture, step, axis) for step in (-1, 1) for axis in (0, 1))) / 5
            soft = numpy.clip(soft + random.normal(0, 0.02, soft.shape), 0, 1)
            verdicts.append(judge.judge(soft, scene))
        for part, rate in evaluate.rates(verdicts).items():
            self.assertGreaterEqual(rate, 0.98 if part != "all" else 0.95, part)

    def test_a_wrong_description_is_wrong(self):
        random = numpy.random.default_rng(4)
        for scene, picture in rendered(5, 60):
            if len(scene.objects) == 2:
                continue
            item = scene.objects[0]
            colour = dataclasses.replace(item, colour=other(random, scenes.COLOURS, item.colour))
            shape = dataclasses.replace(item, shape=other(random, scenes.SHAPES, item.shape))
            place = other(random, scenes.POSITIONS, scene.place)
            self.assertEqual(judge.judge(picture, dataclasses.replace(scene, objects=(colour,))).colours, (False,))
            size = dataclasses.replace(item, size=other(random, scenes.RADII, item.size))
            tone = dataclasses.replace(scene, tone=other(random, scenes.TONES, scene.tone))
            pattern = dataclasses.replace(scene, pattern=other(random, scenes.PATTERNS, scene.pattern))
            self.assertEqual(judge.judge(picture, dataclasses.replace(scene, objects=(shape,))).shapes, (False,))
            self.assertEqual(judge.judge(picture, dataclasses.replace(scene, objects=(size,))).sizes, (False,))
            self.assertFalse(judge.judge(picture, dataclasses.replace(scene, place=place)).position)
            self.assertIs(judge.judge(picture, tone).tone, False)
            self.assertIs(judge.judge(picture, pattern).pattern, False)
            for wrong in (tone, pattern, dataclasses.replace(scene, objects=(size,))):
                self.assertFalse(judge.judge(picture, wrong).all())

    def test_what_was_not_said_is_not_judged(self):
        said = captions.Caption("", (False, False), False, False)
        for scene, picture in rendered(10, 20):
            verdict = judge.judge(picture, scene, dataclasses.replace(said, sizes=said.sizes[:len(scene.objects)]))
            self.assertEqual((verdict.sizes, verdict.tone, verdict.pattern), ((), None, None))
            self.assertTrue(verdict.all())

    def test_a_second_object_is_one_too_many(self):
        """Two rings where one was asked for."""
        for scene, _ in rendered(11, 30):
            if len(scene.objects) == 2:
                ring = dataclasses.replace(scene.objects[0], shape="ring", colour="purple")
                picture = scenes.render(dataclasses.replace(scene, objects=(ring, dataclasses.replace(
                    ring, x=scene.objects[1].x, y=scene.objects[1].y))))
                verdict = judge.judge(picture, dataclasses.replace(scene, objects=(ring,), place="centre"))
                self.assertFalse(verdict.count or verdict.position or verdict.all())

    def test_a_background_like_none_is_none(self):
        for colour in ((0.8, 0.8, 0.45), (0.2, 0.2, 0.2), (0.7, 0.6, 0.9)):
            self.assertIsNone(judge.background(numpy.zeros((scenes.SIDE, scenes.SIDE, 3)) + colour), colour)

    def test_swapped_objects_are_out_of_place(self):
        opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
        for scene, picture in rendered(6, 60):
            if len(scene.objects) == 2:
                turned = dataclasses.replace(scene, place=opposite[scene.place])
                self.assertFalse(judge.judge(picture, turned).position)

    def test_a_missing_object_is_wrong(self):
        for scene, picture in rendered(7, 60):
            if len(scene.objects) == 2:
                alone = scenes.render(dataclasses.replace(scene, objects=scene.objects[:1]))
                verdict = judge.judge(alone, scene)
                self.assertIn(False, verdict.colours)
                self.assertFalse(verdict.position)

    def test_nothing_is_seen_in_noise_or_in_an_empty_picture(self):
        random = numpy.random.default_rng(8)
        for scene, _ in rendered(9, 5):
            for picture in (random.uniform(0, 1, (scenes.SIDE, scenes.SIDE, 3)), numpy.full((128, 128, 3), 0.7)):
                self.assertEqual(judge.look(picture), [])
                self.assertFalse(judge.judge(picture, scene).position)


if __name__ == "__main__":
    support.cases.main()
