"""The machine and versions that a result belongs to."""

import json
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

NODE = Path(__file__).parent / "node"
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
    return python_version(package) or "absent"


def python_version(package: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def node_version(package: str) -> str | None:
    """Return the version of a package of `benchmarks/node`, or None."""
    file = NODE / "node_modules" / package / "package.json"
    if not (shutil.which("node") and file.is_file()):
        return None
    return str(json.loads(file.read_text())["version"])


def program_version(program: str) -> str | None:
    """Return what the first number in `program --version` is, or None."""
    if not shutil.which(program):
        return None
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    found = re.search(r"\d+(\.\d+)+", done.stdout)
    return found[0] if found else "of unknown version"
