"""Calls from one service to another: a timeout always, retries only where they are safe."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import requests

logger = logging.getLogger("shop.clients")


class UpstreamError(RuntimeError):
    """Another service did not answer, or answered with a server error."""

    __module__ = "shop.clients"


@dataclass(frozen=True)
class Policy:
    """How patient a caller is: seconds per attempt, attempts, and the first pause between them."""

    timeout_s: float = 2.0
    attempts: int = 2
    backoff_s: float = 0.1


def call(method: str, service: str, path: str, policy: Policy, body: dict[str, Any] | None = None) -> Any:
    """Call another service and return its JSON answer.

    Raises
    ------
    UpstreamError
        Every attempt failed, by connection, by timeout or with a 5xx answer.
    """
    url = f"http://{service}:8080{path}"
    problem = ""
    for attempt in range(1, policy.attempts + 1):
        try:
            response = requests.request(method, url, json=body, timeout=policy.timeout_s)
            if response.status_code < 500:
                response.raise_for_status()
                return response.json()
            problem = f"status {response.status_code}"
        except requests.Timeout:
            problem = f"no answer within {policy.timeout_s:g} s"
        except requests.ConnectionError as error:
            problem = f"connection failed: {type(error).__name__}"
        if attempt < policy.attempts:
            logger.warning("%s %s%s attempt %d: %s, trying again", method, service, path, attempt, problem)
            time.sleep(policy.backoff_s * 2 ** (attempt - 1))
    raise UpstreamError(f"{method} {service}{path} failed after {policy.attempts} attempts: {problem}")
