"""Checkpoints as torch.save writes them, without PyTorch: the zip form and the legacy one.

Pickle writes a class as the name of its module and itself; so it is enough to have modules and names as PyTorch's are.
"""
import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

STORAGES = {"F16": ("HalfStorage", 2), "F32": ("FloatStorage", 4), "BF16": ("BFloat16Storage", 2),
            "I64": ("LongStorage", 8), "I8": ("CharStorage", 1), "U8": ("ByteStorage", 1),
            "F8_E4M3": ("Float8_e4m3fnStorage", 1), "F8_E5M2": ("Float8_e5m2Storage", 1)}


def module(name, **members):
    made = sys.modules.setdefault(name, types.ModuleType(name))
    for key, member in members.items():
        member.__module__, member.__qualname__ = name, key
        setattr(made, key, member)
    return made


module("torch", **{name: type(name, (), {}) for name, _ in STORAGES.values()})
module("torch._utils", _rebuild_tensor_v2=lambda *arguments: arguments)


class Storage:
    def __init__(self, dtype, data):
        self.dtype, self.data = dtype, data
        self.count = len(data) // STORAGES[dtype][1]


class Tensor:
    """storage from start on; strides are those of a contiguous tensor unless given."""

    def __init__(self, storage, shape, start=0, strides=None):
        self.storage, self.shape, self.start = storage, tuple(shape), start
        if strides is None:
            strides = [1] * len(shape)
            for i in range(len(shape) - 2, -1, -1):
                strides[i] = strides[i + 1] * shape[i + 1]
        self.strides = tuple(strides)

    def __reduce__(self):
        arguments = (self.storage, self.start, self.shape, self.strides, False, OrderedDict())
        return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments


class Pickler(pickle.Pickler):
    def __init__(self, file, last):
        super().__init__(file, protocol=2)
        self.storages, self.last = {}, last

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = next((k for k, known in self.storages.items() if known is value), str(len(self.storages)))
        self.storages[key] = value
        kind = getattr(sys.modules["torch"], STORAGES[value.dtype][0])
        return ("storage", kind, key, "cpu", value.count) + self.last


def dump(value, last=()):
    file = io.BytesIO()
    pickler = Pickler(file, last)
    pickler.dump(value)
    return file.getvalue(), pickler.storages


def save_zip(value, folder="archive"):
    data, storages = dump(value)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{folder}/data.pkl", data)
        archive.writestr(f"{folder}/byteorder", "little")
        for key, storage in storages.items():
            archive.writestr(f"{folder}/data/{key}", storage.data)
        archive.writestr(f"{folder}/version", "3\n")
    return file.getvalue()


def save_legacy(value):
    data, storages = dump(value, last=(None,))
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [pickle.dumps(part, 2) for part in (0x1950a86a20f9469cfc6c, 1001, system)]
    parts += [data, pickle.dumps(sorted(storages), 2)]
    for key in sorted(storages):
        parts += [struct.pack("<Q", storages[key].count), storages[key].data]
    return b"".join(parts)
