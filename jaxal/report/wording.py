"""Numbers and names as a reader sees them, the same in every country."""

import unicodedata

from jaxal.evaluation.learning_curve import Interval

NOT_DEFINED = "not defined"


def percent(fraction: float | int) -> str:
    """Writes a share with one decimal where it needs one, or two digits below 1 %.

    >>> percent(0.1), percent(0.1477), percent(0.00123), percent(0.0)
    ('10 %', '14.8 %', '0.12 %', '0 %')
    """
    value = 100 * fraction
    if 0 < value < 0.95:
        return f"{float(f'{value:.2g}'):.10f}".rstrip("0") + " %"
    return f"{value:.1f}".removesuffix(".0") + " %"


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


def over_seeds(num_seeds: int) -> str:
    """Says what a mean is over."""
    return "one seed" if num_seeds == 1 else f"mean over {num_seeds} seeds"


def visible(name: str, longest: int | None = None) -> str:
    r"""Makes a name safe to draw and to encode: one line, no control or private characters, cut where too long.

    >>> visible("a\x00b\nc"), visible("melanoma in situ", 8)
    ('a�b�c', 'melanom…')
    """
    shown = "".join(
        "�" if unicodedata.category(each) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp") else each for each in name
    )
    return shown if longest is None or len(shown) <= longest else shown[: longest - 1] + "…"


def encoded(text: str) -> bytes:
    """Encodes as UTF-8; half characters, which a file name may hold, become question marks."""
    return text.encode("utf-8", "replace")
