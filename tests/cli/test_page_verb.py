"""`fieldguide page` and the boxes of citations, over real reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from fieldguide.cli.drawing import boxes_of
from fieldguide.cli.session import session
from fieldguide.types import Citation

NAME = "20080104X00020.pdf"


def cited(shelf: Path, text: str) -> Citation:
    with session("status", shelf, write=False) as s:
        (document,) = [d for d in s.catalog.documents() if d.source.endswith(NAME)]
        start = s.catalog.page(document.id, 1).text.index(text)
    return Citation("", document.id, document.source, 1, start, start + len(text), text, 1, 1.0, True)


def test_a_page_is_drawn_with_its_quote_marked(cli, shelf, tmp_path):
    plain = cli("page", NAME, 1, "-o", tmp_path / "plain.png", "-w", shelf)
    assert (plain.code, plain.out) == (0, "")
    ran = cli(
        "page", NAME, 1, "-o", tmp_path / "a.png", "--quote", "aviation accident FINAL report", "-w", shelf, "--json"
    )
    assert ran.code == 0
    assert ran.json["boxes_missing"] == ""
    ((left, top, right, bottom),) = ran.json["boxes"]
    assert 0 < left < right < 612
    assert 0 < top < bottom < 120
    with Image.open(tmp_path / "a.png") as marked, Image.open(tmp_path / "plain.png") as unmarked:
        assert marked.size == unmarked.size == (935, 1210)
        at = round((left + 2) * 110 / 72), round((top + 1) * 110 / 72)
        assert unmarked.convert("RGB").getpixel(at)[2] > marked.convert("RGB").getpixel(at)[2]


def test_what_cannot_be_drawn_is_said_in_a_sentence(cli, shelf, tmp_path):
    picture = tmp_path / "a.png"
    said = {
        arguments: cli("page", *arguments, "-o", picture, "-w", shelf)
        for arguments in (("none.pdf", 1), (NAME, 99), (NAME, 1, "--quote", "no such words"))
    }
    assert {ran.code for ran in said.values()} == {2}
    assert [ran.err.strip() for ran in said.values()] == [
        "No document here is called 'none.pdf'; `fieldguide search` shows names and pages.",
        f"{NAME} has no page 99.",
        f"Page 1 of {NAME} does not say 'no such words'; quote it as citations show it.",
    ]
    assert not picture.exists()


def test_citations_get_their_boxes_or_the_reason(shelf):
    good = cited(shelf, "Aviation Accident Final Report")
    with session("ask", shelf, write=False) as s:
        found, missing = boxes_of(s, [good, replace(good, page=77)])
        assert boxes_of(s, []) == []
    assert len(found["boxes"]) == 1
    assert found["boxes_missing"] == ""
    assert missing == {"boxes": [], "boxes_missing": "the catalogue has no such page"}


def test_boxes_are_for_json(cli, shelf):
    ran = cli("ask", "What happened?", "--boxes", "-w", shelf)
    assert ran.code == 2
    assert "--boxes goes with --json" in ran.err
    told = cli("ask", "What happened?", "--boxes", "--json", "-w", shelf)
    assert all("boxes" in citation and "boxes_missing" in citation for citation in told.json["citations"])
