"""Each picture of an evaluation is read once and decoded once, and the report shows what was answered."""

import base64
import contextlib
import io
import json
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fruitcnn
from fruitcnn import Identification, Identifier, checkpoint
from fruitcnn.errors import TransientError
from fruitcnn.evaluation.album import Album
from fruitcnn.identify.explain import overlay
from fruitcnn.image import opened
from tests.tiny import CARD, write_tiny_model


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """60 pictures of 400 px: two in three are called what they are."""
    rng = np.random.default_rng(3)
    for number in range(60):
        colour = number % 3
        label = CARD.labels[colour if number % 9 else (colour + 1) % 3]
        pixels = rng.integers(0, 90, (30, 40, 3), np.uint8)
        pixels[..., colour] += 150
        path = tmp_path / "photos" / label / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((400, 300)).save(path)
    return tmp_path / "photos"


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What Pillow opens from now on."""
    found: list[object] = []
    lock, open_image = threading.Lock(), Image.open

    def counting(source: Any, *arguments: Any, **options: Any) -> Image.Image:
        with lock:
            found.append(source)
        return open_image(source, *arguments, **options)

    monkeypatch.setattr(Image, "open", counting)
    return found


def test_an_evaluation_with_a_report_decodes_each_picture_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_tiny_model(folder / checkpoint.ONNX)
    # It has learned from others, whose hashes are compared with each picture's.
    (folder / checkpoint.SPLIT).write_text(f"file,sha256,label,split,hash\na.jpg,{'0' * 64},red,train,{'1' * 16}\n")
    others = tmp_path / "others"
    others.mkdir()
    for number in range(12):
        Image.new("RGB", (300, 300), (number * 20,) * 3).save(others / f"{number}.jpg")
    decoded = _counted(monkeypatch)
    found = fruitcnn.evaluate(folder, photos, outside=others, report=tmp_path / "report")
    assert found.metrics.images == 60 and found.metrics.outside_images == 12
    assert len(decoded) <= 1.05 * 72, len(decoded)
    text = (tmp_path / "report" / "report.html").read_text()
    assert text.count('"map": "data:image/jpeg') >= 6 and text.count('"src": "data:image/jpeg') >= 60


def test_the_report_shows_what_was_answered_bit_for_bit(tmp_path: Path) -> None:
    # 1,024 px: a decoder that is asked for fewer pixels gives others.
    rng = np.random.default_rng(0)
    data = tmp_path / "data"
    for number, label in enumerate(CARD.labels):
        for again in range(2):
            path = data / label / f"{number}{again}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (1024, 1024, 3), np.uint8)).save(path, quality=95)
    identifier = Identifier.load(write_tiny_model(tmp_path / "model.onnx"))
    found = fruitcnn.evaluate(tmp_path / "model.onnx", data, report=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    shown = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.S)[1])["pictures"]  # type: ignore[index]
    rows = found.predictions.rows
    answers = list(identifier.identify_many([data / row.file for row in rows], evidence=True))
    explained = 0
    for row, answer in zip(rows, answers, strict=True):
        assert isinstance(answer, Identification) and answer.evidence is not None
        assert answer.probabilities == row.probabilities, "the same pixels"
        entry = next(one for one in shown if one["file"] == row.file)
        with opened(data / row.file, at_least=2.5 * CARD.size) as picture:
            small = picture.thumbnail(128)
        assert base64.b64decode(entry["src"].partition(",")[2]) == _jpeg(small)
        if entry["map"]:
            explained += 1
            index = CARD.labels.index(answer.likeliest_label)
            assert base64.b64decode(entry["map"].partition(",")[2]) == _jpeg(overlay(small, answer.evidence, index))
    assert explained >= 2


def test_an_album_keeps_its_pictures_in_order_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fruitcnn.evaluation.album._IN_MEMORY", 3000)
    identifier = Identifier.load(write_tiny_model(tmp_path / "model.onnx"))
    album = Album(identifier)
    images = [Image.new("RGB", (40, 30), (5 * number, 0, 0)) for number in range(40)]
    for number, image in enumerate(images):
        album.add((str(number), ""), image, identifier.identify(image, evidence=True), explained=number % 2 == 0)
    assert [album.picture((str(number), "")) for number in range(40)] == [_jpeg(image) for image in images]
    assert album.picture(("0", "outside")) is None is album.explained(("0", "outside"))
    assert all(album.explained((str(number), "")) for number in range(40))
    album.close()


def test_an_album_identifies_what_it_has_to_explain_and_only_reads_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = Identifier.load(write_tiny_model(tmp_path / "model.onnx"))
    colours = {("plain", ""): (200, 0, 0), ("explained", ""): (0, 200, 0), ("another", ""): (0, 0, 200)}
    paths = {key: tmp_path / f"{key[0]}.png" for key in colours}
    for key, colour in colours.items():
        Image.new("RGB", (300, 200), colour).save(paths[key])
    paths["broken", ""] = tmp_path / "broken.png"
    paths["broken", ""].write_bytes(b"no picture")
    answered, failures = list[int](), [TransientError("no memory", value="", remedy="wait")]
    answering = identifier._network.answers_and_features
    monkeypatch.setattr(
        identifier._network,
        "answers_and_features",
        lambda names, pixels: answered.append(len(pixels)) or answering(names, pixels),  # type: ignore[func-returns-value]
    )

    def failing_once(*arguments: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return opened(*arguments, **options)

    monkeypatch.setattr("fruitcnn.evaluation.album.opened", failing_once)
    with contextlib.closing(Album(identifier, paths)) as album:
        album.fill((key, key[0] == "explained") for key in [*paths, ("nowhere", "")])
        assert answered == [1] and not failures
        for key, path in paths.items():
            if key[0] == "broken":
                assert album.picture(key) is None
                continue
            with opened(path) as picture:
                assert album.picture(key) == _jpeg(picture.thumbnail(128))
            assert (album.explained(key) is not None) == (key[0] == "explained")


def _jpeg(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=62, optimize=True)
    return data.getvalue()
