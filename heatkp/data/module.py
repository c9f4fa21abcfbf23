"""The data sets of a training on points."""

from __future__ import annotations

from collections.abc import Callable

from heatkp.config import Augmentation, Settings
from heatkp.data.crops import default_folder
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loaders import TrainingData, cache_folder
from heatkp.data.mirroring import mirroring_note
from heatkp.data.samples import KeypointData, Sample
from heatkp.data.soft_labels import SoftLabels
from heatkp.data.transforms import Framing
from heatkp.errors import DataError, SettingsError


class KeypointDataModule(TrainingData[KeypointDataset]):
    """Loaders of a run's training and validation samples, with the samples that only `soft` labels
    know among the former; `rank` and `world` as in `TrainingData`."""

    def __init__(
        self,
        settings: Settings,
        data: KeypointData,
        rank: int = 0,
        world: int = 1,
        soft: SoftLabels | None = None,
    ) -> None:
        super().__init__(settings, rank, world)
        self.data, self.soft = data, soft
        self.notes += data.notes
        if settings.augmentation.flip and (note := mirroring_note(data.skeleton)):
            self.notes.append(note)
        homeless = settings.data.cache == "auto" and default_folder() is None
        if homeless and any(sample.file is not None for sample in data.train):
            self.notes.append(
                "no cache of images: the user has no home folder; name one with data.cache or "
                "$HEATKP_CACHE"
            )
        unlabelled = [] if soft is None else soft.unlabelled
        self.train_set = self._training([*data.train, *unlabelled])
        self.val_set = self._dataset(data.val, None)

    def _training(self, samples: list[Sample]) -> KeypointDataset:
        return self._dataset(samples, self.settings.augmentation, self.soft)

    def _dataset(
        self,
        samples: list[Sample],
        augmentation: Augmentation | None,
        soft: SoftLabels | None = None,
    ) -> KeypointDataset:
        s = self.settings
        return KeypointDataset(
            samples,
            self.data.skeleton,
            Framing.of(s.data),
            grey=s.data.grey,
            augmentation=augmentation,
            seed=s.trainer.seed,
            cache=cache_folder(s.data),
            cache_limit=s.data.cache_mb * 2**20,
            soft=soft,
        )

    def shown(self) -> KeypointDataset:
        """The validation samples, or the training samples without augmentation where there are
        none: what images of a training show."""
        return self.val_set if len(self.val_set) else self._dataset(self.data.train, None)

    def train_images(self) -> list[Sample]:
        return self.train_set.samples

    def preload(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """As `TrainingData.preload`, and count which points the inputs can hold: `notes` says so
        afterwards. Raises `DataError`, too, where `data.skip_outside` leaves nothing."""
        super().preload(progress)
        data = self.settings.data
        if data.crop == "box" or data.skip_outside:
            self._count_outside()

    def _count_outside(self) -> None:
        whole, outside, labelled = [], 0, 0
        for index, sample in enumerate(self.train_set.samples):
            known = sample.visibility > 0
            lost = int((known & ~self.train_set.inside(index)).sum())
            outside, labelled = outside + lost, labelled + int(known.sum())
            if not lost:
                whole.append(sample)
        if not outside:
            return
        samples = len(self.train_set)
        text = (
            f"{outside} of {labelled} labelled training points, in {samples - len(whole)} of "
            f"{samples} samples, lie outside the network's region"
        )
        if not self.settings.data.skip_outside:
            self.notes.append(f"{text}: map losses leave them out")
            return
        if not whole:
            raise DataError(f"{text}, and data.skip_outside left nothing: enlarge data.box_scale")
        self.notes.append(f"{text}: data.skip_outside leaves these samples out")
        self.train_set = self._training(whole)
        self.train_set.crops.prepare()

    def require_shares(self) -> None:
        """Raises `SettingsError` where several processes cannot share the samples."""
        size = self.settings.trainer.batch_size
        if self._world == 1:
            return
        if len(self.train_set) < size:
            raise SettingsError(
                f"trainer.batch_size: {size} samples a step, but there are {len(self.train_set)} "
                "for training; several devices need a full batch: take a smaller one"
            )
        if 0 < len(self.val_set) < self._world:
            raise SettingsError(
                f"trainer.devices: {self._world} devices have only {len(self.val_set)} samples to "
                "validate on, which leaves some without one: take fewer devices"
            )
