"""The answer to what deletes something, which is noted in the audit first."""

from flask import Response, request

from app.access.caller import CALLER
from app.observability import audit


def send_deleted(what: str, id: str) -> Response:
    """Note that the caller deleted something, and answer 204."""
    caller = CALLER.get()
    audit.deletion(
        what=what,
        id=id,
        caller=caller.label,
        address=request.environ.get("REMOTE_ADDR", ""),
        request_id=caller.request_id,
    )
    answer = Response(status=204)
    # RFC 9110, 8.3: nothing is sent that could have a type.
    del answer.headers["Content-Type"]
    return answer
