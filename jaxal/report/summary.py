"""The study in two sentences, which claim no more than its intervals give."""

from typing import NamedTuple

from jaxal.evaluation.learning_curve import Interval, interval
from jaxal.report.inputs import ReportInputs
from jaxal.report.wording import number, over_seeds, percent

__all__ = ["summarize"]

_SCORES = {"average_precision": "average precision", "auroc": "AUROC"}
_NO_ROUND = "No round has been finished yet."

Values = dict[str, dict[int, float]]  # arm -> seed -> value


class _Comparison(NamedTuple):
    """The best arm, over the seeds that all arms have, and the arm that it is held against."""

    best: str
    best_mean: float
    other: str | None
    other_mean: float | None
    difference: Interval  # best - other, paired over seeds
    num_seeds: int


def summarize(inputs: ReportInputs) -> tuple[str, str]:
    """Says how much of the minority the first query found, and how well the last common round ranks the test set.

    The best active arm is held against the random arm (the best of several), else, for the minority found, against
    the weakest arm and, for the ranking, against the next best. Means are over the seeds that every arm compared has
    finished; the difference is paired over them, and where its 95 % Student-t interval holds zero, or there is none,
    the sentence says that it may be chance.

    Returns:
      Two sentences; each says what is missing where the study is unfinished or its metrics are not defined.
    """
    return _minority_found(inputs), _ranking(inputs)


def _minority_found(inputs: ReportInputs) -> str:
    name = inputs.minority_name
    total = inputs.part_counts.get("pool", {}).get(name, 0)
    if not inputs.active_arms:
        return "No arm asks for labels: each trains once on all of them."
    if total == 0:
        return f"The pool holds no image of class {name}, so there was none to find."
    values = _values(inputs, 1, "minority_labeled")
    if not values:
        return _NO_ROUND if not inputs.rows else "No query has been answered yet."
    compared = _compare(values, inputs.random_arms, to_weakest=True)
    if compared is None:
        return "The arms have finished no query with the same seed yet."
    over = over_seeds(compared.num_seeds)
    began = _began(inputs, list(next(iter(_shared(values).values()))))
    lead = f"At {_labeled(inputs, compared.best, 1)} of the labels, "
    of_pool = f"of the pool's {number(total)} images of class {name} ({over}{began})"
    if compared.best_mean == 0:
        return f"{lead}no arm had found any {of_pool}."
    found = f"{lead}{compared.best} had found {number(compared.best_mean)} {of_pool}"
    if compared.other is None or compared.other_mean is None:
        return f"{found}; there is no other arm to compare it with."
    if compared.best in inputs.random_arms:
        return f"{found}, the most of all arms; {compared.other} came next ({number(compared.other_mean)})."
    mean, words = compared.other_mean, f"{compared.other} ({number(compared.other_mean)})"
    weakest = "" if compared.other in inputs.random_arms else ", the fewest of all arms"
    if mean == 0:
        ratio = f"where {compared.other} had found none"
    elif compared.best_mean == mean:
        return f"{found}: as many as {words}."
    else:
        ratio = f"{compared.best_mean / mean:.1f}× as many as {words}"
    doubt = _doubt(compared, 1)
    return f"{found}: {ratio}{weakest}{doubt}."


def _ranking(inputs: ReportInputs) -> str:
    last = _last_common_round(inputs)
    if last is None:
        return _full_alone(inputs) if inputs.rows else _NO_ROUND
    compared_by = {
        column: _compare(_values(inputs, last, column), inputs.random_arms, to_weakest=False) for column in _SCORES
    }
    column, compared = next(((key, each) for key, each in compared_by.items() if each is not None), ("", None))
    if compared is None:
        return (
            f"After round {last} neither average precision nor AUROC is defined: a class is missing in the test set,"
            " or no label had trained the model."
        )
    kind = f"{'a mean' if len(inputs.class_names) > 2 else 'an'} {_SCORES[column]}"
    reached = f"{compared.best} ranked the test images with {kind} of {compared.best_mean:.3f}"
    lead = f"At {_labeled(inputs, compared.best, last)} of the labels, {reached}"
    full = _full_mean(inputs, column)
    if compared.other is None or compared.other_mean is None:
        bound = "" if full is None else f", where all labels reached {full:.3f}"
        return f"{lead}{bound} ({over_seeds(compared.num_seeds)}); there is no other arm to compare it with."
    if compared.best in inputs.random_arms:
        role = ", the best of the others,"
    else:
        role = "" if compared.other in inputs.random_arms else ", the next best,"
    bound = "" if full is None else f" and all labels {full:.3f}"
    text = f"{lead}, where {compared.other}{role} reached {compared.other_mean:.3f}{bound}"
    if compared.num_seeds == 1:
        return f"{text}; with one seed there is no interval, so the difference may be chance."
    return f"{text}{_doubt(compared, 3, always=True)}."


def _doubt(compared: _Comparison, decimals: int, always: bool = False) -> str:
    """Says what the difference over seeds is; for a count (not `always`) only where it may be chance."""
    low, mean, high = compared.difference.low, compared.difference.mean, compared.difference.high
    if low is None or mean is None or high is None:
        return "; with one seed, this may be chance"
    holds_zero = low <= 0 <= high
    half_width = high - mean
    text = f"; over {compared.num_seeds} seeds the difference is {mean:.{decimals}f} ± {half_width:.{decimals}f}"
    if holds_zero:
        return f"{text} (95 % interval), which may be chance"
    return f"{text} (95 % interval), which leaves zero out" if always else ""


def _values(inputs: ReportInputs, round_: int, column: str) -> Values:
    """Collects what the active arms have in a round; arms without any defined value are left out."""
    values: Values = {arm: {} for arm in inputs.active_arms}
    for row in inputs.rows:
        if row["round"] == round_ and row["arm"] in values and row[column] is not None:
            values[row["arm"]][row["seed"]] = float(row[column])
    return {arm: of_seeds for arm, of_seeds in values.items() if of_seeds}


def _shared(values: Values) -> Values:
    """Keeps the seeds that every arm has."""
    seeds = set.intersection(*(set(of_seeds) for of_seeds in values.values())) if values else set()
    return {arm: {seed: of_seeds[seed] for seed in sorted(seeds)} for arm, of_seeds in values.items()}


def _compare(values: Values, random_arms: frozenset[str], *, to_weakest: bool) -> _Comparison | None:
    """Finds the best arm (a tie goes to one that is not random, then to the first) and what to hold it against."""
    values = _shared(values)
    means = {arm: interval(list(of_seeds.values())).mean for arm, of_seeds in values.items()}
    ranked = sorted(
        ((mean, arm) for arm, mean in means.items() if mean is not None),
        key=lambda each: (-each[0], each[1] in random_arms),
    )
    if not ranked:
        return None
    best_mean, best = ranked[0]
    others = ranked[1:]
    if best not in random_arms and any(arm in random_arms for _, arm in others):
        others = [each for each in others if each[1] in random_arms]
    elif best not in random_arms and to_weakest:
        others = others[-1:]
    other_mean, other = others[0] if others else (None, None)
    differences = [] if other is None else [values[best][seed] - values[other][seed] for seed in values[best]]
    return _Comparison(best, best_mean, other, other_mean, interval(differences), len(values[best]))


def _began(inputs: ReportInputs, seeds: list[int]) -> str:
    """Says how much of the minority every arm was given, as that is in the counts of all."""
    given = {arm: [of.get(seed) for seed in seeds] for arm, of in _values(inputs, 0, "minority_labeled").items()}
    of_arms = list(given.values())
    if not of_arms or any(each != of_arms[0] for each in of_arms):
        return ""
    mean = interval(of_arms[0]).mean
    return "" if mean is None else f"; {number(mean) if mean else 'none'} of them given at the start"


def _labeled(inputs: ReportInputs, arm: str, round_: int) -> str:
    shares = [row["labeled_fraction"] for row in inputs.rows if (row["arm"], row["round"]) == (arm, round_)]
    return percent(interval(shares).mean or 0.0)


def _last_common_round(inputs: ReportInputs) -> int | None:
    """Finds the latest round that all active arms which have begun have finished with one seed at least."""
    finished: dict[str, set[tuple[int, int]]] = {}
    for row in inputs.rows:
        if row["arm"] not in inputs.full_arms:
            finished.setdefault(row["arm"], set()).add((row["round"], row["seed"]))
    common = set.intersection(*finished.values()) if finished else set()
    return max((round_ for round_, _ in common), default=None)


def _full_mean(inputs: ReportInputs, column: str) -> float | None:
    """Returns the best mean of the arms that train on every label."""
    means = [
        interval([row[column] for row in inputs.rows if row["arm"] == arm]).mean for arm in sorted(inputs.full_arms)
    ]
    return max((mean for mean in means if mean is not None), default=None)


def _full_alone(inputs: ReportInputs) -> str:
    for column, score in _SCORES.items():
        full = _full_mean(inputs, column)
        if full is not None:
            return f"Trained on all labels, the model ranked the test images with an {score} of {full:.3f}."
    return "The arms have finished no round with the same seed yet."
