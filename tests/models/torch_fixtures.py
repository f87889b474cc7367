"""Files as `torch.save` writes them, put together byte by byte: no PyTorch, and no pickle that anyone would load."""

import io
import struct
import zipfile
from typing import Any, NamedTuple

import numpy as np

STORAGES = {"<f2": "HalfStorage", "<f4": "FloatStorage", "<f8": "DoubleStorage", "<i8": "LongStorage"}


class Global(NamedTuple):
    module: str
    name: str


class Call(NamedTuple):
    function: Any
    arguments: Any


class PersistentId(NamedTuple):
    value: Any


class Raw(NamedTuple):
    opcodes: bytes


def emit(value: Any) -> bytes:
    """Write a value's opcodes, of protocol 2."""
    match value:
        case Raw(opcodes):
            return opcodes
        case Global(module, name):
            return b"c" + module.encode() + b"\n" + name.encode() + b"\n"
        case Call(function, arguments):
            return emit(function) + emit(arguments) + b"R"
        case PersistentId(inner):
            return emit(inner) + b"Q"
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int() if abs(value) < 2**31:
            return b"J" + struct.pack("<i", value)
        case int():
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(emit, value)) + b"t"
        case list():
            return b"](" + b"".join(map(emit, value)) + b"e"
        case dict():
            return b"}(" + b"".join(emit(key) + emit(each) for key, each in value.items()) + b"u"
    raise TypeError(type(value))


def pickled(value: Any) -> bytes:
    return b"\x80\x02" + emit(value) + b"."


ORDERED_DICT = Call(Global("collections", "OrderedDict"), ())


def storage(kind: str, key: str, count: int, *, is_legacy: bool) -> PersistentId:
    return PersistentId(("storage", Global("torch", kind), key, "cpu", count, *([None] if is_legacy else [])))


def tensor(held: Any, size: tuple, stride: tuple, offset: int = 0) -> Call:
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), (held, offset, size, stride, False, ORDERED_DICT))


def ordered(items: dict[str, Any], attributes: Any = None) -> Raw:
    """Write an OrderedDict as PyTorch's state dicts are written: made, filled, then given its attributes."""
    filled = emit(ORDERED_DICT) + b"(" + b"".join(emit(key) + emit(each) for key, each in items.items()) + b"u"
    return Raw(filled + (b"" if attributes is None else emit(attributes) + b"b"))


def state_dict(arrays: dict[str, np.ndarray], *, is_legacy: bool) -> tuple[Raw, dict[str, bytes]]:
    """Write arrays in C order, each with a storage of its own; return the object and the storages' bytes."""
    items, storages = {}, {}
    for number, (name, array) in enumerate(arrays.items()):
        strides = tuple(step // array.itemsize for step in array.strides)
        held = storage(STORAGES[array.dtype.str], str(number), array.size, is_legacy=is_legacy)
        items[name] = tensor(held, array.shape, strides)
        storages[str(number)] = array.tobytes()
    metadata = {"_metadata": ordered({"": {"version": 1}})}
    return ordered(items, metadata), storages


def legacy_file(
    found: Any,
    storages: dict[str, tuple[int, bytes]],
    *,
    magic: int = 0x1950A86A20F9469CFC6C,
    version: int = 1001,
    little_endian: bool = True,
) -> bytes:
    machine = {
        "protocol_version": 1001,
        "little_endian": little_endian,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    parts = [pickled(each) for each in (magic, version, machine, found, list(storages))]
    return b"".join([*parts, *(struct.pack("<q", count) + data for count, data in storages.values())])


def zip_file(
    found: Any,
    storages: dict[str, bytes],
    *,
    more: dict[str, bytes] | None = None,
    byteorder: bytes = b"little",
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    stream = io.BytesIO()
    entries = {
        "archive/data.pkl": pickled(found),
        "archive/byteorder": byteorder,
        **{f"archive/data/{key}": data for key, data in storages.items()},
        "archive/version": b"3\n",
        **(more or {}),
    }
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def saved(arrays: dict[str, np.ndarray], *, is_legacy: bool) -> bytes:
    """Write arrays as `torch.save` does."""
    found, storages = state_dict(arrays, is_legacy=is_legacy)
    if not is_legacy:
        return zip_file(found, storages)
    counts = [array.size for array in arrays.values()]
    return legacy_file(found, {key: (count, storages[key]) for key, count in zip(storages, counts, strict=True)})
