"""Badges in a ZIP by Pillow: zipstream-ng over Flask, or a script with threads.

`python -m benchmarks.contenders.archive_app COUNT FIRST` is the script: it draws
with as many threads as there are cores and writes a file.
"""

import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from flask import Flask, Response, request, stream_with_context

from benchmarks import titles
from benchmarks.contenders.pillow_app import draw
from benchmarks.pictures import PICTURES

_BOX = PICTURES["badge"].box

app = Flask(__name__)


def _drawn(first: int, count: int) -> Iterator[bytes]:
    """Yield badges in order, drawn by threads."""
    texts = [titles.title(number) for number in range(first, first + count)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(
            draw, texts, (titles.font_size(text, _BOX) for text in texts)
        )


@app.get("/")
def ready() -> str:
    """Say that the server is up."""
    return "ready"


@app.get("/badges.zip")
def badges() -> Response:
    """Stream the archive while it is drawn."""
    # Not above: the script runs without it.
    from zipstream import ZIP_STORED, ZipStream

    archive = ZipStream(compress_type=ZIP_STORED)

    def parts() -> Iterator[bytes]:
        first, count = int(request.args["first"]), int(request.args["count"])
        for number, data in enumerate(_drawn(first, count)):
            archive.add(data, f"{number:05}.png")
            yield from archive.all_files()
        yield from archive.finalize()

    return Response(stream_with_context(parts()), mimetype="application/zip")


def main() -> None:
    """Write the archive to a file that is deleted, and print how many it holds."""
    count, first = map(int, sys.argv[1:])
    with (
        tempfile.TemporaryFile() as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for number, data in enumerate(_drawn(first, count)):
            archive.writestr(f"{number:05}.png", data)
        print(len(archive.namelist()))


if __name__ == "__main__":
    main()
