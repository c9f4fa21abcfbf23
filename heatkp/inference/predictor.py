"""Points on images of one's own: a trained model with its framing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp.data.boxes import EDGES, BoxStyle, box_error
from heatkp.data.images import ImageOptions
from heatkp.data.inputs import ImageLike, as_image, images_of, is_image
from heatkp.data.samples import Image
from heatkp.data.transforms import Framing
from heatkp.engine import Engine, Estimate, Region
from heatkp.errors import DataError, SettingsError
from heatkp.export import open_runtime
from heatkp.inference.detectors import Detection, Detector, create_detector
from heatkp.inference.heatmaps import Heatmaps
from heatkp.inference.keypoints import Array, Keypoints, Results
from heatkp.inference.sharing import Sharing
from heatkp.inference.sources import images_in
from heatkp.models import KeypointModel
from heatkp.runs import Loaded, loaded_model
from heatkp.skeletons import SKELETONS, Skeleton

Boxes = str | npt.ArrayLike | Sequence[npt.ArrayLike | None] | None
Refused = Callable[[int, str], None]
"""Told of a box that is of no use: the place of its image, and why."""

HELD = 2**27
"""Bytes of decoded images that wait for their batch to be full."""


@dataclass(frozen=True)
class _Task:
    """A region of an image that is to be looked at."""

    image: Image
    index: int
    box: Array | None
    found: Detection | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) of the image."""
        return self.image.shape[1], self.image.shape[0]

    @property
    def own_box(self) -> Array | None:
        """The box as it was given, or as the detector drew it."""
        return self.box if self.found is None else np.asarray(self.found.box, np.float64)


class Predictor(Sharing):
    """A model, the framing it was trained with, and its skeleton.

    Attributes:
        engine: runs the model on regions of images.
        detector: what finds objects where no boxes are given: a name in
            `heatkp.inference.detectors.DETECTORS`, `auto`, or anything that is called with an
            image and gives `Detection`s.
    """

    def __init__(
        self,
        model: Loaded | KeypointModel,
        names: Sequence[str] | None = None,
        *,
        skeleton: Skeleton | str | None = None,
        data: Mapping[str, Any] | None = None,
        box_style: BoxStyle | None = None,
        detector: str | Detector = "auto",
    ) -> None:
        """A predictor of a trained model.

        Args:
            model: what `heatkp.runs.load_run` gives; or a network of `create_model`, trained in
                a loop of one's own, for which the others say what it was trained for.
            names: of its K points.
            skeleton: the points' layout instead of their names: a `Skeleton` or its name.
            data: settings of section `data` that say what it was shown, such as
                `{"crop": "box", "box_scale": 1.5}`; by default whole images.
            box_style: how boxes lie around points, for two-stage refinement.
            detector: finds objects where no boxes are given.

        Raises:
            SettingsError: for names that are not K, settings that cannot be, and a network that
                was not made by `create_model`.
        """
        if isinstance(model, KeypointModel):
            loaded = loaded_model(model, names, skeleton, data, box_style)
        elif names is not None or skeleton is not None or data is not None:
            raise SettingsError("names, skeleton and data go with a network; a run has its own")
        else:
            loaded = model
        self.loaded, self.settings, self.skeleton = loaded, loaded.settings, loaded.skeleton
        self.detector = detector
        shown = self.settings.data
        self.engine = Engine(
            loaded.runner, loaded.skeleton, Framing.of(shown), shown.grey, loaded.box_style
        )

    def __repr__(self) -> str:
        width, height = self.framing.size
        points = f"{len(self.skeleton)} points of {self.skeleton.name!r}"
        runtime = self.engine.backend.name
        how = "" if runtime == "torch" else f", runtime {runtime}"
        return f"Predictor(head {self.settings.head.name!r}, {points}, input {width}x{height}{how})"

    @property
    def framing(self) -> Framing:
        """Which region of an image around a box the network sees."""
        return self.engine.framing

    @property
    def box_style(self) -> BoxStyle | None:
        """How the boxes that the model was trained on lie around the points, or None where that
        is not known, or where it was trained on whole images."""
        return self.engine.box_style

    @property
    def image_options(self) -> ImageOptions:
        """How the samples were read that the model was trained on."""
        return ImageOptions.of(self.settings.data)

    @property
    def finds_faces(self) -> bool:
        """Whether boxes are looked for where none are given: a model of face points, trained on
        crops of boxes."""
        layout = re.split(r"[-\[]", self.skeleton.name)[0]  # without the choice of points
        return self.framing.box_scale is not None and layout in SKELETONS

    def predict(
        self,
        images: ImageLike | Iterable[ImageLike],
        boxes: Boxes = None,
        batch_size: int = 16,
        passes: int | None = None,
        flip_test: bool = False,
        refused: Refused | None = None,
    ) -> Results:
        """Keypoints of all objects in one image or several, in the images' order.

        Each `Keypoints` says by `image` which image it belongs to; an image without a face has
        none. Images are read in turn, so that a long list of paths takes no more memory than a
        short one.

        Args:
            images: a path, an image of Pillow, an array or a tensor, as `inputs.as_image` takes
                them; or a list of them, a folder, or a batch: array (B, H, W, C) or tensor (B, C,
                H, W).
                Deeper images than 8 bits are scaled as in training (`data.intensity`).
            boxes: `faces`: a detector finds them. `image`: the whole image is the box. Edges
                (x0, y0, x1, y1), pixels of the image: (4,) or (N, 4) for one image; a list of
                such arrays, or None for the whole image, for a list of images. None: `faces`
                where the model was trained on boxes of faces, else `image`. A model that was
                trained on whole images sees them whole, whatever the box.
            batch_size: crops that the network sees at once.
            passes: 2 looks again at the box that belongs around the first points, which mends
                boxes that are off; 1 does not. None: 2 where `box_style` is known.
            flip_test: average with what is found in the mirror image.
            refused: told of each box, given or found by the detector, that is of no use (wholly
                outside its image, without area, not finite: `heatkp.data.boxes.box_error`), by
                the number of its image and why; such a box gets no keypoints. None: the first
                one is a `DataError`.

        Raises:
            DataError: for a file or an object that is no image, and a box of no use.
            SettingsError: for two passes where `box_style` is not known, a flip test where points
                have no known counterpart, and where the detector's package is missing.
        """
        found = self._estimates(images, boxes, batch_size, passes, flip_test, refused=refused)
        return Results(self._keypoints(*one) for one in found)

    def heatmaps(
        self,
        images: ImageLike | Iterable[ImageLike],
        boxes: Boxes = None,
        batch_size: int = 16,
        passes: int | None = None,
    ) -> list[Heatmaps]:
        """The network's maps of all objects in one image or several, in the images' order: those
        that `predict` reads its points from.

        All of them are in memory at once, 4 K h w bytes for an object.

        Args:
            images, boxes, batch_size, passes: as `predict` takes them.

        Raises:
            DataError: as `predict` does.
            SettingsError: as `predict` does, and for a model that makes no maps.
        """
        if self.loaded.backend is not None:  # whose file has its decoder inside
            return Predictor(replace(self.loaded, backend=None, network=self.model)).heatmaps(
                images, boxes, batch_size, passes
            )
        kind = self.engine.backend.kind
        if kind is None:
            raise SettingsError(
                f"head {self.settings.head.name!r} finds points without maps; take a model of "
                "another head"
            )
        return [
            Heatmaps(
                maps=estimate.maps[j],
                matrix=estimate.map_matrix(j),
                kind=kind,
                skeleton=self.skeleton,
                image_size=task.size,
                box=task.own_box,
                image=task.index,
            )
            for task, estimate, j in self._estimates(
                images, boxes, batch_size, passes, flip_test=False, maps=True
            )
            if estimate.maps is not None
        ]

    def _estimates(
        self,
        images: Any,
        boxes: Any,
        batch_size: int,
        passes: int | None,
        flip_test: bool,
        maps: bool = False,
        refused: Refused | None = None,
    ) -> Iterator[tuple[_Task, Estimate, int]]:
        """Each region, with the estimate of its batch and its place there."""
        if passes is None:
            passes = 1 if self.box_style is None else 2
        self.engine.check(passes, flip_test)
        if batch_size < 1:
            raise SettingsError(f"batch_size is 1 or more, not {batch_size!r}")

        def look(tasks: list[_Task]) -> Iterator[tuple[_Task, Estimate, int]]:
            regions = [Region(t.image, t.box, f"image {t.index}") for t in tasks]
            estimate = self.engine.look(regions, passes, flip_test, maps)
            yield from ((task, estimate, j) for j, task in enumerate(tasks))

        waiting: list[_Task] = []
        for task in self._tasks(images, boxes, _raise if refused is None else refused):
            waiting.append(task)
            held = {t.index: t.image.nbytes for t in waiting}
            if len(waiting) == batch_size or sum(held.values()) > HELD:
                yield from look(waiting)
                waiting = []
        if waiting:
            yield from look(waiting)

    def _tasks(self, images: Any, boxes: Any, refused: Refused) -> Iterator[_Task]:
        """The regions to look at, image after image."""
        if is_image(images) and boxes is not None and not isinstance(boxes, str):
            boxes = [boxes]
        if isinstance(images, str | PathLike) and Path(images).is_dir():
            images = images_in(Path(images))
        images = images_of(images)
        if boxes is None:
            boxes = "faces" if self.finds_faces else "image"
        if isinstance(boxes, str) and boxes not in ("faces", "image"):
            raise SettingsError(f"boxes {boxes!r} is none of: faces, image, an array of edges")
        if isinstance(boxes, str) and boxes == "faces" and self.framing.box_scale is None:
            raise SettingsError(
                "this model was trained on whole images and cannot look at single faces in "
                "them: leave out boxes='faces', or train with data.crop=box"
            )
        if not isinstance(boxes, str):
            images = list(images)
            if len(boxes) != len(images):
                raise DataError(f"boxes for {len(boxes)} images were given with {len(images)}")
        detector = self._detector() if isinstance(boxes, str) and boxes == "faces" else None
        for i, given in enumerate(images):
            try:
                image = as_image(given, self.settings.data.intensity)
            except DataError as error:
                if isinstance(given, str | PathLike):  # says which
                    raise
                raise DataError(f"image {i}: {error}") from None
            size = (image.shape[1], image.shape[0])
            regions: list[tuple[Array, Detection | None]]
            if detector is not None:
                regions = [(np.asarray(found.box, np.float64), found) for found in detector(image)]
            elif isinstance(boxes, str) or boxes[i] is None:
                yield _Task(image, i, None)
                continue
            else:
                regions = [(box, None) for box in _edges(boxes[i], i)]
            for box, found in regions:
                if (wrong := box_error(box, size)) is not None:
                    refused(i, wrong if found is None else f"found by the detector, {wrong}")
                else:
                    mine = box if found is None else self._from_face(box, size)
                    yield _Task(image, i, mine, found)

    def _detector(self) -> Detector:
        return create_detector(self.detector) if isinstance(self.detector, str) else self.detector

    def _from_face(self, box: Array, size: tuple[int, int]) -> Array:
        """A detector's box as the model's training data would have drawn it, if that is of use in
        an image of this width and height."""
        theirs = getattr(self._detector(), "box_style", None)
        if theirs is None or self.box_style is None or self.skeleton.name != "face68":
            return box
        mine: Array = theirs.converted(box, self.box_style)
        return mine if box_error(mine, size) is None else box

    def _keypoints(self, task: _Task, estimate: Estimate, j: int) -> Keypoints:
        covariance = estimate.covariance
        return Keypoints(
            points=estimate.points[j],
            scores=estimate.scores[j],
            covariance=None if covariance is None else covariance[j],
            skeleton=self.skeleton,
            image_size=task.size,
            box=task.own_box,
            box_score=None if task.found is None else float(task.found.score),
            image=task.index,
        )


def _edges(boxes: npt.ArrayLike, index: int) -> Array:
    """Edges (N, 4) of one image. Raises `DataError` for another shape."""
    try:
        edges = np.asarray(boxes, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"image {index}: boxes are no numbers; {EDGES}") from None
    if edges.ndim == 1 and edges.size:
        edges = edges[None]
    if edges.size and (edges.ndim != 2 or edges.shape[1] != 4):
        raise DataError(f"image {index}: boxes have shape (4,) or (N, 4), not {edges.shape}")
    return edges.reshape(-1, 4)


def _raise(index: int, why: str) -> None:
    raise DataError(f"image {index}: {why}")


def load_model(
    path: str | PathLike[str],
    device: str = "auto",
    detector: str | Detector = "auto",
    runtime: str | None = None,
    encoder: Any = None,
    precision: str | None = None,
) -> Predictor:
    """The best model of a run folder, of a weights file, one that comes with heatkp by its name,
    one on the Hugging Face hub (`hf://owner/name`, `hf://owner/name@revision`), or a folder that
    `heatkp export` wrote, ready to predict.

    Args:
        path: the run, the file, the name or the folder.
        device: where it runs: `cpu`, `cuda` (or `cuda:1` and so on), `mps`; `auto` takes a GPU
            where there is one.
        detector: finds faces where no boxes are given; see `Predictor`.
        runtime: what runs the network: `torch`, `onnx`, `openvino`, or `auto`, the quickest that
            is installed. For others than torch a run is exported once, into the user's cache
            folder. None: torch; of an exported folder its own; of a model that comes with heatkp
            the quickest where `pip install 'heatkp[fast]'` was run.
        encoder: a torch module as the model was trained with, where it was the user's own.
        precision: `bf16` computes in bfloat16, with torch and openvino; refused where that costs
            more than a thousandth of the normaliser.

    Raises:
        CheckpointError: for what is missing or does not fit.
        SettingsError: for a device that is not there, or a runtime that is none.
        MissingPackageError: for a runtime that is not installed.
        ExportError: for a network that the runtime cannot run, or not as exactly.
    """
    return Predictor(open_runtime(path, runtime, device, precision, encoder), detector=detector)
