"""The right model answers: by path, by name, or the default one; and it is said which."""

import dataclasses
import os
import re
import shutil
from pathlib import Path

import pytest

from fruitcnn import Identifier, ModelCard, checkpoint, evaluate
from fruitcnn.errors import ModelError
from fruitcnn.models import DATA, EMBEDDED, choose_model, find_model, runs
from tests.conftest import REPOSITORY, Run
from tests.tiny import CARD, write_picture, write_tiny_model

SHIPPED = REPOSITORY / "checkpoints" / "fruits"
TRIAL = dataclasses.replace(CARD, provenance={DATA: EMBEDDED})


def make_run(root: Path, name: str, card: ModelCard = CARD, *, age: int = 0) -> Path:
    """A run in root/checkpoints, made so many seconds ago."""
    folder = root / "checkpoints" / name
    folder.mkdir(parents=True)
    file = write_tiny_model(folder / checkpoint.ONNX, card)
    (folder / checkpoint.CARD).write_text(card.to_json(), encoding="utf-8")
    os.utime(file, (1_000_000 - age,) * 2)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_default_is_the_newest_run_on_own_pictures(here: Path) -> None:
    assert choose_model().file == SHIPPED / checkpoint.ONNX and choose_model().why == "the shipped model"
    make_run(here, "quick", TRIAL)
    (here / "checkpoints" / "running").mkdir()
    assert choose_model().name == "fruits"
    assert choose_model().why == (
        "the shipped model; checkpoints/quick is of the embedded pictures only, --model quick for it"
    )
    make_run(here, "toy", dataclasses.replace(CARD, provenance={"recipe": "quick"}), age=-5)
    assert choose_model().name == "fruits"
    assert choose_model().why == (
        "the shipped model; checkpoints/toy is by the recipe quick, a trial, --model toy for it"
    )
    make_run(here, "old", dataclasses.replace(CARD, provenance={"recipe": "features"}), age=20)
    make_run(here, "mine", age=10)
    make_run(here, ".hidden")
    assert find_model() == Path("checkpoints/mine/model.onnx")
    assert choose_model().why == "newest run in ./checkpoints; --model fruits for the shipped one"
    # Without a card beside it the one inside it counts, and a damaged one is told when it is used.
    (here / "checkpoints/quick/card.json").unlink()
    assert choose_model().name == "checkpoints/mine"
    (here / "checkpoints/quick/card.json").write_text("{")
    assert choose_model().name == "checkpoints/quick"


def test_a_copy_of_a_shipped_model_is_no_run_of_ones_own(here: Path) -> None:
    """As in a clone of the repository, where another fruitcnn is installed."""
    for name in ("fruits", "fruits-small"):
        shutil.copytree(SHIPPED.parent / name, here / "checkpoints" / name)
    assert choose_model().file == SHIPPED / checkpoint.ONNX and choose_model().why == "the shipped model"


def test_the_shipped_models_are_not_runs_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert not {"fruits", "fruits-small"} & runs().keys()
    assert choose_model("fruits-small").why == "", "one model, however it is named"


def test_without_a_shipped_model_any_run_is_better_than_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SHIPPED", None)
    with pytest.raises(ModelError, match=r"no model in \./checkpoints; train one"):
        find_model()
    make_run(here, "quick", TRIAL)
    assert choose_model().why == "newest run in ./checkpoints"


def test_models_are_found_by_path_and_by_name(here: Path) -> None:
    mine = make_run(here, "mine")
    for path in (mine, mine / "model.onnx", "mine", "checkpoints/mine", "./checkpoints/mine/"):
        assert find_model(path).samefile(mine / "model.onnx") and choose_model(path).why == ""
    assert find_model("fruits") == SHIPPED / "model.onnx"
    # A folder of pictures that is called like a run takes nothing from it.
    (here / "mine").mkdir()
    assert choose_model("mine") == dataclasses.replace(
        choose_model(mine), file=Path("checkpoints/mine/model.onnx"), name="checkpoints/mine"
    )


def test_a_name_of_several_models_is_decided_and_said(here: Path) -> None:
    make_run(here, "fruits")
    choice = choose_model("fruits")
    assert (choice.file, choice.name) == (Path("checkpoints/fruits/model.onnx"), "checkpoints/fruits")
    assert choice.why == f"run in ./checkpoints of that name; --model {SHIPPED} for the shipped model"
    assert choose_model().why == f"newest run in ./checkpoints; --model {SHIPPED} for the shipped one"
    write_tiny_model(here / "fruits")
    choice = choose_model("fruits")
    assert choice.file == Path("fruits")
    assert choice.why == "file of that name; --model checkpoints/fruits for the run in ./checkpoints"


def test_a_name_of_no_model_is_an_error_with_those_most_like_it(here: Path) -> None:
    make_run(here, "my_cats")
    for wrong, said in {
        "mycat": r"mycat: no such model; did you mean my_cats\?",
        "checkpoints/fruit": r"fruit: no such model; did you mean fruits or fruits-small\?",
        "zebra": "no such model; give a checkpoint directory, an .onnx file or a name: my_cats, fruits, fruits-small",
        "checkpoints": r"no model\.onnx in this folder",
    }.items():
        with pytest.raises(ModelError, match=said):
            Identifier.load(wrong)


def test_what_answers_is_said_once(cli: Run, tmp_path: Path) -> None:
    red = write_picture(tmp_path / "red.png", (255, 0, 0))
    assert cli("identify", red).stderr == "fruitcnn: identified by fruits (the shipped model)\n"
    make_run(tmp_path, "mine")
    for command, role, other in (
        ("identify red.png", "identified by", "--model fruits"),
        ("info", "showing", "fruits"),
    ):
        done = cli(*command.split())
        why = f"checkpoints/mine (newest run in ./checkpoints; {other} for the shipped one)"
        assert (done.returncode, done.stderr) == (0, f"fruitcnn: {role} {why}\n")
    assert "by hand" in cli("info").stdout, "of the default model"
    assert cli("identify", red, "--model", "mine").stderr == ""
    done = cli("identify", red, "--model", "mine", "--verbose")
    assert done.stderr == "fruitcnn: identified by checkpoints/mine/model.onnx\n"


def test_commands_take_names(cli: Run, tmp_path: Path) -> None:
    make_run(tmp_path, "fruits")
    for colour, value in {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}.items():
        write_picture(tmp_path / "data" / colour / f"{colour}.png", value)
    done = cli("evaluate", "fruits", "--data", "data")
    assert done.stdout.startswith("fruits on 3 labelled pictures\n"), done.stderr
    assert done.stderr.startswith(
        f"fruitcnn: evaluating checkpoints/fruits (run in ./checkpoints of that name; {SHIPPED} for the shipped model)"
    )
    done = cli("export", "fruits", "--format", "image")
    assert done.returncode == 0 and (tmp_path / "checkpoints/fruits/image.onnx").is_file(), done.stderr
    done = cli("export", "fruits-small", "--format", "image")
    assert done.returncode == 2 and "comes with fruitcnn; name a folder to write to (--to)" in done.stderr
    assert not (SHIPPED.parent / "fruits-small/image.onnx").exists()
    done = cli("export", "fruits-small", "--format", "image", "--to", "small")
    assert done.returncode == 0 and (tmp_path / "small/image.onnx").is_file(), done.stderr
    assert "did you mean fruits" in cli("export", "fruit").stderr


def test_models_lists_what_has_a_name(cli: Run, tmp_path: Path) -> None:
    facts = {"created": "2026-11-20", "accuracy": {"train": 1.0, "validation": 0.5, "test": 0.75}}
    make_run(
        tmp_path, "mine", dataclasses.replace(CARD, provenance=facts | {"images": {"test": 1200, "validation": 4}})
    )
    make_run(tmp_path, "strange", dataclasses.replace(CARD, provenance={"accuracy": "high", "images": [1]}), age=10)
    make_run(tmp_path, "damaged", age=20)
    (tmp_path / "checkpoints/damaged/card.json").write_text("[]")
    done = cli("models")
    header, mine, strange, damaged, fruits, small, _, default = done.stdout.splitlines()
    assert header.split() == ["name", "made", "accuracy", "size", "where"]
    assert re.fullmatch(r"mine +2026-11-20 +75\.0% of 1,200 +0\.0 MB +checkpoints", mine)
    assert re.fullmatch(r"strange +0\.0 MB +checkpoints", strange)
    assert "checkpoints: its model card" in damaged
    # Each of the shipped one's training pictures was answered by a layer that had been fitted without it.
    assert re.fullmatch(r"fruits +2026-11-30 +98\.2% of 1,575 +14\.1 MB +comes with fruitcnn", fruits)
    assert re.fullmatch(r"fruits-small +2026-11-29 +99\.2% of 262 +5\.2 MB +comes with fruitcnn", small)
    assert default == "default: checkpoints/mine (newest run in ./checkpoints; --model fruits for the shipped one)"


def test_an_evaluation_says_where_it_can_not_tell_what_was_learned_from(here: Path) -> None:
    model = write_tiny_model(here / "tiny.onnx")
    for colour, value in {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}.items():
        write_picture(here / "data" / colour / f"{colour}.png", value)
    assert "no split.csv lies beside the model" in evaluate(model, here / "data").warnings[0]
    (here / "split.csv").write_text("file,sha256,label,split,hash\n")
    assert not any("split.csv" in warning for warning in evaluate(model, here / "data").warnings)
