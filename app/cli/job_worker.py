"""A worker of jobs: draws what servers were asked for, on this machine or another."""

import sys
from dataclasses import replace
from pkgutil import resolve_name

from app.cli.exit_status import ExitStatus
from app.config import Settings, allocator
from app.jobs.celery_engine import lack_of


def run(settings: Settings) -> int:
    """Draw until SIGTERM or SIGINT; return 0, at once where nothing could be heard.

    Raises BadSetting.
    """
    lack = lack_of(settings)
    if lack is not None:
        # Not a fault: who supervises it would begin it again and again.
        _say(f"{lack}, so servers draw jobs themselves")
        return ExitStatus.DONE
    allocator.tune()
    # By name: the factory is above this room, as the server's is.
    app = resolve_name("app:create_app")(replace(settings, workers=1))
    # Before the first thread of Python's. What numpy and the engine began at import
    # does nothing yet; of gunicorn's workers it stayed behind in the master.
    app.extensions["mimeo.fork_early"](serves=False)
    worker = app.extensions["mimeo.jobs"].worker()
    for warning in worker.warnings():
        _say(warning)
    _say("draws jobs")
    worker.run()
    app.extensions["mimeo"].close()
    return ExitStatus.DONE


def _say(text: str) -> None:
    print(f"mimeo worker: {text}", file=sys.stderr, flush=True)
