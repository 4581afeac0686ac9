#!/usr/bin/env python3
"""Hold darkroom's reader of tensor files against the Python package `safetensors`.

    compare_safetensors.py BUILD_FOLDER [--mutations N] [--seed S] FILE...

Every file, and N copies of each small one with random bytes of the header changed, is read by both. They must agree
on names, types, shapes and bytes; what the package refuses darkroom must refuse too. Where darkroom alone refuses, its
reason must be one of those that its documentation states. The digests of components are computed here a second time,
by their definition in src/weights/checkpoint.h. Needs safetensors and numpy (a virtual environment will do).
"""
import argparse
import hashlib
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import safetensors

# What darkroom refuses and the package may accept: tensor_file.h.
STRICTER = ("lists a name twice", "control character", "nests more than", "bytes, more than 1024",
            "dimensions, more than", "more than 12", "is not valid JSON", "which darkroom does not know",
            "does not begin with '{'", "is in no format", "is not a JSON object", "overflows")
SMALL_BYTES = 1 << 20


def darkroom(build, paths):
    done = subprocess.run([str(build / "tools/tensor_table"), *map(str, paths)], capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def header_of(path):
    """The header as written, since the package gives no raw bytes of float8 tensors to numpy."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return header, data[8 + length:]


def package(path):
    """{name: [dtype, dims, sha256]}, or the package's refusal as text."""
    try:
        with safetensors.safe_open(path, "np") as file:
            names = set(file.keys())
            shapes = {name: file.get_slice(name) for name in names}
            described = {name: (piece.get_dtype(), piece.get_shape()) for name, piece in shapes.items()}
    except (safetensors.SafetensorError, OSError, ValueError) as refusal:
        return f"refused: {refusal}"
    header, data = header_of(path)
    return {name: [described[name][0], described[name][1],
                   hashlib.sha256(data[slice(*header[name]["data_offsets"])]).hexdigest()] for name in names}


def component_digest(tensors, prefix, names):
    """The definition: name NUL dtype NUL dims, each with a comma, NUL, digest of the bytes; sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(names):
        dtype, dims, tensor_digest = tensors[prefix + name]
        if len(dims) == 4 and dims[2:] == [1, 1]:
            dims = dims[:2]
        digest.update(name.encode() + b"\0" + dtype.encode() + b"\0")
        digest.update("".join(f"{dim}," for dim in dims).encode() + b"\0" + bytes.fromhex(tensor_digest))
    return digest.hexdigest()


def vae_digest(tensors):
    """Of a complete VAE in the original names: in such a file all names under its prefix are known ones."""
    for prefix in ("first_stage_model.", "vae.", ""):
        names = [name[len(prefix):] for name in tensors if name.startswith(prefix)]
        names = [name for name in names if name.split(".")[0] in ("encoder", "decoder", "quant_conv", "post_quant_conv")]
        if names:
            return component_digest(tensors, prefix, names)
    return None


def compare(path, ours, complaints, is_whole):
    theirs = package(path)
    if isinstance(theirs, str):
        if ours["code"] == "ok":
            complaints.append(f"{path}: darkroom accepts; package {theirs}")
        return "refused by both"
    if ours["code"] != "ok":
        if not any(reason in ours["message"] for reason in STRICTER):
            complaints.append(f"{path}: package accepts; darkroom: {ours['message']}")
        return "refused by darkroom alone"
    if ours["tensors"] != theirs:
        differing = [name for name in set(theirs) | set(ours["tensors"]) if theirs.get(name) != ours["tensors"].get(name)]
        complaints.append(f"{path}: tensors differ: {differing[:3]}")
    if not is_whole or "vae" not in ours["digests"]:
        return "read by both"
    if ours["digests"]["vae"] != vae_digest(theirs):
        complaints.append(f"{path}: the digest of the VAE differs")
    return "read by both, with the digest of the VAE"


def mutate(data, generator):
    length = min(struct.unpack("<Q", data[:8])[0], len(data) - 8)
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 4))):
        at = generator.randrange(8 + length)
        changed[at] = generator.choice((generator.randrange(256), ord(generator.choice('0123456789[]{},:" eE-.'))))
    return bytes(changed[:generator.randrange(len(changed))] if generator.random() < 0.1 else changed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("files", type=pathlib.Path, nargs="+")
    parser.add_argument("--mutations", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    generator = random.Random(options.seed)
    print(f"seed {options.seed}")
    complaints, outcomes = [], {}
    with tempfile.TemporaryDirectory() as folder:
        paths = list(options.files)
        for source in options.files:
            data = source.read_bytes()
            for i in range(options.mutations if 8 < len(data) < SMALL_BYTES else 0):
                path = pathlib.Path(folder) / f"{source.name}-{i}.safetensors"
                path.write_bytes(mutate(data, generator))
                paths.append(path)
        for start in range(0, len(paths), 1000):
            some = paths[start:start + 1000]
            for path, ours in zip(some, darkroom(options.build, some), strict=True):
                outcome = compare(path, ours, complaints, path in options.files)
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:7} {outcome}")
    for complaint in complaints[:20]:
        print(complaint)
    print(f"{len(complaints)} disagreements")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
