"""The interpreter gives Keras' own numbers, in training too, for any functional model."""

import gc
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fruitcnn.model import TorchForward, keras
from tests.networks import FOREIGN, KERAS_ONLY, NETWORKS, build


def keras_output(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    return model(torch.from_numpy(pixels), training=False).detach().numpy()


def pixels_for(model: keras.Model, count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, *model.input.shape[1:]), np.float32) * 255


@pytest.mark.parametrize("name", NETWORKS)
def test_the_numbers_are_those_of_keras(name: str) -> None:
    model = build(name)
    pixels = pixels_for(model, 3)
    expected = keras_output(model, pixels)
    net = TorchForward(model).eval()
    with torch.no_grad():
        found = net(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
    assert np.ptp(expected) > 0.01, "the comparison must be able to fail"
    assert np.abs(found - expected).max() <= 2e-5 * max(1.0, np.abs(expected).max())
    assert (len(net.foreign) > 0) == (name in KERAS_ONLY), net.foreign
    assert np.abs(keras_output(model, pixels) - expected).max() <= 1e-5, "the weights stay what they were"


@pytest.mark.parametrize("name", NETWORKS)
def test_one_training_step_moves_the_same_variables_alike(name: str) -> None:
    def step(run: Callable[[keras.Model, torch.Tensor], torch.Tensor]) -> tuple[list[bool], list[np.ndarray]]:
        model = build(name, dropout=0.0)
        before = [value.numpy().copy() for value in model.weights]
        optimizer = torch.optim.SGD([value.value for value in model.trainable_variables], lr=1e-3)
        run(model, torch.from_numpy(pixels_for(model, 4))).square().mean().backward()
        optimizer.step()
        changes = [value.numpy() - old for value, old in zip(model.weights, before, strict=True)]
        learned = [value.value.grad is not None for value in model.weights]  # a step may be too small to be seen
        return [one or bool(change.any()) for one, change in zip(learned, changes, strict=True)], changes

    moved_by_keras, by_keras = step(lambda model, pixels: model(pixels, training=True))
    moved_by_torch, by_torch = step(lambda model, pixels: TorchForward(model).train()(pixels.permute(0, 3, 1, 2)))
    gc.collect()
    assert moved_by_torch == moved_by_keras and any(moved_by_keras)
    for theirs, ours in zip(by_keras, by_torch, strict=True):
        assert np.abs(theirs - ours).max() <= 0.01 * np.abs(theirs).max() + 1e-6


def test_three_well_known_networks_are_among_them() -> None:
    assert {"EfficientNetV2B0", "MobileNetV3Small", "ConvNeXtTiny"} <= set(NETWORKS) and len(FOREIGN) >= 12


def test_regularisation_losses_are_those_of_keras() -> None:
    model = build("l2")
    assert float(TorchForward(model).penalty().detach()) == pytest.approx(float(sum(model.losses).detach()), rel=1e-6)
    assert float(TorchForward(build("plain")).penalty()) == 0.0


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_convolution_takes_over_the_rescaling_before_it(use_bias: bool) -> None:
    keras.utils.set_random_seed(0)
    pixels = keras.Input((9, 8, 3))
    rescaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    model = keras.Model(pixels, keras.layers.Conv2D(4, 3, use_bias=use_bias, bias_initializer="uniform")(rescaled))
    values = pixels_for(model, 3)
    net = TorchForward(model).eval()
    with torch.no_grad():
        found = net(torch.from_numpy(values).permute(0, 3, 1, 2)).numpy()
    assert np.abs(found - keras_output(model, values)).max() < 1e-5 and np.ptp(found) > 0.5
    assert not net.foreign and len(net._steps) == 2, "the convolution, and the order of dimensions"


@pytest.mark.parametrize("shape", [(None, 1, 1, 1), (None, 1, 1, 5)])
def test_dropout_acts_in_training_and_drops_what_its_noise_shape_says(shape: tuple[int | None, ...]) -> None:
    pixels = keras.Input((6, 7, 5))
    model = keras.Model(pixels, keras.layers.Dropout(0.5, noise_shape=shape, name="dropout")(pixels))
    keras.utils.set_random_seed(0)
    net = TorchForward(model).train()
    found = net(torch.ones(64, 5, 6, 7))  # [64, 6, 7, 5]
    for picture in found:
        assert all(len(channel.unique()) == 1 for channel in picture.unbind(-1))
    whole = {len(picture.unique()) for picture in found}
    assert whole == ({1} if shape[-1] == 1 else {1, 2})
    assert net.foreign == ([] if shape[-1] == 1 else ["dropout"])
    assert 0.3 < float((found == 0).float().mean()) < 0.7 and float(found.max()) == 2
    assert net.eval()(torch.ones(4, 5, 6, 7)).unique().tolist() == [1]


def test_a_layer_that_was_called_in_a_mode_stays_in_it() -> None:
    pixels = keras.Input((6, 7, 5))
    frozen = keras.layers.BatchNormalization()(pixels, training=False)
    net = TorchForward(keras.Model(pixels, keras.layers.Dropout(0.5)(frozen, training=True))).train()
    net(torch.rand(4, 5, 6, 7))
    assert np.array_equal(net.model.layers[1].moving_mean, np.zeros(5)), "the statistics of a new layer"
    assert len(net.eval()(torch.ones(64, 5, 6, 7)).unique()) == 2


def test_a_relu_overwrites_its_input_only_where_nobody_else_reads_that() -> None:
    pixels = keras.Input((6, 7, 5))
    read_once = keras.layers.BatchNormalization()(keras.layers.Conv2D(5, 3, padding="same", activation="relu")(pixels))
    read_twice = keras.layers.BatchNormalization()(keras.layers.ReLU()(read_once))
    added = keras.layers.Add()([keras.layers.Activation("relu")(read_twice), read_twice])
    # The sum of a single tensor is that tensor, which is read again after it has been through the ReLU.
    late = keras.layers.Conv2D(5, 1)(keras.layers.ReLU()(keras.layers.Add()([added])))
    added = keras.layers.Add()([added, late])
    output = keras.layers.BatchNormalization()(keras.layers.GlobalAveragePooling2D()(added))
    same = keras.layers.Dropout(0.5)(pixels)
    model = keras.Model(pixels, [keras.layers.ReLU()(output), output, keras.layers.ReLU()(same)])
    values = pixels_for(model, 3) - 128
    given = torch.from_numpy(values).permute(0, 3, 1, 2)
    net = TorchForward(model).eval()
    called = Called()
    with called, torch.no_grad():
        found = net(given)
    assert called.names.count("relu_") == 2 and called.names.count("relu") == 4
    assert np.array_equal(given.permute(0, 2, 3, 1), values), "the pixels stay what they were"
    for ours, keras_own in zip(found, model(torch.from_numpy(values)), strict=True):
        expected = keras_own.detach().numpy()
        assert np.abs(ours.numpy() - expected).max() < 1e-4 and np.ptp(expected) > 1


class Called(TorchDispatchMode):
    """The names of the operations that torch is asked for, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> object:  # type: ignore[no-untyped-def]
        self.names.append(func._schema.name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))
