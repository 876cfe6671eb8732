"""A model that answers nonsense, or is none, is refused by its name."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

import fruitcnn
from fruitcnn import Identification, Identifier
from fruitcnn.card import ModelCard
from fruitcnn.errors import ModelError
from fruitcnn.export.formats import FORMATS
from fruitcnn.onnx_file import read_graph
from tests.faults.conftest import SHIPPED, Command, Model
from tests.tiny import CARD, write_tiny_model

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    "answer", [[NAN, 0.5, 0.5], [INFINITY, 0.0, 0.0], [1086.43, 0.0, 0.0], [-0.5, 0.5, 1.0], [0.2, 0.2, 0.2]]
)
def test_answers_that_are_no_probabilities(
    answer: list[float], tiny_model: Model, command: Command, photo: Path
) -> None:
    model = tiny_model(answer)
    done = command("identify", photo, "--model", model, "--format", "json")
    assert done.returncode == 1 and done.stdout == ""
    assert f"{model}: answers with what are no probabilities" in done.stderr


def test_ties_are_decided_the_same_way_everywhere(tiny_model: Model, photo: Path) -> None:
    result = Identifier.load(tiny_model([0.5, 0.5, 0.0])).identify(photo)
    assert result.identify_label == "grape" and result.top(1).labels == ("grape",)
    tied = Identification("x", ("a", "b", "c"), (0.2, 0.4, 0.4))
    assert tied.top(1).labels == (tied.identify_label,) == ("b",)
    labels = tuple(f"class {number}" for number in range(40))
    many = Identification("x", labels, (0.01,) * 20 + (0.04,) * 20)
    assert many.top(5).labels == labels[20:25] and many.top(25).labels == (*labels[:5], *labels[20:])


def test_weights_in_other_files_are_refused_whole(tiny_model: Model, command: Command, photo: Path) -> None:
    model = tiny_model([0.2, 0.3, 0.5], external=True)
    done = command("identify", photo, "--model", model)
    assert done.returncode == 1 and f"{model}: keeps weights in other files; save it as one file" in done.stderr


# Every place where a model can hold a tensor, as a new one is added to it.
PLACES: dict[str, Callable[[onnx.ModelProto], onnx.TensorProto]] = {
    "initializer": lambda model: model.graph.initializer.add(),
    "sparse values": lambda model: model.graph.sparse_initializer.add().values,
    "sparse indices": lambda model: model.graph.sparse_initializer.add().indices,
    "constant": lambda model: model.graph.node.add().attribute.add().t,
    "constants": lambda model: model.graph.node.add().attribute.add().tensors.add(),
    "sparse constant": lambda model: model.graph.node.add().attribute.add().sparse_tensor.values,
    "sparse constants": lambda model: model.graph.node.add().attribute.add().sparse_tensors.add().values,
    "branch": lambda model: model.graph.node.add().attribute.add().g.node.add().attribute.add().t,
    "branches": lambda model: model.graph.node.add().attribute.add().graphs.add().initializer.add(),
    "function": lambda model: model.functions.add().node.add().attribute.add().t,
    "start of a training": lambda model: model.training_info.add().initialization.initializer.add(),
    "step of a training": lambda model: model.training_info.add().algorithm.initializer.add(),
}


@pytest.mark.parametrize("place", PLACES)
def test_weights_in_other_files_are_found_wherever_a_model_can_hold_some(place: str, tmp_path: Path) -> None:
    model = onnx.ModelProto(ir_version=8)
    model.graph.node.add(op_type="Relu")
    PLACES[place](model).external_data.add(key="location", value="../../etc/passwd")
    (tmp_path / "hidden.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="keeps weights in other files"):
        Identifier.load(tmp_path / "hidden.onnx")


def test_a_graph_of_graphs_without_end_is_refused(tmp_path: Path) -> None:
    model = onnx.ModelProto(ir_version=8)
    graph = model.graph
    for _ in range(400):
        graph = graph.node.add().attribute.add().g
    (tmp_path / "deep.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="nested too deep"):
        Identifier.load(tmp_path / "deep.onnx")


def test_a_graph_for_one_batch_size_says_so(tiny_model: Model, command: Command, photo: Path) -> None:
    done = command("identify", photo, "--model", tiny_model([0.2, 0.3, 0.5], batch=4))
    assert done.returncode == 1 and "takes 4 pictures at a time" in done.stderr


@pytest.mark.parametrize("coding", ["ascii", "utf-8", "latin-1"])
def test_labels_of_any_script_on_any_terminal(coding: str, tiny_model: Model, command: Command, photo: Path) -> None:
    labels = ("🍇", "é\x1b[31m\n", "草莓")
    model = tiny_model([0.2, 0.3, 0.5], labels=labels)
    environment = {"PYTHONIOENCODING": coding}
    shown = command("info", model, environment=environment)
    table = command("identify", photo, "--model", model, environment=environment)
    for done in (shown, table):
        assert done.returncode == 0 and "\x1b" not in done.stdout
    assert len(table.stdout.splitlines()) == 1
    if coding != "latin-1":
        done = command("identify", photo, "--model", model, "--format", "json", environment=environment)
        assert tuple(json.loads(done.stdout)["prediction"]) == labels


@pytest.mark.parametrize("size", [0, 1, 40, 1000])
def test_a_model_that_is_cut_or_overwritten(size: int, command: Command, photo: Path, tmp_path: Path) -> None:
    whole = (SHIPPED / "model.onnx").read_bytes()
    for name, data in {"cut.onnx": whole[:size], "start.onnx": bytes(size) + whole[size:]}.items():
        (tmp_path / name).write_bytes(data)
        if data != whole:
            done = command("identify", photo, "--model", name)
            assert done.returncode == 1 and name in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "3", "{}", "[" * 100_000, '{"format": []}', '{"format": NaN}', "\x00",
        '{"format": "fruitcnn-card/1"}', '{"format": "fruitcnn-card/1", "labels": 3, "input": []}',
    ],
)  # fmt: skip
def test_a_card_of_anything_else_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(ModelError, match="the/model"):
        ModelCard.from_json(text, source="the/model")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("labels",), "abc"), (("labels",), [1, 2]), (("labels",), [["a"], ["b"]]), (("labels",), {"a": 1, "b": 2}),
        (("input", "size"), "96"), (("input", "size"), 96.5), (("input", "size"), True), (("input", "size"), 10**30),
        (("input", "filter"), ["bilinear"]), (("input", "resize"), {}), (("provenance",), 5),
        (("calibration", "temperature"), "warm"), (("calibration",), None), (("outputs",), 5), (("outputs",), [{}]),
        (("outputs",), [{"name": "probabilities"}, {"name": []}]), (("outputs",), []),
        (("outputs",), [{"name": "probabilities", "grid": 7}]),
        (("outputs",), [{"name": "probabilities"}, {"name": "familiarity", "refuse_below": "x"}]),
    ],
)  # fmt: skip
def test_a_card_with_a_wrong_type_is_an_error_that_names_it(place: tuple[str, ...], value: object) -> None:
    fields = json.loads((SHIPPED / "card.json").read_text())
    inner = fields
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ModelError, match="the/model"):
        ModelCard.from_json(json.dumps(fields), source="the/model")


def test_the_default_model_never_changes_in_silence(
    tiny_model: Model, command: Command, photo: Path, tmp_path: Path
) -> None:
    assert command("identify", photo).stderr == "fruitcnn: identified by fruits (the shipped model)\n"
    run = tmp_path / "checkpoints" / "mine"
    run.mkdir(parents=True)
    tiny_model([0.2, 0.3, 0.5], name="checkpoints/mine/model.onnx")
    done = command("identify", photo, "--format", "json")
    assert done.returncode == 0 and "checkpoints/mine (newest run" in done.stderr and '"model"' not in done.stdout
    assert command("identify", photo, "--model", run).stderr == ""
    row = json.loads(command("identify", photo, "--format", "json", "--verbose").stdout)
    assert row["model"]["name"] == "mine" and len(row["model"]["sha256"]) == 12


def test_a_model_for_which_there_is_no_memory_is_not_called_damaged(
    tiny_model: Model, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **options: object) -> None:
        raise RuntimeError("std::bad_alloc")

    model = tiny_model([0.2, 0.3, 0.5])
    monkeypatch.setattr("onnxruntime.InferenceSession.run", fails)
    with pytest.raises(MemoryError):
        Identifier.load(model).identify(photo)
    monkeypatch.setattr("onnxruntime.InferenceSession", fails)
    with pytest.raises(MemoryError):
        Identifier.load(model)


def _teach(folder: Path) -> None:
    import torch

    from fruitcnn.training.teacher import Teacher

    Teacher(folder, labels=["red", "green", "blue"], device=torch.device("cpu"))


def _exporter(format: str) -> Callable[[Path], object]:
    def export(folder: Path) -> object:
        return fruitcnn.export_checkpoint(folder, formats=[format])

    return export


READERS: dict[str, Callable[[Path], object]] = {
    "identify": Identifier.load,
    "whoever changes a graph": lambda folder: read_graph(folder / "model.onnx"),
    **{f"export of {name}": _exporter(name) for name, format in FORMATS.items() if format.is_derived},
    "teacher": _teach,
}


@pytest.mark.parametrize("reader", READERS)
def test_weights_in_other_files_are_refused_by_every_reader(reader: str, tmp_path: Path) -> None:
    model = onnx.load(write_tiny_model(tmp_path / "model.onnx"))
    (tmp_path / "card.json").write_text(CARD.to_json())
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(model, tmp_path / "model.onnx", **options)
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(ModelError, match="keeps weights in other files"):
        READERS[reader](tmp_path)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("format", [name for name, format in FORMATS.items() if format.is_derived])
def test_a_model_without_a_card_is_exported_as_nothing(format: str, tmp_path: Path) -> None:
    model = onnx.load(write_tiny_model(tmp_path / "bare.onnx"))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    for to in (None, tmp_path / "new"):
        with pytest.raises(ModelError, match=r"bare\.onnx: carries no fruitcnn model card; export it with"):
            fruitcnn.export_checkpoint(tmp_path / "bare.onnx", formats=[format], to=to)
    assert [path.name for path in tmp_path.iterdir()] == ["bare.onnx"]


def test_nothing_in_the_package_opens_an_onnx_file_past_the_check() -> None:
    opening = re.compile(r"onnx\.load|InferenceSession\(|check_model\([^)]*(path|file)")
    package = Path(fruitcnn.__file__).parent
    found = {str(path.relative_to(package)) for path in package.rglob("*.py") if opening.search(path.read_text())}
    assert found == {"onnx_file.py", "runtime.py"}
