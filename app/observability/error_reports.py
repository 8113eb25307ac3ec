"""Errors nobody expected, sent to Sentry or what speaks its protocol; extra `sentry`.

What is logged with its traceback is sent: type, frames, and the id of the request. No
message, variable, path or query is, which may all have what people had drawn.
"""

import atexit
import logging
from typing import Any

from sentry_sdk.client import Client
from sentry_sdk.utils import BadDsn, event_from_exception

from app.observability import metrics

# A worker that ends waits so long for what is left.
_FLUSH_S = 2.0


class ErrorReports(logging.Handler):
    """Sends records that have a traceback; its thread starts with the first one.

    Raises ValueError where the DSN is none.
    """

    def __init__(self, dsn: str) -> None:
        super().__init__(logging.ERROR)
        try:
            self._client = Client(
                dsn=dsn,
                release=f"mimeo@{metrics.release()}",
                # Each would look into requests, or start threads before a fork.
                default_integrations=False,
                auto_session_tracking=False,
                enable_backpressure_handling=False,
                include_local_variables=False,
                include_source_context=False,
                max_breadcrumbs=0,
            )
        except BadDsn as error:
            # What it says may hold the key.
            raise ValueError("must be a DSN of Sentry's") from error
        atexit.register(self._client.close, _FLUSH_S)

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record, if it has a traceback."""
        if not record.exc_info or record.exc_info[1] is None:
            return
        try:
            event, hint = event_from_exception(
                record.exc_info, client_options=self._client.options
            )
            _scrub(event)
            event["logger"] = record.name
            request_id = getattr(record, "request_id", None)
            if request_id is not None:
                event["tags"] = {"request_id": request_id}
            self._client.capture_event(event, hint)
        except Exception:
            self.handleError(record)


def _scrub(event: Any) -> None:
    """Take out of an event whatever may be a caller's word."""
    for each in event.get("exception", {}).get("values", ()):
        each["value"] = ""
        each.pop("mechanism", None)
