"""What was tried to tell the receiver of one job, in the store.

<id>/deliveries/<k>    the k-th attempt, from 1: begun where there is none yet
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from app.jobs.job import known_fields
from app.store import Store, checked, unchecked

SENDING = "sending"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """One exchange with a receiver: `number` counts from 1.

    `status` is the class of the answer's, such as `2xx`. `due` is when the next one
    is, in seconds since the epoch as `started`; None is never.
    """

    number: int
    started: float
    due: float | None
    seconds: float = 0.0
    result: str = SENDING
    status: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the attempt as whoever has the job sees it."""
        return {
            "attempt": self.number,
            "started_at": moment(self.started),
            "duration_s": round(self.seconds, 3),
            "result": self.result,
            "status": self.status,
            "next_at": None if self.due is None else moment(self.due),
        }


class DeliveryLog:
    """The attempts for one job, in the store; every method raises StoreError."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    def read(self) -> list[DeliveryAttempt]:
        """Return those that were begun, in order."""
        found: list[DeliveryAttempt] = []
        while block := self._store.get(self._key(len(found) + 1)):
            found.append(_decoded(len(found) + 1, block))
        return found

    def listed(self) -> list[dict[str, Any]]:
        """Return the attempts as whoever has the job sees them."""
        made = self.read()
        lost = [each for each in made[:-1] if each.result == SENDING]
        told = (replace(e, result="interrupted") if e in lost else e for e in made)
        return [each.to_json() for each in told]

    def begin(self, attempt: DeliveryAttempt) -> bool:
        """Note an attempt; of all who do so with its number, one gets True."""
        return self._store.create(self._key(attempt.number), _encoded(attempt))

    def end(self, attempt: DeliveryAttempt) -> None:
        """Note what came of it."""
        self._store.put(self._key(attempt.number), _encoded(attempt))

    def _key(self, number: int) -> str:
        return f"{self._job}/deliveries/{number}"


def _encoded(attempt: DeliveryAttempt) -> bytes:
    return checked(orjson.dumps(attempt))


def _decoded(number: int, block: bytes | memoryview) -> DeliveryAttempt:
    try:
        return DeliveryAttempt(
            **known_fields(DeliveryAttempt, orjson.loads(unchecked(block)))
        )
    except ValueError:
        # A fault of the disk costs an attempt, and not the message.
        return DeliveryAttempt(number=number, started=0, due=0, result="damaged")


def moment(seconds: float) -> str:
    """Return seconds since the epoch by RFC 3339, in UTC."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
