"""Our answers beside those of a live Prometheus 2 on loopback, from the same samples, with `semantics="2"`."""

from __future__ import annotations

import pytest

from tests.query import promql_live
from tests.query.memory import Memory
from tests.query.promql_live import START, Asked, compare
from tests.query.promql_queries import Generator
from tests.query.promql_templates import expanded

pytestmark = pytest.mark.skipif(bool(promql_live.missing()), reason=promql_live.missing() or "here")


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    samples = promql_live.demo()
    folder = tmp_path_factory.mktemp("prometheus") / "data"
    folder.mkdir()
    promql_live.write_blocks(samples, folder)
    with promql_live.serving(folder) as server:
        yield server, Memory(samples)


def test_compliance_templates(live, shared_data):
    path = shared_data / "query" / "promqltest" / "promql-test-queries.yml"
    if not path.is_file():
        pytest.skip(f"no query templates at {path}")
    cases = expanded(path)
    assert len(cases) > 500
    wrong = []
    for expr, fails in cases:
        verdict = compare(*live, Asked(expr), 1e-9)
        if verdict.problem or verdict.failed != fails:
            wrong.append(f"{expr} -> {verdict.problem or 'one was to fail'}")
    assert not wrong, f"{len(wrong)} of {len(cases)} differ:\n" + "\n".join(wrong)


def differing(live, queries: int, seed: int) -> list[str]:
    """Return which of so many random queries differ by more than rounding."""
    generator = Generator(seed)
    wrong = []
    for _ in range(queries):
        expr = generator.query()
        start = START + 2 * 3600 + generator.random.choice([0, 1.25, 2.5])  # on and off the samples' grid
        asked = Asked(expr, start, START + 2 * 3600 + 600, generator.random.choice([15, 30, 47]))
        verdict = compare(*live, asked, 1e-12)
        if verdict.problem:
            wrong.append(f"{expr} (start +{start - START} s, step {asked.step} s) -> {verdict.problem}")
    return wrong


def test_random_queries(live):
    wrong = differing(live, 400, 1)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_many_random_queries(live, seed):
    wrong = differing(live, 5_000, seed)
    assert not wrong, "\n".join(wrong)
