"""Tracks drawn from their table."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from heatkp.errors import DataError
from heatkp.viz.tracks import draw_tracks, gaps, read_paths
from tests.conftest import heatkp
from tests.inference.numbered_videos import write_h264

HEAD = "image,frame,time,track,point,x,y,score,var_x,cov_xy,var_y,raw_x,raw_y\n"


def write_table(folder, count=20, missing=(7, 8, 9), video="clip.mp4", name="tracks.csv"):
    """Two tracks of two points; the second one has a gap, and its points have no scores there."""
    lines = []
    for t in range(count):
        for track in (1, 2):
            if track == 2 and t in missing:
                continue
            for k, point in enumerate(("nose", "tail")):
                x, y = 10 + 3 * t * track + 5 * k, 20 + 40 * track
                place = f"../{video}/{t:06d}"
                lines.append(f"{place},{t},{t / 25},{track},{point},{x},{y},0.9,,,,,")
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(HEAD + "\n".join(lines) + "\n")
    return folder


def test_paths_of_a_table(tmp_path):
    (paths,) = read_paths(write_table(tmp_path / "out"))
    assert paths.source == tmp_path / "clip.mp4" and paths.names == ("nose", "tail")
    assert paths.tracks == (1, 2) and paths.frames.tolist() == [*range(20)]
    assert paths.points[1, 5].tolist() == [[40, 100], [45, 100]]
    assert paths.times[5] == pytest.approx(0.2)
    assert paths.speeds[0, 1:] == pytest.approx(3.0) and np.isnan(paths.speeds[:, 0]).all()
    assert paths.speeds[1, 4] == pytest.approx(6.0)
    assert not paths.seen[1, 7:10].any() and paths.seen[0].all()
    assert gaps(paths.seen[1]) == [(7, 3)] and gaps(paths.seen[0]) == []


def test_every_second_frame_has_the_speed_of_one(tmp_path):
    folder = write_table(tmp_path / "out", missing=())
    lines = (folder / "tracks.csv").read_text().splitlines()
    kept = [line for line in lines[1:] if int(line.split(",")[1]) % 2 == 0]
    (folder / "tracks.csv").write_text("\n".join([lines[0], *kept]))
    (paths,) = read_paths(folder)
    assert paths.frames.tolist() == [*range(0, 20, 2)]
    assert paths.speeds[0, 1:] == pytest.approx(3.0)


@pytest.mark.parametrize("there", [True, False])
def test_the_picture(tmp_path, there):
    """The middle frame lies below the paths, if it can be read."""
    if there:
        write_h264(tmp_path / "clip.mp4", 20)
    folder = write_table(tmp_path / "out")
    done = heatkp("viz", "tracks", folder, "--out", tmp_path / "t.png")
    assert done.exit_code == 0, done.output
    assert "track 2: in 17 of 20 frames, 1 gaps, the longest of 3 frames" in done.output
    image = cv2.imread(str(tmp_path / "t.png"))[:, :, ::-1].astype(int)
    first, second = (np.abs(image - c).sum(2).min() for c in ((255, 176, 0), (86, 180, 233)))
    assert first < 20 and second < 20
    (paths,) = read_paths(folder)
    draw_tracks(paths, tmp_path / "nose.png", "nose")
    assert not np.array_equal(cv2.imread(str(tmp_path / "nose.png"))[:, :, ::-1], image)


def test_several_videos_get_a_picture_each(tmp_path):
    one = write_table(tmp_path / "out", 4)
    text = (one / "tracks.csv").read_text()
    more = text.replace("clip.mp4", "b.mp4").splitlines()[1:]
    (one / "tracks.csv").write_text(text + "\n".join(more))
    assert heatkp("viz", "tracks", one, "--out", tmp_path / "t.png").exit_code == 0
    assert {p.name for p in tmp_path.glob("*.png")} == {"t-1.png", "t-2.png"}


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2\n", HEAD, HEAD + "c.mp4/0,x,0,1,nose,1,1,1,,,,,\n", HEAD + "c.mp4/0,1\n",
     HEAD + "c.mp4/000001,1,0,,nose,1,1,1,,,,,\n"],
)  # fmt: skip
def test_what_is_no_table_of_tracks(tmp_path, content):
    (tmp_path / "tracks.csv").write_text(content)
    with pytest.raises(DataError):
        read_paths(tmp_path)
    done = heatkp("viz", "tracks", tmp_path, "--out", tmp_path / "t.png")
    assert done.exit_code == 2 and not (tmp_path / "t.png").exists()


def test_a_point_that_is_none(tmp_path):
    folder = write_table(tmp_path / "out", 4)
    done = heatkp("viz", "tracks", folder, "--point", "ear", "--out", tmp_path / "t.png")
    assert done.exit_code == 2 and "nose, tail" in done.output
    assert heatkp("viz", "tracks", tmp_path, "--out", tmp_path / "t.png").exit_code == 2


@pytest.mark.parametrize("frame", ["9" * 30, str(2**40), "-1", "999999999"])
def test_a_frame_that_no_video_has(tmp_path, frame):
    """Found by benchmarks/fuzz.py: all frames between the first and the last are held."""
    folder = write_table(tmp_path / "out", count=3, missing=())
    with (folder / "tracks.csv").open("a") as file:
        file.write(f"../clip.mp4/{frame},{frame},0.1,1,nose,1,2,0.9,,,,,\n")
    with pytest.raises(DataError):
        read_paths(folder)
