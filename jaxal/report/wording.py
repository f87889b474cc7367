"""Numbers and names as a reader sees them, the same in every country."""

import unicodedata
from collections.abc import Sequence

from jaxal.evaluation.learning_curve import Interval

NOT_DEFINED = "not defined"
# Marks, embeddings, overrides and isolates of direction: a name could reorder the words around it.
_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def percent(fraction: float | int) -> str:
    """Writes a share with one decimal where it needs one, or two digits below 1 %.

    >>> percent(0.1), percent(0.1477), percent(0.00123), percent(0.0), percent(0.9999)
    ('10 %', '14.8 %', '0.12 %', '0 %', '99.99 %')
    """
    value = 100 * fraction
    if 0 < value < 0.95:
        return f"{float(f'{value:.2g}'):.10f}".rstrip("0") + " %"
    return share(value, 100, 1).removesuffix(".0") + " %"


def share(value: float | int, whole: int = 1, decimals: int = 3) -> str:
    """Writes a part of a whole, with more decimals where some would read as none, or almost all as all.

    >>> share(0.0971), share(3 / 10002), share(9999 / 10002), share(0.0), share(1.0)
    ('0.097', '0.0003', '0.9997', '0.000', '1.000')
    """
    while 0 < value < whole and float(f"{value:.{decimals}f}") in (0, whole):
        decimals += 1
    return f"{value:.{decimals}f}"


def number(value: float | int) -> str:
    """Writes a count or a mean of counts: thousands apart, one decimal unless it is whole.

    >>> number(2002), number(20.333), number(3.0)
    ('2,002', '20.3', '3')
    """
    return f"{value:,.1f}".removesuffix(".0")


def estimate(value: Interval, num_seeds: int, decimals: int = 3) -> str:
    """Writes a mean with half of its interval, and of how many seeds where some do not define it.

    >>> estimate(Interval(0.5, 0.4, 0.6, 2), 3)
    '0.500 ± 0.100 (2 of 3 seeds)'
    """
    if value.mean is None:
        return NOT_DEFINED
    half_width = "" if value.high is None else f" ± {value.high - value.mean:,.{decimals}f}"
    missing = "" if value.num == num_seeds else f" ({value.num} of {num_seeds} seeds)"
    return f"{value.mean:,.{decimals}f}{half_width}{missing}"


def over_seeds(num_seeds: int, planned: int) -> str:
    """Says what a mean is over, and how many seeds were planned where it lacks some.

    >>> over_seeds(3, 3), over_seeds(2, 3), over_seeds(1, 3), over_seeds(1, 1)
    ('mean over 3 seeds', 'mean over 2 of 3 seeds', 'one of 3 seeds', 'one seed')
    """
    if num_seeds == planned:
        return "one seed" if planned == 1 else f"mean over {planned} seeds"
    return f"one of {planned} seeds" if num_seeds == 1 else f"mean over {num_seeds} of {planned} seeds"


def visible(text: str) -> str:
    r"""Makes a text safe to show: one line, no control or private characters, nothing that turns the direction.

    >>> visible("a\x00b\nc"), visible("\u202eevil")
    ('a�b�c', '�evil')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "�" if each in _TURNING or unicodedata.category(each) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp") else each
        for each in text
    )


def shortened(names: Sequence[str], longest: int) -> list[str]:
    """Makes names safe to draw in `longest` letters, cut in the middle; equal ones get their place before them.

    >>> shortened(["random", "cb_dal_normalize_l2", "cb_dal_normalize_none"], 13)
    ['random', 'cb_dal…ize_l2', 'cb_dal…e_none']
    >>> shortened(["a-long-x-long-b", "a-long-y-long-b"], 11)
    ['1: a-lo…g-b', '2: a-lo…g-b']
    """
    shown = [visible(name) for name in names]
    short = [_cut(name, longest) for name in shown]
    return [
        f"{place}: {_cut(name, longest - len(f'{place}: '))}" if short.count(cut) > 1 else cut
        for place, (name, cut) in enumerate(zip(shown, short, strict=True), start=1)
    ]


def _cut(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[len(name) - (longest - 1) // 2 :]}"


def encoded(text: str) -> bytes:
    """Encodes as UTF-8; half characters, which a file name may hold, become question marks."""
    return text.encode("utf-8", "replace")
