"""Which points of a layout change places in a mirrored image: what names and positions tell."""

from heatkp.sides.names import Sides, sides_by_name

__all__ = ["Sides", "sides_by_name"]
