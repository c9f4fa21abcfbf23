"""Every kind of image file is seen alike wherever heatkp reads images."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from heatkp.cli.common import photos
from heatkp.config import Augmentation, Data, Settings
from heatkp.data.dataset import KeypointDataset
from heatkp.data.images import ImageOptions, as_rgb, read_image
from heatkp.data.loading import load_data
from heatkp.data.module import KeypointDataModule
from heatkp.data.samples import Sample
from heatkp.data.transforms import Framing
from heatkp.errors import DataError
from heatkp.evaluation.measure import InferenceOptions, predict_samples
from heatkp.heatmaps import Decoded
from heatkp.inference.batches import predictions
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.predictor import Predictor
from heatkp.inference.sources import find_sources, read_images
from heatkp.runs import Loaded
from heatkp.skeletons import Skeleton
from tests.conftest import box_of, imglab_text, write_image, write_imm
from tests.data.image_files import HEIGHT, KINDS, WIDTH, expected

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
SKELETON = Skeleton("p", ("p",), pairs=())
STILL = Augmentation(
    flip=0, rotation=0, scale=0, shift=0, photometric=0, grey=0, occlusion=0
)  # fmt: skip


class Watch(torch.nn.Module):
    """Finds nothing, and keeps what it was shown."""

    score_radius = None

    def __init__(self):
        super().__init__()
        self.here = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, images):
        self.seen += [image.numpy().transpose(1, 2, 0) for image in images.cpu()]
        return images

    def predict(self, images):
        return Decoded(torch.zeros(len(images), 1, 2), torch.ones(len(images), 1), None)


def watched(data):
    model = Watch()
    return model, Loaded(model, Settings(data=data, augmentation=STILL), SKELETON)


def places(kinds, folder, intensity):
    """What each place that reads images sees of each kind, as arrays by place and kind.

    Images are as large as the network's input, which so holds their very pixels.
    """
    names = {kind.path.name: name for name, kind in kinds.items()}
    rows = [f"{kind.path.name},5,6" for kind in kinds.values()]
    (folder / "points.csv").write_text("\n".join(["image,p_x,p_y", *rows]) + "\n")
    data = Data(path=str(folder / "points.csv"), size=[WIDTH, HEIGHT], pairs=[],
                validation=0.5, cache="none", intensity=intensity)  # fmt: skip
    loaded = load_data(data)
    found = {}

    def of(samples, images):
        return {names[s.file.name]: np.asarray(i) for s, i in zip(samples, images, strict=True)}

    def of_dataset(*datasets):
        return {
            name: image
            for d in datasets
            for name, image in of(
                d.samples, [d[i]["image"].numpy().transpose(1, 2, 0) for i in range(len(d))]
            ).items()
        }

    for cache in ("none", str(folder / "cache")):
        module = KeypointDataModule(
            Settings(data=data.model_copy(update={"cache": cache}), augmentation=STILL), loaded
        )
        module.preload()
        assert (module.train_set.crops._place is None) == (cache == "none")
        found[f"training, cache {cache[:4]}"] = of_dataset(module.train_set, module.val_set)
    every = [*loaded.train, *loaded.val]
    model, run = watched(data)
    predict_samples(run, every, InferenceOptions(batch_size=7))
    found["evaluation"] = of(every, model.seen)
    model, run = watched(data)
    predictor = Predictor(run)
    paths = [kind.path for kind in kinds.values()]
    predictor.predict(paths)
    found["prediction, library"] = dict(zip(kinds, model.seen, strict=True))
    still = [kind.path for kind in kinds.values() if kind.path.suffix != ".gif"]
    model.seen.clear()
    sources = find_sources([str(path) for path in paths]).sources
    pictures = [p for p in read_images(sources, options=predictor.image_options)]
    # Of a GIF file, which counts as a video there, the first frame.
    pictures = [p for p in pictures if p.frame in (None, 0)]
    list(predictions(predictor, pictures))
    named = [names[picture.file.name] for picture in pictures]
    found["prediction, command"] = dict(zip(named, model.seen, strict=True))
    assert len(named) == len(kinds) >= len(still)
    found["viz"] = of(every, [
        photos(run, [str(s.file)], None)[0]["image"].numpy().transpose(1, 2, 0) for s in every
    ])  # fmt: skip
    nothing = Keypoints(np.full((1, 2), np.nan), np.ones(1), None, SKELETON, (WIDTH, HEIGHT))
    if intensity == "range":
        found["draw"] = {name: nothing.draw(kind.path) for name, kind in kinds.items()}
    return found


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    return {name: make(folder) for name, make in KINDS.items()}


@pytest.fixture(scope="module", params=["range", "percentile", 12], ids=str)
def seen(request, kinds):
    folder = next(iter(kinds.values())).path.parent
    return request.param, places(kinds, folder, request.param)


@pytest.mark.parametrize("name", KINDS)
def test_every_place_sees_the_same(kinds, seen, name):
    intensity, found = seen
    kind = kinds[name]
    wanted = expected(kind, intensity)
    first = read_image(kind.path, intensity=intensity)
    assert first.dtype == np.uint8 and first.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(first - wanted).max() <= kind.off
    for place, images in found.items():
        # FFmpeg, which shows GIF files as videos, may round otherwise.
        off = 1 if place == "prediction, command" and kind.path.suffix == ".gif" else 0
        assert np.abs(images[name].astype(int) - first).max() <= off, place


def _in_memory(kind, intensity):
    """A kind's values as arrays that `predict` takes, where they are of such a type."""
    if kind.values.dtype not in (np.uint8, np.uint16) or kind.inverted:
        return
    stored = kind.values
    if kind.alpha is not None:
        full = np.iinfo(stored.dtype).max
        alpha = np.rint(kind.alpha * full).astype(stored.dtype)
        colours = stored if stored.ndim == 3 else np.repeat(stored[:, :, None], 3, 2)
        stored = np.dstack([colours, alpha])
    yield stored
    if stored.ndim == 2:
        yield stored[:, :, None]
    yield torch.from_numpy(stored if stored.ndim == 2 else stored.transpose(2, 0, 1).copy())
    if stored.dtype == np.uint8:
        yield stored.astype(np.float32) / 255
        yield torch.from_numpy(np.atleast_3d(stored).transpose(2, 0, 1) / 255)


@pytest.mark.parametrize("intensity", ["range", 12])
@pytest.mark.parametrize("name", [n for n in KINDS if not n.startswith(("jpeg", "avif"))])
def test_arrays_are_seen_as_files(kinds, name, intensity):
    kind = kinds[name]
    model, run = watched(Data(size=[WIDTH, HEIGHT], intensity=intensity))
    given = list(_in_memory(kind, intensity))
    Predictor(run).predict(given)
    expected = read_image(kind.path, intensity=intensity)
    for image in model.seen:
        assert np.abs(image.astype(int) - expected).max() <= 1
    # The same in a sample that somebody made, trained on or evaluated.
    for array in (a for a in given if isinstance(a, np.ndarray) and a.dtype != np.float32):
        none = np.zeros((0, 2), np.float32)
        sample = Sample(partial(np.asarray, array), none, id="a")
        sample = sample.read_with(ImageOptions(intensity=intensity))
        item = KeypointDataset([sample], SKELETON, Framing((WIDTH, HEIGHT)))[0]
        assert np.abs(item["image"].numpy().transpose(1, 2, 0) - expected.astype(int)).max() <= 1


PILLOW_READS = [
    n for n in KINDS if "16-rgb" not in n and "16-la" not in n and "clear" not in n
    and not n.startswith(("tiff16-white", "tiff16-l-bigtiff-big", "tiff8-signed", "tiff32-unsigned",
                          "tiff-float-rgb", "tiff-double", "pgm16", "jpeg"))
]  # fmt: skip
"""Kinds that Pillow's own images hold whole."""


@pytest.mark.parametrize("name", PILLOW_READS)
def test_images_of_pillow_are_seen_as_files(kinds, name):
    model, run = watched(Data(size=[WIDTH, HEIGHT]))
    with Image.open(kinds[name].path) as image:
        Predictor(run).predict(image)
    expected = read_image(kinds[name].path)
    assert np.abs(model.seen[0].astype(int) - expected).max() <= 1


def test_kinds_that_are_transparent_are_white_there(kinds):
    clear = [k for n, k in kinds.items() if k.alpha is not None]
    assert len(clear) > 10
    for kind in clear:
        image = read_image(kind.path)
        assert (image[kind.alpha == 0] >= 255 - kind.off).all()


def saved(path, code, image):
    exif = Image.Exif()
    exif[0x0112] = code
    Image.fromarray(image).save(path, exif=exif)
    return path


def test_options_of_a_run_reach_every_reader_of_labels(tmp_path):
    """Those of training and those of evaluation; samples without a file are themselves."""
    write_imm(tmp_path / "imm")
    for name in ("pts", "csv", "coco", "xml"):
        for i in range(4):
            write_image(tmp_path / name / f"{'abcd'[i]}.png", seed=i)
    for name in "abcd":
        (tmp_path / "pts" / f"{name}.pts").write_text("version: 1\nn_points: 1\n{\n4 5\n}\n")
    (tmp_path / "csv" / "p.csv").write_text(
        "image,p_x,p_y\n" + "".join(f"{n}.png,1,2\n" for n in "abcd")
    )
    (tmp_path / "xml" / "p.xml").write_text(imglab_text(
        [(f"{n}.png", [box_of(1, 1, 9, 9, parts={"0": (3, 4)})]) for n in "abcd"]
    ))  # fmt: skip
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "keypoints": [4, 5, 2]} for i in range(4)
    ]
    (tmp_path / "coco" / "p.json").write_text(json.dumps({
        "images": [{"id": i, "file_name": f"{n}.png"} for i, n in enumerate("abcd")],
        "annotations": annotations, "categories": [{"id": 1, "name": "a", "keypoints": ["p"]}],
    }))  # fmt: skip
    expected = ImageOptions(True, 14)
    for name in ("imm", "pts", "csv", "coco", "xml"):
        data = load_data(Data(path=str(tmp_path / name), pairs=[], validation=0.5, orient=True,
                              intensity=14))  # fmt: skip
        for sample in (*data.train, *data.val):
            assert sample.options == expected
            assert sample.image.options == expected and sample.image.path == sample.file


@pytest.mark.parametrize("orient", [False, True])
@pytest.mark.parametrize("code", [3, 6, 8])
def test_labels_of_upright_images(tmp_path, orient, code):
    """With data.orient training and evaluation see what labelling tools show; prediction always
    does."""
    image = np.zeros((24, 32, 3), np.uint8)
    image[:12, :16] = 200, 30, 60
    for name in "ab":
        saved(tmp_path / f"{name}.png", code, image)
    (tmp_path / "p.csv").write_text("image,p_x,p_y\na.png,3,4\nb.png,3,4\n")
    upright = np.asarray(Image.open(tmp_path / "a.png").transpose(
        {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270,
         8: Image.Transpose.ROTATE_90}[code]
    ))  # fmt: skip
    expected = upright if orient else image
    size = [expected.shape[1], expected.shape[0]]
    data = Data(path=str(tmp_path), size=size, pairs=[], validation=0.5, orient=orient,
                cache=str(tmp_path / "cache"))  # fmt: skip
    loaded = load_data(data)
    assert any("EXIF" in note for note in loaded.notes) != orient
    module = KeypointDataModule(Settings(data=data, augmentation=STILL), loaded)
    module.preload()
    for sets in (module.train_set, module.val_set):
        assert (sets[0]["image"].numpy().transpose(1, 2, 0) == expected).all()
    model, run = watched(data)
    predict_samples(run, loaded.val, InferenceOptions(batch_size=1))
    (other,) = (replace(s, options=ImageOptions()) for s in loaded.val)  # read in another way
    predict_samples(run, [other], InferenceOptions(batch_size=1))
    assert all((image == expected).all() for image in model.seen)
    model, run = watched(data.model_copy(update={"size": [upright.shape[1], upright.shape[0]]}))
    Predictor(run).predict(tmp_path / "a.png")
    assert (model.seen[0] == upright).all()


def test_fractions_of_upright_images_are_of_their_size(tmp_path):
    folder = write_imm(tmp_path, 2, 1)
    for file in folder.glob("*.jpg"):
        saved(file, 6, np.zeros((48, 64, 3), np.uint8))
    stored, turned = (
        load_data(Data(path=str(folder), validation=0.5, orient=orient)).train[0].points
        for orient in (False, True)
    )
    assert np.allclose((stored + 0.5) / [64, 48], (turned + 0.5) / [48, 64], atol=1e-5)


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 4), int), np.zeros((3, 4), np.float32), np.zeros((3, 4, 2), np.uint8),
     np.zeros((0, 4), np.uint8), np.zeros(3, np.uint8), np.zeros((3, 4), bool)],
    ids=str,
)  # fmt: skip
def test_arrays_that_are_no_images(array):
    with pytest.raises(DataError):
        as_rgb(array)


def test_files_that_cannot_be_opened(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("L", (4, 4)).save(path)

    def refused(self, *_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(DataError, match="Permission denied"):
        read_image(path)
