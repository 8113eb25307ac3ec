"""Workbooks as rows of text: .xlsx (ECMA-376) and .ods (OpenDocument 1.3).

Cells are what the sheet shows: percent, leading zeros, thousands, currency, dates.
"""

import os
import posixpath
import re
import tempfile
from array import array
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime, time
from math import isfinite
from typing import IO, NamedTuple
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError

from openpyxl.styles.numbers import (  # type: ignore[import-untyped]
    BUILTIN_FORMATS,
    is_date_format,
    is_timedelta_format,
)
from openpyxl.utils.datetime import from_excel  # type: ignore[import-untyped]

from app.collection.errors import Unreadable
from app.collection.ingest.columns import Record
from app.collection.ingest.number_format import UnknownNumberFormat, number_format
from app.collection.ingest.table import Warnings
from app.renderer.errors import BadParameter, Fault, shorten

_Relations = Mapping[str, tuple[str, str]]

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_ODS_TYPE = b"application/vnd.oasis.opendocument.spreadsheet"
# OLE 2: what an old .xls is, and a workbook with a password.
_OLE = b"\xd0\xcf\x11\xe0"
# Of a part that is read before any row, and of a row or a shared string.
_MOST_WHOLE = 4 << 20
_MOST_COLUMNS = 16_384
_MOST_ROWS = 1 << 20
_MOST_DEPTH = 64
# A row of all columns has six elements in each cell.
_MOST_INSIDE = 6 * _MOST_COLUMNS
# Sheets are packed to a tenth or twentieth; a hundred times is called a bomb elsewhere.
_MOST_PACKED = 150
_TRUE = ("1", "true")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ$"
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
_HALF = re.compile("[\ud800-\udfff]")
_SAVE_AGAIN = "save the file again in a spreadsheet program"
_OOO_ERROR = re.compile(r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!)|Err:[0-9]+")
_DAYS_TO_1904 = 1462
# Formats that a program shows in the manner of its reader's system; the second line is
# Chinese, Japanese and Korean ones, where one number is a date here and a time there.
_SYSTEM_DATES = {
    **{14: "yyyy-mm-dd", 22: "yyyy-mm-dd h:mm"},
    **dict.fromkeys((*range(27, 32), 36, *range(50, 55), 57, 58), "yyyy-mm-dd"),
    **{32: "h:mm", 33: "h:mm:ss"},
    **dict.fromkeys((34, 35, 55, 56), "yyyy-mm-dd h:mm"),
}
# openpyxl has these without the semicolons that part them.
_BUILTIN = {
    41: '#,##0_);\\(#,##0\\);"-"',
    42: '"$"#,##0_);"$"\\(#,##0\\);"$-"',
    43: '#,##0.00_);\\(#,##0.00\\);"-"',
    44: '"$"#,##0.00_);"$"\\(#,##0.00\\);"$-"',
    47: "mm:ss.0",
}


class _Sheet(NamedTuple):
    name: str
    part: str
    is_hidden: bool


def read_workbook(
    file: IO[bytes], sheet: str | None, most: int, warned: Warnings
) -> Generator[Record]:
    """Yield the rows of one sheet that hold anything, as the sheet shows them.

    `sheet` is a sheet's name, else the first visible one is taken; `most` bounds the
    unpacked bytes of each part that is read. Raises BadParameter on `sheet` where there
    is none of that name, and Unreadable where the file is no workbook or is broken.
    """
    file.seek(0)
    head = file.read(4)
    # Excel encrypts by wrapping the whole ZIP archive in an OLE file.
    if head == _OLE:
        reason = "is an old .xls or has a password: save it as .xlsx without one"
        raise Unreadable(None, f"the workbook {reason}")
    try:
        with ZipFile(file) as archive:
            names = frozenset(archive.namelist())
            kind = b""
            if "mimetype" in names:
                with archive.open(_sized(archive.getinfo("mimetype"), 100)) as source:
                    kind = source.read()
            if kind.strip() == _ODS_TYPE:
                yield from _read_ods(archive, sheet, most, warned)
            elif "xl/workbook.bin" in names:
                raise Unreadable(None, "the workbook is .xlsb: save it as .xlsx")
            elif "[Content_Types].xml" in names:
                yield from _read_xlsx(archive, sheet, most, warned)
            else:
                reason = "the file is a ZIP archive and neither .xlsx nor .ods"
                raise Unreadable(None, f"{reason}: save it as .xlsx, .ods or CSV UTF-8")
    # The last is zipfile's for flags of PKZIP's own, such as strong encryption.
    except (BadZipFile, ZlibError, EOFError, NotImplementedError) as error:
        raise Unreadable(None, f"the workbook is damaged: {error}") from error
    except ElementTree.ParseError as error:
        raise Unreadable(None, f"a part of the workbook is not XML: {error}") from error


def _part(parts: Mapping[str, ZipInfo], name: str, most: int) -> ZipInfo:
    """Find a part, whatever its case; raise Unreadable for none or a huge one."""
    info = parts.get(name.lower())
    if info is None:
        raise Unreadable(None, f"the workbook has no part {shorten(name)}")
    return _sized(info, most)


def _sized(info: ZipInfo, most: int) -> ZipInfo:
    """Bound a part; zipfile hands out no more than the size that is checked here.

    Raises Unreadable also where it is encrypted, or packed by a method that no package
    may have (ECMA-376, part 2, annex B): not all of those fail in one way.
    """
    name = shorten(info.filename)
    if info.flag_bits & 1:
        raise Unreadable(None, "the workbook has a password: save it without one")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        reason = "is packed by another method than deflate"
        raise Unreadable(None, f"{name} of the workbook {reason}: {_SAVE_AGAIN}")
    if info.file_size > most:
        raise Unreadable(
            None, f"{name} of the workbook has {info.file_size:,} bytes, over {most:,}"
        )
    if info.file_size > max(1 << 20, _MOST_PACKED * info.compress_size):
        reason = f"is packed to less than one {_MOST_PACKED}th, as no program does"
        raise Unreadable(None, f"{name} of the workbook {reason}")
    return info


def _choose(sheets: Sequence[_Sheet], wanted: str | None, warned: Warnings) -> _Sheet:
    """Return the sheet of that name, or the first one that is visible."""
    if wanted is not None:
        # Excel itself takes the names of sheets without case.
        for same in (str, str.casefold):
            found = [each for each in sheets if same(each.name) == same(wanted)]
            if len(found) == 1:
                return found[0]
        names = ", ".join(shorten(each.name) for each in sheets[:20])
        reason = f"no sheet is called {shorten(wanted)!r}; there are {names}"
        raise BadParameter(Fault("sheet", reason))
    visible = [each for each in sheets if not each.is_hidden]
    if not visible:
        raise Unreadable(None, "the workbook has no sheet that is visible")
    if len(sheets) > 1:
        others = ", ".join(shorten(s.name) for s in sheets if s is not visible[0])
        first = shorten(visible[0].name)
        warned.add(f"the sheet {first!r} was read; sheet=NAME reads another: {others}")
    return visible[0]


class _PartReader:
    """A part of a workbook as it is read, bounded from one thing to the next."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.taken = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; raise Unreadable where nothing ends for too long."""
        data = self._source.read(size)
        self.taken += len(data)
        if self.taken > _MOST_WHOLE:
            reason = f"a row or cell of the workbook has over {_MOST_WHOLE:,} bytes"
            raise Unreadable(None, reason)
        return data


def _events(
    source: IO[bytes], kept: str
) -> Iterator[tuple[str, str, ElementTree.Element]]:
    """Yield starts and ends of elements, with their local names.

    Those of the name `kept` are whole at their end; what is in no such one is forgotten
    as soon as it ends, because a sheet has millions. Raises Unreadable where one would
    take much memory.
    """
    part = _PartReader(source)
    path: list[ElementTree.Element] = []
    held = inside = 0
    for event, element in ElementTree.iterparse(part, ("start", "end")):
        # Strict Open XML has namespaces of its own, and the same names in them.
        name = element.tag.rpartition("}")[2]
        if event == "start":
            path.append(element)
            if len(path) > _MOST_DEPTH:
                raise Unreadable(None, "a part of the workbook is nested too deeply")
            if name == kept and not held:
                held, inside = len(path), 0
            inside += 1
            if held and inside > _MOST_INSIDE:
                reason = f"has more than {_MOST_INSIDE:,} elements"
                raise Unreadable(None, f"a row or cell of the workbook {reason}")
            yield event, name, element
            continue
        yield event, name, element
        path.pop()
        if held > len(path):
            held = 0
        if not held:
            part.taken = 0
            element.clear()
            # An empty element would still take 100 bytes below its parent.
            if path:
                path[-1].remove(element)


class _Strings:
    """The shared strings of a workbook on disk: in memory are eight bytes of each."""

    def __init__(self, archive: ZipFile, part: ZipInfo | None) -> None:
        # It outlives this method: `close` gives it back.
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115
        self._ends = array("Q", [0])
        try:
            if part is not None:
                with archive.open(part) as source:
                    self._write(source)
        except BaseException:
            self.close()
            raise

    def _write(self, source: IO[bytes]) -> None:
        size = 0
        for event, name, element in _events(source, "si"):
            if event == "end" and name == "si":
                data = _text(element).encode("utf-8", "surrogatepass")
                self._file.write(data)
                size += len(data)
                self._ends.append(size)
        self._file.flush()

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self._ends) - 1:
            raise IndexError(index)
        start, stop = self._ends[index], self._ends[index + 1]
        data = os.pread(self._file.fileno(), stop - start, start)
        return data.decode("utf-8", "surrogatepass")

    def close(self) -> None:
        self._file.close()


def _text(element: ElementTree.Element) -> str:
    """Return a string's text without its readings (`rPh`)."""
    parts = []
    for child in element:
        if child.tag.endswith("}t"):
            parts.append(child.text or "")
        elif child.tag.endswith("}r"):
            parts.extend(each.text or "" for each in child if each.tag.endswith("}t"))
    return _unescaped("".join(parts))


def _unescaped(text: str) -> str:
    """Return what `_x000D_` and the like stand for (ECMA-376, part 1, 22.4.2.4)."""
    if "_x" not in text:
        return text
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    # Escapes are of UTF-16: two may be one character; half of one stays half.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


class _Workbook(NamedTuple):
    """What tells how cells are to be read: the sheets, and the formats of numbers."""

    sheets: Sequence[_Sheet]
    strings: str | None
    has_1904: bool
    styles: Sequence[int]
    codes: Mapping[int, str]


def _relations(parts: Mapping[str, ZipInfo], archive: ZipFile, of: str) -> _Relations:
    """Return kind and place of what a part refers to, by id (ECMA-376, part 2, 9.3)."""
    folder, name = posixpath.split(of)
    info = parts.get(f"{folder}/_rels/{name}.rels".lstrip("/").lower())
    found: dict[str, tuple[str, str]] = {}
    if info is None:
        return found
    with archive.open(_sized(info, _MOST_WHOLE)) as source:
        for event, tag, element in _events(source, ""):
            if event == "start" and tag == "Relationship":
                target = element.get("Target", "").replace("\\", "/")
                place = posixpath.normpath(posixpath.join("/", folder, target))
                kind = element.get("Type", "").rpartition("/")[2]
                found[element.get("Id", "")] = (kind, place.lstrip("/"))
    return found


def _open_workbook(archive: ZipFile, parts: Mapping[str, ZipInfo]) -> _Workbook:
    """Read the little that touches values: fonts and fills need not even be right."""
    main = "xl/workbook.xml"
    for kind, place in _relations(parts, archive, "").values():
        if kind == "officeDocument":
            main = place
    relations = _relations(parts, archive, main)
    sheets: list[_Sheet] = []
    has_1904 = False
    with archive.open(_part(parts, main, _MOST_WHOLE)) as source:
        for event, name, element in _events(source, ""):
            if event != "start":
                continue
            if name == "workbookPr":
                has_1904 = element.get("date1904") in _TRUE
            elif name == "sheet":
                key = next((key for key in element.attrib if key.endswith("}id")), "")
                kind, place = relations.get(element.get(key, ""), ("", ""))
                if kind == "worksheet":
                    is_hidden = element.get("state", "visible") != "visible"
                    sheets.append(_Sheet(element.get("name", ""), place, is_hidden))
    places = {kind: place for kind, place in relations.values()}
    strings = places.get("sharedStrings")
    styles, codes = _styles(archive, parts.get(places.get("styles", "").lower()))
    return _Workbook(sheets, strings, has_1904, styles, codes)


def _styles(
    archive: ZipFile, part: ZipInfo | None
) -> tuple[Sequence[int], Mapping[int, str]]:
    """Return the format's number of each style, and the codes of numbers."""
    styles = array("L")
    codes: dict[int, str] = {}
    if part is None:
        return styles, codes
    is_cell = False
    with archive.open(_sized(part, _MOST_WHOLE)) as source:
        for event, name, element in _events(source, ""):
            if name == "cellXfs":
                is_cell = event == "start"
            elif event == "start" and name in ("xf", "numFmt"):
                text = element.get("numFmtId", "0")
                number = int(text) if text.isdecimal() and len(text) < 9 else 0
                if name == "numFmt":
                    codes[number] = _unescaped(element.get("formatCode", "General"))
                elif is_cell:
                    styles.append(number)
    return styles, codes


def _read_xlsx(
    archive: ZipFile, sheet: str | None, most: int, warned: Warnings
) -> Iterator[Record]:
    # Names of parts are the same in any case, and some write them with backslashes.
    parts = {
        info.filename.replace("\\", "/").lower(): info for info in archive.infolist()
    }
    workbook = _open_workbook(archive, parts)
    chosen = _choose(workbook.sheets, sheet, warned)
    shared = parts.get((workbook.strings or "").lower())
    if shared is not None:
        _sized(shared, most)
    rows = _part(parts, chosen.part, most)
    with closing(_Strings(archive, shared)) as strings, archive.open(rows) as source:
        cells = _SheetCells(strings, workbook, warned)
        for event, name, element in _events(source, "row"):
            if event == "start":
                continue
            if name == "row":
                record = cells.record(element)
                if record is not None:
                    yield record
            elif name == "mergeCell":
                first, _, last = element.get("ref", "").partition(":")
                if last and first.lstrip(_LETTERS) != last.lstrip(_LETTERS):
                    _warn_merged(warned)
        _warn_hidden(cells.hidden, warned)


class _SheetCells:
    """Turns the rows of a worksheet into texts; `hidden` counts those passed over."""

    def __init__(
        self, strings: _Strings, workbook: _Workbook, warned: Warnings
    ) -> None:
        self._strings = strings
        self._workbook = workbook
        self._warned = warned
        self._line = 0
        self.hidden = 0

    def record(self, row: ElementTree.Element) -> Record | None:
        """Return a row, or None where it holds nothing or is hidden."""
        # Both numbers may be left out: then they count on.
        text = row.get("r", f"{self._line + 1}")
        if not text.isdecimal() or len(text) > 8:
            reason = f"the row behind this one has the number {shorten(text)!r}"
            raise Unreadable(self._line, reason)
        line = self._line = int(text)
        faults: dict[int, str] = {}
        texts: list[str] = []
        place = -1
        for cell in row:
            if not cell.tag.endswith("}c"):
                continue
            place = _place(cell.get("r"), place + 1)
            if not 0 <= place < _MOST_COLUMNS:
                raise Unreadable(line, "has a cell beyond the last column")
            try:
                shown = self._show(line, cell)
                if half := _HALF.search(shown):
                    spelt = f"_x{ord(half[0]):04X}_"
                    raise _BadCell(f"holds half of a character, {spelt}: write it anew")
            except _BadCell as error:
                shown, faults[place] = "", str(error)
            if shown:
                texts.extend([""] * (place + 1 - len(texts)))
                texts[place] = shown
        if not faults and not any(map(str.strip, texts)):
            return None
        if row.get("hidden") in _TRUE:
            self.hidden += 1
            return None
        texts.extend([""] * (max(faults, default=-1) + 1 - len(texts)))
        return Record(line, texts, faults)

    def _show(self, line: int, cell: ElementTree.Element) -> str:
        """Return what a cell shows; raise _BadCell where it cannot be told."""
        kind = cell.get("t", "n")
        parts = {child.tag.rpartition("}")[2]: child for child in cell}
        if "is" in parts:
            return _text(parts["is"])
        value = (parts["v"].text or "") if "v" in parts else ""
        if kind == "str" and "v" in parts:
            return _unescaped(value)
        value = value.strip()
        if not value:
            # Only a program that calculates can tell what it would show.
            if "f" in parts:
                reason = "holds a formula without a stored result"
                raise _BadCell(f"{reason}: save the file once in a spreadsheet program")
            return ""
        if kind == "e":
            raise _BadCell(f"holds the error {shorten(value)}")
        if kind == "b":
            # xsd:boolean has both spellings; Excel writes one, others the other.
            return "TRUE" if value in _TRUE else "FALSE"
        try:
            if kind == "s":
                return self._strings[int(value)]
            number = _moment(value) if kind == "d" else _number(value)
        except (ValueError, LookupError) as error:
            what = "refers to the text" if kind == "s" else "holds the value"
            reason = f"{what} {shorten(value)!r}, which is none"
            raise _BadCell(f"{reason}: {_SAVE_AGAIN}") from error
        return self._formatted(line, number, cell.get("s", "0"))

    def _formatted(self, line: int, value: float | datetime, style: str) -> str:
        styles = self._workbook.styles
        index = int(style) if style.isdecimal() and len(style) < 9 else 0
        number = styles[index] if index < len(styles) else 0
        code = self._workbook.codes.get(number) or _BUILTIN.get(number)
        if code is None and number in _SYSTEM_DATES:
            spelt = "a date whose format is the reader's system's is spelt 2026-03-04"
            self._warned.add(spelt)
            code = _SYSTEM_DATES[number]
        code = code or str(BUILTIN_FORMATS.get(number, "General"))
        is_date = isinstance(value, datetime) or is_date_format(code)
        if is_date and self._workbook.has_1904 and not isinstance(value, datetime):
            value += 0 if is_timedelta_format(code) else _DAYS_TO_1904
        try:
            shown = number_format(code).show(value)
        except (ValueError, ArithmeticError) as error:
            why = error if isinstance(error, UnknownNumberFormat) else repr(code)
            self._warned.add(f"line {line:,}: {why}: the value is shown plainly")
            return _plain(value, is_date)
        # Blanks as wide as a bracket are layout and no text.
        return shown.strip()


class _BadCell(ValueError):
    """What is wrong with one cell."""


def _place(reference: str | None, following: int) -> int:
    """Return the column of a cell from 0; without a reference it is the next one."""
    if reference is None:
        return following
    letters = reference.rstrip("0123456789").upper()
    if not letters.isascii() or not letters.isalpha() or len(letters) > 3:
        return -1
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - 64
    return place - 1


def _number(text: str) -> float:
    """Return a number, whole ones with all of their digits."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return int(text) if text.lstrip("-").isdecimal() else number


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _warn_hidden(count: int, warned: Warnings) -> None:
    if count:
        many = "hidden rows" if count > 1 else "hidden row"
        warned.add(f"{count:,} {many} passed over")


def _warn_merged(warned: Warnings) -> None:
    warned.add("cells that are merged across rows hold their value in the first row")


def _plain(value: float | datetime, is_date: bool) -> str:
    """Spell a value without its format; a day without a time is no midnight."""
    if is_date and not isinstance(value, datetime):
        try:
            value = from_excel(value)
        except (ValueError, ArithmeticError):
            is_date = False
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if is_date else _general(value)


def _general(value: float) -> str:
    try:
        return number_format("General").show(value)
    except (ValueError, ArithmeticError):
        return repr(value)


def _read_ods(
    archive: ZipFile, sheet: str | None, most: int, warned: Warnings
) -> Iterator[Record]:
    """Read a sheet twice: once for the names of all, once for the rows of one."""
    parts = {info.filename.lower(): info for info in archive.infolist()}
    part = _part(parts, "content.xml", most)
    if "meta-inf/manifest.xml" in parts:
        manifest = archive.read(_part(parts, "META-INF/manifest.xml", _MOST_WHOLE))
        if b"encryption-data" in manifest:
            raise Unreadable(None, "the workbook has a password: save it without one")
    # Twice, because a note names all sheets, and those behind the first are not read.
    with archive.open(part) as source:
        chosen = _choose(list(_ods_sheets(source)), sheet, warned)
    with archive.open(part) as source:
        yield from _ods_rows(source, int(chosen.part), warned)


def _ods_sheets(source: IO[bytes]) -> Iterator[_Sheet]:
    hidden: set[str] = set()
    style = ""
    depth = number = 0
    for event, _, element in _events(source, ""):
        if event == "end":
            depth -= element.tag == f"{_TABLE}table"
        elif element.tag == f"{_STYLE}style":
            style = element.get(f"{_STYLE}name", "")
        elif element.tag == f"{_STYLE}table-properties":
            if element.get(f"{_TABLE}display") == "false":
                hidden.add(style)
        elif element.tag == f"{_TABLE}table":
            depth += 1
            if depth == 1:
                name = element.get(f"{_TABLE}name", "")
                is_hidden = element.get(f"{_TABLE}style-name", "") in hidden
                yield _Sheet(name, f"{number}", is_hidden)
                number += 1


def _ods_rows(source: IO[bytes], wanted: int, warned: Warnings) -> Iterator[Record]:
    number, line, hidden = -1, 1, 0
    tables = 0
    for event, _, element in _events(source, "table-row"):
        if event == "start":
            if element.tag == f"{_TABLE}table":
                tables += 1
                number += tables == 1
            continue
        if element.tag == f"{_TABLE}table":
            tables -= 1
            if number == wanted and not tables:
                break
        if element.tag != f"{_TABLE}table-row" or tables != 1 or number != wanted:
            continue
        repeated = _count(element, f"{_TABLE}number-rows-repeated")
        record = _ods_record(element, line, warned)
        if record is not None and line + repeated > _MOST_ROWS + 1:
            raise Unreadable(line, "is repeated beyond the last row of a sheet")
        if record is None:
            pass
        elif element.get(f"{_TABLE}visibility", "visible") != "visible":
            hidden += repeated
        else:
            for each in range(line, line + repeated):
                yield record._replace(line=each)
        line += repeated
    _warn_hidden(hidden, warned)


def _count(element: ElementTree.Element, name: str) -> int:
    text = element.get(name, "1")
    return int(text) if text.isdecimal() and len(text) < 8 else 1


def _ods_record(row: ElementTree.Element, line: int, warned: Warnings) -> Record | None:
    texts: list[str] = []
    faults: dict[int, str] = {}
    blank = 0
    for cell in row:
        if not cell.tag.endswith("table-cell"):
            continue
        repeated = _count(cell, f"{_TABLE}number-columns-repeated")
        paragraphs = [_said(each) for each in cell if each.tag == f"{_TEXT}p"]
        text = "\n".join(paragraphs) if paragraphs else _ods_value(cell)
        if _count(cell, f"{_TABLE}number-rows-spanned") > 1:
            _warn_merged(warned)
        if not text:
            # A sheet ends in 16,000 blank columns that are one element: kept back, they
            # cost nothing unless something follows.
            blank += repeated
            continue
        if len(texts) + blank + repeated > _MOST_COLUMNS:
            raise Unreadable(line, "has a cell beyond the last column")
        texts.extend([""] * blank)
        blank = 0
        is_error = text.startswith(("#", "Err:")) and _OOO_ERROR.fullmatch(text)
        if is_error and cell.get(f"{_TABLE}formula"):
            faults[len(texts)] = f"holds the error {shorten(text)}"
        texts.extend([text] * repeated)
    if not any(map(str.strip, texts)):
        return None
    return Record(line, texts, faults)


def _ods_value(cell: ElementTree.Element) -> str:
    """Return the value of a cell that has no text: some programs write nothing else."""
    kinds = ("string-value", "date-value", "time-value", "boolean-value", "value")
    given = (cell.get(f"{_OFFICE}{kind}") for kind in kinds)
    text = next((each for each in given if each), "")
    try:
        number = _number(text)
    except ValueError:
        return text.upper() if cell.get(f"{_OFFICE}boolean-value") else text
    if cell.get(f"{_OFFICE}string-value"):
        return text
    is_share = cell.get(f"{_OFFICE}value-type") == "percentage"
    return f"{_general(number * 100)}%" if is_share else _general(number)


def _said(element: ElementTree.Element) -> str:
    """Return the text of a paragraph; runs of blanks are elements of their own."""
    parts = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}s":
            parts.append(" " * min(_count(child, f"{_TEXT}c"), 1000))
        elif child.tag == f"{_TEXT}tab":
            parts.append("\t")
        elif child.tag == f"{_TEXT}line-break":
            parts.append("\n")
        elif not child.tag.startswith(_OFFICE):
            parts.append(_said(child))
        parts.append(child.tail or "")
    return "".join(parts)
