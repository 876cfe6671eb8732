"""Identification through the Python API and the command line, on real files and real processes."""

import csv
import io
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from fruitcnn import Identification, Identifier, Rejection
from fruitcnn.errors import ImageError, ModelError
from fruitcnn.identify.identify_paths import identify_paths
from fruitcnn.identify.request import Request
from fruitcnn.runtime import shared_out
from tests.conftest import Run


@pytest.fixture(scope="module")
def identifier(finished: Path) -> Identifier:
    return Identifier.load(finished)


def test_threads_are_shared_out_among_as_many_pictures_as_memory_allows() -> None:
    assert shared_out(16, 224) == (16, 1) and shared_out(16, 224, batch=4) == (16, 1)
    assert shared_out(16, 1024) == (4, 4) and shared_out(16, 1024, batch=4) == (1, 16)
    assert shared_out(16, 4096) == (1, 16) and shared_out(1, 224) == (1, 1)


def test_every_kind_of_source_gives_the_same_answer(identifier: Identifier, drawn: Path) -> None:
    path = drawn / "grape" / "grape_001.jpg"
    image = Image.open(path).convert("RGB")
    sources = [str(path), path, path.read_bytes(), image, np.asarray(image)]
    results = [identifier.identify(source) for source in sources]
    assert [result.file for result in results] == [str(path), str(path), "<bytes>", "<Image>", "<ndarray>"]
    assert all(result.probabilities == results[0].probabilities for result in results)
    assert sum(results[0].probabilities) == pytest.approx(1, abs=1e-5)
    many = list(identifier.identify_many(sources))
    assert [m.probabilities for m in many] == [pytest.approx(r.probabilities, abs=1e-6) for r in results]


def test_one_picture_is_answered_without_laying_the_weights_out_for_many(
    finished: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Seen(onnxruntime.InferenceSession):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            settings = self.get_session_options()
            seen.append((settings.graph_optimization_level.name, settings.intra_op_num_threads))

    monkeypatch.setattr(onnxruntime, "InferenceSession", Seen)
    answers: list[dict[str, Any]] = []
    given_back: list[int] = []
    monkeypatch.setattr(
        "fruitcnn.identify.identify_paths.give_freed_memory_back", lambda: given_back.append(len(answers))
    )
    picture, folder = str(drawn / "grape" / "grape_001.jpg"), str(drawn / "grape")
    for paths in ([picture], [picture, picture], [folder], [f"{picture[:-5]}?.jpg"], [str(tmp_path / "none.jpg")]):
        output = tmp_path / f"{len(seen)}.json"
        identify_paths(paths, Request(model=str(finished), format="json", output=output))
        answers.append(json.loads(output.read_text().splitlines()[0]))
    # Of many, each is answered by one thread.
    assert seen == [("ORT_ENABLE_BASIC", 0), *[("ORT_ENABLE_ALL", 1)] * 4] and given_back == [0]
    assert answers[0]["probabilities"] == pytest.approx(answers[1]["probabilities"], abs=1e-6)


# 64 blocks of half a megabyte, of which the last stays: what lies below it in the heap can't be handed back.
BLOCKS = """
import os, sys
import numpy as np
from fruitcnn.runtime import give_freed_memory_back
held = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
np.ones(1 << 17)
if sys.argv[1] == "yes":
    give_freed_memory_back()
before = held()
blocks = [np.ones(1 << 16) for _ in range(64)]
del blocks[:-1]
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has this setting")
def test_a_process_that_answers_once_gives_back_what_it_frees() -> None:
    kept, given = (
        int(subprocess.run([sys.executable, "-c", BLOCKS, word], check=True, capture_output=True, text=True).stdout)
        for word in ("no", "yes")
    )
    assert given < 4e6 < 24e6 < kept


def test_the_original_systems_result() -> None:
    result = Identification("x.jpg", ("grape", "pineapple", "strawberry"), (0.99394, 0.00601, 0.00005))
    assert json.dumps(result.to_dict()) == (
        '{"file": "x.jpg", "identify_label": "grape", "identify_rate": "99.39%", '
        '"prediction": {"grape": "99.39%", "pineapple": "0.60%", "strawberry": "0.01%"}, '
        '"probabilities": {"grape": 0.99394, "pineapple": 0.00601, "strawberry": 5e-05}}'
    )
    assert result.top(2).labels == ("grape", "pineapple") and result.top(9) == result == result.top(None)
    last = Identification("x", ("a", "b", "c"), (0.2, 0.3, 0.5)).top(2)
    assert last.prediction == {"b": "30.00%", "c": "50.00%"}, "class order stays"


def test_many_keep_their_order_and_a_bad_one_stops_nothing(identifier: Identifier, drawn: Path) -> None:
    paths = sorted(drawn.rglob("*.jpg"))
    sources = [*paths, b"no picture", *paths]
    results = list(identifier.identify_many(iter(sources)))
    assert [r.file for r in results] == [*map(str, paths), "<bytes>", *map(str, paths)]
    assert [type(r) for r in results].count(Rejection) == 1 and isinstance(results[len(paths)], Rejection)
    alone = [identifier.identify(path).probabilities for path in paths]
    together = [r.probabilities for r in results if isinstance(r, Identification)]
    assert np.allclose(together, alone + alone, atol=1e-6)
    assert list(identifier.identify_many([])) == []
    with pytest.raises(ImageError, match="no such file"):
        identifier.identify("missing.jpg")


def test_models_that_are_none(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "empty.onnx").touch()
    whole = (finished / "model.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    graph = onnx.load(finished / "model.onnx")
    card = graph.metadata_props[0].value
    del graph.metadata_props[:]
    onnx.save(graph, tmp_path / "no_card.onnx")
    onnx.helper.set_model_props(graph, {"fruitcnn.card": card.replace('"grape",', '"grape", "extra",')})
    onnx.save(graph, tmp_path / "other_labels.onnx")
    for name, problem in {
        "text": "not a usable ONNX model",
        "empty": "not a usable ONNX model",
        "cut": "not a usable ONNX model",
        "no_card": "carries no fruitcnn model card",
        "other_labels": "disagree",
    }.items():
        with pytest.raises(ModelError, match=problem) as caught:
            Identifier.load(tmp_path / f"{name}.onnx")
        assert f"{name}.onnx" in str(caught.value)


# A network of two epochs is familiar with little.
KNOWN = ("--refuse-below", 0)


def test_command_json_lines(cli: Run, finished: Path, drawn: Path) -> None:
    done = cli("identify", drawn, "--model", finished, *KNOWN, "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and done.stderr == "" and len(rows) == 48
    assert [Path(row["file"]).name for row in rows[:2]] == ["grape_000.jpg", "grape_001.jpg"]
    assert list(rows[0]) == ["file", "identify_label", "identify_rate", "prediction", "probabilities", "familiarity"]
    for row in rows:
        best = max(row["probabilities"], key=row["probabilities"].get)
        assert row["identify_label"] == best
        assert row["identify_rate"] == f"{row['probabilities'][best]:.2%}" == row["prediction"][best]


def test_command_with_bad_inputs_among_good_ones(cli: Run, finished: Path, drawn: Path, tmp_path: Path) -> None:
    good = drawn / "grape" / "grape_000.jpg"
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.jpg").write_bytes(good.read_bytes()[:200])
    arguments = [good, "missing.jpg", "broken.jpg", "*.gif", "empty", "-", drawn / "grape" / "grape_00[12].jpg"]
    done = cli("identify", *arguments, "--model", finished, "--format", "json", stdin=good.read_bytes())
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3 and done.stderr == ""
    matched = [str(drawn / "grape" / f"grape_00{number}.jpg") for number in (1, 2)]
    names = [row["file"] for row in rows]
    assert names == [str(good), "missing.jpg", "broken.jpg", "*.gif", "empty", "-", *matched]
    assert ["error" in row for row in rows] == [False, True, True, True, True, False, False, False]
    assert rows[0]["probabilities"] == pytest.approx(rows[5]["probabilities"], abs=1e-6)
    assert "no pictures in this folder" in rows[4]["error"] and "matches no file" in rows[3]["error"]


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.csv", b"file,"),
        ("a.JSON", b"{"),
        ("a.jsonl", b"{"),
        ("a.parquet", b"PAR1"),
        ("a.txt", b" "),
        ("a", b" "),
    ],
)
def test_the_ending_of_an_output_chooses_its_format(
    name: str, begins: bytes, cli: Run, finished: Path, drawn: Path, tmp_path: Path
) -> None:
    photo, out = drawn / "grape" / "grape_000.jpg", tmp_path / name
    done = cli("identify", photo, "--model", finished, "--output", out)
    assert done.returncode == 0 and out.read_bytes().startswith(begins), done.stderr
    if begins != b"{":
        assert cli("identify", photo, "--model", finished, "--output", out, "--force", "-f", "json").returncode == 0
        assert json.loads(out.read_text())["file"] == str(photo), "unless one is named"


def test_command_csv_table_top_and_output(cli: Run, finished: Path, drawn: Path, tmp_path: Path) -> None:
    strange = tmp_path / 'a "b", c\n\x1b[31m.jpg'
    shutil.copy(drawn / "grape" / "grape_000.jpg", strange)
    out = tmp_path / "out.csv"
    done = cli(
        "identify", strange, "missing", "--model", finished, *KNOWN, "--format", "csv", "--top", 1, "--output", out
    )
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert done.returncode == 3 and done.stdout == ""
    assert list(rows[0]) == [
        "file",
        "identify_label",
        "identify_rate",
        "grape",
        "pineapple",
        "strawberry",
        "familiarity",
        "error",
        "warning",
    ]
    assert rows[0]["file"] == str(strange) and rows[1]["error"].startswith("no such file")
    assert [rows[0][label] != "" for label in ("grape", "pineapple", "strawberry")].count(True) == 1

    table = cli("identify", strange, "--model", finished, *KNOWN).stdout
    assert len(table.splitlines()) == 1 and "\x1b" not in table and r"\x1b[31m.jpg" in table
    assert "%" in table and table.count("(") == 1
    assert "(" not in cli("identify", strange, "--model", finished, *KNOWN, "--top", 1).stdout


def test_command_usage_errors(cli: Run, finished: Path, tmp_path: Path) -> None:
    for arguments, status, message in [
        (("identify",), 2, "PATH"),
        (("identify", "x.jpg", "--top", "0"), 2, "--top"),
        (("identify", "x.jpg", "--format", "xml"), 2, "xml"),
        (("identify", "x.jpg", "--model", "nowhere"), 1, "no such model"),
        (("identify", "x.jpg", "--model", tmp_path), 1, "no model.onnx in this folder"),
        (("identify", "x.jpg", "--model", finished, "--output", "no/such/out"), 2, "no such folder"),
    ]:
        done = cli(*arguments)
        assert done.returncode == status and message in done.stderr and done.stdout == "", arguments
        assert "Traceback" not in done.stderr


def test_a_model_that_fails_leaves_the_old_output(cli: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")
    assert cli("identify", "x.jpg", "--model", "nowhere", "--output", out).returncode == 1
    assert out.read_text() == "old"


def test_info_shows_the_card(cli: Run, finished: Path) -> None:
    done = cli("info", finished)
    assert done.returncode == 0
    for text in ("grape, pineapple, strawberry", "float32 [batch, 3, 32, 32]", "fruit_net", "temperature"):
        assert text in done.stdout
