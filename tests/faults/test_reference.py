"""reference.npz, which an export reads: damaged, of other kinds, or far larger than it looks."""

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fruitcnn.errors import ModelError
from fruitcnn.export.reference import Reference

SIZE = 16
LABELS = np.array(["apple", "pear"])
PIXELS = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
LOGITS = np.float32([[1, 2], [3, 4], [5, 6]])


def write(path: Path, **changed: object) -> Path:
    np.savez_compressed(path, **{"labels": LABELS, "pixels": PIXELS, "logits": LOGITS, **changed})  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": np.array([1, 2])},
        {"labels": LABELS[None]},
        {"labels": np.array([b"apple", b"pear"])},
        {"pixels": PIXELS[:, :-1]},
        {"pixels": PIXELS.astype(np.int8)},
        {"pixels": PIXELS[:0]},
        {"pixels": np.uint8(3)},
        {"logits": LOGITS[:-1]},
        {"logits": LOGITS.astype(complex)},
        {"logits": LOGITS.astype(str)},
        {"logits": LOGITS * np.nan},
        {"logits": np.array([[None, None]] * 3)},
    ],
)
def test_reference_pictures_of_other_kinds(changed: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = write(tmp_path / "reference.npz", **changed)
    with pytest.raises(ModelError, match=r"reference\.npz: (holds|can't be read) .*; restore it, or train again"):
        Reference.load(path, size=SIZE)


def test_reference_pictures_that_unpack_to_gigabytes(tmp_path: Path) -> None:
    """Each of the arrays, and their heads; 64 MB here, which 64 KB unpack to."""
    large = np.zeros(64 << 20, np.uint8)
    heads = tmp_path / "heads.npz"
    with zipfile.ZipFile(heads, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("labels", "pixels", "logits"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x02\x00" + (64 << 20).to_bytes(4, "little") + bytes(64 << 20))
    paths = [
        write(tmp_path / "pixels.npz", pixels=large.reshape(-1, SIZE, SIZE, 1).repeat(3, 3)),
        write(tmp_path / "logits.npz", logits=large.view(np.float32).repeat(2).reshape(-1, 2)),
        heads,
    ]
    for path in paths:
        assert path.stat().st_size < 1 << 20
        tracemalloc.start()
        with pytest.raises(ModelError, match=r"can't be read \((pixels|logits|labels).*; restore it, or train again"):
            Reference.load(path, size=SIZE)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 << 20, path.name


def test_reference_pictures_that_are_damaged(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "reference.npz"
    rng = np.random.default_rng(1)
    damaged = [b"", b"text", whole[: len(whole) // 2]]
    for _ in range(400):
        content = bytearray(whole)
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        damaged.append(bytes(content))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            found = Reference.load(path, size=SIZE)
        except ModelError as error:
            assert error.value == path and error.remedy
            refused += 1
        else:
            # A bit that nobody reads, as of a date.
            assert np.array_equal(found.pixels, PIXELS) and np.array_equal(found.logits, LOGITS)
            assert found.labels == ("apple", "pear")
    assert refused > 300
    with zipfile.ZipFile(tmp_path / "whole.npz") as archive, zipfile.ZipFile(path, "w") as longer:
        for name in archive.namelist():
            longer.writestr(name, archive.read(name) + b"." * (name == "pixels.npy"))
    with pytest.raises(ModelError, match="pixels has another size than its head says"):
        Reference.load(path, size=SIZE)


def test_reference_pictures_that_are_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.npz"):
        with pytest.raises(ModelError):
            Reference.load(path, size=SIZE)
