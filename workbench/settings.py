"""Settings: defaults, then a TOML file, then environment, then arguments.

One table holds every setting with its default and its validator. The file is `$WORKBENCH_CONFIG`, else `config.toml`
in the user's configuration folder. A setting `store.path` is `[store] path = ...` in the file and
`WORKBENCH_STORE_PATH` in the environment; `$WORKBENCH_STORE` is short for the last.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from workbench.errors import InvalidInput, closest

__all__ = ["TABLE", "Setting", "cache_folder", "config_file", "data_folder", "load"]


class Setting(NamedTuple):
    """One row of the settings table."""

    default: Any
    validate: Callable[[Any], Any]
    help: str


def _positive_int(value: Any) -> int:
    number = int(value)
    if number <= 0:
        raise ValueError("a whole number above 0")
    return number


def _days(value: Any) -> float:
    number = float(value)
    if not 0 <= number < 100_000:
        raise ValueError("a number of days from 0")
    return number


def _port(value: Any) -> int:
    number = int(value)
    if not 0 <= number <= 65535:
        raise ValueError("a port from 0 to 65535")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text")
    return value


def _names(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else list(value)
    if not items or not all(isinstance(item, str) and item.strip() for item in items):
        raise ValueError("one or more names")
    return tuple(item.strip() for item in items)


TABLE: dict[str, Setting] = {
    "store.path": Setting(
        "", _text, "folder of the store that workbench.open() and the commands take when none is named"
    ),
    "store.cold_url": Setting("", _text, "where old data are moved, as s3://bucket/folder; nowhere when empty"),
    "store.warm_days": Setting(7.0, _days, "age at which raw data are moved to the cold place, days; 0 is never"),
    "store.warm_rollup_days": Setting(90.0, _days, "age at which rollups are moved there, days; 0 is never"),
    "store.raw_days": Setting(0.0, _days, "age at which raw data, samples once rolled up, are removed; 0 is never"),
    "store.rollup_days": Setting(550.0, _days, "age at which rollups are removed from every tier, days; 0 is never"),
    "store.cache_bytes": Setting(2 * 2**30, _positive_int, "most bytes of cold data kept on the local disk"),
    "store.max_series_per_source": Setting(1_000_000, _positive_int, "most series that one source may register"),
    "intake.max_body_bytes": Setting(20 * 2**20, _positive_int, "cap on one body or message after decompression"),
    "intake.max_stream_bytes": Setting(2**30, _positive_int, "cap on one compressed stream of messages, unpacked"),
    "intake.max_text_chars": Setting(65_536, _positive_int, "longest log body or attribute kept whole"),
    "intake.max_columns": Setting(256, _positive_int, "most attribute columns of one frame"),
    "query.max_series": Setting(500_000, _positive_int, "most series that one PromQL query may touch"),
    "query.max_samples": Setting(50_000_000, _positive_int, "most samples that one PromQL query may touch"),
    "prometheus.service": Setting(("service", "service_name", "job"), _names, "labels that name the service, in order"),
    "prometheus.token_file": Setting(
        "", _text, "file with the token that a Prometheus read over HTTP wants; none when empty"
    ),
    "api.host": Setting("127.0.0.1", _text, "address that the HTTP API listens on"),
    "api.port": Setting(9099, _port, "port of the HTTP API; 0 takes a free one"),
    "api.token_file": Setting(
        "", _text, "file that holds the token of the HTTP API; one in the user's data folder else"
    ),
    "lab.port": Setting(8888, _port, "port of `workbench lab`"),
}
"""Every setting: name -> default, validator, help."""


def config_file() -> Path:
    """Return where the configuration file is looked for (it need not exist)."""
    named = os.environ.get("WORKBENCH_CONFIG")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "workbench" / "config.toml"


def data_folder() -> Path:
    """Return the user's data folder for stores that no project owns."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "workbench"


def cache_folder() -> Path:
    """Return the user's folder for what can be fetched again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "workbench"


def _check(name: str, value: Any, where: str) -> Any:
    if name not in TABLE:
        near = closest(name, TABLE)
        hint = f"; did you mean {near!r}?" if near else f": known are {', '.join(TABLE)}."
        raise InvalidInput(f"setting {name!r} ({where}) is not known{hint}")
    try:
        return TABLE[name].validate(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"setting {name!r} ({where}) is {value!r}: it must be {error}.") from error


def _from_file(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"configuration file {path} cannot be read: {error}.") from error
    flat: dict[str, Any] = {}
    for section, values in tree.items():
        if not isinstance(values, dict):
            raise InvalidInput(f"configuration file {path} has {section!r} outside a section: use [section] headings.")
        flat |= {f"{section}.{key}": value for key, value in values.items()}
    return flat


def load(arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return every setting by name, after file, environment and arguments.

    Parameters
    ----------
    arguments : mapping, optional
        Overrides by setting name; they win over everything else.

    Raises
    ------
    InvalidInput
        If a name is not in the table or a value does not validate; the message says where it came from.
    """
    values = {name: setting.default for name, setting in TABLE.items()}
    path = config_file()
    for name, value in _from_file(path).items():
        values[name] = _check(name, value, str(path))
    for name in TABLE:
        variable = "WORKBENCH_" + name.upper().replace(".", "_")
        if variable in os.environ:
            values[name] = _check(name, os.environ[variable], f"${variable}")
    if os.environ.get("WORKBENCH_STORE"):
        values["store.path"] = os.environ["WORKBENCH_STORE"]
    for name, value in (arguments or {}).items():
        values[name] = _check(name, value, "argument")
    return values
