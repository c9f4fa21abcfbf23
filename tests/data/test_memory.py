"""Samples of a program: what dictionaries may say."""

from __future__ import annotations

import numpy as np
import pytest

from heatkp.config import Data
from heatkp.data.memory import as_sample, given_samples
from heatkp.data.splitting import divide
from heatkp.errors import DataError


def item(i, **more):
    image = np.full((20, 30, 3), i, np.uint8)
    return {"image": image, "points": [[1 + i, 2], [3, 4]], **more}


def test_all_that_splits_go_by():
    sample = as_sample(item(1, split="val", video="a", frame=7, track="t", columns={"lab": "x"}))
    assert (sample.split, sample.video, sample.frame, sample.track) == ("val", "a", 7, "t")
    assert sample.columns == {"lab": "x"}
    with pytest.raises(DataError, match="labels"):
        as_sample(item(1, labels=3))


def test_frames_of_a_video_stay_together():
    data = given_samples([item(i, video=f"v{i % 4}", frame=i) for i in range(16)])
    train, val = divide(data.labels.samples, Data(split="video", validation=0.25))[:2]
    assert val and not {s.video for s in train} & {s.video for s in val}
