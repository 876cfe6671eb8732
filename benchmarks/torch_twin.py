"""fruit_net as one would write it by hand in torch: what the other benchmarks compare the Keras network with."""

import numpy as np
import torch
from torch import nn

from fruitcnn.config import Config
from fruitcnn.model import build_model, keras

CLASSES = 3
TOLERANCE = 1e-5


class FruitNet(nn.Module):
    """From pixels [N, 3, S, S] (0..255; S a multiple of 16) to logits [N, C]."""

    def __init__(self, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv_norm(3, 32, 3, stride=2), nn.ReLU(inplace=True))
        self.stage1 = Residual(32, 32, stride=1)
        self.stage2 = Residual(32, 64, stride=2)
        self.stage3 = Residual(64, 128, stride=2)
        self.stage4 = Residual(128, 256, stride=2)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(256, classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.stem(pixels / 255)
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        return self.logits(self.dropout(self.pool(x)))


class Residual(nn.Module):
    def __init__(self, channels: int, filters: int, *, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*_conv_norm(channels, filters, 3, stride=stride), nn.ReLU(inplace=True))
        self.second = nn.Sequential(*_conv_norm(filters, filters, 3))
        self.shortcut = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.AvgPool2d(stride), *_conv_norm(channels, filters, 1))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.first(x)) + self.shortcut(x))


def _conv_norm(channels: int, filters: int, size: int, *, stride: int = 1) -> list[nn.Module]:
    norm = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.1)
    if stride == 1:
        return [nn.Conv2d(channels, filters, size, padding=size // 2, bias=False), norm]
    # Keras' `same`: on an even side the one pixel of padding goes to the end, which Conv2d's own can't do.
    return [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, filters, size, stride, bias=False), norm]


@torch.no_grad()
def load_keras(module: FruitNet, model: keras.Model) -> None:
    """Copy all weights and moving statistics of a Keras fruit_net (of either layout) into `module`."""
    for name, layer in module.named_modules():
        block = name.rpartition(".")[0].replace("first", "1").replace("second", "2").replace(".", "_")
        if isinstance(layer, nn.Conv2d):
            (kernel,) = model.get_layer(f"{block}_conv").get_weights()
            _copy([layer.weight], [kernel.transpose(3, 2, 0, 1)])
        elif isinstance(layer, nn.BatchNorm2d):
            weights = model.get_layer(f"{block}_bn").get_weights()
            _copy([layer.weight, layer.bias, layer.running_mean, layer.running_var], weights)
        elif isinstance(layer, nn.Linear):
            kernel, bias = model.get_layer(name).get_weights()
            _copy([layer.weight, layer.bias], [kernel.T, bias])


def _copy(targets: list[torch.Tensor], sources: list[np.ndarray]) -> None:
    for target, source in zip(targets, sources, strict=True):
        # Tensor.copy_ alone would broadcast a weight of another shape.
        assert target.shape == source.shape
        target.copy_(torch.from_numpy(source))


@torch.no_grad()
def random_pair(config: Config) -> tuple[keras.Model, FruitNet]:
    """A Keras fruit_net with random weights and moving statistics and its twin, on the CPU, proven to be the same."""
    keras.utils.set_random_seed(0)
    dropout, size = config.model.dropout, config.data.size
    with keras.device("cpu"):
        model = build_model("fruit_net", classes=CLASSES, size=size, dropout=dropout)
        for variable in model.weights:
            # Kernels are random as they are built; biases, batch norm and its statistics are zeros and ones.
            if len(variable.shape) == 1:
                variable.assign_add(torch.rand(tuple(variable.shape)) - 0.5)
        twin = FruitNet(CLASSES, dropout)
        load_keras(twin, model)
        pixels = torch.randint(0, 256, (8, 3, size, size)).float()
        theirs = twin.eval()(pixels)
        ours = model(pixels.permute(0, 2, 3, 1), training=False)
    check_same("the Keras network and its torch twin", ours.numpy(), theirs.numpy())
    return model, twin


def check_same(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    """Stop unless two sets of numbers are equal but for rounding: else the times would compare nothing."""
    difference = float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))
    # Written so that a difference that is not a number fails too.
    if ours.shape != theirs.shape or not difference <= TOLERANCE:
        raise SystemExit(f"{what} disagree by {difference:.1e} (allowed: {TOLERANCE:.0e})")
    print(f"{what} agree; largest difference: {difference:.1e}")
