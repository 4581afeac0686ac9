#!/usr/bin/env python3
"""Write what Hugging Face's CLIPTokenizer makes of some hundred strings, for the tests.

    tools/golden/tokens.py CLIP_FOLDER

CLIP_FOLDER has CLIP's vocab.json and merges.txt (script/clip-vocabulary). Needs transformers
(written with 5.23.0 and tokenizers 0.23.3). Writes below tests/golden:

    tokens.json        strings and their ids with CLIP's vocabulary
    tiny-tokens.json   the same with tests/data/tiny-tokenizer
    prompt-text.json   strings and their normal form; a hash for each 4096 code points
    added-tokens.json  folders of the tiny tokenizer with added tokens: their files, strings, ids

With the word "added" in place of CLIP_FOLDER only the last is written.

A string is "text", or "hex" where its bytes are no UTF-8, said "times" times. "ids" are the
first 77, with BOS and EOS; "cut" tells how many more there were.
"""
import json
import os
import random
import sys
import tempfile

import tokenizers
import transformers
from tokenizers import Regex, pre_tokenizers
from transformers import CLIPTokenizer

SEED = 20240607
MOST = 75
HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(HERE, "..", "..", "tests")

# CLIP's own, without the names. It decides where the literals are looked for: the token given
# as a structure in normalised text, those that are plain strings in the raw text.
TOKEN = {"__type": "AddedToken", "lstrip": False, "normalized": True, "rstrip": False,
         "single_word": False}
CONFIG = {
    "add_prefix_space": False, "do_lower_case": True, "errors": "replace",
    "model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "pad_token": "<|endoftext|>",
    "bos_token": dict(TOKEN, content="<|startoftext|>"),
    "eos_token": dict(TOKEN, content="<|endoftext|>"),
    "unk_token": dict(TOKEN, content="<|endoftext|>"),
}

PROMPTS = """
a lighthouse at dusk
A photo of an Astronaut riding a HORSE on Mars, 8k, highly detailed
masterpiece, best quality, (ultra-detailed:1.2), [blurry], {{sharp}}, <lora:foo:0.8>
portrait of a woman, 35mm film, f/1.8, ISO-400, by Greg Rutkowski & Artgerm
it's don't we're they've I'm you'll he'd
IT'S DON'T WE'RE THEY'VE I'M YOU'LL HE'D
'S 'T 'RE 'VE 'M 'LL 'D 's't're've'm'll'd
''s '''t 'x 'rex 'llama 'smart o'clock rock'n'roll
!'s "'s "it's" (it's) 1's ’s it’s
0 1 12 123 1234567890 3.14 1,000,000 1e-5 0xFF 2024-06-07
½ ¼ Ⅷ ⅷ ① ⑳ ² ³ ৪ ٤٢ ๔ 一二三 〇 𝟘𝟙𝟚 🄀 ㊿
!!! ??? ... --- ___ *** ### $$$ %%% ^^^ &&& === +++ ~~~
!?!? :) :-) ;-P <3 </w> <w> a</w>b -> => <= != && || // \\\\ \\n \\t
<|endoftext|> <|startoftext|> <|endoftext|><|endoftext|>
<|startoftext|>a<|endoftext|>b !!<|endoftext|>!! !!<|startoftext|>!!
<|ENDOFTEXT|> <|EndOfText|>!! !!<|ENDOFTEXT|>!! <|endoftext|<|endoftext|>>
<|STARTOFTEXT|> !!<|StartOfText|>!! <|startoftext|<|startoftext|>>
<|endoftext|> 's<|endoftext|>'s <|endoftext <|endoftext| |> <| endoftext |>
<|ENDOFTEXT|><|ENDOFTEXT|> <|ENDOFTEXT|>'s a<|ENDOFTEXT|>b 1<|ENDOFTEXT|>1 <<|ENDOFTEXT|>>
<|endoftext|>\u0301a e<|endoftext|>\u0301 e<|STARTOFTEXT|>\u0301 <|endofte\u0301xt|>
café cafe\u0301 CAFÉ CAFE\u0301 naïve nai\u0308ve Ångström A\u030angstro\u0308m \u212b \u2126 \u212a
ﬁ ﬂ ﬀ ﬃ ĳ Ǆ ǅ ǆ ǉ ß ẞ ſ K Å
İstanbul ıstanbul I\u0307 i\u0307 İİİ Iİiı I\u0327\u0307 I\u0307\u0327 I\u0323\u0307 I\u0301\u0307
ΟΔΥΣΣΕΥΣ ὈΔΥΣΣΕΎΣ Σ ς σ ΑΣ ΑΣ\u0301 ΑΣ. ᾼ ᾳ ᾈ ῼ Ὗ ΐ ΰ
Привет, МИР! Ёлка е\u0308лка Й и\u0306 Ѐ ЂЃЉ ҐҒ Ӑ
שָׁלוֹם עולם \ufb2a \ufb49 ש\u05c1\u05bc ש\u05bc\u05c1 \u05d9\u05b4
مرحبا بالعالم ﷺ لا \u0627\u0653 \u0622 \u0649\u0670 ک ی \u064b\u0651 \u0651\u064b
नमस्ते दुनिया क्षत्रिय क\u093c \u0958 न\u093c \u0929 ड\u093c हिन्दी
বাংলা \u09c7\u09be \u09cb \u09c7\u09d7 ਪੰਜਾਬੀ ગુજરાતી தமிழ் \u0bc6\u0bbe \u0bca తెలుగు \u0c46\u0c56 ಕನ್ನಡ \u0cc6\u0cc2\u0cd5 മലയാളം සිංහල \u0dd9\u0dcf\u0dca
ภาษาไทย ลาว བོད་ སྐད་ \u0f71\u0f72 \u0f73 \u0f43 မြန်မာ \u1025\u102e ខ្មែរ አማርኛ ᐃᓄᒃᑎᑐᑦ ᏣᎳᎩ ꮳꮃꭹ
한국어 \u1112\u1161\u11ab\u1100\u1173\u11af \uac00\u11a8 \u1100\u1161\u1100 가\u0301 \u11a8\u1161 ㅎㅏㄴ
中文提示词:一只猫,夜晚的城市,赛博朋克。 漢字 \uf900 \ufa10 𠮷野家 \U0002f800 \U0002f9ff 𰻞
日本語のプロンプト がぎぐ か\u3099き\u3099 ハ\u309aハ\u3099 ｶﾞｷﾞ ｱｲｳ １２３ ＡＢＣ ａｂｃ 。、「」
😀 😃😄 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇯🇵 1️⃣ ❤️ ❤ ☺︎ 🧑🏿‍🚀 🫠 🫨 \U0001fac6
a\u200db\u200cc\ufeffd\u00ade \u200bzero\u200bwidth\u200b \u2060 \u202eabc\u202c \u180e
a\u00a0b\u1680c\u2000d\u2003e\u2009f\u200ag\u2028h\u2029i\u202fj\u205fk\u3000l\u0085m
\u0001\u0002\u0007\u0008\u001b[31m\u007f\u0080\u009f \u0301 \u0345 \u20dd \u20e3
a\u0323\u0307 a\u0307\u0323 q\u0307\u0323 a\u0301\u0301 a\u0345\u0301 \u1e69 s\u0323\u0307 s\u0307\u0323 \u1e0b\u0323
o\u0302\u0301 o\u0301\u0302 u\u031b\u0323 \u01b0\u0323 \u0344 \u0340\u0341 \u0374 \u037e \u0387 \u1f71 \u2000 \u2329 \u0958
\u0338= =\u0338 <\u0338 ≠ ≮ ∌ \u220b\u0338 \u2adc \u2add\u0338 \u0f77 \U0001d15e \U0001d1bb
Zalgo: h\u0315\u0300\u0316\u0341e\u0334\u0489l\u0327\u0353\u036fl\u0338o\u035c\u0361\u0345
\U0001e900\U0001e922 \U00010400\U00010428 \U000104b0 \U00016e40 \U000118a0 \U00010c80 ꙀꙁꙊ ꜢꜣꞍ Ⴀ Ა ა Ⰰ Աև Ɐ Ƣ
\U00010d50\U00010d70 \ua7cb \ua7cc \ua7ce\ua7cf \ua7d2 \ua7da \ua7dc \u1c89 \U00016ea0\U00016ebb \U0002ebf0 \U00013460 \U000323af \U000323b0
\U00010d40 \U0001ccf0 \U00016130 \U00011bf0 \U000116d0 \U0001e5f1 \U0001e4f0
\U00011935\U00011930 \U00011938 a\u1ac1\u0323 a\u0323\u1ac1 a\u1abf\u0301 a\u08ca\u0323 a\u1dfa\u0301 a\U0001e4ec\u0323 a\u07fd\u0301
\U00011131\U00011127 \U0001112e \U00011347\U0001133e \U0001134b \U000114b9\U000114ba \U000115b8\U000115af \U00011099\U000110ba \U000105d2\u0307 \U000113c2\U000113c9 \U00016121\U0001611e \U00016d63\U00016d67
\ue000\uf8ff \U000f0000 \U0010ffff \ufdd0 \ufffe \uffff \ufffd \u0378 \u2fff
aa aaa aaaa aaaaa abab ababab the thethe in ing inging tion tiontion
Pneumonoultramicroscopicsilicovolcanoconiosis Donaudampfschifffahrtsgesellschaftskapitän
supercalifragilisticexpialidocious llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch
https://example.org/a/b?c=d&e=f#g mail@example.org C:\\Users\\x /usr/bin/env #hashtag @user
mixedCASEandNUMBERS123abc456 camelCase snake_case kebab-case v1.5 SD1.5 SDXL 4K 16:9 50%
"""

LONG = [("a", 5000), ("z", 300), ("ab", 2500), ("supercalifragilistic", 250), ("中", 3000),
        ("!", 5000), ("9", 5000), ("a ", 200), ("'s", 3000), ("e\u0301", 2500), ("😀", 1500),
        ("dog cat, ", 60), ("\u0301", 3000), ("<|endoftext|>", 100), ("<|startoftext|>", 90),
        ("<|ENDOFTEXT|>", 50), (" ", 4000), ("\u0323\u0301", 900), ("가각", 700), ("İ", 500)]

INVALID = [b"\xff", b"a\xffb", b"\x80\x80", b"\xc3", b"caf\xc3", b"\xc0\xaf", b"\xc1\xbf",
           b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xe0\xa0", b"\xe2\x82", b"\xe2\x82 x",
           b"\xe2\x28\xa1", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xed\x9f\xbf",
           b"\xf0\x9f\x98", b"\xf0\x9f", b"\xf0\x9f\x98a", b"\xf0\x80\x80\x80",
           b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf4\x8f\xbf", b"\xf5\x80\x80\x80",
           b"\xf8\x88\x80\x80\x80", b"\xfe\xfe\xff\xff", b"good \xe4\xb8\xad bad \xe4\xb8",
           b"latin1 caf\xe9 na\xefve", b"\xef\xbb\xbfbom", b"\xf1\x80\x80\xc3\xa9",
           b"<|endoftext|\xff>", b"\xf0\x9f\x98\x80\xf0\x9f\x98", b"e\xcc", b"e\xcc\x81\xcc"]

# From where random strings take their characters.
POOLS = [
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ     ''",
    "0123456789 .,;:!?()[]{}<>|/\\'\"-_+*#%&=~^$@` abc",
    "aeiouAEIOUsSIi\u0130 \u0300\u0301\u0302\u0303\u0307\u0308\u030a\u0323\u0327\u0328\u031b\u0345",
    "\u1100\u1112\u1161\u1175\u11a8\u11c2\uac00\uac01\ud7a3 \u3131a",
    "का\u093c\u094d\u09c7\u09be\u09d7\u0bc6\u0bbe\u0dd9\u0dcf\u0dca\u0cc6\u0cc2\u0cd5 \u0f71\u0f72\u0f74\u0f80",
    "中文日本語かがハバ\u3099\u309a。、 １２ｱ",
    "\u200d\ufe0f👨👩👧🏽🏳🌈❤🇩🇪 😀\u20e3#1",
    "\t\n\r \u00a0\u2003\u2028\u3000\u0085\u001c\u200b\ufeffab1!",
    "שּׁ\u05c1\u05bc\u05b4\u0627\u0653\u064b\u0651 مرحبا",
    ["'s", "'T", "'re", "'VE", "'m", "'ll", "'D", "'", "''", "s", " ", "a", "!", "it"],
    ["<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>", "<|StartOfText|>", "<|", "|>",
     "endoftext", "a", "!", " ", "'s", "\u0301", "<", "1"],
]


def random_strings(rng, count):
    strings = []
    for i in range(count):
        if i % 4 == 3:  # any code point at all
            letters = [chr(c) for c in (rng.randrange(1, 0x110000) for _ in range(rng.randint(1, 30)))
                       if not 0xD800 <= c < 0xE000]
        else:
            pool = POOLS[i % len(POOLS)] if i % 2 else sum((list(p) for p in rng.sample(POOLS, 3)), [])
            letters = rng.choices(list(pool), k=rng.randint(1, 50))
        strings.append("".join(letters))
    return strings


def strings():
    """(text or bytes, times), each once."""
    rng = random.Random(SEED)
    lines = PROMPTS.split("\n")[1:-1]
    parts = [part for line in lines for part in line.split(" ") if not part.isascii()]
    singles = ["", " ", "a", "A", "'", "''", "1", "!", "\n", "é", "中", "😀", "</w>", "Ġ", "Ā",
               "tab\tnew\nline\r\nvt\vff\fgs\x1drs\x1eus\x1f   spaces     "]
    found = [(text, 1) for text in singles + lines + parts]
    found += LONG
    found += [(data, 1) for data in INVALID]
    found += [(text, 1) for text in random_strings(rng, 240)]
    found += [(bytes(rng.choices(range(1, 256), k=rng.randint(1, 24))), 1) for _ in range(30)]
    return list(dict.fromkeys(found))


def entry(text, times):
    made = {"text": text} if isinstance(text, str) else {"hex": text.hex()}
    if times > 1:
        made["times"] = times
    return made


def decoded(text, times):
    return (text if isinstance(text, str) else text.decode("utf-8", errors="replace")) * times


def load(folder):
    with tempfile.TemporaryDirectory() as copy:
        for name in ("vocab.json", "merges.txt"):
            os.symlink(os.path.abspath(os.path.join(folder, name)), os.path.join(copy, name))
        with open(os.path.join(copy, "tokenizer_config.json"), "w", encoding="utf-8") as file:
            json.dump(CONFIG, file)
        return CLIPTokenizer.from_pretrained(copy)


def token_case(tokenizer, text, times):
    whole = decoded(text, times)
    full = tokenizer(whole).input_ids
    ids = tokenizer(whole, truncation=True, max_length=MOST + 2).input_ids
    made = entry(text, times)
    made["ids"] = ids
    if len(full) > len(ids):
        made["cut"] = len(full) - len(ids)
    return made


def fnv(value, data):
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


class Classes:
    """The class of a code point in CLIP's pattern: 0 other, 1 letter, 2 number, 3 space."""

    def __init__(self):
        self.split = pre_tokenizers.Split(
            Regex(r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True)
        self.known = {}

    def ask(self, character):
        if not self.split.pre_tokenize_str(character):
            return 3
        if len(self.split.pre_tokenize_str("a" + character)) == 1:
            return 1
        return 0 if len(self.split.pre_tokenize_str("!" + character)) == 1 else 2

    def __getitem__(self, character):
        if character not in self.known:
            self.known[character] = self.ask(character)
        return self.known[character]


def block_hashes(normalize):
    """For each 4096 code points: over "q, U+0345, the point, U+0301", normalised, each result's
    points and classes. So it sees class, lower case, combining class and composition of all."""
    classes = Classes()
    hashes = []
    for first in range(0, 0x110000, 4096):
        value = 0xCBF29CE484222325
        for point in range(first, first + 4096):
            if point == 0 or 0xD800 <= point < 0xE000:
                continue
            for character in normalize("q\u0345" + chr(point) + "\u0301"):
                word = ord(character) | classes[character] << 24
                value = fnv(value, word.to_bytes(4, "little"))
        hashes.append("%016x" % value)
    return hashes


def added(content, **flags):
    return dict({"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
                **flags)


def added_folders():
    """(files beside vocab.json and merges.txt, words that matter there). The tiny vocabulary ends with id 593."""
    names = {"tokenizer_config.json": CONFIG}
    plain = {"<my-cat>": 594, "<my-cat>_1": 595, "<my-cat>_10": 596, "<My-Dog>": 597, "the  the": 598,
             "caf\u00e9": 599, "**": 600, "\u732b": 601, " x": 602, "E\u0301": 603, "<a": 604, "'s": 605}
    yield dict(names, **{"added_tokens.json": plain}), list(plain)
    flags = {"592": added("<|startoftext|>", special=True), "593": added("<|endoftext|>", special=True),
             "594": added("<my-cat>", lstrip=True, rstrip=True), "595": added("<My-Dog>", normalized=False),
             "596": added("<MY-DOG>", normalized=False, special=True), "597": added("<my-dog>x"),
             "598": added("!!!", normalized=False, special=True)}
    yield {"tokenizer_config.json": dict(CONFIG, added_tokens_decoder=flags)}, [t["content"] for t in flags.values()]
    raw = {"592": added("<|startoftext|>", normalized=False, special=True),
           "593": added("<|endoftext|>", normalized=False, special=True)}
    yield {"tokenizer_config.json": dict(CONFIG, added_tokens_decoder=raw)}, []
    # SDXL's second tokenizer pads with "!", which makes it a special token.
    second = dict(CONFIG, pad_token="!")
    yield {"tokenizer_config.json": second}, ["!"]
    named = {"bos_token": added("<|startoftext|>"), "eos_token": added("<|endoftext|>"),
             "unk_token": added("<|endoftext|>"), "pad_token": "!"}
    yield dict(names, **{"special_tokens_map.json": named, "added_tokens.json": {"<x>": 594}}), ["!", "<x>"]
    decoder = {"0": added("!", normalized=False, special=True), "592": added("<|startoftext|>", special=True),
               "593": added("<|endoftext|>", normalized=False, special=True), "594": added("<y>", special=True)}
    yield {"tokenizer_config.json": dict(second, added_tokens_decoder=decoder)}, ["!", "<y>"]
    special = {"<Big>": 594, "<small>": 595, "<plain>": 596}
    yield dict({"tokenizer_config.json": dict(CONFIG, additional_special_tokens=["<Big>", "<small>"])},
               **{"added_tokens.json": special}), list(special)
    yield {"added_tokens.json": {"<my-cat>": 594}, "tokenizer_config.json": dict(CONFIG, pad_token=None)}, ["<my-cat>"]


def added_strings(rng, words):
    words = words + ["<|endoftext|>", "<|startoftext|>"]
    pool = words + [w.upper() for w in words] + [w[:-1] for w in words] + [w.title() for w in words]
    pool += [" ", " ", "  ", "\n", "a", "photo", "the", "'s", "!", "*", "1", "e", "\u0301", "<", ">", "x", "caf", "\u00c9", "\u732b"]
    fixed = ["", *words, *(f"a {w} circle" for w in words), *(f"a{w}circle" for w in words), *(w * 3 for w in words),
             *(w.upper() for w in words), *(f"{w}\u0301" for w in words), *(f"!{w}!" for w in words)]
    return list(dict.fromkeys(fixed + ["".join(rng.choices(pool, k=rng.randint(1, 12))) for _ in range(60)]))


def write_added(versions, tiny):
    rng = random.Random(SEED + 2)
    folders = []
    for files, words in added_folders():
        with tempfile.TemporaryDirectory() as copy:
            for name in ("vocab.json", "merges.txt"):
                os.symlink(os.path.abspath(os.path.join(tiny, name)), os.path.join(copy, name))
            for name, content in files.items():
                with open(os.path.join(copy, name), "w", encoding="utf-8") as file:
                    json.dump(content, file)
            tokenizer = CLIPTokenizer.from_pretrained(copy)
            cases = [token_case(tokenizer, text, 1) for text in added_strings(rng, words)]
        folders.append({"files": files, "pad": tokenizer.pad_token_id, "cases": cases})
    write("added-tokens.json", versions, {"folders": folders})


def write(name, versions, content):
    path = os.path.join(TESTS, "golden", name)
    with open(path, "w", encoding="ascii") as file:
        file.write('{"reference": %s' % json.dumps(versions))
        for key, values in content.items():
            file.write(',\n"%s": [\n' % key)
            file.write(",\n".join(json.dumps(value) for value in values))
            file.write("\n]")
        file.write("\n}\n")
    print("%s: %s" % (name, ", ".join("%d %s" % (len(v), k) for k, v in content.items())))


def main():
    versions = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__,
                "seed": SEED}
    tiny = os.path.join(TESTS, "data", "tiny-tokenizer")
    write_added(versions, tiny)
    if sys.argv[1] == "added":
        return
    cases = strings()
    for name, folder in (("tokens.json", sys.argv[1]), ("tiny-tokens.json", tiny)):
        tokenizer = load(folder)
        write(name, versions, {"cases": [token_case(tokenizer, *case) for case in cases]})
    normalize = tokenizer.backend_tokenizer.normalizer.normalize_str
    rng = random.Random(SEED + 1)
    texts = cases + [(text, 1) for text in random_strings(rng, 300)]
    texts = [case for case in texts if len(decoded(*case)) < 600]
    texts = [case for case in texts if "oftext|>" not in decoded(*case).lower()]
    normal = [dict(entry(*case), normal=normalize(decoded(*case))) for case in texts]
    write("prompt-text.json", versions, {"blocks": block_hashes(normalize), "cases": normal})


if __name__ == "__main__":
    main()
