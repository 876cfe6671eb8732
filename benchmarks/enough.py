"""Does the forecast of `fruitcnn dataset enough` hold the error that three times the pictures then have?

    python benchmarks/enough.py ../shared/dataset/photos.csv
    python benchmarks/enough.py photographs/ --pictures 240

Each repetition takes part of a set by chance, near-duplicates together, measures its learning curve and forecasts the
error with three times the pictures. What came is the mean error of layers that were fitted to so many pictures of the
whole set, judged by those that were left out, over twelve draws. A row a repetition.
"""

import argparse
from pathlib import Path

import numpy as np
from cached_features import FeatureSet, read_features

from fruitcnn.arrays import IntArray
from fruitcnn.calibration.learning_curve import REACH, measure_curve
from fruitcnn.calibration.linear_probe import fit_head

PENALTY, DRAWS = 5.0, 12


def drawn(data: FeatureSet, seed: int) -> IntArray:
    """All pictures in an order by chance, those of one group next to each other."""
    order = np.random.default_rng(seed).permutation(int(data.groups.max()) + 1)
    return np.argsort(order[data.groups], kind="stable")


def true_error(data: FeatureSet, count: int) -> float:
    """The error of a layer that learned from so many pictures."""
    errors = []
    for seed in range(DRAWS):
        order = drawn(data, 1000 + seed)
        known, new = order[:count], order[count:]
        head = fit_head(data.features[known], data.targets[known], classes=len(data.labels), penalty=PENALTY)
        errors.append((head.logits(data.features[new]).argmax(1) != data.targets[new]).mean())
    return float(np.mean(errors))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of class folders, or CSV")
    parser.add_argument(
        "--pictures", type=int, help="that are at hand; default: what leaves 15 %% of the set to judge by"
    )
    parser.add_argument("--repetitions", type=int, default=10)
    options = parser.parse_args()
    data = read_features(options.data)
    count = options.pictures or int(0.85 * len(data.targets)) // REACH
    came = true_error(data, REACH * count)
    print(f"{options.data}: from {count:,} pictures to {REACH * count:,}, where the error is {came:.2%}")
    print("| repetition | now | forecast | 80 % interval | holds |", "|---|---|---|---|---|", sep="\n", flush=True)
    held = 0
    for seed in range(options.repetitions):
        part = drawn(data, seed)[:count]
        rows = data.features[part], data.targets[part], data.groups[part]
        curve = measure_curve(*rows, penalty=PENALTY, seed=seed)
        ((found,),) = curve.forecasts(np.array([float(REACH * count)]))
        holds = found.low <= came <= found.high
        held += holds
        cells = [f"{curve.errors()[-1]:.2%}", f"{found.value:.2%}", f"{found.low:.2%} to {found.high:.2%}"]
        print(f"| {seed} | {' | '.join(cells)} | {'yes' if holds else 'no'} |", flush=True)
    print(f"held in {held} of {options.repetitions} (bar: 7 of 10)")


if __name__ == "__main__":
    main()
