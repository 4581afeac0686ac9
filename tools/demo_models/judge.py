"""What a picture shows, by image processing alone: which shapes, in which colour and size, where, before which background.

    1. The background's tone is the one whose line from light to dark lies nearest to the border's pixels.
    2. What lies off that line falls into connected pieces; each large one is an object.
    3. An object's colour is the nearest of the palette to its inner pixels' median.
    4. Its outline, where a pixel is more that colour than background, is laid into a square grid and compared with each
       shape's own: the one that overlaps most is its shape. Its size is the one whose radius is nearest to what the
       shape's area gives.
    5. The background is the tone and pattern whose picture is nearest to what no object covers, if one is near at all.

Nothing is random and nothing is learned.
"""
import dataclasses

import numpy

from scenes import COLOURS, PATTERNS, POSITIONS, RADII, SHAPES, TONES, Scene, coverage, render

OFF_BACKGROUND = 0.20  # a distance in RGB; the nearest colour, white, is 0.44 off the nearest tone
LEAST_PIXELS = 80      # of an object; the smallest star has about 200 ...
MOST_PIXELS = 4096     # ... and the largest square about 2500
BORDER = 3
OFF_PATTERN = 0.07     # of a background, the mean over its pixels; two tones are 0.10 apart at least
GRID = 24              # cells of the square in which outlines are compared


@dataclasses.dataclass(frozen=True)
class Found:
    shape: str
    colour: str
    x: float
    y: float
    pixels: int
    size: str


def _off_line(picture, light, dark):
    """Each pixel's distance from the line between two colours."""
    light, dark = numpy.array(light), numpy.array(dark)
    along = dark - light
    part = numpy.clip((picture - light) @ along / (along @ along), 0, 1)
    return numpy.linalg.norm(picture - light - part[..., None] * along, axis=-1)


def _off_background(picture):
    """Each pixel's distance from the tone that fits the border best."""
    edge = numpy.ones(picture.shape[:2], bool)
    edge[BORDER:-BORDER, BORDER:-BORDER] = False
    distances = [_off_line(picture, *tone) for tone in TONES.values()]
    return min(distances, key=lambda distance: numpy.median(distance[edge]))


def _pieces(mask):
    """The connected pieces of a mask, each a list of (row, column) arrays; the largest first."""
    height, width = mask.shape
    left = {int(i) for i in numpy.flatnonzero(mask)}
    pieces = []
    while left:
        piece, reached = [], [left.pop()]
        while reached:
            at = reached.pop()
            piece.append(at)
            column = at % width
            for near in (at - width, at + width, at - 1 if column else -1, at + 1 if column + 1 < width else -1):
                if near in left:
                    left.remove(near)
                    reached.append(near)
        if LEAST_PIXELS <= len(piece) <= MOST_PIXELS:
            pieces.append(numpy.unravel_index(numpy.array(piece), (height, width)))
    return sorted(pieces, key=lambda piece: -len(piece[0]))


def _in_grid(cover):
    """A cover's bounding box, averaged into GRID x GRID cells."""
    rows, columns = (numpy.flatnonzero((cover > 0.5).any(axis=axis)) for axis in (1, 0))
    box = cover[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]

    def weights(count):
        """[GRID, count]: how much of each pixel lies in each cell."""
        edges = numpy.linspace(0, count, GRID + 1)
        low, high = edges[:-1, None], edges[1:, None]
        pixel = numpy.arange(count)[None, :]
        overlap = numpy.clip(numpy.minimum(high, pixel + 1) - numpy.maximum(low, pixel), 0, None)
        return overlap / overlap.sum(axis=1, keepdims=True)

    return weights(box.shape[0]) @ box @ weights(box.shape[1]).T


def _templates():
    side = numpy.arange(96) + 0.5 - 48
    y, x = numpy.meshgrid(side, side, indexing="ij")
    return {shape: _in_grid(coverage(shape, x, y, 44.0)) for shape in SHAPES}


def _areas():
    """Of each shape, for radius 1."""
    side = numpy.arange(96) + 0.5 - 48
    y, x = numpy.meshgrid(side, side, indexing="ij")
    return {shape: float(coverage(shape, x, y, 40.0).sum()) / 40.0 ** 2 for shape in SHAPES}


def _backgrounds():
    """Every one, with its tone and pattern; a plain one has no direction."""
    return [(tone, pattern, render(Scene((), "", tone, pattern, horizontal)))
            for tone in TONES for pattern in PATTERNS for horizontal in (False, True)
            if horizontal or pattern != "plain"]


TEMPLATES, AREAS, BACKGROUNDS = _templates(), _areas(), _backgrounds()


def _name(picture, off, piece):
    rows, columns = piece
    inner = off[piece] > 0.7 * numpy.quantile(off[piece], 0.9)
    colour = numpy.median(picture[piece][inner], axis=0)
    named = min(COLOURS, key=lambda name: numpy.linalg.norm(colour - COLOURS[name]))
    cover = numpy.zeros(off.shape)
    full = numpy.median(off[piece][inner])
    cover[piece] = numpy.clip(off[piece] / full, 0, 1)
    if (cover > 0.5).sum() < LEAST_PIXELS // 2:
        return None
    grid = _in_grid(numpy.clip(2 * cover - 0.5, 0, 1))

    def overlap(template):
        return numpy.minimum(grid, template).sum() / numpy.maximum(grid, template).sum()

    shape = max(SHAPES, key=lambda name: overlap(TEMPLATES[name]))
    inside = cover[piece] > 0.5
    x, y = ((values[inside].min() + values[inside].max() + 1) / 2 for values in (columns, rows))
    radius = (inside.sum() / AREAS[shape]) ** 0.5
    size = min(RADII, key=lambda name: abs(RADII[name] - radius))
    return Found(shape, named, float(x), float(y), int(inside.sum()), size)


def look(picture):
    """The objects of a picture (RGB in 0..1, [height, width, 3]), the largest first."""
    off = _off_background(picture)
    found = (_name(picture, off, piece) for piece in _pieces(off > OFF_BACKGROUND))
    return [item for item in found if item]


def background(picture):
    """Its tone and pattern, or None where it is near none."""
    off = _off_background(picture) > OFF_BACKGROUND / 2
    for axis in (0, 1):  # a seam around objects, three pixels wide
        for step in (-1, 1, -1, 1, -1, 1):
            off |= numpy.roll(off, step, axis)
    if off.all() or picture.shape != BACKGROUNDS[0][2].shape:
        return None
    seen = picture[~off]
    distance, tone, pattern = min((float(numpy.linalg.norm(seen - drawn[~off], axis=-1).mean()), tone, pattern)
                                  for tone, pattern, drawn in BACKGROUNDS)
    return (tone, pattern) if distance <= OFF_PATTERN else None


def position(found):
    return min(POSITIONS, key=lambda name: numpy.hypot(found.x - POSITIONS[name][0], found.y - POSITIONS[name][1]))


def relation(first, second):
    dx, dy = second.x - first.x, second.y - first.y
    if abs(dx) > abs(dy):
        return "left of" if dx > 0 else "right of"
    return "above" if dy > 0 else "below"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Colours, shapes and sizes: one answer for each object that the scene has; the rest: one for the picture. What the words
    did not say has no answers: an empty tuple, or None."""

    colours: tuple
    shapes: tuple
    sizes: tuple
    count: bool
    position: bool
    tone: object
    pattern: object

    def all(self):
        """Whether the picture is what was asked for, in all that was said."""
        return (all(self.colours + self.shapes + self.sizes) and self.count and self.position and self.tone is not False
                and self.pattern is not False)


PARTS = ("colour", "shape", "size", "count", "position", "tone", "pattern")


def answers(verdict, part):
    """A verdict's answers to one of PARTS, as a tuple."""
    several = {"colour": verdict.colours, "shape": verdict.shapes, "size": verdict.sizes}
    if part in several:
        return several[part]
    answer = getattr(verdict, part)
    return () if answer is None else (answer,)


def judge(picture, scene, said=None):
    """Hold a picture against the scene that was asked for. said: which of what may be left out was said (captions.Caption);
    None: everything.

    Of the found objects the largest count, as many as were asked for; they are matched with the asked ones so that most
    of colour and shape is right, and then place. The position is right only if exactly as many objects are there as were
    asked for.
    """
    asked, found = scene.objects, look(picture)
    orders = [found[:len(asked)], found[:len(asked)][::-1]]
    count = len(found) == len(asked)

    def rights(order, part):
        padded = list(order) + [None] * (len(asked) - len(order))
        return tuple(bool(f and getattr(f, part) == getattr(a, part)) for f, a in zip(padded, asked))

    def placed(order):
        return count and (position(order[0]) if len(asked) == 1 else relation(*order)) == scene.place

    best = max(orders, key=lambda order: (sum(rights(order, "colour")) + sum(rights(order, "shape")), placed(order)))
    sizes = rights(best, "size")
    behind = background(picture) or ("", "")
    return Verdict(rights(best, "colour"), rights(best, "shape"),
                   sizes if said is None else tuple(right for right, says in zip(sizes, said.sizes) if says),
                   count, placed(best), behind[0] == scene.tone if said is None or said.tone else None,
                   behind[1] == scene.pattern if said is None or said.pattern else None)
