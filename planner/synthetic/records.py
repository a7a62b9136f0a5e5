"""Grammars of the applications that return JSON: invoice extraction and ticket triage.

In: a keyed Draw. Out: Drafts whose demands lie in the document: line items, scan errors, mixed currencies and dates,
missing fields, mixed concerns. Knows nothing of models, times or prices.
"""

from __future__ import annotations

from typing import Any

from planner.synthetic import words as w
from planner.synthetic.drafts import Draft, Draw, Message, demand, dumps, text_group
from planner.synthetic.prose import fill

__all__ = ["INVOICE_FORMAT", "TRIAGE_FORMAT", "invoice", "invoice_system", "ticket", "triage_system"]

_SUPPLIERS = ("Norvik Paper AS", "Albero Forniture SRL", "Kestrel Tools Ltd", "Maison Duval SARL", "Hofer Elektro GmbH", "Rautio Oy",
              "Delta Cables BV", "Sousa e Filhos Lda", "Brook & Hale LLP", "Zielinski Sp. z o.o.")  # fmt: skip
_ITEMS = ("Cable 3 m", "Wall bracket", "Copy paper A4", "Toner black", "Hex bolts M6", "LED panel 60", "Desk lamp", "Safety gloves",
"Label rolls",
          "Filter set", "Battery pack", "Mounting tape", "Site visit", "Freight", "Calibration", "Annual licence", "Training hour",
          "Sensor kit",
          "Router rack", "Spare fuse")  # fmt: skip
_SCAN = str.maketrans({"0": "O", "1": "l", "5": "S", "8": "B"})
_FIELDS = ("supplier", "number", "date", "currency", "net", "tax", "total")
_QUEUES = ("billing", "delivery", "technical", "account", "legal", "sales")
_URGENCY = ("low", "normal", "high")
#: Concern → queue, and how easily it is filed wrongly.
_CONCERNS: tuple[tuple[str, str, float], ...] = (
    ("I was charged twice", "billing", 0.0), ("the parcel has not arrived", "delivery", 0.0), ("the hub does not start", "technical", 0.0),
    ("I cannot sign in", "account", 0.0), ("I want a quote for {n}0 cameras", "sales", 0.1), ("please delete all my data", "legal", 0.4),
    ("the driver left the parcel and now the camera is broken", "delivery", 1.2), ("I pay for a plan that I cannot see in the app",
    "account", 1.1),
    ("your colleague promised a refund if it fails again, and it failed", "billing", 1.3), ("my neighbour can see my recordings", "legal",
    1.5),
    ("the invoice names a company that we sold", "legal", 1.6), ("after the update I see somebody else's order", "legal", 1.7),
)  # fmt: skip


def _format(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


_ITEM = {"type": "object", "properties": {"name": {"type": "string"}, "quantity": {"type": "number"}, "amount": {"type": "number"}},
         "required": ["name", "quantity", "amount"], "additionalProperties": False}  # fmt: skip
INVOICE_FORMAT = _format(
    "invoice",
    {f: {"type": ["number", "null"] if f in ("net", "tax", "total") else ["string", "null"]} for f in _FIELDS}
    | {"items": {"type": "array", "items": _ITEM}},
)
TRIAGE_FORMAT = _format(
    "triage",
    {
        "queue": {"type": "string", "enum": list(_QUEUES)},
        "urgency": {"type": "string", "enum": list(_URGENCY)},
        "order": {"type": ["string", "null"]},
    },
)


def invoice_system(version: str) -> Message:
    """Return the system prompt of invoice extraction."""
    rules = ["Read the scanned invoice and return it as JSON.", "Dates as YYYY-MM-DD, amounts as plain numbers with a point.",
             "A field that is not on the page is null; never guess it.", "Correct obvious scan errors in numbers.",
             "Discounts and freight are items of their own."]  # fmt: skip
    if version.endswith("v3"):
        rules.append("If two currencies appear, use the one of the total and convert nothing.")
    return Message("system", f"Prompt {version}.\n" + "\n".join(f"- {r}" for r in rules))


def triage_system(version: str) -> Message:
    """Return the system prompt of ticket triage."""
    rules = "File the ticket: queue, urgency and order number as JSON. Danger or a leak of data is high."
    return Message("system", f"Prompt {version}. {rules} Where two queues fit, choose the one that must act first.")


def invoice(draw: Draw, name: str, head: Message) -> Draft:
    """Return one scanned document and its true JSON."""
    load = draw.random() ** 2.2
    count = 1 + draw.count(1.5 + 6 * load, 16)
    scan, mixed, missing = (draw.chance(p * (0.3 + load)) for p in (0.45, 0.3, 0.35))
    items = [(draw.pick(_ITEMS), draw.between(1, 24), draw.between(3, 400) + draw.pick((0.0, 0.5, 0.9))) for _ in range(count)]
    discount = draw.chance(0.5 * load)
    net = round(sum(q * a for _, q, a in items) * (0.95 if discount else 1.0), 2)
    rate = draw.pick((0.19, 0.2, 0.22, 0.25, 0.077))
    truth = _invoice_truth(draw, items, net, round(net * rate, 2), missing)
    text = _invoice_text(draw, truth, items, rate, scan, mixed, discount)
    parts = demand(
        messy=0.06 * count + 1.3 * scan + 1.2 * mixed + 0.6 * missing,
        steps=1.8 * discount + 0.4 * mixed,
        length=0.06 * count,
        rare=0.6 * (rate == 0.077),
    )
    topic = f"invoice/{truth['supplier'] or 'unknown'}"
    reply = Message("assistant", dumps(truth))
    return Draft([head, Message("user", text)], reply, parts, topic, name, response_format=INVOICE_FORMAT)


def _invoice_truth(draw: Draw, items: list[tuple[str, int, float]], net: float, tax: float, missing: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "supplier": draw.early(_SUPPLIERS, 1.4), "number": f"{draw.pick('ABKRX')}-{draw.between(10_000, 99_999)}",
        "date": f"2026-{draw.between(8, 11):02d}-{draw.between(1, 28):02d}", "currency": draw.pick(("EUR", "EUR", "EUR", "GBP", "CHF",
        "PLN")),
        "net": net, "tax": tax, "total": round(net + tax, 2),
    }  # fmt: skip
    if missing:
        values[draw.pick(("number", "date", "tax"))] = None
    return values | {"items": [{"name": n, "quantity": q, "amount": round(q * a, 2)} for n, q, a in items]}


def _invoice_text(
    draw: Draw, truth: dict[str, Any], items: list[tuple[str, int, float]], rate: float, scan: bool, mixed: bool, discount: bool
) -> str:
    date = truth["date"] or ""
    shown = date if not mixed else ".".join(reversed(date.split("-")))
    lines = [truth["supplier"], f"Invoice {truth['number'] or ''}".strip(), f"Date {shown}" if date else "Date"]
    lines += [f"{i:>2}  {n:<16} {q:>3} x {a:>8.2f}  {q * a:>10.2f}" for i, (n, q, a) in enumerate(items, 1)]
    if discount:
        lines.append("Less 5 % on the goods above as agreed")
    if mixed:
        lines.append(f"(for reference: {truth['total'] * 1.08:.2f} USD)")
    lines += [f"Net {truth['net']:.2f}", f"Tax {rate:.1%}" + ("" if truth["tax"] is None else f" {truth['tax']:.2f}")]
    lines.append(f"Total {truth['currency']} {truth['total']:.2f}")
    if scan:
        lines = [x.translate(_SCAN) if draw.chance(0.4) else x for x in lines]
    return "\n".join(lines)


def ticket(draw: Draw, name: str, head: Message, seed: int) -> Draft:
    """Return one ticket and its right filing; half of all tickets are one of a few hundred that come again and again."""
    group, source = name, draw
    if draw.chance(0.5):
        group = f"ticket-{int(300 * draw.random() ** 2.5)}"
        source = Draw(seed, group)
    concerns = [source.early(_CONCERNS, 1.5) for _ in range(1 + source.count(0.4, 2))]
    detail = fill(source, source.pick(w.DETAILS))
    mood = source.pick(("", "", "I am furious.", "No hurry.", "This is the third time!", "My mother lives alone there."))
    body = " Also, ".join(fill(source, c[0]) for c in concerns)
    text = " ".join(p for p in (source.pick(w.GREETINGS), f"{body}.", detail, mood) if p)
    again, group = group != name, text_group("ticket", text)
    if again and draw.chance(0.25):
        text = draw.pick((text.lower(), f"{text} Thanks!", text.replace("Hello,", "Hi,"), text.replace(".", "")))
    hard = max(c[2] for c in concerns)
    order = next((t.strip(".") for t in detail.split() if t.strip(".").isdigit() and len(t) > 6), None)
    truth = {
        "queue": max(concerns, key=lambda c: c[2])[1],
        "urgency": "high" if hard > 1.2 or "third" in mood else "normal",
        "order": order,
    }
    parts = demand(ambiguous=hard, steps=0.7 * (len(concerns) - 1), messy=0.2 * bool(mood))
    return Draft([head, Message("user", text)], Message("assistant", dumps(truth)), parts, f"triage/{truth['queue']}", group,
                 response_format=TRIAGE_FORMAT)  # fmt: skip
