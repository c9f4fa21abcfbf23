"""From maps (B, K, H, W) to points with scores: pure functions, one per decoder."""

from heatkp.heatmaps.decoders.common import KINDS, Decoded, DecoderSigma, Kind
from heatkp.heatmaps.decoders.expectations import decode_expectation, decode_local_expectation
from heatkp.heatmaps.decoders.matched import decode_matched
from heatkp.heatmaps.decoders.peaks import (
    decode_argmax,
    decode_dark,
    decode_quadratic,
    decode_quarter,
)

__all__ = [
    "KINDS",
    "Decoded",
    "DecoderSigma",
    "Kind",
    "decode_argmax",
    "decode_dark",
    "decode_expectation",
    "decode_local_expectation",
    "decode_matched",
    "decode_quadratic",
    "decode_quarter",
]
