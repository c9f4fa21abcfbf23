"""Damaged files of every kind that heatkp reads: each is read, or refused with a `HeatkpError`.

    python benchmarks/fuzz.py --seconds 60 --target all [--seed 0] [--formats FOLDER] [--out FOLDER]
    python benchmarks/fuzz.py --seconds 60 --target reader-coco --engine atheris
    python benchmarks/fuzz.py --list

A finding is another exception, the end of the process, more than a second of processor time or more
than a gigabyte of memory. `--target all` shares the time among the targets. Two engines: `mutation`
(ours: seeded by valid tiny files; bytes, numbers, tokens and JSON values are changed) and `atheris`
(`pip install atheris`; Linux, Python 3.11 to 3.13), which guides the same mutations by the branches
that they reach in heatkp. Each target runs in a process of its own. Findings go to the folder: the
smallest input found that fails alike, and a line in `findings.jsonl`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
SLOWEST, MOST = 1.0, 2**30
"""Seconds of processor time, and bytes of memory, for an input of some kilobytes."""
PIXELS = "16M"
"""`HEATKP_MAX_IMAGE_PIXELS` meanwhile: a hundred bytes of a blank image may be 256 megapixels."""
HANGS = 120.0
"""Seconds after its end at which a target's process is killed."""
NUMBERS = [
    b"0", b"-1", b"1e999", b"-1e999", b"nan", b"inf", b"1e-320", b"99999999999999999999",
    b"4294967296", b"9223372036854775808", b"1_000", b"0x10", b"1,5", b"\xd9\xa1", b"1" * 400,
    b"1" * 5000, b"true", b"null",
]  # fmt: skip
TOKENS = [
    b"", b"[]", b"{}", b'""', b"null", b"[[", b"}}", b"'", b'"', b"\\", b"\0", b"\n", b"\r\n", b",",
    b";", b"\t", b":", b"- ", b"&a ", b"*a", b"<<: ", b"!!python/object:os.system ", b"../", b"/",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"<!DOCTYPE a>", b"&a;", b"%s",
    b"{0}", b"${HOME}", b"~", b"a{1..3}b", b"[" * 300, b"nose", b"1" * 30,
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 10**400, 1e308, float("nan"), float("inf"), "", "x" * 300, "\ud800",
    [], {}, [[]], [None], {"": None}, [1, 2], [1, 2, 3], "1", [[1, 2], [3]], "../../x", "\0",
    2**63, 0.5,
]  # fmt: skip
_digits = re.compile(rb"-?\d+(?:\.\d+)?")


def mutated(content: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """A file with one to four changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        content = rng.choice(_WAYS)(content, rng, other)[: 2**20]
    return content


def _bits(content: bytes, rng: random.Random, other: bytes) -> bytes:
    if not content:
        return bytes([rng.randrange(256)])
    place = rng.randrange(len(content))
    value = content[place] ^ (1 << rng.randrange(8)) if rng.random() < 0.5 else rng.randrange(256)
    return content[:place] + bytes([value]) + content[place + 1 :]


def _token(content: bytes, rng: random.Random, other: bytes) -> bytes:
    start = rng.randint(0, len(content))
    end = min(len(content), start + rng.choice((0, 0, 1, 4, 30)))
    return content[:start] + rng.choice(TOKENS) + content[end:]


def _number(content: bytes, rng: random.Random, other: bytes) -> bytes:
    found = list(_digits.finditer(content[: 2**16]))
    if not found:
        return _token(content, rng, other)
    one = rng.choice(found)
    return content[: one.start()] + rng.choice(NUMBERS) + content[one.end() :]


def _piece(content: bytes, rng: random.Random, other: bytes) -> bytes:
    """A piece taken out, doubled, moved, or put in from another seed."""
    a, b = sorted(rng.randint(0, len(content)) for _ in range(2))
    b = min(b, a + rng.choice((8, 64, 512, 10**6)))
    how = rng.randrange(4)
    if how == 0:
        return content[:a] + content[b:]
    if how == 1:
        return content[:b] + content[a:b] + content[b:]
    if how == 2:
        return content[:a]
    c, d = sorted(rng.randint(0, len(other)) for _ in range(2))
    return content[:a] + other[c:d] + content[b:]


def _line(content: bytes, rng: random.Random, other: bytes) -> bytes:
    lines = content.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    how = rng.randrange(3)
    if how == 0:
        lines[i], lines[j] = lines[j], lines[i]
    elif how == 1:
        lines.insert(i, lines[j])
    else:
        del lines[i]
    return b"\n".join(lines)


def _wide(content: bytes, rng: random.Random, other: bytes) -> bytes:
    """A number in binary, as headers have: extreme."""
    size = rng.choice((2, 4, 8))
    if len(content) < size:
        return _bits(content, rng, other)
    place = rng.randint(0, len(content) - size)
    value = rng.choice((0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (4 * size), 255))
    order: Any = rng.choice(("little", "big"))
    return content[:place] + value.to_bytes(size, order) + content[place + size :]


def _json(content: bytes, rng: random.Random, other: bytes) -> bytes:
    """Another value, or key, somewhere in a JSON file."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _number(content, rng, other)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    if not isinstance(value, dict | list) or not value:
        return json.dumps(rng.choice(VALUES)).encode("utf-8", "surrogatepass")
    walk(value)
    node, key = rng.choice(places)
    how = rng.randrange(4)
    if how == 0:
        del node[key]
    elif how == 1:
        source, place = rng.choice(places)
        with contextlib.suppress(KeyError, IndexError, TypeError):
            node[key] = source[place]
    else:
        node[key] = rng.choice(VALUES)
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return content


_WAYS = (_bits, _token, _number, _number, _piece, _line, _wide, _json, _json)


class Campaign:
    """One target, fed in this process.

    Attributes:
        state: a file that tells what is going on, for who watches the process.
    """

    def __init__(self, target: Any, seed: int, seconds: float, out: Path) -> None:
        self.target, self.rng, self.out = target, random.Random(seed), out
        self.end = time.monotonic() + seconds
        self.seconds, self.inputs, self.slowest = seconds, 0, 0.0
        self.findings: dict[str, dict[str, Any]] = {}
        self.contents = [(folder / name).read_bytes() for folder, name in target.seeds]
        self.state = out / f"{target.name}.state.json"
        self.begun = self._saved = time.monotonic()

    def signature(self, seed: int, content: bytes) -> tuple[str, str] | None:
        """Why an input is a finding: a short text that alike ones share, and details."""
        folder, name = self.target.seeds[seed]
        path = folder / name
        path.write_bytes(content)
        _forget_peak()
        before, start = _memory(), time.process_time()
        try:
            self.target.run(folder, path)
        except Exception as error:
            from heatkp.errors import HeatkpError

            if not isinstance(error, HeatkpError):
                return _place_of(error), traceback.format_exc(limit=-8)
        finally:
            seconds = time.process_time() - start
            path.write_bytes(self.contents[seed])
        self.slowest = max(self.slowest, seconds)
        if _memory() - before > MOST:
            return "memory", f"{(_memory() - before) / 2**20:.0f} MB"
        if seconds > SLOWEST and len(content) < 100_000:
            again = time.process_time()  # the first call may have loaded a library
            path.write_bytes(content)
            with contextlib.suppress(Exception):
                self.target.run(folder, path)
            path.write_bytes(self.contents[seed])
            if time.process_time() - again > SLOWEST:
                return "time", f"{seconds:.1f} s"
        return None

    def one(self, seed: int, content: bytes) -> None:
        """Try an input; keep what fails in a way that is new."""
        self.inputs += 1
        (self.out / f"{self.target.name}.last").write_bytes(bytes([seed]) + content)
        found = self.signature(seed, content)
        if found is not None and found[0] not in self.findings:
            small = self.smaller(seed, content, found[0])
            number = len(self.findings) + 1
            path = self.out / f"{self.target.name}-{number}-{Path(self.target.seeds[seed][1]).name}"
            path.write_bytes(small)
            self.findings[found[0]] = {
                "target": self.target.name, "file": self.target.seeds[seed][1], "input": path.name,
                "bytes": len(small), "what": found[0], "details": found[1],
            }  # fmt: skip
            print(f"{self.target.name}: {found[0]}\n{found[1]}", flush=True)
        if time.monotonic() - self._saved > 1:
            self.save()

    def smaller(self, seed: int, content: bytes, what: str, seconds: float = 8.0) -> bytes:
        """The smallest input that fails alike, by leaving out pieces."""
        end, size = time.monotonic() + seconds, max(1, len(content) // 2)
        while size and time.monotonic() < end:
            place, less = 0, False
            while place < len(content) and time.monotonic() < end:
                tried = content[:place] + content[place + size :]
                found = self.signature(seed, tried)
                if found is not None and found[0] == what:
                    content, less = tried, True
                else:
                    place += size
            size = size if less and size > 1 else size // 2
        return content

    def save(self) -> None:
        """Leave what is known for the process that watches."""
        self._saved = time.monotonic()
        taken = self._saved - self.begun
        self.state.write_text(json.dumps({
            "target": self.target.name, "inputs": self.inputs, "seconds": round(taken, 1),
            "slowest": round(self.slowest, 3), "findings": list(self.findings.values()),
        }))  # fmt: skip

    def by_mutation(self) -> None:
        """Our own engine."""
        for seed, content in enumerate(self.contents):
            self.one(seed, content)
        while time.monotonic() < self.end:
            seed = self.rng.randrange(len(self.contents))
            other = self.rng.choice(self.contents)
            self.one(seed, mutated(self.contents[seed], self.rng, other))
        self.save()

    def by_coverage(self, atheris: Any) -> None:
        """atheris; ends the process."""
        corpus = self.out / f"{self.target.name}.corpus"
        corpus.mkdir(exist_ok=True)
        for seed, content in enumerate(self.contents[:255]):
            (corpus / f"seed-{seed}").write_bytes(bytes([seed]) + content)

        def one(data: bytes) -> None:
            if data and data[0] < len(self.contents) and time.monotonic() < self.end:
                self.one(data[0], data[1:])

        def change(data: bytes, most: int, seed: int) -> bytes:
            rng = random.Random(seed)
            if rng.random() < 0.3:
                return bytes(atheris.Mutate(data, most))
            return (data[:1] + mutated(data[1:], rng, rng.choice(self.contents)))[:most]

        arguments = [
            sys.argv[0], str(corpus), f"-seed={self.rng.randrange(1, 2**31)}", "-max_len=200000",
            f"-max_total_time={max(1, int(self.end - time.monotonic()))}", "-rss_limit_mb=0",
            "-verbosity=0", "-print_final_stats=0", "-timeout=60",
        ]  # fmt: skip
        atheris.Setup(arguments, one, custom_mutator=change)
        with contextlib.suppress(SystemExit):
            atheris.Fuzz()
        self.save()


def _place_of(error: BaseException) -> str:
    """The kind of an error and the last line of heatkp that it passed."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/heatkp/" in f.filename]
    place = ""
    if frames:
        name = frames[-1].filename.rpartition("/heatkp/")[2]
        place = f" in heatkp/{name}:{frames[-1].name}: {frames[-1].line}"
    return f"{type(error).__name__}{place}"


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _memory() -> int:
    """Bytes of the process' peak."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(n for n in lines if n.startswith("VmHWM")).split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _atheris(engine: str) -> Any:
    """The module, which follows what is imported after it; None for our own engine."""
    if engine == "mutation":
        return None
    try:
        import atheris
    except ImportError:
        raise SystemExit("no atheris here: pip install atheris, or --engine mutation") from None
    with atheris.instrument_imports(include=["heatkp"], enable_loader_override=False):
        import fuzz_targets  # noqa: F401
    return atheris


def _child(target: Any, seconds: float, seed: int, out: Path, atheris: Any) -> None:
    """In a fork: all of a target, to the end of the process."""
    code = 1
    try:
        campaign = Campaign(target, seed, seconds, out)
        if atheris is None:
            campaign.by_mutation()
        else:
            campaign.by_coverage(atheris)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _ended(process: int, seconds: float) -> int:
    """The code with which a process ends, -99 for one that is killed for it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return -99


def watch(target: Any, seconds: float, seed: int, out: Path, atheris: Any) -> dict[str, Any]:
    """Feed a target in a process of its own; its end is a finding, and it is started again."""
    end, name = time.monotonic() + seconds, target.name
    total: dict[str, Any] = {"target": name, "inputs": 0, "seconds": 0.0, "slowest": 0.0}
    found: list[dict[str, Any]] = []
    state, last = out / f"{name}.state.json", out / f"{name}.last"
    while (left := end - time.monotonic()) > 0.5:
        state.unlink(missing_ok=True)
        process = os.fork()
        if not process:
            _child(target, left, seed, out, atheris)
        code = _ended(process, left + HANGS)
        told = json.loads(state.read_text()) if state.is_file() else {}
        for key in ("inputs", "seconds"):
            total[key] += told.get(key, 0)
        total["slowest"] = max(total["slowest"], told.get("slowest", 0))
        known = {one["what"] for one in found}
        found += [one for one in told.get("findings", []) if one["what"] not in known]
        if not code:
            break
        kept = out / f"{name}-ended-{seed}"
        if last.is_file():
            last.replace(kept)
        what = "it hangs" if code == -99 else f"the process ended with {code}"
        found.append({"target": name, "input": kept.name, "what": what, "details": ""})
        seed += 1000
    for path in (state, last):
        path.unlink(missing_ok=True)
    return {**total, "findings": found}


def table(results: Sequence[dict[str, Any]]) -> str:
    """What came of the targets, as Markdown."""
    rows = [(r["target"], r["inputs"], r["seconds"], r["slowest"], len(r["findings"]))
            for r in results]  # fmt: skip
    rows.append((
        "all", sum(r[1] for r in rows), sum(r[2] for r in rows), max(r[3] for r in rows),
        sum(r[4] for r in rows),
    ))  # fmt: skip
    return "\n".join([
        "| target | inputs | s | inputs a second | slowest, s | findings |",
        "|---|--:|--:|--:|--:|--:|",
        *(f"| {name} | {inputs} | {seconds:.0f} | {inputs / max(seconds, 1e-9):.0f} |"
          f" {slowest:.2f} | {count} |" for name, inputs, seconds, slowest, count in rows),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of all targets together")
    parser.add_argument(
        "--target", default="all", help="one of --list, several with commas, or all"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=["mutation", "atheris"], default="mutation")
    parser.add_argument("--formats", type=Path, help="a folder of folders, each a small data set")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--list", action="store_true", help="print the targets")
    arguments = parser.parse_args()
    sys.path.insert(0, str(HERE.parent))
    os.environ["HEATKP_MAX_IMAGE_PIXELS"] = PIXELS
    atheris = _atheris(arguments.engine)
    import fuzz_targets

    with tempfile.TemporaryDirectory(prefix="heatkp-fuzz-") as place:
        known = fuzz_targets.targets(Path(place), arguments.formats)
        if arguments.list:
            print("\n".join(known))
            return
        chosen = list(known) if arguments.target == "all" else arguments.target.split(",")
        if unknown := [name for name in chosen if name not in known]:
            parser.error(f"there is no target {unknown[0]}: choose of {', '.join(known)}")
        out = arguments.out
        out.mkdir(parents=True, exist_ok=True)
        share = arguments.seconds / len(chosen)
        results = [watch(known[n], share, arguments.seed, out, atheris) for n in chosen]
    print(table(results))
    (out / "table.md").write_text(table(results) + "\n")
    every = [finding for one in results for finding in one["findings"]]
    with (out / "findings.jsonl").open("w") as file:
        file.writelines(json.dumps(finding) + "\n" for finding in every)
    sys.exit(1 if every else 0)


if __name__ == "__main__":
    main()
