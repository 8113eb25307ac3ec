"""Let a server draw a table's images; what has come of the ZIP is in a part file."""

import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from shutil import copyfileobj
from typing import IO
from urllib.parse import urlencode

import ijson  # type: ignore[import-untyped]

from app.archive.manifest import MANIFEST
from app.cli.batch.order import Order
from app.cli.batch.tally import Tally, say
from app.cli.client.api import Made, Server
from app.cli.client.download import Download
from app.cli.client.part import Part


def fetch(order: Order, url: str, stream: IO[bytes], tally: Tally) -> None:
    """Send the table, and download the ZIP into a file that outlives an interruption.

    Raises what `Server.create` and `Download.run` raise, and OSError.
    """
    with ExitStack() as stack:
        server = stack.enter_context(closing(Server(url)))
        made = server.create(stream, order.media_type, urlencode(order.pairs))
        path = _part_of(order.target, made, stack)
        with closing(Part(path)) as part, tally.shown(made.count):
            part.recall()
            tally.begin_at(part.images)
            download = Download(server, made.path, part, say, time.sleep)
            for images in download.run():
                tally.reach(images)
            tally.size = part.size
        for index, name, reason in failures(path):
            tally.fail(index, name, reason)
        _hand_over(path, order.target)


def failures(archive: Path) -> Iterator[tuple[int, str, str]]:
    """Yield number, file name and reason of each image that an archive lacks."""
    with zipfile.ZipFile(archive) as members, members.open(MANIFEST) as manifest:
        for row in ijson.items(manifest, "errors.item"):
            yield int(row["index"]), row["name"], row.get("detail", "failed")


def _part_of(target: str, made: Made, stack: ExitStack) -> Path:
    """Name the part by the collection: of another table it is another file."""
    if target == "-":
        # What has left cannot be taken back: a pipe gets what is whole.
        scratch = tempfile.TemporaryDirectory(prefix="mimeo-")
        return Path(stack.enter_context(scratch), "archive.part")
    return Path(f"{target}.{made.id[:12]}.part")


def _hand_over(part: Path, target: str) -> None:
    if target != "-":
        part.replace(target)
        return
    with part.open("rb") as file:
        copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()
