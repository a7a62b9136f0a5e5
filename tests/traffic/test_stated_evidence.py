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
