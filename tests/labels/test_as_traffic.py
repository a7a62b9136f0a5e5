"""Labelled requests taken as traffic, with what is assumed written down."""

from pathlib import Path

import pandas as pd
import pytest
from support.small import MODELS, traffic_of, world_of

from planner.errors import InputError
from planner.labels import Labels, as_traffic
from planner.simulation import simulate
from planner.text.tokens import count_tokens


def test_every_item_is_one_request_of_the_reference(tmp_path: Path) -> None:
    """Each labelled request comes back once, with the reference's own tokens and quality."""
    _, labels = world_of(tmp_path / "log")
    traffic = as_traffic(labels, MODELS[0], tmp_path / "out")
    frame = traffic.frame("request_id", "model", "output_tokens", "quality", "weight")
    assert frame["request_id"].tolist() == labels.items["request_id"].tolist()
    assert set(frame["model"]) == {MODELS[0]}
    assert set(frame["output_tokens"]) == {100}
    assert frame["weight"].tolist() == labels.items["weight"].tolist()


def test_missing_tokens_are_counted_or_stated(tmp_path: Path) -> None:
    """Without token counts the input is counted from the text and the output must be stated; both are written down as assumed."""
    items = pd.DataFrame({"request_id": ["a", "b"], "messages": ["What is 2+2?", "Name a river."]})
    labels = Labels.of(items, pd.DataFrame({"request_id": ["a", "b"], "model": "m", "quality": [1.0, 0.0]}))
    with pytest.raises(InputError, match="Pass output_tokens"):
        as_traffic(labels, "m", tmp_path / "x")
    traffic = as_traffic(labels, "m", tmp_path / "y", output_tokens=1)
    frame = traffic.frame("input_tokens", "output_tokens")
    assert frame["input_tokens"].tolist() == count_tokens(["What is 2+2?", "Name a river."]).tolist()
    assert frame["output_tokens"].tolist() == [1, 1]
    assert any("1 output tokens" in note for note in traffic.meta["assumed"])
    assert (
        simulate(traffic_of(tmp_path / "z", {"model": "gpt-5.4", "provider": "openai", "input_tokens": [1]})).cost().evidence == "measured"
    )
    money = simulate(
        as_traffic(
            Labels.of(items, pd.DataFrame({"request_id": ["a", "b"], "model": "gpt-5.4", "quality": 1.0})),
            "gpt-5.4",
            tmp_path / "w",
            output_tokens=1,
        )
    )
    assert money.cost().evidence == "assumed"


def test_unknown_reference_names_its_neighbours(tmp_path: Path) -> None:
    """A reference without labels is refused with the nearest names."""
    _, labels = world_of(tmp_path / "log")
    with pytest.raises(InputError, match=r"Did you mean 'gpt-5\.4-mini'"):
        as_traffic(labels, "gpt-5.4-minni", tmp_path / "out")
