"""A model over a data set, looking twice at each sample as `Predictor` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from heatkp.data.samples import Sample
from heatkp.evaluation.evaluate import errors_of
from heatkp.evaluation.metrics import Errors
from heatkp.inference.predictor import Predictor
from heatkp.runs import Loaded


def predict_twice(
    loaded: Loaded,
    samples: Sequence[Sample],
    batch_size: int = 16,
    flip_test: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Errors:
    """Predictions of all samples beside their truth, each from the box that belongs around what
    was found in its own; input pixels are those of the first look.

    `progress` is told how many samples are done.

    Raises:
        SettingsError: for a model that does not know how boxes lie around points.
        DataError: for a picture that cannot be read.
    """
    predictor = Predictor(loaded)
    photo, matrices = [], []
    for start in range(0, len(samples), batch_size):
        chunk = samples[start : start + batch_size]
        images = [sample.rgb() for sample in chunk]
        boxes = [sample.box for sample in chunk]
        found = predictor.predict(images, boxes, batch_size, passes=2, flip_test=flip_test)
        photo += [keypoints.points for keypoints in found]
        matrices += [predictor.framing.matrix(k.image_size, k.box) for k in found]
        progress(len(photo))
    return errors_of(np.stack(photo), samples, np.stack(matrices), predictor.framing.size)
