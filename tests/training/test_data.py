"""Batches: every picture as identifying sees it, in an order that does not depend on where the pixels lie."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fruitcnn import load_config
from fruitcnn.dataset.records import Dataset
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.split import SplitRules
from fruitcnn.image import load_pixels
from fruitcnn.training.data import Batches, PixelData
from tests.conftest import TINY

CPU = torch.device("cpu")
# No augmentation: every view is the whole picture.
PLAIN = ["train.mixup=0", "train.cutmix=0", "augment={}"]


@pytest.fixture
def lopsided(tmp_path: Path) -> Dataset:
    """Pictures that differ from their mirror images, their upside-down ones and those with other colours swapped."""
    for label, seed in (("apple", 0), ("pear", 50)):
        (tmp_path / label).mkdir()
        for number in range(6):
            rng = np.random.default_rng(seed + number)
            corners = rng.integers(0, 256, (3, 4, 3), np.uint8)
            corners[0, 0], corners[0, 3], corners[2, 0] = (250, 20, 90), (10, 200, 30), (40, 60, 220)
            image = Image.fromarray(corners).resize((64, 48), Image.Resampling.NEAREST)
            image.save(tmp_path / label / f"{number}.png")
    return scan(tmp_path, sizes=[32, 48], rules=SplitRules(0.25))


class Training:
    """As much of a trainer as a batch is asked about."""

    training = True


def data_of(dataset: Dataset, *settings: str) -> PixelData:
    data = PixelData(dataset, load_config("quick", [*TINY, *PLAIN, "train.batch_size=4", *settings]), CPU)
    data.trainer = Training()  # type: ignore[assignment]
    return data


@pytest.mark.parametrize("training_size", [32, 48])
def test_without_augmentation_a_training_batch_is_what_load_pixels_gives(training_size: int, lopsided: Dataset) -> None:
    data = data_of(lopsided, f"data.training_size={training_size}")
    records = lopsided.in_split("train")
    expected = {load_pixels(record.path, training_size).tobytes(): record.label for record in records}
    torch.manual_seed(0)
    seen = []
    for pixels, targets in data.train_dataloader():
        assert pixels.dtype == torch.uint8 and pixels.shape == (4, 3, training_size, training_size)
        views, soft_targets = data.on_after_batch_transfer((pixels, targets), 0)
        assert views.dtype == torch.float32 and views.shape == (4, 3, 32, 32)
        for picture, view, target, soft_target in zip(pixels, views, targets, soft_targets, strict=True):
            content = picture.permute(1, 2, 0).contiguous().numpy()
            seen.append(content.tobytes())
            assert expected[seen[-1]] == lopsided.labels[int(target)], "a picture and its own label"
            assert soft_target.tolist() == [float(number == target) for number in range(2)]
            if training_size == 32:
                assert torch.allclose(view, picture.float(), atol=1e-3)
            else:
                # The whole picture, no part of it and nothing beside it: the same mean colours of its quarters.
                for axis in (1, 2):
                    assert torch.allclose(view.mean(axis).mean(), picture.float().mean(axis).mean(), atol=4)
    assert len(seen) == len(set(seen)) == 8


def test_validation_comes_in_order_and_whole(lopsided: Dataset) -> None:
    data = data_of(lopsided)
    Training.training = False
    try:
        ((pixels, targets),) = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
    finally:
        Training.training = True
    records = lopsided.in_split("validation")
    expected = np.array([load_pixels(record.path, 32) for record in records])
    assert np.array_equal(pixels.permute(0, 2, 3, 1).numpy(), expected.astype(np.float32))
    assert targets.tolist() == [lopsided.labels.index(record.label) for record in records]


def test_the_order_is_the_same_wherever_the_pixels_lie(lopsided: Dataset) -> None:
    rows, targets = lopsided.pixels("train", 32), torch.from_numpy(lopsided.targets("train"))
    epochs = []
    for resident in (False, True, None):
        batches = Batches(rows, targets, size=3, shuffle=True, device=CPU, resident=resident)
        assert len(batches) == 2
        torch.manual_seed(7)
        epochs.append([[tensor.clone() for tensor in batch] for _ in range(2) for batch in batches])
    for epoch in epochs[1:]:
        for one, other in zip(epochs[0], epoch, strict=True):
            assert all(torch.equal(first, second) for first, second in zip(one, other, strict=True))
    first, second = (torch.cat([pixels for pixels, _ in epochs[0][start : start + 2]]) for start in (0, 2))
    assert not torch.equal(first, second), "shuffled anew every epoch"


def test_stopping_in_mid_epoch_leaves_no_thread(lopsided: Dataset) -> None:
    rows, targets = lopsided.pixels("train", 32), torch.from_numpy(lopsided.targets("train"))
    before = threading.active_count()
    iterator = iter(Batches(rows, targets, size=2, shuffle=False, device=CPU))
    next(iterator)
    assert threading.active_count() == before + 1, "the next batches are read in the background"
    iterator.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_two_batches_are_read_while_the_device_works_on_one(lopsided: Dataset) -> None:
    rows, targets = lopsided.pixels("train", 32), torch.from_numpy(lopsided.targets("train"))
    batches, read = Batches(rows, targets, size=1, shuffle=False, device=CPU), []
    reading = batches._read
    batches._read = lambda chosen: read.append(chosen) or reading(chosen)  # type: ignore[method-assign, func-returns-value]
    iterator = iter(batches)
    next(iterator)
    until = time.monotonic() + 20
    while len(read) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    iterator.close()  # type: ignore[attr-defined]
    assert len(read) == 3


def test_a_short_last_batch_is_left_out_of_training_only(lopsided: Dataset) -> None:
    rows, targets = lopsided.pixels("train", 32), torch.from_numpy(lopsided.targets("train"))
    for shuffle, size, expected in [(True, 3, [3, 3]), (False, 3, [3, 3, 2]), (True, 100, [8]), (True, 4, [4, 4])]:
        batches = Batches(rows, targets, size=size, shuffle=shuffle, device=CPU)
        assert [len(pixels) for pixels, _ in batches] == expected and len(batches) == len(expected)
