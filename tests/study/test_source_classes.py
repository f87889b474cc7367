"""The shares that a study keeps of its source model's predictions."""

import pytest

from jaxal.errors import StoreError
from jaxal.report.source_classes import source_classes_csv
from jaxal.study.source_classes import kept_source_shares


def test_they_are_read_back_as_written(tmp_path):
    assert kept_source_shares(tmp_path) == ()
    path = tmp_path / "figures" / "source_classes.csv"
    path.parent.mkdir()
    shares = (2 / 3, 1 / 3, 0.0)
    path.write_text(source_classes_csv(shares))
    assert kept_source_shares(tmp_path) == shares


@pytest.mark.parametrize("text", ["", "rank,share\n", "rank,share\n2,0.5\n", "rank,share\n1,half\n", "rank,share\n1\n"])
def test_a_damaged_file_is_refused(tmp_path, text):
    path = tmp_path / "figures" / "source_classes.csv"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(StoreError, match="not as it was written"):
        kept_source_shares(tmp_path)
