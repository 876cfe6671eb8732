"""Whether a path can be a set of photographs at all. Nothing is listed here, so that a slip is told at once."""

from pathlib import Path

from fruitcnn.errors import DatasetError, system_error


def check_kind(data: Path) -> None:
    """Raises DatasetError for what is neither a folder nor a .csv file; nothing in it is looked at."""
    try:
        if data.is_dir() or (data.is_file() and data.suffix.lower() == ".csv"):
            return
        problem = "is neither a folder nor a .csv file" if data.exists() else "no such folder or file"
    except OSError as error:
        raise system_error(error, DatasetError) from error
    raise DatasetError(problem, value=data, remedy="give a folder of class folders, or a CSV with file,label")
