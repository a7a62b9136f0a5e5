"""What loggers call a provider → what the price book calls it; and the app that a client's metadata name.

In: any spelling: OpenTelemetry's, Helicone's, LiteLLM's; metadata of a request. Out: the price book's id; an app.
Knows nothing of models or formats.
"""

from __future__ import annotations

from typing import Any

from planner.traffic.litellm import provider_id
from planner.traffic.values import text

__all__ = ["metadata_app", "provider_name"]

_APPS = ("app", "team", "service")

_SPELLINGS = {
    **dict.fromkeys(("azure.ai.openai", "az.ai.openai", "azure.ai.inference", "az.ai.inference", "azure.openai", "azure_openai"), "azure"),
    **dict.fromkeys(("aws.bedrock", "aws_bedrock", "amazon_bedrock", "amazon"), "aws"),
    **dict.fromkeys(("gcp.gemini", "gcp.gen_ai", "gcp.vertex_ai", "vertexai", "google_vertexai", "google_genai"), "google"),
    **dict.fromkeys(("x_ai", "x"), "x-ai"),
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "togetherai": "together",
    "openai_responses": "openai",
}


def provider_name(value: Any) -> str | None:
    """Return the price book's id of a provider, its own word in small letters where it is not known, None where there is none.

    >>> provider_name("AZURE"), provider_name("gcp.gemini"), provider_name("bedrock"), provider_name("Acme"), provider_name("")
    ('azure', 'google', 'aws', 'acme', None)
    """
    word = text(value)
    return None if word is None else provider_id(_SPELLINGS.get(word.lower(), word.lower()))


def metadata_app(app_from: str | None, *told: Any) -> str:
    """Return the app that a client's own metadata names: its field ``metadata:FIELD``, by default ``app``, ``team`` or ``service``.

    >>> metadata_app(None, None, {"team": "search"}), metadata_app("metadata:bot", {"bot": "b7"}), metadata_app("metadata:bot")
    ('search', 'b7', 'default')
    """
    names = (app_from.partition(":")[2],) if app_from else _APPS
    return next((found for about in told if isinstance(about, dict) for name in names if (found := text(about.get(name)))), "default")
