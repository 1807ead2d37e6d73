"""A finished report as a table for spreadsheets (CSV) and a page for a wiki (Markdown). Lays out; computes nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from eval.labels import arm_label, interval_words, label_of, signed, value_words
from ingest.qa.sheets import escape

_SHOWN = ("token_f1", "exact_match", "rouge_l", "containment", "similarity", "citation_precision", "seconds")


def to_csv(report: Mapping[str, Any]) -> str:
    """A line for each answer: question, reference, arm, answer, sources, and every measure."""
    measures = list(dict.fromkeys(name for arm in report["arms"] for name in arm["metrics"]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "question", "reference", "document", "pages", "arm", "answer", "cited", "cause", *measures])
    for item in report["items"]:
        for arm, answer in item["answers"].items():
            cited = "; ".join(f"{c['source']} p. {c['page']}" for c in answer["citations"])
            pages = " ".join(map(str, item["pages"]))
            texts = [item["id"], item["question"], item["reference"], item["document"], pages, arm, answer["text"]]
            texts += [cited, answer.get("cause") or ""]
            scores = [answer["scores"].get(name) for name in measures]
            writer.writerow([escape(str(text)) for text in texts] + ["" if s is None else f"{s:.6g}" for s in scores])
    return out.getvalue()


def to_markdown(report: Mapping[str, Any]) -> str:
    """Verdict, arms, differences of token F1, and causes of failure."""
    n = report["questions"]["n"]
    lines = [f"# {_cell(report['title'])}", "", _cell(report["verdict"]), ""]
    lines += [f"- {_cell(note)}" for note in report.get("notes", [])]
    measures = [name for name in _SHOWN if any(name in arm["metrics"] for arm in report["arms"])]
    lines += ["", f"## Arms ({n} questions, mean and 95% interval)", ""]
    lines += _table(
        ["arm", *(label_of(name) for name in measures)],
        [[arm_label(arm["name"]), *(value_words(name, arm["metrics"].get(name)) for name in measures)]
         for arm in report["arms"]],
    )  # fmt: skip
    rows = [row for row in report["differences"] if row["metric"] == "token_f1"]
    if rows:
        lines += ["", "## Differences in token F1", ""]
        lines += _table(
            ["comparison", "difference", "95% interval", "clear"],
            [[f"{arm_label(r['a'])} − {arm_label(r['b'])}", signed(r["mean"]), interval_words(r),
              "yes" if r["clear"] else "no"] for r in rows],
        )  # fmt: skip
    for arm, causes in report.get("failures", {}).items():
        if causes:
            lines += ["", f"## Why answers of {arm_label(arm)} are wrong", ""]
            lines += _table(
                ["cause", "questions", "would bring"],
                [[row["cause"], str(row["n"]), signed(row["brings"])] for row in causes],
            )
    lines += [
        "",
        f"Questions: {_cell(report['questions']['source'])}, hash {report['questions']['hash'][:16]}. "
        f"Model: {_cell(report['models']['generator'])}. Fieldguide {report['version']}, {report['created']}.",
        "",
    ]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |", "|" + "---|" * len(head),
        *("| " + " | ".join(map(_cell, row)) + " |" for row in rows),
    ]  # fmt: skip


def _cell(text: str) -> str:
    """The text on one line, without what would end a cell."""
    return " ".join(str(text).replace("|", "\\|").split())
