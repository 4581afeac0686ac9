#!/usr/bin/env python3
"""Run random jobs, each at a budget that `darkroom memory` named for it, and hold them against it.

    budget_jobs.py BUILD [--jobs N] [--seed N] [--workers N] [--keep-going] [--folder DIR]

Every job is of a tiny checkpoint of random weights, SD1.5 or SDXL: a size, batch, sampler, scheduler, guidance, picture
to start from, VAE, precision, and packs that are off, made by this job or there already. One process says which
budgets the job needs; another runs it at one of them, chosen at random, with an environment of another size, which
moves what a process holds when it starts. It must not be refused, must reach what it planned to the byte and not more
than that level's peak, and the kernel's figure (smaps_rollup, looked at all the while) must stay within the budget.
Then the job is asked for a budget that is too small, and the refusal is held to its word: what it says is needed is
enough in another process, and one byte less is refused. encode and decode are refused and run in the same way.

Ends with 1 where something was not so, 2 where a job could not be tried. BUILD is the build folder.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib

SOURCE = pathlib.Path(__file__).resolve().parent.parent
SAMPLERS = ["euler", "euler-a", "heun", "dpmpp-2m", "dpmpp-2m-sde", "unipc", "ddim", "lcm", "dpmpp-sde", "dpmpp-2m-sde-heun",
            "dpmpp-2s-a", "dpmpp-3m-sde", "dpm2", "dpm2-a", "lms", "restart", "plms", "deis", "ddpm", "tcd"]
SCHEDULERS = ["normal", "karras", "exponential", "sgm-uniform", "leading", "trailing"]
FAMILIES = ["sd15", "sdxl"]
LIMIT_S = 600
SAID = re.compile(r"a budget of (\d+) bytes is sufficient")


class Violation(Exception):
    """A promise was not kept."""


class Failure(Exception):
    """A job could not be tried."""


Run = collections.namedtuple("Run", "answer most_private looks words")


def write_png(path, width, height, rng):
    """A picture of noise, 8-bit RGB."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + rng.randbytes(3 * width) for _ in range(height))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def private_bytes(pid):
    """What the kernel calls private (docs/MEMORY.md) of a process, or 0 where it has ended."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in text.splitlines() if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


class Bench:
    """The models, and how the program is run."""

    def __init__(self, build, folder):
        self.program = str(build / "darkroom")
        self.folder = folder
        kept = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH", "OMP_WAIT_POLICY")
        self.environment = {key: os.environ[key] for key in kept if key in os.environ}
        self.environment.update(HOME=str(folder), XDG_CONFIG_HOME=str(folder / "config"),
                                XDG_DATA_HOME=str(folder / "data"),
                                DARKROOM_TOKENIZER=str(SOURCE / "tests/data/tiny-tokenizer"))
        for family in FAMILIES:
            self.make(build, family, f"{family}.safetensors")
            self.make(build, family, f"{family}-vae.safetensors", "--part", "vae")
        (folder / "warm").mkdir(mode=0o700)

    def make(self, build, family, name, *arguments):
        subprocess.run([build / "tools/random_checkpoint", "--family", family, "--size", "least", "--seed", "1", *arguments,
                        "-o", self.folder / name], check=True, capture_output=True)

    def run(self, words, padding):
        """One answer of the program, with the most private bytes that the kernel told while it ran."""
        words = [str(word) for word in words]
        environment = {**self.environment, "PADDING": "x" * padding}
        with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
            with subprocess.Popen([self.program, *words, "--json", "-q"], stdin=subprocess.DEVNULL, stdout=told, stderr=said,
                                  env=environment, cwd=self.folder) as process:
                most, looks, end = 0, 0, time.monotonic() + LIMIT_S
                while process.poll() is None:
                    found = private_bytes(process.pid)
                    most, looks = max(most, found), looks + (found > 0)
                    if time.monotonic() > end:
                        process.kill()
                    time.sleep(0.004)
            told.seek(0)
            said.seek(0)
            lines, words = told.read().decode().splitlines(), " ".join(words)
            if len(lines) != 1:
                raise Failure(f"{process.returncode}: {words}: {lines}, {said.read().decode(errors='replace')[-500:]}")
        return Run(json.loads(lines[0]), most, looks, words)


class Job:
    """One job: what it is, how it was asked for, and what is held against it."""

    def __init__(self, bench, number, seed):
        self.bench = bench
        self.rng = rng = random.Random(f"{seed}/{number}")
        self.folder = bench.folder / f"job-{number}"
        self.folder.mkdir()
        self.family = rng.choice(FAMILIES)
        self.kind = rng.choices(["generate", "encode", "decode"], [10, 1, 1])[0]
        self.sides = [8 * round(8 * 2 ** rng.uniform(0, 2.3)) for _ in range(2)]
        self.looked = 0
        self.packs = rng.choice(["off", "off", "warm", "cold"])
        pack_folder = {"off": "off", "warm": bench.folder / "warm", "cold": self.folder / "packs"}[self.packs]
        if self.packs == "cold":
            pack_folder.mkdir(mode=0o700)
        self.shared = ["-m", f"{self.family}.safetensors", "--threads", rng.choice([1, 2, 2, 3]), "--packs", pack_folder]
        if rng.random() < 0.5:
            self.shared += ["--precision", "f32"]
        if rng.random() < 0.25:
            self.shared += ["--vae", rng.choice(["none", f"{self.family}-vae.safetensors"])]
            self.shared += rng.choice([[], ["--force"]])

    def size_words(self):
        return ["-W", self.sides[0], "-H", self.sides[1]]

    def picture(self):
        """A picture to start from: of the job's size or another, or one whose decoder holds it whole."""
        rng = self.rng
        if rng.random() < 0.2:
            return SOURCE / "tests/corpus/image/progressive.jpg"
        path = self.folder / "init.png"
        sides = self.sides if rng.random() < 0.5 else [rng.randint(16, 300) for _ in range(2)]
        write_png(path, *sides, rng)
        return path

    def generate_words(self):
        """Of `memory` and of `generate`; then those of `generate` alone."""
        rng = self.rng
        words = [*self.shared, *self.size_words(), "--steps", rng.randint(1, 4), "--batch", rng.choice([1, 1, 2, 3]),
                 "--cfg", rng.choice([1, 3, 5, 7.5]), "--sampler", rng.choice(SAMPLERS)]
        if rng.random() < 0.3:
            words += ["--clip-skip", 2]
        if rng.random() < 0.3:
            words += ["--init", self.picture(), "--strength", rng.choice([0.5, 0.75, 0.9, 1])]
        if self.family == "sdxl" and rng.random() < 0.2:
            words += ["--original-size", "640x480", "--crop", "8,16"]
        # Not every sampler takes every schedule: `generate` says which do not.
        if rng.random() < 0.4:
            words += ["--scheduler", rng.choice(SCHEDULERS)]
        output = self.folder / rng.choice(["a.png", "a.png", "a.jpg"])
        own = ["-p", rng.choice(["", "a lighthouse", "a red circle " * rng.randint(1, 9)]), "-s", rng.randint(0, 99),
               "-o", output]
        if rng.random() < 0.3:
            own += ["-n", "blue"]
        if output.suffix == ".png" and rng.random() < 0.3:
            own += ["--bits", 16]
        return words, own

    def run(self, words):
        """In an environment of up to eight pages: what a process holds at its start depends on it."""
        return self.bench.run(words, self.rng.randint(0, 32768))

    def at(self, words, budget):
        return self.run([*words, "--budget", budget])

    def check_run(self, words, budget, most_planned):
        """A run at a budget that was named: not refused, as planned, within the budget."""
        run = self.at(words, budget)
        self.looked += run.looks
        if not run.answer["ok"]:
            raise Violation(f"refused at a budget that was named: {run.words}: {run.answer['error']['message']}")
        planned, peak = run.answer["planned_private_bytes"], run.answer["peak_private_bytes"]
        if planned != peak:
            raise Violation(f"planned {planned}, reached {peak}: {run.words}")
        if most_planned is not None and peak > most_planned:
            raise Violation(f"its level has a peak of {most_planned}, it reached {peak}: {run.words}")
        after = run.answer["receipt"]["after"]["kernel_private_bytes"]
        if max(run.most_private, after) > budget:
            raise Violation(f"{max(run.most_private, after)} private bytes by the kernel: {run.words}")

    def refused(self, words, budget):
        """The budget that a refusal says is enough."""
        run = self.at(words, budget)
        if run.answer["ok"]:
            raise Violation(f"not refused below what it needs: {run.words}")
        error = run.answer["error"]
        named = SAID.search(error["message"])
        if error["code"] != "over_budget" or not named:
            raise Violation(f"the refusal names no budget: {run.words}: {error['message']}")
        return int(named.group(1))

    def check_refusal(self, words, budget):
        """A refusal at this budget: what it names is enough, and one byte less is not."""
        named = self.refused(words, budget)
        if named <= budget:
            raise Violation(f"refused at {budget}, and {named} are said to be enough: {words}")
        again = self.refused(words, named - 1)
        if again != named:
            raise Violation(f"{named} bytes were said to be enough, then {again}: {words}")
        self.check_run(words, named, None)
        return named

    def run_generate(self):
        while True:
            words, own = self.generate_words()
            forecast = self.run(["memory", *words])
            if forecast.answer["ok"]:
                break
            self.check_unwanted(forecast)
        levels = forecast.answer["forecast"]["levels"]
        level = self.rng.choice(levels)
        command = ["generate", *words, *own]
        if self.packs != "cold" and self.rng.random() < 0.34:
            least = levels[-1]["budget_bytes"]
            beside = least - levels[-1]["peak_bytes"]
            named = self.check_refusal(command, self.rng.choice([least - 1, self.rng.randint(beside + 1, least - 1), self.tiny()]))
            if named != least:
                raise Violation(f"memory names {least} bytes, the refusal {named}: {command}")
        self.check_run(command, level["budget_bytes"], level["peak_bytes"])

    def check_unwanted(self, run):
        """A sampler and a schedule that do not go together, or a strength that leaves no step: others are drawn."""
        if run.answer["error"]["code"] != "bad_input":
            raise Violation(f"{run.words}: {run.answer['error']['message']}")

    def run_codec(self):
        latents, pixels = self.folder / "a.safetensors", self.folder / "b.png"
        encode = ["encode", self.picture(), *self.shared, *self.size_words(), "-o", latents]
        if self.kind == "encode":
            self.check_refusal(encode, self.tiny())
            return
        made = self.run(encode)
        if not made.answer["ok"]:
            raise Failure(f"{made.words}: {made.answer['error']['message']}")
        decode = ["decode", latents, *self.shared, "-o", pixels]
        self.check_refusal(decode, self.tiny())

    def tiny(self):
        """A budget that is less than the process itself takes: the engine opens, and refuses the job."""
        return self.rng.randint(1, 49 << 20)

    def go(self):
        """Raises what is wrong."""
        try:
            if self.kind == "generate":
                self.run_generate()
            else:
                self.run_codec()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


class Tally:
    """What was seen, and the last line."""

    def __init__(self):
        self.jobs = collections.Counter()
        self.looks = 0
        self.violations = []
        self.failures = []

    def take(self, number, job, outcome):
        self.looks += job.looked
        if isinstance(outcome, Exception):
            is_violation = isinstance(outcome, Violation)
            words = f"job {number}: {'' if is_violation else type(outcome).__name__ + ': '}{outcome}"
            (self.violations if is_violation else self.failures).append(words)
            print(words, flush=True)
        self.jobs[f"{job.family} {job.kind}, packs {job.packs}"] += 1

    def summary(self):
        count = sum(self.jobs.values())
        for name, number in sorted(self.jobs.items()):
            print(f"{number:6} {name}")
        print(f"{self.looks:6} looks at the kernel's figure while a job ran")
        if count and not self.looks:
            self.failures.append("the kernel's figure was never seen")
            print(self.failures[-1])
        if not self.violations and not self.failures:
            print(f"{count} jobs: none above its budget, none refused at its level, planned = peak in all")
            return 0
        print(f"{count} jobs: {len(self.violations)} violations, {len(self.failures)} could not be tried")
        return 1 if self.violations else 2


def try_job(bench, number, seed):
    job = Job(bench, number, seed)
    try:
        job.go()
    except Exception as problem:  # told with the job's number, whatever it is
        return number, job, problem
    return number, job, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="the build folder")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first job's number (default 0), to try one again")
    parser.add_argument("--seed", type=int, default=None, help="of the jobs (default: a random one)")
    parser.add_argument("--workers", type=int, default=1, help="jobs at a time (default 1)")
    parser.add_argument("--keep-going", action="store_true", help="try all jobs, though one was wrong")
    parser.add_argument("--folder", type=pathlib.Path, default=None,
                        help="where a folder for models, packs and pictures is made (default: the build folder)")
    options = parser.parse_args()
    build = options.build.resolve()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="budget-jobs-", dir=options.folder or build))
    tally = Tally()
    try:
        bench = Bench(build, folder)
        with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
            numbers = iter(range(options.first, options.first + options.jobs))
            waiting = set()
            while True:
                stopped = (tally.violations or tally.failures) and not options.keep_going
                while not stopped and len(waiting) < options.workers and (number := next(numbers, None)) is not None:
                    waiting.add(pool.submit(try_job, bench, number, seed))
                if not waiting:
                    break
                done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    tally.take(*future.result())
                    if (tried := sum(tally.jobs.values())) % 100 == 0:
                        print(f"{tried} jobs", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return tally.summary()


if __name__ == "__main__":
    sys.exit(main())
