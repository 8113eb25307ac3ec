"""Notice a hot path that became slower: `python -m benchmarks.guard`, as CI does.

Five requests are made of the WSGI application in one process, in turns with a fixed
piece of work: plain Python, and Pillow. What is compared is a ratio, the least
processor time of a request over the least of that work in the same run, with the ratio
in `guard.json`; so neither the machine's speed nor other work on it counts. Least
times, because noise only adds; a path is slow where each of three runs says so.

After a change that makes a path faster, `--write` puts the ratios of this machine, the
medians of five runs, into `guard.json`.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image, ImageDraw

from app import create_app
from app.config import allocator
from benchmarks import against, table
from benchmarks.servers import ROOT

FILE = Path(__file__).with_name("guard.json")
# Between the noise of a run, up to 1.15 beside a busy neighbour, and the 1.5 that has
# to be noticed.
TOLERANCE = 1.3
TRIES = 3
TURNS = 120
_STORED = "/images/card.png?title=Stored"
_BADGE = "/images/badge.png?role=Speaker&event=PyCon&qr=https://example.org&name="

Work = Callable[[int], object]


def measure(turns: int = TURNS, slowdown: float = 1.0) -> dict[str, float]:
    """Return each path's processor time over that of the reference of its kind.

    With a slowdown each path is measured once more, in the same turns, with as much
    idle work after it; its name then ends with " slowed".
    """
    with tempfile.TemporaryDirectory() as store:
        app = create_app(environ={"MIMEO_STORE": store, "MIMEO_ACCESS_LOG": "off"})
        try:
            return _ratios(_paths(app), turns, slowdown)
        finally:
            app.extensions["mimeo"].close()


def _ratios(
    paths: Mapping[str, tuple[Work, int, str]], turns: int, slowdown: float
) -> dict[str, float]:
    works: dict[str, tuple[Work, int, float]] = {
        name: (work, block, 1.0) for name, (work, block, _) in paths.items()
    }
    kinds = {name: kind for name, (_, _, kind) in paths.items()}
    if slowdown > 1:
        for name, (work, block, kind) in paths.items():
            works[f"{name} slowed"] = (work, block, slowdown)
            kinds[f"{name} slowed"] = kind
    works |= {"python": (_python, 2, 1.0), "pillow": (_pillow, 1, 1.0)}
    least = dict.fromkeys(works, float("inf"))
    number = 0
    for turn in range(turns):
        # What runs before leaves its data in the processor's caches, so the order goes
        # round, forwards and backwards.
        order = list(works)[:: 1 if turn % 2 else -1]
        start = turn // 2 % len(order)
        for name in order[start:] + order[:start]:
            work, block, factor = works[name]
            started = time.process_time()
            for _ in range(block):
                number += 1
                work(number)
            used = time.process_time() - started
            while time.process_time() - started < used * factor:
                pass
            least[name] = min(least[name], (time.process_time() - started) / block)
    return {name: least[name] / least[kind] for name, kind in kinds.items()}


def _paths(app: Any) -> dict[str, tuple[Work, int, str]]:
    """Return each path: a request of a number, how many make a block, its reference."""

    def card(number: int) -> object:
        return against.call(app, against.environ(against.card(number)))

    def badge(number: int) -> object:
        path = f"{_BADGE}Visitor%20{number:09}"
        return against.call(app, against.environ(against.get(path)))

    def solid(number: int) -> object:
        return against.call(app, against.environ(against.solid(number)))

    def stored(_: int) -> Mapping[str, str]:
        return against.call(app, against.environ(against.get(_STORED)))

    tag = stored(0)["ETag"]

    def unchanged(_: int) -> object:
        request = against.get(_STORED, **{"If-None-Match": tag})
        return against.call(app, against.environ(request), "304")

    return {
        "card drawn": (card, 1, "pillow"),
        "badge drawn": (badge, 1, "pillow"),
        "solid": (solid, 4, "pillow"),
        "304": (unchanged, 10, "python"),
        "stored image": (stored, 10, "python"),
    }


def _python(number: int) -> object:
    """Do what web frameworks do: small texts, dictionaries, calls."""
    found: dict[str, str] = {}
    for turn in range(400):
        key, _, value = f"name{turn % 40}=value {number}".partition("=")
        found[key.strip().lower()] = value.replace(" ", "%20")
    return sorted(found.items())


def _pillow(number: int) -> object:
    """Paint shapes, scale them smoothly, and save them as PNG."""
    image = Image.new("RGBA", (600, 400), (number % 256, 120, 200, 255))
    draw = ImageDraw.Draw(image)
    for turn in range(60):
        draw.ellipse((turn * 9, turn * 6, turn * 9 + 90, turn * 6 + 90), outline=turn)
    target = io.BytesIO()
    scaled = image.resize((500, 320), Image.Resampling.BICUBIC)
    scaled.save(target, "PNG", compress_level=1)
    return target


def run(slowdown: float = 1.0) -> dict[str, float]:
    """Measure in a process of its own, where nothing else takes processor time."""
    command = [sys.executable, "-m", "benchmarks.guard", "--child", f"{slowdown}"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def slow(found: Mapping[str, float], expected: Mapping[str, float]) -> dict[str, float]:
    """Return the paths that are slower than is tolerated, with how many times."""
    times = {name: ratio / expected[name] for name, ratio in found.items()}
    return {name: ratio for name, ratio in times.items() if ratio > TOLERANCE}


def check() -> tuple[dict[str, float], dict[str, float]]:
    """Return each path's ratio, the least of up to `TRIES` runs, and those too slow."""
    expected = json.loads(FILE.read_text())
    best = run()
    for _ in range(TRIES - 1):
        if not slow(best, expected):
            break
        again = run()
        best = {name: min(ratio, again[name]) for name, ratio in best.items()}
    return best, slow(best, expected)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check and print, return 1 where a path is slow; or write the ratios."""
    parser = argparse.ArgumentParser("python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep today's ratios")
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        allocator.tune()
        print(json.dumps(measure(slowdown=options.child)))
        return 0
    if options.write:
        runs = [run() for _ in range(5)]
        ratios = {name: round(median(r[name] for r in runs), 3) for name in runs[0]}
        FILE.write_text(json.dumps(ratios, indent=1) + "\n")
        return 0
    expected = json.loads(FILE.read_text())
    found, late = check()
    rows = [
        (
            name,
            f"{expected[name]:.3f}",
            f"{ratio:.3f}",
            f"{ratio / expected[name]:.2f} x",
            "SLOWER" if name in late else "met",
        )
        for name, ratio in found.items()
    ]
    head = ("", "kept", "now", "times", f"<= {TOLERANCE:g} x")
    print(table.show("Processor time over the reference's", head, rows, False))
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
