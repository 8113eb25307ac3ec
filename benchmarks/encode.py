"""Size and time of PNG against Pillow: `python -m benchmarks.encode`.

All encoders take turns of a few calls on each picture of the gallery, so that what
else the machine does falls on all of them alike. Times are medians; ratios are against
Pillow's default, level 6, on the same picture.
"""

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from PIL import Image

from app.config import allocator
from app.renderer.base import Picture
from app.renderer.encode.png import encode_png
from benchmarks import table
from benchmarks.gallery import PICTURES

Encoder = Callable[[Picture], bytes]


def _pillow(level: int) -> Encoder:
    def encode(picture: Picture) -> bytes:
        buffer = io.BytesIO()
        picture.image.save(buffer, "PNG", compress_level=level)
        return buffer.getvalue()

    return encode


BASE = "pillow 6"
ENCODERS: Mapping[str, Encoder] = {
    BASE: _pillow(6),
    "default": encode_png,
    "fast": lambda picture: encode_png(picture, "fast"),
    "pillow 1": _pillow(1),
    "small": lambda picture: encode_png(picture, "small"),
    "pillow 9": _pillow(9),
}
# A second a picture: once is enough to know.
SLOW = frozenset({"small", "pillow 9"})
# Calls of one encoder before the next has its turn.
RUN = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One encoder on one picture; ratios are against Pillow's default."""

    picture: str
    mode: str
    encoder: str
    size: int
    milliseconds: float
    size_ratio: float
    speed_ratio: float
    size_ratio_rgb: float


def measure(repeats: int, names: Sequence[str]) -> Iterator[Row]:
    """Yield a row for each picture and encoder."""
    for name in names:
        yield from _rows(name, PICTURES[name](), repeats)


def _rows(name: str, picture: Picture, repeats: int) -> Iterator[Row]:
    sizes, times = _take_turns(picture, repeats)
    rgb = len(ENCODERS[BASE](Picture(_without_alpha(picture.image))))
    for encoder in ENCODERS:
        yield Row(
            name,
            picture.image.mode,
            encoder,
            sizes[encoder],
            times[encoder],
            sizes[encoder] / sizes[BASE],
            times[BASE] / times[encoder],
            sizes[encoder] / rgb,
        )


def _without_alpha(image: Image.Image) -> Image.Image:
    """Return RGB for an opaque RGBA picture, as one who knows would hand it over."""
    opaque = image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255)
    return image.convert("RGB") if opaque else image


def _take_turns(
    picture: Picture, repeats: int
) -> tuple[dict[str, int], dict[str, float]]:
    sizes: dict[str, int] = {}
    times: dict[str, list[float]] = {name: [] for name in ENCODERS}
    for turn in range(repeats):
        for name, encode in ENCODERS.items():
            if turn and name in SLOW:
                continue
            size, taken = _run(encode, picture, 1 if name in SLOW else RUN)
            sizes[name] = size
            times[name] += taken
    return sizes, {name: median(taken) for name, taken in times.items()}


def _run(encode: Encoder, picture: Picture, calls: int) -> tuple[int, list[float]]:
    """Return the size, and milliseconds of calls after one that warms the caches.

    In service, drawing has warmed them.
    """
    size, taken = len(encode(picture)), []
    for _ in range(calls):
        start = time.perf_counter()
        encode(picture)
        taken.append((time.perf_counter() - start) * 1e3)
    return size, taken


def show(rows: Sequence[Row], markdown: bool) -> str:
    """Return two tables: bytes, then milliseconds, each with its ratios."""
    others = [name for name in ENCODERS if name != BASE]
    pictures = {row.picture: row.mode for row in rows}
    found = {(row.picture, row.encoder): row for row in rows}
    sizes = [
        [
            f"{picture} ({mode})",
            f"{found[picture, BASE].size:,}",
            *(f"{found[picture, name].size_ratio:.2f}" for name in others),
            f"{found[picture, 'default'].size_ratio_rgb:.2f}",
        ]
        for picture, mode in pictures.items()
    ]
    times = [
        [
            f"{picture} ({mode})",
            f"{found[picture, BASE].milliseconds:.2f} ms",
            f"{found[picture, 'default'].milliseconds:.2f} ms",
            *(f"{found[picture, name].speed_ratio:.1f}x" for name in others),
        ]
        for picture, mode in pictures.items()
    ]
    by_rgb = "default / pillow 6 of RGB"
    return "\n".join(
        (
            table.show(
                "Size, as a share of Pillow's level 6",
                ("picture", "pillow 6, bytes", *others, by_rgb),
                sizes,
                markdown,
            ),
            table.show(
                "Speed, in times of Pillow's level 6",
                ("picture", BASE, "default", *others),
                times,
                markdown,
            ),
        )
    )


def main() -> None:
    """Measure and print; `--json` also writes the rows to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="picture", help="default: all")
    parser.add_argument("--repeats", type=int, default=5, help="turns of four calls")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    unknown = set(options.names) - set(PICTURES)
    if unknown:
        parser.error(f"no picture is named {', '.join(sorted(unknown))}")
    allocator.tune()
    rows = list(measure(options.repeats, options.names or list(PICTURES)))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2))
    print(table.show_machine(options.markdown))
    print(show(rows, options.markdown))


if __name__ == "__main__":
    main()
