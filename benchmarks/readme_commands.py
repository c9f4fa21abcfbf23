"""The README's two commands, as a newcomer runs them: how long each takes.

    python benchmarks/readme_commands.py [--only first|second] [--keep FOLDER]

Each runs in a new virtual environment, on a new clone of what this checkout has committed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def command(which: str) -> str:
    """The shell line below `<!-- first command -->` or `<!-- second command -->`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {which} command -->\n```bash\n(.*?)\n```", text, re.DOTALL)
    if found is None:
        raise SystemExit(f"README.md has no {which} command")
    return found[1]


def run(which: str, folder: Path) -> float:
    """Seconds that a command took, in a folder of its own."""
    clone, environment = folder / which / "heatkp", folder / which / "environment"
    for earlier in (clone, environment):
        shutil.rmtree(earlier, ignore_errors=True)
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(environment)}
    variables.pop("PYTHONPATH", None)
    start = time.perf_counter()
    subprocess.run(["bash", "-euo", "pipefail", "-c", command(which)], cwd=clone, check=True,
                   env=variables)  # fmt: skip
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["first", "second"])
    parser.add_argument("--keep", type=Path, help="Folder to work in and leave behind.")
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for which in [arguments.only] if arguments.only else ["first", "second"]:
            seconds = run(which, folder)
            print(f"{which} command: {command(which)}\n{seconds:.0f} s", flush=True)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
