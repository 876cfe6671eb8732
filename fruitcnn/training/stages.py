"""Learning by Keras and torch: the epochs, or a last layer on a network of the recipe's choice."""

import dataclasses
from collections.abc import Callable

import torch

from fruitcnn.device import on_cpu, training_device
from fruitcnn.errors import UsageError
from fruitcnn.features.fit import AFTERWARDS, passes
from fruitcnn.model import TorchForward, has_features, keras
from fruitcnn.progress import part, rest_of_the_work
from fruitcnn.ranks import ranks
from fruitcnn.runs.calibrate import calibrate_network
from fruitcnn.runs.results import write_results
from fruitcnn.runs.run import Run
from fruitcnn.runs.trained import Trained
from fruitcnn.terminal import printable
from fruitcnn.training.answers import answers_of
from fruitcnn.training.fit import fit_model
from fruitcnn.training.folds import Calibrated, calibrated_by_folds
from fruitcnn.training.interruption import Interruption
from fruitcnn.training.network import KerasNetwork
from fruitcnn.training.run import NetworkRun
from fruitcnn.training.start import fit_head_only, starting_model
from fruitcnn.training.weights import load_weights

# What follows the epochs, beside them, and what making the network is of a run: guesses, for the bar.
_AFTERWARDS, _MAKING = 0.05, 0.05


def training_on(device: str) -> Callable[[Run], None]:
    """What takes a run to its results. device: auto, cpu or gpu. Raises UsageError where there is no GPU."""
    chosen = training_device(device)
    return lambda run: _train(run, chosen)


def _train(run: Run, device: torch.device) -> None:
    epochs = 0 if run.config.head else run.config.train.epochs * (1 + run.config.data.calibration_folds)
    interruption = Interruption(epochs=epochs, run=run.folder.name, value=run.folder)
    fields = {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
    learning = NetworkRun(**fields, device=device, interruption=interruption)
    with on_cpu():
        model = _start(learning)
        if run.config.head:
            with rest_of_the_work("features", passes(run) * (1 + AFTERWARDS)):
                write_results(fit_head_only(model, learning), run)
        else:
            _train_whole(model, learning)


def _start(run: NetworkRun) -> keras.Model:
    """Make the network, and leave in the folder what a resume needs."""
    keras.utils.set_random_seed(run.config.seed)
    with part("making the network", share=_MAKING):
        model = starting_model(run.config, run.dataset)
    if ranks().is_first:
        run.write_beginning()
    architecture, folder = run.config.model.architecture, printable(str(run.folder))
    run.print_line(f"training {architecture} on the {run.device.type} in {folder}")
    return model


def _train_whole(model: keras.Model, run: NetworkRun) -> None:
    """The epochs, those of the networks that calibrate it, and the results; a signal stops it between two batches."""
    _check_forward(TorchForward(model), run)
    epochs = run.interruption.epochs
    with run.interruption, rest_of_the_work("epochs", epochs * (1 + _AFTERWARDS)):
        # Those of the networks that calibrate it are epochs of this run, too.
        with part("epochs", epochs):
            fitted = fit_model(model, run)
            run.check()
            load_weights(fitted.module, fitted.weights)
            calibrate = calibrated_by_folds if run.config.data.calibration_folds else _calibrated_by_split
            answers, calibration = calibrate(model, run)
        if not ranks().is_first:
            return
        write_results(Trained(KerasNetwork(model), calibration, answers, fitted.best.epoch, fitted.history.rows), run)


def _check_forward(net: TorchForward, run: NetworkRun) -> None:
    """Say what will be slow. Raises UsageError for what a setting can't be had with."""
    compiled, architecture = run.config.train.compile, run.config.model.architecture
    if net.foreign:
        run.print_line(printable(_describe_foreign(net.foreign)))
    if net.foreign and compiled != "off":
        problem = f"Keras itself runs its layer {net.foreign[0]}, which can't be compiled with the others"
        raise UsageError(problem, value=architecture, remedy="leave train.compile off")
    if compiled == "cudagraphs" and run.device.type != "cuda":
        raise UsageError("wants a GPU", value="train.compile: cudagraphs", remedy="use default, or off")
    if ranks().count > 1 and (alone := net.foreign_batch_norms()):
        remedy = "train in one process, or use a layer that fruitcnn knows"
        problem = f"Keras itself runs its batch norm {alone[0]}, which would see a part of each batch alone"
        raise UsageError(problem, value=architecture, remedy=remedy)


def _calibrated_by_split(model: keras.Model, run: NetworkRun) -> Calibrated:
    """The network's answers to every split, and its calibration by pictures that were held back."""
    dataset, size = run.dataset, run.config.data.size
    answers = {split: answers_of(model, dataset.pixels(split, size)) for split in dataset.splits}
    pixels = dataset.outside_pixels(size) if has_features(model) else None
    outside = None if pixels is None else answers_of(model, pixels).features
    return answers, calibrate_network(answers, dataset, outside, seed=run.config.seed)


def _describe_foreign(layers: list[str]) -> str:
    more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
    return f"Keras itself runs these layers, which is right but slower: {', '.join(layers[:3])}{more}"
