"""What every verb of the shell prints and writes, run as a user runs it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from planner.traffic import Apps

VERBS = ("read", "audit", "apps", "apps init", "apps check", "plan", "labels", "labels sample", "labels run", "labels batch")
VERBS += ("labels ingest", "labels grade", "labels noise", "train", "backtest", "simulate", "compare", "optimize", "replay", "off-policy")
VERBS += ("export", "preflight", "rollout", "rollout show", "rollout set", "rollout stop", "rollout resume", "rollout back")
VERBS += ("join", "forget", "decide", "verify", "bridge", "drift", "gate", "lab")
HEAVY = ("numpy", "pandas", "pyarrow", "sklearn", "scipy", "genai_prices", "pydantic", "tqdm", "yaml")


def test_help_imports_nothing_heavy(planner: Callable[..., Any]) -> None:
    """The command line is known before any library that takes a moment is imported."""
    code = f"import planner.cli.app, sys; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_has_examples(verb: str, planner: Callable[..., Any]) -> None:
    """``--help`` of every verb shows at least one example that starts with the verb."""
    ran = planner(*verb.split(), "--help")
    assert ran.code == 0
    assert "Examples" in ran.out
    assert f"planner {verb}".strip() in ran.out.split("Examples")[1]


def test_read_accounts_for_every_row(desk: Any) -> None:
    """Accepted and quarantined rows add up to the lines of the file, and the reasons are named."""
    said = desk.read.json
    lines = len(desk.log.read_bytes().splitlines())
    assert said["rows"]["rows"] == lines == said["rows"]["accepted"] + said["rows"]["quarantined"]
    assert sum(said["quarantine"].values()) == said["rows"]["quarantined"] == 2
    assert said["detected"]["format"] == "litellm_payload"
    assert {row["lever"] for row in said["levers"]} >= {"routing", "batch"}


def test_read_shows_the_quarantine_and_fits_the_terminal(desk: Any, planner: Callable[..., Any]) -> None:
    """A person sees the counts and every reason, within 100 columns, and stderr stays empty when nobody watches."""
    ran = planner("read", desk.traffic)
    assert ran.code == 0
    assert ran.err == ""
    assert "2 rows set aside" in ran.out
    for reason in desk.read.json["quarantine"]:
        assert reason in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100


def test_a_raw_log_is_read_once(desk: Any, planner: Callable[..., Any], tmp_path: Path) -> None:
    """A verb given a raw log reads it into ``.planner/`` and finds it there the next time."""
    first = planner("read", desk.log, "--json", cwd=tmp_path).json
    folder = tmp_path / first["folder"]
    before = (folder / "traffic.json").stat().st_mtime_ns
    audited = planner("audit", desk.log, "--json", cwd=tmp_path).json
    assert (folder / "traffic.json").stat().st_mtime_ns == before
    assert audited["total"]["value"] == pytest.approx(first["total"]["value"], rel=1e-12)


def test_audit_sums_to_the_total(desk: Any, planner: Callable[..., Any]) -> None:
    """Spend summed by any columns is the total, and money comes with its evidence."""
    total = desk.read.json["total"]["value"]
    for by in ("app,model", "day", "bucket"):
        said = planner("audit", desk.traffic, "--by", by, "--json").json
        assert sum(row["usd"] for row in said["spend"]) == pytest.approx(total, abs=1e-9)
        assert said["total"]["evidence"] == "measured"
    ran = planner("audit", desk.traffic)
    assert "measured spend" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100


def test_apps_are_drafted_checked_and_never_overwritten(desk: Any, planner: Callable[..., Any], tmp_path: Path) -> None:
    """A draft passes the check; a second draft over it is refused; a missing app is named."""
    file = tmp_path / "apps.yaml"
    names = set(planner("apps", "init", desk.traffic, "--out", file, "--json").json["apps"])
    said = planner("apps", "check", desk.traffic, file, "--json").json
    assert set(said["apps"]) == names
    again = planner("apps", "init", desk.traffic, "--out", file)
    assert (again.code, again.out) == (2, "")
    assert "which is there already" in again.err
    file.write_text(file.read_text("utf-8").replace("  docs-rag:", "  docs-rga:"), "utf-8")
    wrong = planner("apps", "check", desk.traffic, file)
    assert wrong.code == 2
    assert "docs-rag" in wrong.err


def test_plan_needs_no_labels(desk: Any, planner: Callable[..., Any]) -> None:
    """The plan ranks changes with evidence, and calls what routing could save an upper bound."""
    said = planner("plan", desk.traffic, "--json").json
    assert {row["evidence"] for row in said["changes"]} <= {"estimated", "assumed"}
    savings = [row["usd_per_month"] for row in said["changes"] if row["in_combined"]]
    assert savings == sorted(savings, reverse=True)
    assert said["routing"]
    ran = planner("plan", desk.traffic)
    assert "an upper bound and not a saving" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100


def test_train_measures_every_method_on_held_out_labels(desk: Any) -> None:
    """The learned router is shown beside the simple rules, each app against its own model of today in the log."""
    said = desk.trained.json
    assert {row["method"] for row in said["methods"]} >= {"reference", "learned", "cheapest", "best", "per app", "length"}
    assert said["router"]["reference"] == "gpt-5.4"
    assert said["router"]["references"]["docs-rag"] == "claude-sonnet-4-5"


def test_simulate_compares_today_rules_and_router(desk: Any) -> None:
    """Every row's dollars are the sum of their evidence, and its saving is the log's dollars less its own."""
    said = desk.simulated.json
    plans = {row["plan"]: row for row in said["plans"]}
    assert list(plans) == ["as logged", "models of today", "cheapest", "best", "per app", "length", "learned"]
    for row in plans.values():
        assert row["usd_measured"] + row["usd_estimated"] + row["usd_assumed"] == pytest.approx(row["usd_per_month"], rel=1e-9)
        assert plans["as logged"]["usd_per_month"] - row["usd_per_month"] == pytest.approx(row["saving_usd_per_month"], abs=1e-9)
    assert said["routers"]["learned"]["version"] == desk.trained.json["router"]["version"]
    assert 0 < said["second_actions"]["possible"] < said["second_actions"]["requests"]
    assert desk.simulated.err == ""


def test_training_now_is_the_bundle(desk: Any, planner: Callable[..., Any]) -> None:
    """Without a bundle the router is trained again and comes out as the same one, with the same dollars, in 100 columns."""
    ran = planner("simulate", desk.traffic, "--labels", desk.labels)
    assert ran.code == 0, ran.err
    said = desk.simulated.json
    assert f"router {said['routers']['learned']['version']} at" in ran.out
    for row in said["plans"]:
        line = next(x for x in ran.out.splitlines() if x.startswith(f"{row['plan']}  "))
        assert f"${row['usd_per_month']:.2f}" in line
    assert max(map(len, ran.out.splitlines())) <= 100


def test_names_that_differ_in_provider_alone_are_one_model(desk: Any, planner: Callable[..., Any], tmp_path: Path) -> None:
    """Labels that say openai/gpt-5.4 train and simulate as those that say gpt-5.4 do, and stderr says so; options may say either."""
    labels = tmp_path / "labels"
    planner("read", desk.labels, "--model", "gpt-5.4=openai/gpt-5.4", "--out", labels, "--json")
    trained = planner("train", labels, "--log", desk.traffic, "--out", tmp_path / "router", "--json")
    assert trained.json["router"]["version"] == desk.trained.json["router"]["version"]
    assert "openai/gpt-5.4 is taken for the log's gpt-5.4" in " ".join(trained.err.split())
    assert "--model openai/gpt-5.4=openai/gpt-5.4" in " ".join(trained.err.split())
    simulated = planner("simulate", desk.traffic, "--labels", labels, "--reference", "openai/gpt-5.4", "--json")
    assert simulated.json["routers"]["learned"]["reference"] == "gpt-5.4"
    shift = {row["plan"]: row["quality_difference"] for row in simulated.json["plans"]}
    assert None not in shift.values()
    assert simulated.err == trained.err


def test_a_bundle_keeps_its_names(desk: Any, planner: Callable[..., Any], tmp_path: Path) -> None:
    """Where a bundle decides for names the log spells otherwise, nothing is renamed and the way out is named."""
    labels, bundle = tmp_path / "labels", tmp_path / "router"
    planner("read", desk.labels, "--model", "gpt-5.4=openai/gpt-5.4", "--out", labels, "--json")
    planner("train", labels, "--reference", "openai/gpt-5.4", "--out", bundle, "--json")
    ran = planner("simulate", desk.traffic, "--labels", labels, "--bundle", bundle, "--json")
    assert "train it again with --log" in " ".join(ran.err.split())
    assert ran.json["routers"]["learned"]["reference"] == "openai/gpt-5.4"


def test_labels_alone_can_be_the_traffic(desk: Any, planner: Callable[..., Any]) -> None:
    """Without a log, the labelled requests answered by the reference are what is replayed."""
    said = planner("simulate", "--labels", desk.labels, "--reference", "gpt-5.4", "--json", cwd=desk.folder).json
    today = said["plans"][0]
    assert today["plan"] == "as logged"
    assert today["usd_per_month"] > 0
    assert said["header"]["days"] == pytest.approx(1, abs=0.01)


def test_export_writes_any_method_at_any_level(desk: Any, planner: Callable[..., Any], tmp_path: Path) -> None:
    """A bundle is written again at another τ, and a simple rule is exported as a router of its own."""
    moved = planner("export", desk.bundle, "--tau", "0.5", "--out", tmp_path / "loose", "--json").json
    assert moved["router"]["tau"] == 0.5
    assert moved["router"]["version"] != desk.trained.json["router"]["version"]
    rule = planner("export", desk.labels, "--method", "cheapest", "--out", tmp_path / "cheap", "--json").json
    decided = planner("decide", "--bundle", tmp_path / "cheap", stdin='{"messages": "Hello", "app": "ticket-triage"}\n')
    assert json.loads(decided.out)["model"] in rule["router"]["candidates"]


def test_decide_decides_as_the_library_does(desk: Any, planner: Callable[..., Any]) -> None:
    """A line in is a line out, and each is the decision of ``Router.load(bundle).decide``."""
    from planner.router import Router

    requests = [{"messages": f"Summarise ticket {i}", "app": a} for i, a in enumerate(["ticket-triage", "docs-rag", "new", None])]
    lines = planner("decide", "--bundle", desk.bundle, stdin="".join(json.dumps(r) + "\n" for r in requests)).out.splitlines()
    router = Router.load(desk.bundle)
    wanted = [router.decide(r["messages"], r) for r in requests]
    assert [json.loads(x)["model"] for x in lines] == [d.model for d in wanted]
    assert [json.loads(x)["reason"] for x in lines] == [d.reason for d in wanted]


def test_a_table_of_graded_answers_becomes_labels(planner: Callable[..., Any], tmp_path: Path) -> None:
    """Columns are named on the command line, models renamed, and means are those of the table."""
    table = tmp_path / "bench.csv"
    table.write_text("question,field,ok_big,ok_small_1\n" + "".join(f"what is {i}?,f{i % 2},1,{i % 2}\n" for i in range(10)), "utf-8")
    options = ["--prompt", "question", "--quality", "ok_*", "--app-col", "field", "--model", "small_1=small"]
    said = planner("read", table, *options, "--out", tmp_path / "labels", "--json").json
    assert {row["model"]: row["quality"] for row in said["models"]} == {"big": 1.0, "small": 0.5}
    text = planner("read", table, *options, "--out", tmp_path / "labels").out
    assert "10 requests, 20 graded answers of big, small" in text


def test_lab_says_what_it_would_run(planner: Callable[..., Any]) -> None:
    """``lab --json`` names the notebooks and the command without opening anything; arguments go on to Jupyter."""
    said = planner("lab", "--json", "--no-browser").json
    assert Path(said["notebooks"]).name in ("notebooks", "planner-notebooks")
    assert said["command"][1:3] == ["-m", "jupyterlab"]
    assert said["command"][-1] == "--no-browser"


@pytest.mark.parametrize(
    ("missing", "verb", "extra"), [("jupyterlab", "lab", "lab"), ("typer", "read", "plan"), ("genai_prices", "audit", "plan")]
)
def test_what_is_not_installed_names_the_extra(missing: str, verb: str, extra: str, desk: Any) -> None:
    """A verb that needs what is not installed says what to install, and leaves with 2."""
    arguments = [verb] if verb == "lab" else [verb, str(desk.traffic)]
    code = f"import sys; sys.modules[{missing!r}] = None; sys.argv = {['planner', *arguments]}; from planner.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert f"pip install 'llm-traffic-planner[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_is_130(desk: Any) -> None:
    """An interrupted verb leaves with 130 and no traceback."""
    command = [str(Path(sys.executable).with_name("planner")), "decide", "--bundle", str(desk.bundle)]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a job in the background starts out deaf to Ctrl-C
    ends = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **ends, text=True, preexec_fn=heard) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write('{"messages": "Hello"}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_progress_is_for_those_who_watch(desk: Any, tmp_path: Path) -> None:
    """A terminal on stderr sees a bar; with --json or --quiet it sees nothing; stdout is the same either way."""
    seen = {}
    for flags in ("", "--quiet", "--json"):
        master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        command = [str(Path(sys.executable).with_name("planner")), "read", str(desk.log), "--out", str(tmp_path / "log"), *flags.split()]
        subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, check=True)
        os.write(terminal, b"end")
        seen[flags] = os.read(master, 65536).decode()
        os.close(terminal)
        os.close(master)
    assert "reading" in seen[""]
    assert (seen["--quiet"], seen["--json"]) == ("end", "end")


def test_version(planner: Callable[..., Any]) -> None:
    """``--version`` names the program and its version."""
    ran = planner("--version")
    assert ran.code == 0
    assert ran.out.startswith("planner 0.")


def test_export_of_a_bundle_takes_no_training_options(desk: Any, planner: Callable[..., Any], tmp_path: Path) -> None:
    """A bundle is never written as another method: asking for one is refused, and names the options that need labels."""
    refused = planner("export", desk.bundle, "--method", "cheapest", "--out", tmp_path / "x")
    assert refused.code == 2
    assert "a bundle with --method" in refused.err
    assert not (tmp_path / "x").exists()


def test_apps_file_is_kept_to(desk: Any, planner: Callable[..., Any], tmp_path: Path) -> None:
    """The draft's guesses change no router; with one candidate stated for every app, the learned router moves nothing."""
    file, router = tmp_path / "apps.yaml", desk.trained.json["router"]
    planner("apps", "init", desk.traffic, "--out", file)
    guessed = planner("train", desk.labels, "--log", desk.traffic, "--apps", file, "--out", tmp_path / "a", "--json").json
    assert guessed["router"]["version"] == router["version"]
    home = {name: (router["references"].get(name, router["reference"]),) for name in Apps.load(file).apps}
    Apps({name: replace(app, candidates=home[name], assumed=()) for name, app in Apps.load(file).apps.items()}).save(file)
    stated = planner("train", desk.labels, "--log", desk.traffic, "--apps", file, "--out", tmp_path / "b", "--json").json
    methods = {m["method"]: m for m in stated["methods"]}
    assert methods["learned"]["usd_per_1k"] == methods["reference"]["usd_per_1k"]
