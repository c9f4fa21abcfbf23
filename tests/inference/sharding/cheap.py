"""A predictor that costs nothing, and a script that predicts a shard with it."""

from __future__ import annotations

import os
import sys
import time

import numpy as np

from heatkp.inference.keypoints import Keypoints, Results
from heatkp.inference.predictor import Predictor
from heatkp.inference.sharding import predict_shard
from tests.inference.fakes import predictor as discs


class Cheap(Predictor):
    """One object an image: its mean colours. Attributes: `seen`, how many images it was given."""

    def __init__(self, pull=0.0, seconds=0.0):
        super().__init__(discs(pull, style=None, name="mouse", crop="image").loaded)
        self.seen, self.seconds = 0, seconds

    def predict(self, images, boxes=None, batch_size=16, passes=None, flip_test=False,
                refused=None, nms_oks=None, min_point_score=None):  # fmt: skip
        self.seen += len(images)
        time.sleep(self.seconds * len(images))
        return Results(
            Keypoints(
                points=np.stack([image.mean((0, 1)), image.std((0, 1))], 1),
                scores=np.full(3, 0.123456),
                covariance=None,
                skeleton=self.skeleton,
                image_size=(image.shape[1], image.shape[0]),
                image=i,
            )
            for i, image in enumerate(images)
        )


if __name__ == "__main__":
    inputs, shard, out = sys.argv[1:]
    predict_shard(
        Cheap(seconds=0.01),
        [inputs],
        shard,
        out,
        batch_size=2,
        part_size=5,
        progress=lambda done: os.write(1, b"%d\n" % done),
    )
