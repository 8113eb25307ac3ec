"""Compare `html` with Chromium: a gallery of pages, and a table of features.

Ends with 1 where a page is less like than it must be, where too many elements stand
elsewhere, or where something is passed over without a word.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw

from benchmarks.fidelity.boxes import Places, floats
from benchmarks.fidelity.drawing import Drawn, Pair, pair
from benchmarks.fidelity.similarity import similarity

HERE = Path(__file__).parent
# What the gallery must reach: each page, all in the mean, and elements in their place.
EACH, MEAN, IN_PLACE = 0.60, 0.80, 0.90
# From here on a feature is drawn as Chromium draws it.
ALIKE = 0.9
# So far a page is moved to see that the measure notices.
MOVED = 20
_SIZE = re.compile(r"<!-- (\d+)x(\d+) -->")
_PART = re.compile("«(.*?)»", re.DOTALL)
_FEATURE_SIZE = (160, 100)
# Features in one sheet of frames.
_AT_ONCE = 40
_GAP = 8


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the gallery; what floats is drawn by `browser`."""

    name: str
    document: str
    size: tuple[int, int]

    @property
    def renderer(self) -> str:
        """The renderer by which the page counts."""
        return "browser" if floats(self.document) else "html"


@dataclass(frozen=True, slots=True)
class Compared:
    """A page in both pictures, how like they are, and where its elements stand."""

    page: Page
    drawn: Drawn
    shown: Image.Image
    score: float
    places: Places | None


@dataclass(frozen=True, slots=True)
class Feature:
    """A piece of HTML with a feature, and the same without it."""

    group: str
    name: str
    given: str
    without: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `html` makes of a feature: `as Chromium`, `otherwise` or `not drawn`."""

    feature: Feature
    verdict: str
    score: float
    ignored: tuple[str, ...]
    pictures: tuple[Image.Image, Image.Image]


def gallery(names: Sequence[str] = ()) -> list[Page]:
    """Return the pages, or some by their names."""
    found = []
    for path in sorted((HERE / "pages").glob("*.html")):
        text = path.read_text()
        size = _SIZE.match(text)
        assert size is not None, path
        found.append(Page(path.stem, text, (int(size[1]), int(size[2]))))
    return [page for page in found if not names or page.name in names]


def features() -> list[Feature]:
    """Return the rows of the table of features."""
    table = tomllib.loads((HERE / "features.toml").read_text())
    return [
        Feature(group, name, _PART.sub(r"\1", html), _PART.sub("", html))
        for group, rows in table.items()
        for name, html in rows.items()
    ]


def compare(both: Pair, page: Page) -> Compared:
    """Draw a page twice, and measure."""
    drawn = both.mimeo(page.renderer, page.document, page.size)
    if page.renderer == "html":
        shown, places = both.placed(page.document, page.size)
    else:
        # What another Chromium draws, the engine need not lay out.
        shown, places = both.chromium(page.document, page.size), None
    return Compared(page, drawn, shown, similarity(shown, drawn.image), places)


def spoiled(shown: Image.Image) -> dict[str, float]:
    """Return how like a page are a blank one, and the same moved by 20 px."""
    ground = shown.convert("RGB").getpixel((0, 0))
    blank = Image.new("RGB", shown.size, ground)
    moved = ImageChops.offset(shown.convert("RGB"), MOVED, MOVED)
    return {
        "blank": similarity(shown, blank),
        "moved": similarity(shown, moved),
    }


def judge(both: Pair, rows: Sequence[Feature]) -> Iterator[Verdict]:
    """Draw features twice, and once more in Chromium without them.

    Raises ValueError where Chromium draws the same without one.
    """
    for at in range(0, len(rows), _AT_ONCE):
        some = rows[at : at + _AT_ONCE]
        given = both.chromium_each([each.given for each in some], _FEATURE_SIZE)
        plain = both.chromium_each([each.without for each in some], _FEATURE_SIZE)
        for feature, shown, without in zip(some, given, plain, strict=True):
            drawn = both.mimeo("html", feature.given, _FEATURE_SIZE)
            yield _verdict(feature, drawn, shown, without)


def _verdict(
    feature: Feature, drawn: Drawn, shown: Image.Image, plain: Image.Image
) -> Verdict:
    if similarity(shown, plain) >= ALIKE:
        raise ValueError(f"{feature.name}: Chromium draws the same without it")
    score = similarity(shown, drawn.image)
    without = similarity(plain, drawn.image)
    verdict = "otherwise"
    if score >= ALIKE and score > without:
        verdict = "as Chromium"
    elif without >= ALIKE:
        verdict = "not drawn"
    return Verdict(feature, verdict, score, drawn.ignored, (drawn.image, shown))


def faults(results: Sequence[Compared]) -> list[str]:
    """Say what of the gallery is not as it must be."""
    found = [
        f"{each.page.name}: {each.score:.2f} is below {EACH}"
        for each in results
        if each.score < EACH
    ]
    mean = sum(each.score for each in results) / len(results)
    if mean < MEAN:
        found.append(f"the mean {mean:.3f} is below {MEAN}")
    there, all_ = _placed(results)
    if there < IN_PLACE * all_:
        found.append(f"{there} of {all_} elements are in their place")
    for each in results:
        for how, score in spoiled(each.shown).items():
            if score >= EACH:
                found.append(f"{each.page.name}: {how}, it passes with {score:.2f}")
    return found


def _placed(results: Iterable[Compared]) -> tuple[int, int]:
    there = every = 0
    for each in results:
        if each.places is not None:
            strays = each.places.strays(each.page.size[0])
            every += len(each.places.browser)
            there += len(each.places.browser) - len(strays)
    return there, every


def main() -> int:
    """Run; return the exit status."""
    arguments = _arguments()
    out: Path | None = arguments.out
    said: list[str] = []
    with pair() as both:
        if arguments.pages is not None:
            said += _run_gallery(both, arguments.pages, out, verbose=arguments.verbose)
        if arguments.features:
            said += _run_features(both, out, markdown=arguments.markdown)
    for fault in said:
        print(fault, file=sys.stderr)
    return 1 if said else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", nargs="*", help="the gallery, or pages of it")
    parser.add_argument("--features", action="store_true", help="the table of features")
    parser.add_argument("--markdown", action="store_true", help="for the docs")
    parser.add_argument("--out", type=Path, help="folder for pictures side by side")
    parser.add_argument("--verbose", action="store_true", help="name what stands apart")
    arguments = parser.parse_args()
    if arguments.pages is None and not arguments.features:
        arguments.pages, arguments.features = [], True
    return arguments


def _run_gallery(
    both: Pair, names: Sequence[str], out: Path | None, *, verbose: bool
) -> list[str]:
    results = []
    print("| page | by | similarity | elements in place | blank | moved | said |")
    print("|---|---|---|---|---|---|---|")
    for page in gallery(names):
        result = compare(both, page)
        results.append(result)
        there, every = _placed([result])
        blank, moved = spoiled(result.shown).values()
        print(
            f"| {page.name} | {page.renderer} | {result.score:.2f}"
            f" | {f'{there} of {every}' if every else ''} | {blank:.2f} | {moved:.2f}"
            f" | {', '.join(result.drawn.ignored)} |",
            flush=True,
        )
        if verbose and result.places is not None:
            for name, (box, other) in result.places.strays(page.size[0]).items():
                print(f"    {name}: {_short(box)}, {_short(other)}", file=sys.stderr)
        if out is not None:
            out.mkdir(exist_ok=True)
            _beside(result.drawn.image, result.shown).save(out / f"{page.name}.png")
    there, every = _placed(results)
    mean = sum(each.score for each in results) / len(results)
    least = min(each.score for each in results)
    print(
        f"\n{len(results)} pages: mean {mean:.3f}, least {least:.2f};"
        f" {there} of {every} elements in place ({there / max(every, 1):.1%})"
    )
    return faults(results)


def _run_features(both: Pair, out: Path | None, *, markdown: bool) -> list[str]:
    verdicts = list(judge(both, features()))
    group = ""
    for each in verdicts:
        if each.feature.group != group:
            group = each.feature.group
            print(f"\n### {group}\n\n| feature | `html` | said |\n|---|---|---|")
        said = ", ".join(f"`{part}`" for part in each.ignored)
        exact = "" if markdown else f" ({each.score:.2f})"
        print(f"| {each.feature.name} | {each.verdict}{exact} | {said} |")
    if out is not None:
        out.mkdir(exist_ok=True)
        _sheet(verdicts).save(out / "features.png")
    return [
        f"{each.feature.group}, {each.feature.name}: {each.verdict}, and nothing said"
        for each in verdicts
        if each.verdict != "as Chromium" and not each.ignored
    ]


def _beside(one: Image.Image, other: Image.Image) -> Image.Image:
    width, height = one.size
    sheet = Image.new("RGB", (2 * width + _GAP, height), "#888888")
    sheet.paste(one.convert("RGB"), (0, 0))
    sheet.paste(other.convert("RGB"), (width + _GAP, 0))
    return sheet


def _sheet(verdicts: Sequence[Verdict]) -> Image.Image:
    """Return all features, in `html` and Chromium, four pairs a row."""
    width, height = 2 * _FEATURE_SIZE[0] + 3 * _GAP, _FEATURE_SIZE[1] + 24
    rows = -(-len(verdicts) // 4)
    sheet = Image.new("RGB", (4 * width, rows * height), "#cccccc")
    pen = ImageDraw.Draw(sheet)
    for number, each in enumerate(verdicts):
        left, top = number % 4 * width, number // 4 * height
        sheet.paste(_beside(*each.pictures), (left + _GAP, top + 18))
        label = f"{each.feature.name}: {each.verdict} {each.score:.2f}"
        colour = {"as Chromium": "#006600"}.get(each.verdict, "#aa0000")
        pen.text((left + _GAP, top + 4), label, colour)
    return sheet


def _short(box: Sequence[float] | None) -> str:
    return "nowhere" if box is None else " ".join(f"{side:.0f}" for side in box)


if __name__ == "__main__":
    sys.exit(main())
