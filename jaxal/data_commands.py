"""What `jaxal data check` and `jaxal data build` do; the flags are read elsewhere."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from jaxal.config.data import ImagesConfig
from jaxal.console import images_progress
from jaxal.data.build import BAD_IMAGES, BuildResult, build_images
from jaxal.data.check import CheckReport, array_config, check_data
from jaxal.data.problems import refusal, shown
from jaxal.errors import ConfigError, DataError

__all__ = ["build", "check"]

# Of classes so many are named in a summary.
MAX_CLASSES = 20


def check(settings: Mapping[str, Any]) -> int:
    """Check a data set and print what it holds, or all that is wrong with it.

    Args:
        settings: of `ImagesConfig`.

    Returns:
        The exit code: 0 if nothing is wrong.

    Raises:
        ConfigError: a setting has not the form that it must have.
        DataError: problems, or nothing that is recognized.
    """
    config = _config(settings)
    with images_progress("checking") as on_images:
        report = check_data(config, on_images)
    for line in _summary(report):
        print(line)
    if report.problems:
        raise refusal(report.problems, heading=shown(config.path), advice=report.advice)
    print("nothing wrong found")
    return 0


def build(settings: Mapping[str, Any], out: str) -> int:
    """Build a folder, or check one that is complete, and print what it holds.

    Args:
        settings: of `ImagesConfig`.
        out: the folder.

    Returns:
        The exit code: 0.

    Raises:
        ConfigError: a setting has not the form that it must have.
        DataError: the data has problems, or the folder cannot be built.
    """
    config = _config(settings)
    if not out:
        raise ConfigError("--out: expected a folder, got ''")
    arrays = array_config(config.path)
    if arrays is not None:
        kind = arrays.__struct_config__.tag
        setting = "folder" if kind == "idx" else "path"
        raise DataError(
            f"{shown(config.path)}: holds arrays ({kind}), not image files: there is nothing to decode. A study reads "
            f'them as they are: [data.source] kind = "{kind}", {setting} = {_toml(config.path)}'
        )
    with images_progress("building") as on_images:
        result = build_images(config, out, on_images)
    for line in _built(result):
        print(line)
    return 0


def _config(settings: Mapping[str, Any]) -> ImagesConfig:
    try:
        return msgspec.convert({name: value for name, value in settings.items() if value is not None}, ImagesConfig)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("$.")[2].strip("`[.]")
        flag = {"image_size": "size"}.get(name, name).replace("_", "-")
        raise ConfigError(f"--{flag}: {str(error).partition(' - at')[0]}") from error


def _summary(report: CheckReport) -> Iterator[str]:
    yield f"form: {report.form}"
    yield f"images: {report.num_images}"
    yield f"classes: {_counts(report.class_counts)}"
    yield f"groups: {'none' if report.num_groups is None else report.num_groups}"
    if report.part_counts:
        yield f"split: {_counts(report.part_counts)}"
    for note in report.notes:
        yield f"note: {note}"


def _built(result: BuildResult) -> Iterator[str]:
    manifest, folder = result.manifest, shown(str(result.folder))
    for note in manifest.notes:
        yield f"note: {note}"
    if result.is_same and not result.num_made:
        yield f"{folder} is complete: every shard and every image file is as it was"
    elif result.is_same:
        yield f"{folder} is complete: {result.num_made} damaged or missing shards were made anew, all else is as it was"
    form = f"size {manifest.image_size}, {manifest.color}"
    yield f"{manifest.num_images} images of {form}, in {len(manifest.shards)} shards"
    yield f"classes: {_counts(manifest.class_counts)}"
    if manifest.excluded:
        yield f"{len(manifest.excluded)} images left out, listed in {shown(str(result.folder / BAD_IMAGES))}"
    yield f'{folder} is built; a study reads it with [data.source] kind = "built", path = {_toml(str(result.folder))}'


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # of strings it is TOML as well


def _counts(counts: Mapping[str, int]) -> str:
    named = [f"{shown(name)} {count}" for name, count in list(counts.items())[:MAX_CLASSES]]
    return ", ".join(named) + (f", … ({len(counts)} in all)" if len(counts) > MAX_CLASSES else "")
