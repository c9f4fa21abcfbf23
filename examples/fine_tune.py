"""Fine-tune the packaged face model for points of your own: here the eyes' outer corners.

heatkp data synth --n 40 faces
python examples/fine_tune.py faces --epochs 3
"""

from __future__ import annotations

import argparse

import heatkp


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="what `heatkp train --data` takes")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", default="runs/corners")
    options = parser.parse_args()
    run = heatkp.train(
        options.data,
        "data.points=[36, 45]",
        config="configs/from_face68.yaml",  # its network, without the last layer
        epochs=options.epochs,
        out=options.out,
    )
    print(run)
    print("points:", ", ".join(run.model.skeleton.point_names))


if __name__ == "__main__":
    main()
