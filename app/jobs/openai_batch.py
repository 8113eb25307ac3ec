"""The file of a batch in OpenAI's shape, read into rows of a collection.

A line is one image as `/v1/images/generations` reads it. What is wrong with the file
itself refuses it whole; what is wrong with the body of a line is that line's error.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any, NamedTuple

import orjson

from app.collection.collection import Read, limits_of
from app.collection.errors import Unreadable
from app.collection.ingest.table import Lines
from app.collection.ingest.validate import Names
from app.collection.ingest.writer import Draft, Writer
from app.config import Settings
from app.dialects import openai
from app.image_request import ImageRequest
from app.jobs.errors import JobError
from app.jobs.uploaded_files import ReadStream
from app.parsing.image import BadBody, read_json
from app.pipeline.generation import Generations
from app.pipeline.image_origins import ImageOriginError
from app.renderer.base import Output
from app.renderer.encode import FORMATS
from app.renderer.errors import BadParameter, Fault, RendererError, shorten
from app.renderer.produce import device_size

ENDPOINT = "/v1/images/generations"
# As OpenAI has it.
MOST_LINES = 50_000
_MOST_ID = 512
_MOST_FAULTS = 100
_PIECE = 256 << 10
# The status that an error has, and its document.
Tell = Callable[[Exception], tuple[int, Mapping[str, Any]]]
_UNKEPT = "response_format: a batch holds the images themselves"


class BatchFault(NamedTuple):
    """What is wrong with the file: OpenAI's code, line from 1, text, member."""

    code: str
    line: int | None
    message: str
    param: str | None = None


class BadBatch(JobError):
    """The file cannot be drawn: `faults` are the first hundred."""

    def __init__(self, faults: Sequence[BatchFault]) -> None:
        self.faults = tuple(faults)
        super().__init__(self.faults)


class BatchLine(NamedTuple):
    """What a line became: a row with `warnings`, or an error with its status."""

    custom_id: str
    warnings: Sequence[str] = ()
    status: int = 200
    error: Mapping[str, Any] | None = None


class BatchDraft(NamedTuple):
    """A file as rows, and what each line became; whoever has it closes it."""

    draft: Draft
    file: IO[bytes]
    refused: int
    size: int
    bought: bool

    def lines(self) -> Iterator[bytes]:
        """Yield the lines as they are stored."""
        self.file.seek(0)
        while piece := self.file.read(_PIECE):
            yield piece

    def close(self) -> None:
        """Give the temporary files back."""
        self.draft.close()
        self.file.close()


def read_lines(read: Read) -> Iterator[BatchLine]:
    """Yield what `BatchDraft.lines` has yielded."""
    for line in Lines(ReadStream(read), 1 << 62).raw():
        yield BatchLine(*orjson.loads(line))


class BatchReader:
    """Reads one file once; `tell` says an error as the answer of a request has it."""

    def __init__(
        self, generations: Generations, bounds: Settings, tell: Tell, file_id: str
    ) -> None:
        self._generations = generations
        self._bounds = bounds
        self._tell = tell
        # What is drawn by chance differs from line to line, and stays with the file.
        self._occasion = file_id
        self._faults: list[BatchFault] = []
        self._refused: list[BatchFault] = []
        self._ids: set[bytes] = set()
        self._writer: Writer | None = None
        self._output: Output | None = None
        self._names = Names()
        self._bought = False
        self._first = self._rows = self._pixels = self._count = 0

    def read(self, read: Read) -> BatchDraft:
        """Return the rows of a file.

        Raises BadBatch, AccessError where the caller may not have a line drawn, and
        what `read` raises.
        """
        with ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile("w+b"))
            stack.callback(self._close)
            self._read(read, file)
            if self._writer is None and not self._faults:
                empty = BatchFault("empty_file", None, "The file has no lines.")
                self._faults = self._refused or [empty]
            if self._writer is None or self._faults:
                raise BadBatch(self._faults)
            draft = self._writer.finish(self._pixels, limits_of(self._bounds))
            stack.pop_all()
            refused = self._count - self._rows
            return BatchDraft(draft, file, refused, file.tell(), self._bought)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _read(self, read: Read, file: IO[bytes]) -> None:
        lines = Lines(ReadStream(read), self._bounds.max_body_bytes)
        try:
            for line in lines.raw():
                if line.strip():
                    self._count += 1
                    self._take(lines.number, line, file)
                else:
                    lines.pass_over()
                lines.begin()
                if len(self._faults) >= _MOST_FAULTS or self._count > MOST_LINES:
                    break
        except Unreadable as error:
            fault = BatchFault("invalid_json_line", error.line, error.reason)
            self._faults.append(fault)
        if self._count > MOST_LINES:
            reason = f"A batch has at most {MOST_LINES:,} lines."
            self._faults.append(BatchFault("too_many_tasks", None, reason))

    def _take(self, number: int, line: bytes, file: IO[bytes]) -> None:
        try:
            document = read_json(line)
        except (BadBody, BadParameter) as error:
            reason = str(error).replace("The body", "The line")
            self._faults.append(BatchFault("invalid_json_line", number, reason))
            return
        faults = [
            BatchFault(code, number, *rest) for code, *rest in self._look(document)
        ]
        self._faults += faults
        if not faults:
            taken = self._draft(number, document["custom_id"], document["body"])
            # What follows a bad line is looked at too, and then thrown away.
            file.write(orjson.dumps((*taken,), option=orjson.OPT_APPEND_NEWLINE))

    def _look(self, document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Yield what of a line is not as OpenAI has it: code, text, member."""
        for name in ("custom_id", "method", "url", "body"):
            if document.get(name) is None:
                reason = f"Missing required parameter: '{name}'."
                yield "missing_required_parameter", reason, name
        id = document.get("custom_id")
        if id is not None:
            yield from self._look_at_id(id)
        if document.get("method") not in (None, "POST"):
            yield "invalid_method", "The method must be POST.", "method"
        if document.get("url") not in (None, ENDPOINT):
            reason = f"The url must be the endpoint of the batch, {ENDPOINT}."
            yield "url_mismatch", reason, "url"
        if not isinstance(document.get("body"), dict | None):
            yield "invalid_value", "The body must be an object.", "body"

    def _look_at_id(self, id: Any) -> Iterator[tuple[str, str, str]]:
        if not isinstance(id, str) or not 1 <= len(id) <= _MOST_ID:
            reason = f"The custom_id must be a text of 1 to {_MOST_ID} characters."
            yield "invalid_value", reason, "custom_id"
            return
        digest = hashlib.sha256(id.encode()).digest()[:16]
        if digest in self._ids:
            reason = f"The custom_id {shorten(id)!r} is that of another line, too."
            yield "duplicate_custom_id", reason, "custom_id"
        self._ids.add(digest)

    def _draft(self, number: int, id: str, body: Mapping[str, Any]) -> BatchLine:
        """Make a row of a line, or its error."""
        try:
            request, warnings = self._request(id, body)
            self._add(number, id, request)
        except (RendererError, ImageOriginError) as error:
            status, document = self._tell(error)
            self._refuse(number, document["error"])
            return BatchLine(id, (), status, document)
        return BatchLine(id, warnings)

    def _refuse(self, number: int, error: Mapping[str, Any]) -> None:
        if len(self._refused) < _MOST_FAULTS:
            about = error["code"], number, error["message"], error["param"]
            self._refused.append(BatchFault(*about))

    def _request(
        self, id: str, body: Mapping[str, Any]
    ) -> tuple[ImageRequest, Sequence[str]]:
        asked = openai.read(body, None)
        if asked.generation.count != 1:
            reason = "must be 1 in a batch: a line is one image"
            raise openai.BadField("invalid_value", Fault("n", reason))
        if asked.stream:
            reason = "must be false in a batch"
            raise openai.BadField("invalid_value", Fault("stream", reason))
        occasion = f"{self._occasion} {id}"
        try:
            request, others = self._generations.request(asked.generation, occasion)
        except BadParameter as error:
            raise openai.renamed(error) from error
        own = (_UNKEPT,) if asked.form == "url" else ()
        return request, (*openai.warnings_of(asked, others), *own)

    def _add(self, number: int, id: str, request: ImageRequest) -> None:
        if self._writer is None:
            self._writer, self._first = Writer(request.output), number
            self._output = request.output
            self._names = Names((), FORMATS[request.output.format].extensions)
        elif request.output != self._output:
            reason = (
                f"must be, with output_compression, as in line {self._first}: the"
                " images of a batch share them"
            )
            raise openai.BadField("invalid_value", Fault("output_format", reason))
        self._rows += 1
        self._bought |= request.renderer.remote is not None
        self._writer.add(request, self._names.give(id, self._rows))
        sides = device_size(request.renderer, request.parameters, request.output.scale)
        self._pixels += sides[0] * sides[1]
