"""The list of formats: adding one is a row and its functions; what is said of them elsewhere comes from the rows."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fruitcnn
from fruitcnn import checkpoint, export_checkpoint
from fruitcnn.errors import ExportError, UsageError
from fruitcnn.export.exporter import export_formats
from fruitcnn.export.formats import FORMATS, Format, load_function, of_every_run
from fruitcnn.export.gate import Parity
from fruitcnn.export.source import KerasSource, OnnxSource
from tests.conftest import REPOSITORY

SMALL = REPOSITORY / "checkpoints/fruits-small"


def write_labels(source: OnnxSource, file: Path) -> None:
    file.write_text("\n".join(source.card.labels))


def prove_labels(source: OnnxSource, file: Path) -> Parity:
    found = tuple(file.read_text().split("\n"))
    if found != ("grape", "pineapple", "strawberry"):
        raise ExportError(f"holds {found}", value=file, remedy="mend it")
    return Parity(file.name, 0, 0.0, details=f"{len(found)} labels")


def write_kernel(source: KerasSource, file: Path) -> None:
    np.savez(file, *source.model.get_weights())


def prove_kernel(source: KerasSource, file: Path) -> Parity:
    with np.load(file) as arrays:
        return Parity(file.name, len(source.gate.reference.pixels), float(len(arrays.files)))


LABELS = Format(
    name="labels",
    file="labels.txt",
    made_from="onnx",
    write=f"{__name__}:write_labels",
    prove=f"{__name__}:prove_labels",
    purpose="the labels, a line each",
)
WEIGHTS = Format(
    name="weights",
    file="weights.npz",
    made_from="keras",
    write=f"{__name__}:write_kernel",
    prove=f"{__name__}:prove_kernel",
    purpose="the weights alone",
)


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    for format in (LABELS, WEIGHTS):
        monkeypatch.setitem(FORMATS, format.name, format)


def test_a_format_that_is_added_is_exported(added: None, tmp_path: Path) -> None:
    (parity,) = export_checkpoint(SMALL, formats=["labels"], to=tmp_path)
    assert str(parity) == "labels.txt: 3 labels"
    assert (tmp_path / "labels.txt").read_text() == "grape\npineapple\nstrawberry"
    assert [path.name for path in tmp_path.iterdir()] == ["labels.txt"]


def test_what_does_not_prove_itself_is_named_and_not_left(
    added: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.write_labels", lambda source, file: file.write_text("plum"))
    with pytest.raises(ExportError, match=r"^labels\.txt: holds \('plum',\); mend it"):
        export_checkpoint(SMALL, formats=["labels"], to=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_made_from_the_network_is_proven_with_the_formats_of_every_run(added: None, tmp_path: Path) -> None:
    parities = export_checkpoint(SMALL, formats=["weights"], to=tmp_path)
    assert [parity.name for parity in parities] == ["weights.npz", "model.keras", "model.onnx"]
    assert parities[0].images == 64 and parities[0].probability > 50
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {"weights.npz", "model.keras", "model.onnx", "card.json", "reference.npz"}


def test_an_unknown_format_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"^onx: no such format; choose from keras, onnx, .*page"):
        next(export_formats(SMALL, ["onnx", "onx"]))


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
def test_each_row_names_functions_that_are_there(format: Format) -> None:
    assert load_function(format.write) and load_function(format.prove)


def test_the_files_of_a_checkpoint_come_from_the_rows() -> None:
    assert {format.file for format in of_every_run()} == {checkpoint.KERAS, checkpoint.ONNX} <= set(checkpoint.FILES)
    assert len(set(checkpoint.FILES)) == len(checkpoint.FILES)


def test_the_help_names_each_format_and_needs_no_heavy_import() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from fruitcnn.cli import command_line;"
        "print(CliRunner().invoke(command_line(), ['export', '--help']).output);"
        "assert not {'onnx', 'keras', 'torch', 'onnxruntime'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", done.stdout).split())
    for format in FORMATS.values():
        assert f"{format.name}: {format.purpose}." in said, format.name


def test_the_page_of_formats_has_the_table() -> None:
    rows = [
        f"| `{format.name}` | `{format.file}{'/' * format.is_folder}` | {format.purpose} | "
        f"{'`model.onnx`' if format.is_derived else 'the trained network'} | {'yes' if format.every_run else ''} |"
        for format in FORMATS.values()
    ]
    text = (REPOSITORY / "docs/contracts.md").read_text(encoding="utf-8")
    assert "\n".join(rows) in text, "docs/contracts.md's table of formats should read:\n" + "\n".join(rows)


def test_each_format_is_named_in_its_row_and_where_it_is_written() -> None:
    package = Path(fruitcnn.__file__).parent
    sources = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    for format in FORMATS.values():
        for name in {format.file, *({format.name} - {"keras", "onnx", "image", "page"})}:
            found = [path.name for path, text in sources.items() if f'"{name}"' in text]
            assert len(found) <= 2 and "formats.py" in found, (name, found)
