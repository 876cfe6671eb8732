"""A network's features of a whole picture set, computed once and kept.

They are computed by onnxruntime on the CPU, in float32: the graph is the one that is exported, and three times as fast
as the same network in torch.
"""

import hashlib

import numpy as np
import onnxruntime

from fruitcnn.arrays import Float32Array
from fruitcnn.dataset.store import PixelRows, cache_folder
from fruitcnn.export.onnx_graph import to_onnx
from fruitcnn.image import Pixels
from fruitcnn.model import features_model, keras
from fruitcnn.outputs import written_whole
from fruitcnn.progress import tracked
from fruitcnn.runtime import Session, batches

# Part of the cache's key: raise it when the features of the same weights and pixels change.
_VERSION = 1
_BATCH = 8


class Extractor:
    """A model from pixels to features, the input of its last Dense layer. Its weights must not change afterwards."""

    def __init__(self, model: keras.Model) -> None:
        features = keras.Model(model.inputs[0], features_model(model).outputs[0], name=model.name)
        graph = to_onnx(features).SerializeToString(deterministic=True)
        self._key = hashlib.sha256(graph)
        self._session = Session(graph)

    def features(self, pixels: Pixels | PixelRows, *, mirrored: bool = False) -> Float32Array:
        """Features [N, D] of uint8 pixels [N, S, S, 3], from the cache where they are in it.

        mirrored: of the mirror images.
        """
        key = self._key.copy()
        key.update(f"{_VERSION} {onnxruntime.__version__} {mirrored} {pixels.shape}".encode())
        for batch in batches(pixels, _BATCH):
            key.update(np.ascontiguousarray(batch).tobytes())
        entry = cache_folder() / f"{key.hexdigest()}.features.npz"
        if not entry.is_file():
            entry.parent.mkdir(parents=True, exist_ok=True)
            read = tracked(batches(pixels, _BATCH), "computing features", total=-(-len(pixels) // _BATCH))
            rows = np.concatenate([self._run(batch[:, :, ::-1] if mirrored else batch) for batch in read])
            with written_whole(entry) as temporary:
                np.savez(temporary, features=rows)
        with np.load(entry) as kept:
            found: Float32Array = kept["features"]
        return found

    def _run(self, batch: Pixels) -> Float32Array:
        (features,) = self._session.answers(list(self._session.outputs), batch)
        return features
