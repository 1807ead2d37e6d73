import base64
import copy
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.labels import METRICS, interval_words, points, signed
from eval.report import Report, _flat, _marked, render

ARMS = ["base", "base+RAG", "tuned", "tuned+RAG"]
NOTHING = {"mean": None, "low": None, "high": None, "n": 0}
HOSTILE = '<script>alert(1)</script>"\' onclick="alert(1)" x=\'--></style></script>{{ 7 * 7 }}&lt;'


def estimate(mean: float) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05, "n": 40}


def answer(arm: str, f1: float) -> dict[str, Any]:
    retrieved = arm.endswith("RAG")
    return {
        "text": f"The {arm} answer. It was raining.",
        "token_f1": f1,
        "exact_match": 0.0,
        "citations": [{"source": "one.pdf", "page": 3, "quote": "the flaps", "verified": True, "gold": True}]
        * retrieved,
        "unsupported": ["It was raining.", "Said elsewhere."] if arm == "base" else [],
        "trace": {"model": "abc", "adapter": None, "seconds": {"generate": 1.5}},
        "passages": [{"source": "one.pdf", "pages": [3, 4], "text": "Passage text", "score": 0.81234}] * retrieved,
    }


def sample() -> dict[str, Any]:
    report: Report = {
        "title": "A title",
        "created": "2025-11-22",
        "version": "0.1.0",
        "verdict": "The verdict.",
        "verdict_kind": "tuned_rag",
        "questions": {"n": 40, "source": "questions.jsonl", "hash": "qhash", "by_split": {"test": 40}},
        "arms": [
            {
                "name": arm,
                "metrics": {
                    "token_f1": estimate(0.2 + 0.1 * i),  # type: ignore[typeddict-item]
                    "citation_precision": NOTHING,  # type: ignore[typeddict-item]
                },
            }
            for i, arm in enumerate(ARMS)
        ],
        "differences": [
            {"a": "tuned+RAG", "b": "base+RAG", "metric": "token_f1", **estimate(0.2), "clear": True},  # type: ignore
            {"a": "base+RAG", "b": "base", "metric": "token_f1", **estimate(0.01), "clear": False},  # type: ignore
            {"a": "tuned", "b": "base", "metric": "answered", **estimate(-0.2), "clear": True},  # type: ignore
            {"a": "tuned", "b": "base", "metric": "rouge_l", **estimate(-0.2), "clear": True},  # type: ignore
            {"a": "tuned", "b": "base", "metric": "token_f1", **estimate(0.2), "clear": False},  # type: ignore
            {"a": "tuned", "b": "base", "metric": "citation_precision", **NOTHING, "clear": False},  # type: ignore
        ],
        "groups": [{"name": "documents tuned on", "n": 30, "arms": {"base": estimate(0.3)}}],  # type: ignore
        "items": [
            {
                "id": f"item-{i}",
                "question": f"Question {i}?",
                "reference": "Reference",
                "document": "Document",
                "pages": [3],
                "answers": {arm: answer(arm, f1) for arm, f1 in zip(ARMS, scores, strict=True)},  # type: ignore
            }
            for i, scores in enumerate([(0.1, 0.2, 0.3, 0.4), (0.1, 0.5, 0.3, 0.4), (0.0, 0.0, 0.0, 0.0)])
        ],
        "integrity": {"base_hash_start": "aaa", "base_hash_end": "aaa", "adapter": "adapterid", "ok": True},
        "settings": {"retrieval": {"k": 5, "rerank": None}, "greedy": True},
        "timings": {"generate": {"base": 1.25}},
        "models": {"generator": "a generator", "embedder": "an embedder"},
    }
    return dict(report)


class Page(HTMLParser):
    """What a browser makes of the page: its elements with their attributes, and the text within each class."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw: dict[str, str] = {}
        self._inside = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.raw[self._inside] = self.raw.get(self._inside, "") + data
        else:
            self.text += data

    def all(self, tag: str, kind: str | None = None) -> list[dict[str, str | None]]:
        return [
            attrs
            for name, attrs in self.elements
            if name == tag and (kind is None or kind in (attrs.get("class") or ""))
        ]


def page(report: dict[str, Any], folder: Path) -> Page:
    return Page(render(report, folder).read_text(encoding="utf-8"))


def everywhere(value: Any, text: str) -> Any:
    """The value with the text in the place of every string, and before the end of every key that is free text."""
    if isinstance(value, str):
        return text
    if isinstance(value, dict):
        return {key: everywhere(inner, text) for key, inner in value.items()}
    if isinstance(value, list):
        return [everywhere(inner, text) for inner in value]
    return value


def strings(value: Any) -> int:
    if isinstance(value, str):
        return 1
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return sum(map(strings, inner))


def test_is_json_and_renders_what_it_holds(tmp_path: Path) -> None:
    report = json.loads(json.dumps(sample()))
    path = render(report, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "report.html"
    found = Page(path.read_text(encoding="utf-8"))
    for wanted in [
        "A title", "The verdict.", "Serve the tuned model with retrieval", "Question 2?", "Reference",
        "the flaps", "Passage text", "similarity 0.812", "pp. 3, 4", "qhash", "adapterid", "retrieval.k",
        "generate.base", "seconds.generate", "documents tuned on", "a generator", "an embedder", "test 40",
        "✓ verified · on the reference",
    ]:  # fmt: skip
        assert wanted in found.text, wanted
    for label, meaning, direction in (METRICS["token_f1"], METRICS["citation_precision"]):
        assert label in found.text
        assert meaning in found.text
        assert direction in found.text
    assert "50.0" in found.text
    assert "45.0 to 55.0" in found.text


def test_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    found = page(sample(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    for _, attrs in found.elements:
        for name in ("src", "href", "action", "data"):
            assert (attrs.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert "url(" not in found.source
    assert "@import" not in found.source
    image = base64.b64decode((found.all("img")[0]["src"] or "").split(",")[1])
    assert image.startswith(b"\x89PNG")
    assert "tuned + RAG 50.0, interval 45.0 to 55.0" in (found.all("img")[0]["alt"] or "")


def test_the_policy_allows_this_script_and_style_only(tmp_path: Path) -> None:
    found = page(sample(), tmp_path)
    policy = next(attrs["content"] for attrs in found.all("meta") if attrs.get("http-equiv"))
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(found.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in (policy or "")
    assert "default-src 'none'" in (policy or "")
    assert not [attrs for _, attrs in found.elements if "style" in attrs]


def test_everything_is_escaped(tmp_path: Path) -> None:
    hostile = everywhere(sample(), HOSTILE)
    for row in [*hostile["arms"], *hostile["groups"], *hostile["items"]]:
        for key in ("metrics", "arms", "answers"):
            if key in row:
                row[key] = {**row[key], **{f"{HOSTILE}{name}": value for name, value in row[key].items()}}
    hostile["arms"].append({**hostile["arms"][0], "name": HOSTILE + "base"})
    hostile["settings"] = {HOSTILE: {HOSTILE: [HOSTILE]}}
    hostile["timings"] = {HOSTILE: HOSTILE}
    hostile["questions"]["by_split"] = {HOSTILE: 3}
    hostile["notes"] = [HOSTILE]
    for item in hostile["items"]:
        for one in item["answers"].values():
            one["trace"] = {HOSTILE: HOSTILE}
    found, plain = page(hostile, tmp_path), page(sample(), tmp_path)
    assert len(found.all("script")) == len(found.all("style")) == 1
    assert found.raw == plain.raw  # nothing broke out of, or into, script and style
    assert not [name for _, attrs in found.elements for name in attrs if name.startswith("on")]
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in plain.elements}
    assert {name for _, attrs in found.elements for name in attrs} <= {
        name for _, attrs in plain.elements for name in attrs
    }
    assert found.text.count("{{ 7 * 7 }}") > 50
    assert "49" not in found.text.replace(HOSTILE, "")


@pytest.mark.parametrize("kind", ["question", "reference", "document"])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1))
def test_text_is_shown_as_it_stands(kind: str, text: str, tmp_path: Path) -> None:
    report = sample()
    report["items"] = report["items"][:1]
    report["arms"] = []  # no plot, for speed
    report["items"][0][kind] = f"[{text}]"
    assert f"[{text}]" in page(report, tmp_path).text


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text())
def test_any_text_renders(text: str, tmp_path: Path) -> None:
    report = everywhere(sample(), text)
    report["arms"] = []
    render(report, tmp_path)


def test_what_a_page_cannot_carry_is_replaced(tmp_path: Path) -> None:
    report = sample()
    report["items"][0]["question"] = "nul \x00, half \ud800, override \u202e, feed \f, line\r\nend"
    found = page(report, tmp_path)
    assert "nul \ufffd, half \ufffd, override \ufffd, feed \n, line\nend" in found.text


def test_better_and_worse_items(tmp_path: Path) -> None:
    found = page(sample(), tmp_path)
    assert [attrs["data-change"] for attrs in found.all("article")] == ["better", "worse", "same"]
    assert "tuned + RAG better than base + RAG (1)" in found.text
    assert "tuned + RAG worse than base + RAG (1)" in found.text
    best = ["best" in (attrs["class"] or "") for attrs in found.all("section", "answer")]
    assert best == [False, False, False, True, False, True, False, False, False, False, False, False]


def test_an_arm_without_an_answer(tmp_path: Path) -> None:
    report = sample()
    del report["items"][0]["answers"]["tuned+RAG"]
    found = page(report, tmp_path)
    assert "No answer recorded." in found.text
    assert found.all("article")[0]["data-change"] == "same"


def test_the_same_passages_are_shown_once(tmp_path: Path) -> None:
    report = sample()
    report["items"] = report["items"][:1]
    assert page(report, tmp_path).text.count("Passage text") == 1
    assert "Same 1 passage as base + RAG" in page(report, tmp_path).text
    report["items"][0]["answers"]["tuned+RAG"]["passages"] = [
        {"source": "two.pdf", "pages": [1], "text": "Passage text", "score": 0.5}
    ]
    assert page(report, tmp_path).text.count("Passage text") == 2


def test_unsupported_statements_are_marked(tmp_path: Path) -> None:
    found = page(sample(), tmp_path)
    assert "<mark>It was raining.</mark>" in found.source
    assert "2 statements without support" in found.text
    assert "“Said elsewhere.”" in found.text


@pytest.mark.parametrize(
    ("text", "unsupported", "parts", "elsewhere"),
    [
        ("ab cd", ["cd"], [("ab ", False), ("cd", True)], []),
        ("ab cd", ["ab", "cd"], [("ab", True), (" ", False), ("cd", True)], []),
        ("abcd", ["ab", "bc"], [("abc", True), ("d", False)], []),
        ("ab", ["ab"], [("ab", True)], []),
        ("ab", ["x", ""], [("ab", False)], ["x", ""]),
        ("", ["x"], [], ["x"]),
    ],
)
def test_marked(text: str, unsupported: list[str], parts: list[tuple[str, bool]], elsewhere: list[str]) -> None:
    assert _marked(text, unsupported) == (parts, elsewhere)


def test_differences_in_plain_words(tmp_path: Path) -> None:
    source = page(sample(), tmp_path).source
    body = re.search(r'id="differences".*?<tbody>(.*?)</tbody>', source, re.DOTALL)
    assert body
    assert re.findall(r'class="words (\w*)">(.*?)</td>', body[1]) == [
        ("up", "tuned + RAG is better"),
        ("soft", "no clear difference"),
        ("", "tuned answers less often"),
        ("down", "tuned is worse"),
        ("soft", "too few questions or documents to rely on"),
        ("soft", "not measured"),
    ]


def test_failed_integrity_is_announced(tmp_path: Path) -> None:
    report = sample()
    assert not page(report, tmp_path).all("p", "alarm")
    report["integrity"]["ok"] = False
    found = page(report, tmp_path)
    assert found.all("p", "alarm")
    assert "figures below must not be used" in found.text
    assert "Do not use these figures" in found.text
    assert "Serve the tuned" not in found.text


def test_nothing_to_show(tmp_path: Path) -> None:
    report = sample()
    report |= {"arms": [], "differences": [], "groups": [], "items": [], "settings": {}, "timings": {}}
    report["integrity"]["adapter"] = None
    found = page(report, tmp_path)
    assert not found.all("img")
    assert not found.all("article")
    assert "No questions were recorded." in found.text
    assert "No two arms were compared." in found.text


def test_values_that_were_not_measured_are_dashes(tmp_path: Path) -> None:
    report = sample()
    for arm in report["arms"]:
        arm["metrics"] = {"token_f1": {"mean": float("nan"), "low": float("nan"), "high": float("nan"), "n": 0}}
    found = page(report, tmp_path)
    assert not found.all("img")
    assert not re.search(r"\b(nan|none)\b", found.text.replace("– (none)", ""), re.IGNORECASE)


def test_table_headers_have_scopes(tmp_path: Path) -> None:
    found = page(sample(), tmp_path)
    assert found.all("th")
    assert {attrs.get("scope") for attrs in found.all("th")} == {"row", "col"}
    ids = [attrs["id"] for _, attrs in found.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = {attrs[key] for _, attrs in found.elements for key in ("aria-labelledby",) if key in attrs}
    links = {(attrs["href"] or "")[1:] for attrs in found.all("a")}
    assert named | links <= set(ids)


def test_same_report_same_bytes(tmp_path: Path) -> None:
    report = sample()
    before = copy.deepcopy(report)
    first = render(report, tmp_path / "a").read_bytes()
    assert render(report, tmp_path / "b").read_bytes() == first
    assert report == before


def test_a_missing_field_is_an_error_and_leaves_the_old_report(tmp_path: Path) -> None:
    path = render(sample(), tmp_path)
    old = path.read_bytes()
    report = sample()
    del report["models"]
    with pytest.raises(Exception, match="models"):
        render(report, tmp_path)
    assert path.read_bytes() == old


def test_a_failed_write_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = render(sample(), tmp_path)
    old = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        render({**sample(), "title": "New"}, tmp_path)
    assert path.read_bytes() == old
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("share", "plain", "with_sign"),
    [(0.1234, "12.3", "+12.3"), (-0.05, "−5.0", "−5.0"), (0.0, "0.0", "0.0"), (-0.0001, "0.0", "0.0"),
     (0.0001, "0.0", "0.0"), (None, "–", "–"), (float("nan"), "–", "–"), (1, "100.0", "+100.0")],
)  # fmt: skip
def test_points(share: float | None, plain: str, with_sign: str) -> None:
    assert points(share) == plain
    assert signed(share) == with_sign


def test_interval() -> None:
    assert interval_words({"mean": 0.5, "low": -0.1, "high": 0.6, "n": 3}) == "−10.0 to 60.0"
    assert interval_words({"mean": 0.5, "low": 0.5, "high": 0.5, "n": 3}) == "no spread"
    assert interval_words(NOTHING) == interval_words(None) == "–"


def test_flat() -> None:
    settings_ = {"a": {"b": 1, "c": {"d": [1, "x"]}}, "e": None, "f": True, "g": {}, "h": 0.1 + 0.2}
    assert _flat(settings_) == [
        ("a.b", "1"), ("a.c.d", "1, x"), ("e", "–"), ("f", "yes"), ("g", "–"), ("h", "0.3"),
    ]  # fmt: skip
