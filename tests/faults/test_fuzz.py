"""Bytes of any kind to the readers of what comes from outside: an answer or one of our errors, nothing else."""

import io
import json
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image

from fruitcnn.card import ModelCard
from fruitcnn.config import load_config
from fruitcnn.dataset.sources import read_listing
from fruitcnn.errors import FruitcnnError, ImageError
from fruitcnn.image import load_pixels
from fruitcnn.image.kinds import HEIC, KINDS
from tests.faults.conftest import SHIPPED

# The same examples in every run: a failure can be repeated, and a run takes what it took before.
short = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
thorough = settings(short, max_examples=5000)
rounds = pytest.mark.parametrize("effort", [short, pytest.param(thorough, marks=pytest.mark.long)], ids=["", "long"])


def seeds() -> list[bytes]:
    """One small picture of each format."""
    files = []
    for kind in KINDS:
        if kind.decoder is None or kind is HEIC:
            continue
        file = io.BytesIO()
        Image.radial_gradient("L").resize((24, 18)).convert("RGB").save(file, kind.decoder)
        files.append(file.getvalue())
    return files


def mutated(seed: bytes, edits: list[tuple[int, bytes]], end: int) -> bytes:
    """A seed with pieces overwritten and its end cut off."""
    data = bytearray(seed)
    for place, piece in edits:
        at = place % (len(data) + 1)
        data[at : at + len(piece)] = piece
    return bytes(data[: len(data) - end % (len(data) + 1)] if end % 3 == 0 else data)


edits = some.lists(some.tuples(some.integers(0, 1 << 16), some.binary(min_size=1, max_size=6)), max_size=6)


@pytest.mark.filterwarnings("ignore")
@rounds
def test_any_bytes_as_a_picture(effort: settings) -> None:
    @effort
    @given(some.one_of(some.builds(mutated, some.sampled_from(seeds()), edits, some.integers(0, 3000)), some.binary()))
    def attempt(data: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert load_pixels(data, 16).shape == (16, 16, 3)
            except ImageError as error:
                assert error.problem and error.remedy

    attempt()


@rounds
def test_any_text_as_a_card(effort: settings) -> None:
    card = json.loads((SHIPPED / "card.json").read_text())
    value = some.recursive(
        some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5),
        lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )

    @effort
    @given(some.sampled_from(sorted(card)), some.sampled_from(["", *card["input"], *card["calibration"]]), value)
    def attempt(key: str, inner: str, anything: object) -> None:
        fields = json.loads(json.dumps(card))
        if isinstance(fields[key], dict) and inner:
            fields[key][inner] = anything
        else:
            fields[key] = anything
        for text in (json.dumps(fields), json.dumps(fields)[: len(repr(anything)) * 7], str(anything)):
            try:
                ModelCard.from_json(text, source="x")
            except FruitcnnError as error:
                assert error.value == "x"

    attempt()


@rounds
def test_any_bytes_as_a_csv_of_pictures(effort: settings, tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    seed = b'file,label,split\na.jpg,grape,train\n"b,1.jpg",pineapple,val\n'

    @effort
    @given(some.builds(mutated, some.just(seed), edits, some.integers(0, 60)))
    def attempt(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read_listing(path)
        except FruitcnnError as error:
            assert error.remedy

    attempt()


@rounds
def test_any_bytes_as_a_recipe(effort: settings, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    seed = (SHIPPED / "config.yaml").read_bytes()

    @effort
    @given(some.builds(mutated, some.just(seed), edits, some.integers(0, 2000)))
    def attempt(data: bytes) -> None:
        path.write_bytes(data)
        try:
            load_config(str(path))
        except FruitcnnError as error:
            assert str(error)

    attempt()
