"""Notes on labels that can be read and are probably not what was meant."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from heatkp.config import Data
from heatkp.data.checks import crowded_notes, label_findings, label_notes
from heatkp.data.checks.placeholders import without_placeholders
from heatkp.data.drawn import drawn_sample
from heatkp.data.loading import load_data
from heatkp.data.readers import read
from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError
from heatkp.skeletons import FACE68, Skeleton
from tests.conftest import heatkp, write_image

GOOD = drawn_sample(0, 0, FACE68, 64)


def notes(tmp_path, rows, header="image,a_x,a_y,b_x,b_y", **settings):
    for row in rows:
        write_image(tmp_path / row.split(",")[0])
    (tmp_path / "points.csv").write_text("\n".join([header, *rows]) + "\n")
    settings = {"validation": 0.5, "pairs": [], **settings}
    return load_data(Data(path=str(tmp_path), **settings)).notes


def test_nothing_to_say_of_good_labels(tmp_path):
    assert label_notes([GOOD], FACE68) == () and crowded_notes([GOOD, GOOD]) == ()
    assert notes(tmp_path, ["x.png,1,2,3,4", "y.png,5,6,7,8"]) == ()


FRACTIONS = ["x.png,0.1,0.2,0.3,0.4", "y.png,0.5,0.6,0.7,1"]


def test_fractions_instead_of_pixels(tmp_path):
    with pytest.raises(DataError, match="pixels are expected"):
        notes(tmp_path, FRACTIONS)


def test_samples_and_points_without_labels(tmp_path):
    rows = ["x.png,1,2,,", "y.png,3,4,NA,NA", "z.png,,,-,-", "v.png,5,6,,"]
    never, bare = notes(tmp_path, rows)
    assert bare.startswith("1 of 4 samples have no labelled point, such as z: ")
    assert never.startswith("1 points are labelled in none of the samples (b)")


def test_several_objects_in_a_picture(tmp_path):
    rows = ["x.png,1,2,3,4", "x.png,9,9,12,14", "y.png,1,2,3,4"]
    (note,) = notes(tmp_path, rows)
    assert note.startswith("1 of 2 images hold several samples") and "data.crop=box" in note
    boxed = notes(tmp_path, rows, crop="box")
    assert not any("several samples" in note for note in boxed)


def test_photos_that_are_stored_turned(tmp_path):
    photo = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=exif)
    turned = replace(GOOD, file=tmp_path / "turned.jpg")
    write_image(tmp_path / "plain.png")
    samples = [turned, replace(GOOD, file=tmp_path / "plain.png")]
    found = [f for f in label_findings(samples, FACE68) if "EXIF" in f.text]
    assert len(found) == 1 and not found[0].refused
    assert found[0].text.startswith("1 of 2 images have") and "turned.jpg" in found[0].text
    assert not any("EXIF" in f.text for f in label_findings(samples, FACE68, orient=True))


def test_info_says_them_too(tmp_path):
    with pytest.raises(DataError):
        notes(tmp_path, FRACTIONS)
    told = heatkp("data", "info", tmp_path, "--out", tmp_path / "c.png")
    assert told.exit_code == 0 and "pixels are expected" in " ".join(told.output.split())
    refused = heatkp("train", "--data", tmp_path, "--out", tmp_path / "run", "--epochs", 1)
    assert refused.exit_code == 2 and "pixels are expected" in " ".join(refused.output.split())
    assert not (tmp_path / "run").exists()


LAYOUT = Skeleton("three", ("a", "b", "c"))
INSIDE = [[5, 6], [20, 30], [40, 9]]


def sample(name, points=INSIDE, size=(64, 48), file=None, box=None, declared=None):
    points = np.array(points, np.float32)
    return Sample(
        id=name,
        image=partial(np.zeros, (size[1], size[0], 3), np.uint8),
        points=points,
        visibility=np.where(np.isfinite(points).all(1), 2, 0).astype(np.uint8),
        box=None if box is None else np.array(box, np.float32),
        file=file,
        declared_size=declared,
    )


def varied(count, **given):
    """Samples that differ, with nothing to be said of them."""
    return [sample(f"s{i}", np.add(INSIDE, i % 5), **given) for i in range(count)]


def found(samples, layout=LAYOUT, **options):
    return label_findings(samples, layout, **options)


def only(samples, **options):
    (one,) = found(samples, **options)
    return one


def test_nothing_to_say_of_varied_samples():
    assert found(varied(40)) == [] and found(varied(2)) == []


def test_images_of_another_size_than_declared(tmp_path):
    files = [write_image(tmp_path / f"{i}.png", 48, 32, seed=i) for i in range(4)]
    right = [sample(f"s{i}", [[i, 1]], file=f, declared=(48, 32)) for i, f in enumerate(files)]
    layout = Skeleton("one", ("a",))
    assert found(right, layout) == []
    wrong = [*right[:3], replace(right[3], declared_size=(96, 64))]
    one = only(wrong, layout=layout)
    assert one.refused and one.text.startswith("1 of 4 images") and "3.png" in one.text
    assert "96x64" in one.text and "48x32" in one.text
    exchanged = only([*right[:3], replace(right[3], declared_size=(32, 48))], layout=layout)
    assert exchanged.refused and "exchanged" in exchanged.text and "orient" not in exchanged.text


def test_labels_of_an_upright_view(tmp_path):
    image = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    upright = [sample("s", [[30, 50]], file=tmp_path / "turned.jpg", declared=(40, 60))]
    layout = Skeleton("one", ("a",))
    refused = [f for f in found(upright, layout) if f.refused]
    assert "data.orient=true" in refused[0].text
    assert found(upright, layout, orient=True) == []
    stored = [replace(upright[0], declared_size=(60, 40))]
    assert [f.refused for f in found(stored, layout)].count(True) == 1  # (30, 50) is outside
    back = [f for f in found(stored, layout, orient=True) if f.refused]
    assert len(back) == 1 and "data.orient=false" in back[0].text


def test_only_some_files_are_looked_at(tmp_path, monkeypatch):
    files = [write_image(tmp_path / f"{i}.png", 48, 32, seed=i) for i in range(9)]
    samples = [sample(f"s{i}", [[i, 1]], file=f, declared=(9, 9)) for i, f in enumerate(files)]
    texts = [found(samples, Skeleton("one", ("a",)), limit=n)[0].text for n in (3, None)]
    assert [text.split(" images")[0] for text in texts] == ["3 of 3", "9 of 9"]


def test_all_points_outside():
    away = np.add(INSIDE, 70)
    some = [*varied(9), sample("away", away)]
    one = only(some)
    assert (
        not one.refused and one.text.startswith("1 of 10 samples have all") and "away" in one.text
    )
    every = only([sample(f"s{i}", np.add(away, i)) for i in range(5)])
    assert every.refused and "all 5 samples" in every.text


def test_points_far_outside():
    one = only([*varied(9), sample("far", [[5, 6], [400, 30], [40, 9]])])
    assert (
        not one.refused and one.text.startswith("1 points of 1 of 10 samples") and "far" in one.text
    )
    near = sample("near", [[5, 6], [75, 30], [40, 9]])  # objects are cut off by edges
    assert found([*varied(9), near]) == []


def test_exchanged_axes():
    wide = [[2 + i, 5] for i in (0, 20, 50)]
    right = [sample(f"s{i}", np.add(wide, [0, i])) for i in range(20)]
    assert found(right) == []
    exchanged = [sample(f"s{i}", np.add(wide, [0, i])[:, ::-1]) for i in range(20)]
    one = only(exchanged)
    assert not one.refused and one.text.startswith("20 of 20 samples fit") and "s0" in one.text
    tall = sample("bad", [[5, 50], [6, 55], [7, 60]])
    single = only([*right, tall])
    assert single.text.startswith("1 of 21 samples fit") and "bad" in single.text


def test_percents():
    points = [[10, 20], [90, 80], [50, 95]]
    samples = [sample(f"s{i}", np.add(points, i), size=(640, 480)) for i in range(5)]
    one = only(samples)
    assert not one.refused and "percents" in one.text
    assert found([*samples, sample("s9", [[300, 200], *points[1:]], size=(640, 480))]) == []


def test_points_outside_their_own_box():
    box = [0, 0, 45, 35]
    bad = sample("bad", box=[50, 36, 60, 44])
    one = only([*varied(4, box=box), bad])
    assert not one.refused and one.text.startswith("1 of 5 samples have most") and "bad" in one.text
    flat = [sample(f"f{i}", np.add(INSIDE, i), box=[5, 5, 5, 5]) for i in range(3)]
    assert found(flat) == []


def test_points_at_one_place():
    same = [sample(f"s{i}", [[i, 2], [20 + i, 9], [20 + i, 9]]) for i in range(6)]
    one = only(same)
    assert not one.refused and "1 pairs" in one.text and "b and c (6 of 6)" in one.text
    assert found([*same[:2], *varied(4)]) == []
    nan = float("nan")
    bare = only([sample(f"s{i}", [[i, 2], [nan, nan], [nan, nan]]) for i in range(6)])
    assert "same place" not in bare.text


def test_copies_of_an_annotation(tmp_path):
    file = write_image(tmp_path / "a.png")
    other = write_image(tmp_path / "b.png", seed=1)
    samples = [sample("x", file=file), sample("y", file=file), sample("z", file=other)]
    one = only(samples)
    assert not one.refused and one.text.startswith("1 samples") and "y and x" in one.text
    assert found([samples[0], sample("y", np.add(INSIDE, 1), file=file), samples[2]]) == []


@pytest.mark.parametrize(
    "place", [(0, 0), (-1, -1), (-999, -999), (-100, -100), (1e9, 1e9), (1e9, 3), (-32768, -32768)]
)
def test_placeholders_are_not_labelled(place):
    given = [*varied(3), sample("p", [[5, 6], place, [40, 9]])]
    labels = without_placeholders(Labels(LAYOUT, list(given), ("first",)))
    assert labels.samples[3].visibility.tolist() == [2, 0, 2]
    assert np.isnan(labels.samples[3].points[1]).all()
    assert labels.samples[:3] == given[:3] and given[3].visibility.tolist() == [2, 2, 2]
    assert labels.notes[0] == "first"
    assert labels.notes[1].startswith("1 points of 1 samples") and "b of p" in labels.notes[1]


@given(st.tuples(*[st.floats(-90, 60_000, width=32)] * 2))
def test_other_places_are_points(place):
    x, y = place
    given = Labels(LAYOUT, [sample("p", [[5, 6], place, [40, 9]])])
    unchanged = without_placeholders(given) is given
    assert unchanged == (not (x == y and x in (0, -1)))


def test_placeholders_of_files_that_count_from_one(tmp_path):
    """(0, 0) is none of their pixels, and (1, 1) is the first."""
    for name, first in (("a", "0 0"), ("b", "1 1"), ("c", "-1 -1")):
        write_image(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.pts").write_text(f"{first}\n5 6\n")
    labels = read(tmp_path)
    assert [int(s.visibility[0]) for s in labels.samples] == [0, 2, 0]
    assert labels.notes[-1].startswith("2 points of 2 samples")


def test_data_of_placeholders_alone(tmp_path):
    with pytest.raises(DataError, match=r"holds no labelled object.*placeholder"):
        notes(tmp_path, ["x.png,0,0,-1,-1", "y.png,0,0,0,0"])
