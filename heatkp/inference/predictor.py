"""Points on images of one's own: a trained model with its framing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from heatkp.data.boxes import BoxStyle, box_error
from heatkp.data.images import ImageOptions
from heatkp.data.inputs import ImageLike, images_of, is_image
from heatkp.data.transforms import Framing
from heatkp.engine import Engine, Estimate, SceneEngine, make_engine
from heatkp.errors import DataError, SettingsError
from heatkp.export import open_runtime
from heatkp.inference.alike import without_alike, without_unsure
from heatkp.inference.detectors import Detection, Detector, create_detector
from heatkp.inference.finder import Finder, finder_of
from heatkp.inference.heatmaps import Heatmaps
from heatkp.inference.keypoints import Array, Keypoints, Results
from heatkp.inference.regions import SEARCHED, Task, edges_of, searched, tasks_of
from heatkp.inference.sharing import Sharing
from heatkp.inference.sources import images_in
from heatkp.models import KeypointModel
from heatkp.runs import Loaded, finder_path, loaded_model
from heatkp.skeletons import SKELETONS, Skeleton

Boxes = str | npt.ArrayLike | Sequence[npt.ArrayLike | None] | None
Refused = Callable[[int, str], None]
"""Told of a box that is of no use: the place of its image, and why."""

HELD = 2**27
"""Bytes of decoded images that wait for their batch to be full."""


G = TypeVar("G")
"""Boxes that are given, in whatever form."""


class Predictor(Sharing):
    """A model, the framing it was trained with, and its skeleton.

    Attributes:
        engine: runs the model on regions of images.
        detector: what finds objects where no boxes are given: a name in
            `heatkp.inference.detectors.DETECTORS`, `auto`, or anything that is called with an
            image and gives `Detection`s, as a run's own `heatkp.inference.finder.Finder`.
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
        self.engine: Engine = make_engine(
            loaded.runner, loaded.skeleton, shown, shown.grey, loaded.box_style
        )
        if isinstance(self.engine, SceneEngine) and detector == "auto":
            self.detector = finder_of(loaded)

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
    def finds_objects(self) -> bool:
        """Whether objects are looked for where no boxes are given: by a model that was trained on
        crops of boxes, with a detector, which is the run's own finder where it has one, or that
        of faces for a model of face points."""
        if not self.framing.takes_boxes:
            return False
        layout = re.split(r"[-\[]", self.skeleton.name)[0]  # without the choice of points
        return self.detector != "auto" or layout in SKELETONS

    @property
    def usual_passes(self) -> int:
        """How often is looked at an object where that is not said: twice where `box_style` is
        known, but once by a run with a finder, which draws the boxes that it was trained on."""
        return 1 if self.box_style is None or isinstance(self.detector, Finder) else 2

    def predict(
        self,
        images: ImageLike | Iterable[ImageLike],
        boxes: Boxes = None,
        batch_size: int = 16,
        passes: int | None = None,
        flip_test: bool = False,
        refused: Refused | None = None,
        nms_oks: float | None = None,
        min_point_score: float | None = None,
    ) -> Results:
        """Keypoints of all objects in one image or several, in the images' order.

        Each `Keypoints` says by `image` which image it belongs to; an image without an object has
        none. Images are read in turn, so that a long list of paths takes no more memory than a
        short one.

        Args:
            images: a path, an image of Pillow, an array or a tensor, as `inputs.as_image` takes
                them; or a list of them, a folder, or a batch: array (B, H, W, C) or tensor (B, C,
                H, W).
                Deeper images than 8 bits are scaled as in training (`data.intensity`).
            boxes: `objects`: the detector finds them (`faces` means the same, with a detector of
                faces where the model has none of its own). `image`: the whole image is the box.
                Edges (x0, y0, x1, y1), pixels of the image: (4,) or (N, 4) for one image; a list
                of such arrays, or None for the whole image, for a list of images. None: `objects`
                where the model can find them (`finds_objects`), else `image`. A model that was
                trained on whole images sees them whole, whatever the box.
            batch_size: crops that the network sees at once.
            passes: 2 looks again at the box that belongs around the first points, which mends
                boxes that are off; 1 does not. None: as `usual_passes` says.
            flip_test: average with what is found in the mirror image.
            refused: told of each box, given or found by the detector, that is of no use (wholly
                outside its image, without area, not finite: `heatkp.data.boxes.box_error`), by
                the number of its image and why; such a box gets no keypoints. None: the first
                one is a `DataError`.
            nms_oks: two objects of an image whose OKS is above this, in (0, 1], are one, and the
                surer stays (`without_alike`). None: all stay.
            min_point_score: points scored below it are left out (`without_unsure`).

        Raises:
            DataError: for a file or an object that is no image, and a box of no use.
            SettingsError: for two passes where `box_style` is not known, a flip test where points
                have no known counterpart, and where the detector's package is missing.
        """
        found = self._estimates(images, boxes, batch_size, passes, flip_test, refused=refused)
        kept = without_alike((self._keypoints(*one) for one in found), nms_oks)
        return Results(without_unsure(kept, min_point_score))

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
            bare = replace(self.loaded, backend=None, network=self.model)
            own = Predictor(bare, detector=self.detector)
            return own.heatmaps(images, boxes, batch_size, passes)
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
    ) -> Iterator[tuple[Task, Estimate, int]]:
        """Each region, with the estimate of its batch and its place there."""
        passes = self.usual_passes if passes is None else passes
        self.engine.check(passes, flip_test)
        if batch_size < 1:
            raise SettingsError(f"batch_size is 1 or more, not {batch_size!r}")

        def look(tasks: list[Task]) -> Iterator[tuple[Task, Estimate, int]]:
            estimate = self.engine.look([t.region for t in tasks], passes, flip_test, maps)
            yield from ((task, estimate, j) for j, task in enumerate(tasks))

        waiting: list[Task] = []
        for task in self._tasks(images, boxes, _raise if refused is None else refused):
            waiting.append(task)
            held = {t.index: t.image.nbytes for t in waiting}
            if len(waiting) == batch_size or sum(held.values()) > HELD:
                yield from look(waiting)
                waiting = []
        if waiting:
            yield from look(waiting)

    def _tasks(self, images: Any, boxes: Any, refused: Refused) -> Iterator[Task]:
        """The regions to look at, image after image."""
        if is_image(images) and boxes is not None and not isinstance(boxes, str):
            boxes = [boxes]
        if isinstance(images, str | PathLike) and Path(images).is_dir():
            images = images_in(Path(images))
        images = images_of(images)
        if boxes is None:
            boxes = "objects" if self.finds_objects else "image"
        if isinstance(boxes, str):
            self.check_boxes(boxes)
        else:
            images = list(images)
            if len(boxes) != len(images):
                raise DataError(f"boxes for {len(boxes)} images were given with {len(images)}")
        looks = isinstance(boxes, str) and boxes in SEARCHED
        detector = self._detector() if looks else None
        for i, image, objects in searched(images, self.settings.data.intensity, detector):
            size = (image.shape[1], image.shape[0])
            regions: list[tuple[Array, Detection | None]]
            if objects is not None:
                regions = [(np.asarray(found.box, np.float64), found) for found in objects]
            elif isinstance(boxes, str) or boxes[i] is None:
                yield Task(image, i, None)
                continue
            else:
                regions = [(box, None) for box in edges_of(boxes[i], i)]
            good: list[tuple[Array, Detection | None]] = []
            for box, found in regions:
                if (wrong := box_error(box, size)) is not None:
                    refused(i, wrong if found is None else f"found by the detector, {wrong}")
                else:
                    good.append((box if found is None else self._from_face(box, size), found))
            yield from tasks_of(image, i, good)

    def ready_for(self, boxes: G | str | None) -> G | str:
        """Boxes as they will be asked for: None becomes `objects` where the model knows how to
        find them, else `image`. A detector that is needed is opened, once for many calls.

        Raises `SettingsError` as `check_boxes` does, and where the detector's package is missing.
        """
        chosen = ("objects" if self.finds_objects else "image") if boxes is None else boxes
        if isinstance(chosen, str):
            self.check_boxes(chosen)
            if chosen in SEARCHED:
                self.detector = self._detector()
        return chosen

    def check_boxes(self, boxes: str) -> None:
        """Raises `SettingsError` for boxes, by name, that this model cannot be asked for."""
        if boxes not in (*SEARCHED, "image"):
            raise SettingsError(
                f"boxes {boxes!r} is none of: objects, faces, image, an array of edges"
            )
        if boxes == "image" and isinstance(self.engine, SceneEngine):
            raise SettingsError(
                "head grouped finds the objects in whole images: leave out boxes='image', or give "
                "the edges of the objects that are meant; the surest alone is max_objects 1"
            )
        if boxes in SEARCHED and not self.framing.takes_boxes:
            raise SettingsError(
                f"this model was trained on whole images and cannot look at single {boxes} in "
                f"them: leave out boxes={boxes!r}, or train with data.crop=box"
            )
        if boxes == "objects" and not self.finds_objects:
            raise SettingsError(
                "this model does not know how to find its objects: give their boxes, a detector "
                "(detector=), or train one that does with --task finder+points"
            )

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

    def _keypoints(self, task: Task, estimate: Estimate, j: int) -> Keypoints:
        covariance, found = estimate.covariance, task.found
        box_score = None if found is None else float(found.score)
        made = Keypoints(
            points=estimate.points[j],
            scores=estimate.scores[j],
            covariance=None if covariance is None else covariance[j],
            skeleton=self.skeleton,
            image_size=task.size,
            box=task.own_box,
            box_score=box_score,
            image=task.index,
        )
        if box_score is None or found is None or not found.finder:
            return made
        of_points = made.score if np.isfinite(made.scores).any() else None
        return replace(made, object_score=box_score * (1.0 if of_points is None else of_points))


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
        detector: finds objects where no boxes are given; see `Predictor`. `auto`: the run's own
            finder where it has one (`heatkp train --task finder+points`), else one of faces.
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
    loaded = open_runtime(path, runtime, device, precision, encoder)
    if detector == "auto" and loaded.settings.data.crop == "box":
        detector = detector if finder_path(path) is None else Finder(path, device)
    return Predictor(loaded, detector=detector)
