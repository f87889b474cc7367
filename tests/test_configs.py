"""Every study in configs/ is read, and its head says what a reader needs before starting it."""

import re
import tomllib
from pathlib import Path

import pytest

from jaxal.config.family import load_family
from jaxal.config.reading import load_study

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.toml"))
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_read_and_its_head_is_complete(path):
    text = path.read_text()
    assert load_family(path).name == path.stem
    head = re.match(r"(?:#.*\n)+", text)[0]
    assert len(head.splitlines()[0]) > 40, "the first line says what it is"
    for word in ("command", "hardware", "time", "expect"):
        assert re.search(rf"^#   {word} +\S", head, re.MULTILINE), word
    place = path.relative_to(ROOT)
    assert f"jaxal run {place}" in head
    assert all(len(line) <= 120 for line in text.splitlines())
    for named in re.findall(r"\b(\w+\.toml)\b", text):
        assert (ROOT / "configs" / named).exists() or (path.parent / named).exists(), named
    families = tuple(re.findall(r"`(configs/[\w/]+)\*\.toml`", README))
    assert f"`{place}`" in README or str(place).startswith(families)


def studies_of(path):
    """The studies of a file, by member."""
    return dict(load_family(path).members)


@pytest.mark.parametrize("path", [path for path in CONFIGS if "extends" in tomllib.loads(path.read_text())])
def test_what_extends_has_the_splits_and_initial_labels_of_its_base(path):
    document = tomllib.loads(path.read_text())
    studies, bases = studies_of(path), studies_of(path.parent / document["extends"])
    assert studies != bases
    if path.stem.endswith("_small"):  # what fits into minutes may have fewer seeds, but no fewer members or arms
        assert studies.keys() == bases.keys()
        for name, study in studies.items():
            assert [arm.name for arm in study.arms] == [arm.name for arm in bases[name].arms]
        return
    seeds = {study.seeds for study in bases.values()}
    assert {study.seeds for study in studies.values()} == seeds
    if "" not in studies:
        return
    study, base = studies[""], bases[""]
    if path.name.startswith("isic2020") and path.stem != "isic2020_lite0":
        assert study.model == base.model
        assert study.training == base.training
        assert study.data.source == base.data.source


def test_arms_of_one_strategy_are_the_same_in_every_file_of_a_family():
    together = {arm.name: arm.strategy for arm in load_study(ROOT / "configs" / "isic2020_all.toml").arms}
    alone = [load_study(path) for path in CONFIGS if path.name.startswith("isic2020")]
    assert {arm.name: arm.strategy for study in alone for arm in study.arms} == together
    assert sum(len(study.arms) == 1 for study in alone) == 7
