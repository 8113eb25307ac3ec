"""The jobs of a caller, page by page, the newest first."""

import re
from urllib.parse import urlencode

from flask import Response

from app.access.policy import listed
from app.delivery.answer import Pair, send_json
from app.image_request import unknown_names
from app.jobs.job import Job
from app.jobs.job_ledger import JobLedger
from app.renderer.errors import BadParameter, Fault
from app.views.body import read_query

_MOST = 100
_LIMIT = re.compile(r"[0-9]{1,9}")
# When the last job of a page was made, and its id: the next page begins behind it, also
# where that job is gone by then.
_CURSOR = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)-([0-9a-f]{64})")
Place = tuple[float, str]


def send_list(ledger: JobLedger) -> Response:
    """Send a page of the caller's jobs; an operator's are all.

    Raises JobsNotKept, and BadParameter for a bad `limit` or `after`.
    """
    ledger.check()
    query = read_query()
    limit, after = _limit(query.pop("limit", None)), _after(query.pop("after", None))
    if query:
        raise BadParameter(*unknown_names(query, ("limit", "after")))
    is_listed = listed()
    own = (job for job in ledger.jobs() if is_listed(job.account))
    rows = sorted(own, key=_place, reverse=True)
    if after is not None:
        rows = [job for job in rows if _place(job) < after]
    page = rows[:limit]
    following = _following(page[-1], limit) if len(rows) > limit else None
    document = {"jobs": list(map(ledger.document, page)), "next": following}
    # RFC 8288, section 3.
    links: list[Pair] = [("Link", f'<{following}>; rel="next"')] if following else []
    return send_json(document, pairs=links)


def _place(job: Job) -> Place:
    return job.created, job.id


def _following(last: Job, limit: int) -> str:
    after = f"{last.created!r}-{last.id}"
    return f"/jobs?{urlencode({'limit': limit, 'after': after})}"


def _limit(given: str | None) -> int:
    if given is None:
        return _MOST
    if not _LIMIT.fullmatch(given) or not 1 <= int(given) <= _MOST:
        raise BadParameter(Fault("limit", f"must be a whole number, 1 to {_MOST}"))
    return int(given)


def _after(given: str | None) -> Place | None:
    if given is None:
        return None
    found = _CURSOR.fullmatch(given)
    if found is None:
        raise BadParameter(Fault("after", "must be taken from `next` of a page"))
    return float(found[1]), found[2]
