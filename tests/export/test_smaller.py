"""int8.onnx and fp16.onnx: the contract of model.onnx in fewer bytes, or no file."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import to_array

from fruitcnn import checkpoint, export_checkpoint
from fruitcnn.card import METADATA_KEY
from fruitcnn.errors import DatasetError, ExportError
from fruitcnn.export.int8 import write_int8
from fruitcnn.export.performance import Change, Performance
from fruitcnn.export.photographs import Photographs, read_photographs
from fruitcnn.export.source import OnnxSource
from fruitcnn.identify.identifier import Identifier
from tests.conftest import REPOSITORY, Run

SMALL = REPOSITORY / "checkpoints/fruits-small"


@pytest.fixture(scope="module")
def pictures(finished: Path) -> Photographs:
    return read_photographs(finished)


def trained_on_all(finished: Path, folder: Path, *, but: int = 0) -> Path:
    """The run without a picture that is held back; so many of the training ones only calibrated it."""
    for name in (checkpoint.CONFIG, checkpoint.ONNX):
        shutil.copy(finished / name, folder)
    header, *rows = (finished / checkpoint.SPLIT).read_text().replace(",validation,", ",train,").splitlines()
    rows[:but] = [row.replace(",train,", ",calibration,") for row in rows[:but]]
    (folder / checkpoint.SPLIT).write_text("\n".join([header, *rows]))
    return folder


def test_the_run_s_own_split_says_what_calibrates_and_what_judges(finished: Path, pictures: Photographs) -> None:
    rows = (finished / checkpoint.SPLIT).read_text().splitlines()
    training = sum(row.split(",")[3] == "train" for row in rows)
    assert len(pictures.calibration) == training and len(pictures.pixels) == len(rows) - 1 - training
    assert pictures.name == "validation" and set(pictures.labels) == {"grape", "pineapple", "strawberry"}


def test_a_run_that_trained_on_all_is_judged_on_what_does_not_calibrate(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fruitcnn.export.photographs.MOST_CALIBRATING", 10)
    found = read_photographs(trained_on_all(finished, tmp_path))
    assert found.name == "training" and (len(found.calibration), len(found.pixels)) == (10, 38)
    calibrating = {picture.tobytes() for picture in found.calibration}
    assert not calibrating & {picture.tobytes() for picture in found.pixels}


def test_a_small_run_that_trained_on_all_calibrates_on_half_and_is_judged_on_the_rest(
    finished: Path, tmp_path: Path, cli: Run
) -> None:
    done = cli("export", trained_on_all(finished, tmp_path), "--format", "int8,fp16")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(" on 24 training pictures accuracy ") == 2
    assert len(read_photographs(tmp_path).calibration) == 24
    assert (tmp_path / "int8.onnx").is_file() and (tmp_path / "fp16.onnx").is_file()


@pytest.mark.parametrize("format", ["int8", "fp16"])
def test_of_one_picture_no_smaller_file_is_made(finished: Path, tmp_path: Path, cli: Run, format: str) -> None:
    done = cli("export", trained_on_all(finished, tmp_path, but=47), "--format", format)
    assert done.returncode == 1 and "internal error" not in done.stderr
    told = "split.csv: a smaller file is calibrated and judged on different pictures, and it has 1; use model.onnx"
    assert told in " ".join(done.stderr.split())
    assert not list(tmp_path.glob(f"*{format}*"))


@pytest.mark.parametrize("format", ["int8", "fp16"])
def test_a_smaller_file_keeps_the_contract(finished: Path, tmp_path: Path, format: str) -> None:
    (parity,) = export_checkpoint(finished, formats=[format], to=tmp_path)
    file, whole = tmp_path / f"{format}.onnx", onnx.load(finished / checkpoint.ONNX)
    assert str(parity).startswith(f"{format}.onnx: ") and "pictures accuracy" in str(parity)
    smaller = onnx.load(file)
    assert [(entry.domain, entry.version) for entry in smaller.opset_import] == [("", 18)] and smaller.ir_version == 8
    assert smaller.producer_name == whole.producer_name
    assert [(entry.key, entry.value) for entry in smaller.metadata_props] == [
        (entry.key, entry.value) for entry in whole.metadata_props
    ]
    assert METADATA_KEY in {entry.key for entry in smaller.metadata_props}
    assert smaller.graph.input == whole.graph.input and smaller.graph.output == whole.graph.output
    assert file.stat().st_size < {"int8": 0.4, "fp16": 0.6}[format] * (finished / checkpoint.ONNX).stat().st_size
    pixels = np.random.default_rng(3).integers(0, 256, (6, 32, 32, 3), np.uint8)
    found, expected = (Identifier.load(path).probabilities(pixels) for path in (file, finished / checkpoint.ONNX))
    assert 0 < np.abs(found - expected).max() < {"int8": 0.1, "fp16": 1e-3}[format]


def test_int8_has_a_scale_for_each_channel_and_weights_of_seven_bits(finished: Path, tmp_path: Path) -> None:
    """Without VNNI two products are added in 16 bits, and eight bits of weight overflow there without a word."""
    write_int8(OnnxSource(finished / checkpoint.ONNX), tmp_path / "int8.onnx")
    graph = onnx.load(tmp_path / "int8.onnx").graph
    constants = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    of = {node.output[0]: node for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 13
    for node in convolutions:
        weights, scale = (constants[name] for name in of[node.input[1]].input[:2])
        assert weights.dtype == np.int8 and np.abs(weights.astype(int)).max() == 64
        assert scale.shape == weights.shape[:1]
        assert constants[of[node.input[0]].input[2]].dtype == np.uint8
    behind = [node for node in graph.node if node.op_type in ("Softmax", "LogSoftmax", "Gemm")]
    assert behind and not any(name in of and of[name].op_type == "DequantizeLinear" for n in behind for name in n.input)


def test_a_file_that_loses_too_much_is_not_written(
    finished: Path, tmp_path: Path, pictures: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scales from one dark picture cut off all that is bright: familiarity is off by 0.5, on any processor."""
    dark = dataclasses.replace(pictures, calibration=pictures.calibration[:1] // 16)
    monkeypatch.setattr("fruitcnn.export.photographs.read_photographs", lambda folder: dark)
    with pytest.raises(
        ExportError, match=r"int8\.onnx: .*: on \d+ validation pictures accuracy .*; nothing was written"
    ):
        export_checkpoint(finished, formats=["int8"], to=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, ""),
        ({"accuracy": 0.946}, ""),
        ({"accuracy": 0.944}, "loses more than 0.5% of accuracy"),
        ({"accuracy": float("nan")}, "loses more than 0.5% of accuracy"),
        ({"accuracy": 1.0, "refused": 0.069}, ""),
        ({"refused": 0.071}, "changes what is refused by more than 2% of the pictures"),
        ({"refused": 0.029}, "changes what is refused by more than 2% of the pictures"),
        ({"familiarity": np.full(8, 0.41)}, ""),
        ({"familiarity": np.linspace(0.3, 0.9, 8)}, "moves the familiarity by more than 0.1"),
        ({"familiarity": np.full(8, 0.38)}, "moves the familiarity by more than 0.1"),
    ],
)
def test_the_gate_looks_at_accuracy_refusals_and_familiarity(changed: dict, problem: str) -> None:
    before = Performance(0.95, 0.05, probabilities=np.full((8, 2), 0.5), familiarity=np.full(8, 0.5))
    assert Change(before, dataclasses.replace(before, **changed)).broken_limit() == problem


def test_without_the_pictures_there_is_no_smaller_file(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (finished / checkpoint.CONFIG).read_text()
    monkeypatch.chdir(tmp_path)
    for name in (checkpoint.SPLIT, checkpoint.ONNX):
        shutil.copy(finished / name, tmp_path)
    path = next(line for line in text.splitlines() if line.strip().startswith("path:"))
    (tmp_path / checkpoint.CONFIG).write_text(text.replace(path, "  path: elsewhere/photos.csv"))
    with pytest.raises(DatasetError, match=r"its pictures \(elsewhere/photos\.csv\) are not here"):
        export_checkpoint(tmp_path, formats=["int8"])
    assert not (tmp_path / "int8.onnx").exists()


def test_fruits_small_holds_on_photographs(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    (parity,) = export_checkpoint(SMALL, formats=["int8"], to=tmp_path)
    assert parity.images == 262 and "on 262 validation pictures accuracy 9" in str(parity)
    assert (tmp_path / "int8.onnx").stat().st_size < 0.4 * (SMALL / "model.onnx").stat().st_size
    shown = sorted((photographs / "examples").iterdir())
    answers = list(Identifier.load(tmp_path / "int8.onnx").identify_many(shown))
    assert [answer.identify_label for answer in answers] == ["grape", "pineapple", "strawberry"]  # type: ignore[union-attr]
