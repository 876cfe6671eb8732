"""What a resume makes of a last.ckpt whose parts are of the right kind and say the wrong thing."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dataset.drawing.draw import draw_dataset
from fruitcnn import checkpoint, load_config
from fruitcnn.dataset.scan import scan
from fruitcnn.errors import ModelError
from fruitcnn.model import build_model, keras
from fruitcnn.training.fit import fit_model
from fruitcnn.training.interruption import Interruption
from fruitcnn.training.run import NetworkRun

Saved = dict[str, Any]
# A schedule that does not know how many epochs there will be.
_SETTINGS = ["data.size=32", "train.batch_size=8", "train.schedule=inverse_time", "data.validation_share=0.3"]


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_model("fruit_net", classes=3, size=32, dropout=0.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> NetworkRun:
    """A run that has done the first of its two epochs."""
    folder = tmp_path_factory.mktemp("resumes")
    draw_dataset(folder / "data", per_class=6, size=40, seed=3)
    dataset = scan(folder / "data", sizes=[32])
    one, two = (load_config("quick", [*_SETTINGS, f"train.epochs={n}"], data=folder / "data") for n in (1, 2))
    begun = NetworkRun(
        config=one,
        dataset=dataset,
        folder=folder,
        device=torch.device("cpu"),
        interruption=Interruption(epochs=2, run="resumes", value=folder),
        print_line=print,
    )
    fit_model(network(), begun)
    return dataclasses.replace(begun, config=two)


@pytest.fixture
def saved(run: NetworkRun) -> Saved:
    found: Saved = torch.load(run.folder / checkpoint.LAST, weights_only=True)
    return copy.deepcopy(found)


def resumed(run: NetworkRun, saved: Saved, folder: Path) -> list[dict[str, float]]:
    """The rows of metrics.csv after a resume from what is saved."""
    torch.save(saved, folder / checkpoint.LAST)
    return fit_model(network(), dataclasses.replace(run, folder=folder)).history.rows


def key_of(saved: Saved, callback: str) -> str:
    return next(key for key in saved["callbacks"] if key.startswith(callback))


def set_callback(callback: str, name: str, value: object) -> Callable[[Saved], None]:
    return lambda saved: saved["callbacks"][key_of(saved, callback)].update({name: value})


def set_momentum(saved: Saved) -> None:
    saved["optimizer_states"][0]["state"][0]["exp_avg"] = torch.zeros(3, 1)


def set_epoch(saved: Saved) -> None:
    progress = saved["loops"]["fit_loop"]["epoch_progress"]
    for counts in (progress["total"], progress["current"]):
        counts.update(dict.fromkeys(counts, 99))


_WRONG: dict[str, Callable[[Saved], object]] = {
    "the momentum is of another shape": set_momentum,
    "the optimizer has forgotten all": lambda saved: saved["optimizer_states"][0].update(state={}),
    "the optimizer's state is a number": lambda saved: saved.update(optimizer_states=3),
    "the rate is a word": lambda saved: saved["optimizer_states"][0]["param_groups"][0].update(lr="fast"),
    "the schedule is empty": lambda saved: saved.update(lr_schedulers=[{}]),
    "no callback": lambda saved: saved.update(callbacks={}),
    "rows that are none": set_callback("History", "rows", [1]),
    "rows are missing": set_callback("History", "rows", []),
    "rows of other columns": set_callback("History", "rows", [{"epoch": 1}]),
    "the average is missing": set_callback("AveragedWeights", "average", []),
    "the best weights are others": set_callback("BestWeights", "weights", [torch.zeros(2)]),
    "the best score is a word": set_callback("BestWeights", "score", ["good"]),
    "no loop": lambda saved: saved.update(loops={}),
    "epochs that were not": set_epoch,
}


@pytest.mark.parametrize("wrong", list(_WRONG))
def test_a_last_ckpt_of_the_right_type_and_wrong_content(
    wrong: str, run: NetworkRun, saved: Saved, tmp_path: Path
) -> None:
    _WRONG[wrong](saved)
    with pytest.raises(ModelError, match=r"last\.ckpt: is damaged, or was not written by fruitcnn; take it away"):
        resumed(run, saved, tmp_path)


def test_a_resume_goes_on_where_nothing_is_wrong(run: NetworkRun, saved: Saved, tmp_path: Path) -> None:
    assert [row["epoch"] for row in resumed(run, saved, tmp_path)] == [1, 2]
    # Of a version that did not keep the classes.
    del saved["callbacks"][key_of(saved, "LastCheckpoint")]
    assert len(resumed(run, saved, tmp_path)) == 2


def test_a_resume_with_the_classes_in_another_order(run: NetworkRun, saved: Saved, tmp_path: Path) -> None:
    turned = dataclasses.replace(run, dataset=dataclasses.replace(run.dataset, labels=run.dataset.labels[::-1]))
    said = "the classes grape, pineapple, strawberry, in this order; the data now give strawberry, pineapple, grape"
    with pytest.raises(ModelError, match=said):
        resumed(turned, saved, tmp_path)
