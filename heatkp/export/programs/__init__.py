"""Small programs beside an exported network that use it and need nothing of heatkp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
OPENING = {
    "onnx": (
        "ONNX Runtime (pip install onnxruntime numpy pillow)",
        "import onnxruntime",
        'session = onnxruntime.InferenceSession(str(here / about["file"]))\n\n\n'
        "def network(images):\n"
        '    return session.run(None, {"images": images})',
    ),
    "openvino": (
        "OpenVINO (pip install openvino numpy pillow)",
        "import openvino",
        'precision = "bf16" if about["precision"] in ("bf16", "int8") else "f32"\n'
        "compiled = openvino.compile_model(\n"
        '    str(here / about["file"]), "CPU", {"INFERENCE_PRECISION_HINT": precision}\n'
        ")\n\n\n"
        "def network(images):\n"
        "    return list(compiled(images).values())",
    ),
    "torch": (
        "torch (pip install torch numpy pillow)",
        "import torch",
        'program = torch.export.load(str(here / about["file"])).module()\n\n\n'
        "def network(images):\n"
        "    with torch.inference_mode():\n"
        "        return [part.numpy() for part in program(torch.from_numpy(images))]",
    ),
}
"""Of each format: what runs it, the import, and how `network` is made; others get no program."""


def write_programs(folder: Path, about: dict[str, Any]) -> None:
    """`predict.py`, and for ONNX `predict.mjs`, into the folder."""
    if about["format"] not in OPENING:
        return
    what, importing, opening = OPENING[about["format"]]
    text = (_HERE / "predict.py.txt").read_text(encoding="utf-8")
    for mark, part in (("{what}", what), ("{import}", importing), ("{opening}", opening)):
        text = text.replace(mark, part)
    (folder / "predict.py").write_text(text, encoding="utf-8")
    if about["format"] == "onnx":
        script = (_HERE / "predict.js").read_text(encoding="utf-8")
        (folder / "predict.mjs").write_text(script, encoding="utf-8")
