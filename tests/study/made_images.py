"""Made image sets on disk: striped and dotted squares, so that there is something to tell apart."""

import csv

import numpy as np
from PIL import Image


def picture(label, rng, size=20):
    """Make a noisy square; class 1 has stripes."""
    pixels = rng.integers(60, 200, (size, size, 3))
    if label:
        pixels[:, ::4] = 255
    return Image.fromarray(pixels.astype(np.uint8))


def write_folder(folder, num_common=80, num_rare=24, seed=0):
    """Write one sub-folder per class, JPEG and PNG mixed."""
    rng = np.random.default_rng(seed)
    for name, count in (("common", num_common), ("rare", num_rare)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            ending = "jpg" if number % 2 else "png"
            picture(name == "rare", rng).save(folder / name / f"{number:03d}.{ending}")


def write_csv(folder, num_patients=60, seed=0):
    """Write images of patients from three centers with a labels.csv; one patient in three has a rare image."""
    rng = np.random.default_rng(seed)
    (folder / "scans").mkdir(parents=True)
    rows = []
    for patient in range(num_patients):
        center = "ABC"[patient % 3 if patient % 2 else 0]
        for number in range(int(rng.integers(1, 5))):
            label = number == 0 and patient % 3 == 0
            name = f"scans/p{patient}-{number}.png"
            picture(label, rng).save(folder / name)
            rows.append([name, "rare" if label else "common", f"p{patient}", center])
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image", "label", "group", "center"], *rows])
    return rows
