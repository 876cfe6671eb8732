"""How much of a hand-written torch loop's speed does our training keep, with Keras and Lightning around it?

Images a second of training steps: `Trainer.fit` with our module and averaged weights, against a plain loop around the
same network in torch. Both get the same augmented batch, in memory, and keep the schedule, the averaged weights and
the epoch's loss and accuracy. Rounds alternate. A round is timed from the end of its last warm-up step to the end of
its last step, so that all that Lightning does between two steps counts.
"""

import argparse
import logging
import time
import warnings
from collections.abc import Iterator

import lightning
import torch
from compare import in_turn, show_ratio
from lightning.pytorch.callbacks import Callback
from torch.nn import functional
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch_twin import CLASSES, FruitNet, random_pair

from fruitcnn.config import Config, TrainConfig, load_config
from fruitcnn.model import TorchForward, keras
from fruitcnn.training.augmentation import augment
from fruitcnn.training.data import Batch
from fruitcnn.training.module import ClassifierModule
from fruitcnn.training.weights import AveragedWeights

WARM_UP = 3


class Repeated:
    """A loader of `steps` times the same batch."""

    def __init__(self, batch: Batch, steps: int) -> None:
        self.batch, self.steps = batch, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        return (self.batch for _ in range(self.steps))


class Clock(Callback):
    """The seconds from the end of the warm-up to the end of the last step; the last of the callbacks."""

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *args: object) -> None:
        if trainer.global_step == WARM_UP:
            self.start = now(module.device)
        elif trainer.global_step == trainer.num_training_batches:
            self.seconds = now(module.device) - self.start


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def lightning_seconds(module: ClassifierModule, loader: Repeated, device: torch.device) -> float:
    clock = Clock()
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if device.type == "cuda" else "32-true",
        callbacks=[AveragedWeights(module.config.ema), clock],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(module, loader)
    return clock.seconds


def torch_seconds(net: FruitNet, config: TrainConfig, weight: torch.Tensor, loader: Repeated) -> float:
    optimizer, scheduler = optimization(net, config, len(loader))
    # All but batch norm's count of batches, which is no weight.
    weights = [value for value in net.state_dict().values() if value.is_floating_point()]
    average = [value.clone() for value in weights]
    total_loss, right = torch.zeros((), device=weight.device), torch.zeros((), device=weight.device)
    for step, (pixels, shares) in enumerate(loader, start=1):
        with torch.autocast(weight.device.type, torch.bfloat16, enabled=weight.device.type == "cuda"):
            logits = net(pixels)
            loss = functional.cross_entropy(logits, shares, weight=weight, label_smoothing=config.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        torch._foreach_lerp_(average, weights, 1 - min(config.ema, (1 + step) / (10 + step)))
        total_loss += loss.detach()
        right += (logits.argmax(1) == shares.argmax(1)).sum()
        if step == WARM_UP:
            start = now(weight.device)
    return now(weight.device) - start


def optimization(net: FruitNet, config: TrainConfig, steps: int) -> tuple[Optimizer, LRScheduler]:
    kernels = [value for value in net.parameters() if value.ndim > 1]
    others = [value for value in net.parameters() if value.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = AdamW(groups, lr=config.learning_rate, eps=1e-7)
    schedule = OneCycleLR(
        optimizer, config.learning_rate, total_steps=max(steps, 10), pct_start=0.2, cycle_momentum=False
    )
    return optimizer, schedule


def augmented_batch(config: Config, count: int, device: torch.device) -> Batch:
    pixels = torch.randint(0, 256, (count, 3, config.data.size, config.data.size), dtype=torch.uint8, device=device)
    views = augment(pixels, config.augment, size=config.data.size)
    shares = functional.one_hot(torch.arange(count, device=device) % CLASSES, CLASSES).float()
    return views.contiguous(memory_format=torch.channels_last), shares


def compare(config: Config, device: torch.device, count: int, steps: int, rounds: int) -> None:
    model, twin = random_pair(config)
    with keras.device(device.type):
        module = ClassifierModule(TorchForward(model), config.train, class_counts=[3, 2, 1], seed=0)
        twin = twin.to(device, memory_format=torch.channels_last).train()
        loader = Repeated(augmented_batch(config, count, device), WARM_UP + steps)
        ours, theirs = in_turn(
            lambda: count * steps / lightning_seconds(module, loader, device),
            lambda: count * steps / torch_seconds(twin, config.train, module.class_weight.to(device), loader),
            rounds,
        )
    show_ratio(("Keras in Lightning", "torch by hand"), ours, theirs, unit="images/s", bar="at least 0.95")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=6, help="measured steps a round (default: 6; on a GPU take 200)")
    parser.add_argument("--batch", type=int, help="pictures a step (default: the recipe's)")
    options = parser.parse_args()
    gpu = torch.cuda.is_available() if options.device == "auto" else options.device == "gpu"
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\.")
    config = load_config("fruit_net")
    device = torch.device("cuda" if gpu else "cpu")
    compare(config, device, options.batch or config.train.batch_size, options.steps, options.rounds)


if __name__ == "__main__":
    main()
