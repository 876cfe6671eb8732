"""What a folder of parts was begun with: the list, the model, the settings. Others are refused, by their difference."""

import dataclasses
import hashlib
import json
import os
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from fruitcnn import __version__, checkpoint
from fruitcnn.cluster.name_list import NameList
from fruitcnn.cluster.name_stream import is_list
from fruitcnn.cluster.remote_files import is_remote
from fruitcnn.errors import ModelError, UsageError, system_error
from fruitcnn.identify.addresses import is_address, shown_address
from fruitcnn.outputs import write_text
from fruitcnn.regular_files import open_regular

MANIFEST, MODEL = "manifest.json", checkpoint.ONNX
_FORMAT = "fruitcnn-parts/1"


@dataclasses.dataclass(frozen=True)
class Begun:
    """What a run is begun with, apart from the names that come of it.

    sources: as absolute paths, lists with their sha256. base: where relative names start. settings: what else changes
    rows or parts.
    """

    sources: tuple[dict[str, str], ...]
    base: str
    model: dict[str, str]
    settings: dict[str, Any]
    version: str = __version__

    @classmethod
    def from_arguments(cls, sources: list[str], model: dict[str, str], settings: dict[str, Any]) -> "Begun":
        """Of the arguments of a command. Raises UsageError for a list that can't be read."""
        return cls(tuple(map(_source, sources)), os.getcwd(), model, settings)  # noqa: PTH109

    def difference(self, other: "Begun") -> str:
        """In what another was begun differently; "" where rows and parts would be the same."""
        if self.model["sha256"] != other.model["sha256"]:
            mine, others = (f"{one['name']} ({one['sha256'][:12]})" for one in (self.model, other.model))
            return f"the model {mine}, not {others}"
        if self.sources != other.sources:
            return _list_difference(self.sources, other.sources)
        for name, value in self.settings.items():
            if value != other.settings.get(name):
                return f"--{name.replace('_', '-')} {_shown(value)}, not {_shown(other.settings.get(name))}"
        return f"version {self.version}, not {other.version}" if self.version != other.version else ""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A run of a folder: what it was begun with, and its list. id: of the whole, as its parts carry it."""

    begun: Begun
    names: NameList
    id: str

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a folder. Raises UsageError where there is none that this version understands."""
        path = folder / MANIFEST
        try:
            with open_regular(path, through_links=False) as file:
                text = file.read()
        except OSError as error:
            raise system_error(error, UsageError, value=path) from error
        try:
            content = json.loads(text)
            if content["format"] != _FORMAT:
                raise ValueError(f"format {content['format']}")
            listed = content["list"]
            begun = Begun(
                tuple(listed["sources"]), listed["base"], content["model"], content["settings"], content["fruitcnn"]
            )
            names = NameList(folder, int(listed["pictures"]), int(begun.settings["per_part"]), listed["sha256"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"can't be read ({error})", value=path, remedy="begin anew in another folder") from error
        return cls(begun, names, hashlib.sha256(text).hexdigest()[:16])


def write_manifest(folder: Path, begun: Begun, names: NameList) -> None:
    """Write what a run was begun with; from then on the folder is one of parts. Raises OSError."""
    content = {
        "format": _FORMAT,
        "fruitcnn": begun.version,
        "list": {"sources": begun.sources, "base": begun.base, "pictures": names.count, "sha256": names.sha256},
        "model": begun.model,
        "settings": begun.settings,
    }
    write_text(folder / MANIFEST, json.dumps(content, indent=2) + "\n")


def sha256_of(path: Path) -> str:
    """The sha256 of a file. Raises ModelError where it can't be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(cast(BufferedReader, file), "sha256").hexdigest()
    except OSError as error:
        raise system_error(error, ModelError, value=path) from error


def _source(source: str) -> dict[str, str]:
    if is_remote(source) or is_address(source):
        return {"source": shown_address(source)}
    path = os.path.abspath(source)  # noqa: PTH100 (links stay as they were named)
    if not is_list(source):
        return {"source": path}
    try:
        return {"source": path, "sha256": sha256_of(Path(source))}
    except ModelError as error:
        raise UsageError(error.problem, value=source, remedy=error.remedy) from error


def _list_difference(mine: tuple[dict[str, str], ...], others: tuple[dict[str, str], ...]) -> str:
    if len(mine) != len(others):
        return f"{len(mine):,} sources, not {len(others):,}"
    one, other = next((one, other) for one, other in zip(mine, others, strict=True) if one != other)
    if one["source"] == other["source"]:
        return f"the list {one['source']} as it was, which has changed since"
    return f"{one['source']}, not {other['source']}"


def _shown(value: Any) -> str:
    return "unset" if value is None else str(value)
