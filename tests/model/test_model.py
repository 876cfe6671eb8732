"""The networks: the original's exact shape, ours within its size, and the same numbers on every path."""

import numpy as np
import pytest
import torch

from fruitcnn.model import TorchForward, build_model, keras

SIZES = {"simple_cnn": 32, "fruit_net": 48, "efficientnet_lite0": 64}


def randomised(architecture: str, *, seed: int = 0) -> keras.Model:
    """A model whose every weight, moving statistics included, is far from its initial value."""
    model = build_model(architecture, classes=3, size=SIZES[architecture], dropout=0.5)
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        fan_in = max(1, int(np.prod(variable.shape[:-1])))
        spread = np.sqrt(2 / fan_in) if len(variable.shape) > 1 else 0.2
        positive = "gamma" in variable.path or "variance" in variable.path
        variable.assign(rng.normal(0, spread, variable.shape) + positive * 1.5)
    return model


def test_simple_cnn_is_the_original_network() -> None:
    model = build_model("simple_cnn", classes=3, size=32, dropout=0.5)
    kernels = [tuple(layer.kernel.shape) for layer in model.layers if hasattr(layer, "kernel")]
    assert kernels == [
        (3, 3, 3, 32), (3, 3, 32, 64), (3, 3, 64, 64), (3, 3, 64, 128), (3, 3, 128, 128), (3, 3, 128, 128),
        (2048, 512), (512, 3),
    ]  # fmt: skip
    kernel = model.get_layer("hidden").kernel.numpy()
    assert abs(kernel.std() - 0.0176) < 0.0005, "a normal of 0.02 cut at two standard deviations"
    penalty = 0.01 * sum(float((model.get_layer(name).kernel.numpy() ** 2).sum()) for name in ("hidden", "logits"))
    assert sum(float(loss.detach()) for loss in model.losses) == pytest.approx(penalty, rel=1e-5)


def test_fruit_net_is_of_the_size_that_was_asked_for() -> None:
    assert 1.0e6 <= build_model("fruit_net", classes=3, size=96, dropout=0.1).count_params() <= 1.5e6


@pytest.mark.parametrize("architecture", SIZES)
def test_layers_have_the_same_names_in_every_model(architecture: str) -> None:
    first, second = (randomised(architecture) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert [variable.path for variable in first.weights] == [variable.path for variable in second.weights]


@pytest.mark.parametrize("architecture", SIZES)
def test_the_training_forward_computes_what_the_model_computes(architecture: str) -> None:
    model = randomised(architecture)
    net = TorchForward(model).eval()
    pixels = (
        torch.rand(5, 3, SIZES[architecture], SIZES[architecture], generator=torch.Generator().manual_seed(0)) * 255
    )
    with torch.no_grad():
        expected = model(pixels.permute(0, 2, 3, 1), training=False)
        found = net(pixels.contiguous(memory_format=torch.channels_last))
    assert float(expected.max() - expected.min()) > 0.05, "the comparison must be able to fail"
    assert float((found - expected).abs().max()) < 1e-5


def test_a_training_step_is_that_of_keras_own_layers() -> None:
    ours, theirs = randomised("fruit_net"), randomised("fruit_net")
    for model in (ours, theirs):
        model.get_layer("dropout").rate = 0.0
    pixels = torch.rand(8, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 255
    outputs = [TorchForward(ours).train()(pixels), theirs(pixels.permute(0, 2, 3, 1), training=True)]
    assert torch.allclose(*outputs, atol=1e-3)
    for output in outputs:
        torch.nn.functional.cross_entropy(output, torch.arange(8) % 3).backward()
    for mine, other in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
        scale = float(other.value.grad.abs().max())
        assert float((mine.value.grad - other.value.grad).abs().max()) < 2e-3 * scale + 1e-6, mine.path
    for mine, other in zip(ours.non_trainable_weights, theirs.non_trainable_weights, strict=True):
        # torch's moving variance is the unbiased one: a factor of n / (n - 1), n = 8 * 6 * 6 at the least.
        assert np.allclose(mine.numpy(), other.numpy(), rtol=5e-3, atol=1e-4), mine.path
