"""`python -m dataset.drawing OUT`: draw a set of grapes, pineapples and strawberries to try things out with."""

import argparse
import sys
from pathlib import Path

from dataset.drawing.draw import LARGEST, SMALLEST, draw_dataset
from fruitcnn.errors import DatasetError


def main() -> None:
    """Draw the set that the arguments ask for; a set that can't be drawn ends as one line and status 1."""
    parser = argparse.ArgumentParser(prog="python -m dataset.drawing", description="Draw pictures of fruit.")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument("--per-class", type=int, default=100, metavar="N", help="pictures of each fruit (100)")
    parser.add_argument("--size", type=int, default=160, help=f"side in pixels, {SMALLEST} to {LARGEST} (160)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same pictures (0)")
    options = parser.parse_args()
    if options.seed < 0:
        parser.error("--seed must be 0 or more")
    try:
        paths = draw_dataset(options.out, per_class=options.per_class, size=options.size, seed=options.seed)
    except DatasetError as error:
        sys.exit(f"dataset.drawing: {error}")
    print(f"{len(paths)} pictures in {options.out}")


if __name__ == "__main__":
    main()
