"""The kinds of arrays that go from module to module, by name; shapes stand beside each use."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]
# Of whatever precision: what is only read.
FloatArray: TypeAlias = NDArray[np.floating[Any]]
# Class indices, folds, groups, counts.
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
