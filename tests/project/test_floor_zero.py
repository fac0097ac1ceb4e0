"""Errors, registry, settings and resources."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench import errors, registry, resources, settings


def test_every_error_is_also_the_builtin_one_would_catch() -> None:
    assert issubclass(errors.ShapeError, ValueError)
    assert issubclass(errors.NotFound, LookupError)
    assert issubclass(errors.StoreError, OSError)
    assert issubclass(errors.MissingDependency, ImportError)
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and not issubclass(kind, Warning):
            assert issubclass(kind, errors.WorkbenchError)


def test_query_error_points_at_the_position() -> None:
    error = errors.QueryError("found ')'", "sum)", 3)
    assert "character 4" in str(error)
    assert str(error).splitlines()[2].index("^") == 5


def test_check_one_of_names_the_choices_and_the_closest() -> None:
    assert errors.check_one_of("json", ["csv", "json"], "format") == "json"
    with pytest.raises(errors.InvalidInput, match="'csv', 'json'; did you mean 'json'"):
        errors.check_one_of("jsn", ["csv", "json"], "format")


def test_registry_loads_built_ins_lazily_and_lists_the_known() -> None:
    assert "otlp" in registry.names("workbench.sources")
    with pytest.raises(errors.NotFound, match="did you mean 'otlp'"):
        registry.load("workbench.sources", "oltp")
    with pytest.raises(errors.InvalidInput, match="plug-in group"):
        registry.plugins("workbench.nothing")


def test_registry_refuses_duplicates_and_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_extra", {})
    registry.register("workbench.checks", "mine", "json:dumps")
    assert registry.load("workbench.checks", "mine") is __import__("json").dumps
    with pytest.raises(errors.InvalidInput, match=r"json:dumps.*json:loads"):
        registry.register("workbench.checks", "mine", "json:loads")
    with pytest.raises(errors.InvalidInput, match="module:attribute"):
        registry.register("workbench.checks", "other", "json.dumps")


def test_a_broken_plugin_warns_and_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_extra", {})
    registry.register("workbench.runbooks", "broken", "no_such_module:thing")
    with pytest.warns(errors.WorkbenchWarning, match="no_such_module"):
        assert "broken" not in registry.load_all("workbench.runbooks")


def test_every_built_in_can_be_loaded() -> None:
    for group in registry.GROUPS:
        for name in registry.BUILTINS[group]:
            assert registry.load(group, name) is not None


def test_settings_take_file_then_environment_then_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[lab]\nport = 1001\n[store]\npath = "from-file"\n')
    monkeypatch.setenv("WORKBENCH_CONFIG", str(file))
    monkeypatch.delenv("WORKBENCH_STORE", raising=False)
    assert settings.load()["lab.port"] == 1001
    monkeypatch.setenv("WORKBENCH_LAB_PORT", "1002")
    monkeypatch.setenv("WORKBENCH_STORE", "from-environment")
    assert settings.load()["lab.port"] == 1002
    assert settings.load()["store.path"] == "from-environment"
    assert settings.load({"lab.port": 1003})["lab.port"] == 1003


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lab]\nprt = 1", "did you mean 'lab.port'"),
        ("[lab]\nport = 99999", "0 to 65535"),
        ("x = [", "cannot be read"),
        ("x = 1", "section"),
    ],
)
def test_settings_name_what_is_wrong(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    monkeypatch.setenv("WORKBENCH_CONFIG", str(file))
    with pytest.raises(errors.InvalidInput, match=message):
        settings.load()


def test_resources_name_the_closest() -> None:
    assert resources.notebook("investigate").is_file()
    with pytest.raises(errors.NotFound, match="did you mean 'investigate'"):
        resources.notebook("investigat")
    with pytest.raises(errors.NotFound, match="recorded incident"):
        resources.incident("../..")
