"""The tests of exports, in a process of their own.

By hand: HEATKP_EXPORT_TESTS=1 pytest -n 0 tests/export
"""

from __future__ import annotations

import os
import subprocess
import sys


def test_exports(root):
    """ONNX Runtime, OpenVINO, NNCF and torch's converters stay in memory, with their threads."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    measured = []
    if "--cov" in os.environ.get("PYTEST_ADDOPTS", ""):
        # A file of this name beside `.coverage` is joined with the others at the end.
        measured = ["--cov=heatkp", "--cov-report="]
        ours["COVERAGE_FILE"] = str(root / ".coverage.export")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", *measured, "tests/export"],
        cwd=root, env=ours | {"HEATKP_EXPORT_TESTS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
