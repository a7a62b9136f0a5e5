"""The explorer: what a router's family would save and lose, under controls.

In: traffic, a Training, outcome models, prices. Out: widgets: a quality floor, candidates and an app on one side; key figures,
the frontier and its numbers on the other. The chosen plan and router can be taken from it. Every number is looked up in
``Frontier.table``; nothing is computed here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import ipywidgets as widgets
import pandas as pd

from planner.lab import words
from planner.lab.canvas import HEIGHT, WIDTH, Canvas
from planner.lab.narrow import Narrowing
from planner.outcomes import Outcomes
from planner.policies import Plan, Route
from planner.prices import PriceBook
from planner.router import Router
from planner.simulation import Frontier, World, price_date, trace
from planner.traffic import Traffic
from planner.training import Training

__all__ = ["Explorer", "explorer"]

#: The slider goes from this loss of quality to none [points].
DEEPEST = -5.0
_ALL = "all apps"


def explorer(
    traffic: Traffic,
    training: Training,
    *,
    outcomes: Outcomes | None = None,
    book: PriceBook | None = None,
    at: dt.date | str | None = None,
    ceiling: pd.DataFrame | None = None,
    note: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Explorer:
    """Open the explorer on ``traffic`` with the router of ``training``.

    Parameters
    ----------
    outcomes: what other models would have done; without it their quality is unknown.
    book, at: prices and their date, as in :func:`planner.simulate`.
    ceiling: the best that is reachable, drawn beside the frontier of all apps and candidates, where the truth is known.
    note: what the reader must know of the data, for example that it is SYNTHETIC.
    progress: called with (done, in all), in requests, while the router reads the log's text for the first time.
    """
    book = book or PriceBook.load()
    world = World(traffic, outcomes or Outcomes(), book, price_date(book, at), progress=progress)
    return Explorer(world, training, ceiling=ceiling, note=note)


class Explorer:
    """Widgets over an opened world; shows itself in a notebook.

    ``floor``, ``apps`` and ``boxes`` are the controls; ``frontier``, ``chosen``, ``router`` and ``plan`` are what they say.
    """

    def __init__(self, world: World, training: Training, *, ceiling: pd.DataFrame | None = None, note: str = "") -> None:
        self._world, self._default, self._ceiling, self._note = world, -100 * training.floor, ceiling, note
        self._narrow = Narrowing(world, training.router)
        self._drawn: dict[tuple[tuple[str, ...], str | None], tuple[Router, Canvas]] = {}
        self._build()
        self._connect()
        self._trace()

    @property
    def app(self) -> str | None:
        """The app that is steered; None for all."""
        return None if self.apps.value == _ALL else str(self.apps.value)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The models that are ticked."""
        return tuple(name for name, box in self.boxes.items() if box.value)

    @property
    def frontier(self) -> Frontier:
        """What the ticked candidates and the app allow, at every level τ."""
        return self._canvas.frontier

    @property
    def chosen(self) -> int:
        """The position in ``frontier.table`` of the level that saves most above the floor; the first when none is."""
        return self.frontier.for_floor(self._loss) or 0

    @property
    def router(self) -> Router:
        """The chosen router: candidates, app and τ, ready for export."""
        router = self._router.with_tau(float(self.frontier.tau[self.chosen]))
        return router if self.app is None else router.with_apps((self.app,))

    @property
    def plan(self) -> Plan:
        """The chosen plan, ready for simulate and export; the empty plan when no level clears the floor and saves."""
        if self.frontier.for_floor(self._loss) is None:
            return Plan()
        return Plan((Route(self.router),), f"explorer: floor {self.floor.value:g} points, {self.apps.value}")

    @property
    def _loss(self) -> float:
        """The floor as a share of quality that may be lost."""
        return float(round(-self.floor.value / 100, 9))

    def _build(self) -> None:
        router = self._narrow.router
        limits = {"value": self._default, "min": min(DEEPEST, self._default), "max": 0.0, "step": 0.1, "tooltip": self._floor_help}
        self.floor = widgets.FloatSlider(**limits, readout=False, layout=_wide("100%"))
        self.text = widgets.BoundedFloatText(**limits, layout=_wide("76px"))
        self.reset = widgets.Button(description="Reset", layout=_wide("72px"), tooltip=self._floor_help)
        self.apps = widgets.Dropdown(
            options=[_ALL, *_apps(self._world, router)], layout=_wide("96%"), tooltip="Default: all apps that the labels cover."
        )
        self.boxes = {m: _box(m, router) for m in router.candidates}
        self.head, self.kpis, self.level, self.curve, self.status = (widgets.HTML() for _ in range(5))
        self.image = widgets.Image(format="png", width=WIDTH, height=HEIGHT)
        self.image.layout = widgets.Layout(width=f"{WIDTH}px", height=f"{HEIGHT}px", flex="0 0 auto")
        self.numbers = widgets.Accordion(
            [widgets.VBox([self.level, self.curve])], titles=("Numbers: select and copy",), selected_index=None
        )
        self.widget = widgets.VBox([self.head, self.kpis, widgets.HBox([self._controls(), self.image]), self.numbers])
        self.widget.layout = widgets.Layout(width=f"{WIDTH + 232}px", overflow="visible")

    @property
    def _floor_help(self) -> str:
        return f"Points of quality that may be lost at most. Default {self._default:g}: the floor the router was trained for."

    def _controls(self) -> widgets.VBox:
        parts = [
            _heading("Quality floor, points"), self.floor, widgets.HTML(words.ends(self.floor.min)), widgets.HBox([self.text, self.reset]),
            _heading("Apps to steer"), self.apps,
            _heading("Candidate models"), *self.boxes.values(), widgets.HTML(words.key()), self.status,
        ]  # fmt: skip
        return widgets.VBox(parts, layout=widgets.Layout(width="214px", flex="0 0 auto", margin="8px 18px 0 0"))

    def _connect(self) -> None:
        widgets.link((self.floor, "value"), (self.text, "value"))
        self.reset.on_click(lambda _: self.floor.set_trait("value", self._default))
        self.floor.observe(lambda _: self._look_up(), "value")
        for control in (self.apps, *self.boxes.values()):
            control.observe(lambda _: self._trace(), "value")

    def _trace(self) -> None:
        """Trace the family of the ticked candidates, unless it was traced before, and show it."""
        key = (self.candidates, self.app)
        if key not in self._drawn:
            self.status.value = '<span class="pl-note">Working …</span>'
            router = self._narrow.to(self.candidates)
            found = trace(self._world, router, app=self.app)
            whole = len(self.candidates) == len(self.boxes) and self.app is None
            canvas = Canvas(found, ceiling=self._ceiling if whole else None, note=self._note)
            self._drawn[key] = router, canvas
        self._router, self._canvas = self._drawn[key]
        self.head.value = words.head(f"Routing, {self.apps.value}", self._note)
        self.curve.value = words.curve(self.frontier.table)
        self._look_up()

    def _look_up(self) -> None:
        """Show the level that the floor allows."""
        found = self.frontier.for_floor(self._loss)
        row = self.frontier.as_logged if found is None else self.frontier.table.iloc[found]
        self.kpis.value, self.level.value = words.figures_of(row, self.frontier.drawn is not None), words.level(row)
        self.image.value = self._canvas.png(self.chosen, self._loss)
        self.status.value = words.warning() if found is None else ""

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)  # type: ignore[no-untyped-call]


def _wide(width: str) -> widgets.Layout:
    return widgets.Layout(width=width)


def _heading(text: str) -> widgets.HTML:
    return widgets.HTML(f'<div style="font-weight:600;font-size:13px;line-height:1.3;margin-top:10px">{text}</div>')


def _apps(world: World, router: Router) -> list[str]:
    """Return the apps that the router may steer, by name."""
    return sorted(set(world.rows.app.values) & set(router.support.apps or world.rows.app.values))


def _box(model: str, router: Router) -> widgets.Checkbox:
    """Make the tick box of one candidate; models of today cannot be taken away."""
    homes = [app for app, name in router.references if name == model]
    locked = bool(homes) or model == router.reference
    where = f" in {', '.join(homes)}" if homes else ""
    why = f"It answers today{where}, so it stays." if locked else "Default: ticked, like every labelled model."
    name = f"{model} (today)" if locked else model
    layout = widgets.Layout(width="96%", height="24px", margin="0 2px")
    return widgets.Checkbox(value=True, description=name, disabled=locked, indent=False, tooltip=why, layout=layout)
