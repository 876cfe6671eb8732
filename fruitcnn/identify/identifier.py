"""A loaded model: from pictures to typed results."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from fruitcnn.arrays import Float32Array
from fruitcnn.card import EVIDENCE, FAMILIARITY, PROBABILITIES
from fruitcnn.errors import ImageError, TransientError
from fruitcnn.identify.network import Network
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.image import SCALED_MARGIN, Picture, Pixels, Source, opened, read_bytes, source_name
from fruitcnn.models import find_model, model_name
from fruitcnn.runtime import batches
from fruitcnn.terminal import printable

T = TypeVar("T")
# Gets the bytes of a picture's file (b"" for what is none) and the decoded picture, the very one whose pixels are
# answered, in one of several threads.
Observer: TypeAlias = Callable[[bytes, Picture], T]
# A picture's name, its answer or what is wrong with it, and what an observer made of it.
_Answer: TypeAlias = tuple[str, Identification | ImageError, T | None]


@dataclasses.dataclass(frozen=True)
class _Loaded(Generic[T]):
    """A picture at the model's size, its own width and height, what is wrong with it, what an observer made of it."""

    pixels: Pixels
    shape: tuple[int, int]
    warning: str
    observed: T | None


class Identifier:
    """A loaded model. `Identifier.load` makes it. Several threads can share it.

    Attributes:
        card (ModelCard): What the model expects, and where it comes from.
        file (pathlib.Path): The .onnx file.
        refuse_below (float | None): The familiarity below which a picture is unknown. It comes from the card, and you
            can set another. None for a model that has no familiarity.
    """

    def __init__(
        self, file: Path, *, once: bool = False, many: bool = False, threads: int = 0, features: bool = False
    ) -> None:
        """Of an .onnx file; `load` finds it. features: results come with them, where the graph shows them."""
        self._settings = {"once": once, "many": many, "threads": threads, "features": features}
        self._threads = threads or os.cpu_count() or 1
        threads = self._threads if many else threads
        self._network = Network(file, once=once, many=many, threads=threads, features=features)
        self.card = self._network.card
        self.file = file
        self.refuse_below = self.card.refuse_below

    def __repr__(self) -> str:
        """Its file and what it tells apart."""
        return printable(f"<Identifier: {self.file}, {self.card.size} px: {self.card.labels_shown()}>")

    def __reduce__(self) -> tuple[Any, ...]:
        # To another process go the file's path and the settings; there it is loaded anew.
        return _loaded_again, (type(self), self.file.absolute(), self._settings, self.refuse_below)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str] | None = None, *, once: bool = False, many: bool = False, threads: int = 0
    ) -> "Identifier":
        """Load a model.

        Args:
            path: A FinishedRun, a checkpoint directory, an .onnx file, the name of a run in ./checkpoints, or the name
                of a model that comes with fruitcnn ("fruits"). None takes the newest run that has not learned from the
                embedded pictures, else the model that comes with fruitcnn.
            once: Load for a single picture. It loads in half the time, with 25 MB less, and then answers half as fast.
            many: Load for many pictures with `identify_many`. A single picture then takes longer.
            threads: How many threads decode and answer. 0 takes one for each core.

        Returns:
            The loaded model.

        Raises:
            ModelError: There is no such model, or this version can't read it.

        Example:
            >>> identifier = fruitcnn.Identifier.load("fruits")
            >>> identifier.identify("photo.jpg").identify_label
            'grape'
        """
        return cls(find_model(path), once=once, many=many, threads=threads)

    @property
    def has_familiarity(self) -> bool:
        """Whether the model says how familiar a picture is."""
        return FAMILIARITY in self._network.outputs

    @property
    def has_evidence(self) -> bool:
        """Whether the model says where its answers come from."""
        return EVIDENCE in self._network.outputs

    def identity(self) -> dict[str, str]:
        """Return the name of the model, and the first 12 digits of the SHA-256 of its file."""
        from hashlib import sha256

        return {"name": model_name(self.file), "sha256": sha256(self.file.read_bytes()).hexdigest()[:12]}

    def identify(self, source: Source, *, evidence: bool = False) -> Identification:
        """Identify one picture.

        Args:
            source: A path, encoded bytes, an open binary file, a PIL image, or an array: uint8 [H, W, 3], RGB, 0 to
                255, or uint8 [H, W], grey.
            evidence: Also say where the answer comes from. Only for a model that `has_evidence`.

        Returns:
            The answer.

        Raises:
            ImageError: The picture can't be read.
        """
        loaded: _Loaded[None] = self._load(source, None)
        result = self._result(source_name(source), loaded, evidence)
        return dataclasses.replace(result, picture=_in_shape(loaded.pixels, loaded.shape))

    def identify_many(
        self, sources: Iterable[Source], *, evidence: bool = False
    ) -> Iterator[Identification | Rejection]:
        """Identify many pictures, on all cores.

        Args:
            sources: The pictures, each as `identify` takes it.
            evidence: Also say where each answer comes from. Only for a model that `has_evidence`.

        Yields:
            A result for each picture, in order. A picture that can't be read gives a Rejection, and the others follow.

        Raises:
            TypeError: `sources` is a single picture.
        """
        return (result for result, _ in self._identified(_several(sources), None, evidence))

    def observe_many(
        self, sources: Iterable[Source], observe: Observer[T], *, evidence: bool = False
    ) -> Iterator[tuple[Identification | Rejection, T | None]]:
        """Identify many pictures, and call a function with each decoded picture. It is read and decoded once.

        Args:
            sources: The pictures, each as `identify` takes it.
            observe: A function of the bytes of the file and the decoded picture. It is called in several threads, and
                the picture is closed when it returns. An ImageError that it raises makes the result a Rejection.
            evidence: Also say where each answer comes from. Only for a model that `has_evidence`.

        Yields:
            A result for each picture, in order, with what `observe` returned. With a Rejection that is None.
        """
        return self._identified(_several(sources), observe, evidence)

    def probabilities(self, pixels: Pixels) -> Float32Array:
        """Return the probabilities of pictures that have the model's size already.

        Args:
            pixels: uint8 [N, S, S, 3], RGB, 0 to 255. S is `card.size`.

        Returns:
            float32 [N, C], 0 to 1, in the order of `card.labels`.
        """
        return self._network.answers([PROBABILITIES], pixels)[0]

    def evidence(self, pixels: Pixels) -> Float32Array:
        """Return where the answers come from. Only for a model that `has_evidence`.

        Args:
            pixels: uint8 [N, S, S, 3], RGB, 0 to 255. S is `card.size`.

        Returns:
            float32 [N, C, h, w]. The mean over h and w is the logit of each class.
        """
        return self._network.answers([EVIDENCE], pixels)[0]

    def outputs(self, pixels: Pixels) -> dict[str, Float32Array]:
        """Return all outputs of the model that its card names.

        Args:
            pixels: uint8 [N, S, S, 3], RGB, 0 to 255. S is `card.size`.

        Returns:
            The outputs by name, which are "probabilities" float32 [N, C], "familiarity" float32
            [N], "evidence" float32 [N, C, h, w].
        """
        names = self._network.outputs
        found = [self._network.answers(names, batch) for batch in batches(pixels, self._network.batch)]
        return dict(zip(names, map(np.concatenate, zip(*found, strict=True)), strict=True))

    def _identified(
        self, sources: Iterator[Source], observe: Observer[T] | None, evidence: bool
    ) -> Iterator[tuple[Identification | Rejection, T | None]]:
        def answered(source: Source) -> tuple[str, Identification | ImageError, T | None]:
            name = source_name(source)
            try:
                loaded = self._load(source, observe)
                return name, self._result(name, loaded, evidence), loaded.observed
            except ImageError as error:
                return name, error, None

        for name, result, observed in self._mapped(answered, sources):
            yield (Rejection.of(name, result), None) if isinstance(result, ImageError) else (result, observed)

    def _mapped(self, answered: Callable[[Source], _Answer[T]], sources: Iterator[Source]) -> Iterator[_Answer[T]]:
        """The answers in order: each picture is decoded and answered by one thread, several at a time."""
        first = list(itertools.islice(sources, 2))
        if len(first) < 2:
            # One picture needs no pool, whose import alone would cost a command start-up time.
            yield from map(answered, first)
            return
        from concurrent.futures import ThreadPoolExecutor

        from fruitcnn.ahead import AHEAD, mapped_ahead

        with ThreadPoolExecutor(self._threads) as pool:
            # What failed for want of memory or file handles is tried again while no other picture is decoded.
            yield from mapped_ahead(
                pool,
                answered,
                itertools.chain(first, sources),
                ahead=max(AHEAD, self._threads),
                again=lambda answer: isinstance(answer[1], TransientError),
            )

    def _load(self, source: Source, observe: Observer[T] | None) -> _Loaded[T]:
        card = self.card
        if observe is not None and isinstance(source, str | os.PathLike):
            source = read_bytes(Path(source))
        with opened(source, at_least=SCALED_MARGIN * card.size) as picture:
            pixels = picture.pixels(card.size, rule=card.resize, filter=card.filter)
            if observe is None:
                return _Loaded(pixels, picture.size, picture.warning, None)
            observed = observe(source if isinstance(source, bytes) else b"", picture)
            return _Loaded(pixels, picture.size, picture.warning, observed)

    def _result(self, name: str, loaded: _Loaded[Any], evidence: bool) -> Identification:
        optional = {FAMILIARITY: self.has_familiarity, EVIDENCE: evidence}
        wanted = [PROBABILITIES, *(output for output, there in optional.items() if there)]
        found, features = self._network.answers_and_features(wanted, loaded.pixels[np.newaxis])
        answers: dict[str, Any] = dict(zip(wanted, (answer[0] for answer in found), strict=True))
        return Identification(
            name,
            self.card.labels,
            tuple(answers[PROBABILITIES].tolist()),
            float(answers[FAMILIARITY]) if self.has_familiarity else None,
            self.refuse_below or 0.0,
            answers.get(EVIDENCE),
            loaded.warning,
            None if features is None else features[0],
        )


def _loaded_again(
    kind: type[Identifier], file: Path, settings: dict[str, Any], refuse_below: float | None
) -> Identifier:
    identifier = kind(file, **settings)
    identifier.refuse_below = refuse_below
    return identifier


def _in_shape(pixels: Pixels, shape: tuple[int, int]) -> Image.Image:
    """Pixels [S, S, 3] in a picture's own shape, no side longer than S. shape: width and height."""
    image = Image.fromarray(pixels)
    width, height = (max(1, round(side * image.width / max(shape))) for side in shape)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _several(sources: Iterable[Source]) -> Iterator[Source]:
    one = isinstance(sources, str | bytes | bytearray | memoryview | os.PathLike | Image.Image)
    if one or (isinstance(sources, np.ndarray) and sources.ndim < 4):
        raise TypeError(f"one picture ({type(sources).__name__}) where several belong: give a list, or use identify()")
    return iter(sources)
