"""How many pictures need a label when `fruitcnn label-next` chooses them, and how many when chance does?

    python benchmarks/label_next.py ../shared/dataset/photos.csv
    python benchmarks/label_next.py photographs/ --repetitions 3

Each repetition holds a quarter of the set back, near-duplicates together, and starts from 30 pictures that are drawn by
chance. A last layer is fitted to the shipped network's features of what is labelled so far; the product's own choice of
30 more is made from its answers; and so on to 300. Beside it, the same layer fitted to ever more pictures by chance.
A row a number of labels: the error in percent of the pictures that were held back, its mean over the repetitions.
"""

import argparse
from pathlib import Path

import numpy as np
from cached_features import FeatureSet, read_features

from fruitcnn.arrays import FloatArray, IntArray
from fruitcnn.calibration.familiarity import unit
from fruitcnn.calibration.linear_probe import Head, fit_head
from fruitcnn.calibration.softmax import softmax
from fruitcnn.labelling.choice import choose, margins

ROUND, MOST, COMPARED = 30, 300, 900
PENALTY = 5.0


def fitted(data: FeatureSet, chosen: IntArray) -> Head:
    """The last layer that a training would fit to these pictures."""
    return fit_head(data.features[chosen], data.targets[chosen], classes=len(data.labels), penalty=PENALTY)


def error(head: Head, data: FeatureSet, held_back: IntArray) -> float:
    """Wrong answers in percent."""
    wrong = head.logits(data.features[held_back]).argmax(1) != data.targets[held_back]
    return 100 * float(wrong.mean())


def chosen_errors(data: FeatureSet, order: IntArray, held_back: IntArray) -> list[float]:
    """By what is chosen, for 30, 60, ... labels. order: of the other pictures, the first 30 of which are the start."""
    vectors, labelled, errors = unit(data.features), order[:ROUND], []
    while True:
        head = fitted(data, labelled)
        errors.append(error(head, data, held_back))
        if len(labelled) >= MOST:
            return errors
        rest = np.setdiff1d(order, labelled)
        lead = margins(softmax(head.logits(data.features[rest])))
        labelled = np.concatenate([labelled, rest[choose(lead, vectors[rest], data.groups[rest], ROUND)]])


def repeat(data: FeatureSet, seed: int, sizes: list[int]) -> tuple[list[float], list[float]]:
    """Errors by choice for 30, 60, ... labels, and by chance for `sizes`."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.unique(data.groups))
    is_held = np.isin(data.groups, groups[: len(groups) // 4])
    (held_back,), order = np.nonzero(is_held), rng.permutation(np.flatnonzero(~is_held))
    by_chance = [error(fitted(data, order[:size]), data, held_back) for size in sizes]
    return chosen_errors(data, order, held_back), by_chance


def shown(values: FloatArray) -> str:
    """Mean and standard error over the repetitions."""
    return f"{values.mean():.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of class folders, or CSV")
    parser.add_argument("--repetitions", type=int, default=10)
    options = parser.parse_args()
    data = read_features(options.data)
    most = min(COMPARED, int(0.7 * len(data.targets)))
    sizes = sorted({*range(ROUND, min(MOST, most) + 1, ROUND), most})
    found = [repeat(data, seed, sizes) for seed in range(options.repetitions)]
    by_choice, by_chance = (np.array(errors) for errors in zip(*found, strict=True))  # [repetitions, sizes]
    print(f"{options.data}: {len(data.targets):,} pictures of {len(data.labels)} classes")
    print("| labels | chosen, error in % | by chance | gain, paired |", "|---|---|---|---|", sep="\n")
    for index, size in enumerate(sizes):
        cells = [shown(by_choice[:, index]) if index < by_choice.shape[1] else "", shown(by_chance[:, index])]
        gain = by_chance[:, index] - by_choice[:, index] if index < by_choice.shape[1] else None
        print(f"| {size} | " + " | ".join([*cells, "" if gain is None else shown(gain)]) + " |")
    good_enough = np.flatnonzero(by_choice.mean(0) <= by_chance[:, -1].mean())
    reached = f"{ROUND * (good_enough[0] + 1)}" if len(good_enough) else f"more than {MOST}"
    print(f"as few errors as {most} by chance: {reached} chosen ones (bar: at most {MOST})")


if __name__ == "__main__":
    main()
