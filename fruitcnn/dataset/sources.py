"""From a folder or a CSV to the records that it names. Nothing is decoded here."""

import dataclasses
from pathlib import Path

from fruitcnn.dataset.csv_list import read_csv
from fruitcnn.dataset.folders import read_folder
from fruitcnn.dataset.records import Listing
from fruitcnn.errors import DatasetError, system_error
from fruitcnn.listing import natural_key


def read_listing(data: Path) -> Listing:
    """List the photographs of a folder of classes, a folder of splits of classes, or a CSV. Raises DatasetError."""
    try:
        if data.is_dir():
            return _ordered(read_folder(data))
        if data.is_file() and data.suffix.lower() == ".csv":
            return _ordered(read_csv(data))
        problem = "is neither a folder nor a .csv file" if data.exists() else "no such folder or file"
    except OSError as error:
        raise system_error(error, DatasetError) from error
    raise DatasetError(problem, value=data, remedy="give a folder of class folders, or a CSV with file,label")


def _ordered(listing: Listing) -> Listing:
    return dataclasses.replace(listing, labels=sorted(set(listing.labels), key=natural_key))
