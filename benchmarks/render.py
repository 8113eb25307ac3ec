"""Time drawing and encoding in-process: `python -m benchmarks.render`.

Page faults stand beside time. Every row is measured in two processes, with and
without `app.config.allocator.tune`, in turns.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from app.config import Settings, allocator
from app.image_request import ImageRequest, from_strings
from app.renderer.catalogue import Catalogue
from app.renderer.encode import encode
from app.renderer.produce import formats, vector
from benchmarks import card, table
from benchmarks.servers import ROOT


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of one renderer in one format."""

    renderer: str
    format: str
    draw_ms: float
    encode_ms: float
    faults: float
    size: int

    @property
    def total_ms(self) -> float:
        """Milliseconds from parameters to encoded bytes."""
        return self.draw_ms + self.encode_ms


def measure(repeats: int, quick: bool = False) -> Iterator[Row]:
    """Yield every renderer as PNG and the card in every format.

    Renderers that run in a process of their own are drawn here all the same.
    """
    settings = Settings(store="none", system_fonts=False)
    catalogue = Catalogue(settings)
    for name, format_name in _plan(catalogue, quick):
        renderer = catalogue.get(name)
        example = card.PARAMETERS if name == "card" else renderer.example
        pairs = dict(example).items()
        request = from_strings(renderer, pairs, format_name, settings)
        yield _row(request, repeats)


def _plan(catalogue: Catalogue, quick: bool) -> Iterator[tuple[str, str]]:
    if quick:
        yield from (("solid", "png"), ("card", "png"), ("card", "svg"))
        return
    yield from ((name, "png") for name in catalogue.names())
    # An icon is square and small, so the card has none.
    others = (name for name in formats(catalogue.get("card")) if name not in _APART)
    yield from (("card", name) for name in others)


_APART = frozenset({"png", "ico"})


def _row(request: ImageRequest, repeats: int) -> Row:
    step = _vector if request.output.format == "svg" else _raster
    step(request)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    turns = [step(request) for _ in range(repeats)]
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return Row(
        request.renderer.name,
        request.output.format,
        median(draw for draw, _, _ in turns) * 1000,
        median(encoded for _, encoded, _ in turns) * 1000,
        faults / repeats,
        turns[0][2],
    )


def _raster(request: ImageRequest) -> tuple[float, float, int]:
    """Return the seconds of drawing, of encoding, and the bytes."""
    started = time.perf_counter()
    picture = request.renderer.draw(request.parameters, request.output.scale)
    drawn = time.perf_counter()
    data = encode(picture, request.output)
    return drawn - started, time.perf_counter() - drawn, len(data)


def _vector(request: ImageRequest) -> tuple[float, float, int]:
    started = time.perf_counter()
    data = vector(
        request.renderer, request.parameters, request.output.scale
    ).svg.encode()
    return time.perf_counter() - started, 0.0, len(data)


def _child(tuned: bool, repeats: int, quick: bool) -> list[Row]:
    command = [sys.executable, "-m", "benchmarks.render", "--child"]
    command += ["--repeats", str(repeats)]
    command += ["--tuned"] * tuned + ["--quick"] * quick
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return [Row(**row) for row in json.loads(done.stdout)]


def compare(rounds: int, repeats: int, quick: bool = False) -> list[tuple[Row, Row]]:
    """Return each row as measured with and without the allocator's setting."""
    turns = [
        (_child(True, repeats, quick), _child(False, repeats, quick))
        for _ in range(rounds)
    ]
    tuned = _middle([rows for rows, _ in turns])
    plain = _middle([rows for _, rows in turns])
    return list(zip(tuned, plain, strict=True))


def _middle(rounds: Sequence[Sequence[Row]]) -> list[Row]:
    """Return, for each row, that of the round with the median total."""
    return [
        sorted(rows, key=lambda row: row.total_ms)[len(rows) // 2]
        for rows in zip(*rounds, strict=True)
    ]


HEAD = (
    "",
    "draw ms",
    "encode ms",
    "KB",
    "page faults",
    "untuned ms",
    "untuned faults",
    "tuning gains",
)


def _cells(tuned: Row, plain: Row) -> Sequence[str]:
    return (
        f"{tuned.renderer}.{tuned.format}",
        f"{tuned.draw_ms:.2f}",
        f"{tuned.encode_ms:.2f}",
        f"{tuned.size / 1000:.1f}",
        f"{tuned.faults:,.0f}",
        f"{plain.total_ms:.2f}",
        f"{plain.faults:,.0f}",
        f"{plain.total_ms / tuned.total_ms:.2f} x",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; as a child, print JSON."""
    options = _options(arguments)
    if options.child:
        _ = options.tuned and allocator.tune()
        measured = measure(options.repeats, options.quick)
        print(json.dumps([asdict(row) for row in measured]))
        return 0
    rounds, repeats = (1, 3) if options.quick else (options.rounds, options.repeats)
    pairs = compare(rounds, repeats, options.quick)
    print(table.show_machine(options.markdown))
    print(f"Medians of {rounds} x {repeats} runs in one thread.\n")
    rows = [_cells(*pair) for pair in pairs]
    print(table.show("Draw and encode in-process", HEAD, rows, options.markdown))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.render", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="three rows, 3 runs")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tuned", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
