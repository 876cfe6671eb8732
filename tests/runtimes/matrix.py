"""The programs of examples/, each in an environment of its own, run as a stranger would run them."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
# Outside the repository: some environments are hundreds of megabytes, and a fresh clone need not make them again.
CACHE = Path(os.environ.get("FRUITCNN_RUNTIMES") or Path.home() / ".cache/fruitcnn/runtimes")


class UnavailableError(Exception):
    """A runtime that can't be installed on this machine; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runtime:
    """A row of the matrix; examples/matrix.toml explains the fields."""

    name: str
    program: str
    graph: str
    tolerance: float
    pictures: float
    requirements: str = "project"
    overlay: str | None = None
    convert: str | None = None
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    install: tuple[str, ...] = ()
    quick: bool = False
    batch: bool = False

    @property
    def lines(self) -> int:
        """Lines of the program."""
        return len((EXAMPLES / self.program).read_text(encoding="utf-8").splitlines())


def load_matrix() -> list[Runtime]:
    """All rows, in the order of the table."""
    entries = tomllib.loads((EXAMPLES / "matrix.toml").read_text(encoding="utf-8"))["runtime"]
    return [Runtime(**entry) for entry in entries]


class Environment:
    """Where a runtime's program runs. Made when first asked for, kept until its requirements change."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        own = runtime.overlay or runtime.requirements
        self.folder = None if own == "project" else CACHE / Path(own).with_suffix("")
        if self.folder:
            self._install(EXAMPLES / own, self.folder)

    def run(self, program: str, folder: Path, pictures: Sequence[Path] = ()) -> str:
        """What the program prints for the pictures; an AssertionError with its complaint if it fails."""
        done = subprocess.run(
            [*self._command(program), str(folder), *map(str, pictures)],
            env=os.environ | {"PYTHONPATH": self._python_path()} | self.runtime.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{program}: {done.stderr[-2000:]}"
        return done.stdout

    def identify(self, folder: Path, pictures: Sequence[Path]) -> list[dict[str, float]]:
        """The probabilities by label of each picture, as the program printed them."""
        lines = self.run(self.runtime.program, folder, pictures).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def megabytes(self) -> float | None:
        """What the environment takes on disk; None for fruitcnn's own."""
        if self.folder is None:
            return None
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) / 1e6

    def _command(self, program: str) -> list[str]:
        if program.endswith(".mjs"):
            # Node looks for packages beside the program.
            assert self.folder is not None
            return ["node", str(shutil.copy(EXAMPLES / program, self.folder))]
        own = self.folder / "bin/python" if self.folder and not self.runtime.overlay else sys.executable
        return [str(own), str(EXAMPLES / program)]

    def _python_path(self) -> str:
        return str(self.folder) if self.runtime.overlay else ""

    def _install(self, requirements: Path, folder: Path) -> None:
        ready = folder / "ready"
        wanted = f"{sys.version}\n{self.runtime.install}\n{requirements.read_text(encoding='utf-8')}"
        if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for command in self._install_commands(requirements, folder):
            try:
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
            except (FileNotFoundError, subprocess.TimeoutExpired) as error:
                raise UnavailableError(str(error)) from error
            if done.returncode:
                raise UnavailableError((done.stderr or done.stdout).strip().splitlines()[-1])
        ready.write_text(wanted, encoding="utf-8")

    def _install_commands(self, requirements: Path, folder: Path) -> list[list[str]]:
        if requirements.suffix == ".json":
            for file in requirements.parent.glob("package*.json"):
                shutil.copy(file, folder)
            # No scripts: onnxruntime-node's would fetch what only a GPU needs, from elsewhere.
            return [["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]]
        pip = ["install", "--quiet", "--disable-pip-version-check", *self.runtime.install, "-r", str(requirements)]
        if self.runtime.overlay:
            return [[sys.executable, "-m", "pip", *pip, "--no-deps", "--target", str(folder)]]
        return [[sys.executable, "-m", "venv", str(folder)], [str(folder / "bin/python"), "-m", "pip", *pip]]
