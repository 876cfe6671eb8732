"""All that needs a GPU, in at most eight minutes: does it work there, and how fast is it?

Runs the tests marked `gpu`; a training to its end; one that is interrupted on the GPU, goes on on the CPU and ends on
the GPU; an export; the comparison with a loop by hand; and measures images a second and memory of fruit_net, eager and
compiled. Writes one table, gpu.md, and all that was printed, gpu.log, to the folder $OUT (default: this one). Exit
status 1 where a step failed or where there is no GPU.
"""

import csv
import dataclasses
import functools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TextIO

import torch
from torch.nn import functional

from fruitcnn.config import Config, load_config

REPOSITORY = Path(__file__).parent.parent
SECONDS = 480
EPOCHS = 100  # of the run that is interrupted twice: enough to be caught in the middle
CLASSES = 3


class StepError(Exception):
    """A step that did not do what it should."""


@dataclasses.dataclass
class Bench:
    """Runs steps one after another, in `folder`, on `device` (gpu; cpu to try the script itself)."""

    folder: Path
    device: str
    log: TextIO
    rows: list[tuple[str, str, float]] = dataclasses.field(default_factory=list)
    failed: int = 0
    end: float = dataclasses.field(default_factory=lambda: time.monotonic() + SECONDS)

    def step(self, what: str, run: Callable[["Bench"], str]) -> None:
        """One row of the table."""
        start = time.monotonic()
        try:
            result = run(self)
        except (StepError, subprocess.TimeoutExpired, OSError, RuntimeError, ValueError) as error:
            self.failed += 1
            result = f"FAILED: {' '.join(str(error).split())[-300:]}"
        self.rows.append((what, result, time.monotonic() - start))
        print(f"{what}: {result} ({self.rows[-1][2]:.0f} s)", flush=True)

    def start(self, *command: object) -> subprocess.Popen[str]:
        """A Python process in the folder."""
        # Packages may have been carried along in a folder that PYTHONPATH names already.
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def finish(self, process: subprocess.Popen[str], *, status: int = 0) -> str:
        """What a process printed; StepError where its exit status is another one."""
        try:
            printed, _ = process.communicate(timeout=max(1.0, self.end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        self.log.write(f"$ {' '.join(map(str, process.args))}\n{printed}\n")  # type: ignore[arg-type]
        if process.returncode != status:
            raise StepError(f"exit status {process.returncode} instead of {status}: {printed}")
        return printed

    def train(self, *arguments: object, device: str | None = None) -> subprocess.Popen[str]:
        """`fruitcnn train -r quick` on the embedded pictures."""
        data = REPOSITORY / "dataset" / "sample"
        return self.start(
            "-m", "fruitcnn", "train", data, "-r", "quick", "--device", device or self.device, *arguments
        )  # fmt: skip


def marked_tests(bench: Bench) -> str:
    printed = bench.finish(
        bench.start("-m", "pytest", "-q", "-m", "gpu", "--rootdir", REPOSITORY, REPOSITORY / "tests")
    )
    return printed.strip().splitlines()[-1].strip("= ")


def whole_run(bench: Bench) -> str:
    printed = bench.finish(bench.train("--name", "whole"))
    accuracy = re.search(r"accuracy [\d.]+%", printed)
    return f"finished, {accuracy.group() if accuracy else 'no accuracy'}; {_parity(printed)}"


def there_and_back(bench: Bench) -> str:
    """Interrupted on the GPU, resumed and interrupted on the CPU, resumed on the GPU to the end."""
    longer = ["--name", "moved", "--set", f"train.epochs={EPOCHS}"]
    last = bench.folder / "checkpoints" / "moved" / "last.ckpt"
    done = []
    for device, resume in ((bench.device, []), ("cpu", ["--resume"])):
        process = bench.train(*longer, *resume, device=device)
        _interrupt_after_save(process, last)
        done.append(bench.finish(process, status=130).strip().splitlines()[-1].partition("stopped ")[2].split(";")[0])
    bench.finish(bench.train(*longer, "--resume"))
    with last.with_name("metrics.csv").open(newline="") as file:
        epochs = [int(row["epoch"]) for row in csv.DictReader(file)]
    if epochs != list(range(1, EPOCHS + 1)):
        raise StepError(f"epochs in metrics.csv: {epochs}")
    return f"{bench.device}: {done[0]}; cpu: {done[1]}; {bench.device}: finished, each epoch once"


def _interrupt_after_save(process: subprocess.Popen[str], last: Path) -> None:
    before = last.stat().st_mtime_ns if last.exists() else 0
    while process.poll() is None and not (last.exists() and last.stat().st_mtime_ns > before):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)


def exported(bench: Bench) -> str:
    return _parity(bench.finish(bench.start("-m", "fruitcnn", "export", bench.folder / "checkpoints" / "whole")))


def _parity(printed: str) -> str:
    lines = [line for line in printed.splitlines() if "differ" in line or "equal" in line]
    return " ".join(lines[-1].split()) if lines else "no word about parity"


def against_a_loop(bench: Bench) -> str:
    """What benchmarks/train_step.py says."""
    steps = ("--steps", "200", "--rounds", "5") if bench.device == "gpu" else ("--steps", "2", "--rounds", "2")
    script = REPOSITORY / "benchmarks" / "train_step.py"
    printed = bench.finish(bench.start(script, "--device", bench.device, *steps)).strip().splitlines()
    return "; ".join(" ".join(line.split()) for line in printed[-3:])


@dataclasses.dataclass
class Augmented:
    """A loader of `steps` batches of random pictures [N, 3, size, size] on the device, each augmented when asked."""

    config: Config
    size: int
    device: torch.device
    steps: int

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        from fruitcnn.training.augmentation import augment

        count = self.config.train.batch_size
        shape = (count, 3, self.size, self.size)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, device=self.device)
        shares = functional.one_hot(torch.arange(count, device=self.device) % CLASSES, CLASSES).float()
        for _ in range(self.steps):
            views = augment(pixels, self.config.augment, size=self.config.data.size)
            yield views.contiguous(memory_format=torch.channels_last), shares


def fruit_net(bench: Bench, *, compiled: str = "off") -> str:
    """Images a second of a training step with its augmentation, and the memory that it takes at its peak.

    compiled: train.compile.
    """
    # Here, so that a machine without a GPU need not wait for them.
    from train_step import lightning_seconds

    from fruitcnn.model import TorchForward, build_model, keras
    from fruitcnn.training.module import ClassifierModule

    config = load_config("fruit_net", {"train.compile": compiled})
    device = torch.device("cuda" if bench.device == "gpu" else "cpu")
    steps = 203 if bench.device == "gpu" else 5
    with keras.device(device.type):
        net = TorchForward(
            build_model("fruit_net", classes=CLASSES, size=config.data.size, dropout=config.model.dropout)
        )
        module = ClassifierModule(net, config.train, class_counts=[1, 1, 1], seed=0)
        loader = Augmented(config, config.data.training_size or config.data.size, device, steps)
        if bench.device == "gpu":
            torch.cuda.reset_peak_memory_stats()
        seconds = lightning_seconds(module, loader, device)  # type: ignore[arg-type]
    rate = config.train.batch_size * (steps - 3) / seconds
    memory = torch.cuda.max_memory_allocated() / 2**20 if bench.device == "gpu" else 0
    return (
        f"{rate:,.0f} images/s at {config.data.size} px, batch {config.train.batch_size}, "
        f"augmentation included; {memory:,.0f} MiB at the peak"
    )


STEPS = {
    "tests marked gpu": marked_tests,
    "train quick": whole_run,
    "GPU to CPU and back": there_and_back,
    "export": exported,
    "benchmarks/train_step.py": against_a_loop,
    "fruit_net": fruit_net,
    "fruit_net, compiled": functools.partial(fruit_net, compiled="default"),
    "fruit_net, compiled, CUDA graphs": functools.partial(fruit_net, compiled="cudagraphs"),
}


def measure(out: Path, device: str = "gpu") -> int:
    """Write gpu.md and gpu.log to `out`; the number of steps that failed."""
    out.mkdir(parents=True, exist_ok=True)
    name = torch.cuda.get_device_name() if device == "gpu" else "no GPU, the CPU instead"
    with tempfile.TemporaryDirectory() as folder, (out / "gpu.log").open("w", encoding="utf-8") as log:
        bench = Bench(Path(folder), device, log)
        for what, run in STEPS.items():
            bench.step(what, run)
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}, lightning {metadata.version('lightning')}"
    rows = [f"| {what} | {result.replace('|', '/')} | {seconds:.0f} |" for what, result, seconds in bench.rows]
    table = [f"{name}; {versions}", "", "| step | result | seconds |", "|---|---|---|", *rows]
    (out / "gpu.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    print(f"written: {out / 'gpu.md'}")
    return bench.failed


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("no GPU that torch can use here: nothing was measured")
    sys.exit(1 if measure(Path(os.environ.get("OUT") or ".").resolve()) else 0)


if __name__ == "__main__":
    main()
