"""The data sets that jaxal prepares itself, and the names of their features."""

__all__ = ["COLUMNS", "GROUP", "ID", "IMAGE", "LABEL", "OWN_SETS"]

OWN_SETS = ("isic2020", "ham10000", "jaxal_images")
IMAGE, LABEL, ID, GROUP = "image", "label", "id", "group"
# All further columns of an image, as the text of a JSON object: which there are is known only when it is prepared.
COLUMNS = "columns"
