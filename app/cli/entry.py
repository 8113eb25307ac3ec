"""Where `mimeo` begins: what it imports takes a second, in which Ctrl-C may come."""

import os
import sys
from contextlib import suppress

from app.cli.exit_status import ExitStatus


def main() -> int:
    """Run `app.cli.main.main`, with all three standard streams.

    Returns its exit status; MISUSE where standard output is closed.
    """
    try:
        for descriptor in range(3):
            # Or the first file that is opened would take its place.
            with suppress(OSError):
                os.fstat(descriptor)
                continue
            os.open(os.devnull, os.O_RDWR)
        sys.stdin = sys.stdin or open(0)  # noqa: SIM115
        sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115
        if sys.stdout is None:
            # What is made would be lost without a word.
            print("mimeo: standard output is closed", file=sys.stderr)
            return ExitStatus.MISUSE
        from app.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        print("mimeo: interrupted", file=sys.stderr)
        return ExitStatus.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
