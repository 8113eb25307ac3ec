"""Time and memory of tables of 100 and 100,000 rows: `python -m benchmarks.tables`.

Each table is read in a process of its own, until its collection could be stored. Memory
is the peak that Python allocates, by `tracemalloc`, which makes it three times as slow:
the time is that of a run before.
"""

import argparse
import io
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from openpyxl import Workbook

from app.bootstrap import open_catalogue
from app.collection.ingest.upload import read_upload
from app.config import Settings
from benchmarks import table

ROWS = (100, 100_000)
_HEADER = ("name", "role", "company", "qr")
_HEAD = ("table", "rows", "bytes", "seconds", "peak MiB", "over 100 rows, MiB")


def _row(n: int) -> tuple[str, ...]:
    return (
        f"Guest {n} of the house",
        "Speaker",
        f"Company {n % 5000}",
        f"https://example.org/t/{n}",
    )


def csv_of(rows: int) -> bytes:
    """Return a CSV."""
    lines = [",".join(_HEADER), *(",".join(_row(n)) for n in range(rows))]
    return "\n".join(lines).encode()


def xlsx_of(rows: int) -> bytes:
    """Return a workbook whose texts are in its cells, as openpyxl writes it."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(_HEADER)
    for n in range(rows):
        sheet.append(_row(n))
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def shared_of(rows: int) -> bytes:
    """Return a workbook whose texts are shared strings, as Excel writes it."""
    source = ZipFile(io.BytesIO(xlsx_of(1)))
    texts = [text for row in (_HEADER, *map(_row, range(rows))) for text in row]
    place = {text: n for n, text in enumerate(dict.fromkeys(texts))}
    cells = iter(texts)
    lines = [
        f'<row r="{line}">'
        + "".join(
            f'<c r="{"ABCD"[n]}{line}" t="s"><v>{place[next(cells)]}</v></c>'
            for n in range(4)
        )
        + "</row>"
        for line in range(1, rows + 2)
    ]
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    strings = "".join(f"<si><t>{text}</t></si>" for text in place)
    parts = {
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>'
        + "".join(lines)
        + "</sheetData></worksheet>",
        "xl/sharedStrings.xml": f'<sst xmlns="{main}">{strings}</sst>',
    }
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings"
    override = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}+xml"/>'
    # Readers find a part by the relation to it, not by its place.
    relation = (
        '<Relationship Id="rId99" Target="sharedStrings.xml" Type="http://schemas.'
        'openxmlformats.org/officeDocument/2006/relationships/sharedStrings"/>'
    )
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as made:
        for info in source.infolist():
            data = source.read(info).decode()
            if info.filename == "[Content_Types].xml" and "sharedStrings" not in data:
                data = data.replace("</Types>", f"{override}</Types>")
            if info.filename == "xl/_rels/workbook.xml.rels" and relation not in data:
                data = data.replace("</Relationships>", f"{relation}</Relationships>")
            if info.filename not in parts:
                made.writestr(info.filename, data)
        for name, data in parts.items():
            made.writestr(name, data)
    return buffer.getvalue()


TABLES: dict[str, Callable[[int], bytes]] = {
    "CSV": csv_of,
    "xlsx": xlsx_of,
    "xlsx, shared strings": shared_of,
}


def measure(path: Path) -> dict[str, float]:
    """Read one table twice; return seconds of the first and bytes of the second run."""
    settings = Settings()
    catalogue = open_catalogue(settings, {})
    pairs = [("renderer", "badge")]

    def read() -> float:
        started = time.perf_counter()
        with path.open("rb") as file:
            kind = "application/octet-stream"
            read_upload(file, kind, pairs, catalogue, settings).close()
        return time.perf_counter() - started

    seconds = read()
    tracemalloc.start()
    read()
    return {"seconds": seconds, "peak": tracemalloc.get_traced_memory()[1]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; as a child, print JSON."""
    parser = argparse.ArgumentParser("python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    if options.of is not None:
        print(json.dumps(measure(options.of)))
        return 0
    rows = []
    for name, make in TABLES.items():
        least = 0.0
        for count in ROWS:
            path = options.folder / f"mimeo-table-{count}"
            path.write_bytes(make(count))
            command = [sys.executable, "-m", "benchmarks.tables", "--of", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            peak = found["peak"] / (1 << 20)
            least = least or peak
            size = path.stat().st_size
            path.unlink()
            over = f"{peak - least:.1f}"
            seconds = f"{found['seconds']:.2f}"
            rows.append((name, f"{count:,}", f"{size:,}", seconds, f"{peak:.1f}", over))
    print(table.show("Reading tables", _HEAD, rows, options.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
