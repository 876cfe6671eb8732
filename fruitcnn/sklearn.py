"""The recipe `features` as an estimator of scikit-learn: for pipelines, cross-validation and searches."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

import fruitcnn
from fruitcnn.ahead import AHEAD, mapped_ahead
from fruitcnn.architectures import origin, shipped_architecture
from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.calibration.fold_heads import calibrate_fold_heads, fit_fold_heads, fold_count
from fruitcnn.calibration.held_out import Features, Known, assign_folds
from fruitcnn.card import EVIDENCE, FAMILIARITY, METADATA_KEY, PROBABILITIES, ModelCard
from fruitcnn.dataset.duplicates import duplicate_groups
from fruitcnn.dataset.hashes import perceptual_hashes
from fruitcnn.dataset.labels import check_distinct, check_not_reserved, clean_label
from fruitcnn.dataset.second_look import LOOK_SIZE
from fruitcnn.extras import naming_extras
from fruitcnn.image import SCALED_MARGIN, Pixels, Source, load_pixels, opened
from fruitcnn.runtime import Session, shared_out

with naming_extras():
    import onnx
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import Tags
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

    from fruitcnn.features.backbone import shipped_backbone
    from fruitcnn.features.extractor import Extractor
    from fruitcnn.features.fit import CalibratedFeatures, FeaturesNetwork
    from fruitcnn.runs.evaluated import refusals_on_card

_KINDS = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image, np.ndarray)


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The recipe `features` as an estimator of scikit-learn.

    It fits a last layer on the features of the network that comes with fruitcnn, and calibrates it by cross-validation.
    It learns from all pictures, and sets none aside. While it learns, the pictures are in memory: N * size * size * 3
    bytes. It always answers with one of the classes: only the exported model says "unknown".

    X is no table of numbers. So there are no `n_features_in_` and `feature_names_in_`, no sample weights and no sparse
    matrices.

    Args:
        size: The side of the model's input in pixels, a multiple of 32.
        penalty: The weight of the squared weights beside the loss. None chooses among 0.2, 1 and 5 by cross-validation.
        mirrored: Learn from the mirror images of the pictures too.
        folds: The number of folds of the cross-validation.
        seed: The seed of the folds.

    Attributes:
        classes_ (numpy.ndarray): The classes [C], sorted. They are the columns of `predict_proba`.
        temperature_ (float): What the logits are divided by.
        model_ (bytes): A model.onnx with its card. Write it to a file, and `fruitcnn identify` reads it.

    Example:
        >>> GridSearchCV(ImageClassifier(size=128), {"penalty": [1, 5, 25]}).fit(paths, labels)
    """

    def __init__(
        self, *, size: int = 256, penalty: float | None = None, mirrored: bool = False, folds: int = 5, seed: int = 0
    ) -> None:
        self.size = size
        self.penalty = penalty
        self.mirrored = mirrored
        self.folds = folds
        self.seed = seed

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = tags.input_tags.string = True
        return tags

    def fit(self, X: Iterable[Source], y: Iterable[Any]) -> "ImageClassifier":  # noqa: N803
        """Learn from pictures and their classes.

        Args:
            X: N pictures, each a path, encoded bytes, a PIL image or an array uint8 [H, W, 3], RGB, 0 to 255. Or one
                array uint8 [N, H, W, 3].
            y: Their N classes, numbers or texts.

        Returns:
            The estimator itself.

        Raises:
            DatasetError: The names of two classes look alike.
            ImageError: A picture can't be read.
            ModelError: The network can't take this size.
            ValueError: X holds no pictures, or y fewer than two classes.
        """
        (classes, targets), sources = _classes(y), _sources(X)
        check_consistent_length(sources, targets)
        labels = _labels(classes)
        pixels, groups = _read(sources, self.size)
        backbone = shipped_backbone(self.size)
        extractor = Extractor(backbone)
        features = extractor.features(pixels)
        views = extractor.features(pixels, mirrored=True) if self.mirrored else None
        folds = assign_folds(targets, groups, folds=fold_count(len(targets), self.folds), seed=self.seed)
        fitted = fit_fold_heads(features, targets, folds, views=views, classes=len(labels), penalty=self.penalty)
        known = Known(targets, groups)
        calibration = calibrate_fold_heads(Features(features), known, folds, fitted, seed=self.seed)
        network = FeaturesNetwork(backbone, extractor, fitted.heads).calibrated(calibration)
        self.classes_, self.temperature_ = classes, calibration.temperature
        self.model_ = _with_card(network, labels, size=self.size, pictures=len(pixels))
        self._size = self.size
        self._open()
        return self

    def predict_proba(self, X: Iterable[Source]) -> Float32Array:  # noqa: N803
        """Return the calibrated probabilities of pictures. It raises what `fit` raises.

        Args:
            X: N pictures, as `fit` takes them.

        Returns:
            float32 [N, C], 0 to 1. The columns are `classes_`.
        """
        check_is_fitted(self)
        at_once, _ = shared_out(os.cpu_count() or 1, self._size)

        def answer(source: Source) -> Float32Array:
            return self._session.answers([PROBABILITIES], load_pixels(source, self._size)[np.newaxis])[0]

        with ThreadPoolExecutor(at_once) as pool:
            return np.concatenate(list(mapped_ahead(pool, answer, _sources(X), ahead=AHEAD)))

    def predict(self, X: Iterable[Source]) -> Any:  # noqa: N803
        """Return the likeliest class of each picture. It raises what `fit` raises.

        Args:
            X: N pictures, as `fit` takes them.

        Returns:
            The classes [N], of the type of `y`.
        """
        answers = self.predict_proba(X).argmax(axis=1)
        return self.classes_[answers]

    def _open(self) -> None:
        # Of what was fitted, whatever the parameters have been set to since.
        _, threads = shared_out(os.cpu_count() or 1, self._size)
        self._session = Session(self.model_, threads=threads)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_session"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            self._open()


def _sources(X: Iterable[Source]) -> list[Source]:  # noqa: N803
    """The pictures of X. Raises ValueError for anything else."""
    wanted = "X must be a sequence of pictures (paths, bytes, PIL images, arrays) or an array uint8 [N, H, W, 3]"
    shape, dtype = getattr(X, "shape", None), getattr(X, "dtype", None)
    if isinstance(X, str | bytes | os.PathLike | Image.Image) or not isinstance(X, Iterable):
        raise ValueError(f"{wanted}, not one {type(X).__name__}")
    if shape is not None and len(shape) != 1 and (len(shape) != 4 or shape[3] != 3 or dtype != np.uint8):
        raise ValueError(f"{wanted}, not {dtype} of shape {shape}")
    sources = list(X)
    other = next((source for source in sources if not isinstance(source, _KINDS)), None)
    if other is not None:
        raise ValueError(f"{wanted}, not of {type(other).__name__}")
    if not sources:
        raise ValueError(f"{wanted}; found 0 of them, while a minimum of 1 is required")
    return sources


def _classes(y: Iterable[Any]) -> tuple[Any, IntArray]:
    """The different classes [C], sorted, and which of them each picture is of, [N]. Raises ValueError."""
    if y is None:
        raise ValueError("ImageClassifier requires y to be passed, but the target y is None")
    column = column_or_1d(y, warn=True)
    check_classification_targets(column)
    classes, targets = np.unique(column, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"a classifier needs two classes or more, y has {len(classes)} class: {classes}")
    return classes, targets


def _labels(classes: Any) -> tuple[str, ...]:
    """The classes as the model's card names them."""
    labels = tuple(clean_label(str(name), where="y") for name in classes.tolist())
    check_distinct(labels, value="y")
    check_not_reserved(labels, value="y")
    return labels


def _read(sources: list[Source], size: int) -> tuple[Pixels, IntArray]:
    """Pixels uint8 [N, size, size, 3] of pictures, and a number for each [N], the same for near-duplicates."""

    def read(source: Source) -> tuple[Pixels, Pixels, tuple[int, int]]:
        with opened(source, at_least=SCALED_MARGIN * size) as picture:
            return picture.pixels(size), picture.pixels(LOOK_SIZE), perceptual_hashes(picture.rgb())

    with ThreadPoolExecutor() as pool:
        pixels, looks, hashes = zip(*pool.map(read, sources), strict=True)
    return np.stack(pixels), duplicate_groups(np.array(hashes, np.uint64), looks=np.stack(looks))


def _with_card(network: CalibratedFeatures, labels: tuple[str, ...], *, size: int, pictures: int) -> bytes:
    """The bytes of a model.onnx, card and all."""
    more: dict[str, dict[str, Any]] = {
        FAMILIARITY: refusals_on_card(pictures),
        EVIDENCE: {"grid": network.outputs[EVIDENCE][1:]},
    }
    card = ModelCard(
        labels=labels,
        size=size,
        outputs=tuple({"name": name, **more.get(name, {})} for name in network.outputs),
        temperature=network.temperature,
        provenance={
            "recipe": "features",
            "weights": origin(shipped_architecture(), "imagenet"),
            "images": {"train": pictures},
            "fruitcnn": fruitcnn.__version__,
        },
    )
    onnx.helper.set_model_props(network.graph, {METADATA_KEY: card.to_json()})
    data: bytes = network.graph.SerializeToString(deterministic=True)
    return data
