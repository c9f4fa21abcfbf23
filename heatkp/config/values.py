"""Values of settings that pydantic has no type for."""

from __future__ import annotations

from typing import Any


def number_as_text(value: Any) -> Any:
    """YAML reads 32 as a number where it is one of several words."""
    return str(value) if type(value) is int else value


def point_pairs(value: Any) -> Any:
    """One error for what is no list of pairs, where pydantic has one for each type of a point."""
    lists = (list, tuple)

    def is_pair(item: Any) -> bool:
        good = isinstance(item, lists) and len(item) == 2
        return good and all((type(p) is int and p >= 0) or (isinstance(p, str) and p) for p in item)

    if value is None or (isinstance(value, lists) and all(map(is_pair, value))):
        return value
    wrong = next((v for v in value if not is_pair(v)), value) if isinstance(value, lists) else value
    raise ValueError(
        f"{wrong!r} is no pair of points; name left and right ones by name or number, as "
        "in [[left_eye, right_eye], [3, 4]]"
    )


def as_intensity(value: Any) -> Any:
    bits = type(value) is int and 8 <= value <= 16
    if not bits and value not in ("range", "percentile"):
        raise ValueError(
            "choose range, percentile, or the bits of the values, a whole number from 8 to 16"
        )
    return value


def as_encoder(value: Any) -> Any:
    """A name, or a module: anything that has a `forward`, for torch is not imported here."""
    if not isinstance(value, str) and not callable(getattr(value, "forward", None)):
        raise ValueError("an encoder is a name, package.module:Class, or a torch module")
    return value


def encoder_name(value: Any) -> str:
    """What stands for an encoder in files."""
    kind = type(value)
    return value if isinstance(value, str) else f"{kind.__module__}:{kind.__qualname__}"


def as_names(value: Any) -> Any:
    """One name, several with commas between them, or a list, as a list of distinct names; `none`
    is an empty one."""
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(v, str) for v in found):
        raise ValueError("give a name or a list of them, as in [tensorboard, csv]")
    names = list(dict.fromkeys(v.strip() for v in found))
    return [] if names == ["none"] else names


def as_models(value: Any) -> Any:
    """One model or a list of them, as a list of distinct ones."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(v, str) and v for v in found):
        raise ValueError("name a run, a file of weights or a packaged model, or a list of them")
    if len(set(found)) < len(found):
        raise ValueError("each model is named once")
    return list(found)


def as_parts(value: Any) -> Any:
    """One path or a list of them, as a list."""
    found = [value] if isinstance(value, str) else value
    if found is None:
        return None
    if not isinstance(found, list | tuple) or not all(isinstance(v, str) and v for v in found):
        raise ValueError("give the path of a file or folder, or a list of them")
    if not found:
        raise ValueError("the list of paths is empty: name a file or folder, or leave it out")
    return list(found)


def frame_ranges(text: str) -> list[range]:
    """Numbers of frames: `600-799`, `7`, or several of these with commas.

    Raises `ValueError` for other texts.

    >>> frame_ranges("0-99, 600")
    [range(0, 100), range(600, 601)]
    """
    found = []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            raise ValueError(
                f"{part.strip()!r} are no frames: write the first and the last, counted from 0, "
                "as in 600-799"
            )
        found.append(range(int(first), int(last) + 1))
    return found
