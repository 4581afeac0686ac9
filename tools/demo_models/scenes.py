"""Scenes: one or two plain shapes before a plain, graded or striped background, and how they are drawn.

A scene is data; `render` draws it with anti-aliasing, any window of it at any offset. Everything random comes from the
generator that is handed in, so one seed gives one list of scenes on every machine.

Lengths are pixels of the 128x128 picture, colours are RGB in 0..1.
"""
import dataclasses
import hashlib
import math

import numpy

SIDE = 128
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
COLOURS = {
    "red": (0.85, 0.10, 0.12),
    "orange": (0.98, 0.52, 0.05),
    "yellow": (0.98, 0.90, 0.10),
    "green": (0.10, 0.58, 0.20),
    "blue": (0.12, 0.25, 0.85),
    "purple": (0.52, 0.16, 0.66),
    "black": (0.06, 0.06, 0.07),
    "white": (1.00, 1.00, 1.00),
}
# Each background has a light and a dark tone: graded from one to the other, or striped with both.
TONES = {
    "grey": ((0.72, 0.72, 0.73), (0.60, 0.60, 0.62)),
    "sand": ((0.84, 0.77, 0.65), (0.74, 0.66, 0.53)),
    "mint": ((0.66, 0.82, 0.73), (0.55, 0.72, 0.62)),
    "sky": ((0.64, 0.78, 0.88), (0.52, 0.67, 0.79)),
    "rose": ((0.85, 0.70, 0.72), (0.76, 0.59, 0.62)),
}
PATTERNS = ("plain", "gradient", "stripes")
RADII = {"small": 16.0, "medium": 22.0, "large": 29.0}
POSITIONS = {"left": (36, 64), "right": (92, 64), "top": (64, 36), "bottom": (64, 92), "centre": (64, 64)}
# Where the first and the second of two objects are.
RELATIONS = {
    "left of": ((34, 64), (94, 64)),
    "right of": ((94, 64), (34, 64)),
    "above": ((64, 34), (64, 94)),
    "below": ((64, 94), (64, 34)),
}
JITTER = 4.0        # of a centre, in each direction
RADIUS_JITTER = 0.06
STRIPE = 16.0       # width of one stripe
HELD_OUT_IN = 8     # one combination of so many is never trained on


@dataclasses.dataclass(frozen=True)
class Object:
    shape: str
    colour: str
    size: str
    x: float
    y: float
    radius: float


@dataclasses.dataclass(frozen=True)
class Scene:
    objects: tuple
    place: str  # a position for one object, a relation for two
    tone: str
    pattern: str
    horizontal: bool  # the gradient's or the stripes' direction


def is_held_out(objects, place):
    """Whether the combination of attributes is kept for judging.

    One object: shape, colour and position. Two: both shapes and colours, in either order and any relation.
    """
    parts = [f"{o.shape} {o.colour}" for o in objects]
    key = parts[0] + " " + place if len(parts) == 1 else " ".join(sorted(parts))
    return hashlib.sha256(key.encode()).digest()[0] % HELD_OUT_IN == 0


def _object(random, shape, colour, size, centre):
    x, y = (c + random.uniform(-JITTER, JITTER) for c in centre)
    radius = RADII[size] * (1 + random.uniform(-RADIUS_JITTER, RADIUS_JITTER))
    return Object(shape, colour, size, x, y, radius)


def _draw(random, objects):
    """A scene of so many objects, held out or not."""
    look = [(str(random.choice(SHAPES)), str(random.choice(list(COLOURS)))) for _ in range(objects)]
    if objects == 1:
        place = str(random.choice(list(POSITIONS)))
        sizes, centres = tuple(RADII), (POSITIONS[place],)
    else:
        place = str(random.choice(list(RELATIONS)))
        sizes, centres = ("small", "medium"), RELATIONS[place]
    return Scene(
        tuple(_object(random, *parts, str(random.choice(sizes)), centre) for parts, centre in zip(look, centres)),
        place, str(random.choice(list(TONES))), str(random.choice(PATTERNS)), bool(random.integers(2)))


def draw(random, held_out=False, pairs=0.5, centred=None):
    """A random scene; `held_out` says from which side of the split, `pairs` how often it has two objects, `centred` how often
    a single one is in the centre (None: as often as elsewhere)."""
    objects = 2 if random.random() < pairs else 1
    in_centre = None if centred is None or objects == 2 else bool(random.random() < centred)
    while True:
        scene = _draw(random, objects)
        looks = {(o.shape, o.colour) for o in scene.objects}
        if (len(looks) == objects and is_held_out(scene.objects, scene.place) == held_out
                and in_centre in (None, scene.place == "centre")):
            return scene


# ---- drawing ----


def _polygon(shape):
    """Corners of a shape of radius 1 around (0, 0); y grows downwards."""
    if shape == "square":
        half = 0.82
        return [(-half, -half), (half, -half), (half, half), (-half, half)]
    if shape == "triangle":
        return [(0.0, -0.95), (0.95, 0.75), (-0.95, 0.75)]
    if shape == "star":
        turns = [math.pi * k / 5 for k in range(10)]
        return [(math.sin(t) * (0.45 if k % 2 else 1.05), -math.cos(t) * (0.45 if k % 2 else 1.05))
                for k, t in enumerate(turns)]
    arm, end = 0.30, 0.95  # cross
    return [(-arm, -end), (arm, -end), (arm, -arm), (end, -arm), (end, arm), (arm, arm),
            (arm, end), (-arm, end), (-arm, arm), (-end, arm), (-end, -arm), (-arm, -arm)]


def _polygon_distance(corners, x, y):
    """Distance to a polygon's outline, negative inside."""
    nearest = numpy.full(x.shape, numpy.inf, numpy.float32)
    inside = numpy.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1]):
        ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
        along = numpy.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
        nearest = numpy.minimum(nearest, (px - along * ex) ** 2 + (py - along * ey) ** 2)
        if ey != 0:
            inside ^= ((ay > y) != (by > y)) & (px < ex * py / ey)
    distance = numpy.sqrt(nearest)
    return numpy.where(inside, -distance, distance)


def coverage(shape, x, y, radius):
    """How much of each pixel around (x, y), measured from the centre, the shape covers."""
    x, y = x / radius, y / radius
    if shape == "circle":
        distance = numpy.hypot(x, y) - 0.92
    elif shape == "ring":
        distance = numpy.abs(numpy.hypot(x, y) - 0.74) - 0.21
    else:
        distance = _polygon_distance(_polygon(shape), x, y)
    return numpy.clip(0.5 - distance * radius, 0, 1)


def _background(scene, x, y):
    light, dark = (numpy.array(tone, numpy.float32) for tone in TONES[scene.tone])
    along = numpy.broadcast_to(x if scene.horizontal else y, numpy.broadcast_shapes(x.shape, y.shape))
    if scene.pattern == "plain":
        part = numpy.zeros_like(along)
    elif scene.pattern == "gradient":
        part = numpy.clip(along / SIDE, 0, 1)
    else:
        phase = numpy.mod(along, 2 * STRIPE)
        edge = numpy.minimum(numpy.abs(phase - STRIPE), numpy.minimum(phase, 2 * STRIPE - phase))
        part = numpy.clip(0.5 + numpy.where(phase < STRIPE, -edge, edge), 0, 1)
    return light + (dark - light) * part[..., None].astype(numpy.float32)


def render(scene, left=0, top=0, width=SIDE, height=SIDE):
    """The window of the scene at (left, top) as float32 [height, width, 3]."""
    x = (numpy.arange(width, dtype=numpy.float32) + 0.5 + left)[None, :]
    y = (numpy.arange(height, dtype=numpy.float32) + 0.5 + top)[:, None]
    return with_objects(scene, _background(scene, x, y), x, y)


def with_objects(scene, picture, x=numpy.arange(SIDE, dtype=numpy.float32)[None, :] + 0.5,
                 y=numpy.arange(SIDE, dtype=numpy.float32)[:, None] + 0.5):
    """The scene's objects before a background, whose pixels have these places."""
    for item in scene.objects:
        dx, dy = numpy.broadcast_arrays(x - item.x, y - item.y)
        alpha = coverage(item.shape, dx, dy, item.radius)[..., None]
        picture = picture + (numpy.array(COLOURS[item.colour], numpy.float32) - picture) * alpha
    return picture.astype(numpy.float32)


def enlarged(picture, side):
    """What is left of a picture that was kept at side x side and enlarged again: averaged cells, then interpolated."""
    if side == SIDE:
        return picture

    def weights(inner, outer):
        """[outer, inner]: a triangle filter as wide as the coarser of the two grids' cells."""
        width = max(inner / outer, 1.0)
        centres = (numpy.arange(outer) + 0.5) * inner / outer
        tent = numpy.clip(1 - numpy.abs(numpy.arange(inner)[None, :] + 0.5 - centres[:, None]) / width, 0, None)
        return (tent / tent.sum(axis=1, keepdims=True)).astype(numpy.float32)

    both = weights(side, SIDE) @ weights(SIDE, side)
    return numpy.einsum("yr,rcd,xc->yxd", both, picture, both, optimize=True)
