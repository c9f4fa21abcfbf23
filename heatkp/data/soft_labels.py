"""Soft labels: what teachers say of each sample's points, as Gaussians in pixels of its image."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from heatkp import coordinates as co
from heatkp.data.images import ImageFile, ImageOptions
from heatkp.data.samples import Sample
from heatkp.errors import CheckpointError
from heatkp.files import replacing
from heatkp.heatmaps import Mixture

DAMAGED = (
    OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What numpy says of archives that are not whole."""
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoftLabels:
    """What M teachers say of the K points of N samples, and samples that have no other labels.

    Attributes:
        ids: of the samples, the unlabelled ones last.
        points: (N, M, K, 2), pixels of the image; NaN for a point that a teacher does not know.
        covariance: (N, M, K, 2, 2), in squared pixels of the image.
        weights: (N, M, K), what each teacher counts beside the others.
        trust: (N, K), weights of points of unlabelled samples in the loss; 0 for those left out.
        label_covariance: (K, 2, 2), of labels, in squared input pixels without augmentation.
        share: what teachers count of a labelled point's target, together.
        unlabelled: samples without labels.
        record: of which teachers, and counts, as plain values.
    """

    ids: tuple[str, ...]
    points: Array
    covariance: Array
    weights: Array
    trust: Array
    label_covariance: Array
    share: float
    unlabelled: list[Sample] = field(default_factory=list, repr=False)
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {name: i for i, name in enumerate(self.ids)})

    def target(
        self,
        sample: Sample,
        matrix: co.Matrix,
        plain: co.Matrix,
        order: npt.NDArray[np.int64] | None = None,
    ) -> tuple[Mixture, torch.Tensor]:
        """What a sample's points are trained on, in input pixels: mixtures of the label, where
        there is one, and the teachers' Gaussians; and the points' weights (K,).

        Args:
            sample: its id is one of `ids`.
            matrix: image pixels to input pixels.
            plain: the same without augmentation.
            order: which point takes the place of each, in a mirrored image.
        """
        row: int = self._row[sample.id]  # type: ignore[attr-defined]
        labelled = sample.visibility > 0
        means = np.concatenate([sample.points[None], self.points[row]]).astype(np.float64)
        linear, change = matrix[:, :2], co.compose(co.invert(plain), matrix)[:, :2]
        spread = np.concatenate(
            [
                (change @ self.label_covariance @ change.T)[None],
                linear @ self.covariance[row] @ linear.T,
            ]
        )
        teachers = self.weights[row]
        if labelled.any():  # a point that nobody labelled may be absent, whatever teachers see
            teachers = np.where(labelled, teachers, 0.0)
        taught = teachers.sum(0)
        own = np.where(labelled, np.where(taught > 0, 1 - self.share, 1.0), 0.0)
        shares = np.where(labelled, self.share, 1.0) * teachers / np.where(taught > 0, taught, 1.0)
        weights = np.concatenate([own[None], shares])
        trust = np.where(labelled, 1.0, self.trust[row])
        arrays = [np.moveaxis(a, 0, 1) for a in (co.apply(matrix, means), spread, weights)]
        if order is not None:
            arrays, trust = [a[order] for a in arrays], trust[order]
        tensors = [torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in arrays]
        return Mixture(*tensors), torch.from_numpy(trust.astype(np.float32))

    def save(self, path: Path) -> None:
        """Write to a file, whole or not at all. Raises `OSError`."""
        samples = [
            {
                "id": s.id, "file": str(s.file), "box": None if s.box is None else s.box.tolist(),
                "options": asdict(s.options),
            }
            for s in self.unlabelled
        ]  # fmt: skip
        told = {
            "ids": self.ids, "share": self.share, "unlabelled": samples, "record": dict(self.record)
        }  # fmt: skip
        content = io.BytesIO()
        np.savez_compressed(
            content, points=self.points, covariance=self.covariance, weights=self.weights,
            trust=self.trust, label_covariance=self.label_covariance,
            told=np.frombuffer(json.dumps(told).encode(), np.uint8),
        )  # fmt: skip
        with replacing(path) as part:
            part.write_bytes(content.getvalue())

    @classmethod
    def load(cls, path: Path) -> SoftLabels:
        """What `save` wrote. Raises `CheckpointError` for a file that is damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                told = json.loads(file["told"].tobytes())
                names = ("points", "covariance", "weights", "trust", "label_covariance")
                arrays = {name: file[name] for name in names}
            count = arrays["points"].shape[2]
            return cls(
                ids=tuple(told["ids"]),
                share=float(told["share"]),
                unlabelled=[_sample(one, count) for one in told["unlabelled"]],
                record=told["record"],
                **arrays,
            )
        except DAMAGED as error:
            raise CheckpointError(
                f"{path}, which holds what the run's teachers said, is damaged ({error}): start a "
                "new run"
            ) from None


def unlabelled_sample(
    file: Path, name: str, count: int, box: npt.ArrayLike | None, options: ImageOptions
) -> Sample:
    """An image, or the region of a box in it, of which no point (of `count`) is labelled."""
    none = np.full((count, 2), np.nan, np.float32)
    codes = np.zeros(count, np.uint8)
    edges = None if box is None else np.asarray(box, np.float32)
    return Sample(ImageFile(file, options), none, codes, edges, id=name, file=file, options=options)


def _sample(stored: Mapping[str, Any], count: int) -> Sample:
    options = ImageOptions(**stored["options"])
    return unlabelled_sample(Path(stored["file"]), stored["id"], count, stored["box"], options)
