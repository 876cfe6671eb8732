"""The one list of formats: what each is called and becomes, what it is made from, what writes it and what proves it.

The rows are light: the help of the command and the names of a checkpoint's files come from them, and a writer is
imported when it is asked for. To add a format is to add a row here and a module.
"""

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable, Iterable
from typing import Any, Literal

from fruitcnn.errors import UsageError

# What the browser page is called: the format and its folder.
PAGE = "page"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """An export format.

    Attributes:
        name: Its name.
        file: The name of the file that it becomes. A name without an ending is a folder.
        made_from: "keras" for the network as it was trained, compared with the reference pictures of the checkpoint.
            "onnx" for a finished model.onnx alone.
        write: `module:function`. It gets a KerasSource or an OnnxSource, and the path to write to.
        prove: `module:function`. It gets the same, reads what was written, and returns a Parity or raises ExportError.
        purpose: What it is for, as the help says it.
        every_run: Whether every training writes it.
        earlier: `module:function`, for a folder. It gets a folder, and returns None where that holds no earlier export,
            else the names of the folders in it that only the export needs. Empty for a file.
        needs: The packages without which it can't be made of any run.
    """

    name: str
    file: str
    made_from: Literal["keras", "onnx"]
    write: str
    prove: str
    purpose: str
    every_run: bool = False
    earlier: str = ""
    needs: tuple[str, ...] = ()

    @property
    def is_derived(self) -> bool:
        """Whether it is made from a finished model.onnx."""
        return self.made_from == "onnx"

    @property
    def is_folder(self) -> bool:
        """Whether it becomes a folder."""
        return "." not in self.file

    @property
    def is_installed(self) -> bool:
        """Whether all that it needs is there; nothing is imported."""
        return all(importlib.util.find_spec(package) for package in self.needs)


KERAS = Format(
    name="keras",
    file="model.keras",
    made_from="keras",
    write="fruitcnn.export.keras_model:write_keras",
    prove="fruitcnn.export.keras_model:prove_keras",
    purpose="for plain Keras, on torch, TensorFlow or JAX",
    every_run=True,
    needs=("keras",),
)
ONNX = Format(
    name="onnx",
    file="model.onnx",
    made_from="keras",
    write="fruitcnn.export.onnx_model:write_onnx",
    prove="fruitcnn.export.onnx_model:prove_onnx",
    purpose="for every runtime; what the others below follow from",
    every_run=True,
)
_ROWS = (
    KERAS,
    ONNX,
    Format(
        name="image",
        file="image.onnx",
        made_from="onnx",
        write="fruitcnn.export.image_graph:write_image_graph",
        prove="fruitcnn.export.image_graph:prove_image_graph",
        purpose="pictures of any size, with the resize inside the graph",
    ),
    Format(
        name="fp16",
        file="fp16.onnx",
        made_from="onnx",
        write="fruitcnn.export.fp16:write_fp16",
        prove="fruitcnn.export.performance:prove_on_photographs",
        purpose="half of the bytes; wants the pictures of the run, on which it must hold",
    ),
    Format(
        name="int8",
        file="int8.onnx",
        made_from="onnx",
        write="fruitcnn.export.int8:write_int8",
        prove="fruitcnn.export.performance:prove_on_photographs",
        purpose="a quarter of the bytes, in whole numbers; wants them too",
    ),
    Format(
        name="golden",
        file="golden",
        made_from="onnx",
        write="fruitcnn.export.golden:write_golden",
        prove="fruitcnn.export.golden:prove_golden",
        earlier="fruitcnn.export.golden:earlier_golden",
        purpose="a folder of pictures, tensors and answers to test other implementations with",
    ),
    Format(
        name=PAGE,
        file=PAGE,
        made_from="onnx",
        write="fruitcnn.browser.site:write_site",
        prove="fruitcnn.browser.site:prove_site",
        earlier="fruitcnn.browser.site:earlier_site",
        purpose="a folder for any web server, which identifies in the browser; needs npm",
    ),
)
# By name, in the order in which they are shown.
FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}


def of_every_run() -> list[Format]:
    """What every training writes."""
    return [format for format in FORMATS.values() if format.every_run]


def left_out() -> list[Format]:
    """What every training writes where all is installed, and none here."""
    return [format for format in of_every_run() if not format.is_installed]


def choose_formats(names: Iterable[str]) -> list[Format]:
    """The formats of these names, each once. Raises UsageError for one that there is not."""
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise UsageError("no such format", value=", ".join(unknown), remedy=f"choose from {', '.join(FORMATS)}")
    return [FORMATS[name] for name in dict.fromkeys(names)]


def load_function(place: str) -> Callable[..., Any]:
    """The function at `module:name`."""
    module, _, name = place.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def export_help() -> str:
    """What `fruitcnn export --help` says."""
    rows = "\n\n".join(f"{format.name}: {format.purpose}." for format in FORMATS.values())
    return (
        "Export a finished run again, each file compared with the model before it gets its name.\n\n"
        f"The formats, any of which can be asked for with --format:\n\n{rows}"
    )
