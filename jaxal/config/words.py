"""Words that stand for tables: of a model, a loss and an optimizer, wherever a document may have one."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from jaxal.config.keys import meant
from jaxal.config.losses import LOSS_WORDS
from jaxal.config.models import MODEL_WORDS
from jaxal.config.training import OPTIMIZER_WORDS

__all__ = ["What", "WordPlace", "table_of", "word_places", "wrong_word"]

What = Literal["model", "loss", "optimizer"]
Document = dict[str, Any]

WORDS: Mapping[What, Mapping[str, Document]] = {"model": MODEL_WORDS, "loss": LOSS_WORDS, "optimizer": OPTIMIZER_WORDS}
MODELS = ("model", "query_model")
TRAININGS = ("training", "query_training")


class WordPlace(NamedTuple):
    """A key whose value may be a word."""

    node: Document  # the table with the key
    key: str
    what: What
    path: str  # of the key


def table_of(what: What, value: Any) -> Any:
    """Turn a word into a table; anything else is returned as it is.

    >>> table_of("model", "resnet18"), table_of("loss", "focal"), table_of("optimizer", {"kind": "sgd"})
    ({'kind': 'resnet', 'depth': 18}, {'kind': 'focal'}, {'kind': 'sgd'})
    """
    return dict(WORDS[what][value]) if isinstance(value, str) and value in WORDS[what] else value


def wrong_word(what: What, word: str) -> str:
    """Say that there is no such word, with the nearest that there is.

    >>> wrong_word("optimizer", "sgdm")
    "unknown optimizer 'sgdm' (did you mean sgd?); known are adam, adamw, sgd"
    """
    return f"unknown {what} {word!r}{meant(word, WORDS[what])}; known are {', '.join(WORDS[what])}"


def word_places(document: Document) -> Iterator[WordPlace]:
    """Walk the keys of a study, and of its arms, whose value may be a word; those that are not there are left out."""
    if "source_model" in document:
        yield WordPlace(document, "source_model", "model", "source_model")
    arms = document.get("arms")
    listed = enumerate(arms if isinstance(arms, list) else [])
    for place, node in (("", document), *((f"arms.{number}.", arm) for number, arm in listed)):
        if not isinstance(node, dict):
            continue
        for key in MODELS:
            if key in node:
                yield WordPlace(node, key, "model", f"{place}{key}")
        for name in TRAININGS:
            training = node.get(name)
            for what in ("loss", "optimizer"):
                if isinstance(training, dict) and what in training:
                    yield WordPlace(training, what, what, f"{place}{name}.{what}")
