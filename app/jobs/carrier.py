"""Celery as a bell: its messages say that there is work, and nothing of which.

What is true of jobs is in the ledger. So a message that is lost costs time, one that
comes twice a look, and however large a job is, the broker holds some messages.
"""

import ssl
import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from celery import Celery, bootsteps, signals
from celery.exceptions import SecurityWarning
from kombu.exceptions import OperationalError

_QUEUE = "mimeo-jobs"
_TASK = "mimeo.draw"
# Whoever rings does not wait longer for the broker.
_TIMEOUT_S = 2.0
# A chunk takes seconds; who has not said in ten minutes that it is done is dead.
_LOST_S = 600
# Each is one option of Celery or kombu, by its own name.
_SETTINGS: dict[str, Any] = {
    # A worker that is killed gives its message back.
    "task_acks_late": True,
    "task_ignore_result": True,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_default_queue": _QUEUE,
    # A worker that is busy holds no message back from one that is not.
    "worker_prefetch_multiplier": 1,
    "broker_connection_retry_on_startup": True,
    # And again for as long as there is none.
    "broker_connection_max_retries": None,
    # Small plans of hosted redis count connections.
    "broker_pool_limit": 2,
    "broker_connection_timeout": _TIMEOUT_S,
    "worker_send_task_events": False,
    "worker_enable_remote_control": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_proc_alive_timeout": 60.0,
}
_CERTIFICATES = "ssl_cert_reqs"
_REDIS = {
    "visibility_timeout": _LOST_S,
    # Looked for every ten seconds, and not every hundred.
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": _TIMEOUT_S,
    "socket_keepalive": True,
    "global_keyprefix": "mimeo:",
}


def _query(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


class CarrierError(Exception):
    """The broker cannot be reached."""


class Carrier:
    """The messages of one broker, `redis://...` or `amqp://...`; shared by threads.

    Made after a fork.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_redis = url.startswith(("redis://", "rediss://"))
        self._celery = Celery("mimeo", broker=url, set_as_current=False)
        self._celery.conf.update(_SETTINGS, worker_disable_prefetch=self._is_redis)
        if self._is_redis:
            self._celery.conf.broker_transport_options = _REDIS
        if url.startswith("rediss://") and _CERTIFICATES not in _query(url):
            # kombu would take any.
            self._celery.conf.broker_use_ssl = {_CERTIFICATES: ssl.CERT_REQUIRED}
        # A refused login is no fault of the network, and of each broker another class.
        faults = self._celery.connection_for_write()
        self._faults = (
            OperationalError,
            OSError,
            *faults.connection_errors,
            *faults.channel_errors,
        )

    def ring(self, times: int = 1) -> None:
        """Say that there is work; raise CarrierError."""
        try:
            for _ in range(times):
                self._celery.send_task(_TASK, retry=False)
        except self._faults as error:
            raise CarrierError(f"the broker cannot be reached: {error}") from error

    def check(self) -> None:
        """Raise CarrierError where there is no broker now."""
        try:
            with self._celery.connection_for_write() as connection:
                connection.connect()
        except self._faults as error:
            raise CarrierError(f"the broker cannot be reached: {error}") from error

    def warnings(self) -> list[str]:
        """Say what is wrong with a broker that is there, as far as it can be asked."""
        if not self._is_redis:
            return []
        with redis.Redis.from_url(
            self._url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        ) as client:
            try:
                policy = client.info("memory").get("maxmemory_policy", "noeviction")
            except (redis.RedisError, OSError) as error:
                return [f"the broker does not say how it is set up: {error}"]
        if policy == "noeviction":
            return []
        return [
            f"redis may drop messages when it is full (maxmemory-policy is {policy},"
            " and should be noeviction): a job would then wait for half a minute"
        ]

    def listen(
        self,
        heard: Callable[[], None],
        stopping: Callable[[], None],
        connected: Callable[[bool], None],
        threads: int,
    ) -> None:
        """Call `heard` for each message, in so many threads, until a signal ends it.

        `stopping` is called at that signal; the calls that run are waited for. A broker
        that is gone is looked for without end: `connected` is told when there is one
        and when there is none any more.
        """

        class BrokerLink(bootsteps.StartStopStep):  # type: ignore[misc]
            requires = ("celery.worker.consumer.connection:Connection",)

            def start(self, _: Any) -> None:
                connected(True)

            def stop(self, _: Any) -> None:
                connected(False)

        self._celery.steps["consumer"].add(BrokerLink)
        self._celery.task(heard, name=_TASK)
        # Of root it warns for pickle's sake, and here is JSON alone.
        warnings.simplefilter("ignore", SecurityWarning)

        def stop(**_: Any) -> None:
            stopping()

        def keep(**_: Any) -> None:
            """Leave the logs as they are set up."""

        signals.setup_logging.connect(keep, weak=False)

        signals.worker_shutting_down.connect(stop, weak=False)
        worker = self._celery.Worker(
            pool="threads",
            concurrency=threads,
            loglevel="WARNING",
            optimization="fair",
            quiet=True,
            without_gossip=True,
            without_mingle=True,
            # Nobody listens to them, and an idle worker would do little else.
            without_heartbeat=True,
        )
        worker.start()

    def close(self) -> None:
        """Close the connections."""
        self._celery.close()
