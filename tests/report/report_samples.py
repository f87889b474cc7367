"""Small studies as the report sees them, without a model behind them."""

import numpy as np

from jaxal.report.inputs import Asked, ReportInputs

FOUND = {"random": 1, "cb": 3}  # of four answers of each query


def result_row(arm, seed, round_, **columns):
    return {
        "arm": arm,
        "seed": seed,
        "round": round_,
        "num_labeled": 10 + 4 * round_,
        "labeled_fraction": (10 + 4 * round_) / 100,
        "auroc": 0.6,
        "average_precision": 0.3,
        "balanced_accuracy": 0.5,
        "accuracy": 0.9,
        "minority_labeled": 1,
        "classes_found": 2,
        "imbalance_ratio": 9.0,
        "seconds_train": 2.0,
        "seconds_embed": 0.5 if round_ else None,
        "seconds_acquire": 0.25 if round_ else None,
        **columns,
    }


def images_of(seed, indices):
    """Return 8×8 gray images that say which row they are of."""
    return np.stack([np.full((8, 8, 1), (int(index) + seed) % 256, np.uint8) for index in indices])


def query(arm, seed, round_, labels, **changes):
    places = range(len(labels))
    fields = {
        "ids": tuple(f"id-{100 * round_ + place}" for place in places),
        "indices": tuple(10 * round_ + place for place in places),
        "scores": tuple(0.5 + place for place in places),
        "reasons": tuple("first" if place < 2 else "second" for place in places),
    }
    return Asked(arm, seed, round_, labels=tuple(labels), **(fields | changes))


def sample(seeds=(0, 1, 2), num_rounds=2, has_full=True, **changes):
    """Build a study of the arms random and cb, and full; cb finds three of each four, random one."""
    rows, asked = [], []
    for arm, found in FOUND.items():
        for seed in seeds:
            for r in range(num_rounds + 1):
                score = 0.3 + 0.1 * r * (arm == "cb") + 0.01 * seed
                count = 1 + found * r
                rows.append(
                    result_row(arm, seed, r, average_precision=score, auroc=score + 0.4, minority_labeled=count)
                )
                if r:
                    asked.append(query(arm, seed, r, [1] * found + [0] * (4 - found)))
    if has_full:
        full = {"num_labeled": 100, "labeled_fraction": 1.0, "average_precision": 0.8, "minority_labeled": 20}
        rows += [result_row("full", seed, 0, **full) for seed in seeds]
    inputs = ReportInputs(
        name="sample",
        planned_rounds=dict.fromkeys(FOUND, num_rounds + 1) | ({"full": 1} if has_full else {}),
        seeds=tuple(seeds),
        full_arms=frozenset({"full"} if has_full else ()),
        random_arms=frozenset({"random"}),
        class_names=("rest", "rare"),
        minority=1,
        part_counts={"pool": {"rest": 80, "rare": 20}, "test": {"rest": 90, "rare": 10}},
        rows=rows,
        metric_rows=[],
        asked=asked,
        notes=("Validation labels are outside the budget.",),
        config_text='name = "sample"\n',
        environment={"python": "3.11", "packages": {"jax": "0.10"}, "devices": ["cpu"], "commit": None},
        images_of=images_of,
    )
    return inputs._replace(**changes)


def only(inputs, *arms):
    """Keep these arms."""
    return inputs._replace(
        planned_rounds={arm: num for arm, num in inputs.planned_rounds.items() if arm in arms},
        full_arms=inputs.full_arms & set(arms),
        random_arms=inputs.random_arms & set(arms),
        rows=[row for row in inputs.rows if row["arm"] in arms],
        asked=[each for each in inputs.asked if each.arm in arms],
    )


def changed(inputs, change):
    """Change rows by a function of a row that returns what to replace."""
    return inputs._replace(rows=[row | change(row) for row in inputs.rows])
