"""Money that rests on what a user stated is assumed, from the reader to the audit and the simulation."""

from pathlib import Path

import pytest

from planner.prices import audit
from planner.simulation import simulate
from planner.traffic import read

TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"


@pytest.mark.parametrize(
    ("mapping", "evidence"), [({"model": "=gpt-4o", "provider": "=openai"}, "assumed"), ({"app": "=chat"}, "measured")]
)
def test_a_stated_model_makes_money_assumed(tmp_path: Path, mapping: dict[str, str], evidence: str) -> None:
    """Naming the model of a trace by hand marks every dollar assumed; naming its app does not."""
    (tmp_path / "azure.csv").write_text(TRACE)
    traffic = read(tmp_path / "azure.csv", mapping=mapping, out=tmp_path / "out", text=True)
    assert traffic.meta["evidence"] == evidence
    if evidence == "assumed":
        assert "model 'gpt-4o' is stated, not logged" in traffic.meta["assumed"]
        assert audit(traffic).total.evidence == simulate(traffic, at="as-logged").cost().evidence == "assumed"


@pytest.mark.parametrize("stated", ["provider==openai", "total_output_tokens==30", "timestamp==2026-11-03", "cache_hit==false"])
def test_whatever_sets_a_price_and_is_stated_is_assumed(tmp_path: Path, stated: str) -> None:
    """A stated provider, token total, time or cache hit makes every dollar assumed, and the audit says that this is why, not rates."""
    (tmp_path / "log.csv").write_text("id,when,model,input_tokens\nr1,2026-11-03T09:00:00Z,gpt-5,1000\n", "utf-8")
    name, _, value = stated.partition("=")
    columns = {"request_id": "id", "timestamp": "when", name: value}
    found = audit(read(tmp_path / "log.csv", mapping=columns, out=tmp_path / "out"))
    assert (found.total.evidence, set(found.total.shares)) == ("assumed", {"assumed"})
    assert f"All of it rests on {name} {value[1:]!r}, stated and not logged." in found.text
    assert "assumed rates" not in found.text
