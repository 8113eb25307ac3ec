"""Compare the time of `html` with another revision's: `python -m benchmarks.html`.

Draws the gallery's pages by this tree and by one of git's (the last before callers'
documents were translated), in turn, each in a process of its own. Prints the processor
time of each page in milliseconds, the least of the rounds, and ends with 1 where all
together take more than 1.3 times as long.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEFORE = "5ac89f7^"
MOST = 1.3
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


def _times(tree: Path) -> dict[str, float]:
    pages = ROOT / "benchmarks" / "fidelity" / "pages"
    found = subprocess.run(
        [sys.executable, "-c", _DRAW, str(pages)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        check=True,
        capture_output=True,
        text=True,
    )
    times: dict[str, float] = json.loads(found.stdout)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.html")
    parser.add_argument("--before", default=BEFORE, help="a revision of git's")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    archive = subprocess.run(
        ["git", "archive", chosen.before], cwd=ROOT, check=True, capture_output=True
    )
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
            tree.extractall(folder, filter="data")
        rounds = [(_times(Path(folder)), _times(ROOT)) for _ in range(chosen.rounds)]
    before = after = 0.0
    for name in rounds[0][0]:
        old, new = (min(each[side][name] for each in rounds) for side in (0, 1))
        before, after = before + old, after + new
        print(f"{name:20} {1000 * old:7.1f} {1000 * new:7.1f} {new / old:5.2f}")
    ratio = after / before
    print(f"{'all':20} {1000 * before:7.1f} {1000 * after:7.1f} {ratio:5.2f}")
    return 1 if ratio > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
