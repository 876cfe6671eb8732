"""How much of what is wrong with a set `fruitcnn dataset check` finds, and how much it finds that is not there.

    python benchmarks/planted_faults.py DATA [--each 50] [--seed 0]

Copies the pictures of a set (a folder or a CSV with file,label), plants so many faults of each kind among them, checks
the set as it is and with the faults, and prints a table: of each kind how many of the planted ones were found, and how
many pictures without a planted fault it names, before and after.
"""

import argparse
import csv
import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from fruitcnn.checks.check import check
from fruitcnn.checks.finding import CheckedSet
from fruitcnn.dataset.records import Record
from fruitcnn.dataset.sources import read_listing
from fruitcnn.image import opened

Draw = Callable[[Image.Image], Image.Image]


@dataclasses.dataclass
class Row:
    """A picture of the set with the faults."""

    file: str
    label: str
    split: str
    fault: str = ""


class Planter:
    def __init__(self, records: list[Record], folder: Path, each: int, seed: int) -> None:
        self.folder, self.each, self.rng = folder, each, np.random.default_rng(seed)
        self.labels = sorted({record.label for record in records})
        self.rows: list[Row] = []
        for number, record in enumerate(records):
            name = f"{number:06}{record.path.suffix}"
            (folder / name).symlink_to(record.path.resolve())
            self.rows.append(Row(name, record.label, ("train", "train", "train", "validation")[number % 4]))
        self.free = list(self.rng.permutation(len(self.rows)))

    def take(self) -> list[Row]:
        """Pictures that nothing was planted in."""
        chosen, self.free = self.free[: self.each], self.free[self.each :]
        return [self.rows[index] for index in chosen]

    def other(self, label: str) -> str:
        return str(self.rng.choice([one for one in self.labels if one != label]))

    def change(self, fault: str, draw: Draw) -> None:
        """Pictures that are replaced by what `draw` makes of them."""
        for row in self.take():
            with opened(self.folder / row.file) as picture:
                image = draw(picture.rgb().copy())
            (self.folder / row.file).unlink()
            row.file, row.fault = f"{fault}-{row.file}.jpg".replace(" ", "-"), fault
            image.save(self.folder / row.file, quality=85)

    def add(self, fault: str, draw: Draw | None, *, label: bool = False, split: bool = False) -> None:
        """More pictures, made of others: under another label, or in another split, if so."""
        for row in self.take():
            name = f"{fault}-{row.file}".replace(" ", "-")
            if draw is None:
                shutil.copy((self.folder / row.file).resolve(), self.folder / name)
            else:
                with opened(self.folder / row.file) as picture:
                    draw(picture.rgb().copy()).save(self.folder / (name := name + ".jpg"), quality=60)
            side = row.split if not split else "validation" if row.split == "train" else "train"
            self.rows.append(Row(name, self.other(row.label) if label else row.label, side, fault))

    def break_files(self) -> None:
        for row in self.take():
            data = (self.folder / row.file).read_bytes()
            (self.folder / row.file).unlink()
            (self.folder / row.file).write_bytes(data[: len(data) // 3] if self.rng.random() < 0.5 else b"no picture")
            row.fault = "unreadable"

    def relabel(self) -> None:
        for row in self.take():
            row.label, row.fault = self.other(row.label), "label to check"

    def write(self) -> Path:
        with (self.folder / "set.csv").open("w", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(("file", "label", "split"))
            writer.writerows((row.file, row.label, row.split) for row in self.rows)
        return self.folder / "set.csv"


def plant(planter: Planter) -> None:
    rng = planter.rng

    def smaller(image: Image.Image) -> Image.Image:
        return image.resize((max(33, image.width * 3 // 4), max(33, image.height * 3 // 4)))

    def one_colour(image: Image.Image) -> Image.Image:
        return Image.new("RGB", image.size, tuple(rng.integers(0, 256, 3).tolist()))

    def nearly_empty(image: Image.Image) -> Image.Image:
        page = Image.new("RGB", image.size, "white")
        page.paste(image.resize((image.width // 6 + 1, image.height // 6 + 1)), (3, 3))
        return page

    planter.add("exact copy", None)
    planter.add("near-duplicate", smaller)
    planter.add("mirrored", lambda image: ImageOps.mirror(smaller(image)))
    planter.add("leak", smaller, split=True)
    planter.add("two labels", smaller, label=True)
    planter.break_files()
    planter.relabel()
    planter.change("blank", one_colour)
    planter.change("very dark", lambda image: image.point(lambda value: value * 0.15))
    planter.change("very bright", nearly_empty)
    planter.change("blurred", lambda image: image.filter(ImageFilter.GaussianBlur(0.03 * min(image.size))))


def named(checked: CheckedSet, kind: str) -> set[str]:
    kinds = {"unreadable": ("unreadable", "damaged"), "mirrored": ("near-duplicate",)}.get(kind, (kind,))
    return {record.file for name in kinds for finding in checked.of(name) for record in finding.records}


FAULTS = (
    *("exact copy", "near-duplicate", "mirrored", "leak", "two labels", "unreadable", "blank", "label to check"),
    *("very dark", "very bright", "blurred"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--each", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    records = read_listing(options.data).records
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planter = Planter(records, folder, options.each, options.seed)
        before = check(planter.write())
        plant(planter)
        started = time.perf_counter()
        after = check(planter.write())
        seconds = time.perf_counter() - started
    print(f"{options.data}: {len(records):,} pictures, {options.each} faults of each kind, {seconds:.0f} s")
    print(f"{'kind':<16}{'found':>14}{'others named':>14}{'before':>14}")
    for kind in FAULTS:
        planted = {row.file for row in planter.rows if row.fault == kind}
        good = {row.file for row in planter.rows if not row.fault}
        found, others, earlier = named(after, kind), named(after, kind) & good, named(before, kind)
        # The pictures that the planted copies were made of belong to their groups.
        share = f"{len(planted & found)} of {len(planted)}"
        after_all, before_all = len(others) / len(good), len(earlier) / len(records)
        print(f"{kind:<16}{share:>14}{len(others):>8} {after_all:>5.1%}{len(earlier):>8} {before_all:>5.1%}")
    print("\n".join(after.remarks))


if __name__ == "__main__":
    main()
