"""Files of `torch.save` are read without PyTorch: both forms, every layout, and never past what the file really has."""

import struct

import numpy as np
import pytest
from torch_fixtures import (
    ORDERED_DICT,
    Call,
    Global,
    Raw,
    legacy_file,
    ordered,
    saved,
    state_dict,
    storage,
    tensor,
    zip_file,
)

from jaxal.errors import DataError
from jaxal.models.torch_files import is_torch_file, read_torch_file

FORMS = {"legacy": True, "zip": False}
ARRAYS = {
    "conv.weight": np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2),
    "fc.weight": np.linspace(-1, 1, 6).reshape(2, 3),
    "fc.half": np.array([1.5, -2.25], np.float16),
    "bn.num_batches_tracked": np.array(7),
    "empty": np.zeros((0, 3), np.float32),
}


def one_storage(found, data: bytes, count: int, form: str) -> bytes:
    return legacy_file(found, {"0": (count, data)}) if FORMS[form] else zip_file(found, {"0": data})


def refusal(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        read_torch_file(data, "some file")
    message = str(caught.value)
    assert message.startswith("some file: ")
    assert "\n" not in message
    assert "Get the file again" in message
    return message


@pytest.mark.parametrize("form", FORMS)
def test_what_was_saved_is_read(form):
    data = saved(ARRAYS, is_legacy=FORMS[form])
    assert is_torch_file(data)
    found = read_torch_file(data, "file")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_comes_as_float32(form):
    values = np.array([1.0, -2.5, 3.140625, np.inf], np.float32)
    bits = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    held = storage("BFloat16Storage", "0", 4, is_legacy=FORMS[form])
    found = read_torch_file(one_storage({"w": tensor(held, (4,), (1,))}, bits, 4, form), "file")["w"]
    assert found.dtype == np.float32
    assert np.array_equal(found, values)


@pytest.mark.parametrize("form", FORMS)
def test_views_of_a_shared_storage(form):
    base = np.arange(12, dtype=np.float32)
    held = storage("FloatStorage", "0", 12, is_legacy=FORMS[form])
    views = {
        "all": tensor(held, (3, 4), (4, 1)),
        "turned": tensor(held, (4, 3), (1, 4)),
        "middle": tensor(held, (2, 2), (4, 2), 5),
        "last": tensor(held, (), (), 11),
        "parameter": Call(
            Global("torch._utils", "_rebuild_parameter"), (tensor(held, (12,), (1,)), True, ORDERED_DICT)
        ),
    }
    found = read_torch_file(one_storage(views, base.tobytes(), 12, form), "file")
    assert np.array_equal(found["all"], base.reshape(3, 4))
    assert np.array_equal(found["turned"], base.reshape(3, 4).T)
    assert np.array_equal(found["middle"], [[5, 7], [9, 11]])
    assert found["last"] == 11
    assert np.array_equal(found["parameter"], base)
    with pytest.raises(ValueError, match="read-only"):
        found["all"][0, 0] = 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keys", [("state_dict",), ("model",), ("model_state_dict",), ("net", "state_dict")])
def test_weights_within_a_checkpoint(form, keys):
    found, storages = state_dict({"w": np.ones(3, np.float32)}, is_legacy=FORMS[form])
    for key in reversed(keys):
        found = {"epoch": 3, "loss": 0.25, "names": ["a", None, True], key: found}
    assert list(read_torch_file(one_storage(found, storages["0"], 3, form), "file")) == ["w"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("found", [{}, [1, 2], {"state_dict": {"epoch": 3}}, {"other": {"w": 1}}, 5])
def test_a_file_without_tensors_by_name(form, found):
    data = legacy_file(found, {}) if FORMS[form] else zip_file(found, {})
    assert "no tensors by name" in refusal(data) or "no dict of tensors" in refusal(data)


@pytest.mark.parametrize("form", FORMS)
def test_a_dict_that_holds_itself(form):
    itself = Raw(b"}q\x07" + b"X\x0a\x00\x00\x00state_dict" + b"h\x07s")
    data = legacy_file(itself, {}) if FORMS[form] else zip_file(itself, {})
    assert "no tensors by name" in refusal(data)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((13,), (1,), 0),  # longer than the storage
        ((3, 4), (4, 2), 0),  # steps past its end
        ((3, 4), (4, 1), 1),  # begins too late
        ((12,), (1,), -1),
        ((12,), (-1,), 11),
        ((-1, -12), (1, 1), 0),
        ((10**9, 10**9), (0, 0), 0),  # no more bytes than one number, as a view
        ((13,), (0,), 0),
        ((2**62, 4), (1, 1), 0),  # a product that wraps around in 64 bits
        ((3, 4), (4,), 0),
        ((12,), (2**62,), 0),
        ((1,), (1,), 2**70),
    ],
)
def test_a_tensor_outside_of_its_storage(form, size, stride, offset):
    held = storage("FloatStorage", "0", 12, is_legacy=FORMS[form])
    data = one_storage({"w": tensor(held, size, stride, offset)}, bytes(48), 12, form)
    assert "does not lie within its storage of 12 elements" in refusal(data)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [2**62, 13, 11, -1, 2**70])
def test_a_storage_is_not_as_long_as_it_claims(form, count):
    held = storage("FloatStorage", "0", count, is_legacy=FORMS[form])
    message = refusal(one_storage({"w": tensor(held, (2,), (1,))}, bytes(48), 12, form))
    assert "storage" in message


@pytest.mark.parametrize("form", FORMS)
def test_tensors_that_disagree_about_a_storage(form):
    held = [storage(kind, "0", 12, is_legacy=FORMS[form]) for kind in ("FloatStorage", "HalfStorage")]
    found = {str(number): tensor(each, (2,), (1,)) for number, each in enumerate(held)}
    assert "disagree about storage '0'" in refusal(one_storage(found, bytes(48), 12, form))


def test_big_endian_is_refused():
    found, storages = state_dict({"w": np.ones(3, np.float32)}, is_legacy=True)
    assert "big-endian" in refusal(legacy_file(found, {"0": (3, storages["0"])}, little_endian=False))
    found, storages = state_dict({"w": np.ones(3, np.float32)}, is_legacy=False)
    assert "big-endian" in refusal(zip_file(found, storages, byteorder=b"big"))


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_breaks_off_anywhere(form):
    whole = saved(ARRAYS | {"big": np.arange(900, dtype=np.float32)}, is_legacy=FORMS[form])
    assert len(whole) > 4000
    cuts = sorted({len(whole) * part // 50 for part in range(1, 50)} | {len(whole) - 1, len(whole) - 9, 1, 4, 12})
    for cut in cuts:
        message = refusal(whole[:cut])
        assert f"truncated after {cut} bytes" in message or cut < 4, (cut, message)
        assert "refused" not in message


@pytest.mark.parametrize("form", FORMS)
def test_changed_bytes_never_give_anything_but_arrays_or_one_refusal(form):
    whole = saved({"w": np.arange(8, dtype=np.float32)}, is_legacy=FORMS[form])
    rng = np.random.default_rng(3)
    num_refused = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= int(rng.integers(1, 256))
        try:
            found = read_torch_file(bytes(changed), "some file")
            assert all(isinstance(array, np.ndarray) and array.size <= 64 for array in found.values())
        except DataError:
            num_refused += 1
    assert num_refused > len(whole) / 2


def test_bytes_behind_the_end():
    whole = saved({"w": np.ones(3, np.float32)}, is_legacy=True)
    assert "2 bytes follow its end" in refusal(whole + b"ab")


def test_legacy_of_another_kind():
    found, storages = state_dict({"w": np.ones(3, np.float32)}, is_legacy=True)
    counted = {"0": (3, storages["0"])}
    assert "magic number is another" in refusal(legacy_file(found, counted, magic=5))
    assert "version is unknown" in refusal(legacy_file(found, counted, version=1002))
    unknown = {"0": (3, storages["0"]), "1": (2, bytes(8))}
    assert "none of its tensors says of what type storage 2 of 2 is" in refusal(legacy_file(found, unknown))
    whole = legacy_file(found, counted)
    other_count = whole[: -8 - 12] + struct.pack("<q", 2) + whole[-12:]
    assert "does not have the length" in refusal(other_count)


def test_an_ordered_dict_of_no_attributes():
    held = storage("FloatStorage", "0", 3, is_legacy=False)
    data = zip_file(ordered({"w": tensor(held, (3,), (1,))}), {"0": np.ones(3, np.float32).tobytes()})
    assert np.array_equal(read_torch_file(data, "file")["w"], np.ones(3))
