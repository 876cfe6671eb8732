"""How much memory do scanning a data set and reading it for training take, against its array of pixels?

Each stage runs in a process of its own, on pictures of smooth noise made for it. What is shown is the growth of the
process's peak resident memory over what it takes with ten pictures (Python, numpy, torch and one batch), in arrays of
N x S x S x 3 bytes. Rows are read from disk, so it should stay flat: the bar is 1.3 arrays.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

BAR = 1.3
SCAN = """
import sys
from pathlib import Path
from fruitcnn.dataset.scan import scan
scan(Path(sys.argv[1]), sizes=[int(sys.argv[2])])
"""
TRAIN = """
import sys
from pathlib import Path
import torch
from fruitcnn import load_config
from fruitcnn.dataset.scan import scan
from fruitcnn.training.data import PixelData
class Training:
    training = True
size = int(sys.argv[2])
config = load_config("fruit_net", [f"data.size={size}", f"data.training_size={size}"])
torch.manual_seed(0)
data = PixelData(scan(Path(sys.argv[1]), sizes=[size]), config, torch.device("cpu"))
data.trainer = Training()
for _ in range(2):
    for batch in data.train_dataloader():
        data.on_after_batch_transfer(batch, 0)
    for batch in data.val_dataloader():
        pass
"""


def draw(folder: Path, count: int) -> None:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / ("apple", "pear")[number % 2] / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        noise.resize((128, 128), Image.Resampling.BICUBIC).save(path, quality=85)


def peak(script: str, folder: Path, size: int) -> int:
    """Bytes of resident memory at most, files that are mapped included."""
    process = subprocess.Popen([sys.executable, "-c", script, str(folder), str(size)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed with status {process.returncode}")
    return usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, nargs="*", default=[5000, 20000])
    parser.add_argument("--size", type=int, default=96)
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        least = {}
        for count in [10, *options.pictures]:
            folder = Path(scratch, str(count))
            os.environ["FRUITCNN_CACHE"] = str(Path(scratch, f"cache-{count}"))
            # Drawn in a process of its own: Linux counts the memory of the parent towards a child's peak.
            subprocess.run([sys.executable, __file__, "--draw", str(folder), str(count)], check=True)
            array = count * options.size**2 * 3
            for name, script in (("scan", SCAN), ("scan again", SCAN), ("training", TRAIN)):
                taken = peak(script, folder, options.size)
                growth = taken - least.setdefault(name, taken)
                print(
                    f"{count:7,} pictures, {array / 1e6:7.1f} MB  {name:<10}  {taken / 1e6:7.1f} MB at most, "
                    f"{growth / 1e6:+7.1f} MB = {growth / array:+.2f} arrays (bar: {BAR})",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--draw"]:
        draw(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
