"""Captions: many ways to say what a scene shows, and the vocabulary that they are made of.

A caption always names shape and colour of every object and where it is; size and background are named now and then, so
a prompt may leave them open. `Vocabulary` is CLIP's byte-level BPE, learned from captions alone and written as
vocab.json and merges.txt.
"""
import collections
import json
import os
import re

import numpy

from scenes import COLOURS, PATTERNS, RADII, SHAPES, TONES, draw

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
PATTERN_WORDS = {
    "plain": ("{} background", "plain {} background"),
    "gradient": ("{} gradient background", "graded {} background"),
    "stripes": ("striped {} background", "{} background with stripes"),
}
START, END = "<|startoftext|>", "<|endoftext|>"
TOKENS = 77
MERGES = 400


def _choose(random, words):
    return words[int(random.integers(len(words)))]


def _article(phrase):
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _object(random, item):
    words = [item.colour, _choose(random, SHAPE_WORDS[item.shape])]
    if random.random() < 0.4:
        words.insert(0, _choose(random, SIZE_WORDS[item.size]))
    return _article(" ".join(words))


def caption(random, scene):
    """One way to say it."""
    text = _choose(random, OPENINGS) + _object(random, scene.objects[0])
    if len(scene.objects) == 1:
        place = _choose(random, POSITION_WORDS[scene.place])
        text = f"{place}, {text}" if random.random() < 0.2 else f"{text} {place}"
    else:
        text += f" {_choose(random, RELATION_WORDS[scene.place])} {_object(random, scene.objects[1])}"
    if random.random() < 0.5:
        background = _choose(random, PATTERN_WORDS[scene.pattern]).format(scene.tone)
        text += f" on {_article(background)}"
    return text


def attributes(scene):
    """What the text encoders first learn to read out of a caption: one number for each question.

    0 stands for "no second object"; size and background are left out, since captions may not say them.
    """
    looks = [1 + SHAPES.index(o.shape) for o in scene.objects] + [1 + list(COLOURS).index(o.colour)
                                                                 for o in scene.objects]
    if len(scene.objects) == 1:
        looks = [looks[0], 0, looks[1], 0]
    places = ("left", "right", "top", "bottom", "centre", "left of", "right of", "above", "below")
    return [*looks, places.index(scene.place)]


QUESTIONS = (1 + len(SHAPES), 1 + len(SHAPES), 1 + len(COLOURS), 1 + len(COLOURS), 9)


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
