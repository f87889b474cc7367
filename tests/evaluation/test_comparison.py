"""G_AL of every row that Aggarwal et al. print, and what is refused."""

import pytest

from jaxal.errors import InputError
from jaxal.evaluation.comparison import active_learning_gain

# Tables 2 and 3: percent on Food-101, CIFAR-100, IMN-100, MIT-67, with 500, 1000, 2000 labels each; then G_AL.
FULL = [65.85, 59.49, 70.20, 72.43]
ROWS = [
    ("random, before", "23.02 30.63 38.68 27.31 33.66 39.78 47.24 56.62 63.87 34.99 44.56 53.33", -0.792),
    ("ent, before", "14.19 20.44 29.26 12.13 17.31 25.18 16.99 24.62 37.58 25.36 31.72 41.20", -1.308),
    ("ms, before", "8.49 14.31 28.48 23.70 25.25 35.76 28.46 41.29 38.98 28.91 34.64 46.50", -1.159),
    ("lc, before", "15.44 23.45 33.06 15.28 20.79 27.74 21.79 32.09 43.77 27.20 34.68 45.44", -1.191),
    ("ent_inv, before", "8.84 15.55 26.69 24.19 30.29 34.78 27.83 41.44 38.71 28.87 37.99 42.12", -1.155),
    ("ent_div, before", "13.93 20.24 30.34 23.96 29.35 35.97 24.25 42.99 55.45 27.07 39.01 44.35", -1.077),
    (
        "ent_inv_div, before",
        "19.71 25.60 34.11 32.13 38.94 43.94 53.65 61.21 66.79 39.17 46.79 52.09",
        -0.739,
    ),
    ("ms_inv_div, before", "16.05 24.26 32.62 24.61 31.46 39.13 39.47 51.68 61.02 31.46 40.99 49.13", -0.928),
    ("lc_inv_div, before", "19.13 24.66 33.62 32.62 38.46 43.52 55.27 61.89 66.80 39.48 45.89 51.42", -0.742),
    ("core-set, before", "20.07 26.35 34.17 30.04 36.34 42.18 49.84 56.42 63.87 37.10 46.08 52.31", -0.790),
    ("random, after", "23.53 30.52 37.95 28.86 37.29 44.32 53.79 62.59 68.31 42.36 54.14 60.16", -0.653),
    ("ent, after", "19.10 27.06 34.43 24.07 33.82 41.20 41.19 57.65 65.47 34.75 51.68 60.16", -0.792),
    ("ms, after", "17.98 29.61 35.40 25.44 35.18 41.71 45.57 51.56 65.73 40.52 48.62 57.17", -0.784),
    ("lc, after", "19.59 26.70 37.20 26.68 36.70 40.13 43.03 59.32 67.45 41.30 51.23 59.34", -0.744),
    ("ent_inv, after", "18.06 28.81 35.62 25.89 34.06 41.87 44.48 57.45 64.08 36.25 49.33 58.15", -0.785),
    ("ent_div, after", "20.08 26.82 33.57 24.43 34.26 43.20 42.25 55.53 63.33 38.99 51.83 60.01", -0.783),
    ("ent_inv_div, after", "23.20 27.43 38.00 34.32 40.78 45.34 56.98 64.12 68.21 47.80 53.74 60.39", -0.612),
    ("ms_inv_div, after", "20.51 27.91 37.50 27.40 37.32 45.70 50.48 60.75 66.12 44.67 52.42 59.12", -0.690),
    ("lc_inv_div, after", "21.77 28.71 36.16 32.21 39.92 45.13 55.55 64.05 68.86 45.34 51.79 61.06", -0.637),
    ("core-set, after", "20.84 28.21 37.44 32.68 39.70 44.43 54.57 62.14 67.97 46.42 54.34 60.46", -0.640),
]


@pytest.mark.parametrize(("row", "accuracies", "printed"), ROWS)
def test_the_printed_gains(row, accuracies, printed):
    shares = [float(each) / 100 for each in accuracies.split()]
    full = [each / 100 for each in FULL for _ in range(3)]
    assert active_learning_gain(shares, full) == pytest.approx(printed, abs=6e-4)


def test_what_is_not_defined():
    assert active_learning_gain([None, 0.5], 0.75) == -1
    assert active_learning_gain([None], 0.75) is None
    assert active_learning_gain([0.5], 1.0) is None


def test_refusals_name_the_argument():
    with pytest.raises(InputError, match=r"accuracies: expected shares between 0 and 1, got 50\.0 … 50\.0"):
        active_learning_gain([50.0], 0.6)
    with pytest.raises(InputError, match="full: 2 accuracies for 1 runs"):
        active_learning_gain([0.5], [0.6, 0.7])
