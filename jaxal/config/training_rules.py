"""What settings of training rule out in an arm: losses, models and strategies that they do not go with."""

from collections.abc import Iterator

from jaxal.config.augmentation import AugmentationConfig
from jaxal.config.losses import CrossEntropyConfig, LDAMConfig
from jaxal.config.models import ModelConfig, OrganCNNConfig
from jaxal.config.strategies import StrategyConfig
from jaxal.config.strategy_table import needs_of
from jaxal.config.training import TrainingConfig

__all__ = ["training_contradictions"]


def training_contradictions(
    training: TrainingConfig,
    model: ModelConfig,
    augmentation: AugmentationConfig,
    strategy: StrategyConfig | None,
    where: str,
) -> Iterator[str]:
    """List what of an arm's training contradicts itself or the rest of the arm."""
    if training.final_learning_rate > training.learning_rate:
        yield f"{where}: training.final_learning_rate exceeds learning_rate"
    is_frozen = not isinstance(model, OrganCNNConfig) and model.trunk == "frozen"
    if not augmentation.is_none and is_frozen:
        yield (
            f'{where}: augmentation needs trunk = "fine_tuned": through a frozen trunk every image goes once, as it is;'
            " set that, or remove augmentation"
        )
    if training.micro_batch_size and training.batch_size % training.micro_batch_size:
        yield (
            f"{where}: training.micro_batch_size = {training.micro_batch_size} does not divide"
            f" batch_size = {training.batch_size}"
        )
    yield from _protocol_contradictions(training, where)
    if training.regrouping != "none":
        yield from _regrouping_contradictions(training, strategy, where)
    if training.classifier == "linear_svm":
        yield from _svm_contradictions(training, is_frozen, where)
    if training.classifier == "cross_validated":
        yield from _choice_contradictions(training, model, where)


def _protocol_contradictions(training: TrainingConfig, where: str) -> Iterator[str]:
    if training.keep == "last" and training.early_stop:
        yield (
            f'{where}: training.keep = "last" looks for no better validation, so early_stop = {training.early_stop} has'
            " nothing to wait for; set early_stop = 0, or keep the best epoch"
        )
    if training.restart_every and training.start != "continue":
        yield f'{where}: training.restart_every: every fit begins anew already; set start = "continue", or remove it'
    if training.extra_epochs and not training.restart_every:
        yield f"{where}: training.extra_epochs are added at each restart; set restart_every, or remove them"


def _regrouping_contradictions(training: TrainingConfig, strategy: StrategyConfig | None, where: str) -> Iterator[str]:
    if not isinstance(training.loss, CrossEntropyConfig):
        yield f'{where}: training.regrouping trains cross-entropy; set loss = "cross_entropy", or regrouping = "none"'
    if training.start == "continue":
        yield (
            f"{where}: training.regrouping splits classes anew in each round, and no column of the last layer keeps its"
            ' meaning; set start = "restart"'
        )
    needs_head = set() if strategy is None else needs_of(strategy) & {"head", "mc_logits"}
    if needs_head:
        yield (
            f"{where}: the strategy needs the last layer (or draws of it), and with training.regrouping there is none"
            " with a column for each class; choose one that needs logits or embeddings alone (`jaxal strategies`)"
        )


def _svm_contradictions(training: TrainingConfig, is_frozen: bool, where: str) -> Iterator[str]:
    if not is_frozen:
        yield f'{where}: training.classifier = "linear_svm" needs embeddings that stay: set model.trunk = "frozen"'
    changed = [
        name
        for name, default in (
            ("loss", CrossEntropyConfig()),
            ("sampling", "none"),
            ("regrouping", "none"),
            ("data_parallel", False),
        )
        if getattr(training, name) != default
    ]
    if changed:
        yield f'{where}: training.classifier = "linear_svm" has no use for training.{", training.".join(changed)}'


def _choice_contradictions(training: TrainingConfig, model: ModelConfig, where: str) -> Iterator[str]:
    setting = f'{where}: training.classifier = "cross_validated"'
    if isinstance(model, OrganCNNConfig):
        yield (
            f"{setting} compares the network with a machine on the embeddings that it starts from, and those of an"
            ' organ_cnn are random; choose a pretrained network, or classifier = "network"'
        )
    if training.start == "continue":
        yield f'{setting} fits every round anew, whichever was chosen before; set start = "restart"'
    if isinstance(training.loss, LDAMConfig) or training.regrouping != "none":
        what = "regrouping" if training.regrouping != "none" else 'loss = "ldam"'
        yield (
            f"{setting} puts a machine in the last layer's place, and training.{what} makes that layer another; choose"
            " one of the two"
        )
