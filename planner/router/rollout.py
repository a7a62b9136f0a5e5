"""Rollout: what of a router is on, for each app, and what watches over it.

In: rollout.json of an exported folder, which people and ``planner rollout`` edit. Out: frozen values, checked, the first wrong
field named in one sentence. Knows nothing of requests, gateways or alarms.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

from planner import formats
from planner.errors import InputError, did_you_mean
from planner.router.rollout_parts import Guardrail, Mirroring, named, share, shown

__all__ = [
    "APP_SOURCES",
    "GUARDRAILS",
    "MODES",
    "AppRollout",
    "Guardrail",
    "Mirroring",
    "Rollout",
    "read",
    "turned",
    "write",
]

#: What can be on for an app, from least to most.
MODES = ("off", "shadow", "mirror", "canary", "active")
GUARDRAILS = ("error", "slow", "length", "schema", "thumbs_down")
#: Where a request's app is read from; ``tag`` and ``metadata`` take a name after a colon.
APP_SOURCES = ("tag", "team", "key", "model_group", "metadata")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AppRollout:
    """What is on for one app.

    Parameters
    ----------
    mode: one of MODES.
    share: of the units that are not held out, the share routed under ``canary``.
    explore: ε, with which a routed unit goes to one of ``floor_passed`` drawn uniformly.
    asks: the model groups that may be replaced; any other request is left alone.
    floor_passed: the candidates that passed the floor.
    mirror: needed by the mode ``mirror``.
    guardrails: by their name, one of GUARDRAILS.
    """

    mode: str = "off"
    share: float = 0.0
    explore: float = 0.0
    asks: tuple[str, ...] = ()
    floor_passed: tuple[str, ...] = ()
    mirror: Mirroring | None = None
    guardrails: Mapping[str, Guardrail] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"mode {shown(self.mode)}", f"one of {', '.join(MODES)}", did_you_mean(str(self.mode), MODES))
        share("share", self.share)
        share("explore", self.explore)
        for name, models in (("asks", self.asks), ("floor_passed", self.floor_passed)):
            if not isinstance(models, tuple) or not all(map(named, models)) or len(set(models)) < len(models):
                raise InputError(f"{name} {shown(models)}", "a list of model groups, each once")
        if self.explore and not self.floor_passed:
            raise InputError(f"explore {self.explore!r} without floor_passed", "the candidates that passed the floor", "export lists them")
        if self.mode == "mirror" and self.mirror is None:
            raise InputError("mode 'mirror' without mirror", "share and usd_per_day of the answers in the background")
        for name, guardrail in self.guardrails.items():
            if name not in GUARDRAILS:
                raise InputError(f"guardrails.{name}", f"one of {', '.join(GUARDRAILS)}", did_you_mean(name, GUARDRAILS))
            if (guardrail.limit_ms is not None) != (name == "slow"):
                raise InputError(f"guardrails.{name}.limit_ms {guardrail.limit_ms!r}", "milliseconds for slow, and for nothing else")


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is on in a folder. An app that is not among ``apps`` is off.

    Parameters
    ----------
    salt: decides who is drawn; another salt draws all anew.
    holdout: permanent share of units never routed, the same under canary and active.
    app_from: where a request's app is read from, as the log reader's option; None for tags, then team, then key.
    stop: everything goes where it was asked to.
    """

    salt: str = field(default_factory=lambda: secrets.token_hex(4))
    holdout: float = 0.05
    app_from: str | None = None
    stop: bool = False
    apps: Mapping[str, AppRollout] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not named(self.salt):
            raise InputError(f"salt {shown(self.salt)}", "a word, as eight hexadecimal digits")
        share("holdout", self.holdout)
        if not isinstance(self.stop, bool):
            raise InputError(f"stop {shown(self.stop)}", "true or false")
        if self.app_from is not None:
            kind, colon, name = self.app_from.partition(":") if isinstance(self.app_from, str) else ("", "", "")
            if kind not in APP_SOURCES or bool(colon and name) != (kind in ("tag", "metadata")):
                raise InputError(
                    f"app_from {shown(self.app_from)}",
                    "null, tag:PREFIX, team, key, model_group or metadata:FIELD",
                    did_you_mean(kind, APP_SOURCES),
                )

    @classmethod
    def of(cls, payload: Any, where: str) -> Rollout:
        """Build from JSON values read from ``where``; InputError for the first field that is wrong, missing or unknown."""
        if not isinstance(payload, dict):
            raise InputError(f"{where}", "a JSON object")
        values = formats.migrate("rollout", payload, where)
        values = {k: v for k, v in values.items() if k not in ("format", "version")}
        apps = values.pop("apps", {})
        if not isinstance(apps, dict):
            raise InputError(f"{where}: apps {shown(apps)}", "an object with a rollout for each app")
        if "salt" not in values:
            raise InputError(f"{where}: no salt", "a word that decides who is drawn", 'add for example "salt": "3f9a01c2"')
        built = {name: _app(app, f"{where}: apps.{name}") for name, app in apps.items()}
        return _build(cls, {**values, "apps": built}, where)

    @property
    def mark(self) -> str:
        """Eight hexadecimal digits over all of it."""
        return sha256(json.dumps(self.state(), sort_keys=True).encode()).hexdigest()[:8]

    def state(self) -> dict[str, Any]:
        """Return JSON values, with the header, from which ``of`` builds the same."""
        values = {"stop": self.stop, "salt": self.salt, "holdout": self.holdout, "app_from": self.app_from}
        return {**formats.header("rollout"), **values, "apps": {name: _app_state(app) for name, app in self.apps.items()}}


def turned(
    rollout: Rollout,
    names: Sequence[str] | None = None,
    *,
    holdout: float | None = None,
    mirror: Mapping[str, Any] | None = None,
    **values: Any,
) -> Rollout:
    """Return ``rollout`` with other ``values`` (mode, share, explore, asks, …) and ``mirror`` settings of the apps ``names``, None for all.

    An app that is not there yet begins where it is said what it ``asks`` for. InputError for an unknown one, and for bad values.

    >>> on = turned(Rollout("3f9a01c2", apps={"chat": AppRollout("shadow")}), ["chat"], mode="canary", share=0.1, holdout=0.02)
    >>> on.apps["chat"].mode, on.apps["chat"].share, on.holdout
    ('canary', 0.1, 0.02)
    """
    apps = dict(rollout.apps)
    for name in apps if names is None else names:
        if name not in apps and not values.get("asks"):
            raise InputError(
                f"app {name!r}", f"one of {', '.join(apps)}", did_you_mean(name, apps) or "say what a new app asks for (--ask)"
            )
        own = apps.get(name, AppRollout())
        answered = replace(own.mirror or Mirroring(0.0, 0.0), **mirror) if mirror else own.mirror
        apps[name] = replace(own, **values, mirror=answered)
    return replace(rollout, apps=apps, holdout=rollout.holdout if holdout is None else holdout)


def read(path: str | Path) -> Rollout:
    """Read and check rollout.json; FileNotFoundError where there is none, InputError for whatever cannot be used."""
    file = Path(path)
    try:
        payload = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: {type(error).__name__}", "a readable JSON file", "correct it, or run: planner rollout stop") from error
    return Rollout.of(payload, str(file))


def write(path: str | Path, rollout: Rollout) -> Path:
    """Write ``rollout`` in one step: who reads meanwhile sees the old file or the new one, never half of it."""
    file = Path(path)
    with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, prefix=f".{file.name}.", delete=False) as new:
        try:
            json.dump(rollout.state(), new, indent=1)
            new.write("\n")
            new.flush()
            os.fsync(new.fileno())
            Path(new.name).chmod(0o644)
            Path(new.name).replace(file)
        except BaseException:
            with suppress(OSError):
                Path(new.name).unlink()
            raise
    return file


def _app(payload: Any, where: str) -> AppRollout:
    if not isinstance(payload, dict):
        raise InputError(f"{where} {shown(payload)}", "an object with mode and asks")
    values = dict(payload)
    for name in ("asks", "floor_passed"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    if values.get("mirror") is not None:
        values["mirror"] = _build(Mirroring, values["mirror"], f"{where}.mirror")
    if "guardrails" in values:
        found = values["guardrails"]
        if not isinstance(found, dict):
            raise InputError(f"{where}.guardrails {shown(found)}", f"an object with any of {', '.join(GUARDRAILS)}")
        values["guardrails"] = {name: _build(Guardrail, one, f"{where}.guardrails.{name}") for name, one in found.items()}
    return _build(AppRollout, values, where)


def _app_state(app: AppRollout) -> dict[str, Any]:
    mirror = app.mirror and {"share": app.mirror.share, "usd_per_day": app.mirror.usd_per_day, "model": app.mirror.model}
    values = {"mode": app.mode, "share": app.share, "explore": app.explore, "asks": list(app.asks)}
    guardrails = {
        name: {k: v for k in ("limit_ms", "margin", "baseline", "design_effect") if (v := getattr(g, k)) is not None}
        for name, g in app.guardrails.items()
    }
    return {**values, "floor_passed": list(app.floor_passed), "mirror": mirror, "guardrails": guardrails}


def _build(kind: type[T], values: Any, where: str) -> T:
    """Build ``kind`` from the fields in ``values``; what is wrong with them is said together with ``where``."""
    if not isinstance(values, dict):
        raise InputError(f"{where} {shown(values)}", "an object")
    known: Sequence[Any] = fields(kind)  # type: ignore[arg-type]
    names = [f.name for f in known]
    for name in values:
        if name not in names:
            raise InputError(f"{where}: {name}", f"one of {', '.join(names)}", did_you_mean(name, names))
    for name in (f.name for f in known if f.default is MISSING and f.default_factory is MISSING):
        if name not in values:
            raise InputError(f"{where} without {name}", f"all of {', '.join(names)}")
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"{where}: {error.got}", error.expected, error.fix) from None
