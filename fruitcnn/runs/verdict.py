"""How a training ends: what the model is worth in one sentence, what it confuses most, and what comes next."""

import shlex
import shutil
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.dataset.records import TEST, VALIDATION
from fruitcnn.evaluation.measured import Metrics, shares_text
from fruitcnn.evaluation.predictions import HELD_OUT
from fruitcnn.evaluation.text import confusions
from fruitcnn.wording import counted


def verdict(metrics: dict[str, Metrics], *, chose_epoch: bool) -> list[str]:
    """By the fairest figures that there are, by split. chose_epoch: whether the validation has chosen the epoch."""
    fair = next(split for split in (TEST, HELD_OUT, VALIDATION) if split in metrics)
    judged = metrics[fair]
    accuracy = judged.figures["accuracy"]
    if fair == HELD_OUT:
        shown = counted(judged.images, "picture", "pictures")
        right = "right in cross-validation"
    else:
        unseen = "that it did not learn from"
        shown = counted(judged.images, f"picture {unseen} is", f"pictures {unseen} are")
        right = "right"
    lines = [f"{accuracy.value:.1%} of {shown} {right} (95 %: {shares_text(accuracy.interval)})"]
    if fair == VALIDATION and chose_epoch:
        lines.append("which flatters it a little: these pictures chose the epoch")
    if worst := confusions(judged):
        count, true, answer = worst[0]
        lines.append(f"most confused: {true} answered as {answer}, {count:,} of {judged.classes[true].support:,}")
    return lines


def next_commands(folder: Path) -> list[str]:
    """To look at the report, to identify, to export: to a page where there is what builds it."""
    report, model = shlex.quote(str(folder / checkpoint.REPORT)), shlex.quote(str(folder))
    return [
        f"python -m webbrowser {report}",
        f"fruitcnn identify PHOTO --model {model}",
        # Any model can be had in these; a smaller file has to be shown to be worth as much.
        f"fruitcnn export {model} --format {'page' if shutil.which('npm') else 'image'}",
    ]
