"""From a folder or a CSV to the records that it names. Nothing is decoded here."""

import dataclasses
from pathlib import Path

from fruitcnn.dataset.csv_list import read_csv
from fruitcnn.dataset.folders import read_folder
from fruitcnn.dataset.kind import check_kind
from fruitcnn.dataset.labels import check_distinct
from fruitcnn.dataset.records import Listing
from fruitcnn.errors import DatasetError, system_error
from fruitcnn.listing import natural_key


def read_listing(data: Path, *, distinct: bool = True) -> Listing:
    """List the photographs of a folder of classes, a folder of splits of classes, or a CSV. Raises DatasetError.

    distinct: whether class names that a person would take for one are refused.
    """
    check_kind(data)
    try:
        listing = _ordered(read_folder(data) if data.is_dir() else read_csv(data))
    except OSError as error:
        raise system_error(error, DatasetError) from error
    if distinct:
        check_distinct(listing.spellings or listing.labels, value=data)
    return listing


def _ordered(listing: Listing) -> Listing:
    return dataclasses.replace(listing, labels=sorted(set(listing.labels), key=natural_key))
