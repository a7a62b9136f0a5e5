"""Plan files: a plan as YAML, and every error with its file and line.

In: the text of a plan file, or a plan. Out: the plan, or the file. Read by node, because only nodes know their lines. JSON
that ``Plan.payload`` gave is a plan file too. Knows the levers' fields and checks from the levers alone. ::

    format: planner.plan
    version: 1
    name: cheaper
    levers:
      - kind: route
        router: ../bundle
        tau: 0.4
        apps: [chat]
      - kind: hedge
        after_ms: 2000
        apps: [search]
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from os.path import relpath
from pathlib import Path
from typing import Any

import yaml

from planner import formats
from planner.errors import InputError, PlannerError, did_you_mean
from planner.policies.base import Lever, LeverError, Settings
from planner.policies.batch import Batch
from planner.policies.cascade import Cascade
from planner.policies.compress import Compress
from planner.policies.exact_cache import ExactCache
from planner.policies.fallback import Fallback
from planner.policies.hedge import Hedge
from planner.policies.micro_batch import MicroBatch
from planner.policies.plan import Plan
from planner.policies.prompt_cache import PromptCache
from planner.policies.rate_limit import RateLimit
from planner.policies.retry import Retry
from planner.policies.route import Route
from planner.policies.semantic_cache import SemanticCache
from planner.policies.stream import Stream
from planner.policies.timeout import Timeout
from planner.router import Router

__all__ = ["KINDS", "build", "read", "write"]

#: The levers that are settings alone, by the ``kind`` that files call them.
KINDS: Mapping[str, type[Settings]] = {
    kind.key: kind
    for kind in (
        Batch, Cascade, Compress, ExactCache, Fallback, Hedge, MicroBatch, PromptCache, RateLimit, Retry, SemanticCache, Stream, Timeout,
    )
}  # fmt: skip
_TOP = ("format", "version", "name", "levers")
_ROUTE = ("router", "tau", "apps", "candidates")


class _Loader(yaml.SafeLoader):
    """YAML 1.1, and the numbers of JSON that it would take for text: 1e-05, -Infinity."""


class _Dumper(yaml.SafeDumper):
    """The counterpart: it quotes text that would be read as such a number, and escapes what YAML folds as a break (U+0085)."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Write text that cannot be printed between double quotes, where every such character is escaped."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_text)
for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"-?(\d+(\.\d+)?[eE][-+]?\d+|Infinity)$"), [*"-0123456789I"])


def read(path: str | Path, routers: Mapping[str, Router]) -> Plan:
    """Read the plan file at ``path``; see ``Plan.read``."""
    file = Path(path)
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise InputError(f"{file}: {why}", "a readable plan file", "docs/files.md shows one with every lever") from error
    root, payload = _parsed(text, str(file))
    keys = {key.value: key for key, _ in root.value}
    for name, key in keys.items():
        if name not in _TOP:
            raise InputError(f"{_at(file, key)}: {name!r}", f"one of {', '.join(_TOP)}", did_you_mean(str(name), _TOP))
    current = formats.migrate("plan", payload, _at(file, keys.get("version", root)))
    name, nodes = current.get("name", file.stem), _value(root, "levers")
    if not isinstance(name, str) or not name:
        raise InputError(f"{_at(file, keys['name'])}: name {name!r}", "a name")
    if not isinstance(nodes, yaml.SequenceNode):
        raise InputError(f"{_at(file, nodes or root)}: no list called levers", "a list of levers, each with its kind")
    levers = [_lever(file, node, value, routers) for node, value in zip(nodes.value, current["levers"], strict=True)]
    return Plan(tuple(levers), name, tuple(_at(file, node) for node in nodes.value))


def write(plan: Plan, path: str | Path, bundles: Mapping[str, str | Path]) -> Path:
    """Write ``plan`` to ``path``; see ``Plan.write``."""
    file, payload = Path(path), plan.payload()
    for lever in payload["levers"]:
        if lever["kind"] == "route" and lever["router"] in bundles:
            lever["router"] = Path(relpath(bundles[lever["router"]], file.parent)).as_posix()
    file.write_text(yaml.dump(payload, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120), "utf-8")
    return file


def build(kind: str, values: Mapping[Any, Any], routers: Mapping[str, Router], folder: Path) -> Lever:
    """Make the lever called ``kind`` from its fields; LeverError leads to the field that is wrong.

    >>> build("timeout", {"ms": 800}, {}, Path())
    Timeout(ms=800.0, apps=None)
    """
    kinds = ("route", *KINDS)
    if kind not in kinds:
        raise LeverError(("kind",), f"lever kind {kind!r}", f"one of {', '.join(sorted(kinds))}", did_you_mean(str(kind), kinds))
    known = _ROUTE if kind == "route" else tuple(f.name for f in fields(KINDS[kind]))  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise LeverError((name,), f"{kind} field {name!r}", f"one of {', '.join(known)}", did_you_mean(str(name), known))
    missing = [name for name in _required(kind) if name not in values]
    if missing:
        fix = "its router is the folder of a bundle, relative to this file" if kind == "route" else ""
        raise LeverError((), f"{kind} without {' and '.join(missing)}", f"a {kind} with {', '.join(_required(kind))}", fix)
    made: Lever = _route(values, routers, folder) if kind == "route" else KINDS[kind](**values)  # type: ignore[assignment]
    return made


def _required(kind: str) -> tuple[str, ...]:
    if kind == "route":
        return ("router",)
    unset = (f for f in fields(KINDS[kind]) if f.default is MISSING and f.default_factory is MISSING)  # type: ignore[arg-type]
    return tuple(f.name for f in unset)


def _route(values: Mapping[str, Any], routers: Mapping[str, Router], folder: Path) -> Route:
    router, tau = _router(values["router"], routers, folder), values.get("tau")
    if tau is not None:
        if isinstance(tau, bool) or not isinstance(tau, int | float) or math.isnan(tau):
            raise LeverError(("tau",), f"route tau is {tau!r}", "a number, or -.inf for always the reference")
        router = router.with_tau(tau)
    for name, narrowed in (("candidates", Router.with_candidates), ("apps", Router.with_apps)):
        given = values.get(name)
        if given is None or (name == "candidates" and given == list(router.candidates)):
            continue
        if not isinstance(given, list) or not all(isinstance(x, str) for x in given):
            raise LeverError((name,), f"route {name} is {given!r}", "a list of names")
        try:
            router = narrowed(router, given)
        except InputError as error:
            raise LeverError((name,), f"route {name} with {error.got}", error.expected, error.fix) from error
    return Route(router)


def _router(named: Any, routers: Mapping[str, Router], folder: Path) -> Router:
    by_name = {**{r.version: r for r in routers.values()}, **routers}
    if not isinstance(named, str) or not named:
        raise LeverError(("router",), f"route router is {named!r}", "the folder of a bundle, or a router's name")
    if named in by_name:
        return by_name[named]
    if not (folder / named).is_dir():
        fix = did_you_mean(named, routers) or "export the router, and write the bundle's folder relative to this file"
        expected = f"the folder of a bundle{''.join(f', or {name}' for name in routers)}"
        raise LeverError(("router",), f"route router is {named!r}", expected, fix)
    try:
        return Router.load(folder / named)
    except PlannerError as error:
        raise LeverError(("router",), f"route router {named!r}: {error}") from error


def _parsed(text: str, where: str) -> tuple[yaml.MappingNode, dict[str, Any]]:
    """Return the root node and the plain values of a YAML text."""
    try:
        root = yaml.compose(text, _Loader)
        payload = _Loader("").construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{where}, line {line}: {' '.join(str(error.problem).split())}", "YAML") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise InputError(f"{where}, line 1: {' '.join(str(error).split())}", "YAML") from error
    if not isinstance(root, yaml.MappingNode) or not isinstance(payload, dict):
        raise InputError(f"{where}, line 1: no mapping", "format, version, name and levers")
    for key in _twice(root, set()):
        raise InputError(f"{where}, line {key.start_mark.line + 1}: {key.value!r} a second time", "each field once")
    return root, payload


def _twice(node: Any, done: set[int]) -> Iterator[Any]:
    """Yield the keys that stand in their mapping a second time."""
    if id(node) in done or not isinstance(node, yaml.CollectionNode):
        return
    done.add(id(node))
    seen = set()
    for child in node.value:
        if isinstance(node, yaml.MappingNode):
            if child[0].value in seen:
                yield child[0]
            seen.add(child[0].value if isinstance(child[0].value, str) else id(child[0]))
        yield from _twice(child[1] if isinstance(node, yaml.MappingNode) else child, done)


def _lever(file: Path, node: Any, value: Any, routers: Mapping[str, Router]) -> Lever:
    if not isinstance(value, dict) or "kind" not in value:
        raise InputError(f"{_at(file, node)}: {value!r}", "a lever with its kind")
    try:
        return build(value["kind"], {k: v for k, v in value.items() if k != "kind"}, routers, file.parent)
    except LeverError as error:
        raise InputError(f"{_at(file, _along(node, error.path))}: {error.got}", error.expected, error.fix) from error


def _along(node: Any, path: tuple[Any, ...]) -> Any:
    """Return the node that ``path`` leads to, or the nearest above it."""
    for step in path:
        found = _value(node, step)
        if found is None:
            break
        node = found
    return node


def _value(node: Any, name: Any) -> Any:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == str(name)), None)


def _at(file: Path, node: Any) -> str:
    return f"{file}, line {node.start_mark.line + 1}"
