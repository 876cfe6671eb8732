"""Each picture is read once and decoded once: for its answer, its likeness to training pictures, and the report."""

import collections
import dataclasses

from PIL import Image

from fruitcnn.dataset.records import Record
from fruitcnn.evaluation.album import Album, key_of, small_picture
from fruitcnn.evaluation.evaluation import few_training_pictures
from fruitcnn.evaluation.leaks import UNKNOWN_TRAINING, TrainingPictures, leak_warnings, likeness
from fruitcnn.evaluation.predictions import Prediction, Predictions
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.results import Rejection
from fruitcnn.image import Picture
from fruitcnn.progress import tracked


class Answering:
    """A model at work on an evaluation's pictures. training: what it has learned from, where that is known."""

    def __init__(self, identifier: Identifier, training: TrainingPictures | None) -> None:
        self.identifier, self.training = identifier, training
        self.album = Album(identifier)
        self._likenesses: collections.Counter[str] = collections.Counter()

    def predict(self, records: list[Record], *, keep: bool) -> Predictions:
        """Answer the pictures. keep: in the album, too."""

        def observe(data: bytes, picture: Picture) -> tuple[str, Image.Image | None]:
            like = likeness(data, picture, self.training) if self.training else ""
            return like, small_picture(data, picture) if keep else None

        paths = tracked((record.path for record in records), "reading pictures", total=len(records))
        evidence = keep and self.identifier.has_evidence
        rows = []
        found = self.identifier.observe_many(paths, observe, evidence=evidence)
        for record, (result, observed) in zip(records, found, strict=True):
            if isinstance(result, Rejection) or observed is None:
                error = result.error if isinstance(result, Rejection) else ""
                rows.append(Prediction(record.file, record.split, record.label, error=error))
                continue
            row = Prediction(record.file, record.split, record.label, result.probabilities, result.familiarity)
            row = dataclasses.replace(row, warning=result.warning)
            rows.append(row)
            like, small = observed
            self._likenesses[like] += 1
            if small is not None:
                self.album.add(key_of(row), small, result, explained=result.likeliest_label != record.label)
        return Predictions(self.identifier.card.labels, tuple(rows))

    def warnings(self) -> tuple[str, ...]:
        """What has to be known of the training pictures, once the labelled pictures are answered."""
        if self.training is None:
            return (UNKNOWN_TRAINING,)
        few = few_training_pictures(self.identifier.card.labels, self.training.counts)
        return (*few, *leak_warnings(self._likenesses))

    def close(self) -> None:
        """Let go of the album."""
        self.album.close()
