"""Models whose graph, card or answers are not what they should be, and what others make of a row."""

import concurrent.futures
import csv
import dataclasses
import io
import json
import multiprocessing
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from fruitcnn import Identification, Identifier
from fruitcnn.card import METADATA_KEY, ModelCard
from fruitcnn.errors import ModelError, UsageError
from fruitcnn.identify.identify_paths import identify_paths
from fruitcnn.identify.request import Request
from tests.faults.conftest import SHIPPED, Command
from tests.tiny import CARD, write_picture, write_tiny_model

RED = (240, 60, 60)


def changed(path: Path, change: Callable[[onnx.GraphProto], None], card: ModelCard = CARD) -> Path:
    """The model computed by hand, with a change of its graph."""
    model = onnx.load(write_tiny_model(path, card))
    change(model.graph)
    path.write_bytes(model.SerializeToString())
    return path


def answering(
    name: str, nodes: list[onnx.NodeProto], kind: int = TensorProto.FLOAT
) -> Callable[[onnx.GraphProto], None]:
    """A change: output `name` comes from `nodes`, which find the old one under `old`; how it is declared stays."""

    def change(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            node.output[:] = ["old" if output == name else output for output in node.output]
            node.input[:] = ["old" if wanted == name else wanted for wanted in node.input]
        graph.node.extend(nodes)
        for output in graph.output:
            if output.name == name:
                output.type.tensor_type.elem_type = kind

    return change


def computed(values: list[float]) -> list[onnx.NodeProto]:
    """`computed`: these integers, in a way that nothing can see before the graph runs."""
    constant = helper.make_tensor("values", TensorProto.FLOAT, [len(values)], values)
    return [
        helper.make_node("Constant", [], ["values"], value=constant),
        helper.make_node("ReduceMax", ["image"], ["most"], keepdims=0),
        helper.make_node("Sub", ["most", "most"], ["nothing"]),
        helper.make_node("Add", ["values", "nothing"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["computed"], to=TensorProto.INT64),
    ]


ANSWERS: dict[str, tuple[Callable[[onnx.GraphProto], None], str]] = {
    "more rows": (
        answering("probabilities", [helper.make_node("Concat", ["old", "old"], ["probabilities"], axis=0)]),
        r"float32 \[2, 3\] where probabilities belong: float32 \[1, 3\]",
    ),
    "fewer columns": (
        answering(
            "probabilities",
            [
                *computed([2]),
                helper.make_node("Constant", [], ["one"], value=helper.make_tensor("one", TensorProto.INT64, [1], [1])),
                helper.make_node("Sub", ["one", "one"], ["zero"]),
                helper.make_node("Slice", ["old", "zero", "computed", "one"], ["probabilities"]),
            ],
        ),
        r"float32 \[1, 2\] where probabilities belong",
    ),
    "another dimension": (
        answering(
            "probabilities",
            [*computed([1, 3, 1]), helper.make_node("Reshape", ["old", "computed"], ["probabilities"])],
        ),
        r"float32 \[1, 3, 1\] where probabilities belong",
    ),
    "strings for probabilities": (
        answering("probabilities", [helper.make_node("Cast", ["old"], ["probabilities"], to=8)], TensorProto.STRING),
        r"object \[1, 3\] where probabilities belong",
    ),
    "strings for familiarity": (
        answering("familiarity", [helper.make_node("Cast", ["old"], ["familiarity"], to=8)], TensorProto.STRING),
        r"object \[1\] where familiarity belong",
    ),
    "familiarity that is no number": (
        answering(
            "familiarity",
            [
                helper.make_node("Sub", ["old", "old"], ["zeros"]),
                helper.make_node("Div", ["zeros", "zeros"], ["familiarity"]),
            ],
        ),
        "familiarity that is not between 0 and 1",
    ),
    "familiarity of 255": (
        answering("familiarity", [helper.make_node("Div", ["old", "brightness"], ["familiarity"])]),
        "familiarity that is not between 0 and 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERS)
def test_answers_of_another_kind_or_shape_name_the_model(kind: str, command: Command, tmp_path: Path) -> None:
    change, problem = ANSWERS[kind]
    model = changed(tmp_path / "odd.onnx", change)
    pictures = [write_picture(tmp_path / f"{number}.png", RED) for number in range(2)]
    with pytest.raises(ModelError, match=rf"odd\.onnx: answers with .*{problem}"):
        list(Identifier.load(model).identify_many(pictures))
    done = command("identify", *pictures, "--model", model)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1


def test_outputs_that_the_card_does_not_name_are_not_asked_for(command: Command, tmp_path: Path) -> None:
    strings = answering("familiarity", [helper.make_node("Cast", ["old"], ["familiarity"], to=8)], TensorProto.STRING)
    model = onnx.load(changed(tmp_path / "more.onnx", strings))
    helper.set_model_props(model, {METADATA_KEY: dataclasses.replace(CARD, outputs=CARD.outputs[:1]).to_json()})
    onnx.save(model, tmp_path / "more.onnx")
    identifier = Identifier.load(tmp_path / "more.onnx")
    assert not identifier.has_familiarity and not identifier.has_evidence
    result = identifier.identify(write_picture(tmp_path / "red.png", RED))
    assert result.familiarity is None and result.identify_label == "red"
    assert list(identifier.outputs(np.zeros((2, 8, 8, 3), np.uint8))) == ["probabilities"]


@pytest.mark.parametrize(
    "change",
    [
        {"calibration": {"method": "temperature", "temperature": 10**400}},
        {"outputs": [{"name": "probabilities"}, {"name": "familiarity", "refuse_below": 10**400}]},
    ],
)
def test_a_card_with_numbers_beyond_all_bounds_is_damaged(change: dict[str, Any]) -> None:
    fields = {**json.loads(CARD.to_json()), **change}
    with pytest.raises(ModelError, match=r"the/model: its model card is damaged \(OverflowError"):
        ModelCard.from_json(json.dumps(fields), source="the/model")


def test_of_a_large_input_few_are_in_memory_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, threads = 2048, 4

    def enlarge(graph: onnx.GraphProto) -> None:
        for place in (2, 3):
            graph.input[0].type.tensor_type.shape.dim[place].dim_value = size
        graph.node[0].attribute[0].ints[:] = graph.node[0].attribute[1].ints[:] = [size // 2, size // 2]

    model = changed(tmp_path / "large.onnx", enlarge, dataclasses.replace(CARD, size=size))
    rows: list[tuple[int, int]] = []
    inside: list[Any] = []
    run = onnxruntime.InferenceSession.run
    all_inside = threading.Barrier(threads)

    def counting(session: Any, names: Any, feeds: Any) -> Any:
        inside.append(feeds)
        rows.append((len(feeds["image"]), len(inside)))
        if feeds["image"].shape[-1] < size:
            all_inside.wait(60)
        else:
            time.sleep(0.1)
        answers = run(session, names, feeds)
        inside.pop()
        return answers

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", counting)
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 10, 10)]
    pictures = [write_picture(tmp_path / f"{number}.png", colour) for number, colour in enumerate(colours)]
    found = list(Identifier.load(model, threads=threads).identify_many(pictures))
    assert [one.likeliest_label for one in found if isinstance(one, Identification)] == ["red", "green", "blue", "red"]
    assert rows == [(1, 1)] * 4
    # Of usual size, each thread has one.
    rows.clear()
    list(Identifier.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=threads).identify_many(pictures))
    assert {count for count, _ in rows} == {1} and max(at_once for _, at_once in rows) == threads


def test_a_card_with_endless_names_is_shown_in_few_bytes(command: Command, tmp_path: Path) -> None:
    provenance = {"k" * 200_000: "v" * 200_000, **{f"key {number}": 1 for number in range(20_000)}}
    card = dataclasses.replace(CARD, labels=("red" * 50_000, "green", "blue"), provenance=provenance)
    model = write_tiny_model(tmp_path / "long.onnx", card)
    done = command("info", model)
    assert done.returncode == 0 and len(done.stdout) < 2_000_000
    assert max(map(len, done.stdout.splitlines())) < 1200 and "199,960 more characters" in done.stdout
    picture = write_picture(tmp_path / "red.png", RED)
    assert len(command("identify", picture, picture, "--model", model).stdout) < 2_000
    row = json.loads(command("identify", picture, "--model", model, "--format", "json").stdout)
    assert row["identify_label"] == card.labels[0], "whole for programs"
    with pytest.raises(ModelError) as caught:
        ModelCard.from_json(dataclasses.replace(CARD, labels=("x" * 100_000,) * 2).to_json(), source="the/model")
    assert len(str(caught.value)) < 500


def test_what_a_card_says_of_its_training_does_not_replace_what_is_known(command: Command, tmp_path: Path) -> None:
    provenance = {"labels": "only good ones", "model_": "another", "input": "none", "architecture": "by hand"}
    model = write_tiny_model(tmp_path / "tiny.onnx", dataclasses.replace(CARD, provenance=provenance))
    lines = [line.split("  ", 1) for line in command("info", model).stdout.splitlines()]
    rows = {name: value.strip() for name, value in lines}
    assert rows["labels"] == "red, green, blue" and rows["model"].startswith(str(model))
    assert rows["labels (says the card)"] == "only good ones" and rows["architecture"] == "by hand"


def test_labels_that_are_named_like_columns_have_columns_of_their_own(command: Command, tmp_path: Path) -> None:
    labels = ("file", "probability_file", "error")
    model = write_tiny_model(tmp_path / "tiny.onnx", dataclasses.replace(CARD, labels=labels))
    picture = write_picture(tmp_path / "red.png", RED)
    text = command("identify", picture, "--model", model, "--format", "csv").stdout
    (row,) = csv.DictReader(io.StringIO(text))
    header = text.splitlines()[0].split(",")
    assert len(set(header)) == len(header)
    assert row["file"] == str(picture) and row["identify_label"] == "file" and row["error"] == ""
    columns = ["probability_file", "probability_probability_file", "probability_error"]
    assert sum(float(row[column]) for column in columns) == pytest.approx(1) and float(row[columns[0]]) > 0.5


@pytest.mark.parametrize("name", ["=1+2.png", "+1.png", "-1.png", "@x.png", "plain.png"])
def test_a_name_that_a_spreadsheet_would_run_is_told_from_a_formula(
    name: str, command: Command, tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx", dataclasses.replace(CARD, labels=("=red", "green", "blue")))
    write_picture(tmp_path / name, RED)
    arguments = ("identify", "--model", model, "--format")
    cells = {
        kind: next(csv.reader(command(*arguments, kind, "--", name).stdout.splitlines()[1:]))
        for kind in ("csv", "spreadsheet")
    }
    quoted = "" if name == "plain.png" else "'"
    assert cells["csv"][0] == name and cells["spreadsheet"][0] == quoted + name, "CSV is for programs, and exact"
    assert cells["csv"][1] == "=red" and cells["spreadsheet"][1] == "'=red"
    assert cells["csv"][2:] == cells["spreadsheet"][2:]


@pytest.mark.parametrize("threshold", ["nan", "inf", "-0.1", "1.5"])
def test_a_threshold_that_is_no_familiarity_is_wrong_usage(threshold: str, command: Command, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    picture = write_picture(tmp_path / "red.png", RED)
    done = command("identify", picture, "--model", model, f"--refuse-below={threshold}")
    assert done.returncode == 2 and done.stdout == ""
    with pytest.raises(UsageError, match="is no familiarity; give one from 0 to 1"):
        identify_paths([str(picture)], Request(model=str(model), refuse_below=float(threshold)))
    unknown = Identification("x", ("a", "b"), (0.1, 0.9), familiarity=float("nan"), refuse_below=0.5)
    assert unknown.identify_label == "unknown"


def _identified_elsewhere(identifier: Identifier, picture: Path) -> tuple[float | None, Identification]:
    return identifier.refuse_below, identifier.identify(picture)


def test_an_identifier_goes_to_another_process_by_its_path_and_settings(tmp_path: Path) -> None:
    identifier = Identifier.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    identifier.refuse_below = 0.9
    picture = write_picture(tmp_path / "red.png", RED)
    packed = pickle.dumps(identifier)
    assert len(packed) < 1000 and pickle.loads(packed).identify(picture) == identifier.identify(picture)
    spawning = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawning) as pool:
        refuse_below, result = pool.submit(_identified_elsewhere, identifier, picture).result()
    assert refuse_below == 0.9 and result == identifier.identify(picture) and result.identify_label == "unknown"
    many = Identifier.load(SHIPPED, threads=2).identify_many([picture] * 3)
    assert len({one.probabilities for one in many if isinstance(one, Identification)}) == 1


def test_a_newer_card_is_told_before_its_graph_is_looked_at(command: Command, tmp_path: Path) -> None:
    def rename(graph: onnx.GraphProto) -> None:
        graph.input[0].name = graph.node[0].input[0] = graph.node[4].input[0] = "photo"

    model = onnx.load(changed(tmp_path / "newer.onnx", rename))
    fields = {**json.loads(CARD.to_json()), "format": "fruitcnn-card/2", "provenance": {"fruitcnn": "3.1"}}
    helper.set_model_props(model, {METADATA_KEY: json.dumps(fields)})
    onnx.save(model, tmp_path / "newer.onnx")
    done = command("identify", write_picture(tmp_path / "red.png", RED), "--model", tmp_path / "newer.onnx")
    assert done.returncode == 1 and "pip install 'fruitcnn>=3.1'" in done.stderr and "disagree" not in done.stderr


def test_what_identify_writes_is_none_of_its_inputs(command: Command, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    write_picture(tmp_path / "a.png", RED)
    write_picture(tmp_path / "b.png", RED)
    (tmp_path / "explained").mkdir()
    paths = ("b.png", ".", "*/*.jpg", "**/*.jpg")
    done = command("identify", *paths, "--model", model, "--explain", "explained", "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(row["file"]).name for row in rows if "error" not in row] == ["b.png", "a.png", "b.png"]
    assert [row["error"].partition(";")[0] for row in rows[3:]] == ["matches no file"] * 2
    assert len(list((tmp_path / "explained").iterdir())) == 3


def _loop(graph: onnx.GraphProto, operation: str) -> None:
    inner = helper.make_graph([], "inner", [], [])
    graph.node.append(helper.make_node(operation, [], ["endless"], body=inner))


def _sequence(graph: onnx.GraphProto) -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    graph.output.append(helper.make_value_info("many", kind))


def _optional(graph: onnx.GraphProto) -> None:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    graph.value_info.append(helper.make_value_info("perhaps", kind))


def _nested(graph: onnx.GraphProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    _loop(inner, "Loop")
    graph.node.append(helper.make_node("Other", [], ["x"], body=inner))


REFUSED: dict[str, tuple[Callable[[onnx.GraphProto], None], str]] = {
    **{
        name: (lambda graph, name=name: _loop(graph, name), f"holds the operation {name}")  # type: ignore[misc]
        for name in ("Loop", "Scan", "If", "SequenceMap")
    },
    "a loop inside": (_nested, "holds the operation Loop"),
    "a sequence": (_sequence, "holds a sequence type"),
    "an optional": (_optional, "holds an optional type"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_graphs_that_could_run_without_end_are_refused_by_name(kind: str, command: Command, tmp_path: Path) -> None:
    change, problem = REFUSED[kind]
    model = changed(tmp_path / "endless.onnx", change)
    with pytest.raises(ModelError, match=rf"endless\.onnx: {problem}; export it without"):
        Identifier.load(model)


def test_functions_in_a_model_are_refused_by_name(tmp_path: Path) -> None:
    model = onnx.load(write_tiny_model(tmp_path / "function.onnx"))
    model.functions.add(name="mine", domain="mine")
    (tmp_path / "function.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="holds functions; export it without"):
        Identifier.load(tmp_path / "function.onnx")
