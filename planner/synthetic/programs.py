"""Grammar of the coding assistant: inline completions with a short answer, and requests to explain, fix or extend.

In: a keyed Draw. Out: Drafts whose demands lie in the constructs of the function at the cursor and in what is asked of it;
the functions around it look alike and demand little. Knows nothing of models, times or prices.
"""

from __future__ import annotations

from functools import cache

from planner.synthetic.drafts import Draft, Draw, Message, demand

__all__ = ["code", "code_system"]

_NOUNS = ("order", "parcel", "invoice", "device", "sensor", "session", "tenant", "ticket", "refund", "event", "region", "quota")
_VERBS = ("load", "merge", "filter", "count", "rank", "export", "check", "split", "index", "update", "archive", "match")
#: Construct → (demand on code, lines of the body). {a} is a noun, {b} another, {n} a number.
_BODIES: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("loop", 0.0, ("    total = 0", "    for {a} in {a}s:", "        total += {a}.amount", "    return total")),
    ("dict", 0.0, ("    seen = {{}}", "    for {a} in {a}s:", "        seen[{a}.id] = {a}", "    return list(seen.values())")),
    ("comprehension", 0.1, ("    kept = [{a} for {a} in {a}s if {a}.{b}_id is not None]",
    "    return sorted(kept, key=lambda x: x.created)[:{n}]")),
    ("csv", 0.2, ("    with path.open(newline='') as file:", "        rows = list(csv.DictReader(file))",
    "    return [r for r in rows if int(r['{a}']) > {n}]")),
    ("dates", 0.5, ("    start = now - timedelta(days={n})", "    recent = [{a} for {a} in {a}s if {a}.at >= start]",
    "    return max(recent, default=None, key=lambda x: x.at)")),
    ("sql", 0.7, ("    query = 'SELECT {a}_id, count(*) FROM {b} GROUP BY 1 HAVING count(*) > ?'", "    with connect() as db:",
    "        return db.execute(query, ({n},)).fetchall()")),
    ("window", 1.1, ("    query = 'SELECT *, row_number() OVER (PARTITION BY {a}_id ORDER BY at DESC) AS r FROM {b}'",
    "    return [row for row in db.execute(query) if row['r'] <= {n}]")),
    ("generics", 1.1, ("    groups: dict[K, list[T]] = defaultdict(list)", "    for item in items:",
    "        groups[key(item)].append(item)", "    return {{k: reduce(v) for k, v in groups.items()}}")),
    ("regex", 1.2, ("    pattern = re.compile(r'(?P<{a}>[A-Z]{{2}}\\d{{{n}}})(?:-(?P<{b}>\\w+))?$')",
    "    return [m.groupdict() for m in map(pattern.search, lines) if m]")),
    ("recursion", 1.2, ("    if depth > {n}:", "        raise RecursionError({a}.id)",
    "    return 1 + sum(walk(child, depth + 1) for child in {a}.children)")),
    ("async", 1.5, ("    async with asyncio.TaskGroup() as group:", "        tasks = [group.create_task(fetch_{a}({b})) for {b} in {b}s]",
    "    return [t.result() for t in tasks if t.result()]")),
    ("threads", 1.9, ("    with self._lock:", "        while not self._{a}s:", "            self._ready.wait(timeout={n})",
    "        return self._{a}s.popleft()")),
    ("bits", 1.7, ("    mask = (1 << {n}) - 1", "    return ({a} & mask) ^ (({a} >> {n}) * 0x9E3779B1 & mask)")),
    ("einsum", 2.0, ("    scores = np.einsum('bqd,bkd->bqk', {a}, {b}) / np.sqrt({n})",
    "    return np.where(mask[:, None, :], scores, -np.inf)")),
)  # fmt: skip
#: What the docstring of a function to be completed says of its construct.
_HINTS = {
    "loop": "", "dict": " once each", "comprehension": " in order", "csv": " of a CSV file", "dates": " of the last days",
    "sql": " by one SQL query",
    "window": " by a window function", "generics": " grouped by any key", "regex": " that match the pattern",
    "recursion": " of the whole tree",
    "async": " from all tasks at once", "threads": " as soon as the queue is ready", "bits": " as a bit mask",
    "einsum": " as masked attention scores",
}  # fmt: skip
#: What is asked of a whole function → (steps, constraints, share of the construct's demand that counts, answer [tokens]).
_TASKS: tuple[tuple[str, float, float, float, int], ...] = (
    ("Write the docstring.", 0.0, 0.0, 0.2, 60), ("Add type hints.", 0.1, 0.1, 0.4, 120),
    ("Rename the variables so that they say what they hold.", 0.0, 0.1, 0.2, 130),
    ("Explain what this returns for an empty list.", 0.2, 0.0, 0.6, 110), ("Write three pytest tests.", 0.4, 0.3, 0.7, 260),
    ("It is off by one at the boundary; fix it.", 0.8, 0.0, 0.9, 140), ("Make it idempotent and keep the signature.", 1.0, 0.4, 1.0, 190),
    ("Find the race and remove it without a global lock.", 1.6, 0.3, 1.2, 260), ("Rewrite it to run in one pass and constant memory.",
    1.5, 0.4, 1.0, 220),
    ("Port it to Rust without unsafe.", 1.2, 0.4, 1.2, 330),
    ("Why is it slower since the last release, and what would you measure first?", 1.2, 0.2, 0.8, 240),
)  # fmt: skip
_EXTRAS: tuple[tuple[str, float], ...] = (
    ("Keep Python 3.11.", 0.1), ("No new dependencies.", 0.2), ("Do not change the public names.", 0.3), ("Return only the code.", 0.1),
    ("Stay under {n}0 lines.", 0.5), ("It must work when the clock goes backwards.", 0.9), ("Callers rely on the order.", 0.6),
)  # fmt: skip
_ANSWER = ("The function walks over the {a}s once.", "I kept the signature.", "The boundary case is the empty list.",
"Note that the order is preserved.",
           "The lock is held only while the queue is changed.", "This avoids the second pass.",
           "The tests cover an empty, a single and a repeated {a}.")  # fmt: skip


@cache
def code_system(version: str) -> Message:
    """Return the system prompt of the coding assistant."""
    rules = (
        "You complete and explain code for the Larkspur platform team. Follow the style of the file. "
        "When a cursor <|cursor|> is given, return only what belongs there. "
    )
    house = " ".join(
        f"Modules named {n}s hold the {n} model, its queries and its tests; do not import {v} helpers across them."
        for n, v in zip(_NOUNS, _VERBS, strict=True)
    )
    return Message("system", f"Prompt {version}. {rules}{house}")


def _function(draw: Draw, body: tuple[str, ...]) -> tuple[str, list[str], str, str]:
    a, b = draw.several(_NOUNS, 2)
    slots = {"a": a, "b": b, "n": draw.between(2, 30)}
    name = f"{draw.pick(_VERBS)}_{a}s"
    return f"def {name}({a}s, {b}s=None, *, limit={draw.between(1, 9)}0):", [x.format_map(slots) for x in body], a, name


@cache
def _module(number: int) -> str:
    """One of 160 files of the repository around the cursor."""
    draw = Draw(11, f"module/{number}")
    parts = []
    for _ in range(draw.between(2, 5)):
        head, body, a, _ = _function(draw, draw.pick(_BODIES)[2])
        parts.append("\n".join([head, f'    """Return what is known of every {a} that the caller may see."""', *body]))
    return f"# {draw.pick(_NOUNS)}s/{draw.pick(_VERBS)}.py\nimport csv\nfrom datetime import timedelta\n\n\n" + "\n\n\n".join(parts)


def code(draw: Draw, name: str, head: Message, length: float) -> Draft:
    """Return one request: two in three are inline completions, the rest ask for something in words."""
    load = draw.random() ** 1.8
    construct, hard, body = draw.early(_BODIES, 2.2 - 1.5 * load)
    signature, lines, noun, called = _function(draw, body)
    context = "\n\n\n".join(_module(draw.between(0, 159)) for _ in range(draw.between(2, 5)))
    around = Message("system", f"Files open in the editor:\n\n{context}")
    topic = f"code/{construct}"
    if draw.chance(0.68):
        cut = draw.between(0, len(lines) - 1)
        doc = f'    """{draw.pick(("Return", "Compute", "Collect"))} the {noun}s{_HINTS[construct]}."""'
        text = "\n".join([signature, doc, *lines[:cut], "<|cursor|>"])
        reply = Message("assistant", "\n".join(lines[cut:]) if length > 40 else lines[cut].strip())
        parts = demand(code=0.75 * hard, length=0.08 * cut, ambiguous=0.5 * (cut == 0))
        return Draft([head, around, Message("user", text)], reply, parts, topic, name)
    task, steps, constraints, weight, tokens = draw.early(_TASKS, 2.2 - 1.5 * load)
    extras = [draw.pick(_EXTRAS) for _ in range(draw.count(0.3 + load, 3))]
    wishes = " ".join(x[0].format(n=draw.between(1, 4)) for x in extras)
    text = f"{task} {wishes}\n\n```python\n{signature}\n" + "\n".join(lines) + f"\n```\nThe function is {called}."
    parts = demand(code=weight * hard, steps=steps, constraints=constraints + sum(x[1] for x in extras))
    return Draft([head, around, Message("user", text)], _explained(draw, signature, lines, noun, tokens * length / 13), parts, topic, name)


def _explained(draw: Draw, signature: str, lines: list[str], noun: str, tokens: float) -> Message:
    block = "```python\n" + "\n".join([signature, *lines]) + "\n```"
    parts = [block]
    while sum(map(len, parts)) < 4.2 * tokens:
        parts.append(draw.pick(_ANSWER).format(a=noun) if draw.chance(0.8) else block)
    return Message("assistant", "\n".join(parts))
