"""Tests that drive the service by a client library from the Python package index.

The library lies in a virtual environment of its own, $XDG_CACHE_HOME/darkroom/clients/NAME (~/.cache by default), which is
made once; DARKROOM_CLIENTS=FOLDER has it elsewhere, DARKROOM_CLIENTS=off skips. Where it cannot be made (no network, no
venv module) the test is skipped.
"""
import hashlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import cases

LIMIT_S = 600


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(cases.SKIPPED)


def run(*words):
    return subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
                          check=True)


def make(folder, requirements):
    """Makes it beside its place, so that one that is there is whole."""
    made = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        run(sys.executable, "-m", "venv", made)
        run(made / "bin/python", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "20",
            *requirements)
        made.rename(folder)
    except (OSError, subprocess.SubprocessError) as problem:
        said = getattr(problem, "stderr", None) or str(problem)
        if not folder.exists():
            skip(f"{' '.join(requirements)} cannot be installed: {' '.join(said.split())[-200:]}")
    finally:
        shutil.rmtree(made, ignore_errors=True)


def use(module, *requirements):
    """Goes on where the module is there; else this program begins again in an environment that has it."""
    if importlib.util.find_spec(module):
        return
    chosen = os.environ.get("DARKROOM_CLIENTS", "")
    if chosen == "off":
        skip("DARKROOM_CLIENTS is off")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "darkroom/clients"
    name = hashlib.sha256(" ".join(requirements).encode()).hexdigest()[:8]
    folder = pathlib.Path(chosen or cache) / f"{module}-{name}"
    if os.environ.get("DARKROOM_CLIENT_BEGAN") == module:
        skip(f"{folder} has no module {module}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        skip(f"{folder.parent} cannot be made: {problem}")
    if not folder.exists():
        make(folder, requirements)
    python = str(folder / "bin/python")
    os.environ["DARKROOM_CLIENT_BEGAN"] = module
    os.execv(python, [python, *sys.argv])
