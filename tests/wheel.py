"""Build the wheel and the sdist, check both, and use the wheel where nothing else is: python -m tests.wheel.

The environment is a bare one with the wheel and its extra `features`, in a temporary folder outside of the repository:
no torch, no Keras, no source tree; one after the other for each Python that fruitcnn supports and that is here.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dataset.drawing.draw import draw_dataset

REPOSITORY = Path(__file__).parent.parent
DIST = REPOSITORY / "dist"
PROGRAM = """
import sys
import fruitcnn
from fruitcnn import Identifier

run = fruitcnn.train("photographs", name="by-python", data__size=64)
answer = run.identifier.identify("photo.jpg")
assert answer.identify_label in run.identifier.card.labels + ("unknown",), answer
assert Identifier.load().card.labels == ("grape", "pineapple", "strawberry")
assert fruitcnn.evaluate(run, "photographs").metrics.figures["accuracy"].value > 0.9
assert not {"torch", "keras", "lightning"} & set(sys.modules)
"""
COMMANDS = (
    "fruitcnn --version",
    "fruitcnn info",
    "fruitcnn models",
    "fruitcnn identify photo.jpg",
    "fruitcnn evaluate fruits --data photographs --report evaluated",
    "fruitcnn train photographs --name mine",
    "fruitcnn identify photographs --model mine --format csv --output answers.csv",
)


def call(words: list[str], **more: object) -> None:
    """A command that has to succeed, with its CPU seconds and what it says."""
    print("$", " ".join(words), flush=True)
    before = os.times()
    done = subprocess.run(words, **more)  # type: ignore[call-overload]
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"  {used:.1f} CPU seconds", flush=True)
    if done.returncode:
        sys.exit(f"{words[0]} ended with {done.returncode}")


def build() -> Path:
    """The new wheel, checked as an index would check it."""
    for old in DIST.glob("fruitcnn-*"):
        old.unlink()
    call([sys.executable, "-m", "build", "--outdir", str(DIST), str(REPOSITORY)], stdout=subprocess.DEVNULL)
    [wheel] = DIST.glob("*.whl")
    call([sys.executable, "-m", "twine", "check", "--strict", *map(str, DIST.iterdir())])
    call([sys.executable, "-m", "check_wheel_contents", str(wheel)])
    return wheel


def pythons() -> list[str]:
    """This one, and one of each other version that pyproject.toml names, on the PATH or kept by pyenv."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    mine = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = [sys.executable]
    for version in re.findall(r"Python :: (3\.\d+)", text):
        kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        there = [str(path) for path in (*kept, shutil.which(f"python{version}")) if path and _runs(str(path))]
        found += there[:1] if version != mine else []
        if version != mine and not there:
            print(f"Python {version} is not here: not tried", flush=True)
    return found


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def use(wheel: Path, python: str, home: Path) -> None:
    """Install it into an environment of its own and walk through what people do first."""
    draw_dataset(home / "photographs", per_class=12, size=96, seed=1)
    (home / "photo.jpg").write_bytes((home / "photographs" / "grape" / "grape_001.jpg").read_bytes())
    programs = home / "environment" / "bin"
    call([python, "-m", "venv", str(programs.parent)])
    call([str(programs / "python"), "-m", "pip", "install", "--quiet", f"{wheel}[features]"])
    installed = sum(path.stat().st_size for path in programs.parent.rglob("*") if path.is_file())
    print(f"{installed / 1e6:.0f} MB with pip")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    place = {"cwd": home, "env": {**environment, "FRUITCNN_CACHE": str(home / "cache")}}
    start = time.monotonic()
    for line in COMMANDS:
        words = line.split()
        call([str(programs / words[0]), *words[1:]], **place)
    call([str(programs / "python"), "-W", "error", "-c", PROGRAM], **place)
    print(f"all of it in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    built = build()
    for each in pythons():
        with tempfile.TemporaryDirectory() as folder:
            use(built, each, Path(folder))
