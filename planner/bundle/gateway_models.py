"""The model list of a LiteLLM configuration: one deployment for each model that may be called or asked for.

In: model groups, who serves each, further parameters. Out: ``model_list`` in LiteLLM's spelling; keys are named, never held. Knows
nothing of plans or files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.errors import PriceError
from planner.prices import PriceBook

__all__ = ["Group", "groups_of", "model_list", "spelled"]

#: Provider of the price book → LiteLLM's prefix, and the environment variables of its parameters.
_PROVIDERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "anthropic": ("anthropic", {"api_key": "ANTHROPIC_API_KEY"}),
    "aws": ("bedrock", {"aws_region_name": "AWS_REGION_NAME"}),
    "azure": ("azure", {"api_key": "AZURE_API_KEY", "api_base": "AZURE_API_BASE", "api_version": "AZURE_API_VERSION"}),
    "baseten": ("baseten", {"api_key": "BASETEN_API_KEY"}),
    "cerebras": ("cerebras", {"api_key": "CEREBRAS_API_KEY"}),
    "cloudflare": ("cloudflare", {"api_key": "CLOUDFLARE_API_KEY"}),
    "cohere": ("cohere_chat", {"api_key": "COHERE_API_KEY"}),
    "databricks": ("databricks", {"api_key": "DATABRICKS_API_KEY", "api_base": "DATABRICKS_API_BASE"}),
    "deepseek": ("deepseek", {"api_key": "DEEPSEEK_API_KEY"}),
    "fireworks": ("fireworks_ai", {"api_key": "FIREWORKS_AI_API_KEY"}),
    "github-copilot": ("github_copilot", {}),
    "google": ("gemini", {"api_key": "GEMINI_API_KEY"}),
    "groq": ("groq", {"api_key": "GROQ_API_KEY"}),
    "minimax": ("minimax", {"api_key": "MINIMAX_API_KEY"}),
    "mistral": ("mistral", {"api_key": "MISTRAL_API_KEY"}),
    "moonshotai": ("moonshot", {"api_key": "MOONSHOT_API_KEY"}),
    "novita": ("novita", {"api_key": "NOVITA_API_KEY"}),
    "openai": ("openai", {"api_key": "OPENAI_API_KEY"}),
    "openrouter": ("openrouter", {"api_key": "OPENROUTER_API_KEY"}),
    "ovhcloud": ("ovhcloud", {"api_key": "OVHCLOUD_API_KEY"}),
    "perplexity": ("perplexity", {"api_key": "PERPLEXITYAI_API_KEY"}),
    "together": ("together_ai", {"api_key": "TOGETHERAI_API_KEY"}),
    "x-ai": ("xai", {"api_key": "XAI_API_KEY"}),
    "zai": ("zai", {"api_key": "ZAI_API_KEY"}),
}
#: A provider without a row above is called as anything that speaks OpenAI's protocol.
_OTHER = ("openai", {"api_key": "{}_API_KEY", "api_base": "{}_API_BASE"})


@dataclass(frozen=True)
class Group:
    """A model group: its ``name``, the ``model`` behind it, and its ``provider`` in the price book's spelling, "" where unknown."""

    name: str
    model: str
    provider: str


def groups_of(
    names: Iterable[str], book: PriceBook, *, served: Mapping[str, str] | None = None, behind: Mapping[str, str] | None = None
) -> tuple[Group, ...]:
    """Return a group for each of ``names``, each once, in their order.

    Parameters
    ----------
    served: model → provider, as a log shows it; else the price book says, if it knows the name.
    behind: group → model, for groups that are called otherwise than their model.

    Examples
    --------
    >>> groups_of(["gpt-5-mini", "chat"], PriceBook.load(), behind={"chat": "gpt-5-mini"})[1]
    Group(name='chat', model='gpt-5-mini', provider='openai')
    """
    models = {name: (behind or {}).get(name, name) for name in dict.fromkeys(names)}
    return tuple(Group(name, model, (served or {}).get(model) or _provider(model, book)) for name, model in models.items())


def _provider(model: str, book: PriceBook) -> str:
    try:
        return book.resolve(model)[0]
    except PriceError:
        return ""


def spelled(group: Group) -> dict[str, str]:
    """Return LiteLLM's parameters of the model behind ``group``; a secret is the name of an environment variable.

    >>> spelled(Group("grok", "grok-4", "x-ai"))
    {'model': 'xai/grok-4', 'api_key': 'os.environ/XAI_API_KEY'}
    >>> spelled(Group("large", "large", ""))
    {'model': 'openai/large', 'api_key': 'os.environ/LARGE_API_KEY', 'api_base': 'os.environ/LARGE_API_BASE'}
    """
    prefix, variables = _PROVIDERS.get(group.provider, _OTHER)
    first, slash, rest = group.model.partition("/")
    bare = rest if slash and first in (prefix, group.provider) else group.model
    named = "".join(c if c.isascii() and c.isalnum() else "_" for c in (group.provider or group.model)).upper()
    return {"model": f"{prefix}/{bare}"} | {param: f"os.environ/{name.format(named)}" for param, name in variables.items()}


def model_list(groups: Sequence[Group], params: Mapping[str, Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Return LiteLLM's ``model_list``: one deployment a group, with further ``params`` by group."""
    return [{"model_name": g.name, "litellm_params": {**spelled(g), **(params or {}).get(g.name, {})}} for g in groups]
