"""Twenty steps in float64 of a network with batch norms, by as many processes as there are: the weights go to a file.

python -m tests.training.ranked_steps OUT       # or under torchrun
"""

import sys

import numpy as np
import torch
from torch import distributed
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from fruitcnn.model import TorchForward, build_model, keras
from fruitcnn.ranks import ranks

BATCH, CLASSES, SIZE, STEPS = 9, 3, 32, 20


def main(out: str) -> None:
    here = ranks()
    if here.count > 1:
        distributed.init_process_group("gloo")
    keras.utils.set_random_seed(0)
    net = TorchForward(build_model("fruit_net", classes=CLASSES, size=SIZE, dropout=0.0)).double().train()
    model = DistributedDataParallel(net) if here.count > 1 else net
    learned = [value for value in net.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-3, eps=1e-3)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        pixels = torch.from_numpy(rng.uniform(0, 255, (BATCH, 3, SIZE, SIZE)))
        targets = torch.from_numpy(rng.integers(0, CLASSES, BATCH))
        # Of nine pictures two processes have five and four.
        rows = here.part(BATCH)
        loss = functional.cross_entropy(model(pixels[rows]), targets[rows], reduction="sum") * here.count / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if here.is_first:
        torch.save([value.data for value in net.parameters()], out)
    if here.count > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
