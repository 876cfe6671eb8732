"""What a model answered to a set of labelled pictures, as metrics are computed from it."""

import dataclasses
import functools

import numpy as np

from fruitcnn.arrays import FloatArray, IntArray

# A probability of nothing at all for the true class would be an infinite loss.
_SMALLEST = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """N labelled pictures, and M of other things.

    targets: class indices [N]; answers: the likeliest class [N]; confidence: its probability [N]; losses: negative
    log-likelihoods in nats [N]; classes: C; scores: what pictures are refused by [N], familiarity or, where the model
    has none, confidence; outside: the same of the pictures of other things [M]; refuse_below: the score below which
    the model says unknown, None where it has no familiarity.
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
        """From probabilities [N, C] and class indices [N] of one or more pictures."""
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
        """[N, C]. Of a resampled set they are picked when asked for: most metrics do without them."""
        return self.whole if self.chosen is None else self.whole[self.chosen]

    @functools.cached_property
    def counts(self) -> tuple[IntArray, IntArray, IntArray]:
        """Right answers, pictures and answers of each class, [C] each."""
        kinds = (self.targets[self.targets == self.answers], self.targets, self.answers)
        right, support, answered = (np.bincount(kind, minlength=self.classes) for kind in kinds)
        return right, support, answered

    @functools.cached_property
    def recall(self) -> FloatArray:
        """[C]; NaN for a class without a picture."""
        right, support, _ = self.counts
        with np.errstate(invalid="ignore"):
            return right / support

    @functools.cached_property
    def f1(self) -> FloatArray:
        """[C]; NaN for a class that does not occur at all."""
        right, support, answered = self.counts
        with np.errstate(invalid="ignore"):
            return 2 * right / (support + answered)

    def resampled(self, chosen: IntArray) -> "Sample":
        """The labelled pictures with these indices [N]."""
        return dataclasses.replace(
            self,
            targets=self.targets[chosen],
            answers=self.answers[chosen],
            confidence=self.confidence[chosen],
            losses=self.losses[chosen],
            scores=self.scores[chosen],
            chosen=chosen if self.chosen is None else self.chosen[chosen],
        )
