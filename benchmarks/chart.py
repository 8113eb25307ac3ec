"""Draw results by Mimeo's engine: `python -m benchmarks.chart results.json OUT.svg`.

Each case is a panel with a bar for each contender, as long as its rate is beside the
best. `--dark` draws light words for a dark page; both have no background.
"""

import argparse
import html
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.renderer.engine.engine import Page, load_engine

WIDTH, PANEL, GAP, BAR = 960, 464, 32, 182
ROW, HEAD, FOOT = 24, 44, 34
STYLE = """
.all { display: flex; flex-direction: column; width: 960px; font-family: Inter; }
.columns { display: flex; gap: 32px; }
.column { display: flex; flex-direction: column; width: 464px; }
.panel { display: flex; flex-direction: column; width: 464px; margin-bottom: 20px; }
.title { height: 28px; font-size: 15px; font-weight: 700; }
.row { display: flex; align-items: center; height: 24px; font-size: 13px; }
.name { width: 204px; } .bar { height: 14px; border-radius: 3px; }
.rate { margin-left: 8px; } .ours { font-weight: 700; }
.foot { font-size: 11px; }
"""


class Colours(NamedTuple):
    """What words and bars are painted in."""

    ink: str
    soft: str
    ours: str
    theirs: str


LIGHT = Colours("#1d2433", "#646b7a", "#e4572e", "#b9c4d0")
DARK = Colours("#f0f3f8", "#a3adbd", "#ff7a52", "#46546a")
# 304 and stored images are compared with a yardstick and not with a product.
CASES = ("card", "poster", "badge", "certificate", "solid", "qr", "archive")


def draw(results: Mapping[str, Any], colours: Colours) -> str:
    """Return the chart of a file of results as an SVG document.

    Raises ValueError where none of its cases is one that is drawn.
    """
    cases = [results["cases"][name] for name in CASES if name in results["cases"]]
    if not cases:
        raise ValueError(f"none of the cases {', '.join(CASES)} is in the results")
    columns: list[list[Mapping[str, Any]]] = [[], []]
    for case in cases:
        min(columns, key=_height).append(case)
    height = max(map(_height, columns)) + FOOT
    body = "".join(
        f'<div class="column">{"".join(_panel(case, colours) for case in column)}</div>'
        for column in columns
    )
    rounds = cases[0]["method"].partition(",")[0]
    processor = cases[0]["machine"]["Processor"]
    foot = f"Answers a second, longer is faster. {processor}, {rounds}."
    page = (
        f'<div class="all" style="color: {colours.ink}; height: {height}px">'
        f'<div class="columns" style="height: {height - FOOT}px">{body}</div>'
        f'<div class="foot" style="color: {colours.soft}">{html.escape(foot)}</div>'
        "</div>"
    )
    engine = load_engine(None, system=False)
    return engine.draw_svg(Page(page, (STYLE,)), (WIDTH, height)).svg


def _height(column: Sequence[Mapping[str, Any]]) -> int:
    return sum(HEAD + 4 + ROW * len(_shown(case)) for case in column)


def _shown(case: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what is drawn: servers, and not Mimeo without one."""
    found = case["results"]
    return [row for row in found if not row["name"].startswith("in-process")]


def _panel(case: Mapping[str, Any], colours: Colours) -> str:
    rows = _shown(case)
    most = max(row.get("rate", 0) for row in rows)
    title = f'<div class="title">{html.escape(case["title"])}</div>'
    parts = "".join(part for row in rows for part in _row(row, most, colours))
    return f'<div class="panel">{title}{parts}</div>'


def _row(row: Mapping[str, Any], most: float, colours: Colours) -> Iterator[str]:
    ours = row["name"] == "Mimeo"
    yield f'<div class="row{" ours" * ours}">'
    yield f'<div class="name">{html.escape(row["name"])}</div>'
    if "missing" in row:
        yield f'<div style="color: {colours.soft}">not installed</div></div>'
        return
    rate = row["rate"]
    width = max(2, round(BAR * rate / most))
    colour = colours.ours if ours else colours.theirs
    yield f'<div class="bar" style="width: {width}px; background: {colour}"></div>'
    shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
    yield f'<div class="rate">{shown}</div></div>'


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the results and write the chart."""
    parser = argparse.ArgumentParser("python -m benchmarks.chart", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("chart", type=Path)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args(arguments)
    results = json.loads(options.results.read_text())
    options.chart.write_text(draw(results, DARK if options.dark else LIGHT) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
