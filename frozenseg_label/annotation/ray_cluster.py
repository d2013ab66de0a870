"""A Ray cluster: joining one, or starting a small one on this machine; and how workers fill it.

Ray is optional: this module imports it only when it is asked for, after its environment is set.
"""

import logging
import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from frozenseg_label.annotation.annotate_job import RayOptions
from frozenseg_label.errors import RunError

OBJECT_STORE = 256 * 1024**2  # bytes, of the Ray that we start: names of images, no pictures
ANSWER_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workers:
    """How many workers there are, and what each of them takes of its machine.

    Attributes:
        count: of workers.
        cpus: cores of each; below 1 where a machine has fewer cores than workers.
        gpus: of each; 0.5: two share a GPU.
    """

    count: int
    cpus: float
    gpus: float


@contextmanager
def joined_cluster(address: str | None) -> Iterator[None]:
    """Join a cluster of Ray as long as a block runs; one that the caller has joined stays.

    Args:
        address: of the cluster; None is the one in RAY_ADDRESS, else one that starts and ends here,
            which listens on this machine only (127.0.0.1).
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its own log files say the rest
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RunError(
            f"engine ray needs Ray ({error}); pip install 'frozenseg-label[ray]'"
        ) from error
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        if address:
            _refuse_silent(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        else:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=OBJECT_STORE,
                log_to_driver=False,
                logging_level=logging.WARNING,
                _node_ip_address="127.0.0.1",
            )
    except Exception as error:  # Ray raises no kind of its own where it cannot start
        where = address or "on this machine"
        reason = (f"{error}".strip() or type(error).__name__).splitlines()[0]
        remedy = "see `ray status`"
        if address:
            remedy += ", and set RAY_AUTH_MODE=token if it wants a token"
        raise RunError(f"Ray {where} does not answer ({reason}); {remedy}") from error
    try:
        if not address:
            log.info("started Ray on 127.0.0.1, for this run only")
        yield
    finally:
        ray.shutdown()


def _refuse_silent(address: str) -> None:
    """Raise OSError where nothing listens at HOST:PORT, for which Ray would wait many minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()


def fitting_workers(options: RayOptions, device: str) -> Workers:
    """Return the workers that fill the machines of the cluster; RunError where none fits.

    Without GPUs that is one for each machine; workers of one machine share its cores.

    Args:
        options: what the caller has chosen.
        device: of the labels; `cpu` leaves GPUs alone.
    """
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    gpus = options.gpus
    if gpus is None:
        gpus = float(device != "cpu" and any(machine.get("GPU") for machine in machines))
    hosts = [m for m in machines if m.get("GPU", 0) >= gpus and m.get("CPU", 0) >= 1]
    if not hosts:
        raise RunError(
            f"no machine of this Ray cluster has a core and {gpus:g} GPU for a worker; see "
            "`ray status`, and give --ray-gpus"
        )
    room = sum(int(host["GPU"] / gpus) for host in hosts) if gpus else len(hosts)
    count = options.actors or room
    share = min(host["CPU"] for host in hosts) / math.ceil(count / len(hosts))
    return Workers(count, math.floor(share) if share >= 1 else share, gpus)
