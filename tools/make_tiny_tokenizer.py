#!/usr/bin/env python3
"""Make tests/data/tiny-tokenizer: a vocabulary in CLIP's format with fewer than 600 ids.

It has all 256 bytes, alone and at a word's end, MERGE_COUNT merges learned from the words
below, and the two special tokens. So every string has ids, and the algorithm can be tested on
a machine without CLIP's own vocabulary. The output depends on this file alone.

    tools/make_tiny_tokenizer.py [FOLDER]
"""
import collections
import json
import os
import sys

MERGE_COUNT = 80

WORDS = """
a an the of and in on at with by to from for is are it this that one two
photo photograph picture painting drawing portrait landscape light lighthouse dusk dawn night
day morning evening sun sunset moon star stars sky cloud clouds sea ocean water river lake
mountain mountains forest tree trees flower flowers garden house houses street city castle
bridge boat ship train road cat cats dog dogs horse bird birds fish woman man girl boy people
child face hair eyes hand hands smile red green blue yellow white black golden dark bright
old young small large beautiful detailed high quality oil watercolor style art artist
""".split()


def byte_characters():
    """The character that stands for each byte in the files: itself where Latin-1 prints it,
    the others from U+0100 on, in order."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    characters = {byte: chr(byte) for byte in plain}
    characters.update({byte: chr(0x100 + i) for i, byte in enumerate(others)})
    return characters


def learn_merges(words, count):
    """Byte-pair encoding: again and again the pair that is seen most becomes one symbol; among
    equals the one that sorts first."""
    spelled = [list(word[:-1]) + [word[-1] + "</w>"] for word in words]
    merges = []
    while len(merges) < count:
        seen = collections.Counter(
            pair for symbols in spelled for pair in zip(symbols, symbols[1:]))
        best = min(seen, key=lambda pair: (-seen[pair], pair))
        merges.append(best)
        for symbols in spelled:
            at = 0
            while at + 1 < len(symbols):
                if (symbols[at], symbols[at + 1]) == best:
                    symbols[at:at + 2] = ["".join(best)]
                at += 1
    return merges


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
        here, "..", "tests", "data", "tiny-tokenizer")
    os.makedirs(folder, exist_ok=True)
    characters = list(byte_characters().values())
    merges = learn_merges(WORDS, MERGE_COUNT)
    symbols = characters + [character + "</w>" for character in characters]
    symbols += ["".join(pair) for pair in merges]
    symbols += ["<|startoftext|>", "<|endoftext|>"]
    assert len(set(symbols)) == len(symbols) <= 600
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as file:
        json.dump({symbol: i for i, symbol in enumerate(symbols)}, file,
                  ensure_ascii=False, indent=0)
        file.write("\n")
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n")
        file.writelines("%s %s\n" % pair for pair in merges)
    print("%s: %d ids, %d merges" % (os.path.normpath(folder), len(symbols), len(merges)))


if __name__ == "__main__":
    main()
