"""Training by two processes on the CPU: equal to one, and safe where one is lost."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heatkp import runs
from heatkp.config import parse_settings
from heatkp.data.dataset import EpochSampler
from heatkp.errors import HeatkpError, SettingsError
from heatkp.models import build_model
from heatkp.runs.weights import read_weights
from heatkp.training.processes import Place, place, require_place
from heatkp.training.sharing import unused_parameters
from heatkp.training.storage import epochs_done
from tests.conftest import heatkp

# Norms keep their statistics, which each process would have its own of; samples of which some
# lie partly outside count by their points; five validation samples are no multiple of two.
SMALL = [
    "--head", "softargmax", "--epochs", "3", "--batch-size", "4",
    "--set", "data.size=[32,32]", "--set", "data.train_count=16", "--set", "data.val_count=5",
    "--set", "model.freeze=[network.*.1, network.*.4]", "--set", "model.architecture=plain_unet",
    "--set", "model.options={widths: [4, 8]}", "--set", "augmentation.scale=0.6",
    "--set", "data.cache=none",
]  # fmt: skip
TWO = ["--set", "trainer.devices=2"]


def started(folder, *arguments, **options):
    command = [sys.executable, "-m", "heatkp", "train", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def trained(*arguments):
    done = heatkp("train", *arguments)
    assert done.exit_code == 0, done.output


def table(run):
    with (run / runs.HISTORY).open(newline="") as file:
        names = ("train_loss", "val_loss", "val_mae", "val_mse", "lr")
        return np.array([[float(row[name]) for name in names] for row in csv.DictReader(file)])


def require_equal(run, other):
    """Both went the same way, to float error."""
    assert table(run) == pytest.approx(table(other), rel=2e-3)
    ours, theirs = (read_weights(r / runs.LAST)[0] for r in (run, other))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-2, atol=2e-3, msg=name)
    first, second = (json.loads((r / runs.METRICS).read_text()) for r in (run, other))
    assert first["images"] == second["images"] == 5
    assert first["mae_input"] == pytest.approx(second["mae_input"], rel=2e-3)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    run = tmp_path_factory.mktemp("alone") / "run"
    trained(*SMALL, "--out", run)
    return run


def children(pid):
    """Processes below one that have one of the training's ranks."""
    found = {}
    for folder in os.listdir("/proc"):
        if not folder.isdecimal():
            continue
        try:
            with open(f"/proc/{folder}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{folder}/cmdline", "rb") as file:
                spawned = b"spawn_main" in file.read()
        except OSError:
            continue
        if parent == pid and spawned:
            found[int(folder)] = folder
    return sorted(found)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
def test_a_killed_process_ends_all_and_one_goes_on(alone, tmp_path):
    process = started(tmp_path, *SMALL, *TWO, "--epochs", "3", "--out", "run", "--lr", "3e-3")
    last, end = tmp_path / "run" / runs.LAST, time.monotonic() + 240
    while not last.is_file() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(children(process.pid)[-1], signal.SIGKILL)
    said = " ".join(process.communicate(timeout=60)[0].split())
    assert process.returncode == 2, said
    assert "heatkp train --resume run" in said and "SIGKILL" in said
    assert epochs_done(tmp_path / "run") in (1, 2)
    trained("--resume", tmp_path / "run", "--set", "trainer.devices=1")
    require_equal(tmp_path / "run", alone)


def test_two_processes_equal_one_and_write_and_log_one_run(alone, tmp_path):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "heatkp", "train", *SMALL, "--set", "trainer.loggers=csv",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("epoch 3/3") == done.stdout.count("5 validation images") == 1
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["softargmax-1"]
    run = tmp_path / "runs" / "softargmax-1"
    require_equal(run, alone)
    (folder,) = (run / "csv").iterdir()
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["train_loss"]]) == 3
    metrics = json.loads((run / runs.METRICS).read_text())
    assert float(rows[-1]["final/mae_photo"]) == pytest.approx(metrics["mae_photo"])


def test_what_a_process_refuses_is_said_once_and_nothing_written(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    done = heatkp("train", *SMALL, *TWO, "--set", "data.train_count=3")
    said = "".join([done.output, *capfd.readouterr()])  # of this process, and of the two
    assert done.exit_code == 2 and "Traceback" not in said
    assert said.count("trainer.batch_size: 4") == 1
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_ends_all_and_names_the_run(tmp_path):
    # Where the tests run in the background of a shell, Ctrl-C is ignored, also by what they start.
    process = started(
        tmp_path, *SMALL, *TWO, "--epochs", "500", "--out", "run", start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    last, end = tmp_path / "run" / runs.LAST, time.monotonic() + 240
    while not last.is_file() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "heatkp train --resume run" in " ".join(said.split())
    assert epochs_done(tmp_path / "run") >= 1


@given(st.integers(1, 50), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_processes_share_each_batch(count, share, world, epoch):
    batch = share * world
    whole = EpochSampler(count, 5)
    parts = [EpochSampler(count, 5, batch, rank, world) for rank in range(world)]
    for sampler in (whole, *parts):
        sampler.set_epoch(epoch)
    order = list(whole)
    assert [len(list(part)) for part in parts] == [len(part) for part in parts]
    if world == 1:
        assert list(parts[0]) == order
        return
    batches = [iter(part) for part in parts]
    for start in range(0, count - batch + 1, batch):
        taken = [next(b) for b in batches for _ in range(share)]
        assert taken == order[start : start + batch]
    assert all(next(b, None) is None for b in batches)


ELASTIC = {
    "TORCHELASTIC_RUN_ID": "1", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
}  # fmt: skip
STEP = {
    "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}  # fmt: skip


def test_places():
    assert place({}) == Place() and Place().first
    assert place(ELASTIC) == Place(5, 8, 1, 4, "torchrun") and place(ELASTIC).nodes == 2
    assert place(STEP) == Place(5, 8, 1, 4, "srun")
    # A batch script's own shell, and variables that other programs leave.
    assert place({"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_NNODES": "2"}) == Place()
    assert place({"RANK": "1", "WORLD_SIZE": "2"}) == Place()
    with pytest.raises(SettingsError, match="ntasks-per-node"):
        place({**STEP, "SLURM_STEP_NUM_NODES": "3"})


@pytest.mark.parametrize(
    "values, mine, named",
    [
        ({"devices": 3}, place(ELASTIC), "trainer.devices"),
        ({"num_nodes": 3}, place(ELASTIC), "trainer.num_nodes"),
        ({"num_nodes": 2}, Place(), "torchrun --nnodes 2 --nproc-per-node 1"),
        ({"batch_size": 12}, place(ELASTIC), "trainer.batch_size"),
        ({"batch_size": 9, "devices": 2}, Place(), "trainer.batch_size"),
    ],
)
def test_other_processes_than_settings_ask_for(values, mine, named):
    trainer = parse_settings({"trainer": {"device": "cpu", **values}}).trainer
    with pytest.raises(SettingsError, match=named):
        require_place(trainer, mine)


@pytest.mark.parametrize("values", [{"devices": 4}, {"devices": "auto"}, {"num_nodes": 2}])
def test_processes_that_fit(values):
    trainer = parse_settings({"trainer": {"device": "cpu", "batch_size": 16, **values}}).trainer
    require_place(trainer, place(ELASTIC))


def test_what_a_cpu_cannot_do(tmp_path):
    for setting in ("trainer.precision=16", "trainer.sync_batchnorm=true"):
        done = heatkp(
            "train", "--set", setting, "--set", "trainer.device=cpu", "--out", tmp_path / "r"
        )
        assert done.exit_code == 2 and setting.partition("=")[0] in done.output
    assert not (tmp_path / "r").exists()


def test_parameters_without_gradient_are_found():
    settings = parse_settings({"data": {"size": [32, 32]}, "model": {"architecture": "plain_unet"}})
    model = build_model(settings, 3)
    assert unused_parameters(model) == []
    model.idle = torch.nn.Linear(2, 2)
    assert unused_parameters(model) == ["idle.weight", "idle.bias"]
    assert all(p.grad is None for p in model.parameters())


def test_errors_survive_the_way_between_processes():
    import pickle

    from heatkp.errors import StorageError, UnknownNameError

    for error in (StorageError("full", "make room"), UnknownNameError("no"), HeatkpError("a", 2)):
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is type(error) and str(back) == str(error)
        assert vars(back) == vars(error)
