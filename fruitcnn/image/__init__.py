"""From a file, bytes, a PIL image or an array to RGB pixels at the model's size: THE one preprocessing, the one door.

Training, evaluation and identification all come through `opened` or `load_pixels`, so a model sees at work what it saw
in training, and all threads together keep to one budget of memory.
"""

from fruitcnn.image.kinds import is_picture
from fruitcnn.image.picture import SCALED_MARGIN, Picture, decode, decoded_size, load_pixels, opened
from fruitcnn.image.resizing import FILTERS, RESIZE_RULES, Pixels, resize
from fruitcnn.image.source import Source, read_bytes, source_name

__all__ = [
    "FILTERS", "RESIZE_RULES", "SCALED_MARGIN", "Picture", "Pixels", "Source", "decode", "decoded_size", "is_picture",
    "load_pixels", "opened", "read_bytes", "resize", "source_name",
]  # fmt: skip
