"""A trained run as one small file: half-precision weights, settings without this machine's paths.

    python benchmarks/release.py runs/part3/full heatkp/weights/face68.safetensors

Prints the validation error of the run and of the file that was written, on the run's own split.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from heatkp import runs
from heatkp.config import Data
from heatkp.data.boxes import BoxStyle
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import load_data
from heatkp.data.transforms import Framing
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.evaluation.metrics import summarise


def portable(loaded: runs.Loaded, data_path: str) -> dict[str, Any]:
    """The description with paths that mean something elsewhere."""
    settings = loaded.settings.model_copy(deep=True)
    settings.data.path = data_path
    settings.model.encoder_weights = "imagenet"
    settings.model.init = settings.model.transfer = None
    settings.data.cache = Data().cache
    style = loaded.box_style or BoxStyle.of(load_data(loaded.settings.data).train)
    settings.teacher = type(settings.teacher)()
    known: dict[str, Any] = {"validation": loaded.validation, "training": loaded.training}
    calibration = loaded.model.calibration
    if calibration is not None:
        known["calibration"] = calibration.as_dict()
    return {**runs.describe(settings, loaded.skeleton, style), **known}


def measure(loaded: runs.Loaded, data: Data) -> dict[str, Any]:
    samples = load_data(data, chosen=False).val
    dataset = KeypointDataset(samples, loaded.skeleton, Framing.of(data), grey=data.grey)
    return summarise(predict_dataset(loaded.model, dataset), loaded.skeleton)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--data", default="${HEATKP_DATA}/ibug/labels_ibug_300W_train.xml",
        help="Where the file says that its data was.",
    )  # fmt: skip
    given = parser.parse_args()
    loaded = runs.load_run(given.run)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    runs.save_weights(given.out, loaded.model, portable(loaded, given.data), half=True)
    for path in (given.run, given.out):
        found = measure(runs.load_run(path), loaded.settings.data)
        nme = {k: f"{v['nme']:.4%}" for k, v in found["normalised"].items()}
        print(f"{path}: MAE {found['mae_photo']:.4f} px, NME {nme}")
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
