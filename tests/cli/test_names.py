"""File names of all kinds through the commands: bytes that are not UTF-8, line breaks, quotes,
leading dashes, marks of direction; and consoles whose encoding lacks letters."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from heatkp.data.readers import read
from heatkp.text import is_text, text_to_name
from tests.conftest import TINY, heatkp, write_image

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names are bytes only on POSIX systems")

NAMES = [
    b"caf\xe9.png", b"caf\\xe9.png", "café.png".encode(), "cafe\u0301.png".encode(), b"a\nb.png",
    b"a\rb.png", b"c,\"d'.png", b"-dash.png", b"--out.png", "😀.png".encode(),
    "\u202egnp.png".encode(), "\u200fשלום.png".encode(), b"[red]x[bold].png", b":smile:.png",
    b"e\x1b[31m.png", b"tail\\.png", b"=sum|x.png", b" x .png", b"%s{0}.png",
]  # fmt: skip
"""Some of them look alike as text."""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder that is itself not UTF-8, with images of all names; no two alike."""
    place = tmp_path_factory.mktemp("names")
    for seed, name in enumerate(NAMES):
        plain = write_image(place / "plain" / "new.png", seed=seed)
        plain.rename(plain.with_name(os.fsdecode(name)))
    return (place / "plain").rename(place / os.fsdecode(b"d\xe9,\n"))


@pytest.fixture(scope="module")
def predicted(images, tiny_run, tmp_path_factory):
    """Where `heatkp predict` wrote every format, in a folder that is not UTF-8 either."""
    out = tmp_path_factory.mktemp("out") / os.fsdecode(b"o\xff")
    formats = [f"--format={name}" for name in ("json", "csv", "coco", "pts")]
    done = heatkp("predict", images, "--model", tiny_run, "--out", out, *formats)
    assert done.exit_code == 0, done.output
    assert f"{len(NAMES)} images" in done.output
    return out


def files_of(labels):
    return sorted(os.path.realpath(s.file) for s in labels.samples)


def stored(images):
    return sorted(os.path.realpath(images / os.fsdecode(name)) for name in NAMES)


def test_tables_name_each_file_and_no_other(images, predicted):
    for table in ("points.csv", "coco.json"):
        labels = read(predicted / table)
        assert files_of(labels) == stored(images), table
        assert len({s.id for s in labels.samples}) == len(NAMES)
        assert all(is_text(s.id) for s in labels.samples)
    found = json.loads((predicted / "points.json").read_text(encoding="utf-8"))["images"]
    assert sorted(text_to_name(p["file"]) for p in found) == stored(images)
    assert sorted(os.fsencode(text_to_name(p["image"])) for p in found) == sorted(NAMES)
    with (predicted / "objects.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    named = [os.path.realpath(predicted / text_to_name(row["image"])) for row in rows]
    assert sorted(named) == stored(images)


def test_points_stay_with_their_image(predicted):
    """Three tables agree, file by file."""
    by_table = [
        {os.path.realpath(s.file): s.points for s in read(predicted / table).samples}
        for table in ("points.csv", "coco.json")
    ]
    entries = json.loads((predicted / "points.json").read_text(encoding="utf-8"))["images"]
    for entry in entries:
        points = [(p["x"], p["y"]) for p in entry["objects"][0]["points"]]
        for table in by_table:
            there = table[os.path.realpath(text_to_name(entry["file"]))]
            assert np.allclose(there, points, atol=2e-3)


def test_a_file_and_a_drawn_copy_for_each(predicted):
    """But for case-insensitive systems' sake and accents, stems are all different here."""
    for folder, suffix in (("pts", b".pts"), ("images", b".png")):
        made = {os.fsencode(path.name) for path in (predicted / folder).iterdir()}
        assert made == {name.removesuffix(b".png") + suffix for name in NAMES}


def test_standard_output(images, tiny_run):
    for name in ("json", "csv", "coco"):
        done = heatkp("predict", images, "--model", tiny_run, "--out", "-", "--format", name)
        assert done.exit_code == 0, done.output
        done.stdout_bytes.decode("utf-8")


def test_names_that_begin_with_a_dash(images, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(images)
    out = tmp_path / "out"
    done = heatkp("predict", "--model", tiny_run, "--out", out, "--", "-dash.png", "--out.png")
    assert done.exit_code == 0, done.output
    found = json.loads((out / "points.json").read_text(encoding="utf-8"))["images"]
    assert {p["image"] for p in found} == {"-dash.png", "--out.png"}


def test_boxes_of_such_names(images, predicted, tiny_run, tmp_path):
    from heatkp.inference.box_files import BoxFile
    from heatkp.inference.sources import find_sources, read_images

    boxes = json.loads((predicted / "coco.json").read_text(encoding="utf-8"))
    for i, annotation in enumerate(boxes["annotations"]):
        annotation["bbox"] = [i, 0, 20, 20]
    (predicted / "boxes.json").write_text(json.dumps(boxes))
    sources = find_sources([str(images)]).sources
    file = BoxFile(predicted / "boxes.json", [source.path for source in sources])
    found = [file.find(input_image)[0, 0] + 0.5 for input_image in read_images(sources)]
    assert found == list(range(len(NAMES)))


def test_what_is_wrong_with_such_a_file(images, tiny_run, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / os.fsdecode(b"\xe9\n\x1b[31m.png")).write_bytes(b"no image")
    out = tmp_path / "out"
    done = heatkp("predict", folder, "--model", tiny_run, "--out", out)
    assert done.exit_code == 1 and r"\xe9\n\x1b[31m.png" in done.output
    (failure,) = json.loads((out / "points.json").read_text(encoding="utf-8"))["errors"]
    assert text_to_name(failure["image"]) == os.fsdecode(b"\xe9\n\x1b[31m.png")


@pytest.fixture(scope="module")
def trained(predicted, tmp_path_factory):
    """A run of one step on these images, in a folder that is not UTF-8."""
    run = tmp_path_factory.mktemp("runs") / os.fsdecode(b"r\xe9 [red]")
    done = heatkp("train", *TINY, "--epochs", 1, "--batch-size", 16, "--data",
                  predicted / "points.csv", "--set", "data.pairs=[]", "--set",
                  "data.validation=0.2", "--out", run)  # fmt: skip
    assert done.exit_code == 0, done.output
    return run


def test_info(predicted, tmp_path):
    for table in ("points.csv", "coco.json"):
        sheet = tmp_path / f"{table}.png"
        done = heatkp("data", "info", predicted / table, "--out", sheet)
        assert done.exit_code == 0 and sheet.is_file(), done.output
        assert "missing files" not in done.output and "unreadable" not in done.output
        told = heatkp("data", "info", predicted / table, "--json")
        found = json.loads(told.stdout_bytes.decode("utf-8"))
        assert found["images"] == len(NAMES) and found["missing"] == []


def test_eval_and_report(trained, predicted):
    for arguments in ([], ["--data", predicted / "coco.json", "--split", "all"]):
        done = heatkp("eval", trained, *arguments)
        assert done.exit_code == 0, done.output
    metrics = json.loads((trained / "eval-all.json").read_text(encoding="utf-8"))
    assert metrics["images"] == len(NAMES)
    done = heatkp("report", trained, "--samples", 3)
    assert done.exit_code == 0, done.output
    page = (trained / "report.html").read_text(encoding="utf-8")
    assert "<h1" in page and "\x1b" not in page


def test_predict_with_such_a_run(trained, images, tmp_path):
    done = heatkp("predict", images, "--model", trained, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output


COMMANDS = """
import sys
from heatkp.cli import main
table, sheet, run, *options = sys.argv[1:]
for arguments in (
    ["data", "info", table, "--out", sheet],
    ["train", *options, "--data", table, "--out", run],
    ["eval", run],
):
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
"""


def test_consoles_that_lack_letters(images, tmp_path, encoding="ascii"):
    """Names, points and folders that no code page holds, from one process."""
    table = tmp_path / "čaf😀.csv"
    files = [os.path.relpath(images / os.fsdecode(name), tmp_path) for name in NAMES[2:]]
    files = [Path(name).as_posix() for name in files if "\r" not in name]
    points = ["鼻_x", "鼻_y", "ухо😀_x", "ухо😀_y"]
    with table.open("w", encoding="utf-8", newline="") as file:
        from heatkp.text import name_to_text

        rows = csv.writer(file)
        rows.writerow(["image", *points])
        rows.writerows([name_to_text(name), 20 + i, 20, 30, 25 + i] for i, name in enumerate(files))
    options = [*TINY, "--epochs", "1", "--set", "data.pairs=[]", "--set", "data.validation=0.2"]
    run = tmp_path / "бег😀"
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, table, tmp_path / "シート.png", run, *options],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": "200"},
        capture_output=True,
        check=False,
    )
    said = done.stdout.decode(encoding) + done.stderr.decode(encoding)
    assert done.returncode == 0, said
    assert "Traceback" not in said and r"\u9f3b" in said
    assert (run / "eval-val.json").is_file() and (tmp_path / "シート.png").is_file()
