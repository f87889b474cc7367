"""A last layer of more columns than there are classes: each class has a group of them, which the variables say."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxal.models.model import Model, Variables
from jaxal.typing import Array, Float, Int32, PRNGKey

__all__ = ["class_logits", "grouped_head", "with_groups"]

# What a column of no class is given in training: its probability is 0, and so is its gradient.
NOWHERE = -1e9


def class_logits(
    logits: Float[Array, "B K"], class_of: Int32[Array, " K"], *, num_classes: int, decision: Literal["argmax", "sum"]
) -> Float[Array, "B C"]:
    """Reduce the logits of pseudo-classes to those of classes: the largest of each group, or its logsumexp.

    With "argmax" the largest class logit is that of the class with the most probable pseudo-class; with "sum" softmax
    gives each class the sum of its pseudo-classes' probabilities.

    Args:
        logits: of the pseudo-classes.
        class_of: class of each; C for one that is not in use. Every class has at least one.
        num_classes: C.
        decision: which of both.
    """
    columns = logits.T
    largest = jax.ops.segment_max(columns, class_of, num_classes)
    if decision == "argmax":
        return largest.T
    # Padding columns have no class to subtract the largest logit of, and are in no sum.
    below = columns - largest.at[class_of].get(mode="fill", fill_value=jnp.inf)
    return (largest + jnp.log(jax.ops.segment_sum(jnp.exp(below), class_of, num_classes))).T


@functools.cache
def grouped_head(model: Model, num_classes: int, decision: Literal["argmax", "sum"]) -> Model:
    """Let a model of K pseudo-classes be one of C classes, but for its training, whose logits are those of the K.

    Which class a column belongs to lies beside the batch statistics, since it changes from fit to fit while shapes do
    not (`with_groups`); at first column c is that of class c, and the others are of none.

    Args:
        model: with K ≥ C columns.
        num_classes: C.
        decision: of `class_logits`.

    Returns:
        The model. It has no linear head: strategies that need one cannot ask by it.
    """

    def network(variables: Variables) -> Variables:
        return Variables(variables.params, variables.batch_stats["network"])

    def init(key: PRNGKey) -> Variables:
        params, batch_stats = model.init(key)
        columns = jnp.arange(model.spec.num_classes, dtype=jnp.int32)
        return Variables(params, {"network": batch_stats, "class_of": jnp.minimum(columns, num_classes)})

    def embed(variables: Variables, images: Array) -> Array:
        return model.embed(network(variables), images)

    def head(variables: Variables, z: Array) -> Array:
        groups = variables.batch_stats["class_of"]
        return class_logits(model.head(network(variables), z), groups, num_classes=num_classes, decision=decision)

    def apply(variables: Variables, images: Array) -> Array:
        return head(variables, embed(variables, images))

    def embed_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, Any]:
        z, batch_stats = model.embed_train(network(variables), key, images)
        return z, variables.batch_stats | {"network": batch_stats}

    def apply_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, Any]:
        logits, batch_stats = model.apply_train(network(variables), key, images)
        is_used = variables.batch_stats["class_of"] < num_classes
        return jnp.where(is_used[None], logits, NOWHERE), variables.batch_stats | {"network": batch_stats}

    spec = model.spec._replace(num_classes=num_classes)
    return Model(spec, init, embed, head, apply, embed_train, apply_train, linear_head=lambda variables: None)


def with_groups(variables: Variables, class_of: Int32[Array, " K"]) -> Variables:
    """Say which class each column belongs to."""
    return variables._replace(batch_stats=variables.batch_stats | {"class_of": class_of})
