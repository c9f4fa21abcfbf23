"""What all tests of exports share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heatkp.export.formats import onnx as exporting


@pytest.fixture(scope="session", autouse=True)
def converted_once() -> Iterator[None]:
    """Most of an export's time is torch's conversion to ONNX: each network is converted once."""
    convert, kept = exporting.to_onnx, {}

    def to_onnx(model):
        weights = b"".join(t.cpu().numpy().tobytes() for t in model.state_dict().values())
        decoder = getattr(getattr(model, "head", None), "decoder", None)
        calibration = getattr(model, "calibration", None)
        known = repr((model.settings, model.points, model.size, decoder, calibration)), weights
        if known not in kept:
            kept[known] = convert(model).SerializeToString()
        import onnx

        return onnx.load_from_string(kept[known])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "to_onnx", to_onnx)
        yield
