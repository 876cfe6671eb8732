"""Golden vectors: a folder of pictures with all that must come out of them, to test an implementation against."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image

from fruitcnn import checkpoint
from fruitcnn.card import PROBABILITIES
from fruitcnn.errors import ExportError
from fruitcnn.export.drawing import draw
from fruitcnn.export.gate import Parity
from fruitcnn.export.source import OnnxSource
from fruitcnn.image import Pixels, load_pixels
from fruitcnn.regular_files import open_regular
from fruitcnn.runtime import Session

FORMAT = "fruitcnn-golden/1"
FILE = checkpoint.GOLDEN
_ASSETS = Path(__file__).parent / "assets/golden"
_PNG: dict[str, Any] = {"format": "PNG", "optimize": True}
# Without chroma subsampling, whose undoing is the one step that JPEG decoders do differently.
_JPEG: dict[str, Any] = {"format": "JPEG", "quality": 92, "subsampling": 0}
_ORIENTATION = 0x0112
_SEED = 20
# Of an answer that was computed alone from the same one in a batch, and by nine digits.
_TOLERANCE = 1e-5
# Name, size (0 stands for the model's own side), mode, EXIF orientation.
_PICTURES: tuple[tuple[str, tuple[int, int], str, int], ...] = (
    ("exact.png", (0, 0), "RGB", 1),
    ("enlarged.png", (61, 47), "RGB", 1),
    ("enlarged_twice.png", (48, 48), "RGB", 1),
    ("halved.png", (192, 192), "RGB", 1),
    ("thirds.png", (288, 288), "RGB", 1),
    ("odd.png", (331, 257), "RGB", 1),
    ("prime.png", (193, 389), "RGB", 1),
    ("wide.png", (520, 65), "RGB", 1),
    ("tall.png", (71, 433), "RGB", 1),
    ("one_pixel.png", (1, 1), "RGB", 1),
    ("one_row.png", (137, 1), "RGB", 1),
    ("one_column.png", (1, 211), "RGB", 1),
    ("two_by_three.png", (2, 3), "RGB", 1),
    ("grey.png", (240, 180), "L", 1),
    ("black_and_white.png", (160, 200), "1", 1),
    ("palette.png", (256, 192), "P", 1),
    ("alpha.png", (210, 230), "RGBA", 1),
    ("grey_alpha.png", (130, 90), "LA", 1),
    ("upright.jpg", (320, 240), "RGB", 1),
    ("grey_photograph.jpg", (225, 175), "L", 1),
    ("mirrored.jpg", (200, 150), "RGB", 2),
    ("upside_down.jpg", (250, 190), "RGB", 3),
    ("turned_right.jpg", (301, 199), "RGB", 6),
    ("turned_left.jpg", (157, 263), "RGB", 8),
)


def write_golden(source: OnnxSource, folder: Path) -> None:
    """Write pictures, the tensors and answers that they must give, a schema and a page of explanation to `folder`.

    folder: an empty one. The answers are onnxruntime's.
    """
    card = source.card
    for part in ("pictures", "tensors"):
        (folder / part).mkdir()
    pixels = [_write_picture(folder, index, card.size) for index in range(len(_PICTURES))]
    answers = _answers(source.graph, np.stack(pixels))
    pictures = [_entry(folder, index, answers) for index in range(len(_PICTURES))]
    content = {
        "format": FORMAT,
        "model": {"sha256": _sha256(source.file), "labels": card.labels, "size": card.size},
        "tensor": {"type": "uint8", "shape": [card.size, card.size, 3], "order": "HWC", "colour": "RGB"},
        "pictures": pictures,
    }
    for asset in sorted(_ASSETS.iterdir()):
        (folder / asset.name).write_bytes(asset.read_bytes())
    (folder / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def prove_golden(source: OnnxSource, folder: Path) -> Parity:
    """Read the folder as an implementer does: pictures must give the tensors, these the answers.

    Raises ExportError where they don't.
    """
    entries = json.loads((folder / FILE).read_text(encoding="utf-8"))["pictures"]
    size = source.card.size
    pixels = np.stack([np.fromfile(folder / entry["tensor"], np.uint8).reshape(size, size, 3) for entry in entries])
    decoded = np.stack([load_pixels(folder / entry["file"], size) for entry in entries])
    written = np.array([entry[PROBABILITIES] for entry in entries])
    difference = float(np.abs(source.identifier.probabilities(pixels) - written).max())
    if not np.array_equal(decoded, pixels) or not difference <= _TOLERANCE:
        problem = f"its pictures and answers disagree, a probability by {difference:.1e} (allowed: {_TOLERANCE:.0e})"
        raise ExportError(problem, value=folder, remedy="report this: it is a defect of the export")
    return Parity(folder.name, len(entries), difference)


def earlier_golden(folder: Path) -> list[str] | None:
    """Nothing, where golden vectors lie in a folder: new ones have the same names. None where there are none."""
    try:
        with open_regular(folder / FILE, through_links=False) as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    kind = content.get("format") if isinstance(content, dict) else None
    return [] if str(kind).startswith(FORMAT.partition("/")[0]) else None


def _write_picture(folder: Path, index: int, size: int) -> Pixels:
    """Write one picture and its tensor; its pixels [S, S, 3]."""
    name, (width, height), mode, orientation = _PICTURES[index]
    image = draw(np.random.default_rng([_SEED, index]), width or size, height or size)
    image = image if mode in ("RGBA", "LA") else image.convert("RGB")
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    image.convert(mode).save(folder / "pictures" / name, **(_JPEG if name.endswith(".jpg") else _PNG), exif=exif)
    pixels = load_pixels(folder / "pictures" / name, size)
    (folder / "tensors" / f"{Path(name).stem}.rgb").write_bytes(pixels.tobytes())
    return pixels


def _answers(model: onnx.ModelProto, pixels: Pixels) -> dict[str, Any]:
    """Every output of the graph by name, and `logits`: what the probabilities are the softmax of; each [N, ...]."""
    names = [output.name for output in model.graph.output]
    (last,) = (node for node in model.graph.node if PROBABILITIES in node.output)
    if last.op_type != "Softmax":
        # A mean of several softmaxes: the softmax of its own logarithm.
        answers = dict(zip(names, Session(model.SerializeToString()).answers(names, pixels), strict=True))
        return {**answers, "logits": np.log(answers[PROBABILITIES])}
    with_logits = onnx.ModelProto()
    with_logits.CopyFrom(model)
    with_logits.graph.output.append(onnx.helper.make_empty_tensor_value_info(last.input[0]))
    found = Session(with_logits.SerializeToString()).answers([*names, last.input[0]], pixels)
    return dict(zip([*names, "logits"], found, strict=True))


def _entry(folder: Path, index: int, answers: dict[str, Any]) -> dict[str, Any]:
    name, _, _, orientation = _PICTURES[index]
    file = folder / "pictures" / name
    with Image.open(file) as image:
        stored = image.size
    return {
        "file": f"pictures/{name}",
        "sha256": _sha256(file),
        "width": stored[0],
        "height": stored[1],
        "orientation": orientation,
        "tensor": f"tensors/{Path(name).stem}.rgb",
        # Nine digits are what a float32 needs.
        **{key: np.vectorize(lambda x: float(f"{x:.9g}"))(value[index]).tolist() for key, value in answers.items()},
    }


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
