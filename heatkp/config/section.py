"""What all sections of a settings file share."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Place = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """A part of the settings: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_words_for_numbers(cls, values: Any) -> Any:
        """YAML reads yes and no as true and false, which would count as 1 and 0."""
        for name, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(name)
            kinds = () if field is None else (field.annotation, *get_args(field.annotation))
            if isinstance(value, bool) and bool not in kinds and {int, float} & set(kinds):
                raise ValueError(f"{name}: a number is expected, not yes, no, true or false")
        return values
