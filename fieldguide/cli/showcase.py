"""`fieldguide demo`: the main job, verb by verb, on the reports in examples/ntsb."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from fieldguide.cli import evaluating, pairs, shelving, verbs
from fieldguide.cli.session import Session, guarded, print_json, session
from fieldguide.errors import FieldguideError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "ntsb"
QUESTION = "Which flying club owned the Reims F172 M?"


def settings(minutes: float) -> dict[str, dict[str, Any]]:
    """What the demo sets: everything else is the default."""
    return {
        "tuning": {"minutes": minutes, "dev_examples": 12, "checks": 2, "general_questions": 8},
        "compare": {"max_questions": 40},
    }


def run(folder: Path, minutes: float, as_json: bool) -> None:
    """All verbs one after another; a run that was stopped goes on where it was."""
    from fieldguide.workspace import init_workspace

    console = Console(stderr=True, soft_wrap=True)
    with guarded(console, as_json):
        if not EXAMPLES.is_dir():
            raise FieldguideError(
                f"The demo's reports are missing from {EXAMPLES}; run it from a clone of the project."
            )
        init_workspace(folder, settings(minutes))
    started = time.perf_counter()
    results: dict[str, Any] = {}
    with session("demo", folder, as_json=as_json, flags={"tuning": {"minutes": minutes}}) as s:
        s.say(
            f"The demo: 8 accident reports, tuned for at most {minutes:g} minutes; 10 to 15 minutes in all, "
            "1 GB of disk."
        )
        steps: list[tuple[str, Callable[[Session], dict[str, Any]]]] = [
            ("ingest", lambda s: shelving.ingest(s, sorted(EXAMPLES.glob("*.pdf")), None, None)),
            ("qa", pairs.make),
            ("tune", verbs.tune),
            ("ask", lambda s: verbs.ask(s, QUESTION, rag=True, base=False, show_passages=False)),
            ("compare", lambda s: evaluating.compare(s, EXAMPLES / "questions.jsonl")),
        ]
        for name, step in steps:
            s.console.rule(f"fieldguide {name}" + (f' "{QUESTION}"' if name == "ask" else ""), align="left")
            began = time.perf_counter()
            results[name] = step(s)
            s.say(f"({name}: {time.perf_counter() - began:.0f} s)")
        s.console.rule()
        s.say(f'Done in {time.perf_counter() - started:.0f} s. Ask more: fieldguide ask -w {folder} "…"')
        s.say("The answer above was:")
        cited = ", ".join(f"{c['source']}, page {c['page']}" for c in results["ask"]["citations"])
        s.say(f"  {results['ask']['text']}  [{cited or 'no passage supports it'}]")
        s.say(f"The report of the comparison: {results['compare']['report']}")
    if as_json:
        print_json(results)
