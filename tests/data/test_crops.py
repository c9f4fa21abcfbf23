"""Crops of images: the cache must not change what the network sees, nor outlive its files."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from heatkp.config import Augmentation
from heatkp.data.crops import FIRST, UNUSED_DAYS, CropSource, default_folder
from heatkp.data.dataset import KeypointDataset
from heatkp.data.images import ImageOptions
from heatkp.data.readers import read
from heatkp.data.samples import Labels, Sample, read_image
from heatkp.data.transforms import Framing
from heatkp.data.writers import write_labels
from heatkp.errors import DataError
from heatkp.skeletons import FACE68

FRAMING = Framing((64, 64), box_scale=1.4)
STRONG = Augmentation(rotation=30, scale=0.2, shift=0.1, shear=0.1, box_jitter=0.1, photometric=0)


def write_samples(folder, count=6, seed=0):
    """Images of smooth noise with a box in each, some of them over the image's edge."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(count):
        width, height = (int(n) for n in rng.integers(300, 500, 2))
        image = cv2.resize(rng.integers(0, 255, (12, 12, 3), np.uint8), (width, height))
        file = folder / f"{i}.png"
        cv2.imwrite(str(file), image)
        low = rng.uniform(-20, [width - 200, height - 200])
        box = np.concatenate([low, low + rng.uniform(120, 200, 2)]).astype(np.float32)
        points = rng.uniform(low, low + 120, (68, 2)).astype(np.float32)
        samples.append(
            Sample(partial(read_image, file), points, np.full(68, 2), box, id=f"s{i}", file=file)
        )  # fmt: skip
    return samples


def folders(cache):
    return sorted(p.name for p in cache.iterdir())


def dataset(samples, cache, augmentation=STRONG, framing=FRAMING):
    made = KeypointDataset(samples, FACE68, framing, augmentation=augmentation, cache=cache)
    assert made.crops.prepare() is None
    return made


@pytest.mark.parametrize("framing", [FRAMING, Framing((64, 48)), Framing((200, 200), 1.2)])
def test_cached_and_decoded_crops_look_alike(tmp_path, framing):
    """Within the region that augmentation can reach, a crop is as good as the image."""
    samples = write_samples(tmp_path / "photos")
    cached = dataset(samples, tmp_path / "cache", framing=framing)
    whole = KeypointDataset(samples, FACE68, framing, augmentation=STRONG)
    whole.crops.reach = 50.0  # the whole image
    for epoch in range(6):
        for i in range(len(samples)):
            a, b = cached[(epoch, i)], whole[(epoch, i)]
            assert (a["points"] == b["points"]).all()
            difference = (a["image"].int() - b["image"].int()).abs()
            # Blocks of a crop start elsewhere than those of the image; edges look the same.
            assert difference.float().mean() < 0.6 and difference.max() < 16
    assert all(
        not cached.crops[i].image.flags.writeable and cached.crops[i].image.ndim == 3
        for i in range(len(samples))
    )


def test_second_use_decodes_nothing(tmp_path):
    samples = write_samples(tmp_path / "photos")
    first = dataset(samples, tmp_path / "cache")
    shown = []

    def forbidden():
        raise AssertionError("decoded again")

    again = dataset([replace(s, image=forbidden) for s in samples], tmp_path / "cache")
    again.crops.prepare(shown.append)
    assert not shown and (again[(2, 3)]["image"] == first[(2, 3)]["image"]).all()
    assert len(folders(tmp_path / "cache")) == 1


@pytest.mark.parametrize(
    "change", ["file", "box", "framing", "augmentation", "orient", "intensity", "library"]
)
def test_whatever_crops_depend_on_makes_new_ones(tmp_path, monkeypatch, change):
    samples = write_samples(tmp_path / "photos")
    old = dataset(samples, tmp_path / "cache")
    augmentation, framing = STRONG, FRAMING
    if change == "file":
        cv2.imwrite(str(samples[0].file), 255 - read_image(samples[0].file))
        os.utime(samples[0].file, (time.time() + 5, time.time() + 5))
    elif change == "box":
        samples = [replace(s, box=s.box + 3) for s in samples]
    elif change == "framing":
        framing = Framing((64, 64), box_scale=1.5)
    elif change in ("orient", "intensity"):
        options = ImageOptions(orient=change == "orient", intensity=12)
        samples = [samples[0].read_with(options), *samples[1:]]
    elif change == "library":
        monkeypatch.setattr("PIL.__version__", "1.0")
    else:
        augmentation = STRONG.model_copy(update={"rotation": 45.0})
    new = dataset(samples, tmp_path / "cache", augmentation, framing)
    assert len(folders(tmp_path / "cache")) == 2
    if change == "file":
        assert (new.crops[0].image != old.crops[0].image).any()
        assert (new.crops[1].image == old.crops[1].image).all()


def test_a_damaged_cache_is_made_anew(tmp_path):
    samples = write_samples(tmp_path / "photos")
    good = dataset(samples, tmp_path / "cache")[(0, 1)]["image"]
    (folder,) = (tmp_path / "cache").iterdir()
    (folder / "pixels.bin").write_bytes(b"short")
    assert (dataset(samples, tmp_path / "cache")[(0, 1)]["image"] == good).all()
    (folder / "index.npz").unlink()
    assert (dataset(samples, tmp_path / "cache")[(0, 1)]["image"] == good).all()
    whole = (folder / "index.npz").read_bytes()
    for left in (b"", whole[: len(whole) // 2], whole[:90] + b"??" + whole[92:]):
        (folder / "index.npz").write_bytes(left)
        assert (dataset(samples, tmp_path / "cache")[(0, 1)]["image"] == good).all()


def _prepare(samples, cache, queue):
    source = CropSource(samples, FRAMING, 1.5, cache)
    queue.put((source.prepare(), int(source[0].image.sum())))


def test_several_processes_at_once(tmp_path):
    samples = write_samples(tmp_path / "photos")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [
        context.Process(target=_prepare, args=(samples, tmp_path / "cache", queue))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    found = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert len(set(found)) == 1 and found[0][0] is None
    assert len(folders(tmp_path / "cache")) == 1  # and nothing half-written


def test_crops_that_somebody_else_finished_are_never_deleted(tmp_path, monkeypatch):
    """They may be about to be opened: removing them made the other process decode every time."""
    samples = write_samples(tmp_path / "photos")
    faster, slower = (CropSource(samples, FRAMING, 1.0, tmp_path / "cache") for _ in range(2))
    fill, seen = CropSource._fill, []

    def overtaken(self, folder, progress):
        done = fill(self, folder, progress)
        monkeypatch.setattr(CropSource, "_fill", fill)
        assert faster.prepare() is None
        seen.append((faster._place / "pixels.bin").stat().st_ino)
        return done

    monkeypatch.setattr(CropSource, "_fill", overtaken)
    assert slower.prepare() is None
    assert faster._place == slower._place
    assert [(slower._place / "pixels.bin").stat().st_ino] == seen
    assert len(folders(tmp_path / "cache")) == 1


def test_a_pickled_source_maps_the_file_itself(tmp_path):
    source = CropSource(write_samples(tmp_path / "photos"), FRAMING, 1.0, tmp_path / "cache")
    source.prepare()
    state = pickle.dumps(source)
    assert len(state) < source[0].image.nbytes
    assert (pickle.loads(state)[2].image == source[2].image).all()


def test_what_does_not_fit_is_decoded(tmp_path):
    samples = write_samples(tmp_path / "photos")
    source = CropSource(samples, FRAMING, 1.0, tmp_path / "cache", limit=100)
    assert "cache_mb" in source.prepare()
    assert folders(tmp_path / "cache") == [] and source[5].image.size > 100


@pytest.mark.parametrize(
    ("repeats", "room", "made"),
    [
        (100, 100, 200),  # all fit
        (100, 40, 80),  # as many as fit: the first 64 do not tell that it is hopeless
        (200, 40, FIRST),  # the first 64 do: all would take five times the room
    ],
)
def test_what_is_far_too_large_is_given_up_early(tmp_path, repeats, room, made):
    samples = write_samples(tmp_path / "photos", 2)
    both = sum(CropSource(samples, FRAMING)[i].image.nbytes for i in range(2))
    cache, done = tmp_path / "cache", []
    source = CropSource(samples * repeats, FRAMING, 1.0, cache, limit=room * both)
    assert (source.prepare(done.append) is None) == (made == 2 * repeats)
    assert max(done) == made


def test_crops_of_images_in_tars(tmp_path):
    """They are those of the files, and change when the tar does."""
    samples = write_samples(tmp_path / "photos")
    tars = tmp_path / "tars"
    write_labels(Labels(FACE68, samples), tars, "webdataset", per_shard=2)
    packed = read(tars).samples
    plain, stored = CropSource(samples, FRAMING), CropSource(packed, FRAMING, 1.0, tmp_path / "c")
    assert stored.prepare() is None and len(folders(tmp_path / "c")) == 1
    for i in range(len(samples)):
        assert np.array_equal(stored[i].image, plain[i].image)
        assert np.array_equal(stored[i].matrix, plain[i].matrix)
    os.utime(tars / "000001.tar", (1, 1))
    again = CropSource(packed, FRAMING, 1.0, tmp_path / "c")
    assert again.prepare() is None and len(folders(tmp_path / "c")) == 2


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path):
    (tmp_path / "file").write_text("")
    source = CropSource(write_samples(tmp_path / "photos"), FRAMING, 1.0, tmp_path / "file")
    assert "no cache of images" in source.prepare()
    assert source[0].image.ndim == 3


def test_bad_pictures_are_named_and_leave_nothing(tmp_path):
    samples = write_samples(tmp_path / "photos")
    samples[3].file.write_bytes(b"no picture")
    source = CropSource(samples, FRAMING, 1.0, tmp_path / "cache")
    with pytest.raises(DataError, match=r"3\.png"):
        source.prepare()
    assert folders(tmp_path / "cache") == []
    flat = replace(samples[0], box=np.array([5, 5, 5, 9], np.float32))
    with pytest.raises(DataError, match="no area"):
        CropSource([flat], FRAMING)[0]


def test_pictures_without_a_file_stay_in_memory(tmp_path):
    samples = [replace(s, file=None) for s in write_samples(tmp_path / "photos")]
    assert CropSource(samples, FRAMING, 1.0, tmp_path / "cache").prepare() is None
    assert not (tmp_path / "cache").exists()


def test_unused_crops_are_forgotten(tmp_path):
    cache = tmp_path / "cache"
    samples = write_samples(tmp_path / "photos")
    dataset(samples, cache)
    (old,) = cache.iterdir()
    left, users = cache / "part-0a_b1c2d", [cache / n for n in ("mine", "part-1", "part-chapters")]
    for place in (left, *users, cache / f"crops-{'0' * 24}"):
        place.mkdir()
    for place in users:  # the folder need not be the cache's alone
        (place / "thesis.txt").write_text("years")
    (cache / f"crops-{'0' * 24}" / "thesis.txt").write_text("years")
    past = time.time() - (UNUSED_DAYS + 1) * 86400
    for path in cache.iterdir():
        os.utime(path, (past, past))
    dataset(samples, cache)  # opening is using
    assert old.exists()
    dataset(samples, cache, augmentation=None)
    assert old.exists() and not left.exists() and all(place.exists() for place in users)
    assert (cache / f"crops-{'0' * 24}" / "thesis.txt").exists()
    os.utime(old, (past, past))
    dataset(samples[:2], cache)
    assert not old.exists()


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HEATKP_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("HEATKP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert default_folder() == tmp_path / "x" / "heatkp"
