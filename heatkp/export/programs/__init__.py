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


USAGE = {
    "points": """Points on an image, with {what}.

    python predict.py IMAGE [X0 Y0 X1 Y1]

The numbers are the edges of the object's box in pixels, (0, 0) the centre of the first pixel;
without them the network sees the whole image. Prints a point a line: name, x, y, score.
""",
    "objects": """Objects in an image with their points, with {what}.

    python predict.py IMAGE

Prints of each object a line: its number, its score and the edges of its box in pixels, (0, 0) the
centre of the first pixel; then a point a line: name, x, y, score.
""",
}


def write_programs(folder: Path, about: dict[str, Any]) -> None:
    """`predict.py`, and for ONNX `predict.mjs`, into the folder."""
    if about["format"] not in OPENING:
        return
    kind = "points" if about["objects"] is None else "objects"
    what, importing, opening = OPENING[about["format"]]
    text = _part("predict.py.txt")
    for mark, part in (
        ("{usage}", USAGE[kind]), ("{predict}", _part(f"{kind}.py.txt")), ("{what}", what),
        ("{import}", importing), ("{opening}", opening),
    ):  # fmt: skip
        text = text.replace(mark, part)
    (folder / "predict.py").write_text(text, encoding="utf-8")
    if about["format"] == "onnx":
        script = _part("predict.js") + "\n" + _part(f"{kind}.js")
        (folder / "predict.mjs").write_text(script, encoding="utf-8")


def _part(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
