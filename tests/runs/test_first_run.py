"""What `fruitcnn train PHOTOGRAPHS` tells: a summary, the cost, a verdict, what comes next; and the recipes."""

import json
import re
import shutil
from pathlib import Path

import pytest

from fruitcnn import load_config
from fruitcnn.evaluation.measured import Metrics, measure
from fruitcnn.evaluation.sample import Sample
from fruitcnn.recipes import RECIPES, recipe_names
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.recipe_texts import describe_recipe
from fruitcnn.runs.stages import train_config
from fruitcnn.runs.summary import duration
from fruitcnn.runs.verdict import verdict
from tests.conftest import Run, skip_export
from tests.terminals import terminal


def test_a_training_tells_what_it_found_and_what_it_is_worth(
    cli: Run, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of one's own, in which no other test has left these pictures' features.
    monkeypatch.setenv("FRUITCNN_CACHE", str(tmp_path / "cache"))
    photos = tmp_path / "photos"
    shutil.copytree(drawn, photos)
    (photos / "grape" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    done = cli("train", "photos", "--size", "64")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    # What names a file of the user's can be as long as its name.
    beyond = [line for line in done.stdout.splitlines() if len(line) >= 80 and "photos/" not in line]
    assert [line for line in beyond if not line.startswith(("warning: ", "model."))] == []
    lines = iter(done.stdout.splitlines())
    assert next(lines) == "photos: 48 pictures of 3 classes"
    assert next(lines).startswith("left out photos/grape/broken.jpg: ")
    assert next(lines) == "split by chance (seed 0), pictures that look alike on one side:"
    table = [next(lines).split() for _ in range(5)]
    assert table[0] == ["train", "validation"] and [row[0] for row in table[1:]] == [*sorted_labels(photos), "all"]
    assert sum(map(int, table[-1][1:])) == 48
    config = load_config("features", ["data.size=64"])
    assert next(lines) == "features: " + describe_recipe(config).partition("; ")[0] + ";"
    assert re.search(r"(?m)^\d+ more passes through the network: about \d+ seconds?$", done.stdout)
    metrics = json.loads((tmp_path / "checkpoints/features/metrics.json").read_text())["held_out"]
    ending = done.stdout.partition("\nfinished: checkpoints/features\n")[2].splitlines()
    said = f"{metrics['accuracy']:.1%} of {metrics['images']} pictures right in cross-validation (95 %: "
    assert ending[0].startswith(said)
    assert ending[-4] == "next:" and [line.split()[0] for line in ending[-3:]] == ["python", "fruitcnn", "fruitcnn"]
    assert "checkpoints/features/report.html" in ending[-3] and "export" in ending[-1]


@pytest.mark.parametrize(("batch", "told"), [(11, "1 more pass through"), (9, "3 more passes through"), (12, "")])
def test_of_few_pictures_it_tells_what_the_rest_will_take(
    batch: int, told: str, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are learned from; of a batch that is all of them there is no rest."""
    monkeypatch.setattr("fruitcnn.features.extractor._BATCH", batch)
    monkeypatch.setenv("FRUITCNN_CACHE", str(tmp_path / "cache"))
    skip_export(monkeypatch)
    for label in sorted_labels(drawn):
        (tmp_path / "few" / label).mkdir(parents=True)
        for picture in sorted((drawn / label).iterdir())[:4]:
            shutil.copy(picture, tmp_path / "few" / label)
    said = list[str]()
    config = load_config("features", ["data.size=64"], data=tmp_path / "few")
    train_config(config, Claim(root=tmp_path / "runs"), print_line=said.append)
    passes = [line for line in said if "through the network" in line]
    assert len(passes) == bool(told) and all(line.startswith(told) for line in passes)
    # The cache knows them all.
    train_config(config, Claim(root=tmp_path / "again"), print_line=said.append)
    assert sum("through the network" in line for line in said) == len(passes)


def test_one_bar_shows_all_from_the_reading_on(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITCNN_CACHE", str(tmp_path / "cache"))  # else another test's features may be there
    monkeypatch.setattr("fruitcnn.progress._PAUSE", 0)
    skip_export(monkeypatch)
    said = list[str]()
    with terminal(monkeypatch) as lines:
        settings = ["data.size=64", "head.mirrored=true"]
        config, claim = load_config("features", settings, data=drawn), Claim(root=tmp_path / "runs")
        train_config(config, claim, print_line=said.append)
    assert all(len(line) <= 79 for line in lines) and not lines[-1].strip()
    bars = [line for line in lines if "%" in line]
    stages = list(dict.fromkeys(line.split("  ")[0] for line in bars))
    assert stages == [
        *("reading pictures", "preparing", "features", "computing features"),
        *("fitting the last layer", "measuring", "exporting", "writing the report"),
    ]
    shares = [int(line.split("%")[0][-3:]) for line in bars]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] >= 95
    assert all(re.search(r"\d:\d\d left$", line.rstrip()) for line in bars if line.startswith("measuring"))


def sorted_labels(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _metrics(confusion: list[list[int]]) -> Metrics:
    """Of answers that are sure."""
    import numpy as np

    pairs = [(true, answer) for true, row in enumerate(confusion) for answer, n in enumerate(row) for _ in range(n)]
    probabilities = np.full((len(pairs), 3), 0.01, np.float32)
    for row, (_, answer) in enumerate(pairs):
        probabilities[row, answer] = 0.98
    return measure(Sample.of(probabilities, np.array([true for true, _ in pairs])), ["a", "b", "c"])


def test_the_verdict_is_by_the_fairest_pictures() -> None:
    perfect, wrong = _metrics([[5, 0, 0], [0, 5, 0], [0, 0, 5]]), _metrics([[4, 1, 0], [0, 5, 0], [2, 1, 7]])
    first, second = verdict({"validation": perfect, "test": wrong}, chose_epoch=True)
    assert first.startswith("80.0% of 20 pictures that it did not learn from are right (95 %: 58.4 to 91.9%")
    assert second == "most confused: c answered as a, 2 of 10"
    (first, _) = verdict({"validation": perfect, "held_out": wrong}, chose_epoch=False)
    assert first.startswith("80.0% of 20 pictures right in cross-validation (95 %: 58.4 to 91.9%")
    assert verdict({"validation": perfect}, chose_epoch=True)[1].endswith("these pictures chose the epoch")
    assert len(verdict({"validation": perfect}, chose_epoch=False)) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "1 second"), (89, "89 seconds"), (90, "2 minutes"), (3600, "60 minutes"), (5400, "2 hours")],
)
def test_how_long_it_takes(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_recipes_are_listed_and_printed(cli: Run) -> None:
    listed = cli("recipes").stdout
    assert [line.split()[0] for line in listed.splitlines() if re.match(r"[a-z_]+( |$)", line)][:-1] == recipe_names()
    assert all(len(line) < 80 for line in listed.splitlines())
    words = " ".join(listed.split())
    for name in recipe_names():
        text = (RECIPES / f"{name}.yaml").read_text("utf-8")
        assert describe_recipe(load_config(name)) in words and text.splitlines()[0].lstrip("# ") in words
    assert cli("recipes", "features").stdout == (RECIPES / "features.yaml").read_text("utf-8")
    wrong = cli("recipes", "feature")
    assert wrong.returncode == 2 and "no such recipe" in wrong.stderr


def test_what_a_recipe_costs_follows_its_keys() -> None:
    assert describe_recipe(load_config("quick", ["train.epochs=7"])) == "64 px, fruit_net from scratch; 7 epochs"
    folds = ["data.calibration_folds=5", "model.weights=checkpoints/x"]
    assert describe_recipe(load_config("quick", folds)).endswith("fruit_net from checkpoints/x; 30 epochs, 6 times")
    assert "ImageNet's weights; its last layer alone" in describe_recipe(load_config("features"))
