"""A server's archive becomes a file on disk, which outlives an interruption."""

import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from shutil import copyfileobj

from app.cli.client import RemoteServer
from app.cli.options import Misuse
from app.cli.partial_file import DamagedArchive, PartialFile
from app.cli.progress import Progress, say


def check_target(target: str) -> None:
    """Refuse before the work what would fail after it; `-` is standard output."""
    path = Path(target)
    if target == "-":
        return
    if path.is_dir():
        raise Misuse(f"-o {target}: is a folder")
    # What is made would take the place of a device, such as /dev/null.
    if path.exists() and not path.is_file():
        raise Misuse(f"-o {target}: is no file; - is standard output")
    if not path.parent.is_dir():
        raise Misuse(f"-o {target}: there is no such folder")


def fetch_archive(
    server: RemoteServer,
    path: str,
    id: str,
    count: int,
    target: str,
    progress: Progress,
) -> None:
    """Download the ZIP of `count` images at a path of a server.

    The part file is named by `id`: of another archive it is another file. Raises what
    `RemoteServer.download` raises, and DamagedArchive.
    """
    with ExitStack() as stack:
        part_path = Path(f"{target}.{id[:12]}.part")
        if target == "-":
            # What has left cannot be taken back: a pipe gets what is whole.
            scratch = tempfile.TemporaryDirectory(prefix="mimeo-")
            part_path = Path(stack.enter_context(scratch), "archive.part")
        with (
            closing(PartialFile(part_path)) as part,
            progress.shown(count, part.images),
        ):
            for failure in _whole(server, path, part, progress):
                progress.fail(*failure)
            progress.notices = part.notices()
            progress.size = part.size
        if target != "-":
            part_path.replace(target)
            return
        with part_path.open("rb") as file:
            copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _whole(
    server: RemoteServer, path: str, part: PartialFile, progress: Progress
) -> list[tuple[int, str, str]]:
    """Download an archive and return its failures; a damaged part is begun anew."""
    while True:
        resumed = part.size > 0
        for images in server.download(path, part):
            progress.reach(images)
        try:
            return part.failures()
        except DamagedArchive as error:
            # Nothing may be built on it.
            part.restart()
            if not resumed:
                raise
            progress.found = 0
            say(f"{error}. An earlier run left it; beginning anew.")
