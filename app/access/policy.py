"""What each caller may do: one table, asked by the gate and wherever money goes.

| action | open | signed | keys | scope of a key |
|---|---|---|---|---|
| look | anyone | anyone | anyone | |
| draw | anyone | signature or key | signature or key | `draw:<renderer>` |
| keep | anyone | key | key | `draw:...` |
| jobs | anyone | key | key | `jobs` |
| read | who has the id | signature or key | signature or key | `read` |
| buy | local, key, signature | the same | the same | `services` |
| administer | local, key | local, key | local, key | `admin` |
| templates | local, key | local, key | local, key | `templates` |

A local caller may do everything. A signature may do what the key of its id may, and
draw and read where there is no such key. What is bought counts by the renderer and
not by the route.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from app.access.caller import CALLER, Caller
from app.access.errors import AccessError, KeyRequired, ScopeMissing
from app.renderer.base import Renderer

_DRAW_HELP = "MIMEO_ACCESS=open lets anyone draw."
_HELP = {
    "draw": _DRAW_HELP,
    "keep": "MIMEO_ACCESS=open lets anyone keep collections.",
    "jobs": "MIMEO_ACCESS=open lets anyone submit jobs.",
    "read": "MIMEO_ACCESS=open lets whoever has the id read what is kept.",
    "templates": "`mimeo serve` on a loopback address needs none in a page of its own.",
    "admin": "`mimeo serve` on a loopback address needs none for programs beside it.",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choice: the mode, and the services that are open to anyone."""

    mode: str = "open"
    open_services: frozenset[str] = field(default_factory=frozenset)

    def check(self, caller: Caller, action: str) -> None:
        """Refuse by the route alone; `draw` and `keep` are decided by the renderer too.

        Raises KeyRequired, ScopeMissing.
        """
        if caller.kind == "local" or action == "look":
            return
        if action == "administer":
            _need(caller, "admin", _HELP["admin"])
        elif action == "templates":
            _need(caller, "templates", _HELP["templates"])
        elif self.mode != "open" and action in ("draw", "keep", "jobs", "read"):
            scope = action if action in ("read", "jobs") else "draw:*"
            if caller.kind == "anonymous":
                raise KeyRequired(scope, _HELP[action])
            if action in ("keep", "jobs") and caller.kind == "signature":
                raise KeyRequired(scope, "A signature is for GET and HEAD.")
            if action in ("read", "jobs"):
                _need(caller, scope, _HELP[action])

    def draw(self, caller: Caller, renderer: str, *, service: bool) -> None:
        """Refuse the drawing by a renderer; raise KeyRequired, ScopeMissing.

        What a key may buy it may have drawn.
        """
        if self.mode == "open" or caller.kind == "local":
            return
        if service and caller.key is not None and caller.key.has("services"):
            return
        # Whoever may draw by a template may do so by each of its versions.
        bare = renderer if service else renderer.partition("@")[0]
        _need(caller, f"draw:{bare}", _DRAW_HELP)

    def buy(self, caller: Caller, services: Iterable[str]) -> None:
        """Refuse to ask services that cost money; raise KeyRequired, ScopeMissing."""
        if caller.kind == "local":
            return
        for name in services:
            if name not in self.open_services:
                opened = f"MIMEO_OPEN_SERVICES={name} lets anyone, within the budget."
                # No signature without a key of its id: who drew one up paid nothing.
                if caller.key is None:
                    raise KeyRequired("services", opened)
                _need(caller, "services", opened)

    def delete(self, caller: Caller, owner: str | None) -> None:
        """Refuse to delete what somebody keeps; raise KeyRequired, ScopeMissing.

        `owner` is the id of whose key made it, if it was made with one.
        """
        key = caller.key
        mine = caller.kind == "key" and owner == caller.id
        if caller.kind == "local" or (mine and key is not None and key.draws):
            return
        _need(caller, "admin", "Whoever made it with a key may delete it, too.")

    def own(self, caller: Caller, account: str) -> None:
        """Refuse to change another account's job; raise KeyRequired, ScopeMissing."""
        if caller.kind != "local" and caller.id != account:
            _need(caller, "admin", "Whoever submitted it may do so, too.")


def _need(caller: Caller, scope: str, help: str) -> None:
    """Raise KeyRequired where no key came, ScopeMissing where one without it did."""
    signed = caller.kind == "signature"
    # Whoever has a URL that somebody signed is no operator.
    if (signed and scope in ("admin", "templates")) or (
        caller.key is None and not signed
    ):
        raise KeyRequired(scope, help)
    if caller.key is not None and not caller.key.has(scope):
        raise ScopeMissing(scope)


def require(renderer: Renderer) -> None:
    """Refuse the current caller what a renderer draws, or go on.

    Whether a service may be asked is another question, for `require_buy`: what was
    bought before costs nothing.
    """
    caller = CALLER.get()
    if caller.policy is not None:
        service = renderer.remote is not None
        caller.policy.draw(caller, renderer.name, service=service)


def administers() -> bool:
    """Tell whether the current caller may see what is for operators."""
    caller = CALLER.get()
    try:
        if caller.policy is not None:
            caller.policy.check(caller, "administer")
    except AccessError:
        return False
    return True


def listed() -> Callable[[str], bool]:
    """Return what tells whether lists show the current caller what an account has."""
    caller, everything = CALLER.get(), administers()
    # Who has no address shares an account with all others who have none.
    known = caller.kind != "anonymous" or bool(caller.address)
    return lambda account: everything or (known and account == caller.id)


def require_delete(owner: str | None) -> None:
    """Refuse the current caller to delete what somebody keeps, or go on."""
    caller = CALLER.get()
    if caller.policy is not None:
        caller.policy.delete(caller, owner)


def require_owner(account: str) -> None:
    """Refuse the current caller to change another account's job, or go on."""
    caller = CALLER.get()
    if caller.policy is not None:
        caller.policy.own(caller, account)


def require_jobs() -> None:
    """Refuse the current caller to submit jobs, or go on."""
    caller = CALLER.get()
    if caller.policy is not None:
        caller.policy.check(caller, "jobs")


def require_buy(*services: str) -> None:
    """Refuse the current caller what costs money at services, or go on."""
    caller = CALLER.get()
    if caller.policy is not None:
        caller.policy.buy(caller, services)
