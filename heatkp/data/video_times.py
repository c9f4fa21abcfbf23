"""When each frame of a video is shown, without decoding any: where PyAV is installed.

A video's packets say so, in the order in which they are decoded; in the order of their times they
are the frames by number. With these a seek, which lands near a frame, can be checked.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.files import utf8_path


def frame_times(path: Path) -> npt.NDArray[np.float64] | None:
    """Times (N,) of a video's frames in milliseconds after its first, ascending.

    None where PyAV is not installed, and for a video of which packets do not tell: without times,
    with equal ones, with packets that are damaged or not to be shown.
    """
    try:
        import av
    except ImportError:
        return None
    try:
        with utf8_path(path) as name, av.open(name) as container:
            stream = container.streams.video[0]
            if stream.time_base is None:
                return None
            start, times = stream.start_time or 0, []
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                if packet.pts is None or packet.is_corrupt or packet.is_discard:
                    return None
                times.append(packet.pts - start)
            scale = 1000 * float(stream.time_base)
    except (av.FFmpegError, OSError, IndexError, ValueError):
        return None
    found = np.sort(np.array(times, np.float64)) * scale
    if len(found) < 2 or found[0] < -0.5 or not (np.diff(found) > 0).all():
        return None
    return found
