"""What the pages tell people to type works: each page's blocks run, in order, in a folder with pictures of theirs."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset.drawing.draw import draw_dataset
from fruitcnn import train
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
# Pages with a test of their own: beside this one, and tests/test_api.py.
OTHERS = {"extending.md", "api.md", "serve.md", "tune.md"}
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>.*?) -->\n)?^```(?P<language>sh|python)\n(?P<text>.*?)^```$", re.M | re.S
)


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of the blocks that are to run."""
    for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if found["reason"] is None:
            yield found["language"], found["text"]
        else:
            assert len(found["reason"].split()) >= 3, f"{page.name}: no reason"


SOURCES = [*DOCS.glob("*.md"), *REPOSITORY.glob("README*.md")]
PAGES = {page.name: page for page in sorted(SOURCES) if page.name not in OTHERS and list(blocks(page))}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for granted: photographs, other things, and a run of them called `mine`."""
    home = tmp_path_factory.mktemp("home")
    draw_dataset(home / "photos", per_class=12, size=64, seed=3)
    shutil.copytree(home / "photos" / "strawberry", home / "other-things")
    draw_dataset(home / "test", per_class=3, size=64, seed=4)
    shutil.copytree(home / "test" / "grape", home / "new")
    shutil.copy(home / "photos" / "grape" / "grape_001.jpg", home / "photo.jpg")
    pictures = sorted(path.relative_to(home) for path in home.glob("photos/*/*.jpg"))
    (home / "photos.csv").write_text(
        "\n".join(["file,label", *(f"{path},{path.parent.name}" for path in pictures), ""])
    )
    train(home / "photos", name=home / "checkpoints" / "mine", device="cpu", data__size=64)
    return home


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_blocks_of_a_page_run(name: str, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    shutil.copytree(home, folder)
    if "--name mine" in PAGES[name].read_text(encoding="utf-8"):  # the page makes it itself
        shutil.rmtree(folder / "checkpoints")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "fruitcnn"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fruitcnn "$@"\n')
    command.chmod(0o755)
    paths = {"PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    environment = {**os.environ, **paths}
    for language, text in blocks(PAGES[name]):
        words = ["bash", "-e", "-c", text] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"


def test_no_block_of_a_page_stands_outside_of_this() -> None:
    """A block of a language that runs is a block that this file finds."""
    for page in (page for page in SOURCES if page.name not in OTHERS):
        text = page.read_text(encoding="utf-8")
        assert len(re.findall(r"^```(?:sh|python|bash|console)\b", text, re.M)) == len(BLOCK.findall(text)), page.name
    assert {"identify.md", "evaluate.md", "train.md", "README.md"} <= set(PAGES)
