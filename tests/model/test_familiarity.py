"""Familiarity is the same number in the fitted object and in the model's layers."""

import dataclasses

import numpy as np
import pytest
import torch

from fruitcnn.calibration.conformal import LEVELS
from fruitcnn.calibration.familiarity import Familiarity, unit
from fruitcnn.calibration.held_out import Calibration
from fruitcnn.calibration.linear_probe import Head, Heads
from fruitcnn.model import TorchForward, answer_model, build_model, features_model, keras
from fruitcnn.training.network import KerasNetwork

CLASSES = 3


@pytest.mark.parametrize("architecture", ["fruit_net", "simple_cnn", "efficientnet_lite0"])
def test_the_layers_compute_the_fitted_score_and_the_evidence_its_logits(architecture: str) -> None:
    keras.utils.set_random_seed(0)
    start = "imagenet" if architecture == "efficientnet_lite0" else "none"
    model = build_model(architecture, classes=CLASSES, size=48, dropout=0.5, weights=start)
    for layer in model.layers:
        if start == "none" and isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([w + 0.3 for w in layer.get_weights()])
    end = model.get_layer("logits")
    end.set_weights([end.get_weights()[0] * 5, np.array([0.3, -0.2, 0.1], np.float32)])
    pixels = torch.rand(120, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 255
    pixels[:, :, :24] *= torch.linspace(0, 1, 120)[:, None, None, None]
    with torch.no_grad():
        features, logits = (x.numpy() for x in TorchForward(features_model(model)).eval()(pixels))
    # Random networks' features hardly differ: a gate on what does spreads the scores.
    rng = np.random.default_rng(0)
    centred = features - features.mean(0)
    gate = np.linalg.svd(centred, full_matrices=False)[2][0]
    gate = (gate / (centred @ gate).std()).astype(np.float32)
    bank = unit(features[:7] + features.std() * rng.normal(size=(7, features.shape[1])).astype(np.float32))
    draft = Familiarity(bank, (2.0, 0.3), gate, 0.5, LEVELS.astype(np.float32))
    scores = draft.score(features, logits / 1.7)
    fit = dataclasses.replace(draft, knots=np.quantile(scores, LEVELS).astype(np.float32))
    answers = answer_model(model, temperature=1.7, familiarity=fit)
    with torch.no_grad():
        found = TorchForward(answers).eval()(pixels)
    expected = torch.from_numpy(logits / 1.7).softmax(1)
    assert float((found[0] - expected).abs().max()) < 1e-5
    p = fit.p_value(fit.score(features, logits / 1.7))
    assert np.ptp(p) > 0.8, "the comparison must be able to fail"
    assert np.abs(found[1].numpy() - p).max() < 1e-3
    assert answers.output_names[:2] == ["probabilities", "familiarity"]
    if architecture == "simple_cnn":
        assert len(found) == 2, "no pooling at its end: no evidence"
        return
    assert answers.output_names == ["probabilities", "familiarity", "evidence"]
    assert found[2].ndim == 4 and np.abs(found[2].mean((2, 3)).numpy() - logits / 1.7).max() < 1e-4
    by_keras = answers.predict_on_batch(pixels[:4].permute(0, 2, 3, 1).numpy())
    for mine, other in zip(found, by_keras, strict=True):
        assert mine[:4].shape == other.shape and np.abs(mine[:4].numpy() - other).max() < 1e-3


def test_heads_that_answer_together_give_the_mean_of_their_probabilities() -> None:
    keras.utils.set_random_seed(0)
    model = build_model("fruit_net", classes=CLASSES, size=32, dropout=0.0)
    pixels = torch.rand(9, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        features = TorchForward(features_model(model)).eval()(pixels)[0].numpy()
    rng, width = np.random.default_rng(0), features.shape[1]
    members = [Head(rng.normal(size=(width, CLASSES)).astype(np.float32), np.float32([k, 0, 0])) for k in range(3)]
    heads = Heads(tuple(members))
    answers = answer_model(model, temperature=1.7, heads=heads)
    with torch.no_grad():
        found = TorchForward(answers).eval()(pixels)[0].numpy()
    assert np.abs(found - heads.probabilities(features, 1.7)).max() < 1e-5
    network = KerasNetwork(model, heads).calibrated(Calibration(1.7, None, 9))
    said = network.logits(pixels.permute(0, 2, 3, 1).numpy().astype(np.uint8))
    assert np.allclose(np.exp(said).sum(1), 1, atol=1e-5), "logarithms of probabilities"
    by_keras = answers.predict_on_batch(pixels.permute(0, 2, 3, 1).numpy())[0]
    assert answers.output_names[0] == "probabilities" and np.abs(by_keras - found).max() < 1e-5


def test_the_trained_model_keeps_its_weights() -> None:
    model = build_model("fruit_net", classes=CLASSES, size=32, dropout=0.0)
    before = [w.copy() for w in model.get_weights()]
    answer_model(model, temperature=2.0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
