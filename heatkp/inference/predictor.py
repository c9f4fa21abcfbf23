"""Points on pictures of one's own: a trained model with its framing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch

from heatkp import coordinates as co
from heatkp.data.dataset import to_tensor
from heatkp.data.samples import Image, as_rgb, read_image
from heatkp.data.transforms import Framing, shrink, shrink_factor, warp
from heatkp.errors import DataError
from heatkp.runs import Loaded, load_run
from heatkp.skeletons import Skeleton

Picture = Image | str | PathLike[str]


@dataclass(frozen=True)
class Keypoints:
    """What was found in one picture.

    Attributes:
        points: float64 (K, 2), pixels of the picture, centres on integers.
        scores: float64 (K,), in [0, 1] as the head's decoder defines them; NaN for regression.
        covariance: float64 (K, 2, 2) in squared pixels of the picture, or None.
        skeleton: names, lines and sides of the points.
    """

    points: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64] | None
    skeleton: Skeleton

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.points, dtype=dtype)


class Predictor:
    """A model, the framing it was trained with, and its skeleton."""

    def __init__(self, loaded: Loaded) -> None:
        self.model, self.settings, self.skeleton = loaded.model, loaded.settings, loaded.skeleton
        self.framing = Framing.of(self.settings.data)

    def _input(self, image: Image, box: npt.ArrayLike | None) -> tuple[torch.Tensor, co.Matrix]:
        matrix = self.framing.matrix((image.shape[1], image.shape[0]), box)
        small, shrinking = shrink(image, shrink_factor(matrix))
        picture = warp(small, co.compose(co.invert(shrinking), matrix), self.framing.size)
        return to_tensor(picture, self.settings.data.grey), matrix

    @overload
    def predict(self, images: Picture, boxes: npt.ArrayLike | None = None) -> Keypoints: ...
    @overload
    def predict(
        self, images: list[Any] | tuple[Any, ...], boxes: Sequence[npt.ArrayLike] | None = None
    ) -> list[Keypoints]: ...

    @torch.inference_mode()
    def predict(self, images: Any, boxes: Any = None, batch_size: int = 16) -> Any:
        """Keypoints of one picture, or a list of them for a list.

        Args:
            images: uint8 arrays (H, W), (H, W, 3) RGB or (H, W, 4), or paths of picture files.
            boxes: edges (x0, y0, x1, y1) of the object in each picture; without them, or where
                the model was trained on whole pictures, the whole picture is used.

        Raises:
            DataError: for a file that is no picture, an array that is none, or a bad box.
        """
        single = isinstance(images, np.ndarray | str | PathLike)
        if single:
            images, boxes = [images], None if boxes is None else [boxes]
        if boxes is not None and len(boxes) != len(images):
            raise DataError(f"{len(boxes)} boxes were given for {len(images)} pictures")
        found: list[Keypoints] = []
        for start in range(0, len(images), batch_size):
            inputs, matrices = [], []
            for i in range(start, min(start + batch_size, len(images))):
                image = images[i]
                if not isinstance(image, np.ndarray):
                    image = read_image(Path(image), orient=True)
                try:
                    tensor, matrix = self._input(as_rgb(image), None if boxes is None else boxes[i])
                except ValueError as error:
                    raise DataError(f"picture {i}: {error}") from None
                inputs.append(tensor)
                matrices.append(matrix)
            device = next(self.model.parameters()).device
            result = self.model.decode(self.model(torch.stack(inputs).to(device)))
            points = result.points.cpu().double().numpy()
            scores = result.scores.cpu().double().numpy()
            spread = result.covariance
            covariance = None if spread is None else spread.cpu().double().numpy()
            for j, matrix in enumerate(matrices):
                back = co.invert(matrix)
                linear = back[:, :2]
                found.append(
                    Keypoints(
                        co.apply(back, points[j]),
                        scores[j],
                        None if covariance is None else linear @ covariance[j] @ linear.T,
                        self.skeleton,
                    )
                )
        return found[0] if single else found


def load_model(path: str | PathLike[str], device: str = "cpu") -> Predictor:
    """The best model of a run folder, or of a weights file, ready to predict.

    Raises `CheckpointError` for what is missing or does not fit.
    """
    return Predictor(load_run(Path(path), device))
