"""Whatever names labels have, nothing is written outside the folder that was named."""

from __future__ import annotations

import io
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from heatkp.data.readers import read
from heatkp.data.samples import InMemory, Labels, Sample
from heatkp.data.writers import write_labels
from heatkp.errors import HeatkpError
from heatkp.registry import LABEL_WRITERS
from heatkp.skeletons import skeleton_of

HOSTILE = [
    "../../up.png", "/tmp/heatkp-absolute.png", "a/../../../up", "..\\..\\up.png", "..", "~/x",
    "con\0trol", ".", "x" * 400, "<script>",
]  # fmt: skip


def there(folder):
    return {os.path.join(place, name) for place, _, names in os.walk(folder) for name in names}


def sample(name, **more):
    points, codes = np.array([[5, 5], [8, 9]], np.float32), np.full(2, 2, np.uint8)
    image, box = InMemory(np.zeros((24, 32, 3), np.uint8)), np.array([1, 1, 20, 20], np.float32)
    return Sample(image, points, codes, box, id=name, **more)


@pytest.mark.parametrize("format", list(LABEL_WRITERS))
@pytest.mark.parametrize("videos", [False, True])
def test_writers(tmp_path, format, videos):
    """Names of images, videos, persons and points all lead elsewhere."""
    more = [{"video": name, "frame": i} if videos else {"person": name}
            for i, name in enumerate(HOSTILE)]  # fmt: skip
    samples = [sample(name, **rest) for name, rest in zip(HOSTILE, more)]
    labels = Labels(skeleton_of(["../../point", "/etc/point"], 2), samples, ())
    out = tmp_path / "a" / "b" / "c" / "out"
    out.parent.mkdir(parents=True)
    try:
        write_labels(labels, out, format, first_only=True)
    except HeatkpError as error:
        assert str(error) and not out.exists()
    assert all(path.startswith(f"{out}{os.sep}") for path in there(tmp_path))
    assert not os.path.exists("/tmp/heatkp-absolute.png")


@pytest.mark.parametrize("format", list(LABEL_WRITERS))
def test_members_of_tars_that_lead_out(tmp_path, format):
    file = io.BytesIO()
    Image.new("RGB", (32, 24)).save(file, "PNG")
    label = b'{"points": {"nose": [5, 5], "tail": [9, 9]}, "video": "../../v", "frame": 3}'
    source = tmp_path / "in"
    source.mkdir()
    with tarfile.open(source / "a.tar", "w") as tar:
        for i, stem in enumerate(("../../up", "/tmp/heatkp-absolute", "good")):
            for suffix, content in ((".png", file.getvalue()), (".json", label)):
                info = tarfile.TarInfo(stem + suffix)
                info.size, info.mtime = len(content), i
                tar.addfile(info, io.BytesIO(content))
    before = there(tmp_path)
    out = tmp_path / "a" / "b" / "out"
    out.parent.mkdir(parents=True)
    try:
        write_labels(read(source, "webdataset", strict=False), out, format, first_only=True)
    except HeatkpError as error:
        assert str(error)
    assert all(path.startswith(f"{out}{os.sep}") for path in there(tmp_path) - before)
    assert not os.path.exists("/tmp/heatkp-absolute.png")
