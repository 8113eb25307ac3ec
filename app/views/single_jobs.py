"""Requests for one image, and for those of a prompt, as jobs of as many rows."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from flask import Response, request
from werkzeug.exceptions import NotFound

from app.access.policy import require_jobs
from app.collection.collection import limits_of
from app.collection.export.exports import FORMS
from app.collection.ingest.writer import Draft, Writer
from app.collection.outcome import Drawn, Failed, Outcome
from app.config import Settings
from app.delivery.answer import Pair
from app.delivery.image import send
from app.delivery.terms import STALE, Terms, answer_early, say_ignored
from app.image_request import ImageRequest
from app.jobs.errors import AnswerFailed, RecordedFailure
from app.jobs.job import Job
from app.jobs.results import JobResults
from app.parsing.image import ParsedRequest
from app.pipeline.generation import GeneratedImages, Generation, Generations
from app.pipeline.pipeline import Pipeline
from app.renderer.base import Absent
from app.renderer.encode import FORMATS
from app.renderer.produce import device_size
from app.views.inference import send_album
from app.views.jobs import JobAnswers, applied

# What was made can be had as an archive, too.
_FORM = FORMS["zip"]


class SingleJobs:
    """Takes such requests as jobs, and sends what those made."""

    def __init__(
        self,
        answers: JobAnswers,
        results: JobResults,
        generations: Generations,
        pipeline: Pipeline,
        settings: Settings,
    ) -> None:
        self._answers = answers
        self._results = results
        self._generations = generations
        self._pipeline = pipeline
        self._limits = limits_of(settings)

    def later_image(self, asked: ParsedRequest) -> Response | None:
        """Answer with the job of an image where the request prefers that; else None.

        Raises what `JobAnswers.keep` raises, and AnswerFailed where the image could
        not be made within the time that the request waits.
        """
        if not self._answers.preferred():
            return None
        require_jobs()
        made = asked.request
        self._pipeline.check_wanted(made, 1, made.output.format)
        answer = {
            "renderer": made.renderer.name,
            "fingerprint": made.fingerprint,
            "bought": made.renderer.remote is not None,
            "url": made.url,
            "as_json": asked.as_json,
            "download": asked.download,
        }
        stale = ((STALE, made.fingerprint),) if asked.stale else ()
        said = (*stale, *say_ignored(asked.ignored))
        return self._submitted([made], asked.webhook, answer, said)

    def later_album(
        self, asked: Generation, media_type: str, webhook: str | None
    ) -> Response | None:
        """Answer with the job of a prompt's images, which come as a media type.

        Returns and raises as `later_image`, and what `Generations.plan` raises.
        """
        if not self._answers.preferred():
            return None
        require_jobs()
        plan = self._generations.plan(asked)
        answer = {
            "renderer": plan.requests[0].renderer.name,
            "media_type": media_type,
            "occasion": plan.occasion,
            "count": len(plan.requests),
            "output": plan.output,
        }
        return self._submitted(plan.requests, webhook, answer)

    def send(self, job: Job) -> Response:
        """Send what a job that has succeeded made, as its request wanted it."""
        if job.answer is None:
            raise NotFound("This job is of a collection: `links.archive` has it.")
        outcomes = list(self._results.outcomes(job))
        if "media_type" in job.answer:
            album = _album(job.answer, outcomes)
            return send_album(album, job.answer["media_type"])
        (outcome,) = outcomes
        # One that failed has no success.
        assert isinstance(outcome, Drawn)
        return _image(job, job.answer, outcome)

    def _submitted(
        self,
        requests: Sequence[ImageRequest],
        webhook: str | None,
        answer: Mapping[str, Any],
        said: Iterable[Pair] = (),
    ) -> Response:
        """Keep the job of some requests; answer with it, or with what it made."""
        with closing(self._draft(requests)) as draft:
            job = self._answers.keep(draft, _FORM, "", webhook, answer)
        document, waited = self._answers.awaited(job)
        if not waited or document["state"] not in ("succeeded", "failed"):
            return self._answers.described(document, waited, said)
        if document["state"] == "failed":
            place = ("Content-Location", document["links"]["self"])
            raise AnswerFailed(document["error"], (place, applied(waited), *said))
        sent = self.send(job)
        sent.headers["Content-Location"] = document["links"]["answer"]
        for name, value in (applied(waited), *said):
            sent.headers[name] = value
        return sent

    def _draft(self, requests: Sequence[ImageRequest]) -> Draft:
        """Return rows; raise AccessError where the caller may not have them drawn."""
        writer = Writer(requests[0].output)
        try:
            pixels = 0
            for number, each in enumerate(requests, 1):
                writer.add(each, str(number))
                sides = device_size(each.renderer, each.parameters, each.output.scale)
                pixels += sides[0] * sides[1]
            return writer.finish(pixels, self._limits)
        except BaseException:
            writer.close()
            raise


def _image(job: Job, answer: Mapping[str, Any], drawn: Drawn) -> Response:
    """Send one image; its tag is the one that it has without a job."""
    fingerprint = answer["fingerprint"]
    media = replace(drawn.media, fingerprint=fingerprint)
    terms = Terms(
        media.sha256 if answer["bought"] else fingerprint,
        answer["renderer"],
        FORMATS[job.format].extensions,
        shared=False,
        as_json=answer["as_json"],
        download=answer["download"],
    )
    early = answer_early(request.environ, terms)
    if early is not None:
        return early
    described = {"renderer": answer["renderer"], "format": job.format}
    if answer["url"] is not None and not answer["bought"]:
        described["url"] = answer["url"]
    return send(request.environ, terms, media, **described)


def _album(answer: Mapping[str, Any], outcomes: Iterable[Outcome]) -> GeneratedImages:
    """Return the images of a prompt as they were made, and what is missing."""
    images, absent = [], []
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            absent.append(_absent(outcome))
        else:
            images.append(outcome.media)
    return GeneratedImages(answer["renderer"], tuple(images), tuple(absent), "hit")


def _absent(failed: Failed) -> Absent:
    assert isinstance(failed.error, RecordedFailure)
    problem = failed.error.problem
    return Absent(str(problem["detail"]), bool(problem.get("filtered", False)))
