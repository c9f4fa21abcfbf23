"""What becomes training and validation samples, and what does not."""

from __future__ import annotations

import pytest

from heatkp.config import Data
from heatkp.data.loading import load_data
from heatkp.errors import DataError
from tests.conftest import write_image


def table(folder, rows):
    for i, _ in enumerate(rows):
        write_image(folder / f"{i}.png", seed=i)
    lines = ["image,a_x,a_y,b_x,b_y", *(f"{i}.png,{row}" for i, row in enumerate(rows))]
    path = folder / "points.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


ROWS = ["1,2,3,4", "5,6,7,8", ",,,", ",,9,9"] * 5


def test_samples_without_a_labelled_point_are_not_trained_on(tmp_path):
    path = table(tmp_path, ROWS)
    for settings in ({}, {"train_limit": 100}, {"points": [0, 1]}):
        data = load_data(Data(path=path, pairs=[], **settings))
        assert all((s.visibility > 0).any() for s in data.train)
        bare = sum(not (s.visibility > 0).any() for s in data.val)
        assert len(data.train) == 16 - (5 - bare)
        note = data.notes[-1]
        assert note.startswith("5 of 20 samples have no labelled point, such as ")
        assert f"{5 - bare} are left out of training, {bare} count nowhere" in note


def test_nor_those_without_one_of_the_chosen_points(tmp_path):
    path = table(tmp_path, ROWS)
    everything = load_data(Data(path=path, pairs=[]))
    data = load_data(Data(path=path, pairs=[], points=[0]))
    assert all((s.visibility > 0).any() for s in data.train)
    assert len(data.train) < len(everything.train)
    assert [s.id for s in data.val] == [s.id for s in everything.val]
    assert data.notes[-1].startswith("10 of 20 samples")
    limited = load_data(Data(path=path, pairs=[], points=[0], train_limit=3))
    assert len(limited.train) == 3


def test_data_without_any_label(tmp_path):
    path = table(tmp_path, [",,,"] * 6)
    with pytest.raises(DataError, match="holds no labelled object"):
        load_data(Data(path=path, pairs=[]))


@pytest.mark.parametrize(
    ("rows", "fraction", "words", "blamed"),
    [
        (1, 0.2, "validation split is empty: the data has 1 images", False),
        (4, 0.01, r"validation split is empty: data\.validation=0\.01 of 4", True),
        (4, 0.99, r"training split is empty: data\.validation=0\.99 of 4", True),
    ],
)
def test_only_a_fraction_that_is_wrong_is_blamed(tmp_path, rows, fraction, words, blamed):
    path = table(tmp_path, ["1,2,3,4"] * rows)
    with pytest.raises(DataError, match=words) as caught:
        load_data(Data(path=path, pairs=[], validation=fraction))
    assert ("choose a fraction from 0.25 to 0.75" in str(caught.value)) == blamed
