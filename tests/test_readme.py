"""README, the results and the fault table stay true where that can be told from the files."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from fruitcnn import __version__, checkpoint
from fruitcnn.calibration.intervals import wilson_interval
from tests.conftest import REPOSITORY
from tests.predictions import read_predictions
from tests.test_models import TRIAL, make_run
from tests.tiny import CARD


def test_the_version_is_one_everywhere() -> None:
    for file, words in {
        "pyproject.toml": f'\nversion = "{__version__}"\n',
        "CITATION.cff": f"\nversion: {__version__}\n",
        "CHANGELOG.md": f"\n## [{__version__}] - ",
        "docs/install.md": f"fruitcnn-{__version__}-py3-none-any.whl",
        "docs/serve.md": f"--tag fruitcnn:{__version__} ",
        "deploy/kubernetes.yaml": f"image: fruitcnn:{__version__}\n",
    }.items():
        assert words in (REPOSITORY / file).read_text(encoding="utf-8"), file
    assert f"fruitcnn-{__version__}-py3-none-any.whl" in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def test_the_fault_table_has_a_row_for_every_test_of_faults() -> None:
    page = (REPOSITORY / "docs/reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^ *(\d+) of (\d+) +(\S.*)$", page, re.MULTILINE)
    sources = "".join(file.read_text(encoding="utf-8") for file in (REPOSITORY / "tests" / "faults").glob("test_*.py"))
    names = [name.replace("_", " ") for name in re.findall(r"^def test_(\w+)", sources, re.MULTILINE)]
    assert len(names) >= 50 and sorted(names) == sorted(name for _, _, name in rows)
    cases = sum(int(held) for held, _, _ in rows)
    assert f"{len(names)} kinds of fault: {cases} held, 0 failed" in page


@pytest.mark.parametrize(
    ("name", "split", "claim"),
    [
        (
            "fruits",
            "train",
            "Each of its {count} training photographs was answered by the layer that had not met it: "
            "**{accuracy} %** are right ({low} to {high} %), NLL {loss}.",
        ),
        (
            "fruits",
            "validation",
            "Of {count} photographs that nothing was learned or chosen from {accuracy} % are right "
            "({low} to {high} %), NLL {loss}, {accepted} % accepted.",
        ),
        (
            "fruits-small",
            "validation",
            "Of {count} photographs that nothing was learned from {accuracy} % are right "
            "({low} to {high} %), NLL {loss}; its percentages and refusals are calibrated on these {count}, so that "
            "{accepted} % of them are accepted.",
        ),
    ],
)
def test_the_shipped_models_are_worth_what_it_says(name: str, split: str, claim: str) -> None:
    """By the answers that lie beside the models, to pictures that had not been learned from."""
    predictions = read_predictions(REPOSITORY / "checkpoints" / name / checkpoint.PREDICTIONS)
    rows = [row for row in predictions.rows if row.split == split]
    shares = np.array([row.held_out or row.probabilities for row in rows])
    assert split == "validation" or all(row.held_out for row in rows)
    targets = np.array([predictions.labels.index(row.label) for row in rows])
    right = shares.argmax(1) == targets
    low, high = wilson_interval(int(right.sum()), len(right))
    accepted = np.mean([(row.familiarity or 0) >= 0.05 for row in rows])
    loss = -np.log(shares[np.arange(len(targets)), targets]).mean()
    figures = {"accuracy": right.mean(), "low": low, "high": high, "accepted": accepted}
    said = claim.format(
        count=f"{len(right):,}", loss=f"{loss:.3f}", **{key: f"{100 * one:.1f}" for key, one in figures.items()}
    )
    page = (REPOSITORY / "docs/results.md").read_text(encoding="utf-8")
    assert said in " ".join(page.split())


def test_after_make_run_the_shipped_model_answers_as_it_shows(tmp_path: Path) -> None:
    """The last command of `make run`, after its trials, in a copy of the tree; and what README has people type."""
    for name in ("fruitcnn", "configs", "dataset", "checkpoints/fruits", "checkpoints/fruits-small"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    for age, name in enumerate(("quick", "features")):
        make_run(tmp_path, name, TRIAL, age=age)
    makefile, install = ((REPOSITORY / name).read_text(encoding="utf-8") for name in ("Makefile", "docs/install.md"))
    target = makefile.partition("\nrun:")[2].partition("\n\n")[0]
    *trainings, identify = re.findall(r"^\t\$\(BIN\)/fruitcnn (.*)$", target, re.MULTILINE)
    assert trainings == [*(f"train dataset/sample --recipe {name}" for name in ("features", "quick")), "models"]
    listed = re.search(r"^    name .*\n(?:.*\n)*?    default: .*\n", install, re.M)
    assert listed and _without_facts(_run("models", tmp_path)) == _without_facts(textwrap.dedent(listed[0]))
    shown = re.search(r"^    fruitcnn: identified by (?:.*\n)+?(?=\n)", install, re.M)
    assert shown and _run(identify, tmp_path) == textwrap.dedent(shown[0])
    shutil.copy(tmp_path / "dataset/sample/grape/grape_000.jpg", tmp_path / "photo.jpg")
    said = _run("identify photo.jpg", tmp_path)
    assert " 96.55%  grape       photo.jpg" in said and "--model quick" in said
    assert _run("identify photo.jpg --model quick", tmp_path).split()[1] in CARD.labels


def _without_facts(models: str) -> str:
    """A list of models without what it says of trials, which differs: the day, the accuracy and the size."""
    return re.sub(r"^(quick|features) .*  (checkpoints)$", r"\1 \2", models, flags=re.MULTILINE)


def _run(arguments: str, tree: Path) -> str:
    """What `fruitcnn ...` says in a tree with its own fruitcnn, what is on standard error first."""
    line = f"{shlex.quote(sys.executable)} -m fruitcnn {arguments}"
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tree, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout
