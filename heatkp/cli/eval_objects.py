"""`heatkp eval` from image to points: objects that are found, beside those that are labelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from heatkp.evaluation.measure import Also, InferenceOptions
    from heatkp.inference.predictor import Predictor
    from heatkp.runs import Loaded


class Seeking(NamedTuple):
    """What was asked for."""

    where: str | None = None
    detector: str | None = None
    min_score: float | None = None
    nms_oks: float | None = None

    @property
    def given(self) -> str | None:
        """The first option that says how objects are found."""
        options = {
            "--detector": self.detector, "--min-score": self.min_score, "--nms-oks": self.nms_oks
        }  # fmt: skip
        return next((name for name, value in options.items() if value is not None), None)

    @property
    def asked(self) -> bool:
        """Whether anything is said of finding objects."""
        return self.where == "objects" or self.given is not None

    def check(self, names: Sequence[str], kaggle: bool) -> None:
        """Raises `SettingsError` for what does not go together."""
        from heatkp.errors import SettingsError

        if self.where == "labels" and self.given is not None:
            raise SettingsError(f"{self.given} is about finding objects: leave out --boxes labels")
        what = "--boxes objects" if self.where == "objects" else self.given
        if kaggle and self.asked:
            raise SettingsError(f"{what}: --kaggle takes the boxes of its file; leave out one")
        if len(names) > 1 and self.asked:
            raise SettingsError(f"{what} measures one run at a time: name one")

    def opened(
        self, names: Sequence[str], models: Sequence[Loaded], how: InferenceOptions
    ) -> Predictor | None:
        """The model with what finds its objects; None where only points are measured.

        Raises `SettingsError` and `CheckpointError` for a detector that is none.
        """
        from heatkp.errors import SettingsError
        from heatkp.inference.batches import PickyDetector
        from heatkp.inference.finder import Finder, finder_of, open_detector
        from heatkp.inference.predictor import Predictor
        from heatkp.runs import finder_path

        if self.where == "labels" or len(names) > 1:
            return None
        loaded, grouped = models[0], models[0].settings.head.grouped
        finds = grouped or finder_path(names[0]) is not None
        boxed = grouped or loaded.settings.data.crop == "box"
        if not self.asked and not (finds and boxed):
            return None
        if not boxed:
            raise SettingsError(
                f"{names[0]} was trained on whole images and does not look for objects in them: "
                f"leave out {self.given or '--boxes objects'}"
            )
        if self.detector is not None:
            detector = open_detector(self.detector, how.device)
        elif grouped:
            detector = finder_of(loaded)
        elif finds:
            detector = Finder(names[0], how.device)
        else:
            predictor = Predictor(loaded)
            predictor.ready_for("objects")
            assert not isinstance(predictor.detector, str)
            detector = predictor.detector
        if isinstance(detector, Finder):
            detector = detector.with_options(min_score=self.min_score)
        elif self.min_score is not None:
            detector = PickyDetector(detector, self.min_score)
        return Predictor(loaded, detector=detector)

    def measuring(
        self,
        predictor: Predictor,
        split: str,
        how: InferenceOptions,
        progress: Callable[[int, int], None],
    ) -> Also:
        """What measures objects of a split of data."""
        from heatkp.data.samples import KeypointData
        from heatkp.inference.measuring import measure_objects, objects_of

        def measured(data: KeypointData) -> dict[str, Any]:
            found = measure_objects(
                predictor,
                objects_of(data, split),
                batch_size=how.batch_size,
                passes=None if how.passes == 1 else how.passes,
                flip_test=how.flip_test,
                nms_oks=self.nms_oks,
                progress=progress,
            )
            return {"objects": found.figures}

        return measured
