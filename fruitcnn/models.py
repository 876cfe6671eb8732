"""Which model is meant: by a path, by the name of a run or of a model that comes with fruitcnn, or by nothing."""

import dataclasses
import os
import shlex
import sys
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.card import ModelCard
from fruitcnn.checkpoint import CARD, KERAS, ONNX, ROOT
from fruitcnn.errors import FruitcnnError, ModelError
from fruitcnn.onnx_file import check_onnx
from fruitcnn.regular_files import open_regular
from fruitcnn.terminal import printable, wrapped

# The models that come with fruitcnn, the default first; the wheel has that one alone, and of the others the card.
_SHIPPED = ("fruits", "fruits-small")
# What the card of a trial says, which never becomes the default: it has learned from nothing but the embedded pictures,
# or by the recipe that only shows every stage at work.
DATA, EMBEDDED = "data", "the embedded pictures"
_TOY = "quick"
_SHIPPED_MODEL = "shipped model"


@dataclasses.dataclass(frozen=True)
class ModelChoice:
    """The ONNX file that is meant; what to call it; and why it is this one, "" where it was named without a doubt."""

    file: Path
    name: str
    why: str = ""

    def tell(self, role: str, *, verbose: bool = False, by_option: bool = True) -> None:
        """Say on standard error which model it is, where that was not plain, or verbose. role: as `identified by`.

        by_option: whether the command takes another one by `--model`, not as an argument.
        """
        if self.why or verbose:
            why = f" ({self.why if by_option else self.why.replace('--model ', '')})" if self.why else ""
            line = f"fruitcnn: {role} {printable(f'{self.file if verbose else self.name}{why}')}"
            print(wrapped(line, sys.stderr), file=sys.stderr)


def choose_model(model: str | os.PathLike[str] | None = None) -> ModelChoice:
    """The model meant by a path, a name or None.

    A path is that of a checkpoint directory or an .onnx file. A name is that of a run in ./checkpoints or of a model
    that comes with fruitcnn; what could be several is a path before it is a run, and a run before a shipped model. None
    is the newest run that is no trial, else the shipped model. Raises ModelError.
    """
    if model is None:
        return _default_model()
    meanings = _meanings(model)
    if not meanings:
        raise _no_such_model(Path(model))
    (what, folder), *others = meanings.items()
    why = "".join(f"{what} of that name; --model {shlex.quote(str(one))} for the {other}" for other, one in others[:1])
    return ModelChoice(_onnx_file(folder), folder.name if what == _SHIPPED_MODEL else str(folder), why)


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """The ONNX file of `choose_model`. Raises ModelError."""
    return choose_model(model).file


def find_run(model: str | os.PathLike[str]) -> Path:
    """The folder (or .onnx file) to export: the path itself where a run or anything else is, else the run of that name.

    Raises ModelError.
    """
    path = Path(model)
    meanings = _meanings(model)
    if any((path / name).exists() for name in (KERAS, CARD)) or (path.exists() and not meanings):
        return path
    if not meanings:
        raise _no_such_model(path)
    return next(iter(meanings.values()))


def shipped() -> dict[str, Path]:
    """The folders of the models that come with fruitcnn, by name, the default first."""
    return {folder.name: folder for folder in _shipped_folders() if (folder / ONNX).is_file()}


def runs(root: Path = ROOT) -> dict[str, Path]:
    """The folders below `root` with a model that does not come with fruitcnn, by name, the newest model first."""
    ours = [folder.resolve() for folder in shipped().values()]
    models = [path for path in root.glob(f"*/{ONNX}") if not path.parent.name.startswith(".")]
    models.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return {path.parent.name: path.parent for path in models if path.parent.resolve() not in ours}


def read_card(folder: Path) -> ModelCard:
    """The card of a checkpoint directory: card.json, or without that the one in model.onnx. Raises ModelError."""
    try:
        with open_regular(folder / CARD) as file:
            return ModelCard.from_json(file.read().decode("utf-8"), source=folder / CARD)
    except (OSError, UnicodeDecodeError):
        return ModelCard.from_onnx(check_onnx(folder / ONNX))


def model_name(file: Path) -> str:
    """What a model is called: after its checkpoint directory, or after its file where that has a name of its own."""
    return file.resolve().parent.name if file.name == ONNX else file.stem


def _default_model() -> ModelChoice:
    found, come_with = runs(), shipped()
    own = next((folder for folder in found.values() if _is_own(folder)), None)
    if own is None and not come_with:
        # Better than nothing.
        own = next(iter(found.values()), None)
    if own is not None:
        ways = [f"; --model {_way_to(name, folder)} for the shipped one" for name, folder in come_with.items()]
        return ModelChoice(own / ONNX, str(own), f"newest run in ./{ROOT}{''.join(ways[:1])}")
    if not come_with:
        raise ModelError(f"no model in ./{ROOT}", remedy="train one (`fruitcnn train`), or name one (--model)")
    name, folder = next(iter(come_with.items()))
    trials = ((run, _trial(read_card(run))) for run in found.values())
    why = (f"; {run} is {what}, --model {shlex.quote(run.name)} for it" for run, what in trials if what)
    return ModelChoice(folder / ONNX, name, f"the {_SHIPPED_MODEL}{next(why, '')}")


def _way_to(name: str, folder: Path) -> str:
    """How to name a shipped model here: by its name, where that means nothing else."""
    return name if len(_meanings(name)) == 1 else shlex.quote(str(folder))


def _is_own(folder: Path) -> bool:
    """Whether a run is neither a trial nor a copy of a shipped model; one whose card is damaged says so in use."""
    try:
        card = read_card(folder)
    except FruitcnnError:
        return True
    cards = (read_card(one) for one in _shipped_folders() if (one / CARD).is_file())
    return not _trial(card) and card not in cards


def _trial(card: ModelCard) -> str:
    """What makes it a trial; "" where it is none."""
    if card.provenance.get(DATA) == EMBEDDED:
        return f"of {EMBEDDED} only"
    return f"by the recipe {_TOY}, a trial" if card.provenance.get("recipe") == _TOY else ""


def _shipped_folders() -> list[Path]:
    return [checkpoint.SHIPPED.parent / name for name in _SHIPPED] if checkpoint.SHIPPED else []


def _meanings(model: str | os.PathLike[str]) -> dict[str, Path]:
    """The folders or ONNX files that a path or name can mean, by what they are, the first of them first."""
    path = Path(model)
    named = {f"run in ./{ROOT}": runs(), _SHIPPED_MODEL: shipped()} if os.fspath(model) == path.name else {}
    found = {"file" if path.is_file() else "folder": path}
    found |= {what: there[path.name] for what, there in named.items() if path.name in there}
    meanings: dict[str, Path] = {}
    for what, one in found.items():
        if _onnx_file(one).is_file() and not any(one.samefile(other) for other in meanings.values()):
            meanings[what] = one
    return meanings


def _onnx_file(path: Path) -> Path:
    return path / ONNX if path.is_dir() else path


def _no_such_model(path: Path) -> ModelError:
    import difflib

    names = [*runs(), *shipped()]
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    remedy = f"give a checkpoint directory, an .onnx file or a name: {', '.join(names[:5]) or 'none is here'}"
    if near:
        remedy = f"did you mean {' or '.join(near)}? `fruitcnn models` lists all"
    problem = f"no {ONNX} in this folder" if path.is_dir() else "no such model"
    return ModelError(problem, value=path, remedy=remedy)
