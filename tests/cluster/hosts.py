"""Hosts on this machine: each has a network, processes and a disk of its own.

A host is a process with namespaces. All of the machine's files are read-only there, but
for a disk in memory that nobody else sees. Hosts end when whoever made them does.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

_NET = 0x40000000
_NETWORK = "10.77.0"
# Kinds of mounts that hold no files.
_NO_DISK = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"}
# Where it is, on each host.
DISK = "/dev/shm"
_STARTS_S = 10.0
# Its first line is written when all is in place; it ends with its input.
_BOOT = """
set -e
ip link set lo up
mount --make-rprivate /
cut -d ' ' -f 2 /proc/mounts | sort -r | while read -r place; do
    mount -o remount,bind,ro "$place" 2>/dev/null || true
done
mount -t tmpfs own DISK
mkdir DISK/tmp DISK/home
echo booted
cat
"""


def why_not() -> str:
    """Return why there can be no hosts here; nothing where there can."""
    for program in ("ip", "unshare", "nsenter", "mount"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    bridge = ("ip", "link", "add", "one", "type", "bridge")
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", *bridge],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"no namespaces: {tried.stderr.strip()}" if tried.returncode else ""


def family(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family(int(child))


@contextmanager
def in_network_of(pid: int) -> Iterator[None]:
    """Let sockets, threads and programs that the body makes be in a host's network."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(number: int) -> None:
        if libc.setns(number, _NET):
            raise OSError(ctypes.get_errno(), "setns")

    with open("/proc/thread-self/ns/net") as own, open(f"/proc/{pid}/ns/net") as other:
        enter(other.fileno())
        try:
            yield
        finally:
            enter(own.fileno())


class Unit:
    """A program that runs on a host, with what it started."""

    def __init__(self, entry: subprocess.Popen[bytes]) -> None:
        self._entry = entry

    @property
    def pid(self) -> int:
        """The program's own id, as this machine counts."""
        end = time.monotonic() + _STARTS_S
        while not (below := list(family(self._entry.pid))[1:]):
            assert self._entry.poll() is None, f"ended with {self._entry.returncode}"
            assert time.monotonic() < end, "it has not begun"
            time.sleep(0.002)
        return below[0]

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._entry.poll() is None

    def kill(self) -> None:
        """End it and all that it started, with no warning."""
        # Again, as it may have been about to start something.
        while self.runs:
            for pid in list(family(self._entry.pid))[1:]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._entry.wait(0.05)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, as a platform does before it replaces a program."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """Return how it ended; raise TimeoutExpired where it has not."""
        return self._entry.wait(seconds)

    def processor_s(self) -> float:
        """Return seconds of a processor that it and what runs below it took."""
        return sum(map(processor_s, list(family(self._entry.pid))[1:]))


def name_of(pid: int) -> str:
    """Return what a process is called; nothing where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def processor_s(pid: int) -> float:
    """Return seconds of a processor of one process, those of its dead children too."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class Host:
    """A host with an address in the network that all share."""

    def __init__(self, name: str, address: str, pid: int) -> None:
        self.name = name
        self.address = address
        self.pid = pid

    def inside(self) -> AbstractContextManager[None]:
        """Return a context in which sockets are of this host."""
        return in_network_of(self.pid)

    @property
    def root(self) -> Path:
        """Its files, as they are seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def disk(self) -> Path:
        """Its own disk, as it is seen from outside."""
        return self.root / DISK[1:]

    def disks(self) -> set[int]:
        """Return the devices of this host that can be written to."""
        found = set()
        for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines():
            fields, _, kind = line.partition(" - ")
            place, options = fields.split()[4:6]
            if "rw" in options.split(",") and kind.split()[0] not in _NO_DISK:
                found.add((self.root / place.lstrip("/")).stat().st_dev)
        return found

    def run(self, *command: str) -> str:
        """Run a program to its end; return what it says."""
        done = subprocess.run(
            [*self._enter("/"), *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: str,
        log: Path,
    ) -> Unit:
        """Start a program in a folder of this host."""
        with log.open("ab") as file:
            return Unit(
                subprocess.Popen(
                    [*self._enter(folder), *command],
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                )
            )

    def _enter(self, folder: str) -> list[str]:
        # The folder is named there: a shell that is inside goes into it.
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid"]
        return [*enter, "sh", "-c", 'cd "$0" && exec "$@"', folder]


@contextmanager
def hosts(*names: str) -> Iterator[list[Host]]:
    """Yield hosts, the first of which is the switch between all."""
    with ExitStack() as stack:
        made = [
            Host(name, f"{_NETWORK}.{number}", stack.enter_context(_booted()))
            for number, name in enumerate(names, 1)
        ]
        first = made[0]
        _ip(first, "link", "add", "switch", "type", "bridge")
        _ip(first, "addr", "add", f"{first.address}/24", "dev", "switch")
        _ip(first, "link", "set", "switch", "up")
        for host in made[1:]:
            cable = f"to-{host.name}"
            here = ("link", "add", cable, "type", "veth")
            _ip(first, *here, "peer", "name", "eth0", "netns", str(host.pid))
            _ip(first, "link", "set", cable, "master", "switch", "up")
            _ip(host, "addr", "add", f"{host.address}/24", "dev", "eth0")
            _ip(host, "link", "set", "eth0", "up")
        yield made


def _ip(host: Host, *words: str) -> None:
    with in_network_of(host.pid):
        subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def _booted() -> Iterator[int]:
    own = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    entry = subprocess.Popen(
        ["unshare", *own, "sh", "-c", _BOOT.replace("DISK", DISK)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert entry.stdin is not None and entry.stdout is not None
    try:
        assert entry.stdout.readline() == b"booted\n"
        # The first process of a host: all others of it end when it does.
        yield list(family(entry.pid))[1]
    finally:
        entry.stdin.close()
        entry.wait(_STARTS_S)
        entry.stdout.close()
