"""Audit lines: who bought, who was refused, who deleted; docs/reference/audit.md.

Names, prompts and secrets are in none. Written whatever the access log does: one line
of JSON by the logger `mimeo.audit`, through which a program can send them elsewhere.
"""

import logging

_LOG = logging.getLogger("mimeo.audit")


def purchase(
    *,
    service: str,
    count: int,
    received: int,
    price: float | None,
    unmade: bool,
    outcome: str,
    caller: str,
    request_id: str,
    fingerprint: str,
) -> None:
    """Note that a service was asked for images, after it answered or failed.

    `count` were asked for and `received` came. Each costs `price`, if that is known,
    unless they are surely `unmade`. `outcome` is `ok`, or the class of the error;
    `fingerprint` is a digest of the purchase.
    """
    # What may have been made may stand on the bill, though nothing came.
    cost = None if price is None else 0.0 if unmade else round(price * count, 6)
    _write(
        "purchase",
        service=service,
        count=count,
        received=received,
        price=price,
        cost=cost,
        outcome=outcome,
        caller=caller,
        request_id=request_id,
        fingerprint=fingerprint,
    )


def refusal(
    *,
    reason: str,
    endpoint: str | None,
    address: str,
    caller: str,
    request_id: str,
    index: int | None,
) -> None:
    """Note that a request was refused; `reason` is the name of the problem.

    `index` is the number of the image, from 1, where an answer goes on without it.
    """
    _write(
        "refusal",
        reason=reason,
        endpoint=endpoint,
        address=address,
        caller=caller,
        request_id=request_id,
        index=index,
    )


def deletion(*, what: str, id: str, caller: str, address: str, request_id: str) -> None:
    """Note that somebody deleted what was kept under an id."""
    _write(
        "deletion",
        what=what,
        id=id,
        address=address,
        caller=caller,
        request_id=request_id,
    )


def saved(*, what: str, id: str, caller: str, address: str, request_id: str) -> None:
    """Note that somebody saved what others draw by."""
    _write(
        "save",
        what=what,
        id=id,
        address=address,
        caller=caller,
        request_id=request_id,
    )


def _write(event: str, **fields: object) -> None:
    _LOG.info(event, extra={"fields": fields})
