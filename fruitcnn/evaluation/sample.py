"""What a model answered to a set of labelled pictures, as metrics are computed from it."""

import dataclasses
import functools

import numpy as np

from fruitcnn.arrays import FloatArray, IntArray

# A probability of nothing at all for the true class would be an infinite loss.
_SMALLEST = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """The answers to N labelled pictures, and to M pictures of other things.

    Its properties `probabilities` [N, C], `recall` [C] and `f1` [C] are computed when a metric asks for them.

    Attributes:
        targets: The true class indices, int64 [N].
        answers: The likeliest class indices, int64 [N].
        confidence: The probabilities of the answers, [N], 0 to 1.
        losses: The negative log-likelihoods in nats, [N].
        classes: The number of classes, C.
        scores: What pictures are refused by, [N]: the familiarity, or the confidence of a model without familiarity.
        outside: The same for the pictures of other things, [M].
        refuse_below: The score below which the model says unknown. None where it has no familiarity.
        whole: The probabilities of the set before it was resampled. Use `probabilities`.
        chosen: The indices of the resampled pictures, [N]. None for a set that is not resampled.
    """

    targets: IntArray
    answers: IntArray
    confidence: FloatArray
    losses: FloatArray
    classes: int
    scores: FloatArray
    outside: FloatArray
    refuse_below: float | None
    whole: FloatArray = dataclasses.field(repr=False)
    chosen: IntArray | None = None

    @classmethod
    def of(
        cls,
        probabilities: FloatArray,
        targets: IntArray,
        *,
        scores: FloatArray | None = None,
        outside: FloatArray | None = None,
        refuse_below: float | None = None,
    ) -> "Sample":
        """Make a sample of the answers to one or more pictures.

        Args:
            probabilities: [N, C], 0 to 1.
            targets: The true class indices, int64 [N].
            scores: What pictures are refused by, [N]. None takes the confidence.
            outside: The same for pictures of other things, [M]. None for no such pictures.
            refuse_below: The score below which the model says unknown. None where it has no familiarity.
        """
        confidence = probabilities.max(1)
        return cls(
            targets=targets,
            answers=probabilities.argmax(1),
            confidence=confidence,
            losses=-np.log(np.maximum(probabilities[np.arange(len(targets)), targets], _SMALLEST)),
            classes=probabilities.shape[1],
            scores=confidence if scores is None else scores,
            outside=np.empty(0) if outside is None else outside,
            refuse_below=refuse_below,
            whole=probabilities,
        )

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def probabilities(self) -> FloatArray:
        """The probabilities, [N, C], 0 to 1."""
        # Of a resampled set they are picked when asked for: most metrics do without them.
        return self.whole if self.chosen is None else self.whole[self.chosen]

    @functools.cached_property
    def counts(self) -> tuple[IntArray, IntArray, IntArray]:
        """The numbers of right answers, of pictures and of answers of each class, int64 [C] each."""
        kinds = (self.targets[self.targets == self.answers], self.targets, self.answers)
        right, support, answered = (np.bincount(kind, minlength=self.classes) for kind in kinds)
        return right, support, answered

    @functools.cached_property
    def recall(self) -> FloatArray:
        """The recall of each class, [C]. NaN for a class without a picture."""
        right, support, _ = self.counts
        with np.errstate(invalid="ignore"):
            return right / support

    @functools.cached_property
    def f1(self) -> FloatArray:
        """The F1 of each class, [C]. NaN for a class without a picture and without an answer."""
        right, support, answered = self.counts
        with np.errstate(invalid="ignore"):
            return 2 * right / (support + answered)

    def resampled(self, chosen: IntArray) -> "Sample":
        """Return a sample of some of the labelled pictures.

        Args:
            chosen: Their indices, int64 [N].
        """
        return dataclasses.replace(
            self,
            targets=self.targets[chosen],
            answers=self.answers[chosen],
            confidence=self.confidence[chosen],
            losses=self.losses[chosen],
            scores=self.scores[chosen],
            chosen=chosen if self.chosen is None else self.chosen[chosen],
        )
