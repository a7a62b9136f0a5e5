"""Two answers side by side, names hidden, five buttons: a person compares, and every click is saved before the next pair.

In: answers and a folder of comparisons. Out: widgets. Which pair is next, which side is whose and what a choice means is known to
``labels.ab`` alone; nothing is computed here.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ipywidgets as widgets

from planner.labels.ab import CHOICES, Pair, Store
from planner.labels.answers import Answers
from planner.labels.grading import LOGGED

__all__ = ["Blind", "ab"]

_SAID = {"left": "Left is better", "right": "Right is better", "tie": "Tie", "both bad": "Both bad", "skip": "Skip"}
_UNDO = "u"
_CSS = """<style>
.pl-ab {font-family: var(--jp-ui-font-family, sans-serif); line-height: 1.35; color: #1f2933}
.pl-ab .name {font-size: 12px; font-weight: 600; color: #5b6672; margin: 6px 2px 2px}
.pl-ab .text {white-space: pre-wrap; overflow-wrap: anywhere; overflow: auto; border: 1px solid #dfe4ea; border-radius: 8px;
  padding: 8px 12px; background: #fff; font-size: 13px; line-height: 1.45; box-sizing: border-box}
.pl-ab .asked {height: 150px; background: #f7f9fb}
.pl-ab .answers {display: grid; grid-template-columns: 1fr 1fr; gap: 12px}
.pl-ab .answers .text {height: 340px}
</style>"""


def ab(answers: Answers | str | Path, store: str | Path, *, rater: str, against: str = LOGGED, shared: int = 50, seed: int = 0) -> Blind:
    """Compare answers with those of ``against``, blind.

    Parameters
    ----------
    answers: as ``Answers``, or the folder they were saved in.
    store: the folder of comparisons, made when it is not there; people who work at once name the same one.
    rater: a short name of who compares.
    against: a model, or ``"log"``: today's model of each request.
    shared: so many pairs are shown to every rater, for their agreement.
    seed: of the order and the sides.

    The choices become grades with ``grader("human: STORE")``.
    """
    opened = answers if isinstance(answers, Answers) else Answers.open(answers)
    return Blind(Store(opened, store, rater, against=against, shared=shared, seed=seed))


class Blind:
    """Widgets over one rater's view of a store; shows itself in a notebook.

    ``buttons`` by choice, ``undo`` and ``keys`` (1 to 5 and u, typed) are the controls; ``status`` says how far it is.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.status, self.view = widgets.HTML(), widgets.HTML()
        self.buttons = {c: widgets.Button(description=f"{_SAID[c]} ({i})", layout=_auto()) for i, c in enumerate(CHOICES, 1)}
        self.undo = widgets.Button(description=f"Undo ({_UNDO})", layout=_auto())
        self.keys = widgets.Text(placeholder="or type here: 1 2 3 4 5 u", continuous_update=True, layout=_auto("190px"))
        for choice, button in self.buttons.items():
            button.on_click(partial(self._clicked, partial(self._choose, choice)))
        self.undo.on_click(partial(self._clicked, self._take_back))
        self.keys.observe(self._typed, "value")
        row = widgets.HBox([*self.buttons.values(), self.undo, self.keys], layout=widgets.Layout(flex_flow="row wrap"))
        self.widget = widgets.VBox([self.status, self.view, row], layout=widgets.Layout(width="100%", max_width="1100px"))
        self._show(store.next())

    def _clicked(self, act: Callable[[], None], _: widgets.Button | None = None) -> None:
        """Do one thing; where it could not be saved, say so and stay."""
        try:
            act()
        except OSError as error:
            self.status.value = _line(f"NOT saved: {error.strerror or error}. Nothing is lost but the last click; try again.")

    def _typed(self, change: dict[str, str]) -> None:
        """Take the last key typed for a click, and empty the field."""
        typed = change["new"][-1:].lower()
        if not typed:
            return
        self.keys.value = ""
        acts = {str(i): partial(self._choose, c) for i, c in enumerate(CHOICES, 1)} | {_UNDO: self._take_back}
        if typed in acts:
            self._clicked(acts[typed])

    def _choose(self, choice: str) -> None:
        if self._pair is not None:
            self._store.choose(self._pair, choice)
            self._show(self._store.next())

    def _take_back(self) -> None:
        pair = self._store.undo()
        if pair is not None:
            self._show(pair)

    def _show(self, pair: Pair | None) -> None:
        self._pair = pair
        done, whole = self._store.progress
        self.view.value = "" if pair is None else _panes(pair)
        for button in self.buttons.values():
            button.disabled = pair is None
        self.undo.disabled = done == 0
        # Said last: who reads that a click is saved sees the next pair already.
        self.status.value = _line(f"{done:,} of {whole:,}, saved" + (". Nothing is left to compare: thank you." if pair is None else ""))

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)  # type: ignore[no-untyped-call]


def _auto(width: str = "auto") -> widgets.Layout:
    return widgets.Layout(width=width)


def _line(text: str) -> str:
    return f'{_CSS}<div class="pl-ab mathjax_ignore" role="status"><b>{html.escape(text)}</b></div>'


def _panes(pair: Pair) -> str:
    """Lay out the request above the two answers, all escaped, each with a scroll bar of its own."""
    asked = _pane("Request", pair.prompt or "(its text was not logged)", "asked")
    return (
        f'<div class="pl-ab mathjax_ignore">{asked}<div class="answers">{_pane("Left", pair.left)}{_pane("Right", pair.right)}</div></div>'
    )


def _pane(name: str, text: str, kind: str = "") -> str:
    said = html.escape(text or "(empty)")
    return f'<div><div class="name">{name}</div><div class="text {kind}" tabindex="0" aria-label="{name}">{said}</div></div>'
