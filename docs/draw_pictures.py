"""Make the pictures of README and the site, all from drawn pictures: `python -m docs.draw_pictures` (a minute; npm).

A terminal's screen is what a real one would show of the commands; report and page are screenshots by Chromium.
"""

import os
import pty
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from dataset.drawing.backgrounds import garden
from dataset.drawing.canvas import as_image
from dataset.drawing.draw import draw_dataset
from tests.browser.visits import Server, export_page, give, load
from tests.chromium import Page

REPOSITORY = Path(__file__).parent.parent
PICTURES = REPOSITORY / "docs" / "pictures"
COLUMNS = 100


def run_in_terminal(line: str, folder: Path) -> str:
    """What a terminal shows of a command: its colours, and of a line that is written again its last state."""
    keeper, terminal = pty.openpty()
    place = {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "PYTHONPATH": str(REPOSITORY)}
    words = ["bash", "-c", line.replace("fruitcnn", f"{sys.executable} -m fruitcnn", 1)]
    process = subprocess.Popen(
        words, cwd=folder, env={**os.environ, **place}, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            shown += os.read(keeper, 65536)
        except OSError:  # nobody has the other end any more
            break
    os.close(keeper)
    if process.wait():
        raise SystemExit(f"{line}: {shown.decode()}")
    states = (row.rstrip("\r").rpartition("\r")[2] for row in shown.decode().split("\n"))
    return "\n".join(states).rstrip()


def draw_terminal(folder: Path) -> None:
    """Training by features, and an answer to some pictures, with the middle of the training left out."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    first, second = "fruitcnn train photos/ --name mine", "fruitcnn identify new/ --model mine"
    training = run_in_terminal(first, folder).splitlines()
    finished = next(number for number, row in enumerate(training) if row.startswith("finished:"))
    told = training[: training.index("")] if "" in training else training[:6]
    answers = run_in_terminal(second, folder).splitlines()
    for row in (f"$ {first}", *told, "[...]", *training[finished:], "", f"$ {second}", *answers):
        console.print(Text.from_ansi(row), soft_wrap=True)
    console.save_svg(str(folder / "terminal.svg"), title="fruitcnn", theme=MONOKAI)
    shown = folder / "terminal.html"
    shown.write_text('<body style="margin:0"><img src="terminal.svg" width="1240" style="display:block">')
    with Page(width=1240, height=200) as page:
        page.open(shown)
        page.screenshot(PICTURES / "terminal.png")


def draw_report(folder: Path) -> None:
    """The report on other pictures, of whose labels one in thirty is wrong: its first screen, and its sections."""
    pictures = draw_dataset(folder / "test", per_class=60, size=128, seed=8)
    labels = [pictures[number - 60 * (number % 30 == 4)].parent.name for number in range(len(pictures))]
    rows = [f"{path.relative_to(folder)},{label}" for path, label in zip(pictures, labels, strict=True)]
    (folder / "test.csv").write_text("\n".join(["file,label", *rows]))
    run_in_terminal("fruitcnn evaluate mine --data test.csv --report evaluated", folder)
    with Page(width=1100, height=1000) as page:
        page.open(folder / "evaluated" / "report.html")
        page.screenshot(PICTURES / "report.png", whole=False)
        page.screenshot_of(PICTURES / "report_classes.png", "#confusion", "#classes")
        page.screenshot_of(PICTURES / "report_calibration.png", "#calibration", "#coverage")
        page.screenshot_of(PICTURES / "report_labels.png", "#labels")


def draw_page(folder: Path, pictures: list[Path]) -> None:
    """The browser page after some pictures were dropped onto it."""
    server = Server(export_page(REPOSITORY / "checkpoints" / "fruits-small", folder / "page"))
    with Page(width=900, height=908) as page:
        load(page, server)
        give(page, pictures)
        page.screenshot(PICTURES / "page.png", whole=False)
    server.stop()


def draw_evidence(folder: Path, picture: Path) -> None:
    """What the shipped model's answer comes from, laid over the picture."""
    explained = folder / "explained"
    run_in_terminal(f"fruitcnn identify {picture} --model fruits --explain {explained}", folder)
    with Image.open(next(explained.iterdir())) as image:
        image.convert("RGB").resize((480, 480), Image.Resampling.LANCZOS).save(PICTURES / "evidence.png")


def main() -> None:
    """Draw the photographs, train on them, take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    sample = REPOSITORY / "dataset" / "sample"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "pictures")  # its name is in what is shown
        draw_dataset(folder / "photos", per_class=40, size=128, seed=5)
        draw_dataset(folder / "drawn", per_class=2, size=128, seed=6)
        (folder / "new").mkdir()
        for number, path in enumerate(sorted(folder.glob("drawn/*/*.jpg"))):
            shutil.copy(path, folder / "new" / f"IMG_{number}.jpg")
        as_image(garden(128, np.random.default_rng(0))).save(folder / "new" / "IMG_6.jpg")
        draw_terminal(folder)
        draw_report(folder)
        draw_page(
            folder, [sample / "grape" / "grape_005.jpg", folder / "new" / "IMG_6.jpg", *sample.glob("s*/*_001.jpg")]
        )
        draw_evidence(folder, sample / "grape" / "grape_005.jpg")
    for path in PICTURES.glob("*.png"):
        with Image.open(path) as image:
            image.convert("RGB").quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
