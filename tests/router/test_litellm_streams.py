"""Streams that are moved to a group which takes no ``stream_options``: nothing is asked for there that would refuse the request."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from planner.router.litellm_proxy import metered

with pytest.MonkeyPatch.context() as _offline, warnings.catch_warnings():
    warnings.simplefilter("ignore")  # LiteLLM's own
    for _name in ("LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"):
        _offline.setenv(_name, "True")
    import litellm
    from litellm.proxy import common_request_processing  # noqa: F401 - its module warns when it is first imported

MARK = "_litellm_strip_stream_usage"


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand LiteLLM's own router where a running proxy has it, with an OpenAI group, an OCI group and one that is both."""
    groups = {"open": ["openai/gpt-4o"], "oracle": ["oci/meta.llama-3.3-70b-instruct"]}
    groups["both"] = [*groups["open"], *groups["oracle"]]
    listed: Any = [{"model_name": name, "litellm_params": {"model": m, "api_key": "x"}} for name, models in groups.items() for m in models]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LiteLLM's own
        found = SimpleNamespace(llm_router=litellm.Router(model_list=listed), general_settings={})
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", found)


@pytest.mark.parametrize("group", ["oracle", "both"])
def test_nothing_is_asked_where_it_would_be_refused(group: str) -> None:
    """A group of which one deployment takes no ``stream_options`` gets none that LiteLLM or the hook made up; a client's own stay."""
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    assert metered({"stream": True}, group) == {}
    assert metered({**asked, MARK: True}, group) == {"stream_options": None, MARK: False}
    assert metered(asked, group) == {}


def test_tokens_are_asked_for_where_they_are_told() -> None:
    """A group that takes them is asked for the tokens of a stream, which its client does not see."""
    assert metered({"stream": True}, "open") == {"stream_options": {"include_usage": True}, MARK: True}


def test_what_would_be_refused_is_refused_without_the_rule() -> None:
    """LiteLLM refuses a stream's options for such a model, and takes None as none."""
    own: Any = {"model": "meta.llama-3.3-70b-instruct", "custom_llm_provider": "oci", "stream": True}
    with pytest.raises(Exception, match="stream_options"):
        litellm.utils.get_optional_params(**own, stream_options={"include_usage": True})
    assert "stream_options" not in litellm.utils.get_optional_params(**own, stream_options=None)
