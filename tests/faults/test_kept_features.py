"""features.npz of a checkpoint that comes from strangers: looked at before it is unpacked."""

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fruitcnn import checkpoint
from fruitcnn.errors import FruitcnnError, ModelError
from fruitcnn.features.kept import KeptFeatures


@pytest.fixture
def kept(tmp_path: Path) -> KeptFeatures:
    """Six pictures' features, saved."""
    texts = [np.array(list(words)) for words in ("abcdef", "xxyyxx", ["train"] * 5 + ["validation"], "123456")]
    files, labels, splits, sha256 = texts
    found = KeptFeatures(
        tmp_path / checkpoint.KEPT,
        "f" * 64,
        64,
        np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32),
        files,
        labels,
        splits,
        np.arange(6),
        sha256,
        np.arange(12, dtype=np.uint64).reshape(6, 2),
    )
    found.save()
    return found


def test_kept_features_that_are_damaged(kept: KeptFeatures) -> None:
    """Cut anywhere, or with any byte changed, they are refused or as they were."""
    whole = kept.path.read_bytes()
    rng = np.random.default_rng(1)
    for end in (0, 30, len(whole) // 2, len(whole) - 1):
        kept.path.write_bytes(whole[:end])
        with pytest.raises(ModelError):
            KeptFeatures.load(kept.path.parent)
    for at in rng.integers(len(whole), size=60).tolist():
        kept.path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            found = KeptFeatures.load(kept.path.parent)
        except FruitcnnError:
            continue
        assert np.array_equal(found.features, kept.features) and found.labels.tolist() == kept.labels.tolist()


def test_kept_features_that_unpack_to_gigabytes(kept: KeptFeatures) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (1 << 22, 1 << 10)})
    with zipfile.ZipFile(kept.path) as archive:
        others = {name: archive.read(name) for name in archive.namelist() if name != "features.npy"}
    with zipfile.ZipFile(kept.path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in others.items():
            archive.writestr(name, data)
        archive.writestr("features.npy", head.getvalue() + bytes(50_000_000))
    with pytest.raises(ModelError, match=r"features, float32 .* would take 17,179,869,184 bytes"):
        KeptFeatures.load(kept.path.parent)


def test_kept_features_of_other_kinds(kept: KeptFeatures) -> None:
    for field, value in {
        "features": kept.features.astype(np.float64)[:5],
        "labels": np.arange(6),
        "splits": np.array(["elsewhere"] * 6),
        "hashes": np.arange(6, dtype=np.uint64),
        "sha256": kept.sha256[:4],
        "size": np.array([64, 64]),
    }.items():
        dataclasses.replace(kept, **{field: value}).save()
        with pytest.raises(ModelError, match=r"restore it, or train again"):
            KeptFeatures.load(kept.path.parent)
    dataclasses.replace(kept, features=kept.features * np.float32("nan")).save()
    with pytest.raises(ModelError, match="holds no features"):
        KeptFeatures.load(kept.path.parent)
    kept.path.unlink()
    kept.path.symlink_to(kept.path)
    with pytest.raises(FruitcnnError):
        KeptFeatures.load(kept.path.parent)
