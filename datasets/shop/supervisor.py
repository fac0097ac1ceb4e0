"""Starts, replaces, kills and stops the processes of the shop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datasets.shop.backing import Postgres, Redis, find_programs, free_port, stop_group
from datasets.shop.priority import prefer_session

ENVIRONMENT = "shop"
#: Service -> the version it runs when nothing has been deployed.
VERSIONS = {
    "gateway": "1.9.0",
    "catalogue": "2.4.1",
    "cart": "1.7.3",
    "payment": "3.1.4",
    "stock": "2.0.6",
    "worker": "1.3.2",
}
#: Host-wide metrics and deprecated twins of ``process.*``: noise of the recording machine, and half of the bytes.
EXCLUDED_METRICS = (
    "system.network.*,system.disk.*,system.swap.*,system.cpu.time,system.memory.usage,system.thread_count,"
    "process.runtime.*,process.disk.*"
)
_ROOT = Path(__file__).resolve().parents[2]


class ServiceStartError(RuntimeError):
    """A service did not become healthy in time."""


class ServiceEndedError(RuntimeError):
    """A service ended although nobody stopped it."""


def _instrumentation(service: str, version: str, instance: str, receiver: str) -> dict[str, str]:
    """Return the environment that tells ``opentelemetry-instrument`` what to do."""
    resource = {
        "service.name": service,
        "service.version": version,
        "deployment.environment.name": ENVIRONMENT,
        "service.instance.id": instance,
    }
    return {
        "OTEL_SERVICE_NAME": service,
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{name}={value}" for name, value in resource.items()),
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "otel",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_BLRP_SCHEDULE_DELAY": "1000",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
        "OTEL_PYTHON_LOG_CODE_ATTRIBUTES": "true",
        "OTEL_PYTHON_EXCLUDED_URLS": "health,admin/settings",
        "OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS": EXCLUDED_METRICS,
        # The worker knows Redis only as its queue; polling it would make a span every second.
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis" if service == "worker" else "",
    }


class Shop:
    """All processes of one shop; use it as a context manager.

    Parameters
    ----------
    receiver
        Base address of the OTLP receiver the services export to.
    """

    def __init__(self, receiver: str) -> None:
        postgres, redis_server = find_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="shop-"))
        # The database runs as another user and has to pass through.
        self.folder.chmod(0o755)
        self._receiver = receiver
        self.postgres = Postgres(postgres, self.folder)
        self.redis = Redis(redis_server, self.folder)
        self.routes: dict[str, int] = {"redis": self.redis.port}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._retired: list[subprocess.Popen[bytes]] = []
        self._instances = dict.fromkeys(VERSIONS, 0)

    def __enter__(self) -> Shop:
        try:
            self.redis.start()
            self.postgres.start()
            started = {service: self._spawn(service, version) for service, version in VERSIONS.items()}
            for service, (process, port) in started.items():
                self._await_healthy(service, process, port)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop()

    def _spawn(self, service: str, version: str) -> tuple[subprocess.Popen[bytes], int]:
        """Start a process of a service without sending it any traffic."""
        self._instances[service] += 1
        port = free_port()
        instance = f"{service}-{self._instances[service]}"
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "SERVICE_PORT": str(port),
            "SERVICE_VERSION": version,
            "DATABASE_URL": self.postgres.dsn,
            "SHOP_ROUTES": str(self.folder / "routes.json"),
            "SHOP_ENVIRONMENT": ENVIRONMENT,
            "SHOP_PROFILES": f"{self._receiver}/v1/profiles",
            **_instrumentation(service, version, instance, self._receiver),
        }
        wrapper = str(Path(sys.executable).with_name("opentelemetry-instrument"))
        command = [sys.executable, wrapper, sys.executable, "-m", "datasets.shop.launch", service]
        self._write_routes()
        with (self.folder / f"{instance}.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, cwd=_ROOT, stdout=log, stderr=log, start_new_session=True
            )
        prefer_session(process.pid)
        self._processes.setdefault(service, process)
        self._retired.append(process)
        if service not in self.routes:
            self._route(service, process, port)
        return process, port

    def _write_routes(self) -> None:
        # Written aside and renamed, because services read the file at every look-up.
        fresh = self.folder / "routes.json.new"
        fresh.write_text(json.dumps(self.routes), encoding="utf-8")
        fresh.replace(self.folder / "routes.json")

    def _route(self, service: str, process: subprocess.Popen[bytes], port: int) -> None:
        self.routes[service] = port
        self._processes[service] = process
        self._write_routes()

    def _await_healthy(self, service: str, process: subprocess.Popen[bytes], port: int) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        name = f"{service}-{self._instances[service]}.log"
        tail = (self.folder / name).read_text(encoding="utf-8", errors="replace")[-800:]
        raise ServiceStartError(f"service {service} did not become healthy, its log ends with: {tail}")

    def deploy(self, service: str, version: str) -> datetime:
        """Replace a service by another version without dropping requests; returns when traffic moved over."""
        old = self._processes[service]
        process, port = self._spawn(service, version)
        self._await_healthy(service, process, port)
        moved = datetime.now(UTC)
        self._route(service, process, port)
        time.sleep(2.0)
        stop_group(old, signal.SIGTERM)
        return moved

    def kill(self, service: str) -> None:
        """End a service, or Redis, at once, as a crash would."""
        if service == "redis":
            self.redis.kill()
            return
        self._processes[service].kill()
        self._processes[service].wait()

    def restart(self, service: str) -> None:
        """Bring back what was killed and wait until it answers."""
        if service == "redis":
            self.redis.start()
            return
        process, port = self._spawn(service, VERSIONS[service])
        self._await_healthy(service, process, port)
        self._route(service, process, port)

    def check_alive(self) -> None:
        """Fail if a service has ended by itself: a recording without it would not be what its card says."""
        dead = [service for service, process in self._processes.items() if process.poll() is not None]
        if dead:
            raise ServiceEndedError(f"{', '.join(dead)} ended during the recording, which is therefore not kept")

    def change_settings(self, service: str, changes: dict[str, Any]) -> None:
        """Change tunables of a running service."""
        message = urllib.request.Request(
            f"http://127.0.0.1:{self.routes[service]}/admin/settings",
            json.dumps(changes).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(message, timeout=10).close()

    def stop(self) -> None:
        """Stop every process and remove the folder; safe to call twice."""
        for process in self._retired:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._retired:
            stop_group(process, signal.SIGTERM, patience_s=6.0)
        self.redis.stop()
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
