"""From maps (B, K, H, W) to points with scores: pure functions, one decoder a file.

To add one, put a file here that decorates its function with `decoder`; other packages name
theirs in the entry points `heatkp.decoders`.
"""

from heatkp.heatmaps.contents import KINDS, Kind
from heatkp.heatmaps.decoders._common import Decoded, DecoderInfo, DecoderSigma, decoder
from heatkp.heatmaps.decoders.argmax import decode_argmax
from heatkp.heatmaps.decoders.dark import decode_dark
from heatkp.heatmaps.decoders.expectation import decode_expectation
from heatkp.heatmaps.decoders.local_expectation import decode_local_expectation
from heatkp.heatmaps.decoders.matched import decode_matched
from heatkp.heatmaps.decoders.quadratic import decode_quadratic
from heatkp.heatmaps.decoders.quarter import decode_quarter

__all__ = [
    "KINDS",
    "Decoded",
    "DecoderInfo",
    "DecoderSigma",
    "Kind",
    "decode_argmax",
    "decode_dark",
    "decode_expectation",
    "decode_local_expectation",
    "decode_matched",
    "decode_quadratic",
    "decode_quarter",
    "decoder",
]
