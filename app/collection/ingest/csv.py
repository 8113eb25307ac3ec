"""CSV as programs write it (RFC 4180 and its relatives): records of cells."""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from charset_normalizer import from_bytes

from app.collection.errors import Unreadable
from app.collection.ingest.binding import count_named
from app.collection.ingest.columns import Columns, Record, read_table
from app.collection.ingest.preview import Preview
from app.collection.ingest.table import ADVICE, Lines, Stream, TableRow, Warnings
from app.parsing.charset import codec_of, mark_of
from app.parsing.image import UnsupportedBody
from app.renderer.errors import shorten

# The field size limit is the process's own; rows are bounded before they get here.
csv.field_size_limit(2**31 - 1)

# Excel writes a semicolon wherever the decimal separator of the country is a comma.
_DELIMITERS = (",", ";", "\t", "|")
# Below it nothing is sure: three bytes are a word in many charsets.
_LEAST_FOREIGN = 8
# Excel obeys a first line `sep=;`, and quotes and pads it when it writes it again.
_SEPARATOR = re.compile(r'"?sep=(.)"?[,;\t]*\s*\Z')
# A text that Excel is not to take for a number: `="007"`.
_PROOF = re.compile(r'\A="([^"]*)"\Z')
# What is drawn around a table in Markdown, and by the terminals of databases.
_RULE = re.compile(r"[\s|+:=-]++")
_ROW_COUNT = re.compile(r"\s*+\(\d++ rows?\)\s*+")
_MOST_HEADER = 64 << 10
# Lines that decide what separates cells.
_SAMPLE = 20
# Eight bytes and more each, as long as the row is in memory.
_MOST_CELLS = 100_000
_BLOCK = 64 << 10
_UTF8 = ("utf-8", "ascii")
# What spreadsheets save as on systems of all regions; others are to be declared.
_UNUSED_1252 = b"\x81\x8d\x8f\x90\x9d"
_TELLING = ("cp1251", "cp1253", "koi8_r")
_LIKELY = (
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("cp874", "mac_roman", "cp932", "gb18030", "big5", "cp949", "koi8_r"),
)


def read_csv(
    stream: Stream,
    columns: Columns,
    most: int,
    warned: Warnings | None = None,
    charset: str | None = None,
    preview: Preview | None = None,
) -> Iterator[TableRow]:
    """Yield the rows below the header; an empty cell is not given.

    Comma, semicolon, tab or bar, whichever makes most sense of the first lines, or what
    a first line `sep=;` says. Rows without anything are passed over. `charset` is what
    was declared; else it is UTF-8, or UTF-16 by its mark, or what can be told for sure.
    Raises BadRows for a wrong header, before any row, and Unreadable where quoting or
    encoding is broken or a row has more than `most` bytes.
    """
    warned = Warnings() if warned is None else warned
    decoded = InUtf8(stream, charset, warned)
    lines = Lines(decoded, most, "; is a quote left open?", lambda: decoded.advice)
    return read_table(_records(lines, columns, warned), columns, warned, preview)


class InUtf8:
    """A stream in UTF-8, whatever it was sent in.

    `advice` is what to do where a line turns out not to be UTF-8.
    """

    def __init__(self, stream: Stream, charset: str | None, warned: Warnings) -> None:
        self._stream = stream
        self._warned = warned
        self._charset = _codec(charset)
        self._decoder: codecs.IncrementalDecoder | None = None
        self._is_begun = self._is_decided = False
        self.advice = ADVICE

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; none at the end."""
        block = self._stream.read(size) if self._is_decided else self._decide(size)
        if self._decoder is None:
            return block
        while True:
            try:
                text = self._decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                reason = f"the file is not {self._charset}: {error.reason}"
                raise Unreadable(None, reason) from error
            if text or not block:
                return text.encode("utf-8", "surrogatepass")
            block = self._stream.read(size)

    def _decide(self, size: int) -> bytes:
        """Look at the first bytes, and again at the first ones that are not ASCII."""
        block = self._stream.read(size)
        mark = None
        if not self._is_begun:
            self._is_begun = True
            # More than the longest mark, since nothing would be the end.
            while len(block) < 5 and (more := self._stream.read(size)):
                block += more
            mark = mark_of(block)
        if mark is not None:
            # It goes before what was declared (WHATWG Encoding, section 6).
            self._charset, block = mark[1], block[len(mark[0]) :]
        elif self._charset is None:
            # Nothing is decided as long as all readings agree. Zeros are ASCII too:
            # UTF-16 is told by them.
            if block.isascii() and b"\0" not in block:
                return block
            while len(block) < _BLOCK and (more := self._stream.read(size)):
                block += more
            if _is_utf16(block):
                self._charset = "utf-16-le" if block[1] == 0 else "utf-16-be"
                self._warned.add(f"the file was read as {self._charset}")
            else:
                self._charset, self.advice = _detect(block, self._warned)
        self._is_decided = True
        if self._charset not in (None, *_UTF8):
            self._decoder = codecs.getincrementaldecoder(self._charset)()
        return block


def _codec(charset: str | None) -> str | None:
    """Return Python's name of a declared charset; raise UnsupportedBody for another."""
    try:
        return None if charset is None else codec_of(charset)
    except LookupError as error:
        raise UnsupportedBody(str(error)) from error


def _is_utf16(block: bytes) -> bool:
    """Tell UTF-16 without a mark: every second byte of its header is zero."""
    head = block[:64]
    return len(head) > 3 and (not any(head[1::2]) or not any(head[::2]))


def _detect(block: bytes, warned: Warnings) -> tuple[str | None, str]:
    """Return the charset of bytes that are not all ASCII, None for UTF-8, and advice.

    Nothing is guessed: where two readings are as likely the first line that is not
    UTF-8 reports them.
    """
    try:
        codecs.getincrementaldecoder("utf-8")().decode(block)
    except UnicodeDecodeError:
        found = list(from_bytes(block, cp_isolation=list(_LIKELY)))
    else:
        return None, ADVICE
    # Coherence is how much the letters are a language. Latin ones are one in several
    # charsets, and of Chinese or Thai the order of letters tells nothing.
    best = max(found, key=lambda each: each.coherence, default=None)
    rivals = [each for each in found if str(each) != str(best)]
    ahead = (
        0.0
        if best is None
        else best.coherence - max((each.coherence for each in rivals), default=0.0)
    )
    is_short = sum(byte > 127 for byte in block) < _LEAST_FOREIGN
    if best is None or is_short or best.encoding not in _TELLING or ahead < 0.25:
        names = [str(each.encoding) for each in found[:4] if each.encoding != "cp1252"]
        if not any(byte in block for byte in _UNUSED_1252):
            names.insert(0, "cp1252")
        if not names:
            return None, ADVICE
        readings = " or ".join(_reading(name, block) for name in names[:4])
        advice = f"{ADVICE}, or say in Content-Type whether its charset is {readings}"
        return None, advice
    warned.add(f"the file is not UTF-8: it was read as {_label(best.encoding)}")
    return str(best.encoding), ADVICE


def _label(codec: str) -> str:
    return codec.replace("cp125", "windows-125").replace("_", "-")


def _reading(codec: str, block: bytes) -> str:
    """Show the first word that is not ASCII as a charset reads it."""
    text = block.decode(codec, "replace")
    words = (word for word in re.split(r"[\s,;\t\"]+", text) if not word.isascii())
    return f"{_label(codec)} ({shorten(next(words, ''))})"


def _records(lines: Lines, columns: Columns, warned: Warnings) -> Iterator[Record]:
    """Yield the records that hold anything, with the line that each begins on."""
    texts = lines.texts()
    sample, delimiter, failure = _sample(lines, texts, columns)
    if failure is not None:
        texts = map(_fail, (failure,))
        if not sample:
            raise failure
    if not sample:
        return
    first = lines.number - len(sample)
    tidy = _Tidy(lines, (*sample,), texts, delimiter)
    cells = csv.reader(iter(tidy), delimiter=delimiter, strict=True)
    blank = width = rules = 0
    while True:
        start = first + cells.line_num + 1
        lines.begin(start)
        try:
            row = next(cells)
        except StopIteration:
            if blank:
                many = f"{blank:,} rows" if blank > 1 else "a row"
                warned.add(f"{many} without anything passed over")
            if rules:
                many = f"{rules:,} lines" if rules > 1 else "a line"
                warned.add(f"{many} between the rows passed over")
            return
        except csv.Error as error:
            line = first + cells.line_num
            if not width:
                reason = "the quotes of the header are broken"
                raise Unreadable(line, reason) from error
            raise _broken(error, start, line) from error
        quoted, tidy.has_quote = tidy.has_quote, False
        if delimiter == "|" and not quoted:
            if _is_rule("|".join(row)):
                rules += 1
                lines.pass_over()
                continue
            row = [cell.strip() for cell in row]
        # A quoted nothing was meant; separators alone are what a deleted row leaves.
        if quoted or any(map(str.strip, row)):
            width = max(width, len(row))
            if quoted:
                row = [_PROOF.sub(r"\1", cell) for cell in row]
            alone = len(row) == 1 and not quoted
            other = _other_delimiter(row, width) if alone else ""
            reason = f"has 1 cells; the header has {width:,}, and {other!r} is in this"
            yield Record(start, row, reason=reason if other else "")
        else:
            blank += len(row) > 1
            lines.pass_over()


def _is_rule(text: str) -> bool:
    return ("--" in text and _RULE.fullmatch(text) is not None) or (
        _ROW_COUNT.fullmatch(text) is not None
    )


def _other_delimiter(row: Sequence[str], width: int) -> str:
    """Tell what separates the cells of a row otherwise than those of the others."""
    counted = ((each, row[0].count(each) + 1) for each in _DELIMITERS)
    return next((each for each, count in counted if count == width > 1), "")


def _sample(
    lines: Lines, texts: Iterator[str], columns: Columns
) -> tuple[list[str], str, Unreadable | None]:
    """Take the first lines; return them, what separates their cells, and a failure.

    A line that cannot be read fails in its turn, when those before it are judged.
    """
    sample: list[str] = []
    size = 0
    forced = ""
    failure = None
    while True:
        lines.begin()
        try:
            text = next(texts, None)
        except Unreadable as error:
            failure = error
            break
        if text is None:
            break
        found = None if sample or forced else _SEPARATOR.match(text)
        if found:
            if found[1] not in _DELIMITERS:
                reason = f"sep={found[1]!r} is not a comma, a semicolon, a tab or a bar"
                raise Unreadable(1, reason)
            forced = found[1]
            continue
        # Blank lines above the header tell nothing of delimiters.
        if not sample and not text.strip():
            continue
        sample.append(text)
        size += len(text)
        # A header is read before anything bounds its cells.
        if len(sample) == 1 and size > _MOST_HEADER:
            raise Unreadable(1, f"the header has more than {_MOST_HEADER:,} characters")
        if len(sample) == _SAMPLE or size > _MOST_HEADER:
            break
    # A line of megabytes is weighed by its beginning.
    heads = [text[:_MOST_HEADER] for text in sample]
    known = columns.names
    delimiter = forced or max(
        _DELIMITERS, key=lambda each: _likelihood(heads, each, known)
    )
    return sample, delimiter, failure


def _fail(error: Unreadable) -> str:
    raise error


def _likelihood(
    sample: Sequence[str], delimiter: str, known: frozenset[str]
) -> tuple[int, int, int]:
    """Weigh a delimiter: known columns of a row, rows of equal width, their width."""
    reader = csv.reader(
        iter(_Tidy(None, sample, iter(()), delimiter)), delimiter=delimiter
    )
    try:
        rows = [row for row in reader if any(map(str.strip, row))]
    except csv.Error:
        return 0, 0, 0
    found = max(count_named(rows, known), default=0)
    width, equal = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
    return found, equal if width > 1 else 0, max(map(len, rows), default=0)


class _Tidy:
    """Lines on their way to the reader; quotes with blanks around them stand alone.

    `has_quote` tells whether one did since it was last set. Raises Unreadable before a
    line becomes millions of cells.
    """

    def __init__(
        self,
        lines: Lines | None,
        sample: Sequence[str],
        texts: Iterator[str],
        delimiter: str,
    ) -> None:
        self._lines = lines
        self._sample = sample
        self._texts = texts
        self._delimiter = delimiter
        self._is_open = False
        self.has_quote = False
        mark = re.escape(delimiter)
        blanks = " *" if delimiter == "\t" else r"[ \t]*"
        self._cell = re.compile(
            rf'{blanks}(?P<quoted>"(?:[^"]|"")*(?P<end>"|\Z)){blanks}(?={mark}|[\r\n]|\Z)'
            rf"|[^{mark}]*"
        )
        self._rest = re.compile(rf'(?:[^"]|"")*"{blanks}')

    def __iter__(self) -> Iterator[str]:
        for source in (self._sample, self._texts):
            for text in source:
                if (
                    len(text) > _MOST_CELLS
                    and text.count(self._delimiter) > _MOST_CELLS
                ):
                    line = self._lines.number if self._lines else None
                    reason = f"has more than {_MOST_CELLS:,} delimiters"
                    raise Unreadable(line, reason)
                if '"' in text:
                    self.has_quote = True
                    text = self._walk(text)
                yield text

    def _walk(self, text: str) -> str:
        """Take blanks around quoted cells off, and see whether one is left open."""
        out: list[str] = []
        place = 0
        if self._is_open:
            found = self._rest.match(text)
            if found is None:
                return text
            place = found.end()
            out.append(found[0].rstrip(" \t"))
            self._is_open = False
            # What follows the closing quote is the reader's to judge.
            end = re.compile(rf"[^{re.escape(self._delimiter)}]*").match(text, place)
            assert end is not None
            out.append(end[0])
            place = end.end()
            if place < len(text):
                out.append(text[place])
                place += 1
        while place < len(text):
            found = self._cell.match(text, place)
            assert found is not None
            if found["quoted"] is None:
                out.append(found[0])
            else:
                out.append(found["quoted"])
                self._is_open = found["end"] != '"'
            place = found.end()
            if found["quoted"] is not None and text[place : place + 1] in ("\r", "\n"):
                out.append(text[place:])
                break
            out.append(text[place : place + 1])
            place += 1
        return "".join(out)


def _broken(error: csv.Error, start: int, line: int) -> Unreadable:
    # The module has one class for all; its text is the only way to tell.
    if "end of data" in str(error):
        return Unreadable(start, "a quote that opens in this row is never closed")
    return Unreadable(line, f"the quoting is broken: {error}")
