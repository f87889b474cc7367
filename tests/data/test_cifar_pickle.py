"""Pickles are told from their opcodes: nothing in one is called, and nothing but a refusal comes out of a bad one."""

import contextlib
import os
import pickle
import pickletools
import struct

import numpy as np
import pytest
from cifar_fixtures import made_100, python2, python3
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.data.readers.cifar_pickle import read_cifar_pickle
from jaxal.errors import DataError

WRITERS = {"python2": python2} | {f"protocol {protocol}": python3(protocol) for protocol in range(6)}
SMALL = {"labels": [1, 2, 300], "data": np.arange(12, dtype=np.uint8).reshape(3, 4), "names": ["a", "é"]}
ASCII = SMALL | {"names": ["a", "b"]}


def refusal(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        read_cifar_pickle(data, "some file")
    assert str(caught.value).startswith("some file: ")
    return str(caught.value)


@pytest.fixture(autouse=True)
def _no_pickle_is_loaded(monkeypatch):
    def load(*arguments, **keywords):
        raise AssertionError("a pickle was loaded")

    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, load)


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_written_is_read(name):
    made = made_100(5, 0)
    found = read_cifar_pickle(WRITERS[name](made), "file")
    assert list(found) == list(made)
    assert np.array_equal(found.pop("data"), made.pop("data"))
    assert found == made


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["u1", "i1", "<u2", ">i4", "<i8", ">u8"])
def test_arrays_of_whole_numbers(protocol, kind):
    array = np.array([[1, 2, 3], [4, 5, 100]], kind)
    for form in (array, np.asfortranarray(array), array[:, ::2], array[0]):
        found = read_cifar_pickle(pickle.dumps({b"data": form}, protocol=protocol), "file")["data"]
        assert found.dtype == form.dtype
        assert np.array_equal(found, form)


def test_other_values(tmp_path):
    plain = {
        "a": None,
        "b": True,
        "c": (1, 2, 3, 4),
        "d": {"e": [2**70, -1, -(2**40)]},
        "f": "",
        "g": [],
        "h": "é" * 300,
    }
    for protocol in range(6):
        assert read_cifar_pickle(pickle.dumps(plain, protocol=protocol), "file") == plain


class Payload:
    """What a hostile pickle would call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_payload_is_refused_and_never_run(tmp_path, protocol):
    place = str(tmp_path / "run")
    for call in [(open, (place, "w")), (os.mkdir, (place,)), (eval, (f"open({place!r}, 'w')",)), (np.save, (place, 1))]:
        for value in (
            Payload(*call),
            {"data": Payload(*call)},
            {"labels": [Payload(*call)]},
            {"a": (1, Payload(*call))},
        ):
            assert "nothing of it was run" in refusal(pickle.dumps(value, protocol=protocol))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "'os.system'"),
        (b"(S'true'\nios\nsystem\n.", "opcode INST"),
        (b"(cos\nsystem\nS'true'\no.", "'os.system'"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "opcode NEWOBJ"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "'os.system'"),
        (b"\x80\x04K\x01K\x02\x93.", "'no name'"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (b"Pabc\n.", "opcode PERSID"),
        (b"K\x01Q.", "opcode BINPERSID"),
        (b"\x80\x05\x97.", "opcode NEXT_BUFFER"),
        (b"cnumpy\nload\n.", "'numpy.load'"),
        (b"cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar"),
        (b"cnumpy.testing._private.utils\nrunstring\n.", "runstring"),
        (b"cbuiltins\ngetattr\n.", "'builtins.getattr'"),
        (b"c_codecs\ndecode\n.", "'_codecs.decode'"),
        (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "makes an object in a way"),
        (b"cnumpy\nndarray\n(K\x01tR.", "makes an object in a way"),
        (b"cnumpy\ndtype\n(VO8\nI0\nI1\ntR(I3\nV|\nNNNI-1\nI-1\nI63\ntb.", "no dict"),
        (b"}K\x01b.", "fills an object"),
        (b"]K\x01K\x02s.", "fills a dict that is none"),
        (b"}K\x01a.", "fills a list that is none"),
        (b"}(]K\x01u.", "keys that are neither text nor numbers"),
        (b"}(K\x01u.", "keys that are neither text nor numbers"),
        (b"K\x01.", "it is no dict"),
        (b"}}.", "leaves 2 values"),
        (b"}.}", "1 bytes follow its end"),
        (b"e.", "more values than there are"),
        (b"\x85.", "more values than there are"),
        (b"(\x85.", "more values than there are"),
        (b"h\x05.", "damaged"),
        (b"", "damaged"),
        (b"}", "damaged"),
        (b"\xff.", "damaged"),
        (b"<html></html>", "damaged"),
        (b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.", "damaged"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.", "damaged"),
        (b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x.", "damaged"),
    ],
)
def test_each_way_of_naming_things_is_refused(body, words):
    assert words in refusal(body)


def array_pickle(code: bytes, shape: bytes, data: bytes) -> bytes:
    """Write a dict with an array whose parts are given as opcodes."""
    start = b"}Vdata\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR"
    kind = b"cnumpy\ndtype\n(V" + code + b"\nI0\nI1\ntR(I3\nV|\nNNNI-1\nI-1\nI0\ntb"
    return start + b"(I1\n" + shape + kind + b"I00\n" + data + b"tbs."


@pytest.mark.parametrize(
    ("code", "shape", "data", "words"),
    [
        (b"O8", b"(I1\nt", b"Vxxxxxxxx\n", "type 'O8', not of whole numbers"),
        (b"f8", b"(I1\nt", b"Vxxxxxxxx\n", "type 'f8'"),
        (b"V8", b"(I1\nt", b"Vxxxxxxxx\n", "type 'V8'"),
        (b"u1", b"(I9\nt", b"Vxx\n", "no proper shape"),
        (b"u1", b"(I1\nt", b"Vxx\n", "should be (1,) but has 2 numbers"),
        (b"u1", b"(I-2\nI-1\nt", b"Vxx\n", "no proper shape"),
        (b"u1", b"(VX\nt", b"Vx\n", "no proper shape"),
        (b"u1", b"(" + b"I1\n" * 50 + b"t", b"Vx\n", "no proper shape"),
        (b"u1", b"(I2\nL" + b"9" * 4000 + b"L\nt", b"Vxx\n", "no proper shape"),
        (b"u1", b"(I2\nt", "Vx\u20ac\n".encode("raw_unicode_escape"), "damaged"),
        (b"u4", b"(I1\nt", b"Vxxx\n", "damaged"),
    ],
)
def test_an_array_must_be_what_it_claims(code, shape, data, words):
    assert words in refusal(array_pickle(code, shape, data))


def test_an_array_written_that_way_is_read():
    found = read_cifar_pickle(array_pickle(b"u1", b"(I2\nI1\nt", b"Vab\n"), "file")
    assert found["data"].tolist() == [[97], [98]]


def test_an_array_without_data_is_refused():
    body = b"}Vdata\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntRs."
    assert "has no data" in refusal(body)


def test_a_list_that_holds_itself_and_deep_nesting_are_no_matter():
    assert read_cifar_pickle(b"}Va\n]p0\ng0\nas.", "file")["a"]
    depth = 50_000
    assert "no dict" in refusal(b"N" + b"\x85" * depth + b".")


@pytest.mark.parametrize("name", WRITERS)
def test_a_pickle_cut_anywhere_is_refused(name):
    data = WRITERS[name](ASCII)
    for length in range(len(data)):
        refusal(data[:length])


@pytest.mark.parametrize("name", WRITERS)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_bytes_changed_give_a_dict_or_a_refusal(name, changes):
    data = bytearray(WRITERS[name](ASCII))
    for place, value in changes:
        data[int(place * len(data))] = value
    with contextlib.suppress(DataError):
        assert isinstance(read_cifar_pickle(bytes(data), "file"), dict)


@given(body=st.lists(st.sampled_from([each.code.encode("latin-1") for each in pickletools.opcodes] + [b"\1", b"a\n"])))
@settings(max_examples=500, deadline=None)
def test_any_row_of_opcodes_gives_a_dict_or_a_refusal(body):
    with contextlib.suppress(DataError):
        assert isinstance(read_cifar_pickle(b"".join(body) + b".", "file"), dict)
