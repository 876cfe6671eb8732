"""Signals at any moment: the right status, no traceback, nothing left half written."""

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.faults.conftest import pictures
from tests.tiny import CARD, write_picture, write_tiny_model

CAUGHT = 1 << (signal.SIGTERM - 1)


def started(*arguments: object, cwd: Path) -> "subprocess.Popen[bytes]":
    """Start the command with signals as a terminal would; returns as soon as it listens to them."""

    def as_in_a_terminal() -> None:
        # A shell in the background ignores the one, nohup the other, and children inherit that.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    words = [sys.executable, "-m", "fruitcnn", *map(str, arguments)]
    process = subprocess.Popen(
        words, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=as_in_a_terminal
    )
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("only Linux says which signals a process listens to")
    while process.poll() is None:
        caught = next((line for line in status.read_text().splitlines() if line.startswith("SigCgt")), "SigCgt: 0")
        if int(caught.split()[1], 16) & CAUGHT:
            break
        time.sleep(0.001)
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_signal_while_it_starts(number: signal.Signals, expected: int, delay: float, tmp_path: Path) -> None:
    paths = pictures(tmp_path / "folder", 300)
    process = started("identify", *["folder"] * 20, "-m", "fruits", "--output", "out.csv", cwd=tmp_path)
    time.sleep(delay)
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == expected
    # What had been identified by then stays, and that is said.
    stopped = ["out.csv.partial"] if message else []
    assert message in (b"", b"out.csv.partial has the rows so far: go on with --resume\n")
    assert names(tmp_path) == ["folder", *stopped] and len(names(tmp_path / "folder")) == len(paths)


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As of a process that nohup has started."""
    code = (
        "import os, signal; from fruitcnn.signals import end_on_signals; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    )
    code += "; signal.signal(signal.SIGHUP, signal.SIG_IGN); end_on_signals()"
    code += "; os.kill(os.getpid(), signal.SIGHUP); print('still there')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "still there\n")


def test_a_signal_while_a_module_is_half_imported() -> None:
    half = "sys.modules['fruitcnn.temporaries'] = types.ModuleType('fruitcnn.temporaries')"
    code = f"import sys, types; {half}; from fruitcnn.signals import _stop; _stop(15, None)"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (143, b"")


def test_a_signal_that_two_threads_get_is_told_once(tmp_path: Path) -> None:
    """The one that watches, and the main one between two pictures."""
    code = """
import os, time
from fruitcnn.signals import doing_last, end_inside_libraries, end_on_signals

def last():
    time.sleep(0.3)
    os.write(2, b"told ")
    return ""

end_on_signals()
end_inside_libraries()
with doing_last(last):
    os.kill(os.getpid(), 15)
    while True:
        time.sleep(0.01)
"""
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (143, b"told ")


def test_a_signal_while_nobody_reads_what_is_said(tmp_path: Path) -> None:
    code = """
import contextlib, os, time
from fruitcnn.signals import doing_last, end_on_signals

os.set_blocking(2, False)
with contextlib.suppress(BlockingIOError):
    while True:
        os.write(2, b".")
os.set_blocking(2, True)
end_on_signals()
with doing_last(lambda: "told"):
    os.kill(os.getpid(), 15)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process:
        try:
            assert process.wait(timeout=30) == 143
        finally:
            process.kill()


def test_a_signal_in_the_middle_of_writing(tmp_path: Path) -> None:
    pictures(tmp_path / "folder", 300)
    (tmp_path / "out.csv").write_text("old")
    process = started("identify", *["folder"] * 40, "-m", "fruits", "--output", "out.csv", "--force", cwd=tmp_path)
    while process.poll() is None and not list(tmp_path.glob("out.csv.partial")):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 143
    stopped = ["out.csv.partial"] if message else []
    assert names(tmp_path) == ["folder", "out.csv", *stopped] and (tmp_path / "out.csv").read_text() == "old"


def test_a_signal_while_an_output_is_written(tmp_path: Path) -> None:
    code = """
import os
from pathlib import Path
from fruitcnn.outputs import written_whole
from fruitcnn.signals import end_on_signals

end_on_signals()
with written_whole(Path("out.csv")) as path:
    path.write_text("half")
    os.kill(os.getpid(), 15)
"""
    (tmp_path / "out.csv").write_text("old")
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 143
    assert names(tmp_path) == ["out.csv"] and (tmp_path / "out.csv").read_text() == "old"


@pytest.mark.parametrize("trial", [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, 40))])
def test_kill_while_an_output_is_written(trial: int, tmp_path: Path) -> None:
    pictures(tmp_path / "folder", 60)
    (tmp_path / "out.csv").write_text("old")
    process = started("identify", *["folder"] * 3, "--output", "out.csv", "--force", cwd=tmp_path)
    while process.poll() is None and not list(tmp_path.glob("out.csv.partial")):
        time.sleep(0.001)
    time.sleep(trial * 0.005)
    process.kill()
    process.communicate(timeout=60)
    text = (tmp_path / "out.csv").read_text()
    assert text == "old" or len(text.splitlines()) == 180


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_a_network_computes(number: signal.Signals, expected: int, tmp_path: Path) -> None:
    card = dataclasses.replace(CARD, outputs=CARD.outputs[:1])
    model = onnx.load(write_tiny_model(tmp_path / "slow.onnx", card))
    # Hours of work: five thousand products of large matrices, one after the other.
    shape = onnx.numpy_helper.from_array(np.array([2000, 2000]), "shape")
    model.graph.initializer.append(shape)
    nodes = [onnx.helper.make_node("Expand", ["mean", "shape"], ["product 0"])]
    for step in range(5000):
        nodes.append(onnx.helper.make_node("MatMul", [f"product {step}"] * 2, [f"product {step + 1}"]))
    nodes.append(onnx.helper.make_node("ReduceMean", ["product 5000"], ["end"], keepdims=0))
    nodes.append(onnx.helper.make_node("Mul", ["end", "end"], ["ended"]))
    for node in model.graph.node:
        node.input[:] = ["logits and end" if name == "logits" else name for name in node.input]
    nodes.append(onnx.helper.make_node("Add", ["logits", "ended"], ["logits and end"]))
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    model.graph.node.remove(softmax)
    model.graph.node.extend([*nodes, softmax])
    (tmp_path / "slow.onnx").write_bytes(model.SerializeToString())
    write_picture(tmp_path / "red.png", (240, 60, 60))
    process = started("identify", "red.png", "--model", "slow.onnx", "--verbose", "--output", "out.csv", cwd=tmp_path)
    assert process.stderr is not None and b"identified by" in process.stderr.readline(), "it is loaded"
    time.sleep(0.5)
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == expected and message == b""
    assert names(tmp_path) == ["red.png", "slow.onnx"]
