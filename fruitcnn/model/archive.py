"""Looking into a .keras file before Keras opens it."""

import zipfile
from pathlib import Path

from fruitcnn.errors import ModelError, system_error
from fruitcnn.regular_files import open_regular

# The largest known configurations, of models with thousands of layers, take some megabytes.
_CONFIGURATION_LIMIT = 16 << 20


def check_keras_file(path: Path) -> None:
    """Refuse a .keras file whose configuration is too large to be one, by what the archive's directory says.

    A gigabyte of spaces is a megabyte in the archive, and the parser would take many of them. Raises ModelError.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except OSError as error:
        raise system_error(error, ModelError, value=path) from error
    except Exception as error:
        # zipfile raises what its many fields make it raise.
        raise ModelError(f"not a .keras file ({error})", value=path, remedy="export it again") from error
    for entry in entries:
        if entry.filename.endswith(".json") and entry.file_size > _CONFIGURATION_LIMIT:
            problem = f"{entry.filename} in it takes {entry.file_size:,} bytes, more than {_CONFIGURATION_LIMIT:,}"
            raise ModelError(problem, value=path, remedy="export the model again")
