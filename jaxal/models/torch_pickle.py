"""What a pickle of `torch.save` says, told from its opcodes; nothing in it is ever called.

The few names that tensors need stand for rules of this module; any other name, and any opcode that such files do not
have, refuses the file.
"""

import io
from typing import Any, NamedTuple

from jaxal.pickled import BYTES, FLOATS, INTEGERS, TEXT, Name, RefusedError, Rules, play

__all__ = ["ELEMENTS", "Storage", "Tensor", "play_pickle"]

# Storages that are known: the type of their elements, little-endian. NumPy has no bfloat16: its bits are read.
ELEMENTS = {
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
NAMES = {
    ("collections", "OrderedDict"): "dict",
    ("torch._utils", "_rebuild_tensor"): "tensor",
    ("torch._utils", "_rebuild_tensor_v2"): "tensor",
    ("torch._utils", "_rebuild_parameter"): "parameter",
    **{("torch", name): name for name in ELEMENTS},
}
MOST_AXES = 8


class Storage(NamedTuple):
    """Numbers that lie elsewhere in the file."""

    elements: str  # a value of ELEMENTS
    key: str
    length: int  # in elements


class Tensor(NamedTuple):
    """A view of a storage; offset and stride count elements. Nothing of it is checked yet."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def play_pickle(stream: io.BytesIO) -> Any:
    """Return what the pickle at the stream's position holds; the stream is left behind its end.

    Returns:
        Whole numbers, floats, text, bytes, lists, tuples, dicts (an OrderedDict is one) and Tensors of Storages.

    Raises:
        RefusedError: it has a name or an opcode that no file of tensors has, or more opcodes than any.
        Exception: of other types: it is damaged, or its end is missing.
    """
    return play(stream, RULES)[0]


def _fill(target: Any, state: Any) -> None:
    """Leave an object as it is: the attributes of a state dict, versions of its layers, tell nothing of the numbers."""
    if type(target) is not dict or not isinstance(state, dict):
        raise RefusedError("it fills an object in a way that no tensor is filled")


def _reduced(function: Any, arguments: Any) -> Any:
    """Return what a call of a name from the allow-list stands for."""
    if isinstance(function, Name) and type(arguments) is tuple:
        match function.stands_for, arguments:
            case "dict", ():
                return {}
            case "tensor", (Storage() as storage, int() as offset, tuple() as size, tuple() as stride, *_) if (
                len(arguments) <= 7
                and max(len(size), len(stride)) <= MOST_AXES
                and all(type(each) is int for each in (offset, *size, *stride))
            ):
                return Tensor(storage, offset, tuple(size), tuple(stride))
            case "parameter", (Tensor() as tensor, bool(), dict()):
                return tensor
    raise RefusedError("it makes an object in a way that no tensor is made")


def _storage(persistent_id: Any) -> Storage:
    match persistent_id:
        case ("storage", Name(stands_for), str() as key, str(), int() as count, *views) if (
            stands_for in ELEMENTS and views in ([], [None]) and type(count) is int
        ):
            return Storage(ELEMENTS[stands_for], key, count)
    raise RefusedError("it refers to something that is no storage of numbers, or a view of one as before PyTorch 0.4")


RULES = Rules(
    read="tensors",
    values=INTEGERS | FLOATS | TEXT | BYTES,
    names=NAMES,
    called=_reduced,
    fill=_fill,
    others={"BINPERSID": _storage},
)
