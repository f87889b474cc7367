"""Settings of the data: where images come from, how they are split, how skewed the pool is made."""

from typing import Annotated, Literal

from msgspec import Meta

from jaxal.config.struct import LARGEST, ConfigStruct

__all__ = [
    "BuiltConfig",
    "CIFARConfig",
    "CSVConfig",
    "CountsImbalanceConfig",
    "DataConfig",
    "DigitsConfig",
    "ExternalConfig",
    "FashionMNISTConfig",
    "FolderConfig",
    "IDXConfig",
    "ImagesConfig",
    "ImbalanceConfig",
    "MedMNISTConfig",
    "ProfileImbalanceConfig",
    "RatioImbalanceConfig",
    "SourceConfig",
    "SplitConfig",
    "TFDSConfig",
]

Fraction = Annotated[float, Meta(gt=0, lt=1)]
Path = Annotated[str, Meta(min_length=1)]
Parts = Literal["pool", "pool_and_validation"]


class DigitsConfig(ConfigStruct, frozen=True, tag_field="kind", tag="digits"):
    """The 1,797 gray 8×8 digits that scikit-learn ships."""


class FashionMNISTConfig(ConfigStruct, frozen=True, tag_field="kind", tag="fashion_mnist"):
    """Fashion-MNIST: 60,000 training and 10,000 test images, gray 28×28, ten classes.

    Fields:
        folder: holds its four IDX files; where empty, the usual places are searched, Debian's package among them.
    """

    folder: str = ""


class IDXConfig(ConfigStruct, frozen=True, tag_field="kind", tag="idx"):
    """Four IDX files with MNIST's names: train and t10k, images-idx3-ubyte and labels-idx1-ubyte, gzipped or not.

    Fields:
        folder: holds them.
        class_names: in the order of the labels; "0", "1", … where empty.
    """

    folder: Path
    class_names: tuple[str, ...] = ()


class MedMNISTConfig(ConfigStruct, frozen=True, tag_field="kind", tag="medmnist"):
    """An npz file in MedMNIST's form: {train,val,test}_images and _labels; the MD5 of its own files is checked.

    Fields:
        path: of the file.
        class_names: in the order of the labels; where empty, those of a MedMNIST set with that file name, else "0", ….
    """

    path: Path
    class_names: tuple[str, ...] = ()


class CIFARConfig(ConfigStruct, frozen=True, tag_field="kind", tag="cifar"):
    """CIFAR-10 or CIFAR-100, in the python or the binary version.

    Fields:
        path: of the folder with the files, or of the archive as it was downloaded.
        labels: of CIFAR-100: "fine" for its 100 classes, "coarse" for their 20 kinds.
    """

    path: Path
    labels: Literal["fine", "coarse"] = "fine"


class TFDSConfig(ConfigStruct, frozen=True, tag_field="kind", tag="tfds"):
    """A data set that TensorFlow Datasets has prepared as ArrayRecord; TensorFlow is not needed to read it.

    `source = "tfds:NAME"` is short for the name alone.

    Fields:
        name: NAME, NAME/CONFIG, either with :VERSION; the newest version where none is given.
        data_dir: folder of the prepared sets; where empty, $TFDS_DATA_DIR, else ~/tensorflow_datasets.
        splits: the splits to read; all where empty. A single one is no split.
        image_feature, label_feature: names of the features; where absent, found by their types.
        id_feature, group_feature: features with each image's id, and with what belongs together; where absent, those of
            the usual names, if there are such; "" reads none.
        image_size: as of a folder; where absent, that of the images if all are squares of one size, else 64.
        color: as of a folder; where absent, as the images are.
        max_bad, cache: as of a folder.
    """

    name: Annotated[str, Meta(pattern=r"^\w+(/[\w+-][\w.+-]*)?(:\d+\.\d+\.\d+)?\Z")]
    data_dir: str = ""
    splits: tuple[str, ...] = ()
    image_feature: str | None = None
    label_feature: str | None = None
    id_feature: str | None = None
    group_feature: str | None = None
    image_size: Annotated[int, Meta(ge=1, le=4096)] | None = None
    color: Literal["rgb", "gray"] | None = None
    max_bad: Annotated[int, Meta(ge=0)] = 0
    cache: str = ""


class FolderConfig(ConfigStruct, frozen=True, tag_field="kind", tag="folder"):
    """A folder of image files with one sub-folder per class, or one per part (train, validation, test) with such in it.

    Fields:
        path: of the folder, relative to where the command runs.
        image_size: side in pixels that every image is resized to, once.
        color: "rgb" or "gray".
        max_bad: files that cannot be used and are left out, at most; with more the data is refused.
        cache: folder of the resized images; the user's cache folder where empty.
    """

    path: Path
    image_size: Annotated[int, Meta(ge=1, le=4096)] = 64
    color: Literal["rgb", "gray"] = "rgb"
    max_bad: Annotated[int, Meta(ge=0)] = 0
    cache: str = ""


class CSVConfig(ConfigStruct, frozen=True, tag_field="kind", tag="csv"):
    """A CSV file with one row per image, the images beside it.

    Fields:
        path: of the CSV file, relative to where the command runs.
        images: folder that the names in the image column are relative to; the CSV file's own where empty.
        image_column, label_column: names of the columns with the file and its class.
        group_column: what belongs together, such as a patient; where absent, "group" if there is such a column; ""
            reads none.
        split_column: train, validation or test; where absent, "split" if there is such a column; "" reads none.
        image_size, color, max_bad, cache: as of a folder.
    """

    path: Path
    images: str = ""
    image_column: str = "image"
    label_column: str = "label"
    group_column: str | None = None
    split_column: str | None = None
    image_size: Annotated[int, Meta(ge=1, le=4096)] = 64
    color: Literal["rgb", "gray"] = "rgb"
    max_bad: Annotated[int, Meta(ge=0)] = 0
    cache: str = ""


class BuiltConfig(ConfigStruct, frozen=True, tag_field="kind", tag="built"):
    """A folder made by `jaxal data build`: images resized once, labels and hashes frozen.

    Fields:
        path: of the folder, relative to where the command runs; it may have been moved.
    """

    path: Path


class ImagesConfig(ConfigStruct, frozen=True, tag_field="kind", tag="images"):
    """Image files in any usual form, found by its columns and folders: ISIC, HAM10000, Food-101, one's own, ….

    Fields:
        path: a folder, or the CSV file with the labels; relative to where the command runs.
        images: folders that hold the images, at any depth; where empty, all below the path (a CSV file's own folder).
        labels: the CSV file with the labels, where several could be it.
        duplicates: "drop" drops the second image of each pair in a list of duplicates, "keep" keeps it.
        duplicates_file: the list of duplicates; found by its columns where empty.
        image_column, label_column: names of the columns with the image and its class; where absent, found by the usual
            names. A label column that is named is taken as it is.
        group_column, split_column: what belongs together, and train, validation or test; where absent, found by the
            usual names; "" reads none.
        class_list: text file with the class folders to read, one per line, each with a name to show after it if wanted.
        unclear_diagnosis: an ISIC diagnosis that is neither benign nor malignant, or empty: "refuse", count it as
            "benign" (as the ISIC 2020 challenge did), or "leave_out".
        image_size, color, max_bad, cache: as of a folder.
    """

    path: Path
    images: tuple[Path, ...] = ()
    labels: str = ""
    duplicates: Literal["drop", "keep"] = "drop"
    duplicates_file: str = ""
    image_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    split_column: str | None = None
    class_list: str = ""
    unclear_diagnosis: Literal["refuse", "benign", "leave_out"] = "refuse"
    image_size: Annotated[int, Meta(ge=1, le=4096)] = 64
    color: Literal["rgb", "gray"] = "rgb"
    max_bad: Annotated[int, Meta(ge=0)] = 0
    cache: str = ""


SourceConfig = (
    DigitsConfig
    | FashionMNISTConfig
    | IDXConfig
    | MedMNISTConfig
    | FolderConfig
    | CSVConfig
    | ImagesConfig
    | CIFARConfig
    | TFDSConfig
    | BuiltConfig
)


class ExternalConfig(ConfigStruct, frozen=True):
    """An external test set by a column of the data, such as the hospital.

    Fields:
        column: its name.
        internal: values of it that are internal; images with any other are the external test set.
    """

    column: Annotated[str, Meta(min_length=1)]
    internal: Annotated[tuple[str, ...], Meta(min_length=1)]


class SplitConfig(ConfigStruct, frozen=True):
    """A random split, stratified by class, whole groups where the data has groups; what is left over is the pool.

    Fields:
        validation_fraction: share of the internal data, or of the training part where the data comes with a test part.
        test_fraction: share of the internal data; not used where the data comes with a test part.
        given: "use" takes the parts that the data comes with; "ignore" draws all anew.
        by: "group" keeps what belongs together (all images of a patient) on one side; "image" does not, and says in the
            notes what leaks: only to reproduce results that were split so.
        validation: "fixed" sets validation apart, outside the budget; "from_labeled" sets none apart and holds out
            validation_fraction of the labels bought so far in every round instead.
        external: an external test set by a column.
    """

    validation_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1
    given: Literal["use", "ignore"] = "use"
    by: Literal["group", "image"] = "group"
    validation: Literal["fixed", "from_labeled"] = "fixed"
    external: ExternalConfig | None = None


class RatioImbalanceConfig(ConfigStruct, frozen=True, tag_field="kind", tag="ratio"):
    """The largest part of the data that has `ratio` samples of the other classes for each one of the minority class.

    Fields:
        ratio: samples of all other classes together per minority sample.
        total: about so many samples in the pool, the ratio exact; as many as there are where absent.
        parts: "pool" prunes the pool alone, "pool_and_validation" both. Test parts are never pruned.
    """

    ratio: Annotated[float, Meta(ge=1, le=LARGEST)]
    total: Annotated[int, Meta(ge=2)] | None = None
    parts: Parts = "pool_and_validation"


class CountsImbalanceConfig(ConfigStruct, frozen=True, tag_field="kind", tag="counts"):
    """So many samples of each class in the pool; a class that is not named stays whole.

    Fields:
        counts: samples to keep, by class name; with one_vs_rest, of its two classes or of those that it joins.
        parts: as of a ratio; validation keeps the same share of each class.
    """

    counts: dict[str, Annotated[int, Meta(ge=0)]]
    parts: Parts = "pool_and_validation"


class ProfileImbalanceConfig(ConfigStruct, frozen=True, tag_field="kind", tag="profile"):
    """A pool of a given size and imbalance ir = σ/μ of its class counts (Aggarwal et al.), exponential over classes.

    Fields:
        ir: standard deviation (ddof 0) over mean of the class counts.
        total: samples in the pool.
        parts: as of a ratio; validation keeps the same share of each class.
        draw: which of the draws that a seed has. With one and the same, pools of nearly the same counts hold nearly the
            same images; where one source stands in for several data sets, give each its own.
    """

    ir: Annotated[float, Meta(ge=0, le=LARGEST)]
    total: Annotated[int, Meta(ge=1)]
    parts: Parts = "pool_and_validation"
    draw: Annotated[int, Meta(ge=0, lt=2**31)] = 0


ImbalanceConfig = RatioImbalanceConfig | CountsImbalanceConfig | ProfileImbalanceConfig


class DataConfig(ConfigStruct, frozen=True):
    """The data of a study.

    Fields:
        source: where images come from.
        classes: names of the classes to keep, in the order that they are to have; all where empty.
        one_vs_rest: a class name; its images against all others make a problem of two classes.
        minority_class: name of the class whose finding is counted; where empty, that of one_vs_rest, else the rarest
            of the whole pool.
        split: the split.
        imbalance: how the pool is made imbalanced; as it is where absent.
        images_in_memory: bytes of images that may lie on the device (in memory, where it has none of its own) while
            models are trained; parts beyond that are read batch by batch, to the same result. A third of the device's
            memory, or a quarter of what the host has free, where absent.
        embeddings: folder made by `jaxal embed` of this data, which models with a frozen trunk read; where empty, they
            are made once and kept in the user's cache folder.
    """

    source: SourceConfig
    classes: tuple[str, ...] = ()
    one_vs_rest: str = ""
    minority_class: str = ""
    split: SplitConfig = SplitConfig()
    imbalance: ImbalanceConfig | None = None
    images_in_memory: Annotated[int, Meta(ge=0)] | None = None
    embeddings: str = ""
