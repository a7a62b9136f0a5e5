"""Writing a router for LiteLLM: configurations, the files it loads, the first rollout, and how to run it.

In: a folder with a bundle in it, the plan around the router, what a log says, what labels gave for a router without code. Out: the files
beside the bundle; equal inputs write equal bytes. A ``rollout.json`` that is there stays: people edit it. Knows nothing of how decisions
are made or of what the plan brings.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from planner.bundle.gateway_log import GatewayLog
from planner.bundle.gateway_models import Group, groups_of, model_list
from planner.bundle.gateway_readme import readme
from planner.bundle.gateway_rollout import apps_of, first_rollout
from planner.bundle.gateway_settings import GatewaySettings, falling_back, gateway_settings
from planner.bundle.nocode import TIERS, NoCode, auto_router
from planner.errors import BundleError, InputError, PriceError
from planner.policies import Plan
from planner.prices import PriceBook
from planner.router import Router
from planner.router.load import read_manifest

__all__ = [
    "BUNDLE",
    "CALLBACK",
    "CONFIGS",
    "ROLLOUT",
    "GatewayParts",
    "check_folder",
    "classifier_tiers",
    "left_to_apps",
    "way_back",
    "write_gateway",
]

BUNDLE, ROLLOUT = "bundle", "rollout.json"
CONFIGS = ("config.yaml", "config_classifier.yaml", "config_nocode.yaml")
CALLBACK, _PLUGIN = "planner_router.planner_router", "planner_classifier.planner_classifier"
_LOADED = {
    "planner_router.py": "from planner.router.litellm_hook import hook\n\nplanner_router = hook(__file__)\n",
    "planner_classifier.py": "from planner.router.litellm_classifier import classifier\n\nplanner_classifier = classifier(__file__)\n",
}
#: Tokens of the request by whose cost tiers are ordered.
_TYPICAL_TOKENS = 1_000


@dataclass(frozen=True)
class GatewayParts:
    """What is known beside the router.

    Parameters
    ----------
    plan: around the router. book: rates and windows. log: what a log says, empty without one.
    nocode: the router without code, or the sentence why there is none.
    passed: app → candidates that passed the floor. prediction: what the plan is expected to do, as in the manifest.
    """

    plan: Plan
    book: PriceBook
    log: GatewayLog = field(default_factory=GatewayLog)
    nocode: NoCode | str = "It needs labels: export from them, not from a bundle."
    passed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    prediction: Mapping[str, Any] | None = None


def check_folder(folder: Path) -> None:
    """Refuse a folder whose content somebody may still want: one that is neither empty nor an earlier export."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        read_manifest(folder / BUNDLE)
    except BundleError as error:
        raise InputError(f"{folder}, which holds something other than an export", "an empty or a new folder", "choose another") from error


def write_gateway(folder: Path, router: Router, parts: GatewayParts) -> dict[str, str]:
    """Write LiteLLM's files for ``router`` beside the bundle in ``folder``; return file → what became of it.

    Raises BundleError without a bundle there.
    """
    manifest, _ = read_manifest(folder / BUNDLE)
    apps, groups, settings = apps_of(router, parts.log), _groups(router, parts), _settings(router, parts)
    plain = falling_back(settings, way_back(router, parts.log))
    deployments = model_list(groups, settings.deployment)
    head = f"Written by planner export for LiteLLM: router {router.version}, bundle {manifest['digest'][:12]}."
    texts = dict(zip(CONFIGS, _configs(deployments, (settings, plain), router, parts, head), strict=True))
    page = readme(head, router, apps, groups, (settings, plain), parts.nocode, parts.prediction, _tiers(router, parts))
    first = first_rollout(router, manifest["digest"], parts.log, parts.passed)
    texts |= {name: f'"""{head}"""\n\n{code}' for name, code in _LOADED.items()}
    texts |= {ROLLOUT: json.dumps(first.state(), indent=1) + "\n"}
    texts |= {"README.md": page}
    return {name: _put(folder / name, text, keep=name == ROLLOUT) for name, text in texts.items()}


def left_to_apps(router: Router, parts: GatewayParts) -> tuple[tuple[str, str], ...]:
    """Return the parts of the plan that LiteLLM has no setting for, in words, each with what it does otherwise."""
    return _settings(router, parts).unsaid


def _settings(router: Router, parts: GatewayParts) -> GatewaySettings:
    groups = _groups(router, parts)
    served, models = {g.name: g.provider for g in groups}, {g.name: g.model for g in groups}
    return gateway_settings(parts.plan, apps_of(router, parts.log), served, _windows(groups, router, parts.book), models)


def way_back(router: Router, log: GatewayLog) -> dict[str, str]:
    """Return candidate → the model of today of every app alike, of candidates that nobody asks for; {} where the apps' models differ.

    It is for a gateway without the hook, which knows of no request what it would have asked for.
    """
    homes = {router.candidates[code] for code in router.home([*apps_of(router, log)]).tolist()}
    asked = {group for groups in log.asks.values() for group in groups} | homes
    return {model: home for home in homes for model in router.candidates if model not in asked} if len(homes) == 1 else {}


def _put(path: Path, text: str, keep: bool) -> str:
    """Write a file in one step; "" means that there is none, and one from an earlier export goes."""
    if keep and path.exists():
        return "kept as it was"
    if not text:
        path.unlink(missing_ok=True)
        return "left out"
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, "utf-8")
    beside.replace(path)
    return "written"


def _groups(router: Router, parts: GatewayParts) -> tuple[Group, ...]:
    """Return every model group that may be asked for, chosen, or called by a lever of the plan."""
    asked = [group for app in apps_of(router, parts.log) for group in parts.log.asks.get(app, ())]
    named = [model for lever in parts.plan.levers if lever.key not in ("route", "rate_limit") for model in lever.uses]
    behind = {group: parts.log.behind[group] for group in asked if group not in router.candidates}
    return groups_of([*router.candidates, *asked, *named], parts.book, served=parts.log.served, behind=behind)


def _windows(groups: Sequence[Group], router: Router, book: PriceBook) -> dict[str, int | None]:
    known = {name: can.context_tokens for name, can in zip(router.candidates, router.capabilities, strict=True)}
    return {g.name: known.get(g.model) or _window(g, book) for g in groups}


def _window(group: Group, book: PriceBook) -> int | None:
    try:
        return book.context_window(group.model, group.provider or None)
    except PriceError:
        return None


def classifier_tiers(router: Router, decided: Mapping[str, float] | None = None, homes: Collection[str] = ()) -> list[str]:
    """Return the model of each of LiteLLM's four tiers, cheapest first; the last repeats where there are fewer than four.

    Of more than four candidates the reference stays, then ``homes``, the apps' models of today, where all that is not routed must go; then
    those that ``decided`` (model → share) names most.
    """
    cost = dict(zip(router.candidates, router.costs.usd(np.array([_TYPICAL_TOKENS]))[0].tolist(), strict=True))
    order = sorted(router.candidates, key=lambda m: (m != router.reference, m not in homes, -(decided or {}).get(m, 0.0), cost[m], m))
    kept = sorted(order[: len(TIERS)], key=lambda m: (cost[m], m))
    return [kept[min(i, len(kept) - 1)] for i in range(len(TIERS))]


def _tiers(router: Router, parts: GatewayParts) -> list[str]:
    homes = {router.candidates[int(router.home([app])[0])] for app in apps_of(router, parts.log)}
    return classifier_tiers(router, ((parts.prediction or {}).get("mix") or {}).get("plan"), homes)


def _configs(
    models: list[dict[str, Any]], settings: tuple[GatewaySettings, GatewaySettings], router: Router, parts: GatewayParts, head: str
) -> list[str]:
    """Return the three configurations, "" for one that cannot be made; ``settings`` with the hook, and without."""
    hooked, plain = settings
    tiers = _tiers(router, parts)
    default = {"default_model": router.reference, "classifier_fallback": "default_model"}
    labels = {TIERS[i]: model for i, model in enumerate(tiers) if model not in tiers[:i]}
    slot = {"classifier_type": "custom", "classifier_plugin": _PLUGIN, "tier_labels": labels}
    official = auto_router(tiers, router.reference, **slot, **default)
    left = [m for m in router.candidates if m not in tiers]
    lost = [f"Without a tier, since LiteLLM has four: {', '.join(left)}. What is decided for them stays with the app's model of today."]
    found = [
        _config([head, "Decides in a hook before every call."], models, hooked, [CALLBACK]),
        _config(
            [head, "Decides in LiteLLM's classifier slot, for requests to planner-auto.", *(lost if left else [])],
            [*models, official],
            plain,
        ),
    ]
    if isinstance(parts.nocode, str):
        return [*found, ""]
    words = [head, "Needs no code of planner: LiteLLM's own heuristic, with counts from the labels.", parts.nocode.text]
    return [*found, _config(words, [*models, parts.nocode.entry], plain)]


def _config(words: Sequence[str], models: Sequence[Any], settings: GatewaySettings, callbacks: Sequence[str] = ()) -> str:
    """Return a configuration as YAML, with its comments."""
    litellm = {**settings.litellm, **({"callbacks": list(callbacks)} if callbacks else {})}
    whole = {"model_list": list(models), "router_settings": settings.router, **({"litellm_settings": litellm} if litellm else {})}
    body = yaml.dump(whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return "".join(f"# {line}\n" for line in words) + body + "".join(f"# {line}\n" for line in settings.aside)


class _Dumper(yaml.SafeDumper):
    """Plain YAML: equal lists are written out again, not referred to."""

    def ignore_aliases(self, _: Any) -> bool:
        """Say that nothing is referred to by an anchor."""
        return True
