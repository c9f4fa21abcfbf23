"""All sections together."""

from __future__ import annotations

import yaml
from pydantic import Field, model_validator

from heatkp.config.augmentation import Augmentation
from heatkp.config.data import Data
from heatkp.config.finder import Finder
from heatkp.config.model import Head, Model
from heatkp.config.section import Section
from heatkp.config.teacher import Teacher
from heatkp.config.training import Optimiser, Trainer


class Settings(Section):
    """A whole run."""

    data: Data = Field(default_factory=Data)
    augmentation: Augmentation = Field(default_factory=Augmentation)
    model: Model = Field(default_factory=Model)
    head: Head = Field(default_factory=Head)
    optimiser: Optimiser = Field(default_factory=Optimiser)
    trainer: Trainer = Field(default_factory=Trainer)
    finder: Finder = Field(default_factory=Finder)
    teacher: Teacher = Field(default_factory=Teacher)

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.trainer.task == "finder+points" and self.data.crop != "box":
            if "crop" in self.data.model_fields_set:
                raise ValueError(
                    "trainer.task: finder+points looks at the points of each object that was "
                    "found, which data.crop: image does not: set data.crop: box, or leave it out"
                )
            self.data.crop = "box"
        self._check_grouped()
        if self.teacher.models and (self.head.grouped or self.trainer.task == "finder"):
            raise ValueError(
                "teacher.models: teachers give the points of single objects, which head grouped "
                "and trainer.task: finder do not train on: leave them out, or choose another head"
            )
        if self.augmentation.box_jitter and self.data.crop != "box":
            raise ValueError(
                "augmentation.box_jitter moves the edges of boxes, but data.crop: "
                f"{self.data.crop} does not look at one: set data.crop: box, or leave it out"
            )
        if self.trainer.early_stopping and not self.data.validates:
            key = "val_count" if self.data.drawn else "validation"
            raise ValueError(
                f"trainer.early_stopping watches the validation error, and data.{key}: 0 leaves "
                "none: leave it out, or keep samples for validation"
            )
        return self

    def _check_grouped(self) -> None:
        """Head `grouped` sees whole images with all of their objects, which no other does."""
        task, crop = self.trainer.task, self.data.crop
        if self.head.grouped and task == "finder+points":
            raise ValueError(
                "trainer.task: head grouped finds its objects itself: leave out finder+points, or "
                "choose another head"
            )
        if self.head.grouped and task == "points" and crop != "objects":
            if "crop" in self.data.model_fields_set:
                raise ValueError(
                    f"data.crop: head grouped sees whole images with all of their objects, not "
                    f"{crop}: leave it out"
                )
            self.data.crop = "objects"

    def to_yaml(self) -> str:
        """The settings in full, in the form that `load_settings` reads."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False)
