"""Texts as the layout engine shapes and breaks them, for every size at once.

The engine sums up what HarfBuzz says: advances that scale with the size, so that one
shaping tells the lines of all sizes. What is here is arithmetic beside the engine: who
builds on it measures the result once, and does without where the two differ.
"""

import math
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from itertools import accumulate, pairwise
from operator import or_
from typing import NamedTuple, TypeVar

import regex  # type: ignore[import-untyped]
import uharfbuzz as hb  # type: ignore[import-untyped]

from app.renderer.engine.families import face_of, is_italic, weight_of
from app.renderer.engine.fonts import FontFile
from app.renderer.engine.typeface import Typeface

_T = TypeVar("_T")
# Below it are letters of one script, Latin, each a cluster of its own.
_BEYOND_LATIN = "\u0300"
_LATIN = ("Latn", "ltr")
_CLUSTER = regex.compile(r"\X")
_COLLAPSED = regex.compile(r"[ \t\n\r\f]{2,}|[\t\n\r\f]")
_RIGHT_TO_LEFT = regex.compile(r"[\p{bc=R}\p{bc=AL}]")
_NUMBER = regex.compile(
    r"[\p{bc=EN}\p{bc=AN}]+(?:[\p{bc=CS}\p{bc=ES}][\p{bc=EN}\p{bc=AN}]+)*"
)
# What forms clusters with letters before it, and numbers, which run from left to right.
_NOT_ALONE = regex.compile(r"[\p{M}\p{Cf}\p{Nd}\p{GCB=V}\p{GCB=T}\p{GCB=L}]")
# What Japanese and Chinese mix in a word; no font tells them apart.
_TOGETHER = {"Hira": "Hani", "Kana": "Hani", "Bopo": "Hani"}
# What needs no glyph of a font: UAX #44, Cc and Cf, apart from joiners and selectors.
_FORMAT = regex.compile(r"[[\p{Cc}\p{Cf}]--\p{Zinh}]", regex.V1)
# Between two characters of ASCII, and behind spaces, the engine does as Chromium does:
# `kAsciiLineBreakTable` in its character_property_data_generator.cc.
_ASCII_BREAK = regex.compile(
    r"(?<= )(?! |\Z)"
    r"|(?<=[A-Za-z0-9]-)(?=[0-9])"
    r"|(?<=-)(?=[\"#%-'(*+\-<->@A-\[\\^-{|~])"
    r"|(?<=\?)(?=[#-&(*+\-0-9<->@A-\[\\^-{|~])"
    r"|(?<=[!-#%&)-.:;=>\\\]|}~])(?=[(<\[{])"
)
# For letters like those of ASCII, beside letters and common marks, both say the same.
_ALPHABETS = "\u00c0-\u024f\u0388-\u03ff\u0400-\u0481\u048a-\u052f"
_UNLIKE_ASCII = regex.compile(
    rf"[^\x00-\x7f{_ALPHABETS}]"
    rf"|[{_ALPHABETS}](?=[^a-zA-Z0-9{_ALPHABETS} ,.:;!?)])"
    rf"|(?<=[^a-zA-Z0-9{_ALPHABETS} ,.(])[{_ALPHABETS}]"
)
# Beside quotation marks UAX #14 lets lines break since Unicode 16, the engine does not.
_QUOTE = regex.compile(r"\p{lb=QU}")
# CSS pixels: the engine sums in 32 bits, so what is this near may come out either way.
_NOISE = 0.01
_EXACT = 1e-9
_SINGLE = struct.Struct("f")
# Behind letters of Thai and the like it breaks a line whatever follows.
_COMPLEX = regex.compile(r"(?<=\p{lb=SA})(?=[^\p{lb=SA} ])")
# Clusters of letters remembered for each order of fonts.
_REMEMBERED = 8192
# What CSS takes for each other where a family has neither: font-weight 400 and 500.
_REGULAR, _MEDIUM = 400, 500


class Unsure(Exception):
    """Rounding decides where a line breaks."""


class Setting(NamedTuple):
    """A text laid out at one size, in CSS pixels.

    `word` is its widest unbroken word; `rows` are its lines and the spaces behind them.
    """

    height: float
    lines: int
    word: float
    rows: tuple[float, ...]


class Font(NamedTuple):
    """A font at one weight, the units of its em, and its metrics in ems."""

    font: hb.Font
    em: int
    ascent: float
    descent: float


class Shaped(NamedTuple):
    """A text in pieces that are not broken, as places along one line, in ems.

    The last of `starts` is the end of the text. `ends` are where the spaces behind a
    piece begin; `drawn` is the same, or behind them where they are of the piece's font.
    `gaps` counts the pieces before one that spaces follow. `clusters` are the ends of
    all clusters of letters. `used` has a bit for each of the `fonts` in a piece.
    `plain` is a text of which each letter is a cluster.
    """

    starts: Sequence[float]
    ends: Sequence[float]
    drawn: Sequence[float]
    gaps: Sequence[int]
    clusters: Sequence[float]
    used: Sequence[int]
    fonts: Sequence[Font]
    plain: bool

    def set(self, size: int, leading: float, width: int, anywhere: bool) -> Setting:
        """Lay the text out in a column of `width` CSS pixels.

        Pieces that are wider are broken if `anywhere`. Raises Unsure.
        """
        starts, ends, gaps = self.starts, self.ends, self.gaps
        room, noise = width / size, _NOISE / size
        rows: list[float] = []
        used: list[int] = []
        word = 0.0
        first, at = 0, starts[0]
        while first < len(ends):
            edge = at + room
            after = bisect_right(ends, edge + _EXACT, first)
            if _near(ends, after, edge, noise):
                raise Unsure
            cut = None
            if after == first:
                after += 1
                cut = self._cut(at, edge, first, noise) if anywhere else None
            used.append(reduce(or_, self.used[first:after]))
            if cut is not None:
                word = max(word, cut - at)
                after, following = first, cut
            else:
                if gaps[after - 1] == gaps[first]:
                    word = max(word, self.drawn[after - 1] - at)
                following = starts[after]
            rows.append((following - at) * size)
            first, at = after, following
        # Sums of exact widths must not miss by less than is drawn.
        word = round(word * size, 4)
        if _EXACT < abs(word - width) < _NOISE:
            raise Unsure
        height = self._height(used, size, leading)
        return Setting(height, len(rows), word, tuple(rows))

    def _cut(self, at: float, edge: float, piece: int, noise: float) -> float | None:
        """Return where a line ends that a piece does not fit into, one cluster long."""
        after = bisect_right(self.clusters, edge + _EXACT)
        if _near(self.clusters, after, edge, noise):
            raise Unsure
        cut = self.clusters[max(bisect_right(self.clusters, at), after - 1)]
        if cut >= self.ends[piece]:
            return None
        # Which of its fonts give this line its height is not known.
        if self.used[piece] & (self.used[piece] - 1):
            raise Unsure
        return cut

    def _height(self, used: Sequence[int], size: int, leading: float) -> int:
        """Stack lines of these fonts as the engine does, in numbers of 32 bits."""
        line = _single(_single(leading) * size)
        known: dict[int, tuple[float, int, int]] = {}
        height = y = 0.0
        bottom = 0
        for bits in used:
            if bits not in known:
                known[bits] = self._line(bits, size, line)
            pitch, above, below = known[bits]
            if not height and not bits & 1:
                # The first font gives the first line its least height.
                pitch = self._line(bits | 1, size, line)[0]
            place = _rounded(y)
            if place + above > bottom:
                height = _single(height + place + above - bottom)
            height = _single(height + pitch)
            bottom = place + below
            y += line
        return math.ceil(height)

    def _line(self, bits: int, size: int, line: float) -> tuple[float, int, int]:
        """Return the height of a line, and where its box begins and ends.

        Its fonts stand on one baseline. Ascents, descents and what is left between
        lines are in whole pixels, halves of the last rounded down.
        """
        ascents, descents, tops = [], [], []
        for place, font in enumerate(self.fonts):
            if bits >> place & 1:
                ascents.append(_rounded(font.ascent * size))
                descents.append(_rounded(font.descent * size))
                spare = line - ascents[-1] - descents[-1]
                tops.append(ascents[-1] + math.floor(spare / 2))
        pitch = _single(max(tops) + _single(line - min(tops)))
        letters = max(ascents) + max(descents)
        spare = line - letters
        above = math.floor(spare / 2)
        below = letters + above + max(_rounded(spare) - above, 0)
        return pitch, min(above, 0), below


def _rounded(value: float) -> int:
    """Round to the nearest integer, halves away from zero."""
    return math.floor(value + 0.5) if value >= 0 else -math.floor(0.5 - value)


def _near(places: Sequence[float], after: int, edge: float, noise: float) -> bool:
    """Tell whether a place beside `after` is so near to an edge that it may be beyond.

    What fits exactly is none of them: most such texts are ideographs of one em each.
    """
    beyond = after < len(places) and places[after] < edge + noise
    return beyond or (after > 0 and noise > edge - places[after - 1] > _EXACT)


def _single(value: float) -> float:
    """Round to 32 bits, in which the engine stacks lines."""
    return float(_SINGLE.unpack(_SINGLE.pack(value))[0])


class _Run(NamedTuple):
    """Neighbouring letters of one font, script and direction."""

    start: int
    end: int
    font: int
    script: str
    direction: str


class Stack:
    """Fonts in the order in which a text takes its letters from them."""

    def __init__(self, fonts: Sequence[tuple[hb.Set, Font]]) -> None:
        self._points = [points for points, _ in fonts]
        self._fonts = [font for _, font in fonts]
        self._places: dict[str, int] = {}

    def shape(self, text: str, tracking: float, lang: str | None) -> Shaped | None:
        """Shape a text that is not blank; `tracking` is in ems.

        None where pytakumi 0.1.5 breaks lines elsewhere than it should: at letters with
        marks that run from right to left, and next to numbers among such letters.
        """
        text = _COLLAPSED.sub(" ", text)
        advances = [0.0] * len(text)
        heads: set[int] = set()
        runs = list(self._runs(text))
        for run in runs:
            found = self._advance(text, run, lang, advances)
            if run.direction == "rtl" and len(found) < run.end - run.start:
                return None
            heads |= found
        for head in heads:
            advances[head] += tracking
        places = [0.0, *accumulate(advances)]
        edges = [0, *breaks(text), len(text)]
        stripped = [
            start + len(text[start:end].rstrip(" ")) for start, end in pairwise(edges)
        ]
        turns = {
            two.start for one, two in pairwise(runs) if one.direction != two.direction
        }
        if "rtl" in {run.direction for run in runs} and not turns <= {
            *edges,
            *stripped,
        }:
            return None
        limits = {run.end for run in runs}
        spaced = [end > seen for seen, end in zip(stripped, edges[1:], strict=True)]
        return Shaped(
            [places[edge] for edge in edges],
            [places[seen] for seen in stripped],
            [
                places[seen if seen in limits else end]
                for seen, end in zip(stripped, edges[1:], strict=True)
            ],
            [0, *accumulate(spaced)],
            [*sorted(map(places.__getitem__, heads)), places[-1]],
            *self._used(runs, edges),
            len(heads) == len(text),
        )

    def _used(
        self, runs: Sequence[_Run], edges: Sequence[int]
    ) -> tuple[Sequence[int], Sequence[Font]]:
        order = list(dict.fromkeys((0, *(run.font for run in runs))))
        fonts = [self._fonts[place] for place in order]
        bits = [0] * (len(edges) - 1)
        for run in runs:
            bit = 1 << order.index(run.font)
            first = bisect_right(edges, run.start) - 1
            for piece in range(first, bisect_right(edges, run.end - 1)):
                bits[piece] |= bit
        return bits, fonts

    def _advance(
        self, text: str, run: _Run, lang: str | None, advances: list[float]
    ) -> set[int]:
        """Add the advances of a run; return where its clusters begin."""
        buffer = hb.Buffer()
        buffer.add_str(text[run.start : run.end])
        buffer.script = run.script
        buffer.direction = run.direction
        if lang is not None:
            # The engine hands on no more of it.
            buffer.language = lang.partition("-")[0]
        buffer.guess_segment_properties()
        font, em, *_ = self._fonts[run.font]
        hb.shape(font, buffer)
        heads = [run.start + glyph.cluster for glyph in buffer.glyph_infos]
        for head, glyph in zip(heads, buffer.glyph_positions, strict=True):
            advances[head] += glyph.x_advance / em
        return set(heads)

    def _runs(self, text: str) -> Iterator[_Run]:
        latin = max(text) < _BEYOND_LATIN
        if latin or not _NOT_ALONE.search(text):
            letters = set(text)
            places = set(map(self._place, letters))
            written_in = set() if latin else set(map(_script, letters)) - {None}
            if len(places) == 1 and len(written_in) <= 1:
                only = next(filter(None, written_in), _LATIN)
                yield _Run(0, len(text), places.pop(), *only)
                return
        clusters = list(text) if latin else _CLUSTER.findall(text)
        numbers: set[int] = set()
        if not latin and _RIGHT_TO_LEFT.search(text):
            for found in _NUMBER.finditer(text):
                numbers.update(range(*found.span()))
        # Before the first letter is what belongs to no script.
        scripts = map(_script, clusters)
        written = _LATIN if latin else next(filter(None, scripts), _LATIN)
        base = written[1]
        start = at = 0
        last: tuple[int, str, str] | None = None
        for cluster in clusters:
            written = written if latin else _script(cluster) or written
            script, direction = written
            if at in numbers:
                direction = "ltr"
            now = (self._place(cluster), script, direction)
            if last is not None and now != last:
                # Spaces between two directions run as the whole text does.
                seen = at
                if base != last[2] != direction:
                    seen = start + len(text[start:at].rstrip(" "))
                if start < seen:
                    yield _Run(start, seen, *last)
                if seen < at:
                    yield _Run(seen, at, last[0], script, base)
                start = at
            last = now
            at += len(cluster)
        if last is not None:
            yield _Run(start, at, *last)

    def _place(self, cluster: str) -> int:
        """Return which font draws a cluster: the first that has all letters of it."""
        place = self._places.get(cluster)
        if place is None:
            needed = [ord(letter) for letter in _FORMAT.sub("", cluster)]
            have = [sum(n in points for n in needed) for points in self._points]
            place = have.index(max(have))
            if len(self._places) < _REMEMBERED:
                self._places[cluster] = place
        return place


class Faces:
    """The faces of families by name; opens a font when a text first needs it."""

    def __init__(self, families: Mapping[str, Sequence[tuple[FontFile, int]]]) -> None:
        self._families = families
        self._face = lru_cache(None)(self._opened)
        self._font = lru_cache(128)(self._weighed)
        self._stack = lru_cache(128)(self._stacked)
        self._typeface = lru_cache(64)(self._measured)

    def content(self, file: FontFile) -> bytes:
        """Return the content of a file that was opened before."""
        for faces in self._families.values():
            for each, index in faces:
                if each is file:
                    return bytes(self._face(file, index)[0].blob.data)
        raise KeyError(file.path)

    def open_all(self) -> None:
        """Open all fonts now, for a process that can open none later."""
        for faces in self._families.values():
            for file, index in faces:
                self._face(file, index)

    def stack(
        self, families: Sequence[str], weight: float, italic: bool
    ) -> Stack | None:
        """Return the fonts of families, best first; None where one is not known."""
        return self._stack(tuple(dict.fromkeys(families)), weight, italic)

    def _stacked(
        self, families: tuple[str, ...], weight: float, italic: bool
    ) -> Stack | None:
        if not all(name in self._families for name in families):
            return None
        return Stack([self._font(name, weight, italic) for name in families])

    def typeface(self, name: str, weight: float, italic: bool) -> Typeface:
        """Return how wide the letters of a loaded family are, and how high."""
        return self._typeface(name, weight, italic)

    def _measured(self, name: str, weight: float, italic: bool) -> Typeface:
        _, font = self._font(name, weight, italic)
        return Typeface(font.font, font.em)

    def _weighed(self, name: str, weight: float, italic: bool) -> tuple[hb.Set, Font]:
        opened = [self._face(file, index) for file, index in self._families[name]]
        slanted = [each for each in opened if is_italic(each[0]) == italic] or opened
        face, points = nearest(slanted, weight, lambda each: weight_of(each[0]))
        font = hb.Font(face)
        if face.has_var_data:
            font.set_variations({"wght": weight})
        metrics = font.get_font_extents("ltr")
        em = face.upem
        return points, Font(font, em, metrics.ascender / em, -metrics.descender / em)

    def _opened(self, file: FontFile, index: int) -> tuple[hb.Face, hb.Set]:
        face = face_of(file.path, index)
        return face, face.unicodes


def nearest(faces: Iterable[_T], weight: float, own: Callable[[_T], float]) -> _T:
    """Return the face that CSS takes for a weight, each being of its `own` one.

    CSS Fonts 4, 5.2.
    """

    def rank(face: _T) -> tuple[int, float]:
        its = own(face)
        if _REGULAR <= weight <= _MEDIUM and weight <= its <= _MEDIUM:
            return 0, its
        lighter = its < weight
        return 1 + (lighter != (weight <= _MEDIUM)), abs(its - weight)

    return min(faces, key=rank)


@lru_cache(_REMEMBERED)
def _script(cluster: str) -> tuple[str, str] | None:
    """Return the script of a cluster and its direction; None if it is of no script."""
    buffer = hb.Buffer()
    buffer.add_str(cluster)
    buffer.guess_segment_properties()
    script = _TOGETHER.get(buffer.script, buffer.script)
    return (script, buffer.direction) if script else None


def breaks(text: str) -> list[int]:
    """Return before which characters the engine may break a line.

    The rules are those of UAX #14, between characters of ASCII Chromium's.
    """
    places = [found.start() for found in _ASCII_BREAK.finditer(text)]
    if text.isascii() or not _UNLIKE_ASCII.search(text):
        return places
    return sorted({*places, *_beyond_ascii(text)})


def _beyond_ascii(text: str) -> Iterator[int]:
    # Loaded when the first such text comes, as for Thai.
    from icu4py.breakers import LineBreaker

    for found in _COMPLEX.finditer(text):
        yield found.start()
    quoted = _QUOTE.search(text) is not None
    for place in accumulate(map(len, LineBreaker(text, "en"))):
        if place == len(text):
            return
        before, after = text[place - 1], text[place]
        if before.isascii() and after.isascii():
            continue
        if not quoted or not (_QUOTE.match(before) or _QUOTE.match(after)):
            yield place
