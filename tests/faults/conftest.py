"""Commands as processes of their own, with a check after each that no input was changed; and the table at the end."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from fruitcnn.card import METADATA_KEY, ModelCard
from tests.conftest import REPOSITORY

SHIPPED = REPOSITORY / "checkpoints" / "fruits"
SAMPLE = REPOSITORY / "dataset" / "sample"
Command = Callable[..., subprocess.CompletedProcess[str]]
Model = Callable[..., Path]


def digests(folder: Path) -> dict[Path, str]:
    """The sha256 of every regular file below a folder."""
    files = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


@pytest.fixture(autouse=True)
def inputs_unchanged(tmp_path: Path) -> Iterator[set[Path]]:
    """After each test the shipped model, the sample and its own inputs hold what they held; the set: exceptions."""
    before = digests(SHIPPED) | digests(SAMPLE)
    replaced: set[Path] = set()
    yield replaced
    assert digests(SHIPPED) | digests(SAMPLE) == before


@pytest.fixture
def command(tmp_path: Path, inputs_unchanged: set[Path]) -> Command:
    """Run `fruitcnn ...` in the test's folder; nothing that lay there before may be changed by it.

    locked: file permissions count, even for root; limits: `ulimit` options; environment: further variables.
    """

    def run(
        *arguments: object,
        stdin: bytes = b"",
        locked: bool = False,
        limits: str = "",
        redirect: str = "",
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "fruitcnn", *map(str, arguments)]
        if locked:
            words = [*without_root_rights(), *words]
        if limits or redirect:
            words = ["sh", "-c", f'{f"ulimit {limits}; " if limits else ""}exec "$@" {redirect}', "sh", *words]
        before = digests(tmp_path)
        done = subprocess.run(
            words, input=stdin, capture_output=True, cwd=tmp_path, timeout=300, env=os.environ | (environment or {})
        )
        after = digests(tmp_path)
        changed = {file for file, digest in before.items() if after.get(file) != digest}
        assert changed <= inputs_unchanged, "a command changed a file that was there before it"
        assert b"Traceback" not in done.stderr and b"internal error" not in done.stderr, done.stderr.decode()
        return subprocess.CompletedProcess(
            words, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode()
        )

    return run


def without_root_rights() -> list[str]:
    """What to put before a command so that file permissions hold for it."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may read everything, and setpriv is not here to change that")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """One good picture in the test's folder."""
    return Path(shutil.copy(SAMPLE / "grape" / "grape_000.jpg", tmp_path / "good.jpg"))


@pytest.fixture
def tiny_model(tmp_path: Path) -> Model:
    """Write a small ONNX file that answers every picture with `answer`, and a card."""

    def write(
        answer: list[float],
        *,
        labels: tuple[str, ...] = ("grape", "pineapple", "strawberry"),
        batch: int | str = "batch",
        external: bool = False,
        name: str = "tiny.onnx",
    ) -> Path:
        weight = numpy_helper.from_array(np.zeros((3, len(answer)), np.float32), "weight")
        bias = numpy_helper.from_array(np.array(answer, np.float32), "bias")
        nodes = [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weight", "bias"], ["probabilities"]),
        ]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 8, 8])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, len(answer)])],
            [weight, bias],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        card = ModelCard(labels=labels, size=8).to_json()
        helper.set_model_props(model, {METADATA_KEY: card})
        options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0} if external else {}
        onnx.save(model, tmp_path / name, **options)
        return tmp_path / name

    return write


def pictures(folder: Path, count: int) -> list[Path]:
    """A folder of small different pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"picture_{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (16, 16), (number % 256, number // 256 % 256, 90)).save(path)
    return paths


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The fault table: each promise with how many of its cases held."""
    counts: dict[str, list[int]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            if "tests/faults/" in report.nodeid and (outcome != "passed" or report.when == "call"):
                row = report.nodeid.partition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
                held = counts.setdefault(row, [0, 0, 0])
                held[{"passed": 0, "skipped": 2}.get(outcome, 1)] += 1
    if not counts or os.environ.get("FAULT_TABLE") != "1":
        return
    terminalreporter.write_sep("=", "fault table")
    for row, (passed, failed, skipped) in counts.items():
        rest = f"  {skipped} skipped" if skipped else ""
        terminalreporter.write_line(f"{passed:>5} of {passed + failed:<5} {row}{rest}")
    passed, failed = (sum(held[i] for held in counts.values()) for i in (0, 1))
    terminalreporter.write_line(f"{len(counts)} kinds of fault: {passed} held, {failed} failed")
