"""Which recipe is the best one for a picture set? Cross-validation, near-duplicates together, more than one seed.

    python benchmarks/choose_model.py --data ../shared/dataset/photos.csv --outside ../shared/dataset/outside features
    python benchmarks/choose_model.py --data photographs/ --seeds 1 --first 2 features transfer

Each recipe is trained anew on the rest of every fold, as `fruitcnn train` does it, and judged as `identify` answers.
What the recipe itself tunes (epoch, temperature, familiarity) it tunes on its own shares of the rest. --outside: a
folder with a folder for each kind of other things; the kinds are dealt to the folds too, so that a network learns from
the kinds of the other folds (data.outside) and is judged by kinds that it has not met. A row a recipe and seed: the
figures of all folds that were run together. Runs stay in --root: a broken command goes on where it was.
"""

import argparse
import csv
import dataclasses
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn import Identification, Identifier, checkpoint, load_config
from fruitcnn.calibration.held_out import assign_folds
from fruitcnn.dataset.records import Dataset, group_numbers
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.split import SplitRules
from fruitcnn.evaluation.refusal import auroc
from fruitcnn.listing import find_pictures
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config

REFUSE_BELOW = 0.05


@dataclasses.dataclass
class Found:
    """What was answered in all folds: a row a picture."""

    own: list[float] = dataclasses.field(default_factory=list)  # the probability of the true class
    right: list[bool] = dataclasses.field(default_factory=list)
    familiar: list[float] = dataclasses.field(default_factory=list)
    strange: list[float] = dataclasses.field(default_factory=list)

    def cells(self) -> list[str]:
        """accuracy, NLL, accepted, AUROC, refused."""
        familiar, strange = np.array(self.familiar), np.array(self.strange)
        loss = -np.log(np.maximum(self.own, 1e-7)).mean()
        cells = [str(len(self.own)), f"{np.mean(self.right):.2%}", f"{loss:.3f}"]
        cells.append(f"{(familiar >= REFUSE_BELOW).mean():.1%}")
        if not len(strange):
            return [*cells, "", ""]
        return [*cells, f"{auroc(familiar, strange):.3f}", f"{(strange < REFUSE_BELOW).mean():.1%}"]


def write_fold(dataset: Dataset, folds: NDArray[np.int64], fold: int, file: Path) -> None:
    """The data set as a CSV with one fold as its test split; the recipe splits the rest."""
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["file", "label", "split", "duplicate_group"])
        for picture, own in zip(dataset.pictures, folds, strict=True):
            split = "test" if own == fold else "train"
            writer.writerow([picture.path.resolve(), picture.label, split, picture.group])


def link_kinds(kinds: list[Path], folder: Path) -> Path:
    """A folder with links to these kinds of other things."""
    folder.mkdir(exist_ok=True)
    for kind in kinds:
        link = folder / kind.name
        if not link.is_symlink():
            link.symlink_to(kind.resolve())
    return folder


def run_fold(
    recipe: str, seed: int, fold: int, file: Path, strangers: Path | None, options: argparse.Namespace
) -> Path:
    """Train on the rest of a fold, unless that is done; returns the run's folder."""
    run = f"{recipe}-seed{seed}-fold{fold}"
    settings = [f"seed={seed}", *options.set, *([f"data.outside={strangers}"] if strangers else [])]
    folder: Path = options.root / run
    if not (folder / checkpoint.METRICS).exists():
        config = load_config(recipe, settings, data=file)
        train_config(config, Claim(name=run, root=options.root), device="cpu", print_line=lambda line: None)
    return folder


def judge(folder: Path, dataset: Dataset, mine: NDArray[np.intp], kinds: list[Path], found: Found) -> None:
    """Add what a run answers to the pictures of its fold, and to those of the kinds that it has not met."""
    identifier = Identifier.load(folder)
    pictures = [dataset.pictures[index] for index in mine]
    for picture, one in zip(pictures, identifier.identify_many([p.path for p in pictures]), strict=True):
        assert isinstance(one, Identification), one
        found.own.append(one.probabilities[one.labels.index(picture.label)])
        found.right.append(one.labels[int(np.argmax(one.probabilities))] == picture.label)
        found.familiar.append(one.familiarity or 0.0)
    paths = [path for kind in kinds for path in find_pictures(kind)[0]]
    strange = [one for one in identifier.identify_many(paths) if isinstance(one, Identification)]
    found.strange += [one.familiarity or 0.0 for one in strange]


def cross_validate(recipe: str, seed: int, options: argparse.Namespace) -> str:
    """Train and judge one recipe with one seed: a row of the table."""
    config, started = load_config(recipe, options.set, data=options.data), time.process_time()
    dataset = scan(options.data, sizes=[config.data.size], rules=SplitRules(config.data.validation_share, seed=seed))
    targets = np.array([dataset.labels.index(picture.label) for picture in dataset.pictures])
    groups = group_numbers(dataset.pictures)
    folds = assign_folds(targets, groups, folds=options.folds, seed=seed)
    kinds = sorted(path for path in options.outside.iterdir() if path.is_dir()) if options.outside else []
    found = Found()
    for fold in range(options.folds)[: options.first]:
        file = options.root / f"seed{seed}-fold{fold}.csv"
        write_fold(dataset, folds, fold, file)
        judged = kinds[fold :: options.folds]
        met = [kind for kind in kinds if kind not in judged]
        strangers = link_kinds(met, options.root / f"outside-fold{fold}") if met else None
        folder = run_fold(recipe, seed, fold, file, strangers, options)
        judge(folder, dataset, np.flatnonzero(folds == fold), judged, found)
    minutes = (time.process_time() - started) / 60
    run = min(options.folds, options.first or options.folds)
    cells = [recipe, seed, f"{run} of {options.folds}", *found.cells(), f"{minutes:.1f}"]
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--outside", type=Path, help="folder with a folder of pictures for each kind of other things")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--first", type=int, metavar="N", help="run only the first N folds, for a quick look")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--root", type=Path, default=Path("checkpoints/choose"))
    options = parser.parse_args()
    options.root.mkdir(parents=True, exist_ok=True)
    head = ["recipe", "seed", "folds", "pictures", "accuracy", "NLL", "accepted", "outside AUROC", "outside refused"]
    print("| " + " | ".join([*head, "CPU minutes"]) + " |", "|---" * 10 + "|", sep="\n", flush=True)
    for recipe in options.recipes:
        for seed in range(options.seeds):
            print(cross_validate(recipe, seed, options), flush=True)


if __name__ == "__main__":
    main()
