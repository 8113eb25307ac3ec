"""The machine and versions that a result belongs to."""

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("pytakumi", "pillow", "zlib-ng", "flask", "gunicorn")


def describe() -> dict[str, str]:
    """Return what a reader needs to compare: processor, cores, kernel, versions."""
    return {
        "Processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "System": f"{platform.system()} {platform.release()}, {_libc()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Node": _node(),
        "Packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    return next(names, platform.machine())


def _libc() -> str:
    return " ".join(platform.libc_ver()).strip() or "unknown libc"


def _node() -> str:
    if not shutil.which("node"):
        return "not installed"
    done = subprocess.run(["node", "--version"], capture_output=True, text=True)
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
