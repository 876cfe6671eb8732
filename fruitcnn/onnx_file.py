"""The one door to an ONNX file: whoever hands one to a runtime, or to the onnx package, has had it checked here."""

import dataclasses
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fruitcnn.errors import ModelError, system_error
from fruitcnn.regular_files import open_regular

if TYPE_CHECKING:
    import onnx

# The way to what matters in ONNX' protocol buffer messages: field number -> the message it holds.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "value": {2: "type"},
}
_EXTERNAL_DATA, _OPERATION, _FUNCTION = 13, 4, 25  # in a tensor, in a node, in a model
_METADATA, _KEY, _VALUE = 14, 1, 2  # in a model, and in each of its entries
_GRAPH, _NODE, _OUTPUT = 7, 1, 12  # in a model, and in its graph
_INPUT_NAME, _OUTPUT_NAME = 1, 2  # in a node
_TYPES = {4: "a sequence", 5: "a map", 7: "an opaque", 8: "a sparse", 9: "an optional"}  # in a type; 1 is a tensor
# Operations that hold graphs: they may run without end.
_CONTROL = {b"Loop", b"Scan", b"If", b"SequenceMap"}
_DEPTH = 64
_EXTERNAL = "keeps weights in other files"


@dataclasses.dataclass(frozen=True)
class OnnxFile:
    """A file that `check_onnx` let through. metadata: what its `metadata_props` say."""

    path: Path
    metadata: dict[str, str]


def check_onnx(path: Path) -> OnnxFile:
    """Look into an ONNX file without the onnx package, and refuse what could harm whoever opens it.

    A model is one file: weights in other files are refused, their paths could lead anywhere. Its graph runs from the
    input to the outputs and ends: loops, branches, functions, and types other than tensors are refused, which no graph
    of fruitcnn has. Raises ModelError, for a file whose structure is damaged too.
    """
    try:
        with open_regular(path) as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            problems = set(_problems(data, 0, len(data), "model", _DEPTH))
            metadata = _metadata(data)
    except (ValueError, IndexError) as error:
        raise ModelError(f"not a usable ONNX model ({error})", value=path, remedy="export it again") from error
    except OSError as error:
        raise system_error(error, ModelError, value=path) from error
    if _EXTERNAL in problems:
        raise ModelError(_EXTERNAL, value=path, remedy="save it as one file")
    if problems:
        raise ModelError(f"holds {', '.join(sorted(problems))}", value=path, remedy="export it without")
    return OnnxFile(path, metadata)


def what_makes(file: OnnxFile, output: str) -> tuple[str, list[str]]:
    """The kind of the operation that a tensor of the graph comes from, and the names of its inputs; "" for none."""
    with open_regular(file.path) as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for field, begin, end in _fields(data, 0, len(data)):
            for inner, start, stop in _fields(data, begin, end) if field == _GRAPH else ():
                found = list(_fields(data, start, stop)) if inner == _NODE else []
                if any(name == _OUTPUT_NAME and data[at:till] == output.encode() for name, at, till in found):
                    kind = next((data[at:till].decode() for name, at, till in found if name == _OPERATION), "")
                    return kind, [data[at:till].decode() for name, at, till in found if name == _INPUT_NAME]
    return "", []


def with_output(file: OnnxFile, tensor: str) -> bytes:
    """The same model with one output more, a tensor that its graph computes on the way.

    Of two messages one after the other a reader of protocol buffers makes one, with the lists of both.
    """
    name = tensor.encode()
    value = b"\x0a" + _length(name)
    return file.path.read_bytes() + b"\x3a" + _length(b"\x62" + _length(value))


def _length(data: bytes) -> bytes:
    """Bytes behind their number, as a field of a message has them."""
    number, size = len(data), bytearray()
    while number > 0x7F:
        size.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*size, number]) + data


def read_graph(path: Path) -> "onnx.ModelProto":
    """A checked file as the onnx package has it. Raises ModelError."""
    import onnx

    check_onnx(path)
    return onnx.load(path, load_external_data=False)


def _metadata(data: mmap.mmap) -> dict[str, str]:
    """Where a key comes twice, the later counts, as in the runtimes."""
    entries = (
        {number: data[at:stop].decode() for number, at, stop in _fields(data, begin, end)}
        for field, begin, end in _fields(data, 0, len(data))
        if field == _METADATA
    )
    return {entry.get(_KEY, ""): entry.get(_VALUE, "") for entry in entries}


def _problems(data: mmap.mmap, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    """What is refused in a message, each thing at least once."""
    if not depth:
        raise ValueError("nested too deep")
    for field, begin, stop in _fields(data, start, end):
        if message == "tensor" and field == _EXTERNAL_DATA:
            yield _EXTERNAL
        elif message == "node" and field == _OPERATION and data[begin : min(stop, begin + 20)] in _CONTROL:
            yield f"the operation {data[begin:stop].decode()}"
        elif message == "model" and field == _FUNCTION:
            yield "functions"
        elif message == "type" and field in _TYPES:
            yield f"{_TYPES[field]} type"
        if inner := _FIELDS.get(message, {}).get(field):
            yield from _problems(data, begin, stop, inner, depth - 1)


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
