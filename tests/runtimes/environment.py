"""Where a program of examples/ runs: an environment of its own, made when first asked for and then kept."""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from tests.runtimes.matrix import EXAMPLES, Runtime

# Outside the repository: some environments are hundreds of megabytes, and a fresh clone need not make them again.
CACHE = Path(os.environ.get("FRUITCNN_RUNTIMES") or Path.home() / ".cache/fruitcnn/runtimes")


class UnavailableError(Exception):
    """A runtime that can't be installed on this machine; the message says why."""


class Environment:
    """A runtime's packages, made when first asked for, kept until its requirements change."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        missing = [tool for tool in runtime.tools if not shutil.which(tool)]
        if missing:
            raise UnavailableError(f"no {', '.join(missing)} on this machine")
        self.folder = None if runtime.project else CACHE / Path(runtime.requirements).with_suffix("")
        if self.folder:
            with _locked(self.folder):
                self._install(EXAMPLES / runtime.requirements, self.folder)

    def run(self, program: str, folder: Path, pictures: Sequence[Path] = (), *, core: int | None = None) -> str:
        """What the program prints for the pictures; an AssertionError with its complaint if it fails.

        core: the one processor that it may use; None: all.
        """
        done = subprocess.run(
            [*self._command(program), str(folder), *map(str, pictures)],
            env=os.environ | {"PYTHONPATH": self._python_path()} | self.runtime.environment,
            capture_output=True,
            text=True,
            timeout=3600,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
        )
        assert done.returncode == 0, f"{program}: {done.stderr[-2000:]}"
        return done.stdout

    def identify(self, folder: Path, pictures: Sequence[Path]) -> list[dict[str, float]]:
        """The probabilities by label of each picture, as the program printed them."""
        lines = self.run(self.runtime.program, folder, pictures).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def cpu_seconds(self, folder: Path, pictures: Sequence[Path]) -> float:
        """What the program and its own processes take of one processor, from start to end."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.run(self.runtime.program, folder, pictures, core=0)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    def version(self) -> str:
        """The version of the runtime's package."""
        if self._node:
            file = self._folder / "node_modules" / self.runtime.package / "package.json"
            return str(json.loads(file.read_text(encoding="utf-8"))["version"])
        return self._distributions()[self.runtime.package].version

    def megabytes(self) -> float:
        """What the program's requirements take on disk, with all that they require."""
        if self._node:
            files: Iterator[Path] = (self._folder / "node_modules").rglob("*")
        else:
            installed = self._distributions()
            text = (EXAMPLES / self.runtime.requirements).read_text(encoding="utf-8")
            needed = _closure([Requirement(line) for line in text.splitlines()], installed)
            files = (Path(str(file.locate())) for name in needed for file in installed[name].files or ())
        return sum(file.stat().st_size for file in files if file.is_file()) / 1e6

    @property
    def _node(self) -> bool:
        return self.runtime.requirements.endswith(".json")

    @property
    def _folder(self) -> Path:
        assert self.folder is not None
        return self.folder

    def _distributions(self) -> dict[str, importlib.metadata.Distribution]:
        path = sys.path if self.runtime.project else [str(self.folder), *map(str, self._folder.glob("lib/*/*packages"))]
        if self.runtime.overlay:
            path = [*path, *sys.path]
        return {_normal(found.name): found for found in reversed([*importlib.metadata.distributions(path=path)])}

    def _command(self, program: str) -> list[str]:
        if program.endswith(".mjs"):
            # Node looks for packages beside the program.
            return ["node", str(shutil.copy(EXAMPLES / program, self._folder))]
        own = sys.executable if self.runtime.project or self.runtime.overlay else str(self._folder / "bin/python")
        return [own, str(EXAMPLES / program)]

    def _python_path(self) -> str:
        return str(self.folder) if self.runtime.overlay else ""

    def _install(self, requirements: Path, folder: Path) -> None:
        ready = folder / "ready"
        wanted = f"{sys.version}\n{requirements.read_text(encoding='utf-8')}"
        if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for command in self._install_commands(requirements, folder):
            try:
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1200)
            except (FileNotFoundError, subprocess.TimeoutExpired) as error:
                raise UnavailableError(str(error)) from error
            if done.returncode:
                raise UnavailableError((done.stderr or done.stdout).strip().splitlines()[-1])
        ready.write_text(wanted, encoding="utf-8")

    def _install_commands(self, requirements: Path, folder: Path) -> list[list[str]]:
        if self._node:
            for file in requirements.parent.glob("package*.json"):
                shutil.copy(file, folder)
            # No scripts: onnxruntime-node's would fetch what only a GPU needs, from elsewhere.
            return [["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]]
        pip = ["install", "--quiet", "--disable-pip-version-check", "--no-compile", "-r", str(requirements)]
        if self.runtime.overlay:
            return [[sys.executable, "-m", "pip", *pip, "--no-deps", "--target", str(folder)]]
        return [[sys.executable, "-m", "venv", str(folder)], [str(folder / "bin/python"), "-m", "pip", *pip]]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time makes an environment: tests run side by side, and rows share environments."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _closure(wanted: list[Requirement], installed: dict[str, importlib.metadata.Distribution]) -> set[str]:
    """The names of the packages that are wanted, and of all that these want."""
    found: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        name = _normal(requirement.name)
        if name in installed and name not in found and (not requirement.marker or requirement.marker.evaluate()):
            found.add(name)
            wanted += [Requirement(line) for line in installed[name].requires or () if "extra ==" not in line]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
