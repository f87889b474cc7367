"""Small image folders in the forms of ISIC 2020 and HAM10000, and sets that TensorFlow Datasets prepares."""

import io
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

HEADER = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target"


def jpeg(number: int, side: int = 24) -> bytes:
    """Make a picture that no other number has."""
    rows, columns = np.mgrid[:side, : side + 4]
    pixels = np.stack([rows * 5 + number * 7, columns * 4 + number, rows + columns + 3 * number], 2) % 256
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "JPEG", quality=95)
    return out.getvalue()


def isic2020(folder: Path, count: int = 30) -> Path:
    """Write the challenge site's form: three images a patient, every seventh malignant, one pair of copies."""
    (folder / "train").mkdir(parents=True)
    lines = [HEADER]
    for number in range(count):
        name, truth = f"ISIC_{(number * 37) % 100:07d}", int(number % 7 == 0)
        word = "malignant" if truth else "benign"
        lines.append(f"{name},IP_{number // 3:07d},{'male' if number % 2 else ''},45.0,torso,unknown,{word},{truth}")
        (folder / "train" / f"{name}.jpg").write_bytes(jpeg(number))
    (folder / "ISIC_2020_Training_GroundTruth.csv").write_text("\n".join(lines) + "\n")
    first, second = (line.split(",")[0] for line in (lines[2], lines[3]))
    pairs = f"image_name_1,image_name_2\n{first},{second}\n"
    (folder / "ISIC_2020_Training_Duplicates.csv").write_text(pairs)
    return folder


def ham10000(folder: Path) -> Path:
    """Write HAM10000's form: two folders of images, two images a lesion."""
    kinds = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    lines = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for number in range(21):
        name = f"ISIC_{24300 + number:07d}"
        lines.append(f"HAM_{number // 2:07d},{name},{kinds[(number // 2) % 7]},histo,50.0,female,back")
        place = folder / f"HAM10000_images_part_{1 + number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.jpg").write_bytes(jpeg(number))
    (folder / "HAM10000_metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


def prepared(
    data_dir: Path, name: str, features: dict, splits: dict, supervised: tuple | None = None, **options
) -> Path:
    """Prepare a set with any features and records, as ArrayRecord; return its folder."""

    class Made(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version(options.get("version", "1.0.0"))

        def _info(self):
            kinds = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(builder=self, features=kinds, supervised_keys=supervised)

        def _split_generators(self, dl_manager):
            return {split: iter([(str(row), each) for row, each in enumerate(rows)]) for split, rows in splits.items()}

        def _generate_examples(self):
            raise NotImplementedError

    Made.name = name
    config = options.get("config")
    if config:
        Made.BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)]
    builder = Made(data_dir=str(data_dir), file_format="array_record")
    downloads = tfds.download.DownloadConfig()
    builder.download_and_prepare(
        download_dir=str(data_dir / "d"), download_config=downloads, file_format="array_record"
    )
    return Path(builder.data_dir)
