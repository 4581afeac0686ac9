#!/usr/bin/env python3
"""Write what AUTOMATIC1111's own parser makes of some hundred prompts, for the tests.

    tools/golden/prompt_parts.py prompt_parser.py

prompt_parser.py is that file of its version 1.10 (modules/prompt_parser.py in
AUTOMATIC1111/stable-diffusion-webui), which is not part of this project. Needs the package lark,
version 1.1.2, as the reference asks for. Writes tests/golden/prompt-parts.json.

Where brackets without partner make the reference's grammar ambiguous, its schedules depend on the order of
a hash table, which Python seeds anew in each process. So the script starts itself with several seeds, and a
prompt has a list of all results that it saw, usually one; darkroom's has to be among them.
"""
import importlib.util
import json
import os
import random
import subprocess
import sys

SEED = 20261130
HASH_SEEDS = 41
STEPS = 10
HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "..", "tests", "golden", "prompt-parts.json")

# The reference's examples, and what people paste.
PROMPTS = r"""
a lighthouse at dusk
masterpiece, best quality, (ultra-detailed:1.2), [blurry], (((sharp)))
a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).
an (important) word
(unbalanced
unbalanced)
[unbalanced
unbalanced]
(unnecessary)(parens)
\(literal\] and \\ and \a and \: and \| and \[a:b:3\]
a smile :) and :-( and :] and ;)
((a)(b)((c))) [[d]] ([e]) [(f)]
(a:1.5)(b:1.5) c (d: 1.5 ) (e :1.5) (f:+1.5) (g:-1.5) (h:.5) (i:2.)
(a:1.1) (b) [(c:1.21)] ((d:1.0))
(a:1e3) (b:nan) (c:inf) (d:1,5) (e:--1)
(:1.2) () [] ([]) ((:2)) (a:) (:) (a::2)
(a:0) (b:0.0) (c:1000000000) (d:0.0000000001)
a BREAK b
a BREAK BREAK b
BREAK
BREAK a BREAK
aBREAK BREAKb BREAK_ _BREAK BREAK1 1BREAK
a,BREAK,b (c BREAK d) (BREAK) [BREAK] (e:1.2) BREAK (f:1.2)
a BREAK:1.2) b (c BREAK:1.2) (BREAK:-1) (BREAK:1) (d:-1) BREAK e
a AND b
a AND b :0.5
a :1.2 AND b:2 AND c : -0.7 AND d :+.5 AND e :3.
a AND b AND
AND a
AND
SAND AND_ _AND AND1 BAND AND(x) ANDa éAND ANDé - AND- (a AND b:1.2)
a:2
16:9
a picture 16:9
a : 1 : 2
a (b:1.2)
(a:1.2) :0.5 AND [b:c:3] :1.5
a cat AND a dog AND a cat :0.3
[a:b:0.5]
[a:b:5]
[a:b: 5 ]
[a:0.5]
[a:3]
[a::3]
[a::0.5]
[:a:3]
[::3]
[:3]
[ :3]
[a:b:0]
[a:b:-3]
[a:b:0.0]
[a:b:1]
[a:b:1.0]
[a:b:1.]
[a:b:.25]
[a:b:10]
[a:b:100]
[a:b:1e1]
[a:b:1e0]
[a:b:1.5e-1]
[a:b:+3]
[a:b:3x]
[a:b:]
[a:b:c]
[a:b:c:3]
[a:b:c:d:3]
a [b : c : 1] d
a[b:[c:d:2]:1]e
a [[[b]]:2]
[(a:2):3]
[(a:b:c):d:3]
[[a:b:2]:[c:d:7]:5]
[[[a:b:2]:c:4]:d:6]
a [unbalanced [b:c:3]
((a][:b:c [d:3]
a [{b|d{:.5] c
[a|b]
[a|b|c]
[|a]
[a|]
[|]
[|||a]
[fe|]male
[fe|||]male
[a|(b:1.1)]
[a|[b|c]]
[a|[b:c:3]]
[[a|b]:c:5]
([a|b]:1.3) [(a|b)]
(a|b)
a | b
a | b [c:d:3]
[a|b] | c
[a|b:c]
[a|b:3]
[a:b|c:3]
\[a|b\]
[a\|b|c]
[a\:b:c:3]
[a\]b:c:3]
a \
a [b:c:3] \
[a b:c d:3] (e f:1.2) [g h|i j] AND k [l:0.3] BREAK m
fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75][ in foreground::0.6][ in background:0.25] [shoddy:masterful:0.5]
  white   space  	 is  kept␠␠
été (naïve:1.2) 日本語 [猫:犬:0.5] 😀 AND Ñandú
（全角：1.2）　全角 BREAK　空白
"""

ATOMS = ["(", "[", "]", ")", ":", "|", "a", "b", " ", "3", ".5", "\\", "[", "],:", "\n", "1e1", "-2", "BREAK", " AND ",
         "é", ":1.2)", "\\(", ", "]
PHRASES = ["[a:b:3]", "[", "a ", "(b:1.2)", "[a|b]", "[c: .5 ]", "]", "(", ")", ":", "[:2]", "((d))", " AND ", " BREAK ",
           "[e]", "[f::0.4]", "(g:0.7)", "[x|[y:z:2]]", ":1.5 AND "]


def odd_prompts():
    chance = random.Random(SEED)
    for _ in range(420):
        atoms = ATOMS if chance.random() < 0.4 else PHRASES
        count = chance.randint(1, chance.choice([4, 8, 12]))
        yield "".join(chance.choice(atoms) for _ in range(count))


def load(path):
    spec = importlib.util.spec_from_file_location("prompt_parser", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prompts():
    lines = [line.replace("␠", " ") for line in PROMPTS.split("\n") if line]
    return list(dict.fromkeys(lines + [""] + list(odd_prompts())))


def segments(parser, text):
    try:
        return [[text, weight] for text, weight in parser.parse_prompt_attention(text)]
    except ValueError:
        return None  # a number that is none


def result(parser, prompt):
    indexes, texts, _ = parser.get_multicond_prompt_list([prompt])
    schedules = parser.get_learned_conditioning_prompt_schedules(texts, STEPS)
    return [[weight, [[step, text, segments(parser, text)] for step, text in schedules[index]]]
            for index, weight in indexes[0]]


def child(path):
    parser = load(path)
    json.dump([result(parser, prompt) for prompt in prompts()], sys.stdout)


def main():
    if len(sys.argv) == 3:
        return child(sys.argv[1])
    runs = []
    for seed in range(HASH_SEEDS):
        environment = dict(os.environ, PYTHONHASHSEED=str(seed))
        done = subprocess.run([sys.executable, __file__, sys.argv[1], "child"], env=environment,
                              stdout=subprocess.PIPE, check=True)
        runs.append(json.loads(done.stdout))
    cases = []
    for number, prompt in enumerate(prompts()):
        results = []
        for run in runs:
            if run[number] not in results:
                results.append(run[number])
        cases.append({"prompt": prompt, "results": results})
    with open(OUT, "w", encoding="utf-8") as out:
        rows = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
        out.write('{"steps": %d, "cases": [\n%s\n]}\n' % (STEPS, rows))
    ambiguous = sum(len(case["results"]) > 1 for case in cases)
    print(f"{len(cases)} prompts, {ambiguous} of them ambiguous")


if __name__ == "__main__":
    main()
