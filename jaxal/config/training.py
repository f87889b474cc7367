"""Settings of training."""

from typing import Annotated, Literal

from msgspec import Meta

from jaxal.config.losses import CrossEntropyConfig, LossConfig
from jaxal.config.struct import LARGEST, ConfigStruct, kind_tables

__all__ = [
    "OPTIMIZER_WORDS",
    "AdamConfig",
    "AdamWConfig",
    "Keep",
    "OptimizerConfig",
    "SGDConfig",
    "Sampling",
    "TrainingConfig",
]

Keep = Literal["best_auroc", "best_accuracy", "last"]
Positive = Annotated[float, Meta(gt=0, le=LARGEST)]
Sampling = Literal["none", "oversample", "class_balanced"]


class AdamConfig(ConfigStruct, frozen=True, tag_field="kind", tag="adam"):
    """Adam."""

    beta1: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Meta(ge=0, lt=1)] = 0.999


class AdamWConfig(ConfigStruct, frozen=True, tag_field="kind", tag="adamw"):
    """Adam with decoupled weight decay."""

    beta1: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    weight_decay: Annotated[float, Meta(ge=0, le=LARGEST)] = 1e-4


class SGDConfig(ConfigStruct, frozen=True, tag_field="kind", tag="sgd"):
    """Stochastic gradient descent: v ← momentum·v + g + weight_decay·w, w ← w - rate·v.

    Fields:
        momentum: share of the last direction that is kept; 0: none.
        weight_decay: of all parameters, through the gradient.
    """

    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Meta(ge=0, le=LARGEST)] = 0.0


OptimizerConfig = AdamConfig | AdamWConfig | SGDConfig

OPTIMIZER_WORDS = kind_tables(OptimizerConfig)


# An arm's table lies over the study's and TOML has no null: what can be off is off by a value, here 0.
class TrainingConfig(ConfigStruct, frozen=True):
    """How a model is fitted to the labeled set, in every round.

    Fields:
        num_epochs: passes over the labeled set; every batch is full, the last one wraps around.
        batch_size: B of SGD.
        micro_batch_size: images at a time on the device, a divisor of batch_size: the gradients of the parts are
            averaged, and one optimization step is taken for each batch. Without batch norm the result is that of whole
            batches up to rounding; batch norm goes by the statistics of each part. 0: the whole batch.
        optimizer: Adam, AdamW or SGD, a word or a table.
        learning_rate, final_learning_rate: ends of the cosine schedule over all steps of the fit.
        loss: what is minimized, a word or a table.
        sampling: which labeled rows make an epoch: "none", each once; "oversample", those of rarer classes repeated up
            to the count of the largest, so that an epoch grows; "class_balanced", as many as without, each drawn from a
            class that is drawn uniformly.
        regrouping: split each class into round(n_c / n_min) clusters of the embeddings that the fit starts from, and
            train cross-entropy on all of these; a class scores by the largest logit of its clusters, "argmax", or by
            the sum of their probabilities, "sum" (Peng et al.). "none": classes are trained as they are.
        regrouping_limit: clusters of a class at most.
        thresholding: divide probabilities by the classes' shares of the labels before they are scored; the query and
            the choice of the epoch go by the network as it is. "beside": scores are of the network as it is, and
            metrics.csv has thresholded_accuracy and thresholded_balanced_accuracy beside them.
        classifier: "network"; "linear_svm", behind a frozen trunk: a linear support vector machine in the last layer's
            place, whose cost is chosen by cross-validation; or "cross_validated": in each round the one of both that
            predicts held-out labels better, in 10 folds or as many as the rarest class found has labels (Aggarwal et
            al.). The machine is on the embeddings of the trunk that the fit begins with, frozen or not.
        validate_every: epochs between validations.
        keep: which epoch's variables are kept, of those validated: that of the best validation AUROC or accuracy, or
            the last.
        early_stop: a fit ends once so many epochs have passed without a better validation, by what `keep` goes by; the
            cosine still runs over num_epochs. 0: all epochs are run.
        start: "restart" fits every round from the initial variables, "continue" from those that the round before kept,
            with a new optimizer.
        restart_every: with start = "continue", every so many rounds a fit begins anew all the same: at round 0, at
            restart_every, at twice that, …; 0: at round 0 alone.
        extra_epochs: epochs more after each of these beginnings than after the one before.
        inference_batch_size: images per forward batch in evaluation and embedding.
        data_parallel: spread each batch (each part of it) over all devices, of all processes too: every one takes an
            equal share of the images, and gradients and batch norm are those of the whole. Sums are formed in another
            order, so that a run agrees with one on another number of devices up to rounding, and in the end its picks
            may differ. By default one device of each process does the same fit, to the bit.
    """

    num_epochs: Annotated[int, Meta(ge=1)] = 50
    batch_size: Annotated[int, Meta(ge=1)] = 32
    micro_batch_size: Annotated[int, Meta(ge=0)] = 0
    optimizer: OptimizerConfig = AdamConfig()
    learning_rate: Positive = 1e-3
    final_learning_rate: Annotated[float, Meta(ge=0, le=LARGEST)] = 1e-12
    loss: LossConfig = CrossEntropyConfig()
    sampling: Sampling = "none"
    regrouping: Literal["none", "argmax", "sum"] = "none"
    regrouping_limit: Annotated[int, Meta(ge=1, le=10_000)] = 64
    thresholding: bool | Literal["beside"] = False
    classifier: Literal["network", "linear_svm", "cross_validated"] = "network"
    validate_every: Annotated[int, Meta(ge=1)] = 1
    keep: Keep = "best_auroc"
    early_stop: Annotated[int, Meta(ge=0)] = 0
    start: Literal["restart", "continue"] = "restart"
    restart_every: Annotated[int, Meta(ge=0)] = 0
    extra_epochs: Annotated[int, Meta(ge=0)] = 0
    inference_batch_size: Annotated[int, Meta(ge=1)] = 256
    data_parallel: bool = False

    @property
    def num_parts(self) -> int:
        """How many parts of a batch go through the network one after the other."""
        return self.batch_size // (self.micro_batch_size or self.batch_size)
