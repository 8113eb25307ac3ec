"""What can go wrong with jobs; the tree is free of HTTP."""

from collections.abc import Mapping
from typing import Any, ClassVar

from app.errors import with_fields
from app.pipeline.admission import Busy
from app.renderer.errors import RendererError, shorten

_UNFINISHED_RETRY_S = "5"


class JobError(Exception):
    """Base of all errors that this package raises on purpose."""


class JobsNotKept(JobError):
    """This server cannot keep jobs; the text says why and what works."""

    def __str__(self) -> str:
        return (
            "Jobs are not kept here: MIMEO_STORE is none, or memory of several"
            " workers. POST to /collections.zip makes and delivers at once."
        )


@with_fields
class UnknownJob(JobError):
    """No job has this id, or its time is over."""

    key: str

    def __str__(self) -> str:
        return f"No job has the id {shorten(self.key)!r}, or it is no longer kept."


class PurgedJob(UnknownJob):
    """The job was purged, by whoever had submitted it or an operator."""

    def __str__(self) -> str:
        return f"The job {shorten(self.key)!r} was purged: none of its images is kept."


@with_fields
class UnknownFile(JobError):
    """No uploaded file, and no file of a batch, has this id, or its time is over."""

    key: str

    def __str__(self) -> str:
        return f"No file has the id {shorten(self.key)!r}, or it is no longer kept."


@with_fields
class JobsFull(JobError):
    """What a job is expected to need is more than is left for all of them."""

    limit: str
    allowed: int
    value: int

    def __str__(self) -> str:
        return (
            f"The job is expected to take {self.value:,} bytes, and what is left of"
            f" {self.limit} ({self.allowed:,}) for it is less."
        )


@with_fields
class JobEnded(JobError):
    """A job that has ended cannot be cancelled."""

    state: str

    def __str__(self) -> str:
        return f"The job has {self.state} and cannot be cancelled."


@with_fields
class JobOpen(JobError):
    """A job that has not ended cannot be retried or purged."""

    state: str

    def __str__(self) -> str:
        return f"The job is {self.state}: wait for its end, or cancel it, first."


@with_fields
class JobNeeded(JobError):
    """A job cannot be purged while the retry `needed_by` takes over what it made."""

    needed_by: str

    def __str__(self) -> str:
        return f"The retry {self.needed_by} still takes over what the job made."


class NothingToRetry(JobError):
    """A job has all of its images, or never had rows."""

    def __str__(self) -> str:
        return "Nothing is left to be drawn: no image of the job failed or is missing."


@with_fields
class JobUnfinished(JobError):
    """The result of a job is asked for before its end, or it has none."""

    state: str

    def __post_init__(self) -> None:
        waits = self.state in ("queued", "running")
        self.headers = (("Retry-After", _UNFINISHED_RETRY_S),) if waits else ()

    def __str__(self) -> str:
        return f"There is no result: the job is {self.state}."


class TooManyWatch(Busy):
    """As many watch jobs as may; try again in `retry_s`."""

    def __str__(self) -> str:
        return (
            "Too many watch jobs here: ask for the job itself, or again in"
            f" {self.retry_s} s."
        )


class TooManySubmit(Busy):
    """Others submit jobs, and no turn to look for room came; try again in `retry_s`."""

    def __str__(self) -> str:
        return f"Too many jobs are submitted here: try again in {self.retry_s} s."


class DamagedJob(JobError):
    """What was kept of a job is not whole."""


@with_fields
class AbsentImage(RendererError):
    """A service did not make one of several images; `filtered` it kept back."""

    reason: str
    filtered: bool
    transient: ClassVar[bool] = False

    def __str__(self) -> str:
        return self.reason


@with_fields
class RecordedFailure(RendererError):
    """An image of a job could not be drawn when it was its turn; `problem` says why."""

    problem: Mapping[str, Any]
    transient: ClassVar[bool] = False

    def __str__(self) -> str:
        return str(self.problem.get("detail", "The image could not be drawn."))


@with_fields
class AnswerFailed(JobError):
    """What a request waited for could not be made; `problem` says why, as if it were
    of the request itself. `headers` are those of the answer."""

    problem: Mapping[str, Any]
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return str(self.problem["detail"])
