#!/usr/bin/python3
"""The judge on pictures whose content is known: rendered scenes, and scenes held against a wrong description.

    judge_test.py BUILD_ROOT SOURCE_ROOT
"""
import dataclasses
import unittest

import support  # noqa: F401
import numpy

import judge
import scenes

COUNT = 200


def rendered(seed, count=COUNT):
    random = numpy.random.default_rng(seed)
    for _ in range(count):
        scene = scenes.draw(random, held_out=bool(random.integers(2)))
        # As a file holds it: 8 bits a channel.
        yield scene, numpy.round(scenes.render(scene) * 255) / 255


def rates(verdicts):
    colours = [right for verdict in verdicts for right in verdict.colours]
    shapes = [right for verdict in verdicts for right in verdict.shapes]
    positions = [verdict.position for verdict in verdicts]
    return numpy.mean(colours), numpy.mean(shapes), numpy.mean(positions)


def other(random, values, value):
    return str(random.choice([v for v in values if v != value]))


class JudgeTest(unittest.TestCase):
    def test_rendered_scenes_are_right(self):
        found = rates([judge.judge(picture, scene) for scene, picture in rendered(1)])
        print("colour, shape, position: %.4f %.4f %.4f" % found)
        for rate in found:
            self.assertGreaterEqual(rate, 0.99)

    def test_blurred_and_noisy_scenes_are_right(self):
        random = numpy.random.default_rng(2)
        verdicts = []
        for scene, picture in rendered(3, 100):
            soft = (picture + sum(numpy.roll(picture, step, axis) for step in (-1, 1) for axis in (0, 1))) / 5
            soft = numpy.clip(soft + random.normal(0, 0.02, soft.shape), 0, 1)
            verdicts.append(judge.judge(soft, scene))
        for rate in rates(verdicts):
            self.assertGreaterEqual(rate, 0.98)

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
            self.assertEqual(judge.judge(picture, dataclasses.replace(scene, objects=(shape,))).shapes, (False,))
            self.assertFalse(judge.judge(picture, dataclasses.replace(scene, place=place)).position)

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
