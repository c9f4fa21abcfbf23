"""Teachers: trained models, and what they say of samples before a training begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from heatkp import coordinates as co
from heatkp import heatmaps as hm
from heatkp.data.dataset import KeypointDataset
from heatkp.data.matching import difference
from heatkp.data.samples import Sample
from heatkp.engine import Estimate, SceneEngine
from heatkp.errors import CheckpointError
from heatkp.inference.digests import weights_digest
from heatkp.inference.predictor import Predictor, load_model
from heatkp.models import DenseModel
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]


class Said(NamedTuple):
    """What a teacher says of N samples, in pixels of their images.

    Attributes:
        points: (N, K, 2), NaN for those that it does not know.
        covariance: (N, K, 2, 2), of where the points are: what its maps are wider than those of
            points that it is certain of. 0 where its head does not tell.
        scores: (N, K), in [0, 1]; NaN where its head has none.
    """

    points: Array
    covariance: Array
    scores: Array


@dataclass(frozen=True)
class Teacher:
    """A trained model that knows points of a student's by name.

    Attributes:
        name: as it was given.
        places: (K,), which of its points each of the student's is; -1 for none.
    """

    name: str
    predictor: Predictor
    places: npt.NDArray[np.int64]

    @classmethod
    def open(cls, name: str, skeleton: Skeleton, device: str) -> Teacher:
        """Raises `CheckpointError` and others as `load_model` does, and where neither the student's
        points nor the teacher's hold the other's."""
        predictor = load_model(name, device)
        if predictor.loaded.backend is not None:  # gives no maps
            network = predictor.model
            predictor = Predictor(
                replace(predictor.loaded, backend=None, network=network),
                detector=predictor.detector,
            )
        theirs, ours = predictor.skeleton.point_names, skeleton.point_names
        if not (set(theirs) <= set(ours) or set(ours) <= set(theirs)):
            raise CheckpointError(
                f"teacher {name} and the labels have different points: "
                f"{difference(name, theirs, 'the data', ours)}; a teacher knows all of the points "
                "by the same names, some, or more"
            )
        where = {point: i for i, point in enumerate(theirs)}
        return cls(name, predictor, np.array([where.get(point, -1) for point in ours]))

    @property
    def record(self) -> dict[str, object]:
        """What is written down of it."""
        known = int((self.places >= 0).sum())
        digest = weights_digest(self.predictor)
        head = self.predictor.settings.head.name
        return {"model": self.name, "weights_digest": digest, "head": head, "points": known}

    def say(
        self,
        samples: Sequence[Sample],
        batch_size: int,
        flip_test: bool,
        progress: Callable[[int], None],
    ) -> Said:
        """What it says of samples, each looked at once, framed as it was trained; `progress` is
        told how many are done. Raises `DataError` for an image that cannot be read."""
        engine, skeleton = self.predictor.engine, self.predictor.skeleton
        dataset = KeypointDataset(samples, skeleton, engine.framing, grey=engine.grey)
        flips = flip_test and not skeleton.unmirrored and not isinstance(engine, SceneEngine)
        found: list[Said] = []
        done = 0
        for estimate in engine.over(dataset, batch_size, flip_test=flips, maps=True):
            spread = np.stack([self._spread(estimate, j) for j in range(len(estimate))])
            found.append(Said(estimate.points, spread, estimate.scores))
            done += len(estimate)
            progress(done)
        points, covariance, scores = (np.concatenate(part) for part in zip(*found))
        said = Said(
            points[:, self.places], covariance[:, self.places], scores[:, self.places].copy()
        )
        unknown = self.places < 0
        said.points[:, unknown], said.scores[:, unknown] = np.nan, np.nan
        said.covariance[:, unknown] = 0.0
        return said

    def _spread(self, estimate: Estimate, index: int) -> Array:
        """Covariance (K, 2, 2) of a sample's points, in squared pixels of its image.

        About a map's highest pixel, what it is wider than the map of a point that is certain, plus
        the square of the way from there to the point that was read: a map of several peaks, or
        another place in the mirrored image, makes that long.
        """
        model = self.predictor.model
        certain = model.head.certain_variance if isinstance(model, DenseModel) else None
        if certain is None or estimate.maps is None:
            return np.zeros((*estimate.points.shape[1:], 2))
        maps = torch.from_numpy(np.ascontiguousarray(estimate.maps[index]))[None].double()
        own = torch.as_tensor(certain, dtype=torch.float64).cpu()
        width = max(1.0, float(own.max().sqrt()))
        local = hm.decode_local_expectation(maps, "gaussian", width)
        assert local.covariance is not None
        to_image = estimate.map_matrix(index)
        read = co.apply(co.invert(to_image), estimate.points[index])
        away = read - local.points[0].numpy()
        excess = local.covariance[0] - own.reshape(-1, 1, 1) * torch.eye(2)
        spread = _not_negative(excess.numpy()) + away[:, :, None] * away[:, None, :]
        linear = to_image[:, :2]
        return np.asarray(linear @ spread @ linear.T)


def _not_negative(matrices: Array) -> Array:
    """Symmetric matrices (K, 2, 2) with negative eigenvalues set to 0; NaN stays NaN."""
    finite = np.asarray(np.isfinite(matrices).all((1, 2)))
    values, vectors = np.linalg.eigh(np.where(finite[:, None, None], matrices, 0.0))
    made = (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.swapaxes(1, 2)
    return np.where(finite[:, None, None], made, np.nan)
