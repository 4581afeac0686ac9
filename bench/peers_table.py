#!/usr/bin/env python3
"""Runs the engines of bench/peers in turns and prints them side by side.

Each engine runs in a process of its own. A round starts every engine once: load, compile where that is part of
the engine, one warm-up of each kind with the process's memory watched (smaps_rollup: private is Pss_Anon +
Pss_Shmem, resident is Rss, files that it maps included), then the timed repetitions with nothing else running:
a few steps, of which the mean counts, and one decode. darkroom then also chooses another VAE and goes back to the
checkpoint's own. Every second round goes backwards through the engines.

A shared machine only ever makes a time longer. So a round's figure is its best repetition, an engine's
figure the best round's, and a ratio the median over the rounds of that round's ratio.

Standard library only; bench/peers gives it the Python of the virtual environment for the workers.
"""
import argparse
import datetime
import hashlib
import json
import math
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
WATCH_SECONDS = 0.05


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


class EngineFailed(Exception):
    pass


def memory_bytes(pid):
    """(private, resident) of a process: anonymous and shared memory; that and all it maps. 0 once it is gone."""
    private = resident = 0
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            for line in rollup:
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    private += int(line.split()[1]) * 1024
                elif line.startswith("Rss:"):
                    resident = int(line.split()[1]) * 1024
    except OSError:
        return 0, 0
    return private, resident


class Watch:
    """The peaks of a process's private and resident memory while the block runs."""

    def __init__(self, pid):
        self.pid, self.private, self.resident, self._done = pid, 0, 0, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while True:
            private, resident = memory_bytes(self.pid)
            self.private, self.resident = max(self.private, private), max(self.resident, resident)
            if self._done.wait(WATCH_SECONDS):
                return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


class Process:
    """A child that answers each line on its stdin with one JSON object on its stdout."""

    def __init__(self, name, command, threads, log):
        self.name, self.log = name, log
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="false",
                           XDG_CONFIG_HOME=str(ROOT / "out/no-settings"))  # the user's VAEs are none of ours
        with open(log, "a", encoding="utf-8") as stderr:
            self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                                          text=True, bufsize=1, env=environment, cwd=ROOT)

    def send(self, line):
        try:
            self.child.stdin.write(line + "\n")
        except BrokenPipeError:
            raise self.failed("ended too early") from None

    def read(self):
        line = self.child.stdout.readline()
        if not line:
            raise self.failed("ended too early")
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            raise self.failed(f"answered what is no JSON: {line[:200]!r}") from None

    def ask(self, line):
        self.send(line)
        return self.read()

    def failed(self, what):
        return EngineFailed(f"{self.name} {what}; its words are in {self.log}")

    def end(self):
        try:
            self.child.stdin.close()
            self.child.wait(timeout=60)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


SD15 = ("sd15-full.safetensors", "checkpoint", 1)
SD15_VAE = ("sd15-full-vae.safetensors", "vae", 2)


def write_checkpoint(options, name, part, seed):
    path = options.cache / name
    if path.exists():
        return
    say(f"writing {path} (once)")
    partial = path.with_suffix(".partial")
    subprocess.run([str(ROOT / "build/tools/random_checkpoint"), "--family", "sd15", "--size", "full", "--part", part,
                    "--seed", str(seed), "-o", str(partial)], check=True, cwd=ROOT, stdout=sys.stderr)
    partial.rename(path)


class PeerEngine:
    """A worker of bench/peer_worker.py."""

    def __init__(self, name, arguments, converts=None, checkpoint=None):
        """converts: the folder and the last of the files that the worker's --convert writes. checkpoint: which of the
        random checkpoints the worker reads."""
        self.name, self.arguments, self.converts, self.checkpoint = name, arguments, converts, checkpoint
        self.needs_bf16 = "bf16" in name
        self.compiles = "--compile" in arguments
        self.can_be_limited = arguments[0] in ("peer_openvino.py", "peer_diffusers.py")

    def prepare(self, options):
        if self.compiles:
            self._probe(options)
        if self.checkpoint:
            write_checkpoint(options, *self.checkpoint)
        if self.converts and not (options.cache / self.converts[0] / self.converts[1]).exists():
            say(f"converting the networks for {self.name} (once)")
            with open(options.out / f"{self.converts[0]}-convert.log", "w", encoding="utf-8") as log:
                subprocess.run(self._command(options) + ["--convert"], check=True, cwd=ROOT, stdout=log, stderr=log)

    def _probe(self, options):
        path = options.out / f"{self.name}.log"
        with open(path, "w", encoding="utf-8") as log:
            done = subprocess.run(self._command(options) + ["--probe"], check=False, cwd=ROOT, stdout=log, stderr=log)
        if done.returncode:
            words = path.read_text(encoding="utf-8", errors="replace").splitlines()
            errors = [line for line in words if "Error" in line]
            raise EngineFailed("torch.compile cannot run here. It needs g++ (or what CXX names) and Python's headers: "
                               f"script/bootstrap g++ python3-dev. {' '.join(errors[-1:])}")

    def _command(self, options):
        command = [sys.executable, str(BENCH / self.arguments[0]), "--threads", str(options.threads)]
        if self.converts:
            command += ["--cache", str(options.cache / self.converts[0])]
        if self.checkpoint:
            command += ["--checkpoint", str(options.cache / self.checkpoint[0])]
        return command + self.arguments[1:]

    def run(self, options):
        process = Process(self.name, self._command(options), options.threads, options.out / f"{self.name}.log")
        try:
            begin = time.monotonic()
            with Watch(process.child.pid) as loading:
                version = process.read()["version"]
                load_s = time.monotonic() - begin
                first_ms = [process.ask(kind + " 1")["ms"][0] for kind in ("unet", "vae")] if self.compiles else []
            with Watch(process.child.pid) as working:
                process.ask("unet 1")
                process.ask("vae 1")
            unet_ms, vae_ms = [], []
            for _ in range(options.repetitions):
                unet_ms.append(statistics.mean(process.ask(f"unet {options.steps}")["ms"]))
                vae_ms.append(process.ask("vae 1")["ms"][0])
            # What the first calls took beyond a step and a decode.
            compile_s = (sum(first_ms) - min(unet_ms) - min(vae_ms)) / 1000 if self.compiles else None
            return {"version": version, "load_s": load_s, "compile_s": compile_s, "load_peak_bytes": loading.private,
                    "private_peak_bytes": working.private, "resident_peak_bytes": working.resident,
                    "unet_ms": unet_ms, "vae_ms": vae_ms}
        finally:
            process.end()


class DarkroomEngine:
    """build/darkroom shell --json, on a random checkpoint of full size."""

    def __init__(self, name, precision):
        self.name, self.precision = name, precision
        self.needs_bf16 = precision == "bf16"
        self.can_be_limited = True

    def prepare(self, options):
        for checkpoint in (SD15, SD15_VAE):
            write_checkpoint(options, *checkpoint)

    @staticmethod
    def _checkpoint(options):
        return options.cache / SD15[0]

    @staticmethod
    def _vae(options):
        return options.cache / SD15_VAE[0]

    @staticmethod
    def _tokenizer():
        return os.environ.get("DARKROOM_TOKENIZER") or str(ROOT / "tests/data/tiny-tokenizer")

    def run(self, options):
        command = [str(ROOT / "build/darkroom"), "shell", "--json", "--precision", self.precision,
                   "--threads", str(options.threads), "--tokenizer", self._tokenizer(),
                   "--packs", str(options.cache / "packs")]
        process = Process(self.name, command, options.threads, options.out / f"{self.name}.log")
        try:
            return self._measure(process, options)
        finally:
            process.end()

    def _measure(self, process, options):
        def command(words):
            answer = process.ask(" ".join(shlex.quote(str(word)) for word in words))
            if not answer["ok"]:
                raise EngineFailed(f"{self.name}: {words[0]}: {answer['error']['message']}")
            return answer

        def generate(steps):
            return command(["generate", "-p", "a lighthouse at dusk", "-n", "fog", "-W", 512, "-H", 512, "--seed", 7,
                            "--cfg", 7, "--sampler", "euler", "--steps", steps, "-o", picture])

        def switch():
            """To another VAE and back: the mean of the two."""
            return statistics.mean(command(["vae", vae])["ms"] for vae in (self._vae(options), "none"))

        with tempfile.TemporaryDirectory() as folder:
            picture = os.path.join(folder, "picture.png")
            begin = time.monotonic()
            with Watch(process.child.pid) as loading:
                command(["model", self._checkpoint(options)])
            load_s = time.monotonic() - begin
            with Watch(process.child.pid) as working:
                warm = generate(1)
            timings = [generate(options.steps)["timings_ms"] for _ in range(options.repetitions)]
            switch()  # the first reads the file, looks at its pictures and makes its pack
            return {"version": "darkroom " + commit(), "load_s": load_s, "load_peak_bytes": loading.private,
                    "private_peak_bytes": working.private, "resident_peak_bytes": working.resident,
                    "ledger_peak_private_bytes": warm.get("peak_private_bytes"),
                    "unet_ms": [timing["unet_per_step"] for timing in timings],
                    "vae_ms": [timing["vae"] for timing in timings],
                    "text_ms": [timing["text"] for timing in timings],
                    "switch_ms": [switch() for _ in range(options.repetitions)]}


OPENVINO = ("openvino", "vae.xml")
ENGINES = {engine.name: engine for engine in (
    DarkroomEngine("darkroom-bf16", "bf16"),
    DarkroomEngine("darkroom-f32", "f32"),
    PeerEngine("openvino-bf16", ["peer_openvino.py", "--precision", "bf16"], OPENVINO),
    PeerEngine("openvino-f32", ["peer_openvino.py", "--precision", "f32"], OPENVINO),
    PeerEngine("onnxruntime-f32", ["peer_onnx.py"], ("onnx", "vae.onnx")),
    PeerEngine("sdcpp-f16", ["peer_sdcpp.py", "--type", "f16"], checkpoint=SD15),
    PeerEngine("sdcpp-q8", ["peer_sdcpp.py", "--type", "q8_0"], checkpoint=SD15),
    PeerEngine("diffusers-bf16", ["peer_diffusers.py", "--dtype", "bfloat16"]),
    PeerEngine("diffusers-bf16-nhwc", ["peer_diffusers.py", "--dtype", "bfloat16", "--channels-last"]),
    PeerEngine("diffusers-f32", ["peer_diffusers.py", "--dtype", "float32"]),
    PeerEngine("torch-compile-bf16", ["peer_diffusers.py", "--dtype", "bfloat16", "--compile", "plain"]),
    PeerEngine("torch-compile-f32", ["peer_diffusers.py", "--dtype", "float32", "--compile", "plain"]),
    PeerEngine("torch-compile-f32-frozen", ["peer_diffusers.py", "--dtype", "float32", "--compile", "frozen"]),
)}


def commit():
    known = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True,
                           check=False)
    return known.stdout.strip() or "unknown"


def machine():
    """What the processor is, and which of the flags that matter here it has."""
    model, flags = platform.machine(), set()
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        for line in cpuinfo:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
                break
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return {"processor": model, "flags": known, "cores": os.cpu_count(), "load": os.getloadavg()[0]}


def clock_probe_ms():
    """How long a fixed piece of work takes now, with one thread: the best of five."""
    data, best = bytes(16 << 20), math.inf
    for _ in range(5):
        begin = time.perf_counter()
        hashlib.sha256(data).digest()
        best = min(best, 1000 * (time.perf_counter() - begin))
    return best


def clock_drift(rounds):
    """How much slower the slowest of the probes was than the fastest: 0.1 is a tenth."""
    probes = [result["clock_ms"] for each in rounds for result in each.values()]
    return max(probes) / min(probes) - 1


def ratio(rounds, engine, base, key):
    """The median over the rounds of engine's time as a multiple of base's in the same round."""
    pairs = [(each[engine], each[base]) for each in rounds if engine in each and base in each]
    return statistics.median(min(mine[key]) / min(other[key]) for mine, other in pairs)


def summarise(rounds, names, base):
    rows = []
    for name in names:
        runs = [each[name] for each in rounds if name in each]
        if not runs:
            continue
        rows.append({
            "engine": name, "version": runs[0]["version"],
            "unet_ms": min(min(run["unet_ms"]) for run in runs),
            "vae_ms": min(min(run["vae_ms"]) for run in runs),
            "switch_ms": min((min(run["switch_ms"]) for run in runs if run.get("switch_ms")), default=None),
            "compile_s": min((run["compile_s"] for run in runs if run.get("compile_s")), default=None),
            "private_peak_bytes": max(run["private_peak_bytes"] for run in runs),
            "resident_peak_bytes": max(run["resident_peak_bytes"] for run in runs),
            "load_peak_bytes": max(run["load_peak_bytes"] for run in runs),
            "unet_ratio": ratio(rounds, name, base, "unet_ms"),
            "vae_ratio": ratio(rounds, name, base, "vae_ms")})
    return rows


def print_table(record, base):
    rows, where = record["summary"], record["machine"]
    heads = ["engine", "guided step", "ratio", "VAE decode", "ratio", "private peak", "resident", "while loading",
             "compile", "VAE switch"]
    lines = [heads]
    for row in rows:
        lines.append([row["engine"], f"{row['unet_ms'] / 1000:.2f} s", f"{row['unet_ratio']:.2f}",
                      f"{row['vae_ms'] / 1000:.2f} s", f"{row['vae_ratio']:.2f}",
                      *(f"{row[key] / 1e9:.2f} GB" for key in ("private_peak_bytes", "resident_peak_bytes",
                                                               "load_peak_bytes")),
                      "-" if row["compile_s"] is None else f"{row['compile_s']:.0f} s",
                      "-" if row["switch_ms"] is None else f"{row['switch_ms']:.1f} ms"])
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        print("  ".join([line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]))
    limit = " as if it had AVX2 alone" if record["avx2"] else ""
    print(f"\n{where['processor']} ({', '.join(where['flags'])}){limit}, {record['threads']} threads. "
          f"The clock drifted by {100 * record['clock_drift']:.0f} % between the turns.")
    print(f"512x512, SD1.5's shapes, random weights. A ratio is the time as a multiple of {base}'s in the same round:")
    print("above 1 is slower. Private: Pss_Anon + Pss_Shmem, the whole process; OpenVINO's and ONNX Runtime's lack the text encoder.")
    print("Resident: Rss, with the files that it maps. Compile: before the first step and decode, in neither's time;")
    print("its memory counts while loading, that of the compiler's own processes nowhere. -: none, or not measured.")


def default_engines(avx2):
    """All; on a processor that only emulates bfloat16, where its times mean nothing, those without it."""
    has_bf16 = {"avx512_bf16", "amx_bf16"} & set(machine()["flags"]) and not avx2
    left_out = [name for name, engine in ENGINES.items() if engine.needs_bf16 and not has_bf16]
    if left_out:
        say(f"bfloat16 is not multiplied here: without {', '.join(left_out)}")
    if avx2:
        left_out += [name for name, engine in ENGINES.items() if not engine.can_be_limited]
    return [name for name in ENGINES if name not in left_out]


# What makes each engine's libraries use AVX2 at most. There is no such thing for ONNX Runtime and stable-diffusion.cpp.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def parse_options():
    parser = argparse.ArgumentParser(prog="bench/peers", description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="one round with fewer repetitions")
    parser.add_argument("--rounds", type=int, help="how often each engine has its turn (default 3; quick 1)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="threads of each engine (default: all cores)")
    parser.add_argument("--engines", help="which, separated by commas (default: all that this processor can be "
                        "compared with: without AVX512-BF16 or AMX the float32 ones)")
    parser.add_argument("--avx2", action="store_true", help="on a larger processor: as if it had AVX2 alone (float32 "
                        "engines whose libraries can be told so)")
    parser.add_argument("--list", action="store_true", help="print the engines' names and end")
    options = parser.parse_args()
    options.names = options.engines.split(",") if options.engines else default_engines(options.avx2)
    unknown = [name for name in options.names if name not in ENGINES]
    if unknown:
        parser.error(f"no engine is called {unknown[0]!r}; there are {', '.join(ENGINES)}")
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.steps, options.repetitions = (1, 2) if options.quick else (2, 2)
    options.out = ROOT / "out" / "bench"
    return options


def prepare(options):
    """Makes what the engines need once. Returns {engine: why} of those that cannot take part."""
    failures = {}
    for name in options.names:
        (options.out / f"{name}.log").unlink(missing_ok=True)
        try:
            ENGINES[name].prepare(options)
        except (subprocess.CalledProcessError, OSError, EngineFailed) as failure:
            failures[name] = f"not prepared: {failure}"
            say(f"{name} {failures[name]}; logs are in {options.out}")
    return failures


def run_rounds(options, failures):
    """[{engine: result}], one a round. An engine that fails is added to failures and has no further turn."""
    rounds = []
    for index in range(options.rounds):
        results = {}
        for name in options.names if index % 2 == 0 else reversed(options.names):
            if name in failures:
                continue
            say(f"round {index + 1} of {options.rounds}: {name}")
            try:
                clock_ms = clock_probe_ms()
                results[name] = ENGINES[name].run(options) | {"clock_ms": clock_ms}
            except EngineFailed as failure:
                failures[name] = str(failure)
                say(failure)
        rounds.append(results)
    return rounds


def main():
    options = parse_options()
    if options.list:
        print("\n".join(ENGINES))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    if options.avx2:
        os.environ.update(AVX2)
    failures = prepare(options)
    record = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "command": "bench/peers " + shlex.join(sys.argv[3:]), "commit": commit(), "machine": machine(),
              "avx2": options.avx2, "threads": options.threads}
    rounds = run_rounds(options, failures)
    present = [name for name in options.names if any(name in each for each in rounds)]
    if not present:
        say("no engine came to its end")
        return 1
    rows = summarise(rounds, present, present[0])
    record |= {"ratios_to": present[0], "summary": rows, "rounds": rounds, "failures": failures,
               "clock_drift": clock_drift(rounds)}
    path = options.out / "peers.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print_table(record, present[0])
    for name, why in failures.items():
        print(f"{name} failed: {why}")
    say(f"written: {path.relative_to(ROOT)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
