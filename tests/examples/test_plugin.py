"""The package in examples/plugin: installed and used from the command line, and as files."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from tests.conftest import TINY, write_image

PLACES = {
    "head.py": ("models/heads", "js"),
    "decoder.py": ("heatmaps/decoders", "median"),
    "reader.py": ("data/readers", "kp_text"),
    "writer.py": ("data/writers", "kp_text"),
}
"""Where each of the package's files would be in heatkp itself, and its name there."""


def run(script, *places, arguments=()):
    """A Python process that finds packages in these folders first."""
    path = os.pathsep.join([*map(str, places), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


COMMAND = "import sys; from heatkp.cli import main; main(sys.argv[1:])"


@pytest.fixture(scope="module")
def installed(tmp_path_factory, root):
    """A folder with the package as pip installs it."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed, which builds the package")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    shutil.copytree(root / "examples" / "plugin", source / "plugin")  # building leaves files there
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index",
         "--no-build-isolation", "--disable-pip-version-check", "--target", target,
         source / "plugin"],
        check=True, capture_output=True,
    )  # fmt: skip
    return target


@pytest.fixture
def labels(tmp_path):
    """A file of the package's format."""
    lines = ["nose tail"]
    for i in range(10):
        write_image(tmp_path / "data" / f"{i}.png", seed=i)
        lines.append(f"{i}.png {20 + i} 30 " + ("- -" if i == 3 else "41 12.5"))
    path = tmp_path / "data" / "mice.kp"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_trained_and_evaluated_from_the_command_line(installed, root, labels, tmp_path):
    out = tmp_path / "run"
    script = (
        "import json, sys; from heatkp.cli import main\n"
        "for line in json.loads(sys.argv[1]): main(line, standalone_mode=False)"
    )
    train = ["train", *TINY, "--epochs", "1", "--data", str(labels), "--head", "js",
             "--set", "head.mix=0.3", "--set", "head.decoder=median", "--out",
             str(out)]  # fmt: skip
    evaluate = ["eval", str(out), "--decoder", "expectation"]
    code, text = run(script, installed, root, arguments=[json.dumps([train, evaluate])])
    assert code == 0, text
    metrics = json.loads((out / "metrics.json").read_text())
    assert [row["name"] for row in metrics["points"]] == ["nose", "tail"]
    head = yaml.safe_load((out / "settings.yaml").read_text())["head"]
    assert (head["name"], head["mix"], head["decoder"]) == ("js", 0.3, "median")
    assert json.loads((out / "eval-val.json").read_text())["decoder"] == "expectation"


def test_labels_are_written_and_read_back(installed, root, labels, tmp_path):
    script = (
        "import json, sys; from heatkp.cli import main\n"
        "for line in json.loads(sys.argv[1]): main(line, standalone_mode=False)"
    )
    there = ["data", "convert", str(labels), "--to", "coco", "--out", str(tmp_path / "coco")]
    back = ["data", "convert", str(tmp_path / "coco"), "--to", "kp_text", "--out",
            str(tmp_path / "again")]  # fmt: skip
    code, text = run(script, installed, root, arguments=[json.dumps([there, back])])
    assert code == 0, text
    first, second = (
        [line.split() for line in path.read_text().splitlines()]
        for path in (labels, tmp_path / "again" / "labels.kp")
    )
    assert first[0] == second[0]
    for old, new in zip(first[1:], second[1:], strict=True):
        assert new[0].endswith(old[0])
        assert [c if c == "-" else float(c) for c in new[1:]] == [
            c if c == "-" else float(c) for c in old[1:]
        ]


def test_help_lists_it_and_imports_nothing_of_it(installed, root):
    script = (
        "import sys; from heatkp.cli import main\n"
        "for line in (['train', '--help'], ['data', 'convert', '--help']):\n"
        "    main(line, standalone_mode=False)\n"
        "assert not {'heatkp_example', 'torch', 'numpy'} & set(sys.modules)"
    )
    code, text = run(script, installed, root)
    assert code == 0 and " js" in text and "kp_text" in text, text


def test_a_broken_package_breaks_only_itself(installed, root, labels, tmp_path):
    broken = tmp_path / "packages" / "sad_plugin-1.0.dist-info"
    broken.mkdir(parents=True)
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: sad-plugin\nVersion: 1.0\n")
    groups = ("heads", "decoders", "readers")
    text = "\n".join(f"[heatkp.{group}]\nsad = nowhere.at.all\n" for group in groups)
    (broken / "entry_points.txt").write_text(text)
    places = (broken.parent, installed, root)
    for line in (["--help"], ["train", "--help"], ["data", "info", labels, "--json"]):
        code, text = run(COMMAND, *places, arguments=line)
        assert code == 0, text
    assert json.loads(text)["samples"] == 10
    code, text = run(COMMAND, *places, arguments=["train", *TINY, "--head", "sad"])
    assert code == 2 and "sad-plugin" in text and "Traceback" not in text


def test_each_is_one_file_of_heatkp_too(root, labels, tmp_path):
    """Put into their folders, they are known everywhere: nothing else has to be changed."""
    ignored = shutil.ignore_patterns("weights", "__pycache__")
    shutil.copytree(root / "heatkp", tmp_path / "copy" / "heatkp", ignore=ignored)
    for file, (folder, name) in PLACES.items():
        source = root / "examples" / "plugin" / "heatkp_example" / file
        shutil.copy(source, tmp_path / "copy" / "heatkp" / folder / f"{name}.py")
    script = (
        "import sys; from pathlib import Path; import heatkp\n"
        "from heatkp.config import parse_settings\n"
        "from heatkp.data.readers import read\n"
        "from heatkp.models import build_model\n"
        "assert Path(heatkp.__file__).is_relative_to(sys.argv[1])\n"
        "labels = Path(sys.argv[2])\n"
        "assert read(labels).samples[3].visibility.tolist() == [2, 0]\n"
        "settings = parse_settings({\n"
        "    'data': {'path': str(labels), 'format': 'kp_text'},\n"
        "    'model': {'encoder': 'tu-mobilenetv3_small_050'},\n"
        "    'head': {'name': 'js', 'mix': 0.3, 'decoder': 'median'},\n"
        "})\n"
        "head = build_model(settings, 2).head\n"
        "assert head.name == 'js' and head.options.mix == 0.3\n"
        "from heatkp.cli import main\n"
        "main(['train', '--help'], standalone_mode=False)"
    )
    code, text = run(script, tmp_path / "copy", arguments=[tmp_path / "copy", labels])
    assert code == 0 and " js" in text, text


@pytest.fixture
def modules(root, monkeypatch):
    """The package's modules, known under their names until the test ends."""
    monkeypatch.syspath_prepend(root / "examples" / "plugin")
    for name in [n for n in sys.modules if n.startswith("heatkp_example")]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module


def test_the_loss(modules):
    """0 where the softmax is the Gaussian; between; log 2 at most; no weight, no loss."""
    from heatkp.config import Head as HeadSettings
    from heatkp.heatmaps import render_gaussians

    head = modules("heatkp_example.head").JensenShannonHead(HeadSettings(name="js"), 2)
    points = torch.tensor([[[5.0, 4.0], [np.nan, np.nan]]])
    weights = torch.tensor([[1.0, 0.0]])
    exact = render_gaussians(points, (12, 10), 1.0, normalised=True).clamp(min=1e-30).log()
    assert head.loss(exact, points, weights) == pytest.approx(0.0, abs=1e-5)
    far = torch.full((1, 2, 12, 10), -80.0)
    far[:, :, 11, 9] = 80.0
    far.requires_grad_()
    losses = head.loss(far, points, weights)
    assert losses[0].tolist() == pytest.approx([np.log(2), 0.0], abs=1e-3)
    losses.sum().backward()
    assert far.grad.isfinite().all() and not far.grad[:, 1].any()


def test_the_decoder(modules):
    decode = modules("heatkp_example.decoder").decode_median
    grid = torch.arange(24.0)
    maps = -((grid - 7.3) ** 2)[None, :] / 8 - ((grid - 11.8) ** 2)[:, None] / 8
    found = decode(maps[None, None])
    assert found.points[0, 0].tolist() == pytest.approx([7.3, 11.8], abs=0.02)
    assert 0.5 < found.scores.item() <= 1 and found.covariance is None
    assert decode(torch.full((1, 1, 4, 4), np.nan)).points.isnan().all()


@pytest.mark.parametrize(
    "text", ["", "nose tail\na.png 1 2 3", "nose\na.png x y", "nose\ngone.png 1 2"]
)
def test_files_that_are_not_right(modules, tmp_path, text):
    from heatkp.data.images import STORED
    from heatkp.errors import DataError

    (tmp_path / "a.kp").write_text(text)
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.kp"):
        modules("heatkp_example.reader").read_kp_text(tmp_path / "a.kp", True, STORED)
