"""Looking into an ONNX file before a runtime opens it, without the onnx package."""

import mmap
from collections.abc import Iterator
from pathlib import Path

from fruitcnn.errors import ModelError, system_error
from fruitcnn.regular_files import open_regular

# The way from a model to its tensors in ONNX' protocol buffer messages: field number -> the message it holds.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA = 13  # in a tensor
_DEPTH = 64


def check_graph(file: Path) -> None:
    """Refuse a model that keeps weights in other files: a model is one file, and its paths could lead anywhere.

    Raises ModelError, for a file whose structure is damaged too.
    """
    try:
        with open_regular(file) as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            external = _has_external(data, 0, len(data), "model", _DEPTH)
    except (ValueError, IndexError) as error:
        raise ModelError(f"not a usable ONNX model ({error})", value=file, remedy="export it again") from error
    except OSError as error:
        raise system_error(error, ModelError, value=file) from error
    if external:
        raise ModelError("keeps weights in other files", value=file, remedy="save it as one file")


def _has_external(data: mmap.mmap, start: int, end: int, message: str, depth: int) -> bool:
    if not depth:
        raise ValueError("nested too deep")
    for field, begin, stop in _fields(data, start, end):
        if message == "tensor":
            if field == _EXTERNAL_DATA:
                return True
        elif (inner := _FIELDS[message].get(field)) and _has_external(data, begin, stop, inner, depth - 1):
            return True
    return False


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The length-delimited fields of a message as (number, begin, end)."""
    at = start
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise ValueError("cut off")
            yield key >> 3, at, at + length
            at += length
        else:
            raise ValueError("unknown wire type")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("not a number")
