"""Faults in what an evaluation reads, and in what lies in the folder of its report."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fruitcnn
from fruitcnn import checkpoint
from fruitcnn.dataset.sources import read_listing
from fruitcnn.evaluation.evaluate import FILES
from fruitcnn.locks import LOCK, held_folder
from tests.faults.conftest import Command
from tests.tiny import write_picture, write_tiny_model

RED, GREEN, BLUE = (200, 30, 40), (30, 200, 40), (60, 30, 200)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    write_tiny_model(tmp_path / "model" / checkpoint.ONNX)
    return tmp_path / "model"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for label, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        write_picture(tmp_path / "data" / label / "1.png", colour)
    return tmp_path / "data"


def test_an_outside_picture_with_the_name_of_a_labelled_one_is_shown_as_itself(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A list that names grape/1.png, beside a folder of other things with the same relative name.
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "set" / "grape" / "1.png", (255, 0, 0))
    write_picture(tmp_path / "set" / "grape" / "2.png", (0, 255, 0))
    (tmp_path / "set" / "list.csv").write_text("file,label\ngrape/1.png,green\ngrape/2.png,green\n")
    write_picture(tmp_path / "grape" / "1.png", (0, 0, 255))
    found = fruitcnn.evaluate(model, "set/list.csv", outside="grape", report="report")
    assert {row.file for row in found.outside.rows} == {"grape/1.png"} <= {row.file for row in found.predictions.rows}
    page = (tmp_path / "report" / "report.html").read_text()
    shown = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.S)[1])["pictures"]  # type: ignore[index]
    for answer, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        (entry,) = (one for one in shown if one["file"] == "grape/1.png" and one["answer"] == answer)
        with Image.open(io.BytesIO(base64.b64decode(entry["src"].partition(",")[2]))) as image:
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - colour).max() < 12


@pytest.mark.parametrize("hash", ["1" * 17, "-1", "+1", "0x1f", " 1", "1_0", "\u0661"])
def test_a_hash_in_split_csv_that_is_none(hash: str, model: Path, data: Path, command: Command) -> None:
    (model / checkpoint.SPLIT).write_text(f"file,sha256,label,split,hash\na,{'0' * 64},red,train,{hash}\n")
    done = command("evaluate", model, "--data", data)
    assert done.returncode == 1 and "split.csv: can't be read (" in done.stderr and "restore it" in done.stderr
    assert "internal" not in done.stderr


def test_names_with_escape_sequences_are_shown_and_not_obeyed(model: Path, data: Path, command: Command) -> None:
    (data / "red" / "\x1b[31mred\x07.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    done = command("evaluate", model, "--data", data)
    assert done.returncode == 3 and "\\x1b[31mred\\x07.png" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout and "\x07" not in done.stderr + done.stdout


def test_a_labelled_picture_that_has_vanished_is_one_row(model: Path, data: Path, command: Command) -> None:
    rows = [f"{label}/1.png,{label}" for label in ("red", "green", "blue")]
    (data / "list.csv").write_text("\n".join(["file,label", *rows, "red/gone.png,red"]) + "\n")
    done = command("evaluate", model, "--data", data / "list.csv", "--report", "report")
    assert done.returncode == 3 and "left out red/gone.png" in done.stderr
    assert "on 3 labelled pictures" in done.stdout and "1 more could not be read" in done.stdout


def test_unreadable_pictures_are_counted_by_what_is_wrong(model: Path, data: Path, command: Command) -> None:
    for number in range(3):
        (data / "red" / f"cut{number}.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (data / "green" / "empty.jpg").touch()
    done = command("evaluate", model, "--data", data)
    lines = done.stdout.splitlines()
    at = lines.index("4 more could not be read")
    assert lines[at + 1].startswith("     3  ") and lines[at + 2].startswith("     1  empty file")
    assert all("; " in line for line in lines[at + 1 : at + 3]), "with what to do"


def test_a_pipe_where_the_report_s_predictions_belong(
    model: Path, data: Path, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "report").mkdir()
    os.mkfifo(tmp_path / "report" / checkpoint.PREDICTIONS)
    done = command("evaluate", model, "--data", data, "--report", "report")
    assert done.returncode == 2 and "holds other files" in done.stderr


def test_what_a_killed_evaluation_left_in_its_folder_is_removed(
    model: Path, data: Path, command: Command, tmp_path: Path, inputs_unchanged: set[Path]
) -> None:
    report = tmp_path / "report"
    report.mkdir()
    for name, content in ((".report.0a1b2c3d.fruitcnn-tmp.html", "half a pa"), (LOCK, "1")):
        (report / name).write_text(content)
        inputs_unchanged.add(report / name)
    done = command("evaluate", model, "--data", data, "--report", "report")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in report.iterdir()} == set(FILES)


def waiting_evaluation(model: Path, data: Path, folder: Path) -> subprocess.Popen[str]:
    """An evaluation that waits for whoever holds the folder of its report."""
    words = [sys.executable, "-m", "fruitcnn", "evaluate", str(model), "--data", str(data), "--report", folder.name]
    process = subprocess.Popen(words, cwd=folder.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = next(line for line in process.stderr if line.startswith("waiting"))
    assert told == f"waiting to write into report: process {os.getpid()} is working there\n"
    return process


def test_two_evaluations_with_one_folder_for_their_reports(model: Path, data: Path, tmp_path: Path) -> None:
    """They write one after the other, so that the three files are of one of them."""
    report = tmp_path / "report"
    report.mkdir()
    with held_folder(report):
        second = waiting_evaluation(model, data, report)
        assert [path.name for path in report.iterdir()] == [LOCK]
    second.communicate()
    assert second.returncode == 0 and {path.name for path in report.iterdir()} == set(FILES)


def test_an_evaluation_that_waited_for_one_that_failed_makes_the_folder_again(
    model: Path, data: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    report.mkdir()
    with held_folder(report):
        second = waiting_evaluation(model, data, report)
        shutil.rmtree(report)
    second.communicate()
    assert second.returncode == 0 and {path.name for path in report.iterdir()} == set(FILES)


def test_a_folder_that_another_fills_meanwhile_is_left_as_it_is(model: Path, data: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.mkdir()
    with held_folder(report):
        second = waiting_evaluation(model, data, report)
        (report / "notes.txt").write_text("theirs")
    _, errors = second.communicate()
    assert second.returncode == 2 and "report: holds other files" in errors
    assert [path.name for path in report.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", [" 1 .png", "na\udcefve.png", 'a "b", c.png', "=1+1.png"])
def test_a_list_of_any_names_reads_back_as_the_same_files(name: str, model: Path, tmp_path: Path) -> None:
    """predictions.csv and split.csv name the pictures as the set does."""
    from tests.predictions import read_predictions

    write_picture(tmp_path / "data" / "red" / "0.png", RED).rename(tmp_path / "data" / "red" / name)
    write_picture(tmp_path / "data" / "green" / "1.png", GREEN)
    fruitcnn.evaluate(model, tmp_path / "data", report=tmp_path / "report")
    rows = read_predictions(tmp_path / "report" / checkpoint.PREDICTIONS).rows
    assert sorted(row.file for row in rows) == sorted(r.file for r in read_listing(tmp_path / "data").records)
    assert any(os.path.lexists(tmp_path / "data" / row.file) and row.file.endswith(name) for row in rows)


@pytest.mark.long
def test_pictures_of_177_megapixels_are_decoded_within_the_memory_that_is_promised(
    model: Path, data: Path, tmp_path: Path
) -> None:
    stripes = np.random.default_rng(0).integers(0, 256, (1, 13_312, 3), np.uint8)
    Image.fromarray(np.repeat(stripes, 13_312, 0)).save(data / "red" / "large.png", compress_level=1)
    for number in range(3):
        os.link(data / "red" / "large.png", data / "green" / f"large{number}.png")
    # Compared with what the model has learned from, too.
    (model / checkpoint.SPLIT).write_text(f"file,sha256,label,split,hash\na,{'0' * 64},red,train,{'1' * 16}\n")
    # Not `getrusage`, whose peak begins with that of the process which started this one.
    program = """
import re
from fruitcnn.cli import main
try:
    main()
finally:
    print(int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""
    words = ["evaluate", str(model), "--data", str(data), "--report", str(tmp_path / "report")]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert "on 7 labelled pictures" in done.stdout, done.stderr
    assert int(done.stdout.splitlines()[-1]) < 1_400, "MB"
