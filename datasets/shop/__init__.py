"""A small instrumented shop that breaks on request and records what its telemetry looked like.

What enters: a scenario name and a seed. What leaves: a folder with the OTLP bodies, profiles, events and the truth.
The one idea: the services hold no telemetry code; everything recorded comes from ``opentelemetry-instrument`` and an
in-process sampler, as in a real shop. Read ``scenarios.py`` first, then ``record.py``.
"""
