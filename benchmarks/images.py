"""The images of README.md, of drawn faces.

    heatkp train --head softargmax --out runs/drawn
    python benchmarks/images.py runs/drawn

Writes benchmarks/images/*; the report's needs chromium and chromedriver and is else left out.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

OUT = Path(__file__).parent / "images"
MOST = 1_000_000
"""Bytes of all images together."""


def heatkp(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "heatkp", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def small(source: Path, name: str, width: int) -> None:
    """A JPEG copy `width` pixels wide."""
    picture = Image.open(source).convert("RGB")
    size = width, round(picture.height * width / picture.width)
    picture.resize(size, Image.Resampling.LANCZOS).save(OUT / name, quality=85, optimize=True)


def screenshot(page: Path, target: Path) -> bool:
    """The report's panel as a browser shows it; False where there is none."""
    driver, browser = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or browser is None:
        return False
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1000,1500"):
        options.add_argument(flag)
    window = webdriver.Chrome(options, Service(driver))
    try:
        window.get(page.resolve().as_uri())
        panel = window.find_element(By.ID, "panel")
        wait = WebDriverWait(window, 60)
        wait.until(lambda _: panel.get_attribute("aria-busy") == "false")
        window.execute_script("document.querySelectorAll('.card')[6].click()")  # a usual face
        wait.until(lambda _: panel.get_attribute("aria-busy") == "false")
        panel.screenshot(str(target))
    finally:
        window.quit()
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        heatkp("viz", "augmentation", run, "--samples", 2, "--draws", 5, "--out", work / "a.png")
        small(work / "a.png", "augmentation.jpg", 900)
        heatkp("viz-heatmaps", run, "--points", "30,48", "--samples", 1, "--out", work / "maps")
        small(next((work / "maps").glob("best-*[0-9].png")), "maps.jpg", 640)
        heatkp("report", run, "--samples", 12, "--out", work / "report.html")
        if screenshot(work / "report.html", work / "report.png"):
            small(work / "report.png", "report.jpg", 800)
    size = sum(path.stat().st_size for path in OUT.iterdir())
    for path in sorted(OUT.iterdir()):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    if size > MOST:
        sys.exit(f"{size / 1e6:.1f} MB together; README's images may have {MOST / 1e6:g}")


if __name__ == "__main__":
    main()
