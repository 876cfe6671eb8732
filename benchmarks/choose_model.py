"""Which recipe is the best one for a picture set? Cross-validation, near-duplicates together, more than one seed.

    python benchmarks/choose_model.py --data ../shared/dataset/photos.csv --outside ../shared/dataset/outside features
    python benchmarks/choose_model.py --data photographs/ --seeds 2 --folds 5 features fruit_net transfer

Each recipe is trained anew on the rest of every fold, as `fruitcnn train` does it, and judged as `identify` answers:
on the fold, and on the pictures of no class. What the recipe itself tunes (epoch, temperature, familiarity) it tunes
on its own share of the rest. A row a recipe and seed: the figures of all folds together. Runs stay in --root, so that
a broken run goes on where it was.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn import Identifier, checkpoint, load_config, train
from fruitcnn.dataset.records import Record
from fruitcnn.dataset.scan import scan
from fruitcnn.image import is_picture
from fruitcnn.training.head import assign_folds

Rows = list[tuple[NDArray[np.float64], float]]


def answers(identifier: Identifier, files: list[Path]) -> Rows:
    """Probabilities [C] and familiarity of every picture that can be read."""
    found = identifier.identify_many(files)
    return [(np.array(one.probabilities), one.familiarity or 0.0) for one in found if hasattr(one, "probabilities")]


def auroc(members: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """The chance that a member is more familiar than a stranger, ties counting half."""
    ordered = np.sort(others)
    return float(
        (np.searchsorted(ordered, members, "left") + np.searchsorted(ordered, members, "right")).mean()
        / 2
        / len(others)
    )


def fold_csv(pictures: list[Record], folds: NDArray[np.int64], fold: int, file: Path) -> None:
    """The data set with one fold as its test split; the recipe splits the rest."""
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["file", "label", "split", "duplicate_group"])
        for picture, own in zip(pictures, folds, strict=True):
            writer.writerow([picture.path.resolve(), picture.label, "test" if own == fold else "", picture.group])


def judge(recipe: str, seed: int, options: argparse.Namespace, strangers: list[Path]) -> str:
    """Train and judge one recipe with one seed: a row of the table."""
    config = load_config(recipe, [f"seed={seed}", *options.set], data=options.data)
    dataset = scan(options.data, sizes=[config.data.size], share=config.data.validation_share, seed=seed)
    pictures, labels = dataset.pictures, dataset.labels
    targets = np.array([labels.index(picture.label) for picture in pictures])
    groups = np.unique([picture.group or picture.file for picture in pictures], return_inverse=True)[1]
    folds = assign_folds(targets, groups, folds=options.folds, seed=seed)
    shares, familiar, wanted, strange, started = [], [], [], [], time.process_time()
    for fold in range(options.folds):
        run, file = f"{recipe}-seed{seed}-fold{fold}", options.root / f"seed{seed}-fold{fold}.csv"
        options.root.mkdir(parents=True, exist_ok=True)
        fold_csv(pictures, folds, fold, file)
        if not (options.root / run / checkpoint.CONFUSION).exists():
            overrides = [f"seed={seed}", *options.set]
            train(load_config(recipe, overrides, data=file), name=run, root=options.root, print_line=lambda line: None)
        identifier = Identifier.load(options.root / run)
        rows = answers(identifier, [picture.path for picture, own in zip(pictures, folds, strict=True) if own == fold])
        shares += [row for row, _ in rows]
        familiar += [value for _, value in rows]
        wanted += targets[folds == fold].tolist()
        strange += [value for _, value in answers(identifier, strangers)]
    p, right = np.array(shares), np.array(wanted)
    own = p[np.arange(len(p)), right]
    minutes = (time.process_time() - started) / 60
    cells = [recipe, seed, f"{(p.argmax(1) == right).mean():.2%}", f"{-np.log(own.clip(1e-7)).mean():.3f}"]
    cells.append(f"{(np.array(familiar) >= 0.05).mean():.1%}")
    if strange:
        cells += [f"{auroc(np.array(familiar), np.array(strange)):.3f}", f"{(np.array(strange) < 0.05).mean():.1%}"]
    else:
        cells += ["", ""]
    return "| " + " | ".join(str(cell) for cell in [*cells, f"{minutes:.1f}"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--outside", type=Path, help="folder of pictures of no class")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--root", type=Path, default=Path("checkpoints/choose"))
    options = parser.parse_args()
    strangers = (
        sorted(path for path in options.outside.rglob("*") if path.is_file() and is_picture(path))
        if options.outside
        else []
    )
    print("| recipe | seed | accuracy | NLL | accepted | outside AUROC | outside refused | CPU minutes |")
    print("|---|---|---|---|---|---|---|---|")
    for recipe in options.recipes:
        for seed in range(options.seeds):
            print(judge(recipe, seed, options, strangers), flush=True)


if __name__ == "__main__":
    main()
