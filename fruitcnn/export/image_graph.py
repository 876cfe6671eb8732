"""image.onnx: model.onnx with the resize in front of it, so that every runtime prepares a photograph as we do.

Pillow's antialiased bilinear resize is two products with matrices of triangle-filter weights, each product rounded to
whole grey levels. ONNX's own Resize has an `antialias` attribute that many runtimes ignore without a word; a matrix
product none can get wrong. The weights are computed in the graph, from the photograph's shape.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.compose
import onnx.parser
from PIL import Image

from fruitcnn.card import PROBABILITIES
from fruitcnn.errors import ExportError
from fruitcnn.export.drawing import draw
from fruitcnn.export.gate import Parity
from fruitcnn.export.source import OnnxSource
from fruitcnn.image import Pixels, resize
from fruitcnn.onnx_file import check_onnx
from fruitcnn.runtime import Session

# What opset 18 needs, and old enough for onnxruntime 1.17.
IR_VERSION = 8
# How far an output may lie from that of Pillow's resize and model.onnx.
TOLERANCE = 1e-3
# Width and height of the pictures of the gate: enlarged and reduced, by whole and crooked factors, down to one pixel.
_SIZES = ((1, 1), (1, 300), (211, 1), (31, 47), (61, 96), (192, 192), (333, 257), (640, 480), (1000, 801), (1600, 1201))

_HEAD = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
resize (uint8[height, width, 3] photo) => (float[1, 3, {size}, {size}] pixels)
<int64 at_0 = {{0}}, int64 at_1 = {{1}}, int64 at_2 = {{2}}, int64[1] axis_0 = {{0}}, int64[1] axis_1 = {{1}},
 float zero = {{0}}, float half = {{0.5}}, float one = {{1}}, float two = {{2}}, float digit = {{2048}},
 float fine = {{128}}, float middle = {{16384}}, float level = {{32768}},
 float size = {{{size}}}, int64[3] rows = {{{size}, 3, {size}}},
 int64[4] halves = {{-1, 3, 2, {size}}}, int64[2] flat = {{-1, {three}}}>
{{
    shape = Shape (photo)
"""

# Pillow (src/libImaging/Resample.c, precompute_coeffs and normalize_coeffs_8bpc): of a side of n pixels resized to S,
# output i lies at (i + 1/2) n/S, input j at j + 1/2, and the triangle reaches max(n/S, 1) to each side. Times 2 S these
# are whole numbers, which float32 holds exactly while n S < 2**23: the weight of input j in output i is
# max(0, 2 max(n, S) - |(2 j + 1) S - (2 i + 1) n|), divided by the sum over j, rounded to 22 binary places. It is
# divided in two steps of 11 places: one float32 division is too short for 22 and their rounding.
# What the pixels are multiplied by are the weights' upper 15 and lower 7 places, each a whole number, so that every sum
# is one too and stays below 2**24 up to n = 256 S: exact, whatever order a runtime adds in.
_WEIGHTS = """
    {side}_length = Gather <axis = 0> (shape, at_{axis})
    {side}_n = Cast <to = 1> ({side}_length)
    {side}_j = Range (at_0, {side}_length, at_1)
    {side}_j_row = Unsqueeze ({side}_j, axis_0)
    {side}_j_float = Cast <to = 1> ({side}_j_row)
    {side}_j_double = Mul ({side}_j_float, two)
    {side}_j_odd = Add ({side}_j_double, one)
    {side}_j_at = Mul ({side}_j_odd, size)
    {side}_i = Range (zero, size, one)
    {side}_i_column = Unsqueeze ({side}_i, axis_1)
    {side}_i_double = Mul ({side}_i_column, two)
    {side}_i_odd = Add ({side}_i_double, one)
    {side}_i_at = Mul ({side}_i_odd, {side}_n)
    {side}_apart = Sub ({side}_j_at, {side}_i_at)
    {side}_distance = Abs ({side}_apart)
    {side}_longer = Max ({side}_n, size)
    {side}_reach = Mul ({side}_longer, two)
    {side}_under = Sub ({side}_reach, {side}_distance)
    {side}_triangle = Relu ({side}_under)
    {side}_sum = ReduceSum <keepdims = 1> ({side}_triangle, axis_1)
    {side}_shifted = Mul ({side}_triangle, digit)
    {side}_quotient = Div ({side}_shifted, {side}_sum)
    {side}_first = Floor ({side}_quotient)
    {side}_taken = Mul ({side}_first, {side}_sum)
    {side}_rest = Sub ({side}_shifted, {side}_taken)
    {side}_rest_shifted = Mul ({side}_rest, digit)
    {side}_rest_quotient = Div ({side}_rest_shifted, {side}_sum)
    {side}_rest_raised = Add ({side}_rest_quotient, half)
    {side}_second = Floor ({side}_rest_raised)
    {side}_first_shifted = Mul ({side}_first, digit)
    {side}_weights = Add ({side}_first_shifted, {side}_second)
    {side}_weights_over = Div ({side}_weights, fine)
    {side}_upper = Floor ({side}_weights_over)
    {side}_upper_shifted = Mul ({side}_upper, fine)
    {side}_lower = Sub ({side}_weights, {side}_upper_shifted)
"""

_COLUMNS = """
    upper_columns = Transpose <perm = [1, 0]> (width_upper)
    lower_columns = Transpose <perm = [1, 0]> (width_lower)
    columns = Concat <axis = 1> (upper_columns, lower_columns)
"""

# One colour after the other, in one product each: as float32 the whole photograph would take four times its bytes.
_ACROSS = """
    {colour}_bytes = Gather <axis = 2> (photo, at_{index})
    {colour} = Cast <to = 1> ({colour}_bytes)
    {colour}_sums = MatMul ({colour}, columns)
"""

# Upper and lower sums to whole grey levels: (upper + lower / 2**7 + half a level) / 2**15, rounded down.
_ROUND = """
    {way}_lower_over = Div ({way}_lower, fine)
    {way}_carried = Floor ({way}_lower_over)
    {way}_sum = Add ({way}_upper, {way}_carried)
    {way}_raised = Add ({way}_sum, middle)
    {way}_levels = Div ({way}_raised, level)
    {way} = Floor ({way}_levels)
"""

# As in `fruitcnn.image.resize`: across first, then down, rounded to whole grey levels after each.
_JOIN = """
    sums = Concat <axis = 1> (red_sums, green_sums, blue_sums)
    sums_apart = Reshape (sums, halves)
    across_upper = Gather <axis = 2> (sums_apart, at_0)
    across_lower = Gather <axis = 2> (sums_apart, at_1)
"""
_DOWN = """
    across_rows = Reshape (across, flat)
    down_upper = MatMul (height_upper, across_rows)
    down_lower = MatMul (height_lower, across_rows)
"""
_TAIL = """
    down_rows = Reshape (down, rows)
    planes = Transpose <perm = [1, 0, 2]> (down_rows)
    pixels = Unsqueeze (planes, axis_0)
}}
"""


def write_image_graph(source: OnnxSource, file: Path) -> None:
    """Write the image graph of a model.onnx."""
    onnx.save(image_graph(source.graph), file)


def prove_image_graph(source: OnnxSource, file: Path, pictures: Sequence[Pixels] = ()) -> Parity:
    """Compare a file's probabilities with those of Pillow's resize and the model behind it.

    pictures: uint8 [h, w, 3] each; drawn ones from 1 x 1 to 1,600 x 1,201 where none are given. Raises ExportError
    where a probability differs by more than TOLERANCE or a label differs.
    """
    pictures = pictures or [np.asarray(draw(np.random.default_rng(size), *size).convert("RGB")) for size in _SIZES]
    whole = Session(check_onnx(file))
    found = np.stack([whole.run([PROBABILITIES], {"photo": picture})[0][0] for picture in pictures])
    expected = source.identifier.probabilities(
        np.stack([resize(Image.fromarray(picture), source.card.size) for picture in pictures])
    )
    difference = float(np.abs(found - expected).max())
    labels = int((found.argmax(1) != expected.argmax(1)).sum())
    # Written so that a difference that is not a number fails too.
    if labels or not difference <= TOLERANCE:
        raise ExportError(
            f"{labels} of {len(found)} labels differ, a probability by up to {difference:.1e} (allowed: "
            f"{TOLERANCE:.0e}); nothing was written",
            value=file.name,
            remedy="report this with the recipe: it is a defect of the export",
        )
    return Parity(file.name, len(found), difference)


def image_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, a model.onnx, behind a resize: from `photo`, uint8 RGB [height, width, 3], to the same outputs [1, ...].

    Opset, card and weights stay the model's. Any sides from 1 pixel to tens of thousands. In onnxruntime a photograph
    takes 2.6 times its own bytes besides them (8,000 x 6,000: 351 MiB beside 137), since only one colour at a time
    becomes float32.
    """
    (opset,) = (entry.version for entry in model.opset_import if entry.domain == "")
    size = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    front = onnx.parser.parse_model(_resize_text(ir=IR_VERSION, opset=opset, size=size))
    front = onnx.compose.add_prefix(front, "resize/", rename_inputs=False)
    # onnxruntime 1.18 to 1.21 names the nodes that it makes after ours, and refuses two without a name.
    for node in front.graph.node:
        node.name = node.output[0]
    # The merger wants one IR version on both sides; what the newer ones add, no graph of ours has.
    behind = onnx.ModelProto()
    behind.CopyFrom(model)
    behind.ir_version = IR_VERSION
    result = onnx.compose.merge_models(
        front, behind, io_map=[("resize/pixels", model.graph.input[0].name)], name=model.graph.name
    )
    # The merger lists the opset once for each of its two models, and names itself as the producer.
    del result.opset_import[1:]
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    for output in result.graph.output:
        output.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.checker.check_model(result, full_check=True)
    return result


def _resize_text(*, ir: int, opset: int, size: int) -> str:
    """The resize in ONNX's own textual form."""
    parts = [
        _HEAD.format(ir=ir, opset=opset, size=size, three=3 * size),
        *(_WEIGHTS.format(side=side, axis=axis) for axis, side in enumerate(("height", "width"))),
        _COLUMNS,
        *(_ACROSS.format(colour=colour, index=index) for index, colour in enumerate(("red", "green", "blue"))),
        *(_JOIN, _ROUND.format(way="across"), _DOWN, _ROUND.format(way="down"), _TAIL.format()),
    ]
    return "".join(parts)
