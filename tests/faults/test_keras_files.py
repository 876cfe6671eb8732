"""A .keras file that would take more than it looks like, or that leads elsewhere, is refused before Keras opens it."""

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fruitcnn.errors import ModelError
from tests.conftest import REPOSITORY
from tests.faults.conftest import SHIPPED, Command

CONFIGURATION, WEIGHTS = "config.json", "model.weights.h5"
KERNEL = "layers/dense/vars/0"


def dense_model(units: int) -> str:
    """The configuration of a network of one Dense layer after 192 colours."""
    from fruitcnn.model import keras

    layers = [keras.Input((8, 8, 3), name="image"), keras.layers.Flatten(), keras.layers.Dense(3, name="dense")]
    fields = keras.saving.serialize_keras_object(keras.Sequential(layers, name="small"))
    return json.dumps(fields).replace('"units": 3', f'"units": {units}')


def weights(fill: Callable[[h5py.File], Any]) -> bytes:
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        fill(file)
    return data.getvalue()


def small_weights(file: h5py.File) -> None:
    file[KERNEL] = [[0.5] * 3] * 192
    file["layers/dense/vars/1"] = [0.5] * 3


def write(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def never_written(file: h5py.File) -> None:
    file.create_dataset(KERNEL, shape=(192, 1 << 32), dtype="f4", chunks=(1, 1024))


def squeezed(file: h5py.File) -> None:
    file.create_dataset(KERNEL, data=np.zeros((192, 1 << 15), np.float32), compression="gzip")


def test_a_keras_file_whose_configuration_is_huge_is_refused_unread(tmp_path: Path) -> None:
    from fruitcnn.model.archive import load_keras

    huge = b"{" + b" " * (64 << 20) + b"}"
    path = write(tmp_path / "model.keras", {CONFIGURATION: huge}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match=r"config.json .* takes 67,108,866 bytes"):
        load_keras(path)
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ModelError, match=r"not a usable \.keras file"):
        load_keras(path)
    assert load_keras(SHIPPED / "model.keras").count_params() > 3_000_000


@pytest.mark.parametrize(
    ("compression", "fill", "units", "message"),
    [
        (
            zipfile.ZIP_DEFLATED,
            lambda file: file.create_dataset(KERNEL, data=np.zeros(1 << 23, np.float32)),
            3,
            "unpacks to 33,",
        ),
        (zipfile.ZIP_STORED, never_written, 3, "its weights take 3,298,534,883,328 bytes out of"),
        (zipfile.ZIP_STORED, squeezed, 3, "its weights take 25,165,824 bytes out of"),
        (
            zipfile.ZIP_STORED,
            small_weights,
            1 << 32,
            "describes a network of 3,315,714,752,512 bytes of weights and holds",
        ),
    ],
    ids=["archive", "never written", "compressed weights", "configuration"],
)
def test_a_small_keras_file_of_gigabytes_is_refused_unread(
    compression: int, fill: Callable[[h5py.File], Any], units: int, message: str, tmp_path: Path
) -> None:
    from fruitcnn.model.archive import load_keras

    entries = {CONFIGURATION: dense_model(units).encode(), WEIGHTS: weights(fill)}
    path = write(tmp_path / "model.keras", entries, compression)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ModelError, match=message) as caught:
        load_keras(path)
    assert caught.value.value == path
    fitting = write(
        path, {CONFIGURATION: dense_model(3).encode(), "metadata.json": b"{}", WEIGHTS: weights(small_weights)}
    )
    assert load_keras(fitting).count_params() == 193 * 3


@pytest.mark.parametrize("kind", ["external data", "virtual data", "a link to another file", "a link by name", "none"])
def test_a_keras_file_that_keeps_weights_elsewhere_is_refused(kind: str, tmp_path: Path) -> None:
    from fruitcnn.model.archive import load_keras

    def fill(file: h5py.File) -> None:
        if kind == "external data":
            file.create_dataset(KERNEL, (192, 3), "f4", external=[(str(tmp_path / "secret"), 0, 2304)])
        elif kind == "virtual data":
            there = h5py.VirtualLayout((192, 3), "f4")
            there[:] = h5py.VirtualSource(tmp_path / "secret.h5", "data", (192, 3))
            file.create_virtual_dataset(KERNEL, there)
        else:
            link = h5py.ExternalLink("secret.h5", "/data") if "file" in kind else h5py.SoftLink("/elsewhere")
            file[KERNEL] = link

    entries = {CONFIGURATION: dense_model(3).encode(), WEIGHTS: weights(fill)}
    if kind == "none":
        entries.pop(WEIGHTS)
    path = write(tmp_path / "model.keras", entries)
    with pytest.raises(ModelError, match="model.weights.h5" if kind == "none" else "keeps weights in other files"):
        load_keras(path)


def test_every_way_to_a_keras_file_leads_through_that_door(command: Command, drawn: Path, tmp_path: Path) -> None:
    """`export`, weights to start from, and all else: nothing but the door calls Keras' own reader."""
    # Not of the recipe `features`, whose files are made from the graph.
    run = Path(shutil.copytree(REPOSITORY / "checkpoints" / "fruits-small", tmp_path / "run"))
    bomb = write(run / "model.keras", {CONFIGURATION: dense_model(1 << 32).encode(), WEIGHTS: weights(small_weights)})
    start = ["train", drawn, "-r", "quick", "--epochs", "1"]
    for done in (
        command("export", run, "--to", tmp_path / "out"),
        command(*start, "--set", f"model.weights={bomb}"),
        command(*start, "--set", f"model.weights={run}"),
    ):
        assert done.returncode == 1 and f"{bomb}: describes a network of 3,315" in done.stderr, done.stderr
    readers = [file for file in (REPOSITORY / "fruitcnn").rglob("*.py") if "load_model(" in file.read_text("utf-8")]
    assert readers == [REPOSITORY / "fruitcnn/model/archive.py"]


def test_looking_into_a_keras_file_changes_no_random_numbers() -> None:
    import torch

    from fruitcnn.model import archive

    before = random.getstate(), torch.get_rng_state()
    archive._check_file(SHIPPED / "model.keras")
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])
