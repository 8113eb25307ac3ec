"""Who asks, for as long as one request lasts."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app.access.keys import Key

if TYPE_CHECKING:
    from app.access.policy import Policy

Kind = Literal["anonymous", "local", "key", "signature"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what is known of them.

    `address` is the client's, an IPv6 one as its /64, and empty where it is not
    known. `key` is the key that was sent, or of a signature the key of the same id,
    where there is one. `expires` is when a signature ends, in seconds since the epoch.
    `request_id`, `remote`, which is the client's address whole, and `endpoint`, the
    route, are for the log.
    """

    kind: Kind
    address: str = ""
    key: Key | None = None
    expires: int | None = None
    policy: "Policy | None" = None
    request_id: str = ""
    remote: str = ""
    endpoint: str | None = None

    @property
    def id(self) -> str:
        """Whose account rates, quotas and budgets are on: a key's, or an address's."""
        if self.key is not None:
            return f"key:{self.key.id}"
        if self.kind == "local":
            return "local"
        return f"address:{self.address}"

    @property
    def label(self) -> str:
        """What the log calls them: the id of a key, else their kind."""
        return self.kind if self.key is None else self.key.id


# Without a server, on the command line, everything is the operator's own.
_OPERATOR = Caller("local")
CALLER: ContextVar[Caller] = ContextVar("caller", default=_OPERATOR)
