"""Whatever a file of weights names or claims: it is refused by one message, and nothing of it is run."""

import copyreg
import io
import os
import pickle
import struct
import subprocess
import tracemalloc
import zipfile

import numpy as np
import pytest
from torch_fixtures import Call, Global, PersistentId, Raw, legacy_file, pickled, state_dict, zip_file

from jaxal.errors import DataError
from jaxal.models.torch_files import read_torch_file
from jaxal.models.weights import load_weights

RAN = []
GOOD, STORAGES = state_dict({"w": np.ones(3, np.float32)}, is_legacy=False)


def ran(*arguments):
    RAN.append(arguments)


class Reduces:
    """As `pickle` writes an object that calls something when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.fixture(autouse=True)
def _nothing_is_run(monkeypatch):
    def forbidden(*arguments, **keywords):
        raise AssertionError("something was run")

    RAN.clear()
    for owner, name in [(os, "system"), (os, "popen"), (subprocess, "Popen"), (pickle, "load"), (pickle, "loads")]:
        monkeypatch.setattr(owner, name, forbidden)
    monkeypatch.setattr(pickle, "Unpickler", forbidden)
    yield
    assert not RAN


def refusal(data: bytes, tmp_path) -> str:
    """Check that a file is refused by one line, whatever its name."""
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert message.startswith(f"weights {path}: ")
    assert "\n" not in message
    assert len(message) < 600
    return message


def all_forms(found, tmp_path):
    """Put an object into both forms, alone and beside good weights; return the refusals."""
    beside = {"w": 1, "hostile": found}
    for data in (
        zip_file(found, {}),
        zip_file(beside, STORAGES),
        legacy_file(found, {}),
        legacy_file(beside, {}),
        pickled(found),
        legacy_file(GOOD, {})[:14] + pickled(found),  # where the version should be
    ):
        yield refusal(data, tmp_path)


GLOBALS = [
    ("posix", "system"),
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("__builtin__", "eval"),
    ("test_hostile_weights", "ran"),
    ("subprocess", "Popen"),
    ("torch", "load"),
    ("torch", "FloatTensor"),
    ("torch.storage", "_load_from_bytes"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ("torch.hub", "load"),
    ("collections", "namedtuple"),
    ("collections.OrderedDict", "fromkeys"),
    ("numpy", "load"),
    ("argparse", "Namespace"),
]


@pytest.mark.parametrize(("module", "name"), GLOBALS, ids=str)
def test_every_other_name_is_refused_and_told(module, name, tmp_path):
    for found in (Global(module, name), Call(Global(module, name), ("echo ran",))):
        for message in all_forms(found, tmp_path):
            assert "refused, nothing of it was run" in message
            assert f"{module}.{name}" in message


@pytest.mark.parametrize("protocol", range(6))
def test_objects_that_call_when_loaded(protocol, tmp_path):
    inner = Reduces(ran, "inner")
    for hostile in (Reduces(ran, "now"), Reduces(ran, inner), {"state_dict": [Reduces(eval, "1")]}, [inner] * 3):
        data = pickle.dumps(hostile, protocol=protocol)
        for message in (refusal(data, tmp_path), refusal(zip_file(Raw(data[:-1]), {}), tmp_path)):
            assert "nothing of it was run" in message or "neither a file of torch.save" in message


OPCODES = {
    "INST": b"(S'echo ran'\nios\nsystem\n",
    "OBJ": b"(cos\nsystem\nS'echo ran'\no",
    "OBJ of a known name": b"(ccollections\nOrderedDict\no",
    "NEWOBJ": b"ccollections\nOrderedDict\n)\x81",
    "NEWOBJ_EX": b"ccollections\nOrderedDict\n)}\x92",
    "EXT1": b"\x82\x01",
    "EXT2": b"\x83\x01\x00",
    "EXT4": b"\x84\x01\x00\x00\x00",
    "PERSID": b"Pstorage\n",
    "DUP": b"N2",
    "NEXT_BUFFER": b"\x97",
    "EMPTY_SET": b"\x8f",
    "REDUCE of text": b"X\x01\x00\x00\x00a)R",
    "REDUCE of a dict": b"})R",
    "REDUCE of a storage's type": b"ctorch\nFloatStorage\nK\x05\x85R",
    "REDUCE of a dict from pairs": b"ccollections\nOrderedDict\n](X\x01\x00\x00\x00aK\x01\x86e\x85R",
    "BUILD of text": b"X\x01\x00\x00\x00a}b",
    "BUILD by text": b"}X\x01\x00\x00\x00ab",
    "STACK_GLOBAL of numbers": b"K\x01K\x02\x93",
    "STACK_GLOBAL": b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93",
    "keys of tuples": b"})K\x01s",
    "odd items": b"}(K\x01u",
    "two values": b"NN",
    "a mark": b"(",
    "no mark": b"Nt",
    "memo of nothing": b"h\x05",
}


@pytest.mark.parametrize("name", OPCODES)
def test_opcodes_that_no_tensor_needs(name, tmp_path):
    for message in all_forms(Raw(OPCODES[name]), tmp_path):
        assert "refused, nothing of it was run" in message or "damaged" in message


def test_codes_of_extensions(tmp_path):
    copyreg.add_extension("test_hostile_weights", "ran", 0xE1)
    try:
        for message in all_forms(Raw(b"\x82\xe1)R"), tmp_path):
            assert "EXT1" in message
    finally:
        copyreg.remove_extension("test_hostile_weights", "ran", 0xE1)


PERSISTENT_IDS = [
    "storage",
    5,
    (),
    ("storage",),
    ("module", Global("torch", "FloatStorage"), "0", "cpu", 3),
    ("storage", "FloatStorage", "0", "cpu", 3),
    ("storage", Global("collections", "OrderedDict"), "0", "cpu", 3),
    ("storage", Global("torch", "FloatStorage"), 0, "cpu", 3),
    ("storage", Global("torch", "FloatStorage"), "0", "cpu", "3"),
    ("storage", Global("torch", "FloatStorage"), "0", "cpu", 3.0),
    ("storage", Global("torch", "FloatStorage"), "0", "cpu", True),
    ("storage", Global("torch", "FloatStorage"), "0", "cpu", 3, ("1", 0, 3)),
    ("storage", Global("torch", "FloatStorage"), "0", "cpu", 3, None, None),
]


@pytest.mark.parametrize("persistent_id", PERSISTENT_IDS, ids=lambda each: str(each)[:60])
def test_persistent_ids_of_another_form(persistent_id, tmp_path):
    for message in all_forms(PersistentId(persistent_id), tmp_path):
        assert "refers to something that is no storage" in message


@pytest.mark.parametrize(
    "key", ["../data.pkl", "/etc/passwd", "..", "", ".", "data.pkl", "x" * 100_000, "\0", "../../version"]
)
def test_a_storage_elsewhere(key, tmp_path):
    held = PersistentId(("storage", Global("torch", "ByteStorage"), key, "cpu", 2))
    tensor = Call(Global("torch._utils", "_rebuild_tensor_v2"), (held, 0, (2,), (1,), False, {}))
    assert "is missing" in refusal(zip_file({"w": tensor}, {}), tmp_path)


@pytest.mark.parametrize(
    ("opening", "closing"), [(b"]", b"a"), (b"(", b"t"), (b"}X\x01\x00\x00\x00a", b"s"), (b")", b"\x85")], ids=str
)
def test_deep_nesting(opening, closing, tmp_path):
    depth, inner = 5_000, b"N" if closing != b"\x85" else b""
    hostile = Raw(opening * depth + inner + closing * depth)
    for data in (zip_file(hostile, {}), legacy_file(hostile, {})):
        message = refusal(data, tmp_path)
        assert "no tensors by name" in message or "nothing of it was run" in message


# A dict whose two values are the dict before it.
DOUBLING = b"}(X\x01\x00\x00\x00ah%cX\x01\x00\x00\x00bh%cuq%c"
REBUILD = (
    b"ctorch._utils\n_rebuild_tensor\n("
    + b"(X\x07\x00\x00\x00storagectorch\nByteStorage\nU\x010U\x01cK\x01tQ"
    + b"K\x00"
)
LONG_TUPLE = b"(" + b"K\x01" * 5000 + b"tq\x00" + (REBUILD + b"h\x00h\x00tR") * 50
BOMBS = {
    "a memo's far end": b"Nr\xff\xff\xff\x7f",
    "a text of 4 GB": b"X\xff\xff\xff\xffa",
    "bytes of 2**62": b"\x8e" + struct.pack("<Q", 2**62) + b"a",
    "a frame of 2**62": b"\x95" + struct.pack("<Q", 2**62) + b"N",
    "a number of 2 GB": b"\x8b\xff\xff\xff\x7f1",
    "digits": b"I" + b"9" * 100_000 + b"\n",
    "dicts that double 250 times": b"}q\x00" + b"".join(DOUBLING % (place, place, place + 1) for place in range(250)),
    "one long tuple as every size": LONG_TUPLE,
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_claims_to_be_huge_takes_no_memory(name, tmp_path):
    tracemalloc.start()
    messages = list(all_forms(Raw(BOMBS[name]), tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(messages) == 6
    assert peak < 20e6


def test_no_more_opcodes_than_any_file_of_weights_has(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxal.pickled.MOST_OPCODES", 5000)
    assert "more than 5000 opcodes" in refusal(pickled(Raw(b"(" + b"N" * 5000 + b"t")), tmp_path)


def archive(entries, compression=zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as made:
        for name, data in entries:
            made.writestr(name, data)
    return stream.getvalue()


PICKLE = pickled(GOOD)
ARCHIVES = {
    "no pickle": ([("archive/version", b"3")], "one NAME/data.pkl, but has 0"),
    "two pickles": ([("a/data.pkl", PICKLE), ("b/data.pkl", PICKLE)], "one NAME/data.pkl, but has 2"),
    "a pickle below": ([("a/b/c/data.pkl", PICKLE)], "one NAME/data.pkl"),
    "a way up": ([("archive/data.pkl", PICKLE), ("archive/../../x", b"")], "leaves its folder"),
    "from the root": ([("/archive/data.pkl", PICKLE)], "leaves its folder"),
    "backslashes": ([("archive\\data.pkl", PICKLE)], "leaves its folder"),
    "no storage": ([("archive/data.pkl", PICKLE)], "storage '0' of 12 bytes is missing"),
    "a short storage": ([("archive/data.pkl", PICKLE), ("archive/data/0", b"abc")], "has 3 bytes"),
    "a program": (
        [("archive/data.pkl", PICKLE), ("archive/data/0", bytes(12)), ("archive/constants.pkl", PICKLE)],
        "TorchScript",
    ),
    "bytes after the pickle": ([("a/data.pkl", PICKLE + b"x"), ("a/data/0", bytes(12))], "bytes follow"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_of_another_form(name, tmp_path):
    entries, told = ARCHIVES[name]
    assert told in refusal(archive(entries), tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name(tmp_path):
    entries = [("archive/data.pkl", PICKLE), ("archive/data.pkl", PICKLE), ("archive/data/0", bytes(12))]
    assert "several entries of one name" in refusal(archive(entries), tmp_path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_bomb_is_never_unpacked(compression, tmp_path):
    bomb = archive([("archive/data.pkl", PICKLE), ("archive/data/0", bytes(50_000_000))], compression)
    assert len(bomb) < 200_000
    tracemalloc.start()
    message = refusal(bomb, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "compressed or encrypted" in message
    assert peak < 5e6


def test_entries_that_lie_over_each_other(tmp_path):
    """Many entries of the table of contents name the same bytes: more than the file has."""
    held = [PersistentId(("storage", Global("torch", "ByteStorage"), str(key), "cpu", 100_000)) for key in range(50)]
    rebuilt = [Call(Global("torch._utils", "_rebuild_tensor"), (each, 0, (100_000,), (1,))) for each in held]
    found = {str(key): tensor for key, tensor in enumerate(rebuilt)}
    whole = archive([("a/data.pkl", pickled(found)), ("a/data/00", bytes(100_000))])
    with zipfile.ZipFile(io.BytesIO(whole)) as made:
        entry = made.getinfo("a/data/00")
        start = made.start_dir
        local = entry.header_offset
    directory = whole[start:]
    record = b"PK\x01\x02" + directory.split(b"PK\x01\x02")[2].split(b"PK\x05\x06")[0]
    assert struct.unpack("<I", record[42:46])[0] == local
    records = b"".join(record.replace(b"a/data/00", f"a/data/{key:02}".encode()) for key in range(50))
    first = b"PK\x01\x02" + directory.split(b"PK\x01\x02")[1]
    contents = first + records
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 51, 51, len(contents), start, 0)
    message = refusal(whole[:start] + contents + end, tmp_path)
    assert "more than the file" in message


def test_a_changed_storage_is_told_by_its_checksum(tmp_path):
    whole = bytearray(zip_file(GOOD, STORAGES))
    place = whole.index(STORAGES["0"])
    whole[place] ^= 1
    assert "damaged" in refusal(bytes(whole), tmp_path)
    assert np.array_equal(read_torch_file(zip_file(GOOD, STORAGES), "file")["w"], np.ones(3))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "page of the web"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS"),
        (b"\x1f\x8b\x08\x00abcdefgh", "gzip"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither a file of torch.save nor of safetensors"),
        (bytes(600), "neither"),
    ],
)
def test_what_is_no_file_of_weights(data, told, tmp_path):
    assert told in refusal(data, tmp_path)


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(DataError, match=f"weights {path}: cannot be read"):
            load_weights(path)
