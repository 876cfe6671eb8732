"""Does the recipe `features` keep its word on anybody's pictures? Thirteen small sets, a row each.

Every set is learned by `fruitcnn.sklearn.ImageClassifier`, which is the recipe without its files, and judged on new
pictures: accuracy, loss, the calibration error beside the range that it has where all is as it should be, members that
are refused beside the share that was promised at most, how well pictures of the other sets are told from members, and
CPU seconds. Beside it scikit-learn's LogisticRegression on the same features and on raw pixels of 32 px, whose
probabilities are as they come. `--train 100` learns from a hundred pictures a class.
"""

import argparse
import io
import json
import time

import drawn_sets
import numpy as np
import onnx
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fruitcnn.calibration.intervals import Interval
from fruitcnn.card import METADATA_KEY
from fruitcnn.evaluation.metrics import calibration_error, calibration_error_if_perfect, outside_auroc, refused_share
from fruitcnn.evaluation.sample import Sample
from fruitcnn.features.backbone import shipped_backbone
from fruitcnn.features.extractor import Extractor
from fruitcnn.image import load_pixels
from fruitcnn.runtime import Session
from fruitcnn.sklearn import ImageClassifier

HEAD = (
    "| set | classes, pictures | accuracy | NLL | calibration error (if perfect) | refused (promised) | AUROC | CPU s |"
    " LR on features: accuracy, NLL, error | LR on pixels |"
)


def files_of(pictures: drawn_sets.Pictures) -> list[bytes]:
    """Each picture as a PNG file: transparency and all."""
    files = []
    for image, _ in pictures:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


def judged(probabilities: np.ndarray, targets: np.ndarray) -> tuple[float, float, float, Interval]:
    """Accuracy, loss, calibration error and the range of that if all is well."""
    sample = Sample.of(probabilities, targets)
    error = calibration_error(sample)
    right, loss = float((sample.answers == targets).mean()), float(sample.losses.mean())
    return right, loss, error, calibration_error_if_perfect(sample, error)


def by_regression(rows: np.ndarray, targets: np.ndarray, new: np.ndarray, wanted: np.ndarray) -> str:
    """LogisticRegression with scikit-learn's own settings, on standardised columns."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(rows, targets)
    right, loss, error, _ = judged(model.predict_proba(new), wanted)
    return f"{right:.3f}, {loss:.3f}, {error:.3f}"


def small_pixels(files: list[bytes]) -> np.ndarray:
    """Pixels [N, 32 * 32 * 3]."""
    return np.stack([load_pixels(file, 32) for file in files]).reshape(len(files), -1) / 255.0


def row_of(name: str, others: list[bytes], *, size: int, seed: int, train: int | None) -> str:
    """A row of the table. others: pictures of other sets."""
    learned, new = drawn_sets.make(name, seed=seed, test=30, train=train)
    labels = sorted({label for _, label in new})
    new = new[: 30 * min(len(labels), 8)] if len(labels) <= 8 else new[:: len(labels) // 8]
    files, unseen = files_of(learned), files_of(new)
    targets, wanted = (np.array([labels.index(label) for _, label in side]) for side in (learned, new))
    started = time.process_time()
    classifier = ImageClassifier(size=size).fit(files, targets)
    seconds = time.process_time() - started
    session = Session(classifier.model_)
    pixels, strange = (np.stack([load_pixels(file, size) for file in some]) for some in (unseen, others))
    probabilities, familiarity = session.answers(["probabilities", "familiarity"], pixels)
    (outside,) = session.answers(["familiarity"], strange)
    card = json.loads(
        {entry.key: entry.value for entry in onnx.load_from_string(classifier.model_).metadata_props}[METADATA_KEY]
    )
    promised = next(output for output in card["outputs"] if output["name"] == "familiarity")["refuses_members"]
    sample = Sample.of(probabilities, wanted, scores=familiarity, outside=outside, refuse_below=0.05)
    right, loss, error, (low, high) = judged(probabilities, wanted)
    extractor = Extractor(shipped_backbone(size))
    known = np.stack([load_pixels(file, size) for file in files])
    regressions = (
        by_regression(extractor.features(known), targets, extractor.features(pixels), wanted),
        by_regression(small_pixels(files), targets, small_pixels(unseen), wanted),
    )
    range_text = f"({low:.3f} to {high:.3f})" + ("" if error <= high else " **out**")
    return (
        f"| {name} | {len(labels)}, {len(files)} | {right:.3f} | {loss:.3f} | {error:.3f} {range_text} "
        f"| {refused_share(sample):.1%} ({promised:.1%}) | {outside_auroc(sample):.3f} | {seconds:.1f} "
        f"| {' | '.join(regressions)} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help="some of them; default: all")
    parser.add_argument("--size", type=int, default=128, help="of the network's input, a multiple of 32")
    parser.add_argument("--train", type=int, help="pictures a class to learn from (default: 4 to 16)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    grey = Image.new("RGB", (64, 64), "grey")
    others = {
        name: files_of(drawn_sets.make(name, seed=given.seed + 1, test=3)[1])[:12]
        for name in ("digits", "faces", "textures", "plots", "photographs")
    }
    related = {"burst": "textures", "rare": "faces", "tiny": "plots"}
    print(HEAD, "|" + "---|" * 10, sep="\n")
    for name in given.sets or drawn_sets.SETS:
        strange = [file for other, files in others.items() if other not in (name, related.get(name)) for file in files]
        strange += files_of([(grey, "")])
        print(row_of(name, strange, size=given.size, seed=given.seed, train=given.train), flush=True)


if __name__ == "__main__":
    main()
