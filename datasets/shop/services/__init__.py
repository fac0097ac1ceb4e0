"""The services of the shop: ordinary Flask and Celery programs that know nothing about telemetry or recordings."""
