"""A signal during a training, and what a resume reads: with real signals to this process and real files."""

import os
import pickle
import signal
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning
import pytest
import torch

from fruitcnn.checkpoint import LAST
from fruitcnn.errors import ModelError
from fruitcnn.training.interruption import InterruptedTrainingError, Interruption
from fruitcnn.training.last_checkpoint import find_last


@pytest.fixture(autouse=True)
def foreground() -> Iterator[None]:
    """Ctrl-C as in the foreground of a terminal, wherever the tests run; what was set comes back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interruption() -> Interruption:
    return Interruption(epochs=9, run="mine", value="runs/mine")


def at(epoch: int) -> lightning.Trainer:
    """As much of a trainer as callbacks look at."""
    return types.SimpleNamespace(current_epoch=epoch)  # type: ignore[return-value]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", ["on_train_batch_end", "on_validation_batch_end"])
def test_a_signal_waits_for_the_end_of_a_batch(number: int, place: str) -> None:
    module = lightning.LightningModule()
    with interruption() as stop:
        stop.on_train_start(at(3), module)
        getattr(stop, place)(at(3), module)
        os.kill(os.getpid(), number)
        with pytest.raises(InterruptedTrainingError, match="runs/mine: stopped after 3 of 9 epochs; ") as told:
            getattr(stop, place)(at(3), module)
    assert told.value.exit_code == 128 + number


def test_epochs_are_counted_when_they_end() -> None:
    module = lightning.LightningModule()
    with interruption() as stop:
        stop.on_train_start(at(0), module)
        stop.on_train_epoch_end(at(4), module)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(InterruptedTrainingError, match="after 5 of 9"):
            stop.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(number: int) -> None:
    child = os.fork()
    if child == 0:
        with interruption():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + number


def test_handlers_come_back_and_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruption() as stop:
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGINT)
        stop.check()
        assert signal.getsignal(signal.SIGTERM) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler


def test_a_handler_that_the_trainer_brings_is_replaced_when_training_starts() -> None:
    told: list[int] = []
    with interruption() as stop:
        signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
        stop.on_train_start(at(0), lightning.LightningModule())
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(InterruptedTrainingError):
            stop.check()
    assert told == []


def test_another_thread_leaves_the_handlers_alone() -> None:
    found = []

    def run() -> None:
        with interruption() as stop:
            found.append(signal.getsignal(signal.SIGINT))
            stop.check()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def network(width: int = 2) -> lightning.LightningModule:
    module = lightning.LightningModule()
    module.layer = torch.nn.Linear(width, 3)
    return module


def saved(width: int = 2) -> dict[str, object]:
    parts = ("epoch", "optimizer_states", "lr_schedulers", "callbacks", "loops")
    return {"state_dict": network(width).state_dict(), **dict.fromkeys(parts)}


def test_a_whole_last_checkpoint_is_found_and_none_is_none(tmp_path: Path) -> None:
    assert find_last(tmp_path, network()) is None
    torch.save(saved(), tmp_path / LAST)
    assert find_last(tmp_path, network()) == tmp_path / LAST


@pytest.mark.parametrize(
    "damage", ["empty", "cut", "text", "hostile", "hostile zip", "list", "parts", "shapes", "names"]
)
def test_a_last_checkpoint_that_is_of_no_use_is_told_without_dangerous_advice(damage: str, tmp_path: Path) -> None:
    path, planted = tmp_path / LAST, tmp_path / "planted"
    torch.save(saved(), path)
    whole = path.read_bytes()
    contents = {"empty": b"", "cut": whole[: len(whole) // 2], "text": b"not a checkpoint"}
    contents["hostile"] = pickle.dumps(Hostile(planted))
    path.write_bytes(contents.get(damage, whole))
    values = {"hostile zip": Hostile(planted), "list": [1], "parts": {"state_dict": network().state_dict()}}
    values |= {"shapes": saved(width=5), "names": {**saved(), "state_dict": {"other": torch.zeros(1)}}}
    if damage in values:
        torch.save(values[damage], path)
    with pytest.raises(ModelError) as told:
        find_last(tmp_path, network())
    text = str(told.value)
    assert text.startswith(str(path)) and "take it away to begin this run again, or start another one" in text
    assert "weights_only" not in text and not planted.exists()


def test_a_last_checkpoint_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / LAST).mkdir()
    with pytest.raises(ModelError, match=r"last\.ckpt"):
        find_last(tmp_path, network())
