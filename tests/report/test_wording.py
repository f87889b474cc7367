"""Numbers and names as a reader sees them."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxal.report.wording import percent, share, shortened, visible


@given(st.integers(1, 10**9).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole))))
def test_only_nothing_reads_as_none_and_only_the_whole_as_all(counts):
    part, whole = counts
    value = part / whole
    assert float(share(value)) == pytest.approx(value, abs=5.1e-4)
    assert (float(share(value)) == 0, float(share(value)) == 1) == (part == 0, part == whole)
    shown = float(percent(value).removesuffix(" %"))
    assert (shown == 0, shown == 100) == (part == 0, part == whole)


@given(st.text())
def test_what_is_visible_turns_no_direction_and_breaks_no_line(name):
    turning = {*"\u061c\u200e\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
    for text in (name, name + "\u202e\x00\x85\n"):
        shown = visible(text)
        assert len(shown) == len(text)
        assert not turning & set(shown)
        assert not any(unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in shown)


def test_every_turning_mark_is_replaced():
    marks = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    assert visible(f"a{marks}\u200db") == "a" + "�" * 12 + "\u200db"  # a joiner is part of writing


@pytest.mark.parametrize("longest", [18, 24, 28])
def test_shortened_names_stay_apart_and_fit(longest):
    names = [
        "random",
        "cb_dal_normalize_l2",
        "cb_dal_normalize_none",
        *(f"cb_dal_width_64_final_lr_1e-4_{end}" for end in "ab"),
        *(f"{'x' * 40}{middle}{'x' * 40}" for middle in "ab"),
        "a\x00",
        "a\x01",
    ]
    short = shortened(names, longest)
    assert len(set(short)) == len(names)
    assert max(map(len, short)) <= longest
    assert short[0] == "random"
    assert short[3].endswith("1e-4_a")
