"""Labels that look wrong and pictures unlike all others, by the features that the recipe `features` learns from.

Each picture is answered by a last layer that has met neither it nor its near-duplicates (folds): an answer that is far
more probable than the label speaks against it. Not by confident learning, which asks for as much as is usual among the
pictures of the other class: where those are easy to tell, more than most pictures with a wrong label reach. Pictures
unlike all others are far from even the nearest few of the others, measured by the spread of that distance over the set.
"""

import numpy as np

from fruitcnn import checkpoint
from fruitcnn.arrays import BoolArray, Float32Array, FloatArray, IntArray
from fruitcnn.calibration.held_out import assign_folds
from fruitcnn.calibration.linear_probe import fit_head
from fruitcnn.calibration.softmax import log_softmax
from fruitcnn.checks.finding import LABEL, ODD, Finding, kept
from fruitcnn.dataset.records import Record
from fruitcnn.dataset.store import PixelRows
from fruitcnn.features.backbone import shipped_backbone
from fruitcnn.features.extractor import Extractor
from fruitcnn.features.shipped import MULTIPLE
from fruitcnn.progress import part, tracked

# The layer has to err on the side of the many: less penalty, or more directions, and it learns wrong labels by heart.
_FOLDS, _PENALTY, _DIRECTIONS = 5, 40.0, 128
# By how much the probability of another class is above that of the label.
_MARGIN = 0.5
# Pictures that a fold's layer learns from, and that distances are measured to, at most: time grows with N alone.
_LEARNED, _REFERENCES, _BLOCK = 2_000, 4_000, 1_024
_NEIGHBOURS = 5
# Spreads (1.48 times the median deviation, the standard deviation of a normal distribution) above the median distance.
_FAR = 4.0
# Of the labels, the answers must agree with so many before they are held against the others; and so many of the
# pictures must be trusted before the others are not learned from.
_AGREEMENT, _MOST = 0.8, 0.5
# Fewer pictures say nothing about each other.
_FEWEST = 30
_SMALLEST, _LARGEST = 64, 256


def size_to_look_at(sizes: list[tuple[int, int]]) -> int:
    """At how many pixels the network sees the pictures: no more than most have, in the steps that it takes."""
    short = [min(size) for size in sizes if min(size)]
    median = float(np.median(short)) if short else _LARGEST
    return int(np.clip(-(-median // MULTIPLE) * MULTIPLE, _SMALLEST, _LARGEST))


def label_findings(
    records: list[Record], pixels: PixelRows, groups: IntArray, *, trusted: BoolArray, shown: BoolArray
) -> tuple[list[Finding], list[str]]:
    """Findings on N pictures, and remarks. pixels: [N, S, S, 3]; groups: [N], equal for near-duplicates.

    trusted: [N], of which nothing worse is known already: these are learned from. shown: [N], which show something:
    these are judged, the pictures under two labels as well, of which one is right.
    """
    labels = sorted({record.label for record in records})
    if len(records) < _FEWEST or len(labels) < 2 or checkpoint.SHIPPED is None:
        return [], []
    with part("computing features", share=0.6):
        rows = _principal(Extractor(shipped_backbone(pixels.shape[1])).features(pixels))
    index = {label: number for number, label in enumerate(labels)}
    targets = np.array([index[record.label] for record in records])
    with part("looking at labels", share=1.0):
        probabilities = held_out_probabilities(rows, targets, groups, trusted)
    found, remarks = [], []
    agreement = float((probabilities.argmax(1) == targets)[trusted].mean()) if trusted.any() else 0.0
    if agreement < _AGREEMENT:
        remarks.append(f"no label is judged: by these features only {agreement:.0%} look like what they are called")
    for place, suggested in doubtful_labels(probabilities, targets) if not remarks else []:
        if not shown[place]:
            continue
        record, other = records[place], labels[suggested]
        note = f"rather {other} ({probabilities[place, suggested]:.0%}) than {record.label}"
        found.append(Finding(LABEL, (record,), note, (kept(record, note, other),)))
    scores = spreads(distances(rows, groups))
    for place in np.argsort(-scores)[: int((scores > _FAR).sum())].tolist():
        note = f"{scores[place]:.0f} spreads from the others"
        found.append(Finding(ODD, (records[place],), note, (kept(records[place], f"{ODD.name}: {note}"),)))
    return found, remarks


def spreads(far: FloatArray) -> FloatArray:
    """By how many standard deviations each of distances [N] is above their median; few large ones change nothing.

    The deviation is that of a normal distribution with the same median absolute deviation (Hampel 1974).
    """
    above = far - np.median(far)
    found: FloatArray = above / (1.4826 * np.median(np.abs(above)) or 1.0)
    return found


def held_out_probabilities(
    features: Float32Array, targets: IntArray, groups: IntArray, trusted: BoolArray
) -> FloatArray:
    """Probabilities [N, C] of each picture by a layer that was fitted without its fold, on features [N, D].

    trusted: [N], which pictures are learned from, where they are the most of a set.
    """
    trusted = trusted if trusted.mean() > _MOST else np.ones(len(targets), bool)
    classes, rng = int(targets.max()) + 1, np.random.default_rng(0)
    folds = assign_folds(targets, groups, folds=_FOLDS, seed=0)
    logits = np.zeros((len(targets), classes), np.float32)
    for fold in tracked(range(_FOLDS), "looking at labels", total=_FOLDS):
        seen = np.flatnonzero((folds != fold) & trusted)
        seen = rng.permutation(seen)[:_LEARNED] if len(seen) > _LEARNED else seen
        head = fit_head(features[seen], targets[seen], classes=classes, penalty=_PENALTY)
        logits[folds == fold] = head.logits(features[folds == fold])
    return np.exp(log_softmax(logits))


def doubtful_labels(probabilities: FloatArray, targets: IntArray) -> list[tuple[int, int]]:
    """Pictures with a doubtful label, the most doubtful first, each with its likeliest class: both are indices.

    probabilities: [N, C], of pictures that were not learned from; targets: [N].
    """
    rows = np.arange(len(targets))
    suggested = probabilities.argmax(1)
    margin = probabilities[rows, suggested] - probabilities[rows, targets]
    ranked = np.argsort(-margin, kind="stable")[: int((margin > _MARGIN).sum())]
    return list(zip(ranked.tolist(), suggested[ranked].tolist(), strict=True))


def distances(features: Float32Array, groups: IntArray) -> FloatArray:
    """How far each picture is from the nearest few others that are no near-duplicates of it: 1 - cosine, [N]."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)
    chosen = np.arange(len(unit))
    if len(unit) > _REFERENCES:
        chosen = np.random.default_rng(0).choice(len(unit), _REFERENCES, replace=False)
    found = np.zeros(len(unit))
    for start in range(0, len(unit), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosines = np.where(groups[block, None] == groups[chosen], -1.0, unit[block] @ unit[chosen].T)
        nearest = np.partition(cosines, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS:]
        found[block] = 1 - nearest.mean(1)
    return found


def _principal(features: Float32Array) -> Float32Array:
    """The features [N, D] in the directions in which they vary most, [N, at most _DIRECTIONS]."""
    rows: Float32Array = features - features.mean(0)
    # Even of fewer pictures: what the penalty weighs depends on the number of directions.
    _, directions = np.linalg.eigh(rows.T @ rows)  # its columns, that of the least variance first
    found: Float32Array = rows @ directions[:, -min(_DIRECTIONS, len(rows)) :]
    return found
