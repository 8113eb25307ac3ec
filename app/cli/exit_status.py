"""How a command ends, as a number for the shell and for programs."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class ExitStatus(IntEnum):
    """What a command returns; WORKER_FAILED and APP_FAILED are gunicorn's."""

    DONE = 0
    FAILED = 1
    MISUSE = 2
    WORKER_FAILED = 3
    APP_FAILED = 4
    INTERRUPTED = 130


# docs/reference/command-line.md has the same table.
MEANINGS: Mapping[ExitStatus, str] = MappingProxyType(
    {
        ExitStatus.DONE: "done",
        ExitStatus.FAILED: "failed, or not whole: standard error says what of it",
        ExitStatus.MISUSE: "options, settings or rows are wrong: nothing was made",
        ExitStatus.WORKER_FAILED: "no worker of the server could start",
        ExitStatus.APP_FAILED: "the server could not load its app",
        ExitStatus.INTERRUPTED: "interrupted by Ctrl-C",
    }
)
