"""The pictures in memory, as a LightningDataModule: batches are slices of one array, augmented on the device."""

from collections.abc import Iterator

import lightning
import numpy as np
import torch
from torch.nn import functional
from torchvision.transforms import v2

from fruitcnn.config import Config
from fruitcnn.dataset.scan import Dataset
from fruitcnn.dataset.sources import TRAIN, VALIDATION
from fruitcnn.training.augment import augment

Batch = tuple[torch.Tensor, torch.Tensor]
_EVALUATION_BATCH = 128


class Batches:
    """Batches of (pixels uint8 [N, 3, S, S], targets int64 [N]) from tensors that stay on their device."""

    def __init__(self, pixels: torch.Tensor, targets: torch.Tensor, *, size: int, shuffle: bool) -> None:
        self.pixels, self.targets, self.size, self.shuffle = pixels, targets, size, shuffle

    def __len__(self) -> int:
        # A short last batch would give its few pictures a louder voice, and batch norm a poor estimate: when
        # shuffling, it is left out unless it is all there is.
        full, rest = divmod(len(self.pixels), self.size)
        return max(1, full) if self.shuffle else full + bool(rest)

    def __iter__(self) -> Iterator[Batch]:
        device = self.pixels.device
        order = torch.randperm if self.shuffle else torch.arange
        for chosen in order(len(self.pixels), device=device).split(self.size)[: len(self)]:
            yield self.pixels[chosen], self.targets[chosen]


class PixelData(lightning.LightningDataModule):
    """Training and validation batches of a data set."""

    def __init__(self, dataset: Dataset, config: Config, device: torch.device) -> None:
        super().__init__()
        self.config = config
        self.classes = len(dataset.labels)
        training = dataset.part(TRAIN, size=config.data.training_size)
        self.parts = {TRAIN: _on_device(*training, device), VALIDATION: _on_device(*dataset.part(VALIDATION), device)}
        mixes = [(v2.MixUp, config.train.mixup), (v2.CutMix, config.train.cutmix)]
        self.mixes = [mix(alpha=alpha, num_classes=self.classes) for mix, alpha in mixes if alpha]

    def train_dataloader(self) -> Batches:
        """Shuffled; the order comes from torch's generator, seeded anew every epoch."""
        return Batches(*self.parts[TRAIN], size=self.config.train.batch_size, shuffle=True)

    def val_dataloader(self) -> Batches:
        """In order, whole."""
        return Batches(*self.parts[VALIDATION], size=_EVALUATION_BATCH, shuffle=False)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment and mix a training batch: float32 [N, 3, S, S] and target distributions [N, C]."""
        pixels, targets = batch
        if not self.trainer or not self.trainer.training:
            return pixels.float().contiguous(memory_format=torch.channels_last), targets
        views = augment(pixels, self.config.augment, size=self.config.data.size)
        shares = functional.one_hot(targets, self.classes).float()
        if self.mixes:
            mix = self.mixes[int(torch.randint(len(self.mixes), ()))]
            views, shares = mix(views, shares)
        # The layout in which torch's convolutions are fastest, on CPUs and on tensor cores.
        return views.contiguous(memory_format=torch.channels_last), shares


def _on_device(pixels: np.ndarray, targets: np.ndarray, device: torch.device) -> Batch:
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(targets).to(device)
