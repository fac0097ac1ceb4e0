"""The Prometheus-compatible HTTP API over a store: what Grafana, promtool and a Prometheus that writes remotely talk to.

Enters: HTTP requests. Leaves: JSON as Prometheus spells it, or samples in the store. The one idea: a request is checked
(token, host, sizes) before any of it is believed, and every answer or refusal has Prometheus' shape and status code.
Needs the extra `agent`. Read `server.py` first, then `routes.py`; `answers.py` and `numbers.py` spell results,
`parameters.py` understands requests, `write.py` takes samples in, `guard.py` decides who may ask.
"""

from workbench.api.server import Serving, serve

__all__ = ["Serving", "serve"]
