"""Soak two workers behind nginx: `python -m benchmarks.soak --minutes 30`.

Eight clients ask for everything that Mimeo makes, and compare each answer with the
first of its kind, while workers are reloaded, killed and restarted, the store is full,
read-only and gone, and others send and read slowly. Prints a report as JSON; with
`--report` it is written into a folder, with plots. Ends with 1 where a request was lost
that no fault excuses, or an answer was wrong. A full and a read-only store need root.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from benchmarks.soak import clients, report, stack
from benchmarks.soak.faults import FAULTS, Window, inflict
from benchmarks.soak.watch import Watch

_PAUSE_S = 0.02


def soak(
    minutes: float, names: Sequence[str] = tuple(FAULTS), reloads: int = 0
) -> report.Soak:
    """Load a stack for so long, after `reloads` HUPs; raise RuntimeError, TimeoutError.

    A tenth of the time, a minute at most, is quiet at the beginning.
    """
    windows: list[Window] = []
    gap_s = min(15.0, minutes)
    with stack.running() as made, Watch(made) as watch:
        began = time.time()
        load = clients.mixed(made.front, made.backend.url, _PAUSE_S)
        with clients.asking(load):
            for _ in range(reloads):
                windows.append(inflict("HUP", made))
            end = time.time() + minutes * 60
            time.sleep(min(60.0, minutes * 6))
            for name in cycle(names):
                if time.time() > end - gap_s:
                    break
                windows.append(inflict(name, made))
                time.sleep(gap_s)
        ended = time.time()
    return report.Soak(began, ended, load.records, watch.health, watch.samples, windows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak and report; return 1 where a request was lost or an answer was wrong."""
    parser = argparse.ArgumentParser("python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--reloads", type=int, default=0, help="HUPs at the beginning")
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--report", type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    found = soak(options.minutes, options.faults, options.reloads)
    told = report.summary(found)
    print(json.dumps(told, indent=1, ensure_ascii=False))
    if options.report is not None:
        report.write(found, options.report)
    return 1 if told["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
