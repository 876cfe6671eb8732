"""Training through the public API: the files of the contract, the same weights from the same seed, exact resumes."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fruitcnn import checkpoint, load_config
from fruitcnn.calibration.temperature import fit_safe_temperature
from fruitcnn.card import ModelCard
from fruitcnn.config import Config
from fruitcnn.dataset.records import Record
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.split import SplitRules
from fruitcnn.errors import FruitcnnError, UsageError
from fruitcnn.evaluation.measured import measure
from fruitcnn.evaluation.sample import Sample
from fruitcnn.export.keras_model import keras_outputs
from fruitcnn.model import TorchForward, build_model, keras
from fruitcnn.runs.calibrate import known_pictures, training_folds
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.results import write_results
from fruitcnn.runs.run import Run
from fruitcnn.runs.stages import train_config
from fruitcnn.runs.trained import Trained
from fruitcnn.training.data import PixelData
from fruitcnn.training.module import ClassifierModule
from fruitcnn.training.optimizer import build_schedule
from tests.conftest import REPOSITORY, TINY, skip_export
from tests.predictions import read_predictions
from tests.terminals import terminal

CPU = torch.device("cpu")


def same_weights(model: keras.Model, run: Path) -> bool:
    """Whether a run exported a model's weights, bit for bit; all but the last layer's, which are calibrated."""
    loaded = keras.saving.load_model(run / checkpoint.KERAS, compile=False)
    exported = {layer.name: layer for layer in loaded.layers if layer.weights}
    layers = [layer for layer in model.layers if layer.name in exported]
    assert len(layers) > 10
    return all(
        np.array_equal(mine, other)
        for layer in layers
        for mine, other in zip(layer.get_weights(), exported[layer.name].get_weights(), strict=True)
    )


def without_results(monkeypatch: pytest.MonkeyPatch) -> list[Trained]:
    """From now on a training ends before its files are written, with what it has in this list."""
    ended: list[Trained] = []
    monkeypatch.setattr("fruitcnn.training.stages.write_results", lambda trained, *_, **__: ended.append(trained))
    return ended


def quiet_train(config: Config, root: Path) -> Path:
    return train_config(config, Claim(root=root), device="cpu", print_line=lambda line: None)


def test_a_finished_run_holds_exactly_the_files_of_the_contract(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == {*checkpoint.FILES, checkpoint.LOGS}
    assert any(path.name.startswith("events.out") for path in (finished / checkpoint.LOGS).iterdir())
    with (finished / checkpoint.METRICS_BY_EPOCH).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["validation_accuracy"]) <= 1 and float(row["train_loss"]) > 0 for row in rows)
    with (finished / checkpoint.SPLIT).open() as file:
        split = list(csv.DictReader(file))
    assert len(split) == 48 and {row["split"] for row in split} == {"train", "validation"}


def test_the_metrics_are_those_of_the_exported_model(finished: Path, drawn: Path) -> None:
    metrics = json.loads((finished / checkpoint.METRICS).read_text())
    config = load_config(finished / checkpoint.CONFIG)
    data = scan(drawn, sizes=[config.data.size], rules=SplitRules(seed=config.seed))
    model = keras.saving.load_model(finished / checkpoint.KERAS, compile=False)
    for split in ("train", "validation"):
        pixels, targets = data.pixels(split, config.data.size)[:], data.targets(split)
        probabilities = keras_outputs(model, pixels)["probabilities"]
        found = measure(Sample.of(probabilities, targets), data.labels)
        assert found.confusion == metrics[split]["confusion"]
        assert found["loss"] == pytest.approx(metrics[split]["loss"], abs=1e-5)
        assert found.figures["accuracy"].interval == pytest.approx(metrics[split]["accuracy_95"])
    # The history is of the same (averaged) weights, before calibration: its loss is that of the logits as they were.
    logits = ModelCard.from_json((finished / checkpoint.CARD).read_text(), source="").temperature * np.log(
        probabilities
    )
    before = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(targets, dtype=torch.int64)).item()
    with (finished / checkpoint.METRICS_BY_EPOCH).open() as file:
        row = list(csv.DictReader(file))[metrics["best_epoch"] - 1]
    assert float(row["validation_accuracy"]) == pytest.approx(metrics["validation"]["accuracy"], abs=1e-5)
    assert float(row["validation_loss"]) == pytest.approx(before, abs=1e-4)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    finished: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = without_results(monkeypatch)
    quiet_train(load_config("quick", TINY, data=drawn), tmp_path)
    other = quiet_train(load_config("quick", [*TINY, "seed=1"], data=drawn), tmp_path)
    assert [same_weights(trained.network.model, finished) for trained in ended] == [True, False]
    assert other.name == "quick-2", "a taken name is numbered"


def run_python(module: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


# Everything that carries state or draws random numbers: dropout, mixing, averaging, schedule, best epoch.
STATEFUL = [*TINY, "train.epochs=4", "train.mixup=0.2", "train.cutmix=1.0", "model.dropout=0.3", "augment.cutout=0.5"]


def test_what_was_set_aside_calibrates_and_is_not_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_export(monkeypatch)
    settings = [*TINY, "data.calibration_share=0.25", "train.epochs=4", "train.batch_size=16"]
    config = load_config("quick", settings, data=REPOSITORY / "dataset" / "sample")
    run = quiet_train(config, tmp_path)
    rows = read_predictions(run / checkpoint.PREDICTIONS)
    temperature = json.loads((run / checkpoint.METRICS).read_text())["temperature"]

    data = scan(REPOSITORY / "dataset" / "sample", sizes=[32], rules=SplitRules(calibration=0.25))

    def best_temperature(split: str) -> float:
        shares, known = rows.readable(split).arrays()[0], known_pictures(data, split)
        return temperature * fit_safe_temperature(np.log(shares), known.targets, known.groups, at_least=0.05)

    assert temperature == pytest.approx(best_temperature("calibration"), rel=0.02)
    assert abs(best_temperature("validation") / temperature - 1) > 0.02, "or this test could not tell them apart"
    # Familiarity is a rank among the pictures that it was calibrated on: the k-th of 63 is at k of 64, which is exact
    # where a kept level lies.
    known, others = (
        np.array([row.familiarity for row in rows.rows if row.split == split])
        for split in ("calibration", "validation")
    )
    assert len(known) == 63
    far = [float(max(np.abs(ranks - level).min() for level in np.arange(1, 9) / 8)) for ranks in (known, others)]
    assert far[0] < 1e-6 and far[1] > 1e-3, far
    learned = {
        pixels.numpy().tobytes() for batch, _ in PixelData(data, config, CPU).train_dataloader() for pixels in batch
    }
    aside = [np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes() for pixels in data.pixels("calibration", 32)]
    assert len(aside) > 50 and not learned & set(aside)


def write_csv(path: Path, pictures: list[tuple[Record, str]]) -> Path:
    """Pictures with the split that each is to have."""
    lines = [f"{picture.path},{picture.label},{split}" for picture, split in pictures]
    path.write_text("\n".join(["file,label,split", *lines]))
    return path


def test_networks_that_were_trained_without_a_fold_calibrate(
    finished: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = scan(drawn, sizes=[32])
    whole = write_csv(tmp_path / "whole.csv", [(picture, picture.split) for picture in data.pictures])
    settings = [*TINY, "train.batch_size=16", "train.best=last", f"data.outside={drawn / 'grape'}"]
    run = quiet_train(load_config("quick", [*settings, "data.calibration_folds=3"], data=whole), tmp_path / "run")
    rows = read_predictions(run / checkpoint.PREDICTIONS).rows
    learned = [row for row in rows if row.split == "train"]
    said, targets = np.array([row.held_out for row in learned]), data.targets("train")
    temperature = json.loads((run / checkpoint.METRICS).read_text())["temperature"]
    again = fit_safe_temperature(np.log(said), targets, known_pictures(data).groups, at_least=0.05)
    assert temperature == pytest.approx(min(20, temperature * again), rel=0.02)
    assert all(not row.held_out for row in rows if row.split == "validation")
    own = json.loads((run / checkpoint.METRICS).read_text())["held_out"]
    assert own["images"] == len(said) and own["accuracy"] == pytest.approx((said.argmax(1) == targets).mean())

    warned = ["these pictures chose the epoch" in (one / checkpoint.REPORT).read_text() for one in (finished, run)]
    assert warned == [True, False]

    # A network that has never heard of the last fold says the same of it.
    folds = training_folds(data, 3, seed=0)
    split = {p.file: "test" if fold == 2 else "train" for p, fold in zip(data.in_split("train"), folds, strict=True)}
    rest = write_csv(
        tmp_path / "rest.csv", [(picture, split.get(picture.file, "validation")) for picture in data.pictures]
    )
    skip_export(monkeypatch)
    other = quiet_train(load_config("quick", settings, data=rest), tmp_path / "other")
    softer = json.loads((other / checkpoint.METRICS).read_text())["temperature"] / temperature
    shares, _ = read_predictions(other / checkpoint.PREDICTIONS).readable("test").arrays()
    sharpened = torch.from_numpy(np.log(shares)).mul(softer).softmax(1).numpy()
    assert np.abs(sharpened - said[folds == 2]).max() < 1e-4 < np.abs(sharpened - 1 / 3).max()


@pytest.mark.parametrize(
    ("number", "setting", "file", "done"),
    [
        # What is outside does not matter here: pictures that a network meets beside its own.
        (signal.SIGINT, "data.outside={drawn}/grape", checkpoint.LAST, "1 of 4"),
        (signal.SIGTERM, "data.calibration_folds=2", f"{checkpoint.FOLDS}/1/{checkpoint.LAST}", "5 of 12"),
    ],
    ids=["SIGINT-outside", "SIGTERM-in-a-fold"],
)
def test_an_interrupted_run_is_resumed_to_the_same_weights(
    number: int, setting: str, file: str, done: str, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stateful = [*STATEFUL, setting.format(drawn=drawn)]
    settings = [argument for setting in stateful for argument in ("--set", setting)]
    arguments = ["train", drawn, "-r", "quick", "--device", "cpu", *settings]
    folder = tmp_path / "checkpoints" / "quick"
    stopped = run_python("tests.stopped", int(number), file, *arguments, cwd=tmp_path)
    errors = stopped.stderr

    assert stopped.returncode == 128 + number, errors
    assert f"stopped after {done} epochs" in errors and "--name quick --resume" in errors and "Traceback" not in errors
    assert not (folder / checkpoint.KERAS).exists()
    orphan = folder / Path(file).parent / ".last.0123abcd.fruitcnn-tmp.ckpt"
    orphan.write_text("as a killed process leaves it")
    resumed = run_python("fruitcnn", *arguments, "--name", "quick", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert not orphan.exists()

    ended = without_results(monkeypatch)
    straight = quiet_train(load_config("quick", stateful, data=drawn), tmp_path / "straight")
    assert same_weights(ended[0].network.model, folder)
    assert ended[0].calibration.temperature == json.loads((folder / checkpoint.METRICS).read_text())["temperature"]
    assert (folder / checkpoint.FOLDS).is_dir() == file.startswith(checkpoint.FOLDS)
    assert {path.name for path in folder.iterdir()} - {checkpoint.FOLDS} == {*checkpoint.FILES, checkpoint.LOGS}

    def rows(run: Path) -> list[list[str]]:
        with (run / checkpoint.METRICS_BY_EPOCH).open() as file:
            return [row[:-1] for row in csv.reader(file)]

    assert rows(folder) == rows(straight), "all but the seconds"


@pytest.mark.parametrize("asked", [1, 2])
def test_a_signal_after_the_last_epoch_ends_the_run_before_the_next_step(
    asked: int, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == asked:
            raise InterruptedError

    def results(trained: Trained, run: Run) -> None:
        monkeypatch.setattr(run.interruption, "check", check)
        write_results(trained, run)

    monkeypatch.setattr("fruitcnn.training.stages.write_results", results)
    with pytest.raises(InterruptedError):
        quiet_train(load_config("quick", [*TINY, "train.epochs=1"], data=drawn), tmp_path)
    there = {path.name for path in (tmp_path / "quick").iterdir()}
    assert (checkpoint.ONNX in there) == (asked == 2) and checkpoint.PREDICTIONS not in there


def test_one_bar_counts_the_epochs_of_all_networks(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_results(monkeypatch)
    config = load_config("quick", [*TINY, "train.epochs=1", "data.calibration_folds=2"], data=drawn)
    with terminal(monkeypatch) as lines:
        quiet_train(config, tmp_path)
    shown = [line for line in lines if line.startswith("epoch ")]
    assert all(len(line) <= 79 for line in lines)
    # Each network's first line says how much was done before it: the reading too. What follows is a part of the whole.
    first = [next(line for line in shown if line.startswith(f"epoch {number} of 3")) for number in (1, 2, 3)]
    assert [line.partition("%")[0][-3:] for line in first] == [" 10", " 38", " 67"]
    assert not lines[-1].strip()


def test_what_the_epochs_will_take_is_told_once_when_steps_are_measured(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_results(monkeypatch)
    said = list[str]()
    config = load_config("quick", [*TINY, "train.epochs=3"], data=drawn)
    train_config(config, Claim(root=tmp_path), device="cpu", print_line=said.append)
    # Nine steps are more than one epoch of these pictures, and less than two.
    (line,) = (line for line in said if ": about " in line)
    assert re.fullmatch(r"2 epochs: about \d+ seconds?", line)


def test_a_gpu_that_is_not_there_is_not_replaced_in_silence(drawn: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="no GPU"):
        train_config(load_config("quick", TINY, data=drawn), Claim(root=tmp_path), device="gpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("device", "accelerator", "precision"), [("cpu", "cpu", "32-true"), ("cuda", "gpu", "bf16-mixed")]
)
def test_a_device_has_its_precision(
    device: str, accelerator: str, precision: str, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def trainer(**options: object) -> None:
        asked.update(options)
        raise InterruptedError

    monkeypatch.setattr("fruitcnn.training.fit.lightning.Trainer", trainer)
    monkeypatch.setattr("fruitcnn.training.stages.training_device", lambda wanted: torch.device(device))
    with pytest.raises(InterruptedError):
        quiet_train(load_config("quick", TINY, data=drawn), tmp_path)
    assert (asked["accelerator"], asked["devices"], asked["precision"]) == (accelerator, 1, precision)


def test_a_diverged_run_says_so(drawn: Path, tmp_path: Path) -> None:
    config = load_config("quick", [*TINY, "train.learning_rate=1e30", "train.epochs=1"], data=drawn)
    with pytest.raises(FruitcnnError, match=r"lower train\.learning_rate"):
        quiet_train(config, tmp_path)


def test_class_balance_weighs_rare_classes_up_and_keeps_the_mean() -> None:
    config = load_config("quick", ["train.class_balance=1.0"]).train
    net = TorchForward(build_model("fruit_net", classes=3, size=32, dropout=0.0))
    weight = ClassifierModule(net, config, class_counts=[10, 30, 60], seed=0).class_weight
    assert weight.tolist() == pytest.approx([10 / 3, 10 / 9, 5 / 9])
    even = ClassifierModule(net, load_config("quick").train, class_counts=[10, 30, 60], seed=0).class_weight
    assert even.tolist() == [1.0, 1.0, 1.0]
    missing = ClassifierModule(net, config, class_counts=[0, 40, 60], seed=0).class_weight
    assert missing.isfinite().all(), "of a class that lies in one fold"


@pytest.mark.parametrize("steps", [1, 2, 5, 9, 10, 50])
def test_one_cycle_rises_to_the_rate_and_falls_to_nothing(steps: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = build_schedule(optimizer, load_config("quick").train, steps=steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] <= 0.003 / 20 and max(rates) <= 0.003
    if steps >= 5:
        assert max(rates) > 0.0025 and rates[-1] < 0.0002


def test_inverse_time_decay_is_the_original_one() -> None:
    config = load_config("simple_cnn").train
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=config.learning_rate)
    schedule = build_schedule(optimizer, config, steps=9000)
    for _ in range(1000):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 / (1 + 1e-3 / 200 * 1000))


def test_batches_hold_every_picture_once(drawn: Path) -> None:
    config = load_config("quick", TINY, data=drawn)
    dataset = scan(drawn, sizes=[32])
    data = PixelData(dataset, config, torch.device("cpu"))
    batches = list(data.train_dataloader())
    pictures = torch.cat([pixels for pixels, _ in batches])
    assert len(batches) == len(data.train_dataloader()) == 5 and len(pictures) == 40
    assert len(torch.unique(pictures.flatten(1), dim=0)) == 40, "none twice"
    seen = torch.cat([targets for _, targets in data.val_dataloader()])
    assert seen.tolist() == dataset.targets("validation").tolist()
