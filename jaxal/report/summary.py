"""The study in two sentences, which claim no more than its intervals give."""

from collections.abc import Iterable
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
    role: str  # of that arm, where it is not the only random one
    difference: Interval  # best - other, paired over seeds
    seeds: tuple[int, ...]


def summarize(inputs: ReportInputs) -> tuple[str, str]:
    """Says how much of the minority the first query found, and how well the last common round ranks the test set.

    The best active arm is held against the random arm (the best of several; a random one against the best that is
    not), else, for the minority found, against the weakest arm and, for the ranking, against the next best. Means are
    over the seeds that every arm compared has finished, and the sentence says of how many; the difference is paired
    over them, and where its 95 % Student-t interval holds zero, or there is none, the sentence says that it may be
    chance.

    Returns:
      Two sentences; each says what is missing where the study is unfinished or its metrics are not defined.
    """
    return _minority_found(inputs), _ranking(inputs)


def _minority_found(inputs: ReportInputs) -> str:
    name = inputs.minority_name
    total = inputs.part_counts.get("pool", {}).get(name, 0)
    if not inputs.active_arms:
        return "No arm asks for labels: each trains once on all of them."
    if total == 0 and not inputs.sizes_vary:
        return f"The pool holds no image of class {name}, so there was none to find."
    values = _values(inputs, inputs.active_arms, 1, "minority_labeled")
    if not values:
        return _NO_ROUND if not inputs.rows else "No query has been answered yet."
    compared = _compare(values, inputs.random_arms, to_weakest=True)
    if compared is None:
        return "The arms have finished no query with the same seed yet."
    over = over_seeds(len(compared.seeds), len(inputs.seeds))
    of_pool = "" if inputs.sizes_vary else f"of the pool's {number(total)} "
    images = f"{of_pool}images of class {name} ({over}{_began(inputs, compared.seeds)})"
    lead = f"At {_labeled(inputs, compared, 1)} of the labels, "
    if compared.best_mean == 0:
        return f"{lead}no arm had found any {images}."
    found = f"{lead}{compared.best} had found {number(compared.best_mean)} {images}"
    if compared.other is None or compared.other_mean is None:
        return f"{found}; there is no other arm to compare it with."
    mean, words = compared.other_mean, f"{compared.other} ({number(compared.other_mean)})"
    if mean == 0:
        ratio = f"where {compared.other} had found none"
    elif compared.best_mean == mean:
        return f"{found}: as many as {words}."
    else:
        ratio = f"{compared.best_mean / mean:.1f}× as many as {words}"
    return f"{found}: {ratio}{compared.role}{_doubt(compared, 1)}."


def _ranking(inputs: ReportInputs) -> str:
    last = _last_common_round(inputs)
    if last is None:
        return _full_alone(inputs) if inputs.rows else _NO_ROUND
    compared_by = {
        column: _compare(_values(inputs, inputs.active_arms, last, column), inputs.random_arms, to_weakest=False)
        for column in _SCORES
    }
    column, compared = next(((key, each) for key, each in compared_by.items() if each is not None), ("", None))
    if compared is None:
        return (
            f"After round {last} neither average precision nor AUROC is defined: a class is missing in the test set,"
            " or no label had trained the model."
        )
    reached = f"{compared.best} ranked the test images with {_a_score(inputs, column)} of {compared.best_mean:.3f}"
    lead = f"At {_labeled(inputs, compared, last)} of the labels, {reached}"
    full = _full_mean(inputs, column, compared.seeds)
    num_seeds, planned = len(compared.seeds), len(inputs.seeds)
    if compared.other is None or compared.other_mean is None:
        bound = "" if full is None else f", where all labels reached {full:.3f}"
        return f"{lead}{bound} ({over_seeds(num_seeds, planned)}); there is no other arm to compare it with."
    role = compared.role and f"{compared.role},"
    bound = "" if full is None else f" and all labels {full:.3f}"
    text = f"{lead}, where {compared.other}{role} reached {compared.other_mean:.3f}{bound}"
    if num_seeds < planned:
        text += f" ({num_seeds} of {planned} seeds define it for every arm)"
    if num_seeds == 1:
        return f"{text}; with one seed there is no interval, so the difference may be chance."
    return f"{text}{_doubt(compared, 3, always=True)}."


def _a_score(inputs: ReportInputs, column: str) -> str:
    return f"{'a mean' if len(inputs.class_names) > 2 else 'an'} {_SCORES[column]}"


def _doubt(compared: _Comparison, decimals: int, always: bool = False) -> str:
    """Says what the difference over seeds is; for a count (not `always`) only where it may be chance."""
    low, mean, high = compared.difference.low, compared.difference.mean, compared.difference.high
    if low is None or mean is None or high is None:
        return "; with one seed, this may be chance"
    holds_zero = low <= 0 <= high
    half_width = high - mean
    text = f"; over {len(compared.seeds)} seeds the difference is {mean:.{decimals}f} ± {half_width:.{decimals}f}"
    if holds_zero:
        return f"{text} (95 % interval), which may be chance"
    return f"{text} (95 % interval), which leaves zero out" if always else ""


def _values(inputs: ReportInputs, arms: Iterable[str], round_: int, column: str) -> Values:
    """Collects what some arms have in a round; arms without any defined value are left out."""
    values: Values = {arm: {} for arm in arms}
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
    # A random arm is held against the best that is not, any other against the best random one.
    others, role = ranked[1:], ""
    of_other_kind = [each for each in others if (each[1] in random_arms) != (best in random_arms)]
    if of_other_kind:
        others = of_other_kind
        role = ", the best arm that is not random" if best in random_arms else ""
    elif best not in random_arms:
        others = others[-1:] if to_weakest else others
        role = ", the fewest of all arms" if to_weakest else ", the next best"
    other_mean, other = others[0] if others else (None, None)
    differences = [] if other is None else [values[best][seed] - values[other][seed] for seed in values[best]]
    return _Comparison(best, best_mean, other, other_mean, role, interval(differences), tuple(values[best]))


def _began(inputs: ReportInputs, seeds: tuple[int, ...]) -> str:
    """Says how much of the minority every arm was given, as that is in the counts of all."""
    given = {
        arm: [of.get(seed) for seed in seeds]
        for arm, of in _values(inputs, inputs.active_arms, 0, "minority_labeled").items()
    }
    of_arms = list(given.values())
    if not of_arms or any(each != of_arms[0] for each in of_arms):
        return ""
    mean = interval(of_arms[0]).mean
    return "" if mean is None else f"; {number(mean) if mean else 'none'} of them given at the start"


def _labeled(inputs: ReportInputs, compared: _Comparison, round_: int) -> str:
    at = [row for row in inputs.rows if (row["arm"], row["round"]) == (compared.best, round_)]
    shares = [row["labeled_fraction"] for row in at if row["seed"] in compared.seeds]
    return percent(interval(shares).mean or 0.0)


def _last_common_round(inputs: ReportInputs) -> int | None:
    """Finds the latest round that all active arms which have begun have finished with one seed at least.

    It lies before any run stopped at a plateau: beyond, the seeds that went on would stand for all.
    """
    finished: dict[str, set[tuple[int, int]]] = {}
    for row in inputs.rows:
        if row["arm"] not in inputs.full_arms:
            finished.setdefault(row["arm"], set()).add((row["round"], row["seed"]))
    common = set.intersection(*finished.values()) if finished else set()
    first_stop = min(inputs.stopped.values(), default=None)
    return max((round_ for round_, _ in common if first_stop is None or round_ <= first_stop), default=None)


def _full_mean(inputs: ReportInputs, column: str, seeds: tuple[int, ...]) -> float | None:
    """Returns the best mean of the arms that train on every label, of those that define it for all these seeds."""
    full = _values(inputs, inputs.full_arms, 0, column).values()
    return max((sum(of[seed] for seed in seeds) / len(seeds) for of in full if set(seeds) <= set(of)), default=None)


def _full_alone(inputs: ReportInputs) -> str:
    for column in _SCORES:
        full = _compare(_values(inputs, inputs.full_arms, 0, column), frozenset(), to_weakest=False)
        if full is not None:
            reached = f"{_a_score(inputs, column)} of {full.best_mean:.3f}"
            over = over_seeds(len(full.seeds), len(inputs.seeds))
            return f"Trained on all labels, the model ranked the test images with {reached} ({over})."
    return "The arms have finished no round with the same seed yet."
