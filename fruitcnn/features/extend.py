"""Adding the pictures of an earlier run, of which only features are kept, to a data set of new ones."""

import collections
import dataclasses
import functools

import numpy as np

from fruitcnn.config import Config
from fruitcnn.dataset.known import KnownPictures
from fruitcnn.dataset.labels import check_distinct
from fruitcnn.dataset.records import Dataset, Record
from fruitcnn.dataset.second_look import LOOK_SIZE
from fruitcnn.errors import ConfigError
from fruitcnn.features.kept import KeptFeatures
from fruitcnn.listing import natural_key
from fruitcnn.wording import counted


def check_extends(kept: KeptFeatures, config: Config, network: str) -> None:
    """Raise ConfigError where a recipe's features would be others. network: sha256 of the graph that makes them."""
    differences = []
    remedy = "train with all pictures instead"
    if kept.size != config.data.size:
        differences.append(f"data.size is {config.data.size}, it was trained at {kept.size}")
        remedy = f"add --size {kept.size}, or {remedy}"
    elif kept.network != network:
        differences.append("its features are of another network than the one that comes with this fruitcnn")
    if config.head is not None and config.head.mirrored:
        differences.append("head.mirrored needs the pictures themselves")
    if differences:
        raise ConfigError("; ".join(differences), value=config.data.extend, remedy=remedy)


def extended(dataset: Dataset, kept: KeptFeatures, name: str) -> Dataset:
    """The new pictures, then the kept ones with their splits; what is among both counts once, as the new set has it.

    name: what reports call the earlier run. A new picture that is nearly a kept one of its class goes to that one's
    side of the split.
    """
    new = {record.sha256 for record in dataset.pictures}
    rows = [row for row, sha256 in enumerate(kept.sha256.tolist()) if sha256 not in new]
    labels = sorted({*dataset.labels, *(str(kept.labels[row]) for row in rows)}, key=natural_key)
    check_distinct(labels, value=name)
    old = _records(kept, rows, taken={record.file for record in dataset.records}, name=name)
    records = [*_beside(dataset, old), *old]
    twice = len(kept.sha256) - len(rows)
    known = "is known by its" if len(rows) == 1 else "are known by their"
    report = f"{counted(len(rows), 'picture', 'pictures')} of {name} {known} features alone"
    report += f", {counted(twice, 'more is', 'more are')} among the new ones" if twice else ""
    return dataclasses.replace(
        dataset,
        records=records,
        labels=labels,
        report=[*dataset.report, report],
        kept={str(kept.sha256[row]): kept.features[row] for row in rows},
    )


def _records(kept: KeptFeatures, rows: list[int], *, taken: set[str], name: str) -> list[Record]:
    """The kept pictures under names that no new one has; at their paths, below a file, there can be nothing."""
    found = []
    for row in rows:
        file = str(kept.files[row])
        while file in taken:
            file = f"{name}/{file}"
        taken.add(file)
        hashes = (int(kept.hashes[row, 0]), int(kept.hashes[row, 1]))
        found.append(
            Record(
                file,
                kept.path / file.lstrip("/"),
                str(kept.labels[row]),
                str(kept.splits[row]),
                f"{name}: {kept.groups[row]}",
                str(kept.sha256[row]),
                hashes,
            )
        )
    return found


def _beside(dataset: Dataset, old: list[Record]) -> list[Record]:
    """The new records, those that are nearly kept ones, with their groups, in theirs and on their side of the split."""
    of_label: dict[str, list[Record]] = collections.defaultdict(list)
    for record in old:
        of_label[record.label].append(record)
    known = {
        label: KnownPictures(np.array([one.hashes[0] for one in some], np.uint64), [one.sha256 for one in some])
        for label, some in of_label.items()
    }
    like: dict[tuple[str | None, str], Record] = {}
    pictures = dataset.pictures
    looks = dataset.rows(pictures, LOOK_SIZE)
    for index, record in enumerate(pictures):
        if record.label not in known:
            continue
        found = known[record.label].nearly(record.hashes, functools.partial(looks.__getitem__, index))
        if found is not None:
            like.setdefault((record.group, record.label), of_label[record.label][found])
    sides = ((record, like.get((record.group, record.label))) for record in dataset.records)
    return [
        record if one is None or record.error else dataclasses.replace(record, split=one.split, group=one.group)
        for record, one in sides
    ]
