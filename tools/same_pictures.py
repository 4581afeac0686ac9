#!/usr/bin/env python3
"""Run a table of jobs with the programs of two builds, and compare what they write and answer.

    same_pictures.py BUILD_BEFORE BUILD_AFTER [--jobs PATTERN...] [--list] [--keep] [--answers-only]

For a restructuring that must change no picture and no figure of memory. Every job runs once with each build's
`darkroom`, in a directory of its own, with the same tiny checkpoints of random weights (BUILD_BEFORE's
random_checkpoint makes them). These must be the same: the files that a job writes, byte for byte; its exit code; of
every JSON answer the fields that both builds have (IGNORED lists those that never count: times, addresses, the
kernel's figures, sentences); and the sizes of all regions that the job opened, from its memory log.

A job that fails where it should not, or that has too little to compare, counts as a difference: a table of jobs that
all fail in the same way proves nothing. Exit code: 0 all the same, 1 a difference, 2 the comparison could not be made.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import random
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

SOURCE = pathlib.Path(__file__).resolve().parent.parent
LIMIT_S = 300

# Fields whose values differ from run to run, or are sentences whose wording may change.
IGNORED = {"ms", "elapsed_ms", "left_ms", "timings_ms", "pid", "start", "kernel", "residual", "kernel_private_bytes",
           "reason", "message", "verdict", "probe", "warnings", "help", "used", "regions_agree", "flop_per_ms",
           "library_share", "library_flop_per_ms", "dropped_cache_bytes", "version"}
# A job's answer must keep at least this share of the fields that it has in BUILD_BEFORE.
KEPT_SHARE = 0.9
LEAST_FIGURES = 4  # of one job: exit code, and ok, command and error.code of an answer
TABLE_JOBS = 40  # at least so many jobs are in the table

# One run of the program, `darkroom WORDS`, or with `lines` a session of the shell. {NAME} stands for an input, and
# {FORECAST:N} for the budget of the N-th way that `darkroom memory` lists for one of FORECASTS.
# code: None the job must succeed; else the error.code that it must have, with both builds.
# either: the machine decides whether it succeeds. packs: weights come from packs, in a directory of the job's own.
Job = collections.namedtuple("Job", "name words lines code either packs budget", defaults=(None, None, False, False, "4G"))

FORECASTS = {
    "sd15-bands": "-m {sd15} -W 256 -H 192 --steps 1 --cfg 1",
    "sdxl-bands": "-m {sdxl} -W 192 -H 256 --steps 1 --cfg 1",
    "sd15-init": "-m {sd15} -W 192 -H 256 --steps 2 --cfg 1 --init {init}",
    "sd15-wide": "-m {sd15-whole} -W 256 -H 192 --steps 1 --cfg 1",
    "sd15-tight": "-m {sd15-whole} -W 128 -H 64 --steps 2",
    "sd15-small": "-m {sd15} -W 128 -H 64 --steps 2",
    "sdxl-small": "-m {sdxl} -W 64 -H 128 --steps 2 --batch 2",
}
SAMPLERS = {"ddim": ["leading", "trailing", "normal"], "lcm": [None],
            **{sampler: ["normal", "karras", "exponential", "sgm-uniform", "leading", "trailing"]
               for sampler in ("euler", "euler-a", "heun", "dpmpp-2m", "dpmpp-2m-sde", "unipc")}}
MODELS = ("sd15", "sdxl")


def sampler_jobs():
    """For each sampler a session that goes through its schedules, from noise and from a picture."""
    for model in MODELS:
        for sampler, schedules in SAMPLERS.items():
            if model == "sdxl":  # the same arithmetic; one schedule shows that it is reached
                schedules = schedules[1:2] or schedules
            lines = []
            for number, schedule in enumerate(schedules):
                words = f"-W 64 -H 64 --sampler {sampler}" + (f" --scheduler {schedule}" if schedule else "")
                lines += [f"generate -p 'a lighthouse' --steps 4 --seed 11 {words} -o {number}.png",
                          f"generate -p 'a lighthouse' --steps 4 --seed 11 --init {{init}} {words} -o {number}i.png"]
            yield Job(f"sampler-{model}-{sampler}", f"shell -m {{{model}}}", lines)


def level_jobs():
    """A picture at each way of making it that a forecast lists: lean, phased, in bands."""
    levels = {"sd15-bands": range(4), "sdxl-bands": range(4), "sd15-init": range(1, 4), "sd15-wide": range(2, 3),
              "sd15-small": range(2), "sdxl-small": range(2)}
    for forecast, numbers in levels.items():
        yield Job(f"forecast-{forecast}", f"memory {FORECASTS[forecast]}")
        for level in numbers:
            yield Job(f"level-{forecast}-{level}", f"generate {FORECASTS[forecast]} -p 'a tower' --seed 3 -o a.png",
                      budget=f"{{{forecast}:{level}}}")


def picture_jobs():
    """One picture each: what a user may ask for."""
    for model in MODELS:
        base = f"generate -m {{{model}}} -p 'a lighthouse at dusk' -W 64 -H 64 --steps 3 --seed 7"
        for name, more in {
                "plain": "-o a.png", "wide": "-W 128 -H 64 -o a.png", "tall": "-W 72 -H 136 -o a.png",
                "no-guidance": "--cfg 1 -o a.png", "guidance": "--cfg 3.5 -o a.png",
                "negative": "-n 'fog, rain' -o a.png", "empty-negative": "-n '' -o a.png",
                "clip-skip": "--clip-skip 2 -o a.png", "batch": "--batch 3 -o a.png",
                "rng-cpu": "--rng cpu -o a.png", "large-seed": "--seed 18446744073709551615 --batch 2 -o a.png",
                "bits-16": "--bits 16 -o a.png", "jpeg": "-o a.jpg", "jpeg-low": "--quality 30 -o a.jpg",
                "latents": "--batch 2 -o a.safetensors", "f32": "--precision f32 -o a.png",
                "v-prediction": "--prediction v -o a.png", "threads": "--threads 2 -o a.png",
                "long-prompt": f"-p '{'many words of sea and stone ' * 30}' -o a.png",
                "init": "--init {init} --strength 0.5 -o a.png", "init-all": "--init {init} --strength 1 -o a.png",
                "init-alpha": "--init {alpha} --strength 0.4 --batch 2 -o a.png",
                "init-jpeg": "--init {jpeg} -W 96 -H 72 -o a.png"}.items():
            yield Job(f"{model}-{name}", f"{base} {more}")
        yield Job(f"{model}-bf16", f"{base} --precision bf16 -o a.png", either=True)
        yield Job(f"{model}-packs", f"{base} -o a.png", packs=True)
    yield Job("sdxl-sizes", "generate -m {sdxl} -p x -W 64 -H 64 --steps 2 --seed 7 --original-size 640x480 --crop 8,16 "
              "--target-size 512x256 -o a.png")
    yield Job("sd15-v-file", "generate -m {sd15-v} -p x -W 64 -H 64 --steps 3 --seed 7 -o a.png")
    yield Job("sd15-zero-snr", "generate -m {sd15-zero} -p x -W 64 -H 64 --steps 3 --seed 7 -o a.png")
    yield Job("default-budget", "generate -m {sd15} -p x -W 64 -H 64 --steps 2 --seed 7 -o a.png", budget=None)


def coding_jobs():
    """Pictures to latents and back."""
    for model in MODELS:
        yield Job(f"encode-{model}", f"encode -m {{{model}}} -o a.safetensors {{init}}")
        yield Job(f"encode-{model}-size", f"encode -m {{{model}}} -W 64 -H 96 -o a.safetensors {{alpha}}")
        yield Job(f"decode-{model}", f"decode -m {{{model}}} -o a.png {{latents}}")
    yield Job("decode-16-packs", "decode -m {sd15} --bits 16 -o a.png {latents}", packs=True)
    yield Job("decode-jpeg", "decode -m {sd15-whole} --vae {fine} -o a.jpg {latents}")
    yield Job("encode-vae", "encode -m {sd15-whole} --vae {fine} -o a.safetensors {jpeg}")


def vae_jobs():
    """How a VAE is chosen, and what a wrong one leads to."""
    for name, words in {"none": "-m {neighbour} --vae none", "automatic": "-m {neighbour} --vae automatic",
                        "automatic-unasked": "-m {neighbour}", "name": "-m {sd15-whole} --vae sharp --vae-dir {vaes}",
                        "path": "-m {sd15-whole} --vae {fine}", "forced": "-m {sd15-whole} --vae {foreign} --force",
                        "sdxl-path": "-m {sdxl-whole} --vae {fine}"}.items():
        yield Job(f"vae-{name}", f"generate -p 'a tower' -W 64 -H 64 --steps 2 --seed 5 {words} -o a.png")
    for name, words, code in (("foreign", "--vae {foreign}", "foreign"), ("missing", "--vae nowhere", "not_found"),
                              ("no-vae", "--vae {init}", "corrupt|unsupported|bad_input")):
        yield Job(f"vae-{name}", f"generate -m {{sd15-whole}} -p 'a tower' -W 64 -H 64 --steps 2 {words} -o a.png", code=code)
    yield Job("over-budget", "generate -m {sd15} -p x -W 512 -H 512 --steps 2 -o a.png", code="over_budget", budget="60M")
    yield Job("vaes", "vaes -m {neighbour} --vae-dir {vaes} --digest", budget=None)
    for name in ("sd15", "sdxl", "fine", "neighbour", "init"):
        yield Job(f"inspect-{name}", f"inspect {{{name}}}" + (" --digest" if name != "init" else ""), budget=None)


GENERATE = "generate -p 'a lighthouse' -W 64 -H 64 --steps 2 --seed 7"
SWITCHES = ["memory", "model {sd15-whole}", "memory", f"{GENERATE} -o a.png", "memory", "vae {fine}", "memory",
            f"{GENERATE} -o b.png", "memory", "vae sharp", "memory", "model {sdxl-whole}", "memory", "vae", f"{GENERATE} -o c.png",
            "memory", "vae none", "memory", f"{GENERATE} -o d.png", "model {neighbour}", "memory", "vae automatic",
            f"{GENERATE} -o e.png", "memory", "unload vae", "memory", f"{GENERATE} -o f.png", "memory", "unload model",
            "memory", "model {sd15-whole}", "vae none", f"{GENERATE} -o g.png", "memory", "unload", "memory"]


def session_jobs():
    """Sessions of the shell: switches, with the whole answer to `memory` after each."""
    for name, more in {"": {}, "-packs": {"packs": True}, "-tight": {"budget": "{sd15-tight:1}"}}.items():
        yield Job(f"session-switches{name}", "shell --vae-dir {vaes}", SWITCHES, **more)
    yield Job("session-prompts", "shell -m {sdxl-whole}", [
        f"{GENERATE} -o a.png", "memory", f"{GENERATE} -o b.png", f"{GENERATE} -n fog -o c.png", "memory",
        "generate -p 'a tower' -W 64 -H 64 --steps 2 --seed 7 --batch 2 -o d.png", "memory",
        f"{GENERATE} --vae {{fine}} -o e.png", "memory", f"{GENERATE} -o f.png", "memory"])
    yield Job("session-coding", "shell -m {sd15-whole}", [
        "encode {init} -o a.safetensors", "memory", "decode a.safetensors -o a.png", "memory", "vae {fine}",
        "decode a.safetensors -o b.png", f"{GENERATE} --init a.png -o c.png", "memory", "inspect c.png",
        "inspect {sd15}", "vaes", "forecast -W 256 -H 128 --batch 2", "forecast -W 64 -H 64 --init a.png"])
    wide = "generate -p x -W 256 -H 192 --steps 1 --cfg 1 --seed 1"
    yield Job("session-budgets", "shell -m {sd15}", [
        "budget {sd15-bands:0}", f"{wide} -o a.png", "memory", "budget {sd15-bands:1}", f"{wide} -o b.png", "memory",
        "budget {sd15-bands:3}", f"{wide} -o c.png", "memory", "forecast -W 256 -H 192 --steps 1 --cfg 1",
        f"{GENERATE} -o d.png", "memory", "budget"])
    yield Job("session-failures", "shell -m {sd15-whole} --vae-dir {vaes}", [
        f"{GENERATE} -o a.png", "memory", "! vae {foreign}", "memory", "! vae nowhere", "! model {init}", "memory",
        "! generate -p x -W 65 -H 64", "! generate -p x -W 512 -H 512 --budget 60M -o x.png", "memory", "budget 4G",
        "vae {foreign} --force", "memory", f"{GENERATE} -o b.png", "vae none", f"{GENERATE} -o c.png", "memory"])


def table():
    jobs = [*picture_jobs(), *sampler_jobs(), *coding_jobs(), *vae_jobs(), *level_jobs(), *session_jobs()]
    assert len({job.name for job in jobs}) == len(jobs) >= TABLE_JOBS
    return jobs


class CannotCompare(Exception):
    """The comparison itself could not be made."""


# ---- inputs ----


def write_png(path, width, height, alpha):
    """A picture of noise over a gradient, 8-bit RGB or RGBA, the same each time."""
    rng = random.Random(width * height)
    channels = 4 if alpha else 3

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes((x * 2 + y + rng.randrange(60) * c) & 255 for x in range(width) for c in range(channels))
                    for y in range(height))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6 if alpha else 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Inputs:
    """Models, pictures and budgets: made once, read by both builds. Names are relative to a job's directory."""

    def __init__(self, work, build, jobs):
        self.work, self.build = work, build
        self.folder = work / "inputs"
        for folder in ("", "neighbour", "vaes"):
            (self.folder / folder).mkdir()
        self.names = {}
        whole = ("--latent-space", "1", "--seed", "1")
        self.model("sd15", "sd15.safetensors", "--seed", "2")
        self.model("sdxl", "sdxl.safetensors", "--family", "sdxl", "--seed", "2")
        # Those whose VAE returns a picture, so that another VAE can be held against it.
        self.model("sd15-whole", "sd15-whole.safetensors", *whole)
        self.model("sdxl-whole", "sdxl-whole.safetensors", "--family", "sdxl", *whole)
        self.model("sd15-v", "v.safetensors", "--v-pred", "--seed", "4")
        self.model("sd15-zero", "zero.safetensors", "--v-pred", "--ztsnr", "--dtype", "f32", "--seed", "5")
        self.model("neighbour", "neighbour/near.safetensors", *whole)
        for name, place, space, seed in (("fine", "fine.safetensors", 1, 3), ("foreign", "foreign.safetensors", 2, 3),
                                         ("beside", "neighbour/near.vae.safetensors", 1, 6),
                                         ("sharp", "vaes/sharp.safetensors", 1, 8)):
            self.model(name, place, "--part", "vae", "--latent-space", str(space), "--seed", str(seed))
        self.add("vaes", "vaes")
        write_png(self.add("init", "init.png"), 96, 80, alpha=False)
        write_png(self.add("alpha", "alpha.png"), 64, 96, alpha=True)
        base = "generate -m {sd15} -p 'two boats' -W 96 -H 64 --steps 2 --seed 2 --budget 4G"
        self.add("jpeg", "init.jpg")
        self.add("latents", "latents.safetensors")
        self.budgets = {}
        for output in ("{jpeg}", "{latents} --batch 2"):
            self.answer(f"{base} -o {output}")
        for name, words in FORECASTS.items():
            if not any("{" + name + ":" in f"{job.budget} {job.lines}" for job in jobs):
                continue
            levels = self.answer(f"memory {words} --budget 8G")["forecast"]["levels"]
            self.budgets[name] = [level["budget_bytes"] for level in levels]

    def add(self, name, place):
        self.names[name] = f"../../inputs/{place}"
        return self.folder / place

    def model(self, name, place, *arguments):
        done = subprocess.run([self.build / "tools/random_checkpoint", "--family", "sd15", "--size", "tiny", *arguments,
                               "-o", self.add(name, place)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotCompare(f"random_checkpoint: {done.stderr.strip()}")

    def answer(self, words):
        folder = self.work / "made" / "inputs"
        folder.mkdir(parents=True, exist_ok=True)
        done = run_program(self.build, folder, [*self.split(words), "--json", "--threads", "1"], "")
        if done.returncode:
            raise CannotCompare(f"darkroom {words}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def fill(self, text):
        """The text with its {NAME}s and {FORECAST:N}s replaced."""
        for name, place in self.names.items():
            text = text.replace("{" + name + "}", place)
        for name, budgets in getattr(self, "budgets", {}).items():
            for level, budget in enumerate(budgets):
                text = text.replace(f"{{{name}:{level}}}", str(budget))
        if "{" in text:
            raise CannotCompare(f"no such input or way to make the picture: {text}")
        return text

    def split(self, words):
        return shlex.split(self.fill(words))


# ---- one job with one build ----


def run_program(build, folder, words, stdin, packs="off"):
    environment = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH", "ASAN_OPTIONS") if key in os.environ}
    environment.update(HOME="/nonexistent", XDG_DATA_HOME="", XDG_CONFIG_HOME="", XDG_CACHE_HOME="", DARKROOM_PACKS=packs,
                       OMP_WAIT_POLICY="passive",
                       DARKROOM_TOKENIZER=str(SOURCE / "tests/data/tiny-tokenizer"))
    return subprocess.run([build / "darkroom", *words], cwd=folder, env=environment, input=stdin, capture_output=True,
                          text=True, timeout=LIMIT_S, check=False)


Outcome = collections.namedtuple("Outcome", "code answers files opened errors")


def opened_regions(path):
    """Every region that was opened, in no order; none where the command opens none and writes no log."""
    if not path.exists():
        return []
    events = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return sorted([event["component"] or "", event["tag"], event["kind"], event["bytes"]]
                  for event in events if event["event"] == "opened")


def run_job(job, inputs, build, side):
    folder = inputs.work / side / job.name
    folder.mkdir(parents=True)
    words = inputs.split(job.words) + ["--json"]
    logged = words[0] not in ("inspect", "vaes")
    if logged:
        words += ["--memory-log", "memory.jsonl"]
        words += ["--threads", "1"] if "--threads" not in words else []
    if job.budget:
        words += ["--budget", inputs.fill(job.budget)]
    lines = [inputs.fill(line).removeprefix("! ") for line in job.lines or []]
    packs = "off"
    if job.packs:
        packs = "packs"
        (folder / packs).mkdir()
    done = run_program(build, folder, words, "".join(line + "\n" for line in lines), packs)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    opened = opened_regions(folder / "memory.jsonl")
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
             if path.is_file() and "packs" not in path.parts}
    shutil.rmtree(folder / "packs", ignore_errors=True)
    return Outcome(done.returncode, answers, files, opened, errors_of(job, done, answers))


def errors_of(job, done, answers):
    """Why the job is not one that proves anything, as sentences."""
    expected = [line.startswith("! ") for line in job.lines] if job.lines else [job.code is not None]
    if len(answers) != len(expected):
        return [f"{len(answers)} answers, not {len(expected)}: {done.stderr[-300:]}"]
    errors = []
    for number, (answer, fails) in enumerate(zip(answers, expected)):
        code = answer.get("error", {}).get("code")
        if job.either:
            continue
        if fails != (code is not None) or (job.code and code not in job.code.split("|")):
            errors.append(f"answer {number + 1} ({answer['command']}): "
                          f"{answer.get('error', {}).get('message', 'succeeds, though it should fail')}")
    return errors


# ---- comparison ----


def order_free(value):
    """Lists of regions are in the order of addresses, which differ: sort them by what is compared."""
    return sorted(value, key=lambda item: json.dumps([item.get(key) for key in ("component", "tag", "kind", "bytes")]))


class Comparison:
    """Counts what was compared and keeps what differs."""

    def __init__(self):
        self.figures = self.lost = 0
        self.differences = []

    def leaf(self, path, before, after):
        self.figures += 1
        if before != after:
            self.differences.append(f"{path}: {before!r} before, {after!r} after")

    def values(self, path, before, after, ignored):
        if isinstance(before, dict) and isinstance(after, dict):
            for key in before:
                if key in ignored:
                    continue
                if key in after:
                    self.values(f"{path}.{key}", before[key], after[key], ignored)
                else:
                    self.lost += 1
        elif isinstance(before, list) and isinstance(after, list):
            self.leaf(f"{path}: number of items", len(before), len(after))
            if path.endswith(".regions"):
                before, after = order_free(before), order_free(after)
            for number, (one, other) in enumerate(zip(before, after)):
                self.values(f"{path}[{number}]", one, other, ignored)
        else:
            self.leaf(path, before, after)

    def files(self, before, after):
        for name in sorted(before.keys() | after.keys()):
            if name not in before or name not in after:
                self.differences.append(f"{name}: only written {'before' if name in before else 'after'}")
            elif before[name] != after[name]:
                one, other = before[name], after[name]
                at = next((at for at, pair in enumerate(zip(one, other)) if pair[0] != pair[1]), min(len(one), len(other)))
                self.differences.append(f"{name}: differs from byte {at} on ({len(one)} bytes before, {len(other)} after)")


def compare(job, before, after, answers_only=False):
    """A Comparison of two outcomes of a job."""
    result = Comparison()
    result.differences += [f"before: {error}" for error in before.errors] + [f"after: {error}" for error in after.errors]
    result.leaf("exit code", before.code, after.code)
    result.files(before.files, after.files)
    # The default budget is what the machine has free.
    ignored = IGNORED if job.budget else IGNORED | {"budget", "fits"}
    for number, (one, other) in enumerate(zip(before.answers, after.answers)):
        result.values(f"answer {number + 1} ({one['command']})", one, other, ignored)
    if not answers_only:
        one, other = (collections.Counter(map(tuple, opened)) for opened in (before.opened, after.opened))
        for region, count in ((one - other) + (other - one)).items():
            side = "before" if one[region] > other[region] else "after"
            result.differences.append(f"region opened only {side}: {region} x {count}")
        result.figures += len(before.opened)
    if result.figures < LEAST_FIGURES or result.figures < KEPT_SHARE * (result.figures + result.lost):
        result.differences.append(f"only {result.figures} figures could be compared, {result.lost} are gone")
    return result


def chosen(jobs, patterns):
    picked = [job for job in jobs if not patterns or any(fnmatch.fnmatch(job.name, pattern) for pattern in patterns)]
    if not picked:
        raise CannotCompare("no job has such a name; --list shows them")
    return picked


def compare_builds(options, jobs, work):
    """Runs the jobs, prints a line each, and returns how many differ."""
    inputs = Inputs(work, options.before, jobs)

    def both(job):
        return job, compare(job, *(run_job(job, inputs, build, side)
                                   for build, side in ((options.before, "before"), (options.after, "after"))),
                            options.answers_only)

    different = figures = lost = 0
    with concurrent.futures.ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for job, result in pool.map(both, jobs):
            figures, lost = figures + result.figures, lost + result.lost
            different += bool(result.differences)
            print(f"{'DIFFERS' if result.differences else 'same   '}  {job.name}  ({result.figures} figures)", flush=True)
            for line in result.differences[:12]:
                print(f"    {line}")
            if len(result.differences) > 12:
                print(f"    and {len(result.differences) - 12} more")
    files = sum(len(list((work / "before" / job.name).rglob("*.*"))) for job in jobs)
    print(f"\n{len(jobs)} jobs, {files} files, {figures} figures compared, {lost} fields gone: "
          + (f"{different} jobs differ" if different else "all the same"))
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=pathlib.Path, metavar="BUILD_BEFORE", nargs="?")
    parser.add_argument("after", type=pathlib.Path, metavar="BUILD_AFTER", nargs="?")
    parser.add_argument("--jobs", nargs="+", metavar="PATTERN", default=[], help="only jobs of these names (as in the shell: sampler-*)")
    parser.add_argument("--list", action="store_true", help="list the jobs and end")
    parser.add_argument("--keep", action="store_true", help="keep what the jobs wrote, and say where")
    parser.add_argument("--answers-only", action="store_true", help="leave the regions of the memory log out")
    options = parser.parse_args()
    try:
        jobs = chosen(table(), options.jobs)
        if options.list:
            print("\n".join(f"{job.name}: darkroom {job.words}" for job in jobs))
            return 0
        if not options.after:
            parser.error("which two build directories?")
        for build in (options.before, options.after):
            if not (build / "darkroom").exists():
                raise CannotCompare(f"{build}/darkroom is not there: build it first")
        options.before, options.after = options.before.resolve(), options.after.resolve()
        # Beside the build: /tmp may lie in memory, where packs are turned off.
        work = pathlib.Path(tempfile.mkdtemp(prefix="same-pictures-", dir=options.after))
        try:
            return 1 if compare_builds(options, jobs, work) else 0
        finally:
            if options.keep:
                print(f"kept in {work}")
            else:
                shutil.rmtree(work, ignore_errors=True)
    except CannotCompare as error:
        print(f"same_pictures: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
