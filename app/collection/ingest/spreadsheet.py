"""Workbooks as rows of text: .xlsx (ECMA-376) and .ods (OpenDocument 1.3).

Cells are what the sheet shows: percent, leading zeros, thousands, currency, dates.
"""

import os
import re
import tempfile
import warnings
from array import array
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, time, timedelta
from typing import IO, Any, NamedTuple
from xml.etree import ElementTree
from zipfile import BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError

from openpyxl.cell.text import Text  # type: ignore[import-untyped]
from openpyxl.reader.excel import ExcelReader  # type: ignore[import-untyped]
from openpyxl.styles.numbers import (  # type: ignore[import-untyped]
    BUILTIN_FORMATS,
    BUILTIN_FORMATS_MAX_SIZE,
)
from openpyxl.styles.stylesheet import (  # type: ignore[import-untyped]
    apply_stylesheet,
)
from openpyxl.worksheet._reader import (  # type: ignore[import-untyped]
    FORMULA_TAG,
    ROW_TAG,
    VALUE_TAG,
    WorkSheetParser,
)

from app.collection.errors import Unreadable
from app.collection.ingest.columns import Record
from app.collection.ingest.number_format import UnknownNumberFormat, number_format
from app.collection.ingest.table import Warnings
from app.renderer.errors import BadParameter, Fault, shorten

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_ODS_TYPE = b"application/vnd.oasis.opendocument.spreadsheet"
# OLE 2: what an old .xls is, and a workbook with a password.
_OLE = b"\xd0\xcf\x11\xe0"
# openpyxl makes objects of these parts whole, several times their length.
_MOST_WHOLE = 4 << 20
_MOST_COLUMNS = 16_384
_OOO_ERROR = re.compile(r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!)|Err:[0-9]+")
# Formats that a program shows in the manner of its reader's system.
_SYSTEM_DATES = {14: "yyyy-mm-dd", 22: "yyyy-mm-dd h:mm"}


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
            kind = archive.read("mimetype")[:100] if "mimetype" in names else b""
            if kind.strip() == _ODS_TYPE:
                yield from _read_ods(archive, sheet, most, warned)
            elif "xl/workbook.bin" in names:
                raise Unreadable(None, "the workbook is .xlsb: save it as .xlsx")
            elif "[Content_Types].xml" in names:
                yield from _read_xlsx(file, archive, sheet, most, warned)
            else:
                reason = "the file is a ZIP archive and neither .xlsx nor .ods"
                raise Unreadable(None, reason)
    except (BadZipFile, ZlibError, EOFError, NotImplementedError) as error:
        raise Unreadable(None, f"the workbook is damaged: {error}") from error
    except ElementTree.ParseError as error:
        raise Unreadable(None, f"a part of the workbook is not XML: {error}") from error


def _part(archive: ZipFile, name: str, most: int) -> ZipInfo:
    """Find a part; zipfile hands out no more than the size that is checked here."""
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise Unreadable(None, f"the workbook has no part {shorten(name)}") from error
    if info.file_size > most:
        raise Unreadable(
            None, f"{name} of the workbook has {info.file_size:,} bytes, over {most:,}"
        )
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


class _Strings:
    """The shared strings of a workbook on disk: in memory are eight bytes of each."""

    def __init__(self, archive: ZipFile, part: ZipInfo | None) -> None:
        # It outlives this method: `close` gives it back.
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115
        self._ends = array("Q", [0])
        if part is not None:
            with archive.open(part) as source:
                self._write(source)

    def _write(self, source: IO[bytes]) -> None:
        size = 0
        for element in _elements(source, f"{_MAIN}si"):
            data = _text(element).encode()
            self._file.write(data)
            size += len(data)
            self._ends.append(size)
        self._file.flush()

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self._ends) - 1:
            raise IndexError(index)
        start, stop = self._ends[index], self._ends[index + 1]
        return os.pread(self._file.fileno(), stop - start, start).decode()

    def close(self) -> None:
        self._file.close()


def _text(element: ElementTree.Element) -> str:
    """Return a string's text; most are of one run, and openpyxl takes 25 us for it."""
    if len(element) == 1 and element[0].tag == f"{_MAIN}t":
        return element[0].text or ""
    return str(Text.from_tree(element).content)


def _elements(source: IO[bytes], tag: str) -> Iterator[ElementTree.Element]:
    """Yield the elements of a tag, and forget them: a sheet has millions."""
    open_ones: list[ElementTree.Element] = []
    for event, element in ElementTree.iterparse(source, ("start", "end")):
        if event == "start":
            open_ones.append(element)
            continue
        open_ones.pop()
        if element.tag == tag:
            yield element
        if element.tag == tag or len(open_ones) == 1:
            element.clear()
            # An empty element would still take 100 bytes below its parent.
            open_ones[-1].remove(element)


def _read_xlsx(
    file: IO[bytes], archive: ZipFile, sheet: str | None, most: int, warned: Warnings
) -> Iterator[Record]:
    for info in archive.infolist():
        if info.filename.endswith(("workbook.xml", "styles.xml", ".rels")):
            _part(archive, info.filename, _MOST_WHOLE)
    _part(archive, "[Content_Types].xml", _MOST_WHOLE)
    try:
        with warnings.catch_warnings():
            # What openpyxl says of extensions that it leaves out touches no value.
            warnings.simplefilter("ignore")
            reader = ExcelReader(file, read_only=True, data_only=True, keep_links=False)
            reader.read_manifest()
            reader.read_workbook()
            apply_stylesheet(archive, reader.wb)
        sheets = [
            _Sheet(each.name, rel.target, each.state != "visible")
            for each, rel in reader.parser.find_sheets()
            if "worksheet" in rel.Type
        ]
    except (KeyError, ValueError, TypeError, AttributeError, OSError) as error:
        reason = f"the workbook cannot be read: {shorten(str(error))}"
        raise Unreadable(None, reason) from error
    chosen = _choose(sheets, sheet, warned)
    place = reader.package.find(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    )
    shared = None if place is None else _part(archive, place.PartName[1:], most)
    rows = _part(archive, chosen.part, most)
    with closing(_Strings(archive, shared)) as strings, archive.open(rows) as source:
        cells = _SheetCells(source, strings, reader.wb, warned)
        for element in _elements(source, ROW_TAG):
            record = cells.record(element)
            if record is not None:
                yield record
        cells.sum_up()


class _SheetCells:
    """Turns the rows of a worksheet into texts."""

    def __init__(
        self, source: IO[bytes], strings: _Strings, workbook: Any, warned: Warnings
    ) -> None:
        self._parser = WorkSheetParser(
            source,
            strings,
            data_only=True,
            epoch=workbook.epoch,
            date_formats=workbook._date_formats,
            timedelta_formats=workbook._timedelta_formats,
        )
        self._styles = [style.numFmtId for style in workbook._cell_styles]
        self._codes = workbook._number_formats
        self._notes = warned
        self._hidden = 0

    def record(self, element: ElementTree.Element) -> Record | None:
        """Return a row, or None where it holds nothing or is hidden."""
        faults: dict[int, str] = {}
        for cell in element:
            inline = cell.find(f"{_MAIN}is")
            if inline is not None:
                cell.set("t", "str")
                ElementTree.SubElement(cell, VALUE_TAG).text = _text(inline)
            has_result = cell.findtext(VALUE_TAG) or cell.get("t") == "str"
            if not has_result and cell.find(FORMULA_TAG) is not None:
                # Only a program that calculates can tell what it would show.
                cell.set("t", "formula")
        try:
            line, parsed = self._parser.parse_row(element)
        except (ValueError, IndexError, TypeError) as error:
            line = self._parser.row_counter
            raise Unreadable(line, f"a cell is damaged: {error}") from error
        is_hidden = self._parser.row_dimensions.pop(f"{line}", {}).get("hidden")
        texts: list[str] = []
        for cell in parsed:
            place = cell["column"] - 1
            if not 0 <= place < _MOST_COLUMNS:
                raise Unreadable(line, "has a cell beyond the last column")
            if place >= len(texts):
                texts.extend([""] * (place + 1 - len(texts)))
            texts[place], fault = self._show(line, cell)
            if fault:
                faults[place] = fault
        if not faults and not any(map(str.strip, texts)):
            return None
        # xsd:boolean has both spellings; Excel writes one, LibreOffice the other.
        if is_hidden in ("1", "true"):
            self._hidden += 1
            return None
        return Record(line, texts, faults)

    def _show(self, line: int, cell: Mapping[str, Any]) -> tuple[str, str]:
        value = cell["value"]
        if cell["data_type"] == "formula":
            reason = "holds a formula without a stored result"
            return "", f"{reason}: save the file once in a spreadsheet program"
        if value is None:
            return "", ""
        if cell["data_type"] == "e":
            return "", f"holds the error {value}"
        # Before numbers: to Python a truth is one.
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE", ""
        style = cell["style_id"]
        number = self._styles[style] if 0 <= style < len(self._styles) else 0
        if number in _SYSTEM_DATES:
            spelt = "a date whose format is the reader's system's is spelt 2026-03-04"
            self._notes.add(spelt)
        # By number and not by code: the code of 14 stands for whatever the system says.
        code = _SYSTEM_DATES.get(number) or self._code(number)
        try:
            return number_format(code).show(value), ""
        except UnknownNumberFormat as error:
            self._notes.add(f"line {line:,}: {error}: the value is shown plainly")
            return _plain(value), ""

    def _code(self, number: int) -> str:
        if number < BUILTIN_FORMATS_MAX_SIZE:
            return str(BUILTIN_FORMATS.get(number, "General"))
        place = number - BUILTIN_FORMATS_MAX_SIZE
        return str(self._codes[place]) if place < len(self._codes) else "General"

    def sum_up(self) -> None:
        """Say how many rows were hidden."""
        _warn_hidden(self._hidden, self._notes)


def _warn_hidden(count: int, warned: Warnings) -> None:
    if count:
        many = "hidden rows" if count > 1 else "hidden row"
        warned.add(f"{count:,} {many} passed over")


def _plain(value: date | time | timedelta | float | str) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, int | float):
        return number_format("General").show(value)
    return str(value)


def _read_ods(
    archive: ZipFile, sheet: str | None, most: int, warned: Warnings
) -> Iterator[Record]:
    """Read a sheet twice: once for the names of all, once for the rows of one."""
    part = _part(archive, "content.xml", most)
    if "META-INF/manifest.xml" in archive.namelist():
        manifest = archive.read(_part(archive, "META-INF/manifest.xml", _MOST_WHOLE))
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
    path: list[ElementTree.Element] = []
    for event, element in ElementTree.iterparse(source, ("start", "end")):
        if event == "end":
            path.pop()
            depth -= element.tag == f"{_TABLE}table"
            element.clear()
            if path and element.tag == f"{_TABLE}table-row":
                path[-1].remove(element)
            continue
        path.append(element)
        if element.tag == f"{_STYLE}style":
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
    path: list[ElementTree.Element] = []
    tables = 0
    for event, element in ElementTree.iterparse(source, ("start", "end")):
        if event == "start":
            path.append(element)
            if element.tag == f"{_TABLE}table":
                tables += 1
                number += tables == 1
            continue
        path.pop()
        if element.tag == f"{_TABLE}table":
            tables -= 1
            if number == wanted and not tables:
                break
        if element.tag != f"{_TABLE}table-row" or tables != 1:
            continue
        if number == wanted:
            repeated = _count(element, f"{_TABLE}number-rows-repeated")
            record = _ods_record(element, line)
            if record is not None and element.get(f"{_TABLE}visibility"):
                hidden += repeated
            elif record is not None:
                for each in range(line, line + repeated):
                    yield record._replace(line=each)
            line += repeated
        element.clear()
        path[-1].remove(element)
    _warn_hidden(hidden, warned)


def _count(element: ElementTree.Element, name: str) -> int:
    text = element.get(name, "1")
    return int(text) if text.isdigit() and len(text) < 8 else 1


def _ods_record(row: ElementTree.Element, line: int) -> Record | None:
    texts: list[str] = []
    faults: dict[int, str] = {}
    blank = 0
    for cell in row:
        if not cell.tag.endswith("table-cell"):
            continue
        repeated = _count(cell, f"{_TABLE}number-columns-repeated")
        paragraphs = [_said(each) for each in cell if each.tag == f"{_TEXT}p"]
        text = "\n".join(paragraphs)
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
