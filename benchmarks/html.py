"""Compare the time of `html` with another revision's: `python -m benchmarks.html`.

Draws the gallery's pages by this tree and by one of git's (the last before callers'
documents were translated), in turn, each in a process of its own. Prints the processor
time of each page in milliseconds, the least of the rounds, and ends with 1 where all
together take more than 1.3 times as long. With `--browser` it compares `browser` with
`html`, both asked of this tree, by the clock: a browser is several processes.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from benchmarks.fidelity.drawing import pair

ROOT = Path(__file__).parent.parent
BEFORE = "5ac89f7^"
MOST = 1.3
PAGES = ROOT / "benchmarks" / "fidelity" / "pages"
_Times = dict[str, float]
_DRAW = """
import json, sys, time
from dataclasses import replace
from pathlib import Path
from app.config import Settings
from app.renderer.catalogue import Catalogue
row = Catalogue(replace(Settings(), system_fonts=False)).get("html")
found = {}
for path in sorted(Path(sys.argv[1]).glob("*.html")):
    wanted = row.parameters(html=path.read_text("utf-8"), width=1200, height=630)
    times = []
    for _ in range(4):
        began = time.process_time()
        row.draw(wanted, 1)
        times.append(time.process_time() - began)
    found[path.stem] = min(times)
print(json.dumps(found))
"""


def _times(tree: Path) -> _Times:
    found = subprocess.run(
        [sys.executable, "-c", _DRAW, str(PAGES)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        check=True,
        capture_output=True,
        text=True,
    )
    times: _Times = json.loads(found.stdout)
    return times


def _beside_revision(revision: str, rounds: int) -> list[tuple[_Times, _Times]]:
    """Return the processor seconds of each page, before and now, for each round."""
    archive = subprocess.run(
        ["git", "archive", revision], cwd=ROOT, check=True, capture_output=True
    )
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
            tree.extractall(folder, filter="data")
        return [(_times(Path(folder)), _times(ROOT)) for _ in range(rounds)]


def _beside_browser() -> tuple[_Times, _Times]:
    """Return the seconds of each page by `html` and by `browser`, over HTTP."""
    times: dict[str, _Times] = {"html": {}, "browser": {}}
    with pair() as drawn:
        for renderer in times:
            # Begins the process that the others are drawn by.
            drawn.mimeo(renderer, "<p>", (1200, 630))
        for path in sorted(PAGES.glob("*.html")):
            for renderer, found in times.items():
                began = time.perf_counter()
                drawn.mimeo(renderer, path.read_text("utf-8"), (1200, 630))
                found[path.stem] = time.perf_counter() - began
    return times["html"], times["browser"]


def _report(rounds: list[tuple[_Times, _Times]]) -> float:
    """Print the least of the rounds for each page; return the ratio of all."""
    first = second = 0.0
    for name in rounds[0][0]:
        one, other = (min(each[side][name] for each in rounds) for side in (0, 1))
        first, second = first + one, second + other
        print(f"{name:20} {1000 * one:7.1f} {1000 * other:7.1f} {other / one:5.2f}")
    print(f"{'all':20} {1000 * first:7.1f} {1000 * second:7.1f} {second / first:5.2f}")
    return second / first


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.html")
    parser.add_argument("--before", default=BEFORE, help="a revision of git's")
    parser.add_argument("--browser", action="store_true", help="beside `browser`")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    if chosen.browser:
        _report([_beside_browser() for _ in range(chosen.rounds)])
        return 0
    return 1 if _report(_beside_revision(chosen.before, chosen.rounds)) > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
