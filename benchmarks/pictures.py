"""The four pictures that every contender draws, and their parts for other engines.

In each one a single text changes from request to request: the title, or the name.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlencode

import segno
import uharfbuzz as hb  # type: ignore[import-untyped]

from app.config import Settings
from app.renderer.catalogue import PACKAGED
from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.fonts import load_fonts
from app.renderer.template.template import Template
from app.renderer.template.template_files import read_files
from benchmarks import card, titles
from benchmarks.titles import Box

TEMPLATES = Path(__file__).parent / "templates"
# Where each contender answers; `{title}` and `{size}` are filled in by the load.
PATH = "/picture.png?title={title}&size={size}"
_CLAMP = re.compile(r"line-clamp:\d+;")
# The optical size that Mimeo's engine draws; newer ones follow the font size.
OPSZ = 14


@dataclass(frozen=True, slots=True)
class Picture:
    """A template, its parameters, and which of them is new in every request."""

    name: str
    folder: Path
    size: tuple[int, int]
    parameters: Mapping[str, str]
    changes: str
    box: Box

    @property
    def path(self) -> str:
        """The path at Mimeo, with `{title}` for the text that changes."""
        rest = {k: v for k, v in self.parameters.items() if k != self.changes}
        query = urlencode(rest, quote_via=quote)
        return f"/images/{self.name}.png?{query}&{self.changes}={{title}}"

    @property
    def mark(self) -> str:
        """The text that stands for the one that changes."""
        return self.parameters[self.changes]


_BADGE = {
    "name": "Grace Hopper of the Navy",
    "role": "Rear admiral",
    "company": "United States Navy",
    "event": "Compiler Summit 2026",
    "qr": "https://example.org/p/grace-hopper",
}
_CERTIFICATE = {
    "name": "Katherine Johnson",
    "course": "Orbital Mechanics for Navigators",
    "date": "20 February 2026",
    "issuer": "Langley Institute",
}
# `card` has flat shapes beside text; `poster` text in a box on a gradient, as the
# cards of most sites, which is harder to compress.
PICTURES: Mapping[str, Picture] = MappingProxyType(
    {
        "card": Picture(
            "card",
            PACKAGED / "card",
            card.SIZE,
            card.PARAMETERS,
            "title",
            Box(644, 258, 76),
        ),
        "poster": Picture(
            "poster",
            TEMPLATES / "poster",
            card.SIZE,
            card.PARAMETERS,
            "title",
            Box(928, 187, 72),
        ),
        "badge": Picture(
            "badge", PACKAGED / "badge", (600, 900), _BADGE, "name", Box(504, 178, 132)
        ),
        "certificate": Picture(
            "certificate",
            PACKAGED / "certificate",
            (1123, 794),
            _CERTIFICATE,
            "name",
            Box(860, 132, 78),
        ),
    }
)


def export(folder: Path, name: str) -> None:
    """Write a picture's page, parameters, images and fonts for the other servers.

    `page.json` is the very markup that Mimeo draws, with the example's text as a mark;
    `picture.json` the parameters; `fonts.json` static instances of the fonts, which lie
    in `static`; those with axes lie in `variable`, of which `fonts.conf` tells. CJK
    fonts hold the characters of the titles and no others, as careful users have it.
    """
    picture = PICTURES[name]
    page = _page(picture)
    for file, data in page.images.items():
        (folder / file).write_bytes(data)
    if "qr" in picture.parameters:
        code = segno.make(picture.parameters["qr"], error="M", micro=False)
        code.save(str(folder / "code.svg"), border=0, dark="#1d2433", omitsize=True)
    (folder / "page.json").write_text(
        json.dumps(
            {
                "size": picture.size,
                "mark": picture.mark,
                # The clamp belongs to the example's number of lines.
                "html": _CLAMP.sub("", page.body),
                "styles": page.styles,
                "images": list(page.images),
            }
        )
    )
    (folder / "picture.json").write_text(
        json.dumps(
            {
                "picture": name,
                "size": picture.size,
                "changes": picture.changes,
                "parameters": dict(picture.parameters),
            }
        )
    )
    _write_fonts(folder)


@cache
def _engine() -> Engine:
    return Engine(load_fonts(None, system=False))


def _page(picture: Picture) -> Page:
    template = Template(read_files(picture.folder), _engine(), Settings())
    values = dict(picture.parameters)
    return template.page(template.model.model_validate_strings(values), 1)


@dataclass(frozen=True, slots=True)
class _Font:
    """A file of ours, and the weights in which templates use it."""

    family: str
    file: str
    weights: tuple[int, ...]
    pinned: Mapping[str, float]
    index: int = 0
    subset: bool = False
    style: str = "normal"


_FONTS = (
    _Font("Inter", "Inter[opsz,wght].ttf", (400, 500, 600, 700, 800), {"opsz": OPSZ}),
    _Font("Source Serif 4", "SourceSerif4[opsz,wght].ttf", (400, 500, 600), {}),
    _Font(
        "Source Serif 4",
        "SourceSerif4-Italic[opsz,wght].ttf",
        (400,),
        {},
        style="italic",
    ),
    _Font(
        "Noto Sans Arabic", "NotoSansArabic[wdth,wght].ttf", (600, 800), {"wdth": 100}
    ),
    # Face 2 has the forms of mainland China; the titles have all three languages.
    _Font("Noto Sans CJK SC", "NotoSansCJK-VF.otf.ttc", (600, 800), {}, 2, True),
)


def _write_fonts(folder: Path) -> None:
    """Write both kinds of font files; they are made once for a run."""
    faces = []
    for part in ("static", "variable"):
        (folder / part).mkdir()
    for font, weight, data in _files():
        stem = font.family.lower().replace(" ", "-")
        stem += "-italic" if font.style == "italic" else ""
        suffix = "otf" if data[:4] == b"OTTO" else "ttf"
        if weight is None:
            (folder / "variable" / f"{stem}.{suffix}").write_bytes(data)
            continue
        file = f"static/{stem}-{weight}.{suffix}"
        (folder / file).write_bytes(data)
        face = {"name": font.family, "weight": weight, "style": font.style}
        faces.append({**face, "file": file})
    (folder / "fonts.json").write_text(json.dumps(faces))
    (folder / "fonts.conf").write_text(
        f"<fontconfig><dir>{folder / 'variable'}</dir>"
        f"<cachedir>{folder / 'cache'}</cachedir></fontconfig>"
    )


@cache
def _files() -> tuple[tuple[_Font, int | None, bytes], ...]:
    return tuple(_instances())


def _instances() -> Iterator[tuple[_Font, int | None, bytes]]:
    """Yield each font without its weight, which stays an axis, and at each weight."""
    paths = {face.path.name: face.path for face in load_fonts(None, system=False).faces}
    for font in _FONTS:
        path = paths[_known(font.file, paths)]
        for weight in (None, *font.weights):
            yield font, weight, _subset(path, font, weight)


def _known(file: str, paths: Mapping[str, Path]) -> str:
    """Return the name of the file that has this family, whatever its axes."""
    stem = file.partition("[")[0]
    return next(name for name in paths if name.partition("[")[0] == stem)


def _subset(path: Path, font: _Font, weight: int | None) -> bytes:
    """Return a face with all axes fixed but its weight, or that too, and no more."""
    face = hb.Face(hb.Blob.from_file_path(str(path)), font.index)
    plan = hb.SubsetInput()
    if font.subset:
        plan.unicode_set.update(map(ord, titles.ALPHABET))
    else:
        plan.keep_everything()
    for axis in face.axis_infos:
        value = font.pinned.get(axis.tag, axis.default_value)
        if axis.tag != "wght":
            plan.pin_axis_location(face, axis.tag, value)
        elif weight is not None:
            plan.pin_axis_location(face, axis.tag, weight)
    if weight is not None:
        # Older readers know CFF and not CFF2.
        plan.flags |= hb.SubsetFlags.DOWNGRADE_CFF2
    return bytes(hb.subset(face, plan).blob.data)
