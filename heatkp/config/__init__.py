"""What a settings file may say, and reading it.

Unknown keys, wrong types and impossible combinations raise `SettingsError` with the place
(`model.stride`) and what is allowed there.
"""

from __future__ import annotations

from heatkp.config.augmentation import Augmentation
from heatkp.config.conditions import ignored
from heatkp.config.data import MEMORY, PARTS, Data, Intensity
from heatkp.config.finder import Finder
from heatkp.config.keywords import SHORT, with_keywords
from heatkp.config.model import GROUPED, Head, Model
from heatkp.config.reading import (
    assign,
    expand_path,
    load_settings,
    parse_options,
    parse_settings,
    put,
    read_yaml,
)
from heatkp.config.section import NotNegative, Positive, Section
from heatkp.config.settings import Settings
from heatkp.config.teacher import Teacher
from heatkp.config.training import Optimiser, Trainer
from heatkp.config.values import encoder_name, frame_ranges

__all__ = [
    "GROUPED",
    "MEMORY",
    "PARTS",
    "SHORT",
    "Augmentation",
    "Data",
    "Finder",
    "Head",
    "Intensity",
    "Model",
    "NotNegative",
    "Optimiser",
    "Positive",
    "Section",
    "Settings",
    "Teacher",
    "Trainer",
    "assign",
    "encoder_name",
    "expand_path",
    "frame_ranges",
    "ignored",
    "load_settings",
    "parse_options",
    "parse_settings",
    "put",
    "read_yaml",
    "with_keywords",
]
