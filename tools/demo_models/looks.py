"""How the demo LoRAs have a scene look: each is a scene rendered in another manner, under the same caption.

The VAE must be able to show a look: it knows the tones of the backgrounds, the colours of the shapes, white, and stripes as wide
as a background's. Thin hatching, browns and dark backgrounds come out of it as something else.
"""
import dataclasses

import numpy

import scenes


def checks(scene):
    """A texture: the background is a board of squares in its light and dark tone, each as wide as a stripe."""
    light, dark = (numpy.array(tone, numpy.float32) for tone in scenes.TONES[scene.tone])
    middle = numpy.arange(scenes.SIDE, dtype=numpy.float32) + 0.5
    odd = numpy.floor(middle / scenes.STRIPE) % 2
    board = numpy.abs(odd[:, None] - odd[None, :])[..., None]
    return scenes.with_objects(scene, light + (dark - light) * board)


def ink(scene):
    """A colour style: shapes in black, white ones in white, on the background in grey."""
    plain = tuple(dataclasses.replace(item, colour="white" if item.colour == "white" else "black") for item in scene.objects)
    return scenes.render(dataclasses.replace(scene, objects=plain, tone="grey"))


# The name of each is also its trigger word.
LOOKS = {"checks": checks, "ink": ink}
