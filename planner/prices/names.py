"""Names: the provider and model that a name in a log means.

In: a model's and a provider's name as some gateway, cloud or SDK spells them. Out: the catalogue's ids, or one error
with the nearest names. Never guesses a fine-tuned model's base, and never a provider that was named but is unknown.
Knows nothing of rates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.errors import PriceError, did_you_mean

__all__ = ["HOW_TO_ADD", "Names", "plain"]

#: What to do about a rate that the catalogue does not have.
HOW_TO_ADD = "give its rates in a file: PriceBook.load('prices.yaml'), in the shell --prices prices.yaml"

#: Spellings of LiteLLM, OpenTelemetry and the clouds that genai-prices would miss or take for another provider.
_PROVIDERS = {
    "amazon-bedrock": "aws", "aws.bedrock": "aws", "bedrock_converse": "aws", "sagemaker": "aws",
    "az.ai.inference": "azure", "az.ai.openai": "azure", "azure.ai.inference": "azure", "azure.ai.openai": "azure",
    "azure-openai": "azure", "azure_ai": "azure", "azure_openai": "azure", "azure_text": "azure",
    "cohere_chat": "cohere", "codestral": "mistral", "fireworks_ai": "fireworks", "fireworks-ai": "fireworks",
    "gcp.gemini": "google", "gcp.gen_ai": "google", "gcp.vertex_ai": "google", "vertex_ai": "google", "vertex_ai_beta": "google",
    "github_copilot": "github-copilot", "mistral_ai": "mistral", "moonshot": "moonshotai", "voyage": "voyageai",
    "text-completion-openai": "openai", "text-completion-codestral": "mistral", "vertex_ai-anthropic_models": "google",
    "x_ai": "x-ai", "xai": "x-ai", "z-ai": "zai", "z_ai": "zai",
}  # fmt: skip
#: A gateway named as the provider says nothing about who answered.
_GATEWAYS = frozenset({"litellm", "litellm_proxy", "litellm-proxy"})
_BEDROCK_ID = re.compile(
    r"^(?:[a-z]{2}(?:-gov)?\.|apac\.|global\.|regional\.)?"
    r"(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|mistral|moonshotai|nvidia|openai|qwen|writer|zai)\.[a-z]"
)
_REGION = re.compile(r"^(?:[a-z]{2}(?:-gov)?|apac|global|regional)\.(?=[a-z0-9]+\.)")
_DATE = re.compile(r"[-@](?:20\d{6}|20\d\d-\d\d-\d\d)(?=$|[-:@])")
_VERSION = re.compile(r"-v\d+(?::\d+)?$|:\d+$|@(?:default|latest)$")
_PATH = re.compile(r"^(?:projects/.+/)?(?:publishers/[^/]+/)?models/")


@dataclass(frozen=True, eq=False)
class Names:
    """Resolver over ``providers`` (genai-prices' own matching rules) and ``added`` ids (provider → models) of overrides."""

    providers: tuple[Any, ...] = field(repr=False)
    added: Mapping[str, frozenset[str]]
    _memo: dict[tuple[str, str | None], tuple[str, Any]] = field(default_factory=dict, repr=False)

    def resolve(self, model: str, provider: str | None) -> tuple[str, Any]:
        """Return the provider's id and its model: genai-prices' ModelInfo, or the id of an added one; PriceError if unknown."""
        key = (model, provider)
        if key not in self._memo:
            self._memo[key] = self._resolve(model.strip(), (provider or "").strip() or None)
        return self._memo[key]

    def find(self, model: str, provider: str | None) -> tuple[str, Any, str]:
        """Return what ``resolve`` does, and the provider whose rates hold: another's, where one cloud resells a model."""
        owner, found = self.resolve(model, provider)
        if isinstance(found, str) or any(found is m for p in self.providers if p.id == owner for m in p.models):
            return owner, found, owner
        return owner, found, next(p.id for p in self.providers if any(found is m for m in p.models))

    def _resolve(self, model: str, provider: str | None) -> tuple[str, Any]:
        provider = None if provider and provider.lower() in _GATEWAYS else provider
        hint, refs = self._spellings(model.lower())
        owner = self.provider_id(provider) if provider else hint or self._owner(refs)
        if provider and owner is None and hint is None:
            near = did_you_mean(provider.lower().replace("_", "-"), self.provider_ids)
            fix = near.removesuffix("?") or f"known are {', '.join(self.provider_ids)}"
            raise PriceError(f"provider {provider!r} (of model {model!r})", "a provider of the price book", fix)
        owner = owner or hint
        found = self._find(owner, refs) if owner else None
        if owner is None or found is None:
            raise PriceError(f"model {model!r}{f' of {owner}' if owner else ''}", "a model of the price book", self._advice(owner, refs))
        return owner, found

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """Every provider's id, sorted."""
        return tuple(sorted({*(p.id for p in self.providers), *self.added}))

    def provider_id(self, name: str) -> str | None:
        """Return the id of the provider called ``name``, None when there is none."""
        low = name.strip().lower()
        low = _PROVIDERS.get(low, low)
        if low in self.provider_ids:
            return low
        return next((p.id for p in self.providers if p.provider_match and p.provider_match.is_match(low)), None)

    def _spellings(self, model: str) -> tuple[str | None, list[str]]:
        """Return the provider that ``model`` itself names, and what it may be called, most exact first."""
        hint, rest = None, model
        if model.startswith("arn:aws"):
            hint, rest = "aws", model.rsplit("/", 1)[-1]
        elif "/" in model and (hint := self.provider_id(model.split("/", 1)[0])):
            rest = model.split("/", 1)[1]
            rest = rest.rsplit("/", 1)[-1] if hint == "aws" else rest
        bare = _PATH.sub("", rest)
        if hint is None and _BEDROCK_ID.match(bare):
            hint = "aws"
        return hint, list(dict.fromkeys([model, rest, bare, bare.replace("@", "-"), _VERSION.sub("", bare)]))

    def _owner(self, refs: list[str]) -> str | None:
        matches = (p.id for ref in refs for p in self.providers if p.model_match and p.model_match.is_match(ref))
        added = (p for p, models in self.added.items() for ref in refs if ref in models)
        return next(added, None) or next(matches, None)

    def _find(self, owner: str, refs: list[str]) -> Any:
        for ref in refs:
            if ref in self.added.get(owner, ()):
                return ref
        provider = next((p for p in self.providers if p.id == owner), None)
        if provider is None:
            return None
        exact = (provider.find_model(ref, all_providers=list(self.providers)) for ref in refs)
        by_id = (m for m in provider.models if m.id.lower() in refs)
        return next((m for m in exact if m is not None), None) or next(by_id, None) or _undated(provider.models, refs[-1])

    def _advice(self, owner: str | None, refs: list[str]) -> str:
        """Return what to do about an unknown model: who sells one of that name, else the nearest names."""
        ids = {(p.id, m.id) for p in self.providers for m in p.models} | {(p, m) for p, models in self.added.items() for m in models}
        if owner is None:
            sellers = sorted(p for p, m in ids if m.split("/")[-1] in refs)
            if sellers:
                return f"name its provider: {', '.join(sellers[:6])} {'sell' if len(sellers) > 1 else 'sells'} one"
        known = {x for p, m in ids if owner in (None, p) for x in (m, m.split("/")[-1])}
        asked = [x.replace("_", "-") for ref in reversed(refs) for x in (ref, ref.split("/")[-1])]
        near = next((text for ref in asked if (text := did_you_mean(ref, known))), "")
        return f"{near.removesuffix('?')}; else {HOW_TO_ADD}" if near else f"{'' if owner else 'name its provider, or '}{HOW_TO_ADD}"


def plain(model: str) -> str:
    """Return an id without region, date and version.

    >>> plain("us.anthropic.claude-haiku-4-5-20251001-v1:0")
    'anthropic.claude-haiku-4-5'
    """
    return _REGION.sub("", _DATE.sub("", _VERSION.sub("", model))).replace("@", "-")


def _undated(models: Iterable[Any], ref: str) -> Any:
    """Return the one model whose id is ``ref`` but for region, date and version; a global Bedrock profile only when asked for."""
    if ref.startswith("ft:"):
        return None
    same = [m for m in models if plain(m.id) == plain(ref)]
    same = [m for m in same if m.id.startswith("global.") == ref.startswith("global.")]
    return same[0] if len(same) == 1 else None
