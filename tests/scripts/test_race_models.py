"""The race of the networks: a missing library is a row, default operations are default, the table has its place."""

import sys
from unittest import mock

import numpy as np
import pytest
import race_models

from jaxal.models import layers
from jaxal.models.convolution import native_conv
from jaxal.models.depthwise import native_depthwise


def test_a_missing_library_is_reported_and_the_others_race_on():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    own = race_models.Contestant("jaxal", "float32", lambda: 1, lambda: 1)
    with (
        mock.patch.dict(sys.modules, {"timm": None}),
        mock.patch.object(race_models, "jaxal_contestant", return_value=own),
    ):
        assert race_models.torch_contestant("resnet18", "float32", images).missing == "not installed: timm"
        rows = race_models.rows_of("resnet18", 8, 2, 1, has_default=False)
    assert rows[1] == "| resnet18 | 8² | PyTorch, channels-last | float32 | not installed: timm | | | |"
    assert [row.split(" | ")[2] for row in rows] == ["jaxal", "PyTorch, channels-last"] * 2
    assert rows[0].endswith("| 1.00 |")


def test_all_run_in_turn_after_a_warm_up():
    order = []
    seconds = race_models.race([lambda: order.append("a"), None, lambda: order.append("b")], 2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert np.isnan(seconds[1])
    assert min(seconds[0], seconds[2]) > 0


def test_default_operations_are_put_in_for_a_while():
    ours = layers.conv, layers.depthwise_conv
    with race_models.default_ops():
        assert (layers.conv, layers.depthwise_conv) == (native_conv, native_depthwise)
    assert (layers.conv, layers.depthwise_conv) == ours


@pytest.mark.slow
def test_nothing_that_one_contestant_traced_is_the_others():
    images, traced = np.zeros((2, 8, 8, 3), np.uint8), []

    def counted(*arguments):
        traced.append(arguments)
        return native_conv(*arguments)

    with mock.patch.object(race_models, "native_conv", counted):
        race_models.jaxal_contestant("resnet18", "float32", images, is_default=False)
        assert not traced
        race_models.jaxal_contestant("resnet18", "float32", images, is_default=True)
    assert len(traced) == 2 * 20  # forward and training


def test_the_table_goes_between_its_markers(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{race_models.BEGIN}\nold\n{race_models.END}\nafter\n")
    race_models.put_into(path, "new")
    assert path.read_text() == f"before\n{race_models.BEGIN}\nnew\n{race_models.END}\nafter\n"
    path.write_text("no markers")
    with pytest.raises(SystemExit, match="needs one line"):
        race_models.put_into(path, "new")
    assert path.read_text() == "no markers"


def test_an_unknown_network_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        race_models.main(["--models", "resnet18,resnet50"])
    assert caught.value.code == 2
    assert "unknown models resnet50; known are organ_cnn" in capsys.readouterr().err
