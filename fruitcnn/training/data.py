"""Batches of a data set's pictures, as a LightningDataModule: read in the background, augmented on the device."""

import functools
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import lightning
import torch
from torch.nn import functional
from torchvision.transforms import v2

from fruitcnn.ahead import mapped_ahead
from fruitcnn.config import Config
from fruitcnn.dataset.records import TRAIN, VALIDATION, Dataset
from fruitcnn.dataset.store import PixelRows
from fruitcnn.errors import UsageError
from fruitcnn.ranks import ranks
from fruitcnn.training.augmentation import Part, augment
from fruitcnn.wording import counted

Batch = tuple[torch.Tensor, torch.Tensor]
_EVALUATION_BATCH = 128
# Batches that are read while the device works on the one before.
_AHEAD = 2
# Outside pictures beside each picture of a batch.
_OUTSIDE = 1 / 4
# Share of a GPU's free memory that pictures may take; the rest is for the network.
_GPU_SHARE = 0.4
# Pictures that are moved to a GPU at once.
_CHUNK = 256


class Batches:
    """Batches of (pixels uint8 [N, 3, S, S], targets int64 [N]) on a device, from rows on disk.

    The order comes from torch's generator of the CPU, so it is the same wherever the pixels lie. No batch makes the
    device wait for the host. resident: hold all pixels on the device; default: on a GPU, where they fit. Where several
    processes train, each gets its part of every batch.
    """

    def __init__(
        self,
        rows: PixelRows,
        targets: torch.Tensor,
        *,
        size: int,
        shuffle: bool,
        device: torch.device,
        resident: bool | None = None,
    ) -> None:
        self.rows, self.targets, self.size, self.shuffle, self.device = rows, targets, size, shuffle, device
        self._pinned = device.type == "cuda"
        self._on_device: Batch | None = None
        if _fits(rows, device) if resident is None else resident:
            pixels = torch.empty(rows.shape, dtype=torch.uint8, device=device)  # [M, S, S, 3]
            for chosen in torch.arange(len(rows)).split(_CHUNK):
                pixels[chosen[0] : chosen[-1] + 1] = self._read(chosen)[0].to(device)
            self._on_device = pixels, targets.to(device)

    def __len__(self) -> int:
        # A short last batch would give its few pictures a louder voice, and batch norm a poor estimate: when
        # shuffling, it is left out unless it is all there is.
        full, rest = divmod(len(self.rows), self.size)
        return max(1, full) if self.shuffle else full + bool(rest)

    @property
    def whole(self) -> int:
        """Pictures of a shuffled batch, in all processes."""
        return min(self.size, len(self.rows))

    def _parts(self, order: torch.Tensor) -> Iterator[torch.Tensor]:
        for chosen in order.split(self.size)[: len(self)]:
            yield chosen[ranks().part(len(chosen))]

    def __iter__(self) -> Iterator[Batch]:
        count = len(self.rows)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        batches = self._resident(order) if self._on_device else self._streamed(order)
        for pixels, targets in batches:
            yield pixels.permute(0, 3, 1, 2), targets  # a view: [N, S, S, 3] -> [N, 3, S, S]

    def _resident(self, order: torch.Tensor) -> Iterator[Batch]:
        assert self._on_device is not None
        pixels, targets = self._on_device
        for chosen in self._parts(order.to(self.device)):
            yield pixels[chosen], targets[chosen]

    def _streamed(self, order: torch.Tensor) -> Iterator[Batch]:
        with ThreadPoolExecutor(1) as pool:
            for pixels, targets in mapped_ahead(pool, self._read, self._parts(order), ahead=_AHEAD):
                yield pixels.to(self.device, non_blocking=True), targets.to(self.device, non_blocking=True)

    def _read(self, chosen: torch.Tensor) -> Batch:
        """Pixels [N, S, S, 3] and targets [N] in the host's memory, from which a GPU can fetch them by itself."""
        pixels = torch.empty((len(chosen), *self.rows.shape[1:]), dtype=torch.uint8, pin_memory=self._pinned)
        self.rows.read_into(pixels.numpy(), chosen.tolist())
        targets = self.targets[chosen]
        return pixels, targets.pin_memory() if self._pinned else targets


class _WithOutside:
    """Batches of (pixels, targets, pixels of no class), as many as there are of the first; the others begin anew."""

    def __init__(self, members: Batches, outside: Batches) -> None:
        self.members, self.outside = members, outside

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        others = itertools.chain.from_iterable(itertools.repeat(self.outside))
        for (pixels, targets), (outside, _) in zip(self.members, others, strict=False):
            yield pixels, targets, outside


class PixelData(lightning.LightningDataModule):
    """Training and validation batches of a data set that was scanned for the recipe's sizes."""

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        device: torch.device,
        *,
        view_size: int = 0,
        with_outside: bool = False,
    ) -> None:
        """view_size: V of the augmented views [N, 3, V, V], where that is more than the recipe's own views.

        with_outside: training batches hold views of pictures of no class too, after the others.
        """
        super().__init__()
        self.config = config
        self.view_size = max(view_size, config.train.view_size or config.data.size)
        self.classes = len(dataset.labels)
        # The order comes from torch's generator, seeded anew every epoch.
        shuffled = functools.partial(Batches, shuffle=True, device=device)
        kept, count = config.data.training_size or config.data.size, config.train.batch_size
        targets = torch.from_numpy(dataset.targets(TRAIN))
        members, others = shuffled(dataset.pixels(TRAIN, kept), targets, size=count), None
        outside = dataset.outside_pixels(kept) if with_outside else None
        if outside is not None:
            none = torch.zeros(len(outside), dtype=torch.int64)
            others = shuffled(outside, none, size=max(1, round(_OUTSIDE * count)))
        self._members, self._others = members, others
        self._training = members if others is None else _WithOutside(members, others)
        self._validation = Batches(
            dataset.pixels(VALIDATION, config.data.size),
            torch.from_numpy(dataset.targets(VALIDATION)),
            size=_EVALUATION_BATCH,
            shuffle=False,
            device=device,
        )
        smallest = min(batches.whole for batches in (members, others) if batches)
        if smallest < ranks().count:
            most = counted(smallest, "process", "processes")
            remedy = f"start at most {most}, or give more pictures, or a larger train.batch_size"
            problem = f"a batch has {counted(smallest, 'picture', 'pictures')}"
            raise UsageError(problem, value=f"{ranks().count} processes", remedy=remedy)
        mixes = [(v2.MixUp, config.train.mixup), (v2.CutMix, config.train.cutmix)]
        self.mixes = [mix(alpha=alpha, num_classes=self.classes) for mix, alpha in mixes if alpha]

    def train_dataloader(self) -> Batches | _WithOutside:
        """Shuffled anew every epoch."""
        return self._training

    def val_dataloader(self) -> Batches:
        """In order, whole."""
        return self._validation

    @property
    def pictures(self) -> int:
        """Pictures of classes in a training batch, in all processes."""
        return self._members.whole

    @property
    def others(self) -> int:
        """Pictures of no class in it."""
        return self._others.whole if self._others else 0

    def on_after_batch_transfer(self, batch: tuple[torch.Tensor, ...], dataloader_idx: int) -> Batch:
        """Augment and mix a training batch: float32 [N + O, 3, V, V] and target distributions [N, C].

        The last O views are of pictures of no class.
        """
        pixels, targets, *outside = batch
        if not self.trainer or not self.trainer.training:
            return pixels.float().contiguous(memory_format=torch.channels_last), targets
        views = self._augmented(pixels, self.pictures)
        distributions = functional.one_hot(targets, self.classes).float()
        if self.mixes:
            mix = self.mixes[int(torch.randint(len(self.mixes), ()))]
            views, distributions = mix(views, distributions)
        views = torch.cat([views, *(self._augmented(some, self.others) for some in outside)])
        # The layout in which torch's convolutions are fastest, on CPUs and on tensor cores.
        return views.contiguous(memory_format=torch.channels_last), distributions

    def _augmented(self, pixels: torch.Tensor, whole: int) -> torch.Tensor:
        """Views of this process's part of a batch of `whole`."""
        part = Part(whole, ranks().part(whole)) if ranks().count > 1 else None
        return augment(pixels, self.config.augment, size=self.view_size, part=part)


def _fits(rows: PixelRows, device: torch.device) -> bool:
    if device.type != "cuda":
        # The system keeps what was read lately, in memory that others can have when they need it.
        return False
    return rows.nbytes <= _GPU_SHARE * torch.cuda.mem_get_info(device)[0]
