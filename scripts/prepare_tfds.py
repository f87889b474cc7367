"""Prepare a folder of images as a data set of TensorFlow Datasets, in ArrayRecord and without TensorFlow.

python scripts/prepare_tfds.py isic2020 --manual-dir ~/isic2020 --data-dir ~/tensorflow_datasets
jaxal run CONFIG.toml --data.source tfds:isic2020
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from jaxal.data.tfds.names import OWN_SETS
from jaxal.data.tfds.prepare import prepare
from jaxal.errors import JaxalError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=OWN_SETS)
    parser.add_argument("--manual-dir", required=True, help="folder of the images and labels; it is only read")
    parser.add_argument("--data-dir", default="", help="of all prepared sets (default: as TensorFlow Datasets)")
    parser.add_argument("--images", nargs="*", default=[], help="further folders of images")
    parser.add_argument("--labels", default="", help="the CSV file with the labels, where several could be it")
    parser.add_argument("--duplicates", choices=("drop", "keep"), default="drop")
    parser.add_argument("--unclear-diagnosis", choices=("refuse", "benign", "leave_out"), default="refuse")
    given = parser.parse_args()
    try:
        folder, notes = prepare(
            given.name,
            given.manual_dir,
            given.data_dir,
            images=given.images,
            labels=given.labels,
            duplicates=given.duplicates,
            unclear_diagnosis=given.unclear_diagnosis,
        )
    except JaxalError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("\n".join([f"prepared {folder}", *notes]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
