"""What a soak says: figures as JSON, plots as SVG, and whether all was well."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks import machine
from benchmarks.soak.clients import FAILURES, Record
from benchmarks.soak.faults import Window
from benchmarks.soak.plot import Band, Line, draw
from benchmarks.soak.watch import Sample

_BUCKET_S = 5.0
_MOST_TOLD = 40


@dataclass(frozen=True, slots=True)
class Soak:
    """All that was seen from `began` to `ended`, in seconds since 1970."""

    began: float
    ended: float
    records: Sequence[Record]
    health: Sequence[Record]
    samples: Sequence[Sample]
    windows: Sequence[Window]

    def losses(self) -> list[Record]:
        """Return the failures that no fault at that moment excuses."""
        return [
            record
            for record in (*self.records, *self.health)
            if record.outcome in FAILURES and not self._excused(record)
        ]

    def excused(self, window: Window) -> list[Record]:
        """Return the failures that a fault excuses."""
        return [
            record
            for record in (*self.records, *self.health)
            if record.outcome in window.excuses and _overlap(record, window)
        ]

    def _excused(self, record: Record) -> bool:
        return any(
            record.outcome in window.excuses and _overlap(record, window)
            for window in self.windows
        )


def _overlap(record: Record, window: Window) -> bool:
    return record.began <= window.ended and record.ended >= window.began


def summary(soak: Soak) -> dict[str, Any]:
    """Return the figures; times in milliseconds, memory in MiB."""
    losses = soak.losses()
    quiet = [r for r in soak.records if not _within(r, soak.windows)]
    quiet_health = [r for r in soak.health if not _within(r, soak.windows)]
    calm_s = _seconds_without(soak)
    return {
        "machine": machine.describe(),
        "minutes": round((soak.ended - soak.began) / 60, 2),
        "requests": len(soak.records),
        "statuses": _counted(r.status for r in soak.records),
        "outcomes": _counted(r.outcome for r in soak.records),
        "kinds": _counted(r.kind for r in soak.records),
        "lost": len(losses),
        "losses": [_told(record, soak.began) for record in losses[:_MOST_TOLD]],
        "quiet": {
            "seconds": round(calm_s, 1),
            "rate": round(len(quiet) / calm_s, 1) if calm_s else None,
            "card": _latency(quiet, "card"),
            "health": _latency(quiet_health, "health"),
        },
        "faults": [_fault(soak, name) for name in _names(soak.windows)],
        "memory": _memory(soak),
    }


def _names(windows: Sequence[Window]) -> list[str]:
    return list(dict.fromkeys(window.name for window in windows))


def _fault(soak: Soak, name: str) -> dict[str, Any]:
    windows = [window for window in soak.windows if window.name == name]
    records = [r for r in soak.records if _within(r, windows)]
    health = [r for r in soak.health if _within(r, windows)]
    seconds = sum(window.ended - window.began for window in windows)
    excused = [len(soak.excused(window)) for window in windows]
    return {
        "name": name,
        "times": len(windows),
        "seconds": round(seconds, 1),
        "requests": len(records),
        "rate": round(len(records) / seconds, 1) if seconds else None,
        "statuses": _counted(r.status for r in records),
        "outcomes": _counted(r.outcome for r in records),
        "excused": sum(excused),
        "excused_most": max(excused),
        "card": _latency(records, "card"),
        "health": _latency(health, "health"),
        "notes": sorted({window.note for window in windows if window.note}),
    }


def _within(record: Record, windows: Iterable[Window]) -> bool:
    return any(_overlap(record, window) for window in windows)


def _seconds_without(soak: Soak) -> float:
    return soak.ended - soak.began - sum(w.ended - w.began for w in soak.windows)


def _counted(values: Iterable[Any]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _told(record: Record, began: float) -> dict[str, Any]:
    return {
        "at_s": round(record.began - began, 1),
        "took_s": round(record.ended - record.began, 2),
        "kind": record.kind,
        "outcome": record.outcome,
        "detail": record.detail,
    }


def _latency(records: Sequence[Record], kind: str) -> dict[str, float] | None:
    took = _took(records, kind)
    if len(took) < 2:
        return None
    p50, p99 = _percentiles(took)
    return {
        "count": len(took),
        "p50_ms": round(p50, 2),
        "p99_ms": round(p99, 2),
        "max_ms": round(max(took), 1),
    }


def _took(records: Sequence[Record], kind: str) -> list[float]:
    return [
        (r.ended - r.began) * 1000
        for r in records
        if r.kind == kind and r.outcome == "served"
    ]


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


def _memory(soak: Soak) -> dict[str, Any] | None:
    if not soak.samples:
        return None
    # Between reloads and restarts, when there are two generations of workers.
    settled = [s for s in soak.samples if not _at(s.time, soak.windows)]
    third = max(1, len(settled) // 3)
    early, late = settled[:third] or soak.samples, settled[-third:] or soak.samples
    return {
        "pss_mib_first": round(soak.samples[0].pss_mib, 1),
        "pss_mib_most": round(max(s.pss_mib for s in soak.samples), 1),
        "pss_mib_first_third": round(median(s.pss_mib for s in early), 1),
        "pss_mib_last_third": round(median(s.pss_mib for s in late), 1),
        "files_first_third": median(s.files for s in early),
        "files_last_third": median(s.files for s in late),
        "files_most": max(s.files for s in soak.samples),
        "processes_most": max(s.processes for s in soak.samples),
    }


def _at(moment: float, windows: Iterable[Window]) -> bool:
    return any(window.began <= moment <= window.ended for window in windows)


def write(soak: Soak, folder: Path) -> None:
    """Write `report.json` and the plots into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(summary(soak), indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(text + "\n")
    bands = [
        Band(window.name, window.began - soak.began, window.ended - soak.began)
        for window in soak.windows
    ]
    plots = {
        "latency": (
            "Milliseconds of a card and of /health/live (bands: faults)",
            [
                *_latency_lines(soak, soak.records, "card"),
                *_latency_lines(soak, soak.health, "health"),
            ],
            True,
        ),
        "memory": (
            "MiB of PSS, all processes (bands: faults)",
            [Line("PSS, MiB", _sampled(soak, "pss_mib"))],
            False,
        ),
        "files": (
            "Open files, all processes (bands: faults)",
            [Line("file descriptors", _sampled(soak, "files"))],
            False,
        ),
        "rate": (
            "Requests a second by outcome (bands: faults)",
            [_rate_line(soak, "served"), _rate_line(soak, "refused", "away", "broken")],
            False,
        ),
    }
    for name, (title, lines, log) in plots.items():
        (folder / f"{name}.svg").write_text(draw(title, lines, bands, log))


def _buckets(soak: Soak, records: Sequence[Record]) -> list[list[Record]]:
    count = int((soak.ended - soak.began) / _BUCKET_S) + 1
    buckets: list[list[Record]] = [[] for _ in range(count)]
    for record in records:
        number = int((record.ended - soak.began) / _BUCKET_S)
        buckets[min(max(number, 0), count - 1)].append(record)
    return buckets


def _latency_lines(soak: Soak, records: Sequence[Record], kind: str) -> list[Line]:
    cut: list[tuple[float, float] | None] = []
    for bucket in _buckets(soak, records):
        took = _took(bucket, kind)
        cut.append(_percentiles(took) if len(took) > 1 else None)
    names = (f"{kind} p50", f"{kind} p99")
    return [
        Line(
            name,
            [
                (n * _BUCKET_S, None if each is None else each[which])
                for n, each in enumerate(cut)
            ],
        )
        for which, name in enumerate(names)
    ]


def _rate_line(soak: Soak, *outcomes: str) -> Line:
    points = [
        (n * _BUCKET_S, sum(r.outcome in outcomes for r in bucket) / _BUCKET_S)
        for n, bucket in enumerate(_buckets(soak, soak.records))
    ]
    return Line(", ".join(outcomes), points)


def _sampled(soak: Soak, name: str) -> list[tuple[float, float]]:
    return [(s.time - soak.began, getattr(s, name)) for s in soak.samples]
