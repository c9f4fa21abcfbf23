"""Training by several processes at once: which there are, how they start and meet.

One process a device. `torchrun` or SLURM's `srun` start them, on one machine or several; where
neither did and settings ask for several devices, `launch` starts them on this machine.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from rich.console import Console
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, start_processes

from heatkp.config import Trainer
from heatkp.errors import HeatkpError, SettingsError
from heatkp.models.devices import choose_device

MEETING = "HEATKP_MEETING"
"""Names the file by which processes that `launch` started find each other."""
GRACE = 5.0
"""Seconds for processes to end by themselves, once one of them has failed."""
PATIENCE = timedelta(hours=6)
"""How long processes wait for one that measures or reads images; one that dies is noticed."""


@dataclass(frozen=True)
class Place:
    """Which of the processes of a training this one is.

    Attributes:
        rank, world: its number among all of them, from 0, and how many there are.
        local_rank, local_world: the same on its machine.
        starter: `torchrun`, `srun`, `heatkp`, or empty for a process that is alone.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    starter: str = ""

    @property
    def first(self) -> bool:
        """Whether it is the one that writes files and prints."""
        return self.rank == 0

    @property
    def nodes(self) -> int:
        return self.world // self.local_world


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """Where variables of torchrun, srun or `launch` say that this process is."""

    def number(name: str) -> int:
        return int(environment[name])

    if "TORCHELASTIC_RUN_ID" in environment or MEETING in environment:
        starter = "heatkp" if MEETING in environment else "torchrun"
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        rank, world, local_rank, local_world = map(number, names)
        return Place(rank, world, local_rank, local_world, starter)
    # A batch script's own shell has the job's variables, but not a step's: it is alone.
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in environment:
        world = number("SLURM_STEP_NUM_TASKS")
        nodes = int(environment.get("SLURM_STEP_NUM_NODES", 1))
        if world % nodes:
            raise SettingsError(
                f"srun started {world} processes on {nodes} machines; start as many on each, with "
                "--ntasks-per-node"
            )
        return Place(number("SLURM_PROCID"), world, number("SLURM_LOCALID"), world // nodes, "srun")
    return Place()


def cluster_environment(mine: Place) -> ClusterEnvironment:
    """What tells Lightning where this process is."""
    if mine.starter == "torchrun":
        return TorchElasticEnvironment()
    if mine.starter == "srun":
        # A requeued job starts again: heatkp train --resume goes on where it was.
        return SLURMEnvironment(auto_requeue=False)
    return LightningEnvironment()


def devices_of(trainer: Trainer) -> int:
    """Devices on this machine that settings ask for. Raises `SettingsError` for too many."""
    device = choose_device(trainer.device, "trainer.device")
    if trainer.devices == "auto":
        return torch.cuda.device_count() if device.type == "cuda" else 1
    present = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type)
    if present is not None and trainer.devices > present:
        raise SettingsError(
            f"trainer.devices: {trainer.devices}, but this machine has {present} of {device.type}"
        )
    return trainer.devices


def require_place(trainer: Trainer, mine: Place) -> None:
    """Raises `SettingsError` where settings ask for other processes than were started."""
    if mine.world > 1:
        started = f"{mine.starter} started {mine.local_world} processes on {mine.nodes} machines"
        if trainer.devices not in (1, "auto", mine.local_world):
            raise SettingsError(
                f"trainer.devices: {trainer.devices}, but {started}; leave the setting out"
            )
        if trainer.num_nodes not in (1, mine.nodes):
            raise SettingsError(
                f"trainer.num_nodes: {trainer.num_nodes}, but {started}; leave the setting out"
            )
    elif trainer.num_nodes > 1:
        devices = devices_of(trainer)
        raise SettingsError(
            f"trainer.num_nodes: {trainer.num_nodes}, but only this process was started; on each "
            f"machine start torchrun --nnodes {trainer.num_nodes} --nproc-per-node {devices} "
            "--rdzv-backend c10d --rdzv-endpoint HOST:29500 -m heatkp train ..., or with SLURM "
            f"srun --ntasks-per-node {devices} heatkp train ..."
        )
    world = mine.world if mine.world > 1 else devices_of(trainer)
    if trainer.batch_size % world:
        raise SettingsError(
            f"trainer.batch_size: {trainer.batch_size} samples a step cannot be shared by {world} "
            f"devices; take a multiple of {world}"
        )


def must_launch(trainer: Trainer) -> bool:
    """Whether this process is alone where settings ask for several.

    Raises `SettingsError` as `require_place` does.
    """
    mine = place()
    require_place(trainer, mine)
    return mine.world == 1 and devices_of(trainer) > 1


def _work(
    local_rank: int, world: int, folder: str, work: Callable[..., Any], arguments: Sequence[Any]
) -> None:
    """What each launched process does."""
    os.environ.update({
        "RANK": str(local_rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(local_rank),
        "LOCAL_WORLD_SIZE": str(world), "NODE_RANK": "0", MEETING: str(Path(folder, "meeting")),
    })  # fmt: skip
    try:
        result = work(*arguments)
    except HeatkpError as error:
        if not isinstance(error, LostProcessError):  # why the other ended is the reason
            Path(folder, f"error-{local_rank}").write_bytes(pickle.dumps(error))
        sys.stdout.flush()
        os._exit(1)  # without waiting for what other processes no longer send
    if local_rank == 0:
        Path(folder, "result").write_bytes(pickle.dumps(result))


def require_no_callbacks(callbacks: Sequence[Any]) -> None:
    """Raises `SettingsError` where a program watches a training that goes on in other processes."""
    if callbacks:
        raise SettingsError(
            "trainer.devices: what watches a training, as a sweep does, needs it in one process; "
            "leave the setting out"
        )


def launch(world: int, work: Callable[..., Any], *arguments: Any, run: Path | None = None) -> Any:
    """Call a function of a module in so many processes, and give what it returns in the first.

    All end where one of them fails or is killed.

    Args:
        world: how many processes.
        work, arguments: what each calls; both are pickled.
        run: the run that goes on, where there is one already.

    Raises:
        HeatkpError: what the first of them raised, or that one was killed.
        KeyboardInterrupt: where Ctrl-C was pressed.
    """
    with tempfile.TemporaryDirectory(prefix="heatkp-") as folder:
        with _quiet():
            context = start_processes(
                _work, (world, folder, work, arguments), world, join=False, start_method="spawn"
            )
        assert context is not None
        try:
            while not context.join(grace_period=GRACE):
                pass
        except KeyboardInterrupt:
            # They were told, too: each ends as Lightning ends it.
            for process in context.processes:
                process.join(GRACE)
                process.kill()
            begun = _begun(folder) or run
            raise KeyboardInterrupt(*[str(begun)] * (begun is not None)) from None
        except ProcessExitedException as error:
            raise _reason(folder, world, error, _begun(folder) or run) from None
        return pickle.loads(Path(folder, "result").read_bytes())


class LostProcessError(HeatkpError):
    """Another process of the training has ended."""


class ConsoleKind(NamedTuple):
    """What another process needs to make a console like one."""

    kind: type[Console]
    quiet: bool

    @classmethod
    def of(cls, console: Console) -> ConsoleKind:
        return cls(type(console), console.quiet)

    def make(self) -> Console:
        console = self.kind()
        console.quiet = self.quiet
        return console


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's and Python's words on processes that had to be killed."""
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
    before = os.environ.get("PYTHONWARNINGS")
    ours = "ignore:resource_tracker"
    os.environ["PYTHONWARNINGS"] = f"{before},{ours}" if before else ours
    try:
        yield
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


def _begun(folder: str) -> Path | None:
    """The run that launched processes were writing."""
    try:
        return Path(os.fsdecode(Path(folder, "run").read_bytes()))
    except OSError:
        return None


def _reason(
    folder: str, world: int, error: ProcessExitedException, run: Path | None
) -> HeatkpError:
    """Why launched processes ended: what one of them said, else how it ended."""
    told = sorted(Path(folder).glob("error-*"))
    if told:
        said: HeatkpError = pickle.loads(told[0].read_bytes())
        return said
    further = "" if run is None else f"; go on with: heatkp train --resume {run}"
    return HeatkpError(
        f"of the training's {world} processes, {error}, as where memory, or shared memory "
        f"(/dev/shm), is too small{further}"
    )


_LOST = ("Connection closed by peer", "Connection reset by peer", "NCCL", "gloo", "Broken pipe")


class Meeting:
    """The processes of a training that have met; or a single one, for which nothing happens.

    Attributes:
        mine: which of them this is.
    """

    def __init__(self, mine: Place) -> None:
        self.mine = mine

    def in_turns(self) -> _Turns:
        """A context that one process of each machine enters before the others: it fills caches
        that they then find."""
        return _Turns(self)

    def wait(self) -> None:
        """Until all are here."""
        if self.mine.world > 1:
            dist.barrier()

    def share(self, value: Any = None) -> Any:
        """The first one's value, for all."""
        if self.mine.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def begun(self, run: Path) -> None:
        """Tell the process that launched this one where the run is."""
        if MEETING in os.environ and self.mine.first:
            Path(os.environ[MEETING]).with_name("run").write_bytes(os.fsencode(run))


class _Turns:
    def __init__(self, meeting: Meeting) -> None:
        self._meeting, self._early = meeting, meeting.mine.local_rank == 0

    def __enter__(self) -> None:
        if not self._early:
            self._meeting.wait()

    def __exit__(self, kind: Any, *_: object) -> None:
        # Where the first fails it must not wait for the others, who wait for it.
        if self._early and kind is None:
            self._meeting.wait()


@contextmanager
def met(trainer: Trainer) -> Iterator[Meeting]:
    """The processes of a training, which find each other here and part at the end.

    Raises `SettingsError` where settings ask for others, and `HeatkpError` where one of them ends.
    """
    mine = place()
    require_place(trainer, mine)
    if mine.world == 1:
        yield Meeting(mine)
        return
    device = choose_device(trainer.device, "trainer.device")
    if device.type == "cuda":
        torch.cuda.set_device(mine.local_rank)
    elif not trainer.threads:
        torch.set_num_threads(max(1, torch.get_num_threads() // mine.local_world))
    environment = cluster_environment(mine)
    if mine.starter == "heatkp":
        where = f"file://{os.environ[MEETING]}"
    else:
        where = f"tcp://{environment.main_address}:{environment.main_port}"
    if mine.starter == "torchrun":
        where = "env://"  # whose store torchrun keeps itself
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        init_method=where, rank=mine.rank, world_size=mine.world, timeout=PATIENCE,
    )  # fmt: skip
    try:
        yield Meeting(mine)
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _LOST):
            raise
        raise LostProcessError(
            f"process {mine.rank} of {mine.world} lost another one of the training: "
            f"{str(error).splitlines()[0]}"
        ) from error
    dist.destroy_process_group()  # which would wait for one that has ended


def total(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes; the tensor where there is one."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values
