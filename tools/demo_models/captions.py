"""Captions: many ways to say what a scene shows, and the vocabulary that they are made of.

A caption always names shape and colour of every object. The place of a single object is left out where it is the centre,
that of two now and then where the first is on the left; size, tone and pattern of the background are said in every
second caption or so. What is left out may be anything. `Vocabulary` is CLIP's byte-level BPE, learned from captions alone
and written as vocab.json and merges.txt.
"""
import collections
import dataclasses
import json
import os
import re

import numpy

from scenes import COLOURS, PATTERNS, POSITIONS, RADII, SHAPES, TONES, Object, Scene, draw

OPENINGS = ("", "", "", "a picture of ", "a drawing of ", "an image of ", "a simple illustration of ")
SIZE_WORDS = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium", "medium-sized"),
    "large": ("large", "big", "huge"),
}
SHAPE_WORDS = {
    "circle": ("circle", "circle", "disc"),
    "square": ("square",),
    "triangle": ("triangle",),
    "star": ("star",),
    "ring": ("ring", "ring", "hoop"),
    "cross": ("cross", "cross", "plus sign"),
}
POSITION_WORDS = {
    "left": ("on the left", "at the left", "on the left side"),
    "right": ("on the right", "at the right", "on the right side"),
    "top": ("at the top", "near the top", "in the upper part"),
    "bottom": ("at the bottom", "near the bottom", "in the lower part"),
    "centre": ("in the centre", "in the middle", "in the center"),
}
RELATION_WORDS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
LOOSE_WORDS = ("and", "next to", "beside")  # between two objects, the first on the left
PATTERN_WORDS = {
    "plain": ("{} background", "plain {} background"),
    "gradient": ("{} gradient background", "graded {} background"),
    "stripes": ("striped {} background", "{} background with stripes"),
}
TONELESS_WORDS = {
    "plain": ("plain background",),
    "gradient": ("gradient background", "graded background"),
    "stripes": ("striped background", "background with stripes"),
}
# Where in the picture each object is, by the scene's place.
SLOTS = ("left", "right", "top", "bottom", "centre")
SLOTS_OF = {"left of": ("left", "right"), "right of": ("right", "left"), "above": ("top", "bottom"),
            "below": ("bottom", "top"), **{slot: (slot,) for slot in SLOTS}}
START, END = "<|startoftext|>", "<|endoftext|>"
TOKENS = 77
MERGES = 400


def _choose(random, words):
    return words[int(random.integers(len(words)))]


def _article(phrase):
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


@dataclasses.dataclass(frozen=True)
class Caption:
    """A text, and which of the things that may be left out it says."""

    text: str
    sizes: tuple  # of each object
    tone: bool
    pattern: bool


def _object(random, item, says_size, article):
    words = [item.colour, _choose(random, SHAPE_WORDS[item.shape])]
    if says_size:
        words.insert(0, _choose(random, SIZE_WORDS[item.size]))
    return _article(" ".join(words)) if article else " ".join(words)


def _single(random, scene, phrase):
    if scene.place == "centre" and random.random() < 0.6:
        return phrase
    return f"{phrase} {_choose(random, POSITION_WORDS[scene.place])}"


def _pair(random, scene, phrases):
    if random.random() < 0.15:
        parts = [f"{phrase} {_choose(random, POSITION_WORDS[slot])}"
                 for phrase, slot in zip(phrases, SLOTS_OF[scene.place])]
        return " and ".join(parts if random.random() < 0.5 else parts[::-1])
    loose = scene.place == "left of" and random.random() < 0.3
    return f"{phrases[0]} {_choose(random, LOOSE_WORDS if loose else RELATION_WORDS[scene.place])} {phrases[1]}"


def describe(random, scene):
    """One way to say it."""
    article = random.random() < 0.85
    sizes = tuple(bool(random.random() < 0.5) for _ in scene.objects)
    phrases = [_object(random, item, says, article) for item, says in zip(scene.objects, sizes)]
    if len(phrases) == 1 and scene.place != "centre" and random.random() < 0.2:
        text = f"{_choose(random, POSITION_WORDS[scene.place])}, {phrases[0]}"
    else:
        text = _choose(random, OPENINGS)
        text += _single(random, scene, *phrases) if len(phrases) == 1 else _pair(random, scene, phrases)
    kind = random.random()
    tone, pattern = kind < 0.55, kind < 0.65
    if tone:
        words = _choose(random, PATTERN_WORDS[scene.pattern]).format(scene.tone)
    elif pattern:
        words = _choose(random, TONELESS_WORDS[scene.pattern])
    if pattern:
        text += f", {words}" if random.random() < 0.2 else f" on {_article(words) if article else words}"
    return Caption(text, sizes, tone, pattern)


def caption(random, scene):
    """One way to say it, the text alone."""
    return describe(random, scene).text


def _phrases(words):
    """The words of a table, each with what it stands for, the longest first."""
    pairs = [(word, key) for key, several in words.items() for word in set(several)]
    return sorted(pairs, key=lambda pair: (-len(pair[0]), pair[0]))


def _first(words, text):
    """What the first of a table's words that is in the text stands for, or None."""
    return next((key for word, key in _phrases(words) if re.search(rf"\b{re.escape(word)}\b", text)), None)


def read(text):
    """The scene that a prompt of these words asks for, and which of what may be left out it says; None where it is no
    such prompt. Sizes, tone and pattern that it does not say are any."""
    text = text.lower()
    tone = next((name for name in TONES if re.search(rf"\b{name}\b", text)), None)
    behind = {key: [words.format(tone) for words in PATTERN_WORDS[key]] for key in PATTERNS} if tone else TONELESS_WORDS
    pattern = _first(behind, text)
    shapes = dict(_phrases(SHAPE_WORDS))
    found = list(re.finditer("({}) ({})".format("|".join(COLOURS), "|".join(shapes)), text))
    if not 1 <= len(found) <= 2 or (tone and not pattern):
        return None
    sizes = [_first(SIZE_WORDS, text[max(0, match.start() - 13):match.start()]) for match in found]
    rest = text[found[0].end():found[-1].start()] if len(found) == 2 else text
    place = _first(RELATION_WORDS if len(found) == 2 else POSITION_WORDS, rest)
    if len(found) == 2 and not place:
        first, second = (_first(POSITION_WORDS, part) for part in (rest, text[found[1].end():]))
        place = next((key for key, slots in SLOTS_OF.items() if slots == (first, second)), None)
        if not place and not first and not second and any(word in rest for word in LOOSE_WORDS):
            place = "left of"
    elif not place:
        place = "centre"
    if not place:
        return None
    spots = [POSITIONS[slot] for slot in SLOTS_OF[place]]
    objects = tuple(Object(shapes[match[2]], match[1], size or "medium", float(x), float(y), RADII[size or "medium"])
                    for match, size, (x, y) in zip(found, sizes, spots))
    scene = Scene(objects, place, tone or "grey", pattern or "plain", False)
    return scene, Caption(text, tuple(size is not None for size in sizes), tone is not None, pattern is not None)


def attributes(scene, said):
    """What the text encoders learn to read out of a caption: one number for each question.

    Of each place in the picture: shape, colour and size of what is there, so that whose colour is whose and who is where
    is worked out from the words, and the UNet only has to look up what belongs to a place. Then the background's tone and
    pattern. 0 stands for "nothing there" or "not said".
    """
    answers = []
    slots = SLOTS_OF[scene.place]
    for slot in SLOTS:
        if slot in slots:
            i = slots.index(slot)
            item = scene.objects[i]
            size = 1 + list(RADII).index(item.size) if said.sizes[i] else 0
            answers += [1 + SHAPES.index(item.shape), 1 + list(COLOURS).index(item.colour), size]
        else:
            answers += [0, 0, 0]
    answers.append(1 + list(TONES).index(scene.tone) if said.tone else 0)
    answers.append(1 + PATTERNS.index(scene.pattern) if said.pattern else 0)
    return answers


OBJECT_QUESTIONS = (1 + len(SHAPES), 1 + len(COLOURS), 1 + len(RADII))  # how many answers each has; of each place
BACKGROUND_QUESTIONS = (1 + len(TONES), 1 + len(PATTERNS))
NOTHING_SAID = [0] * (len(OBJECT_QUESTIONS) * len(SLOTS) + len(BACKGROUND_QUESTIONS))


# ---- vocabulary ----


def byte_characters():
    """The character that stands for each byte in vocab.json: itself where Latin-1 prints it, the others from U+0100."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    characters = {byte: chr(byte) for byte in plain}
    characters.update({byte: chr(0x100 + i) for i, byte in enumerate(others)})
    return [characters[byte] for byte in range(256)]


class Vocabulary:
    """Text to ids, as CLIP does it, for the letters and signs that captions have."""

    def __init__(self, folder):
        with open(os.path.join(folder, "vocab.json"), encoding="utf-8") as file:
            self.ids = json.load(file)
        with open(os.path.join(folder, "merges.txt"), encoding="utf-8") as file:
            pairs = [tuple(line.split()) for line in file if not line.startswith("#version")]
        self.ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self.known = {}

    def _word(self, word):
        if word not in self.known:
            symbols = [*word[:-1], word[-1] + "</w>"]
            while len(symbols) > 1:
                pairs = list(zip(symbols, symbols[1:]))
                best = min(pairs, key=lambda pair: self.ranks.get(pair, len(self.ranks)))
                if best not in self.ranks:
                    break
                at = pairs.index(best)
                symbols[at:at + 2] = ["".join(best)]
            self.known[word] = [self.ids[symbol] for symbol in symbols]
        return self.known[word]

    def encode(self, text, pad=None):
        """TOKENS ids: start, the text, end, then `pad` (the end again if None)."""
        ids = [i for word in re.findall(r"[a-z]+|[^\sa-z]+", text.lower()) for i in self._word(word)]
        end = self.ids[END]
        ids = [self.ids[START], *ids[:TOKENS - 2], end]
        return ids + [end if pad is None else pad] * (TOKENS - len(ids))


def learn_merges(counts, most):
    """Byte-pair encoding: again and again the pair that is seen most becomes one symbol; among equals the one that
    sorts first. `counts` says how often each word is seen."""
    spelled = {word: [*word[:-1], word[-1] + "</w>"] for word in counts}
    merges = []
    while len(merges) < most:
        seen = collections.Counter()
        for word, symbols in spelled.items():
            for pair in zip(symbols, symbols[1:]):
                seen[pair] += counts[word]
        if not seen:
            break
        best = min(seen, key=lambda pair: (-seen[pair], pair))
        merges.append(best)
        for symbols in spelled.values():
            at = 0
            while at + 1 < len(symbols):
                if (symbols[at], symbols[at + 1]) == best:
                    symbols[at:at + 2] = ["".join(best)]
                at += 1
    return merges


def learn_vocabulary(folder, seed=0, captions=4000):
    """Write vocab.json and merges.txt, learned from so many captions."""
    random = numpy.random.default_rng(seed)
    counts = collections.Counter()
    for _ in range(captions):
        counts.update(re.findall(r"[a-z]+|[^\sa-z]+", caption(random, draw(random))))
    merges = learn_merges(counts, MERGES)
    characters = byte_characters()
    symbols = characters + [character + "</w>" for character in characters]
    symbols += ["".join(pair) for pair in merges] + [START, END]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as file:
        json.dump({symbol: i for i, symbol in enumerate(symbols)}, file, ensure_ascii=False, indent=0)
        file.write("\n")
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n")
        file.writelines("%s %s\n" % pair for pair in merges)
    return len(symbols)
