"""The answer of any upstream as images, decided by the bytes and never by a label.

Nothing is held in memory: the body is in a file, base64 is decoded from it to one
other file, and images are regions of the two. Beside the baseline of the process
an answer within its bounds costs under 8 MiB of memory, and a hostile one under 32,
however large they are (`tests/upstream/test_caps.py` asserts both). On disk it costs
its wire bytes about twice, or `max_images` times `max_image_bytes` from a ZIP.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import BinaryIO, NamedTuple

from app.upstream.errors import BadMedia, TooLarge, UpstreamFiltered
from app.upstream.probe.byte_range import Region, whole
from app.upstream.probe.sniff import HEAD, sniff
from app.upstream.response.decode import Found, Linked, Missing, Reading
from app.upstream.response.finish_reason import is_filter
from app.upstream.response.forms import READERS, Pieces
from app.upstream.response.refusal import refuse
from app.upstream.response.streaming_json import BOM
from app.upstream.service import Service

__all__ = ["Found", "Linked", "Missing", "ServiceAnswer", "read_answer", "read_fetched"]


class ServiceAnswer(NamedTuple):
    """What came: `images` in the upstream's order, and a `Missing` for each absent.

    There is at least one image. Those that are `Linked` have to be fetched.
    """

    images: tuple[Found | Linked, ...]
    missing: tuple[Missing, ...]


def read_answer(
    body: BinaryIO,
    decoded: BinaryIO,
    service: Service,
    *,
    status: int,
    content_type: str,
    headers: Mapping[str, str],
    asked: int,
) -> ServiceAnswer:
    """Return the images of an answer, at least one, and say which are missing.

    `body` and `decoded` are real files in which found images live, so the caller
    closes them afterwards; what is base64 or in a ZIP is decoded to the end of the
    second. Positions do not matter. `asked` is how many images were asked for.
    Raises UpstreamFiltered where a filter kept all back, BadMedia where there is none
    for another reason, TooLarge beyond a bound of the service, and the error that a
    status of 400 or above means.
    """
    named = {name.lower(): value for name, value in headers.items()}
    region = whole(body)
    # The bytes decide only below: a page of HTML is an outage under a 502, and under a
    # 200 it is no image.
    if status >= 400:
        raise refuse(service.name, status, named, region)
    _check_body(service, status, region)
    repairs = _repairs(region, content_type)
    reading = Reading(service, region, named, decoded, repairs)
    return _sort(service.name, _read(reading), asked)


def read_fetched(
    body: BinaryIO,
    decoded: BinaryIO,
    linked: Linked,
    service: Service,
    *,
    content_type: str,
) -> Found:
    """Return the one image that was fetched for a link, with what the link knew.

    Raises BadMedia where the body is no image, TooLarge beyond a bound.
    """
    answer = read_answer(
        body,
        decoded,
        replace(service, pointer=None),
        status=200,
        content_type=content_type,
        headers={},
        asked=1,
    )
    image = answer.images[0]
    if len(answer.images) != 1 or not isinstance(image, Found):
        raise BadMedia(service.name, "the address of its image leads to no image")
    return replace(
        image,
        form="url",
        seed=linked.seed,
        finish=linked.finish,
        revised_prompt=linked.revised_prompt,
        repairs=tuple(dict.fromkeys((*linked.repairs, *image.repairs))),
    )


def _check_body(service: Service, status: int, body: Region) -> None:
    upstream = service.name
    # Redirects of services are not followed: the credentials would go along.
    if status >= 300:
        raise BadMedia(upstream, f"it answered {status}")
    if status == 202:
        raise BadMedia(upstream, "the work is not finished (202)")
    if not body.length:
        raise BadMedia(upstream, "the answer is empty")
    if body.length > service.max_wire_bytes:
        raise TooLarge(upstream, "max_wire_bytes", service.max_wire_bytes)


def _read(reading: Reading) -> Pieces:
    kind = sniff(reading.body.read(0, HEAD))
    if kind is None or kind not in READERS:
        raise BadMedia(reading.service.name, f"success, but {kind or 'unknown bytes'}")
    return READERS[kind](reading)


# What says nothing about the bytes cannot be wrong about them.
_NEUTRAL = ("", "application/octet-stream", "binary/octet-stream", "image/*", "*/*")


def _repairs(body: Region, content_type: str) -> tuple[str, ...]:
    """Name what is wrong with the answer as a whole: its label, its first bytes."""
    head = body.read(0, HEAD)
    kind = sniff(head)
    label = content_type.partition(";")[0].strip().lower()
    label = {"image/jpg": "image/jpeg", "text/json": "application/json"}.get(
        label, label
    )
    fits = label in (*_NEUTRAL, kind) or (
        kind == "application/json" and label.endswith("+json")
    )
    bom = ("bom",) if head.startswith(BOM) else ()
    return bom if fits else (*bom, "content-type")


def _sort(upstream: str, found: Pieces, asked: int) -> ServiceAnswer:
    """Part what came from what did not; count as missing what is not even told."""
    pieces, untold = found
    images = tuple(p for p in pieces if not isinstance(p, Missing))
    missing = [p for p in pieces if isinstance(p, Missing)]
    if not images:
        raise _nothing(upstream, missing)
    if (short := asked - len(pieces)) > 0:
        reason = untold or f"only {len(pieces)} of {asked} images came"
        missing += [Missing(reason, is_filter(untold))] * short
    return ServiceAnswer(images, tuple(missing))


def _nothing(upstream: str, missing: list[Missing]) -> UpstreamFiltered | BadMedia:
    filtered = [piece for piece in missing if piece.filtered]
    if filtered:
        return UpstreamFiltered(upstream, filtered[0].reason)
    return BadMedia(upstream, missing[0].reason if missing else "there is no image")
