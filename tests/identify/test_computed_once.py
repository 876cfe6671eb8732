"""What is shown of a picture comes from the read, the decode and the run that answered it."""

import collections
import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from fruitcnn import Identification, Identifier, Rejection
from fruitcnn.identify.explain import overlay, shown_picture
from fruitcnn.identify.identify_paths import identify_paths
from fruitcnn.identify.request import Request
from fruitcnn.image import Picture, load_pixels, resize
from tests.tiny import CARD, SIZE, write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny.onnx")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """One of each way to the pixels: a JPEG that is decoded scaled, one that is turned, a palette, alpha over white."""
    rng = np.random.default_rng(5)
    folder = tmp_path / "pictures"
    folder.mkdir()
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    coarse.save(folder / "scaled.jpg")
    coarse.resize((31, 17)).save(folder / "turned.jpg", exif=exif)
    coarse.convert("P").save(folder / "palette.png")
    coarse.putalpha(Image.linear_gradient("L").resize(coarse.size))
    coarse.save(folder / "alpha.png")
    return sorted(folder.iterdir())


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> collections.Counter[str]:
    """How often Pillow opens a picture and onnxruntime answers, from here on."""
    counts = collections.Counter[str]()
    lock = threading.Lock()

    def counting(name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            with lock:
                counts[name] += 1
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(Image, "open", counting("decoded", Image.open))
    run = onnxruntime.InferenceSession.run
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", counting("run", run))
    return counts


def test_an_explained_picture_is_decoded_once_and_answered_once(
    model: Path, pictures: list[Path], counted: collections.Counter[str], tmp_path: Path
) -> None:
    request = Request(model=str(model), format="json", output=tmp_path / "rows.json", explain=tmp_path / "explained")
    assert identify_paths([str(pictures[0].parent)], request) == 0
    assert counted == {"decoded": len(pictures), "run": len(pictures)}
    assert len(list((tmp_path / "explained").iterdir())) == len(pictures)


def test_what_is_explained_is_what_was_answered(model: Path, pictures: list[Path], tmp_path: Path) -> None:
    identifier = Identifier.load(model)
    kept = identifier.observe_many(pictures, lambda data, picture: picture.rgb().copy(), evidence=True)
    paths = [*map(str, pictures)]
    request = Request(model=str(model), format="json", output=tmp_path / "rows.json", explain=tmp_path / "explained")
    assert identify_paths(paths, request) == 0
    rows = [json.loads(line) for line in (tmp_path / "rows.json").read_text().splitlines()]
    for path, row, (answer, image) in zip(pictures, rows, kept, strict=True):
        assert isinstance(answer, Identification) and image is not None and answer.evidence is not None
        assert tuple(row["probabilities"].values()) == answer.probabilities
        # The picture that is shown is the one whose pixels were answered, and the evidence that of the answer.
        pixels = load_pixels(path, SIZE)
        assert np.array_equal(resize(image, SIZE), pixels)
        assert np.array_equal(answer.evidence, identifier.evidence(pixels[np.newaxis])[0])
        expected = overlay(image, answer.evidence, CARD.labels.index(answer.likeliest_label))
        expected.save(tmp_path / "expected.jpg", quality=90)
        written = tmp_path / "explained" / f"{path.stem}.jpg"
        assert written.read_bytes() == (tmp_path / "expected.jpg").read_bytes()


def test_evidence_is_the_answers_on_request_alone(model: Path, pictures: list[Path]) -> None:
    identifier = Identifier.load(model)
    alone = identifier.identify(pictures[0], evidence=True)
    assert alone.evidence is not None and alone.evidence.shape == (3, 2, 2)
    logits = alone.evidence.mean((1, 2))
    assert np.allclose(np.exp(logits) / np.exp(logits).sum(), alone.probabilities, atol=1e-6)
    assert identifier.identify(pictures[0]).evidence is None
    many = list(identifier.identify_many(pictures, evidence=True))
    assert all(isinstance(one, Identification) and one.evidence is not None for one in many)
    assert many[0] == alone and "evidence=" not in repr(alone) and "evidence" not in alone.to_dict()


def test_an_observer_gets_the_files_bytes_and_a_bad_picture_has_none(
    model: Path, pictures: list[Path], counted: collections.Counter[str]
) -> None:
    identifier = Identifier.load(model)
    array = np.zeros((5, 5, 3), np.uint8)
    sources = [*pictures, b"no picture", Path("gone.jpg"), array, pictures[0].read_bytes()]

    def observe(data: bytes, picture: Picture) -> tuple[str, str]:
        return hashlib.sha256(data).hexdigest(), picture.rgb().mode

    found = list(identifier.observe_many(sources, observe, evidence=True))
    expected = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures]
    nothing = hashlib.sha256(b"").hexdigest()
    assert [seen and seen[0] for _, seen in found] == [*expected, None, None, nothing, expected[0]]
    assert {seen[1] for _, seen in found if seen} == {"RGB"}
    assert [type(result) for result, _ in found[4:6]] == [Rejection, Rejection]
    assert [result.file for result, _ in found[3:7]] == [str(pictures[3]), "<bytes>", "gone.jpg", "<ndarray>"]
    assert counted["run"] == 6
    answered = [result for result, _ in found if isinstance(result, Identification)]
    assert [result.probabilities for result in answered[:4]] == [
        result.probabilities for result in identifier.identify_many(pictures) if isinstance(result, Identification)
    ]


@pytest.mark.parametrize(
    "one", ["x.jpg", b"\xff\xd8\xff", Path("x.jpg"), Image.new("RGB", (2, 2)), np.zeros((2, 2, 3), np.uint8)]
)
def test_one_picture_where_several_belong_is_a_mistake_of_the_caller(one: Any, model: Path) -> None:
    identifier = Identifier.load(model)
    with pytest.raises(TypeError, match=r"one picture \(\w+\) where several belong: give a list, or use identify"):
        identifier.identify_many(one)
    with pytest.raises(TypeError, match="one picture"):
        identifier.observe_many(one, shown_picture)
    stack = np.zeros((2, 4, 4, 3), np.uint8)
    assert len(list(identifier.identify_many(stack))) == 2
