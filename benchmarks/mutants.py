"""Mutation testing: which small changes of the core do its tests notice?

    python benchmarks/mutants.py --out mutants.json
    python benchmarks/mutants.py heatkp/coordinates.py --all
    python benchmarks/mutants.py --survivors mutants.json --out again.json

Each mutant is tried in a copy of the tree, by a process that is forked from one which has
imported everything but heatkp, with those tests only that run the changed line, the quickest
first. mutmut leaves decorated functions alone (all decoders are), cosmic-ray imports torch anew
for each mutant; both take statements and methods away less often.

A mutant is killed if a test fails, or takes ten times as long. Those of EQUIVALENT change
nothing that can be seen; the file says why.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import Phase, settings
from mutations import Mutant, mutants

ROOT = Path(__file__).parent.parent
EQUIVALENT = Path(__file__).with_name("mutants.yaml")
COPIED = ("heatkp", "tests", "configs", "conftest.py", "pyproject.toml", "README.md")
MEMORY = 6 << 30
"""Bytes that a mutant may take: some ask for maps without end."""


@dataclass(frozen=True)
class Target:
    """A module, and the tests that are about it.

    Attributes:
        file: from the repository's root.
        tests: files or test ids.
        names: functions and classes to change; all where there are none.
        sample: how many of the mutants are tried, by chance; all where it is None.
    """

    file: str
    tests: tuple[str, ...]
    names: tuple[str, ...] = ()
    sample: int | None = None

    @property
    def run(self) -> tuple[str, ...]:
        """The tests, with the module's own examples."""
        known = any(self.file.startswith(f"{test}/") for test in self.tests)
        return self.tests if known else (self.file, *self.tests)


ABOUT_HEATMAPS = (
    "activation", "decoder_values", "decoders", "engine", "gaussians", "loss_arguments", "losses",
    "masked",
)  # fmt: skip
"""Not test_compile.py, which takes the same lines through torch.compile."""
HEATMAPS = tuple(
    Target(
        str(path.relative_to(ROOT)),
        ("heatkp/heatmaps", *(f"tests/heatmaps/test_{what}.py" for what in ABOUT_HEATMAPS)),
        sample=8,
    )
    for path in sorted((ROOT / "heatkp" / "heatmaps").rglob("*.py"))
)
METRICS = ("_errors", "_summary", "auc", "failure_rate", "nme", "pck")
TARGETS = (
    Target("heatkp/coordinates.py", ("tests/test_coordinates.py",)),
    Target(
        "heatkp/data/boxes.py",
        ("tests/data/test_boxes.py", "tests/data/test_box_styles.py",
         "tests/data/test_box_rules.py", "tests/inference/test_boxes_and_passes.py"),
    ),
    *(
        Target(
            f"heatkp/evaluation/metrics/{name}.py",
            ("tests/evaluation/test_metrics.py", "tests/evaluation/test_metric_registry.py",
             "tests/evaluation/test_arrays.py"),
        )
        for name in METRICS
    ),
    Target(
        "heatkp/data/transforms.py",
        ("tests/data/test_boxes.py", "tests/data/test_augmentation.py",
         "tests/data/test_dataset.py", "tests/data/test_mirroring.py"),
        sample=60,
    ),
    *HEATMAPS,
    Target(
        "heatkp/training/callbacks.py",
        ("tests/training/test_callbacks.py",
         "tests/training/test_training.py::test_kept_weights_are_the_best_that_were_measured"),
        ("moving_average",),
    ),
    Target("heatkp/evaluation/evaluate.py", ("tests/evaluation/test_metrics.py",),
           ("worst_points",)),
    Target("heatkp/viz/maps.py", ("tests/viz/test_maps.py",),
           ("choose_samples", "hardest_points", "worst_tenth")),
    Target("heatkp/viz/figures.py", ("tests/viz/test_figures.py", "tests/viz/test_pictures.py"),
           ("mean_distance", "best_and_worst")),
    Target("heatkp/viz/point_errors.py",
           ("tests/viz/test_point_errors.py", "tests/viz/test_pictures.py"),
           ("mean_face", "ranked", "largest", "enlargement")),
    Target("heatkp/viz/report/data.py", ("tests/viz/test_report.py",),
           ("choose", "spread")),
)  # fmt: skip


class Baseline(NamedTuple):
    """What the tests of a target do without a change."""

    seconds: dict[str, float]
    """Of each test that passes, by its id."""
    lines: dict[str, dict[int, list[str]]]
    """Tests by line, by file."""
    failed: list[str]


class Selection:
    """A pytest plugin: the named tests in the given order, and what they took."""

    def __init__(self, order: Sequence[str] | None, coverage: Any = None) -> None:
        self.order, self.coverage = order, coverage
        self.seconds: Counter[str] = Counter()
        self.failed: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.order is not None:
            known = {item.nodeid: item for item in items}
            items[:] = [known[name] for name in self.order if name in known]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if self.coverage is not None:
            self.coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed or report.skipped:
            self.failed.append(report.nodeid)


def run_pytest(tests: Sequence[str], plugin: Selection, *options: str) -> int:
    # One failing example is enough: the profiles that follow take this over.
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    settings.register_profile("mutants", phases=phases)
    settings.load_profile("mutants")
    # No output is captured by pytest: it goes to the log that the fork has opened.
    fixed = ["-n0", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", "--no-header"]
    return int(pytest.main([*tests, *fixed, *options], [plugin]))


def forked(work: Callable[[], int], limit: float, log: Path) -> int | None:
    """The exit status of `work` in a process of its own; None if it took longer than `limit`."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(stream, 1)
            os.dup2(stream, 2)
            status = work()
        except BaseException:  # a fork never returns into the loop of its parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


class Bench:
    """A copy of the tree in which modules are changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log.txt"
        self.tree = folder / "tree"
        self.tree.mkdir()
        for name in COPIED:
            source, ignored = ROOT / name, shutil.ignore_patterns("__pycache__")
            if source.is_dir():
                shutil.copytree(source, self.tree / name, ignore=ignored)
            else:
                shutil.copy(source, self.tree)
        os.chdir(self.tree)
        sys.path.insert(0, str(self.tree))
        os.environ["PYTHONPATH"] = str(self.tree)
        sys.dont_write_bytecode = True  # a changed file may be as old and as long as the last

    @cache  # noqa: B019
    def baseline(self, tests: tuple[str, ...]) -> Baseline:
        """How the tests do; also imports what they need, but for heatkp, here."""
        kept = self.folder / "baseline.json"

        def work() -> int:
            import coverage

            measured = coverage.Coverage(data_file=None, include=["*/heatkp/*"])
            measured.start()
            plugin = Selection(None, measured)
            status = run_pytest(self.present(tests), plugin, "--doctest-modules")
            measured.stop()
            data = measured.get_data()
            lines = {
                str(Path(name).relative_to(self.tree)): data.contexts_by_lineno(name)
                for name in data.measured_files()
            }
            seconds = {t: s for t, s in plugin.seconds.items() if t not in plugin.failed}
            modules = [m for m in sys.modules if m.partition(".")[0] not in ("heatkp", "tests")]
            kept.write_text(json.dumps([seconds, lines, plugin.failed, modules]))
            return status

        forked(work, 3600, self.log)
        if not kept.exists():
            raise SystemExit(f"the tests do not run: {self.log.read_text()[-2000:]}")
        seconds, lines, failed, modules = json.loads(kept.read_text())
        kept.unlink()
        for name in modules:
            if not name.startswith("_"):
                with contextlib.suppress(BaseException):
                    importlib.import_module(name)
        numbered = {f: {int(n): c for n, c in by.items()} for f, by in lines.items()}
        return Baseline(seconds, numbered, failed)

    def present(self, tests: Sequence[str]) -> list[str]:
        return [t for t in tests if (self.tree / t.partition("::")[0]).exists()]

    def chosen(self, target: Target, mutant: Mutant) -> list[str]:
        """Ids of the tests that run the changed lines, the quickest first."""
        known = self.baseline(target.run)
        names = set(known.seconds)
        if not mutant.at_import:
            lines = known.lines.get(target.file, {})
            first, last = mutant.lines
            names &= {name for n in range(first, last + 1) for name in lines.get(n, [])}
        return sorted(names, key=lambda name: known.seconds[name])

    def outcome(self, target: Target, mutant: Mutant) -> tuple[str, str]:
        """killed, timeout, survived or untested; and the test that noticed."""
        names = self.chosen(target, mutant)
        if not names:
            return "untested", ""
        seconds = self.baseline(target.run).seconds
        files = list(dict.fromkeys(name.partition("::")[0] for name in names))
        path = self.tree / target.file
        original = path.read_text()

        def work() -> int:
            return run_pytest(files, Selection(names), "-x", "--tb=line")

        path.write_text(mutant.source)
        try:
            limit = 20 + 10 * sum(seconds[name] for name in names)
            status = forked(work, limit, self.log)
        finally:
            path.write_text(original)
        if status is None:
            return "timeout", ""
        if status == 0:
            return "survived", ""
        if status == pytest.ExitCode.NO_TESTS_COLLECTED:
            return "untested", ""
        noticed = [t for t in self.log.read_text(errors="replace").splitlines() if "FAILED" in t]
        return "killed", noticed[0][:200] if noticed else f"status {status}"


def numbered(target: Target) -> dict[str, Mutant]:
    """The target's mutants by an id that says what they change."""
    found: dict[str, Mutant] = {}
    for mutant in mutants((ROOT / target.file).read_text()):
        if target.names and not mutant.where.startswith(target.names):
            continue
        name = f"{target.file}: {mutant.where}: {mutant.change}"
        count = sum(other.partition(" #")[0] == name for other in found)
        found[f"{name} #{count + 1}" if count else name] = mutant
    return found


def table(results: dict[str, dict[str, Any]], equivalent: dict[str, str]) -> str:
    """Markdown: mutants and score of each file, equivalent ones left out of the score."""
    lines = ["| file | mutants | killed | equivalent | left | score |", "|---|---|---|---|---|---|"]
    rows: dict[str, Counter[str]] = {}
    for name, result in results.items():
        state = result["outcome"]
        state = "killed" if state == "timeout" else state
        if state != "killed":
            state = "equivalent" if name in equivalent else "left"
        for key in (name.partition(": ")[0], "all"):
            rows.setdefault(key, Counter())[state] += 1
    for file in [*(f for f in rows if f != "all"), *(["all"] if rows else [])]:
        row = rows[file]
        killed, left = row["killed"], row["left"]
        score = f"{killed / (killed + left):.1%}" if killed + left else "-"
        lines.append(
            f"| {file} | {sum(row.values())} | {killed} | {row['equivalent']} | {left} | {score} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", help="modules; by default all that are listed")
    parser.add_argument("--all", action="store_true", help="every mutant, no sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slowest", type=float, default=1.0, help="leave out slower tests, s")
    parser.add_argument("--survivors", type=Path, help="only those that an earlier run left")
    parser.add_argument("--out", type=Path, default=Path("mutants.json"))
    options = parser.parse_args()
    out = options.out.absolute()
    equivalent = yaml.safe_load(EQUIVALENT.read_text()) if EQUIVALENT.exists() else {}
    earlier = json.loads(options.survivors.read_text()) if options.survivors else None
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for target in TARGETS:
            if options.files and target.file not in options.files:
                continue
            ids = numbered(target)
            names = list(ids)
            if earlier is not None:
                states = {n: r["outcome"] for n, r in earlier.items()}
                results |= {n: earlier[n] for n in names if states.get(n) in ("killed", "timeout")}
                names = [n for n in names if states.get(n) in ("survived", "untested")]
            elif not options.all and target.sample is not None and len(names) > target.sample:
                rng = random.Random(f"{options.seed} {target.file}")
                names = sorted(rng.sample(names, target.sample), key=names.index)
            if not names:
                continue
            known = bench.baseline(target.run)
            for name in [n for n, s in known.seconds.items() if s > options.slowest]:
                del known.seconds[name]
            print(f"{target.file}: {len(names)} mutants, {len(known.seconds)} tests", flush=True)
            for failed in known.failed:
                print(f"  fails or is skipped without a change: {failed}", flush=True)
            for name in names:
                outcome, noticed = bench.outcome(target, ids[name])
                results[name] = {"outcome": outcome, "lines": ids[name].lines, "by": noticed}
                if outcome in ("survived", "untested"):
                    why = f"  (equivalent: {equivalent[name]})" if name in equivalent else ""
                    print(f"  {outcome}, line {ids[name].lines[0]}: {name}{why}", flush=True)
                out.write_text(json.dumps(results, indent=1))
    print(table(results, equivalent))


if __name__ == "__main__":
    main()
