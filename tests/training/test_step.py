"""What one training step does, against formulas written independently of the code: batch, loss, optimizer, schedule,
average and best weights. One short fit is recorded; the tests look at the record."""

import dataclasses
import errno
import json
import math
from pathlib import Path
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image

from fruitcnn import checkpoint, load_config
from fruitcnn.calibration.temperature import fit_safe_temperature
from fruitcnn.config import Config
from fruitcnn.dataset.records import Dataset
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.split import SplitRules
from fruitcnn.errors import ConfigError
from fruitcnn.export.keras_model import keras_outputs
from fruitcnn.image import load_pixels
from fruitcnn.model import TorchForward, build_model, keras
from fruitcnn.runs.calibrate import known_pictures
from fruitcnn.training.data import PixelData
from fruitcnn.training.history import History
from fruitcnn.training.last_checkpoint import LastCheckpoint
from fruitcnn.training.module import ClassifierModule
from fruitcnn.training.start import starting_model
from fruitcnn.training.weights import AveragedWeights, BestWeights, current_weights

CPU = torch.device("cpu")
SIZE, BATCH, EPOCHS = 32, 8, 2
SETTINGS = [f"data.size={SIZE}", f"train.batch_size={BATCH}", f"train.epochs={EPOCHS}"]
IN_TRAINING = SimpleNamespace(training=True)


def dataset_of(config: Config) -> Dataset:
    rules = SplitRules(config.data.validation_share, seed=config.seed)
    return scan(Path(config.data.path or ""), sizes=[config.data.size], rules=rules)


def pixel_data(config: Config) -> PixelData:
    return PixelData(dataset_of(config), config, CPU)


def module_of(config: Config, architecture: str = "fruit_net", class_counts: tuple[int, ...] = (1, 1, 1)):  # type: ignore[no-untyped-def]
    keras.utils.set_random_seed(0)
    net = TorchForward(build_model(architecture, classes=3, size=SIZE, dropout=0.0))
    return ClassifierModule(net, config.train, class_counts=list(class_counts), seed=config.seed)


def copies(module: lightning.LightningModule) -> list[np.ndarray]:
    return [value.detach().clone().numpy() for value in current_weights(module)]


@dataclasses.dataclass
class Recorder(Callback):
    """What is there at each moment of a fit."""

    batches: list[tuple[torch.Tensor, torch.Tensor]] = dataclasses.field(default_factory=list)
    rates: list[float] = dataclasses.field(default_factory=list)
    trained: list[list[np.ndarray]] = dataclasses.field(default_factory=list)
    validated: list[list[np.ndarray]] = dataclasses.field(default_factory=list)
    epoch_ends: list[list[np.ndarray]] = dataclasses.field(default_factory=list)

    def on_train_start(self, trainer, module):  # type: ignore[no-untyped-def]
        self.trained.append(copies(module))

    def on_train_batch_start(self, trainer, module, batch, index):  # type: ignore[no-untyped-def]
        self.batches.append((batch[0].clone(), batch[1].clone()))
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, module, *_):  # type: ignore[no-untyped-def]
        self.trained.append(copies(module))

    def on_validation_epoch_end(self, trainer, module):  # type: ignore[no-untyped-def]
        self.validated.append(copies(module))

    def on_train_epoch_end(self, trainer, module):  # type: ignore[no-untyped-def]
        self.epoch_ends.append(copies(module))


@pytest.fixture(scope="module")
def recorded(drawn: Path) -> Recorder:
    """Two epochs of five steps."""
    config = load_config("quick", [*SETTINGS, "train.ema=0.9", "train.mixup=0.4"], data=drawn)
    recorder, quiet = Recorder(), ("logger", "enable_checkpointing", "enable_model_summary", "enable_progress_bar")
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        num_sanity_val_steps=0,
        callbacks=[AveragedWeights(0.9), recorder],
        **dict.fromkeys(quiet, False),
    )
    with pytest.warns(Warning):  # Lightning's, about workers and logging
        trainer.fit(module_of(config), pixel_data(config))
    return recorder


# --- the batch --------------------------------------------------------------------------------------------------------
def test_without_augmentation_a_training_batch_is_what_identify_sees(tmp_path: Path) -> None:
    # Unlike in height, width and colour, and none like another.
    generator = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(5):
            picture = np.kron(generator.integers(0, 256, (5, 6, 3)), np.ones((8, 10, 1)))
            Image.fromarray(picture.astype(np.uint8)).save(tmp_path / label / f"{number}.png")
    config = load_config("quick", [*SETTINGS, "augment={}"], data=tmp_path)
    data = pixel_data(config)
    data.trainer = IN_TRAINING
    pixels, soft_targets = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert pixels.shape == (8, 3, SIZE, SIZE) and soft_targets.shape == (8, 2)
    wanted = {label: [load_pixels(path, SIZE) for path in sorted((tmp_path / label).iterdir())] for label in "ab"}
    for picture, soft_target in zip(pixels.permute(0, 2, 3, 1).numpy(), soft_targets, strict=True):
        known = np.stack(wanted["ab"[int(soft_target.argmax())]]).astype(np.float32)
        assert np.abs(known - picture).max((1, 2, 3)).min() < 0.01


def test_training_pictures_are_shuffled_changed_and_mixed_and_those_of_the_validation_are_not(drawn: Path) -> None:
    config = load_config("quick", [*SETTINGS, "train.mixup=5"], data=drawn)
    data = pixel_data(config)
    first, second = ([targets.tolist() for _, targets in data.train_dataloader()] for _ in range(2))
    in_order = torch.from_numpy(dataset_of(config).targets("train")).split(BATCH)
    assert first != second and first != [targets.tolist() for targets in in_order[:5]]
    torch.manual_seed(0)
    raw = next(iter(data.train_dataloader()))
    data.trainer = IN_TRAINING
    pixels, soft_targets = data.on_after_batch_transfer(raw, 0)
    assert not torch.allclose(pixels, raw[0].float(), atol=1)
    assert torch.allclose(soft_targets.sum(1), torch.ones(len(soft_targets))) and bool(
        (soft_targets.max(1).values < 0.999).any()
    )
    unmixed = pixel_data(load_config("quick", [*SETTINGS, "train.mixup=0", "train.cutmix=0"], data=drawn))
    unmixed.trainer = IN_TRAINING
    assert not torch.allclose(unmixed.on_after_batch_transfer(raw, 0)[0], raw[0].float(), atol=1)
    data.trainer = SimpleNamespace(training=False)
    same, targets = data.on_after_batch_transfer(raw, 0)
    assert torch.equal(same, raw[0].float()) and torch.equal(targets, raw[1])


def test_every_epoch_is_random_anew(recorded: Recorder) -> None:
    half = len(recorded.batches) // 2
    assert half == 5
    for (first, _), (second, _) in zip(recorded.batches[:half], recorded.batches[half:], strict=True):
        assert not torch.equal(first, second)


# --- the loss ---------------------------------------------------------------------------------------------------------
def test_the_loss_is_the_formula_with_weights_smoothing_and_l2() -> None:
    settings = [f"data.size={SIZE}", "train.label_smoothing=0.2", "train.class_balance=1.0"]
    module = module_of(load_config("simple_cnn", settings), "simple_cnn", (10, 30, 60)).eval()
    logged: dict[str, torch.Tensor] = {}
    module.log = lambda name, value, **kwargs: logged.update({name: value})
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(6, 3, SIZE, SIZE, generator=generator) * 255
    soft_targets = torch.rand(6, 3, generator=generator).softmax(1)
    found = module.training_step((pixels, soft_targets), 0).item()

    with torch.no_grad():
        logits = module.net(pixels).double().numpy()
    weight = np.array([1 / 0.1, 1 / 0.3, 1 / 0.6]) / 3  # the mean picture weighs one
    smoothed = 0.8 * soft_targets.double().numpy() + 0.2 / 3
    log_probability = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    wanted = -(weight * smoothed * log_probability).sum(1).mean()
    kernels = [module.net.model.get_layer(name).kernel.numpy() for name in ("hidden", "logits")]
    penalty = sum(0.01 * float((kernel.astype(np.float64) ** 2).sum()) for kernel in kernels)
    assert penalty > 0.1 and found == pytest.approx(wanted + penalty, rel=1e-5)
    assert logged["train_loss"].item() == pytest.approx(wanted, rel=1e-5), "without the penalty, as in the validation"


def test_a_network_learns_from_views_of_the_size_that_the_recipe_names(drawn: Path) -> None:
    config = load_config("quick", [*SETTINGS, "train.view_size=24"], data=drawn)
    data, module, seen = pixel_data(config), module_of(config), []
    data.trainer = IN_TRAINING  # type: ignore[assignment]
    views, soft_targets = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert views.shape == (BATCH, 3, 24, 24)
    module.log = lambda *_, **__: None
    module.net.register_forward_pre_hook(lambda net, inputs: seen.append(inputs[0].shape[-1]))
    module.training_step((views, soft_targets), 0)
    # A teacher may want them larger.
    module.training_step((torch.zeros(BATCH, 3, 48, 48), soft_targets), 0)
    assert seen == [24, 24]


def test_views_of_a_size_that_the_network_can_t_take_are_refused(drawn: Path) -> None:
    config = load_config("simple_cnn", [*SETTINGS, "train.view_size=24"], data=drawn)
    with pytest.raises(ConfigError, match=r"train\.view_size: simple_cnn of 32 px takes no views of 24 px"):
        starting_model(config, dataset_of(config))


# --- optimizer and schedule -------------------------------------------------------------------------------------------
def optimization(*settings: str):  # type: ignore[no-untyped-def]
    module = module_of(load_config("fruit_net", [f"data.size={SIZE}", *settings]))
    module.trainer = SimpleNamespace(estimated_stepping_batches=50)
    return module, module.configure_optimizers()


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_the_optimizer_is_the_one_named_and_only_kernels_decay(name: str, kind: type) -> None:
    module, found = optimization(f"train.optimizer={name}", "train.weight_decay=0.3", "train.learning_rate=0.01")
    optimizer = found["optimizer"]
    assert type(optimizer) is kind
    decay = {id(value): group["weight_decay"] for group in optimizer.param_groups for value in group["params"]}
    variables = module.net.model.trainable_variables
    assert len(decay) == len(variables)
    for variable in variables:
        assert decay[id(variable.value)] == (0.3 if variable.path.endswith("kernel") else 0.0), variable.path


def test_weight_decay_pulls_kernels_by_the_rate_and_leaves_biases() -> None:
    module, found = optimization("train.optimizer=adamw", "train.weight_decay=0.3", "train.learning_rate=0.01")
    dense = module.net.model.get_layer("logits")
    dense.bias.assign([1.0, 2.0, 3.0])
    before, rate = dense.kernel.numpy().copy(), found["optimizer"].param_groups[0]["lr"]
    for variable in module.net.model.trainable_variables:
        variable.value.grad = torch.zeros_like(variable.value)
    found["optimizer"].step()
    assert np.allclose(dense.kernel.numpy(), before * (1 - rate * 0.3), rtol=1e-6, atol=0)
    assert not np.allclose(dense.kernel.numpy(), before, rtol=1e-6, atol=0)
    assert dense.bias.numpy().tolist() == [1.0, 2.0, 3.0]


def test_the_rate_moves_at_every_step(recorded: Recorder) -> None:
    highest, steps = 0.003, 10

    def cosine(start: float, end: float, share: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

    # Smith's one cycle: up from 1/25 of the rate within a fifth of the steps, then down to 1/10,000 of the start.
    up = 0.2 * steps - 1
    wanted = [
        cosine(highest / 25, highest, step / up)
        if step <= up
        else cosine(highest, highest / 25 / 1e4, (step - up) / (steps - 1 - up))
        for step in range(steps)
    ]
    assert recorded.rates == pytest.approx(wanted, rel=1e-6)


# --- weights that are kept --------------------------------------------------------------------------------------------
def test_the_average_follows_its_formula_and_is_what_is_validated(recorded: Recorder) -> None:
    average = [value.astype(np.float64) for value in recorded.trained[0]]
    for step, weights in enumerate(recorded.trained[1:], start=1):
        decay = min(0.9, (1 + step) / (10 + step))
        average = [decay * old + (1 - decay) * new for old, new in zip(average, weights, strict=True)]
        if step % 5 == 0:
            for mine, theirs in zip(average, recorded.validated[step // 5 - 1], strict=True):
                assert np.allclose(mine, theirs, rtol=1e-4, atol=1e-6)
    pairs = zip(recorded.validated[0], recorded.trained[5], strict=True)
    assert any(not np.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in pairs), "not the weights in training"


def test_after_the_validation_the_training_goes_on_where_it_was(recorded: Recorder) -> None:
    for end, last in zip(recorded.epoch_ends, (recorded.trained[5], recorded.trained[10]), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(end, last, strict=True))


def validated(best: BestWeights, module: ClassifierModule, epochs: list[tuple[float, float]]) -> None:
    """Tell it of epochs with these losses and accuracies; in each, all weights equal the epoch's number."""
    for epoch, (loss, accuracy) in enumerate(epochs):
        for value in current_weights(module):
            value.fill_(epoch + 1)
        metrics = {"validation_loss": torch.tensor(loss), "validation_accuracy": torch.tensor(accuracy)}
        best.on_validation_epoch_end(SimpleNamespace(callback_metrics=metrics, current_epoch=epoch), module)


@pytest.mark.parametrize(
    ("criterion", "epochs", "wanted"),
    [
        ("loss", [(0.9, 0.5), (0.5, 0.7), (0.7, 0.9)], 2),
        ("accuracy", [(0.9, 0.5), (0.5, 0.7), (0.7, 0.9)], 3),
        ("accuracy", [(0.9, 0.7), (0.5, 0.7), (0.7, 0.7)], 2),  # a tie goes to the lower loss
        ("loss", [(0.5, 0.5), (0.5, 0.9)], 1),  # and then to the earlier epoch
        ("loss", [(math.nan, 0.9), (0.5, 0.1), (math.inf, 0.9)], 2),
        ("accuracy", [(math.nan, 0.9), (0.5, 0.1)], 2),
        ("last", [(0.5, 0.9), (0.9, 0.5), (math.nan, 0.9)], 2),
    ],
)
def test_the_best_epoch_is_the_one_that_validated_best(
    criterion: str, epochs: list[tuple[float, float]], wanted: int
) -> None:
    module, best = module_of(load_config("quick")), BestWeights(criterion)
    validated(best, module, epochs)
    assert best.epoch == wanted and all(bool((value == wanted).all()) for value in best.weights)


def test_a_resumed_run_knows_its_best_epoch_and_its_average() -> None:
    module, best = module_of(load_config("quick")), BestWeights("loss")
    validated(best, module, [(0.5, 0.5), (0.9, 0.9)])
    resumed = BestWeights("loss")
    resumed.load_state_dict(best.state_dict())
    validated(resumed, module, [(0.7, 0.9)])
    assert resumed.epoch == 1 and resumed.score == best.score
    averaged = AveragedWeights(0.5)
    averaged.load_state_dict({"average": [value + 1 for value in current_weights(module)], "steps": 100})
    averaged.on_train_start(SimpleNamespace(), module)
    averaged.on_train_batch_end(SimpleNamespace(), module)
    assert averaged.steps == 101 and averaged.state_dict()["steps"] == 101
    pairs = zip(averaged.average, current_weights(module), strict=True)
    assert all(torch.allclose(mine, theirs + 0.5) for mine, theirs in pairs)


# --- files of an epoch ------------------------------------------------------------------------------------------------
def test_the_history_goes_on_after_a_resume(tmp_path: Path) -> None:
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.25}])

    def tell(history: History, epoch: int) -> None:
        metrics = {name: torch.tensor(epoch + place / 10) for place, name in enumerate(names)}
        trainer = SimpleNamespace(
            callback_metrics=metrics, current_epoch=epoch, optimizers=[optimizer], is_global_zero=True
        )
        history.on_train_epoch_start(trainer, None)
        history.on_train_epoch_end(trainer, None)

    first, second = History(tmp_path), History(tmp_path)
    tell(first, 0)
    second.load_state_dict(first.state_dict())
    tell(second, 1)
    lines = (tmp_path / checkpoint.METRICS_BY_EPOCH).read_text().splitlines()
    assert lines[0] == f"epoch,{','.join(names)},learning_rate,seconds"
    assert [line.rpartition(",")[0] for line in lines[1:]] == ["1,0.0,0.1,0.2,0.3,0.25", "2,1.0,1.1,1.2,1.3,0.25"]


def test_a_save_that_fails_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    last = LastCheckpoint(tmp_path, ["a", "b"])

    def save(path: Path) -> None:
        path.write_text("whole")

    def fail(path: Path) -> None:
        path.write_text("par")
        raise OSError(errno.ENOSPC, "no space")

    last.on_train_epoch_end(SimpleNamespace(save_checkpoint=save, is_global_zero=True), None)
    with pytest.raises(OSError, match="no space"):
        last.on_train_epoch_end(SimpleNamespace(save_checkpoint=fail, is_global_zero=True), None)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(checkpoint.LAST, "whole")]


# --- what a finished run exports --------------------------------------------------------------------------------------
def answers(folder: Path, data: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The exported model's log-probabilities [N, C] before calibration, and true classes [N]."""
    config, metrics = load_config(folder / checkpoint.CONFIG), json.loads((folder / checkpoint.METRICS).read_text())
    dataset = dataset_of(load_config(folder / checkpoint.CONFIG, data=data))
    pixels = np.asarray(dataset.pixels(split, config.data.size))  # [N, S, S, 3]
    model = keras.saving.load_model(folder / checkpoint.KERAS, compile=False)
    probabilities = keras_outputs(model, pixels)["probabilities"].astype(np.float64)
    return np.log(probabilities) * metrics["temperature"], dataset.targets(split)


def test_the_temperature_is_fitted_on_the_validation_split(finished: Path, drawn: Path) -> None:
    found = json.loads((finished / checkpoint.METRICS).read_text())["temperature"]
    dataset = dataset_of(load_config(finished / checkpoint.CONFIG, data=drawn))
    on_validation, on_training = (
        fit_safe_temperature(*answers(finished, drawn, split), known_pictures(dataset, split).groups, at_least=0.05)
        for split in ("validation", "train")
    )
    assert found == pytest.approx(on_validation, rel=0.02)
    assert abs(on_training / on_validation - 1) > 0.05, "or this test could not tell them apart"


def test_the_exported_weights_are_those_of_the_best_epoch(finished: Path, drawn: Path) -> None:
    state = torch.load(finished / checkpoint.LAST, weights_only=True)
    best = next(value for name, value in state["callbacks"].items() if name.startswith("BestWeights"))
    temperature = json.loads((finished / checkpoint.METRICS).read_text())["temperature"]
    exported = answers(finished, drawn, "validation")[0] / temperature
    dataset = dataset_of(load_config(finished / checkpoint.CONFIG, data=drawn))
    pixels = np.asarray(dataset.pixels("validation", SIZE))
    model = build_model("fruit_net", classes=3, size=SIZE, dropout=0.0)

    def log_probabilities(weights: list[torch.Tensor]) -> np.ndarray:
        model.set_weights([value.numpy() for value in weights])
        logits = torch.from_numpy(model.predict_on_batch(pixels.astype(np.float32)))
        return (logits / temperature).log_softmax(1).numpy()

    assert np.allclose(exported, log_probabilities(best["weights"]), atol=1e-4)
    losses = [row["validation_loss"] for row in history_rows(state)]
    assert best["epoch"] == 1 + int(np.argmin(losses))


def history_rows(state: dict) -> list[dict]:  # type: ignore[type-arg]
    return next(value["rows"] for name, value in state["callbacks"].items() if name.startswith("History"))
