"""What people are told before a training: what was found, what is left out, how it is split, what it will cost."""

from collections.abc import Iterator

from fruitcnn import cells
from fruitcnn.config import Config
from fruitcnn.dataset.records import Dataset
from fruitcnn.runs.recipe_texts import describe_recipe
from fruitcnn.terminal import printable
from fruitcnn.wording import counted

# Of more classes only the smallest and the largest are named.
_CLASSES = 12
# Of a label, so that four splits stand beside it; a longer one shows both its ends.
_LABEL_COLUMNS = 24


def describe_beginning(config: Config, dataset: Dataset) -> Iterator[str]:
    """The lines."""
    found, classes = len(dataset.pictures), len(dataset.labels)
    others = f", and {len(dataset.outside):,} of no class" if dataset.outside else ""
    pictures = counted(found, "picture", "pictures")
    yield f"{config.data.path}: {pictures} of {counted(classes, 'class', 'classes')}{others}"
    yield from dataset.report
    yield _describe_split(config, dataset)
    yield from _table(dataset)
    network, _, cost = describe_recipe(config).partition("; ")
    yield f"{config.name}: {network};"
    yield f"  {cost}"


def duration(seconds: float) -> str:
    """About how long something takes: `5 seconds`, `12 minutes`, `2 hours`."""
    for unit, size in (("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}s"
    return counted(max(1, round(seconds)), "second", "seconds")


def _describe_split(config: Config, dataset: Dataset) -> str:
    if any(record.split for record in dataset.listed):
        return "split as the data set says:"
    if config.data.split:
        return f"split as in {config.data.split}, what is new to it divided:"
    together = ", pictures that look alike on one side" if config.data.near_duplicates == "group" else ""
    return f"split by chance (seed {config.seed}){together}:"


def _table(dataset: Dataset) -> Iterator[str]:
    """A row a class, the sum below; the sum alone, with the smallest and the largest class, where there are many."""
    by_split = {split: dataset.counts(split) for split in dataset.splits}
    few = len(dataset.labels) <= _CLASSES
    labels = [cells.cut_in_the_middle(printable(label), _LABEL_COLUMNS, "...") for label in dataset.labels if few]
    names = [*labels, "all"]
    width = max(map(cells.width, names))
    yield f"  {'':<{width}}" + "".join(f"  {split:>11}" for split in by_split)
    rows = list(zip(*by_split.values(), strict=True)) if few else []
    for name, counts in zip(names, [*rows, tuple(sum(counts) for counts in by_split.values())], strict=True):
        yield f"  {cells.padded(name, width)}" + "".join(f"  {count:>11,}" for count in counts)
    if not few:
        sizes = {label: sum(counts) for label, *counts in zip(dataset.labels, *by_split.values(), strict=True)}
        small, large = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
        yield f"  from {sizes[small]:,} ({small}) to {sizes[large]:,} ({large}) in a class"
