"""`python -m app.cli.start`: gunicorn, once the settings are known to be right.

With `worker` it draws the jobs of other machines' servers in its place.

Gunicorn reads WEB_CONCURRENCY while it is imported, before any file of ours, and meets
an empty one with a traceback.
"""

import os
import sys
from collections.abc import Sequence

from app.cli import job_worker
from app.cli.exit_status import ExitStatus
from app.config import BadSetting, Settings


def main(arguments: Sequence[str]) -> int:
    """Become gunicorn with these options; return 2 where one or a setting is wrong."""
    try:
        settings = Settings.from_env(os.environ)
        if list(arguments) == ["worker"]:
            return job_worker.run(settings)
    except BadSetting as error:
        print(f"mimeo: {error}", file=sys.stderr)
        return ExitStatus.MISUSE
    if arguments and not arguments[0].startswith("-"):
        # Gunicorn passes over a second application, and would serve.
        reason = "only `worker`, alone, or gunicorn's options may stand here"
        print(f"mimeo: {arguments[0]}: {reason}", file=sys.stderr)
        return ExitStatus.MISUSE
    if not os.environ.get("WEB_CONCURRENCY", "").strip():
        os.environ.pop("WEB_CONCURRENCY", None)
    # In this process: who supervises it knows its id, and sends it signals.
    command = (sys.executable, "-m", "gunicorn", "wsgi:app", *arguments)
    os.execv(sys.executable, command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
