"""What a run ran on: without it a figure means nothing."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import confluent_kafka
import psutil

from events.runtime.settings import KAFKA_PREFIX, PREFIX
from projector.sandbox.jars import KAFKA_VERSION
from tests.bench.workload import Workload

DATABASE_SETTINGS: Final = (
    "server_version", "synchronous_commit", "fsync", "full_page_writes", "shared_buffers", "work_mem", "max_wal_size",
    "checkpoint_timeout", "max_parallel_workers_per_gather", "jit", "autovacuum",
)  # fmt: skip
OUR_OWN: Final = {
    "PROJECTOR_DATABASE_URL",
    "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS",
    "PROJECTOR_LOG_FORMAT",
    "PROJECTOR_SCHEMA",
}


def describe(workload: Workload) -> dict[str, Any]:
    """Return processor, memory, load, versions, PostgreSQL's settings and the settings given by the shell."""
    with workload.connected() as connection:
        query = "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name"
        database = dict(connection.execute(query, [list(DATABASE_SETTINGS)]).fetchall())
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "psycopg": version("psycopg"),
        "confluent_kafka": version("confluent-kafka"),
        "librdkafka": confluent_kafka.libversion()[0],
        "kafka": f"{KAFKA_VERSION}, one node, this machine",
        "postgresql": database,
        "settings": _given(workload.environment),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _given(environment: dict[str, str]) -> dict[str, str]:
    """Return the settings that are not the defaults, without Kafka's properties, among which are secrets."""
    names = sorted(name for name in environment if name.startswith(PREFIX) and not name.startswith(KAFKA_PREFIX))
    return {name: environment[name] for name in names if name not in OUR_OWN}
