"""What machine figures are from."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

_BF16 = ("avx512_bf16", "amx_bf16")
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")


def emulates_bf16() -> bool:
    """Whether the processor is known to have no instructions for bfloat16: computing in it then
    takes many times as long as in float32."""
    known = machine()["abilities"]
    return bool(known) and not any(flag in known for flag in _BF16)


def machine() -> dict[str, Any]:
    """Processor, what of its abilities counts for networks, cores and system."""
    name, flags = platform.processor() or platform.machine(), ""
    with suppress(OSError):  # Linux alone has it
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = value
    abilities = [flag for flag in _FLAGS if flag in flags.split()]
    return {
        "processor": name,
        "abilities": abilities,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
