"""What can be seen of single pictures without knowing what they show: blank, dark, bright, blurred, tiny, elongated.

Dark, bright and elongated are those of CleanVision (the 99th percentile of brightness below 0.32, the 5th above 0.95,
sides of less than 0.35 to 1), and so is the rule that what more than a tenth of a set has, is how that set is. Blur is
measured by the variance of the Laplacian (Pech-Pacheco et al. 2000), here divided by that of the picture, so that pale
pictures are not taken for blurred ones.
"""

import collections
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fruitcnn.arrays import Float32Array
from fruitcnn.checks.finding import BLANK, BLURRED, BRIGHT, DARK, LONG, TINY, Finding, Kind, dropped, kept
from fruitcnn.dataset.records import Record
from fruitcnn.dataset.store import PixelRows
from fruitcnn.errors import ImageError
from fruitcnn.image import Pixels
from fruitcnn.image.source import image_errors, open_image
from fruitcnn.progress import tracked

# Standard deviation of the most lively colour, of 255: what JPEG makes of one colour stays below.
_BLANK = 4.0
_DARK, _BRIGHT = 0.32 * 255, 0.95 * 255
# Of 250 photographs none lies below 0.049 (of drawn pictures 0.080); of the same, blurred by a Gaussian of 3 % of their
# side, none above 0.012 (0.039).
_BLURRED, _ENLARGED = 0.02, 1.25
_TINY, _LONGEST = 32, 1 / 0.35
# Of a set, what has more of one kind than this share is so by nature.
_BY_NATURE = 0.1
_BATCH = 64
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def picture_sizes(records: list[Record]) -> list[tuple[int, int]]:
    """Width and height of each picture, as its file says; (0, 0) where it does not."""
    with ThreadPoolExecutor(4) as pool:
        return list(tracked(pool.map(_size, records, chunksize=16), "looking at sizes", total=len(records)))


def _size(record: Record) -> tuple[int, int]:
    try:
        with image_errors(record.path), open_image(record.path) as image:
            width, height = image.size
            return width, height
    except ImageError:
        return 0, 0


def quality_findings(
    records: list[Record], pixels: PixelRows, sizes: list[tuple[int, int]]
) -> tuple[list[Finding], list[str]]:
    """Findings on N pictures, and remarks on what is so by nature. pixels: [N, S, S, 3]; sizes: width, height [N]."""
    found: dict[Kind, list[Finding]] = collections.defaultdict(list)
    read = tracked(pixels.batches(_BATCH), "looking at pictures", total=-(-len(records) // _BATCH))
    measures = np.concatenate([measured(batch) for batch in read]) if records else np.zeros((0, 4), np.float32)
    for record, (spread, high, low, sharpness), (width, height) in zip(records, measures, sizes, strict=True):
        if spread < _BLANK:
            found[BLANK].append(Finding(BLANK, (record,), fixes=(dropped(record, BLANK.name),)))
            continue
        short, long = sorted((width, height))
        kinds = {
            DARK: high < _DARK and f"99 % of it below {high / 255:.0%} of white",
            BRIGHT: low > _BRIGHT and f"95 % of it above {low / 255:.0%} of white",
            TINY: 0 < short < _TINY and f"{width} x {height} pixels",
            LONG: long > _LONGEST * short > 0 and f"{width} x {height} pixels",
            # What was enlarged is soft by nature.
            BLURRED: sharpness < _BLURRED and _ENLARGED * short >= pixels.shape[1] and f"sharpness {sharpness:.4f}",
        }
        for kind, note in kinds.items():
            if note:
                found[kind].append(Finding(kind, (record,), note, (kept(record, kind.name),)))
    common = [
        kind for kind, some in found.items() if kind is not BLANK and len(some) > max(1, _BY_NATURE * len(records))
    ]
    remarks = [
        f"{len(found[kind]):,} of {len(records):,} pictures are {kind.name}: that is how this set is" for kind in common
    ]
    return [finding for kind, some in found.items() if kind not in common for finding in some], remarks


def measured(pixels: Pixels) -> Float32Array:
    """Of pictures uint8 [N, S, S, 3]: spread, 99th and 5th percentile of brightness, sharpness: [N, 4]."""
    rows = pixels.astype(np.float32)
    spread = rows.std((1, 2)).max(1)
    grey = rows @ _LUMA  # [N, S, S]
    high, low = np.percentile(grey, (99, 5), axis=(1, 2))
    inner = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * inner
    sharpness = laplacian.var((1, 2)) / np.maximum(grey.var((1, 2)), 1.0)
    return np.stack([spread, high, low, sharpness], 1).astype(np.float32)
