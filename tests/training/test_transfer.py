"""Recipes that start from somewhere: the last layer alone, the whole network gently, a teacher's answers."""

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from fruitcnn import Identification, Identifier, checkpoint, export_checkpoint, load_config
from fruitcnn.calibration.fold_heads import PENALTIES
from fruitcnn.calibration.held_out import assign_folds
from fruitcnn.calibration.linear_probe import fit_head
from fruitcnn.config import TrainConfig
from fruitcnn.dataset.scan import scan
from fruitcnn.errors import ConfigError, ModelError, UsageError
from fruitcnn.export.keras_model import keras_outputs
from fruitcnn.export.onnx_graph import to_onnx
from fruitcnn.model import TorchForward, build_model, keras
from fruitcnn.model.archive import load_keras
from fruitcnn.model.pretrained import blocks_of, depths, freeze_through, with_frozen_statistics
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from fruitcnn.training.answers import answers_of
from fruitcnn.training.module import ClassifierModule
from fruitcnn.training.optimizer import build_optimizer, build_schedule
from fruitcnn.training.teacher import Teacher, distillation_loss, resized
from tests.conftest import skip_export
from tests.predictions import read_predictions


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    """A finished run of the features recipe on the drawn set, with drawn pictures of other things."""
    root = tmp_path_factory.mktemp("probed")
    other_things = root / "other_things"
    other_things.mkdir()
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64)).save(other_things / f"{number}.png")
    (other_things / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    settings = ["data.size=64", f"data.outside={other_things}", "head.mirrored=true"]
    config = load_config("features", settings, data=drawn)
    return train_config(config, Claim(root=root), device="cpu", print_line=lambda line: None)


def test_the_features_recipe_ends_in_a_whole_checkpoint(probed: Path, drawn: Path) -> None:
    names = {path.name for path in probed.iterdir()}
    assert names == set(checkpoint.FILES) - set(checkpoint.OF_EPOCHS)
    card = json.loads((probed / checkpoint.CARD).read_text())
    assert [output["name"] for output in card["outputs"]] == ["probabilities", "familiarity", "evidence"]
    assert card["outputs"][1]["refuse_below"] == 0.05 and card["outputs"][2]["grid"] == [2, 2]
    metrics = json.loads((probed / checkpoint.METRICS).read_text())
    assert "epoch" not in card["provenance"] and "best_epoch" not in metrics
    assert metrics["validation"]["accuracy"] >= 0.7 and metrics["train"]["accuracy"] >= 0.9
    rows = list(csv.DictReader((probed / checkpoint.PREDICTIONS).read_text().splitlines()))
    assert len(rows) == 48 and all(0 <= float(row["familiarity"]) <= 1 for row in rows)
    picture = drawn / "grape" / "grape_000.jpg"
    (row,) = (row for row in rows if row["file"] == "grape/grape_000.jpg")
    (found,) = Identifier.load(probed).identify_many([picture])
    assert isinstance(found, Identification) and found.familiarity is not None
    assert found.familiarity == pytest.approx(float(row["familiarity"]), abs=1e-3)
    assert load_config(probed / checkpoint.CONFIG).head is not None


@pytest.mark.parametrize(
    ("architecture", "passes"),
    [("fruit_net", 1), ("simple_cnn", 2), ("tests.networks:mean_colour", 2), ("tests.networks:pooled_inside", 2)],
)
def test_the_graph_of_the_features_is_that_of_the_answers_too(
    architecture: str, passes: int, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where features are means over places, and the model can say so in Keras too; others are written again."""
    made = list[str]()

    def counted(model: keras.Model) -> onnx.ModelProto:
        made.append(model.name)
        return to_onnx(model)

    monkeypatch.setattr("fruitcnn.training.start.to_onnx", counted)
    monkeypatch.setattr("fruitcnn.export.onnx_graph.to_onnx", counted)
    settings = [f"model.architecture={architecture}", "model.weights=none", "data.size=48"]
    config = load_config("features", settings, data=drawn)
    folder = train_config(config, Claim(root=tmp_path), device="cpu", print_line=lambda line: None)
    assert len(made) == passes
    pixels = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), np.uint8)
    found, expected = Identifier.load(folder).outputs(pixels), keras_outputs(load_keras(folder / "model.keras"), pixels)
    graph = onnx.load(folder / "model.onnx").graph
    assert set(found) == set(expected) == {output.name for output in graph.output}
    for name, values in found.items():
        assert np.abs(values - expected[name]).max() < 1e-4, name
    # These weights are in no package: the file that has them is asked.
    again = export_checkpoint(folder, formats=["keras"], to=tmp_path / "again")
    assert {parity.name for parity in again} == {"model.keras", "model.onnx"}


def test_the_training_pictures_are_answered_out_of_fold_too(probed: Path, drawn: Path) -> None:
    """By heads that are fitted here once more, without the fold."""
    rows = read_predictions(probed / checkpoint.PREDICTIONS).rows
    assert all(bool(row.held_out) == (row.split == "train") for row in rows)
    data = scan(drawn, sizes=[64])
    pixels, targets, pictures = data.pixels("train", 64)[:], data.targets("train"), data.in_split("train")
    start = build_model("efficientnet_lite0", classes=3, size=64, dropout=0.0, weights="imagenet")
    features, mirrored = (answers_of(start, some).features for some in (pixels, pixels[:, :, ::-1].copy()))
    groups = np.unique([picture.group for picture in pictures], return_inverse=True)[1]
    folds = assign_folds(targets, groups, folds=10, seed=0)
    temperature = json.loads((probed / checkpoint.METRICS).read_text())["temperature"]
    found = {row.file: row.held_out for row in rows if row.split == "train"}

    def held_out(penalty: float) -> np.ndarray:
        """Probabilities [N, 3]."""
        answers = np.zeros((len(targets), 3))
        for fold in range(10):
            seen = np.concatenate([features[folds != fold], mirrored[folds != fold]])
            head = fit_head(seen, np.tile(targets[folds != fold], 2), classes=3, penalty=penalty)
            logits = torch.from_numpy(head.logits(features[folds == fold])) / temperature
            answers[folds == fold] = logits.softmax(1).numpy()
        return answers

    kept = np.array([found[picture.file] for picture in pictures])
    assert sum(np.allclose(held_out(penalty), kept, atol=1e-3) for penalty in PENALTIES) == 1


def test_strangers_are_refused(probed: Path) -> None:
    other_things = sorted((probed.parent / "other_things").glob("[0-9]*.png"))
    found = list(Identifier.load(probed).identify_many(other_things))
    assert sum(one.identify_label == "unknown" for one in found) >= 10


def test_only_the_head_of_the_network_has_changed(probed: Path) -> None:
    trained = keras.saving.load_model(probed / checkpoint.KERAS, compile=False)
    start = build_model("efficientnet_lite0", classes=3, size=64, dropout=0.0, weights="imagenet")
    for layer in start.layers:
        if layer.weights and layer.name != "logits":
            for mine, other in zip(layer.get_weights(), trained.get_layer(layer.name).get_weights(), strict=True):
                assert np.array_equal(mine, other), layer.name


def test_settings_of_a_training_that_does_not_happen_are_refused(drawn: Path) -> None:
    for key in ("train.learning_rate=0.1", "augment.flip=true"):
        with pytest.raises(ConfigError, match="only the head"):
            load_config("features", [key], data=drawn)
    # Said in the run that it has none (tests/features/test_fit.py).
    assert load_config("features", ["train.epochs=3"], data=drawn).head is not None
    for key in ("data.calibration_share=0.1", "data.calibration_folds=5"):
        with pytest.raises(ConfigError, match="calibration is out of its folds"):
            load_config("features", [key], data=drawn)
    with pytest.raises(ConfigError, match="2 and more"):
        load_config("quick", ["data.calibration_folds=1"], data=drawn)
    with pytest.raises(ConfigError, match=r"data\.calibration_share: set that to 0"):
        load_config("transfer", ["data.calibration_folds=5"], data=drawn)


def small(weights: str = "none") -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_model("fruit_net", classes=3, size=32, dropout=0.0, weights=weights)


def test_freezing_leaves_the_weights_and_the_statistics(drawn: Path) -> None:
    model = small()
    freeze_through(model, "stage2")
    frozen = [layer for layer in model.layers if layer.name.startswith(("stem", "stage1", "stage2"))]
    before = {layer.name: [w.copy() for w in layer.get_weights()] for layer in model.layers}
    step(model, load_config("fruit_net").train)
    for layer in model.layers:
        same = all(np.array_equal(a, b) for a, b in zip(before[layer.name], layer.get_weights(), strict=True))
        assert same == (layer in frozen or not layer.weights), layer.name
    with pytest.raises(UsageError, match="stage9"):
        freeze_through(model, "stage9")


def step(model: keras.Model, config: TrainConfig) -> None:
    """One optimizer step on noise."""
    module = ClassifierModule(TorchForward(model), config, class_counts=[1, 1, 1], seed=0)
    optimizer = build_optimizer((v.value for v in model.trainable_variables), config, depths=depths(model))
    pixels = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    loss = torch.nn.functional.cross_entropy(module.net.train()(pixels), torch.arange(8) % 3)
    loss.backward()
    optimizer.step()


def test_frozen_batch_norm_learns_its_gains_but_not_its_statistics() -> None:
    plain = small()
    model = with_frozen_statistics(plain)
    norm = model.get_layer("stem_bn")
    before = [w.copy() for w in norm.get_weights()]
    pixels = np.random.default_rng(0).random((4, 32, 32, 3), np.float32) * 255
    assert np.abs(model.predict_on_batch(pixels) - plain.predict_on_batch(pixels)).max() < 1e-5
    step(model, load_config("fruit_net").train)
    _, beta, mean, variance = norm.get_weights()
    assert np.array_equal(mean, before[2]) and np.array_equal(variance, before[3])
    assert not np.array_equal(beta, before[1])
    step(plain, load_config("fruit_net").train)
    assert not np.array_equal(plain.get_layer("stem_bn").get_weights()[2], before[2])


def test_the_rate_falls_from_block_to_block_towards_the_picture() -> None:
    model = small()
    config = load_config("fruit_net", ["train.layer_decay=0.5", "train.learning_rate=1.0"]).train
    optimizer = build_optimizer((v.value for v in model.trainable_variables), config, depths=depths(model))
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    expected = {"logits": 1.0, "stage4": 0.5, "stage3": 0.25, "stage2": 0.125, "stage1": 0.0625, "stem": 0.03125}
    for layer, block in zip(model.layers, blocks_of(model), strict=True):
        for variable in layer.trainable_variables:
            assert rate[id(variable.value)] == expected[block], variable.path
            assert (decay[id(variable.value)] > 0) == (len(variable.shape) > 1), variable.path


def test_the_cosine_schedule_warms_up_and_ends_near_nothing() -> None:
    config = load_config("fruit_net", ["train.schedule=cosine", "train.warmup=0.2", "train.learning_rate=2.0"]).train
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = build_schedule(optimizer, config, steps=100)
    rates = []
    for _ in range(100):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.1) and max(rates) > 1.7 and rates[-1] < 0.01
    assert np.argmax(rates) in range(17, 21)
    assert rates[50] == pytest.approx(1.0, abs=0.01)


def test_the_loss_of_a_pupil_is_least_where_it_answers_like_its_teacher() -> None:
    taught = torch.tensor([[2.0, 0.0, -1.0]])
    logits = taught.clone().requires_grad_()
    distillation_loss(logits, taught, 3.0).backward()
    assert float(logits.grad.abs().max()) < 1e-6
    entropy = -(taught / 3).softmax(1) @ (taught / 3).log_softmax(1).T
    assert float(distillation_loss(taught, taught, 3.0)) == pytest.approx(9 * float(entropy), rel=1e-5)
    assert float(distillation_loss(-taught, taught, 3.0)) > 9 * float(entropy) + 0.1


def test_a_teacher_answers_as_the_finished_model_does(probed: Path) -> None:
    labels = ["grape", "pineapple", "strawberry"]
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    expected = Identifier.load(probed).probabilities(pixels)
    views = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    teacher = Teacher(probed, labels=labels, device=torch.device("cpu"))
    assert np.abs(teacher.log_probabilities(views).exp().numpy() - expected).max() < 1e-6
    assert teacher.size == 64 and resized(views, 32).shape == (3, 3, 32, 32)
    for device in (torch.device("cpu"), torch.device("meta")):
        with pytest.raises(ModelError, match="are not those of the data set"):
            Teacher(probed, labels=["a", "b", "c"], device=device)
        with pytest.raises(ModelError, match="teacher"):
            Teacher(probed / "nothing", labels=labels, device=device)


def test_a_pupil_learns_what_its_teacher_says_and_not_the_labels(
    probed: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_export(monkeypatch)
    names = ["grape", "pineapple", "strawberry"]
    wrong = dict(zip(names, [*names[1:], names[0]], strict=True))
    rows = [f"{path},{wrong[path.parent.name]}" for path in sorted(drawn.rglob("*.jpg"))]
    (tmp_path / "list.csv").write_text("\n".join(["file,label", *rows]))
    settings = [f"train.teacher={probed}", "data.size=32", "train.epochs=24", "train.batch_size=12", "seed=3"]
    config = load_config("quick", [*settings, "train.learning_rate=0.003"], data=tmp_path / "list.csv")
    run = train_config(config, Claim(root=tmp_path), device="cpu", print_line=lambda line: None)
    # What is kept is the epoch that says the wrong labels best, so its answers would tell nothing.
    history = list(csv.DictReader((run / checkpoint.METRICS_BY_EPOCH).read_text().splitlines()))
    assert np.mean([float(row["train_accuracy"]) for row in history[-5:]]) < 0.2


def test_the_transfer_recipe_starts_at_the_fitted_head_and_ends_between_start_and_end(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []
    # The weights as they are when the training is over; its files are not needed.
    monkeypatch.setattr(
        "fruitcnn.training.stages.write_results", lambda trained, *_, **__: ended.append(trained.network.model)
    )
    tiny = [
        "data.size=32",
        "data.training_size=32",
        "train.view_size=32",
        "train.epochs=1",
        "train.batch_size=8",
        "train.freeze=block15",
    ]
    for share in (1.0, 0.0):
        config = load_config("transfer", [*tiny, f"train.start_share={share}"], data=drawn)
        train_config(config, Claim(name=f"s{share}", root=tmp_path), device="cpu", print_line=lambda line: None)
    start = build_model("efficientnet_lite0", classes=3, size=32, dropout=0.0, weights="imagenet")
    for layer in start.layers:
        if layer.weights and layer.name != "logits":
            stayed, moved = (model.get_layer(layer.name).get_weights() for model in ended)
            own = layer.get_weights()
            assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(own, stayed, strict=True)), layer.name
            same = all(np.array_equal(a, b) for a, b in zip(own, moved, strict=True))
            assert same == (not layer.name.startswith(("block16", "head"))), layer.name
