"""A study's data through the network that it starts from, into a folder that studies and selections read."""

import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from jaxal.config.reading import experiment_config, recheck_study
from jaxal.config.study import StudyConfig
from jaxal.data.dataset import load_source, make_dataset
from jaxal.data.embedding_shards import Embeddings
from jaxal.data.listeners import OnImages
from jaxal.errors import ConfigError
from jaxal.experiment import make_model
from jaxal.experiment.embeddings import Start, make_embeddings
from jaxal.models.facts import model_facts
from jaxal.store import signals

__all__ = ["EmbedResult", "embed_study"]


class EmbedResult(NamedTuple):
    """What embedding a study's data came to."""

    embeddings: Embeddings
    seconds: float  # from the data being open to the folder being complete
    notes: tuple[str, ...]


def embed_study(
    study: StudyConfig,
    out: str | Path,
    arm: str | None = None,
    on_images: OnImages = lambda done, total: None,
    on_embedded: OnImages = lambda done, total: None,
) -> EmbedResult:
    """Embed all of a study's data by the network that it starts from, or check a folder where that is done.

    It does not matter whether the trunk is frozen: with `trunk = "fine_tuned"` these are the embeddings before the
    first fit. A network without pretrained weights is drawn from the study's first seed. data.embeddings is not looked
    at.

    Args:
        study: the config.
        out: the folder; a process that was stopped or killed goes on in it.
        arm: name of the one whose own model is meant; the study's where absent.
        on_images: told how many image files of how many have been read.
        on_embedded: told how many images of how many are embedded.

    Raises:
        ConfigError: the config contradicts itself, or has no such arm.
        DataError: the data or weights are missing or do not fit, or the folder holds something else.
    """
    study = recheck_study(study)
    chosen = msgspec.structs.replace(study.arms[0], model=None, training=None)
    if arm is not None:
        named = {each.name: each for each in study.arms}
        if arm not in named:
            raise ConfigError(f"--arm {arm}: no such arm; there are {', '.join(named)}")
        chosen = named[arm]
    config = experiment_config(study, chosen, study.seeds[0])
    with signals.handled() as raise_if_stopped:

        def polled(done: int, total: int) -> None:
            raise_if_stopped()
            on_embedded(done, total)

        dataset = make_dataset(load_source(study.data, on_images), study.data, config.seed)
        network = make_model(config, dataset)
        facts = model_facts(network, config.model)
        began = time.perf_counter()
        start = Start(config, dataset, network, facts.weights)
        embeddings = make_embeddings(start, Path(out).expanduser().absolute(), "--out", polled)
        seconds = time.perf_counter() - began
    weights = facts.weights
    origin = f"weights of {weights.source} (SHA-256 {weights.sha256})"
    if not weights.sha256:
        origin = f"random weights, drawn from seed {config.seed}: nothing has trained it"
    return EmbedResult(embeddings, seconds, (f"{facts.name}, {'; '.join((origin, *weights.notes))}",))
