"""Facets: what is found, and more of what must not be."""

from __future__ import annotations

import time

import pytest

from fieldguide.errors import SettingsError
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Facets
from fieldguide.types import Chunk, Page, Span
from ingest.dates import dates, day_first, document_date
from ingest.facet_patterns import organisations, places
from ingest.facets import (
    Picked,
    compiled,
    document_facets,
    facets_of,
    generated_facets,
    generated_id,
    language_of,
    languages_of_document,
)

ENGLISH = "The pilot said that the airplane had lost its power before it came down in the field near the river."


def chunk(text):
    return Chunk("c", "d", (Span(1, 0, len(text)),), text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ENGLISH, "en"),
        (ENGLISH.upper(), "en"),
        ("Der Pilot sagte, dass das Flugzeug keinen Schub mehr hatte, bevor es auf dem Feld niederging.", "de"),
        ("Le pilote a dit que l'avion avait perdu sa puissance avant de tomber dans le champ.", "fr"),
        ("El piloto dijo que el avión había perdido potencia antes de caer en el campo.", "es"),
        ("飞行员说飞机在坠落到河边的田野之前已经失去了动力。", "zh"),
        ("قال الطيار إن الطائرة فقدت قوتها قبل أن تسقط في الحقل بالقرب من النهر", "ar"),
        ("", ""),
        ("Total | 2022: 12,345 | 2021: 33 | (4,567) | $ 12", ""),
        ("\ud800 \udfff", ""),
        ("N6135M", ""),
    ],
)
def test_language(text, code):
    assert language_of(text) == code


def test_a_document_has_the_language_of_most_of_its_pages():
    assert languages_of_document(["12 34", ENGLISH, "Dies ist eine Seite auf Deutsch, die nur eine ist.", ENGLISH]) == [
        "en",
        "de",
    ]
    assert languages_of_document([]) == languages_of_document(["1", ""]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("on June 30, 2022 and Jul. 4th, 2021", ["2022-06-30", "2021-07-04"]),
        ("30 June 2022; the 1st of May 2020; SEPTEMBER 11, 2007", ["2022-06-30", "2020-05-01", "2007-09-11"]),
        ("am 3. März 2021, im Mai 2020", ["2021-03-03", "2020-05"]),
        ("le 1er août 2019; 14 juillet 1999", ["2019-08-01", "1999-07-14"]),
        ("3 de enero de 2018, 25 dicembre 2017", ["2018-01-03", "2017-12-25"]),
        ("2023-06-30 or 2023/07/01", ["2023-06-30", "2023-07-01"]),
        ("between November 28-30, 2007", ["2007-11-28"]),
        ("May 2018", ["2018-05"]),
        ("in fiscal 2022, FY2021, in 1998, © 2004", ["2022", "2021", "1998", "2004"]),
        ("Revenue | 2022: 5 | 2021: 4", ["2022", "2021"]),
        ("11/30/2007 and 06/06/2007", ["2007-11-30", "2007-06-06"]),
        ("12/06/2007", []),
        ("June 31, 2022, 2022-13-01, 99/99/2020, February 30 2020", []),
        ("in 2000 feet, in 2022-23, 2022 apples, part 2021-06, which may 2018", []),
        ("1.2.2007.4, 10.11.2012.13, phone 555-12-2004-1", []),
    ],
)
def test_dates(text, found):
    assert dates(text) == found


def test_numbers_alone_are_a_date_where_their_order_is_certain():
    assert dates("12/06/2007", day_first(["reported 05/28/2008"])) == ["2007-12-06"]
    assert dates("12/06/2007", day_first(["reported 28/05/2008"])) == ["2007-06-12"]
    assert dates("06.12.2007", day_first([""], "de")) == ["2007-12-06"]
    assert day_first(["28/05/2008 05/28/2008"], "de") is None
    assert (day_first([], "en-US"), day_first([], "en-GB"), day_first([], "en"), day_first([], "ja")) == (
        False, True, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metadata", "first_page", "date"),
    [
        ({}, "Irrigation guide\nRevised May 2016\nWater at night.", "2016-05"),
        ({}, "Dated Thu, May 12, 2016", "2016-05-12"),
        ({"CreationDate": "D:20230105120000+01'00'"}, "A title", "2023-01-05"),
        ({"/ModDate": "D:20230105", "/CreationDate": "2021-03-04T10:00:00Z"}, "", "2021-03-04"),
        ({"CreationDate": "D:00000000000000Z"}, "", ""),
        ({"CreationDate": "D:20231305"}, "", ""),
        ({"dc:date": "2019"}, "", "2019"),
        ({"CreationDate": "D:20200101"}, "Bulletin 12 Revised 08/14\nText", "2014-08"),
        ({"CreationDate": "D:20200101"}, "Handbook\nIssued May 2015. Last updated: 3 June 2018", "2018-06-03"),
        ({"CreationDate": "D:20200101"}, "Date & Time: 12/17/2007, 1045 UTC", "2007-12-17"),
        ({}, "Date of report (Date of earliest event reported): August 18, 2022", "2022-08-18"),
        ({}, "For the fiscal year ended January 1, 2023", "2023-01-01"),
        ({}, "dated June 30, 2022", "2022-06-30"),
        ({}, "A Guide\nTuesday, September 11, 2007 - 12:16 AM\n", "2007-09-11"),
        ({}, "Strategy\nJune 2023\nby A. Smith", "2023-06"),
        ({}, "As agreed in the contract of June 30, 2022 the parties", ""),
        ({}, "", ""),
    ],
)
def test_document_date(metadata, first_page, date):
    assert document_date(metadata, first_page) == date


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("near Elyria, OH, and in Boulder City, Nevada.", ["Elyria, OH", "Boulder City, NV"]),
        ("100 Main Street Arlington, VA 22209", ["Arlington, VA"]),
        ("In Washington, DC and WASHINGTON, D.C.", ["Washington, DC"]),
        ("Location: Chevroux, France\nAircraft: Reims", ["Chevroux, France", "France"]),
        (
            "Location: Charlestown, St Kitts And Nevis Accident",
            ["Charlestown, St Kitts and Nevis", "St Kitts and Nevis"],
        ),
        ("Location: Lower Saltmarsh\n", ["Lower Saltmarsh"]),
        ("fell in New Mexico and Mexico", ["Mexico"]),
        ("flew to Amman, Jordan. Michael Jordan ate turkey; Turkey", ["Amman, Jordan", "Jordan"]),
        ("Celeste Philip, MD, MPH; Ohio, OK; Ric Keller, Florida, Chairman; Smith, or not", []),
        ("Sections A, B, IN ANY CASE, OR; the Company, as we say", []),
        ("Asia Pacific, Australia and Europe", ["Australia"]),
    ],
)
def test_places(text, found):
    assert places(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Boeing Company and Apple, Inc. sued.", ["Boeing Company", "Apple Inc."]),
        ("by Siemens AG, Robert Bosch GmbH, Amcor plc", ["Siemens AG", "Robert Bosch GmbH", "Amcor plc"]),
        ("Johnson & Johnson Medical Ltd. of AT&T Corp.", ["Johnson & Johnson Medical Ltd.", "AT&T Corp."]),
        ("the University of Arizona; Stanford University", ["University of Arizona", "Stanford University"]),
        ("U.S. Department of the Treasury", ["U.S. Department of the Treasury"]),
        ("the Securities and Exchange Commission", ["Securities and Exchange Commission"]),
        ("National Transportation Safety Board", ["National Transportation Safety Board"]),
        ("The Company, our Board of Directors, the Audit Committee, Smaller Reporting Company, Inc.", []),
        ("the agency, a university, The Board, each State Agency", []),
    ],
)
def test_organisations(text, found):
    assert organisations(text) == found


def test_the_facets_of_a_chunk_and_what_the_settings_leave_out():
    text = f"{ENGLISH} On June 30, 2022 Amcor plc of Elyria, OH wrote A-17 and A-3 and A-17."
    settings = Facets(patterns={"item": r"\bA-(\d+)", "none": "zzz", "river": "near the\\s+river"})
    assert facets_of(chunk(text), settings, "de") == {
        "language": ("en",),
        "date": ("2022-06-30",),
        "place": ("Elyria, OH",),
        "organisation": ("Amcor plc",),
        "item": ("17", "3"),
        "river": ("near the river",),
    }
    assert facets_of(chunk("12 34"), settings, "de") == {"language": ("de",)}
    assert facets_of(chunk(text), Facets(builtin=()), "de") == {}
    years = " ".join(f"in {1950 + n};" for n in range(40))
    assert facets_of(chunk(years), Facets(builtin=("date",)), "")["date"] == tuple(str(1950 + n) for n in range(20))


def test_the_facets_of_a_document():
    pages = [
        Page("d", 1, "1", f"Final Report\nLocation: Elyria, OH\nDate & Time: 12/06/2007\n{ENGLISH}", "x"),
        Page("d", 2, "2", f"{ENGLISH} Seen on 12/28/2007.", "x"),
    ]
    found = document_facets("Report A-17", {"CreationDate": "D:2019"}, pages, Facets(patterns={"item": r"A-\d+"}))
    assert found == {"language": ("en",), "date": ("2007-12-06",), "place": ("Elyria, OH",), "item": ("A-17",)}
    assert document_facets("", {}, [], Facets()) == {}


def test_faults_of_patterns_are_all_told():
    with pytest.raises(SettingsError) as error:
        compiled(Facets(patterns={"a": "(", "date": "x", "b c": "y", "ok": "z"}, generated={"ok": ("v",)}))
    assert str(error.value).splitlines() == [
        "facets.patterns.date: this name is taken by a built-in facet; choose another.",
        "facets.patterns.b c: a name is letters, digits, _ and -, and begins with a letter.",
        "facets.generated.ok: facets.patterns has the same name; choose another.",
        "facets.patterns.a: '(' is not a regular expression (missing ) at position 1).",
    ]


def test_a_pattern_that_runs_away_is_stopped_and_told():
    faults = []
    start = time.process_time()
    settings = Facets(builtin=(), patterns={"bad": r"(?:a|aa)+$x|(a|a)*b", "good": "a!"})
    assert facets_of(chunk("a" * 5000 + "!"), settings, "", faults=faults) == {"good": ("a!",)}
    assert time.process_time() - start < 3
    assert faults == ["facets.patterns.bad took longer than 0.5 s on a text; make it simpler."]


HOSTILE = ("A-", "A", "Aa ", "A. ", "1/", "Aa of ", "June 1-", "Aa, ", "2022-", "date: ", "in ", "St. ", "A&")


@pytest.mark.parametrize("text", [part * (20000 // len(part)) for part in HOSTILE], ids=HOSTILE)
def test_hostile_text_takes_time_linear_in_its_length(text):
    start = time.process_time()
    facets_of(chunk(text), Facets(), "en")
    document_date({}, text)
    assert time.process_time() - start < 2


SETTINGS = Facets(generated={"crop": ("maize", "soy beans", "N.A."), "tone": ("dry",)})


def test_a_generator_picks_one_of_the_values_or_none():
    replies = ["Maize.", "none", '- "soy\nbeans"', "DRY", "maize and soy beans", "None."]
    generator = ScriptedGenerator(replies)
    found = generated_facets([chunk("one"), chunk("two"), chunk("three")], SETTINGS, generator)
    assert found == [
        Picked({"crop": ("maize",)}),
        Picked({"crop": ("soy beans",), "tone": ("dry",)}),
        Picked({}, (("crop", "the answer is none of the values: 'maize and soy beans'"),)),
    ]
    prompt = generator.calls[0][0][-1].content
    assert prompt.startswith("one\n\nWhich of these is the crop of")
    assert prompt.endswith("- maize\n- soy beans\n- N.A.")
    assert len(generator.calls) == 6


def test_braces_in_a_text_stay_and_a_chunk_that_does_not_fit_is_told():
    generator = ScriptedGenerator(["none"], context_tokens=100)
    found = generated_facets([chunk("word " * 100), chunk("{facet}")], Facets(generated={"tone": ("dry",)}), generator)
    assert found == [Picked({}, (("tone", "the chunk is too long for the model"),)), Picked()]
    assert generator.calls[0][0][-1].content.startswith("{facet}\n")
    assert generated_facets([chunk("x")], Facets(generated={"tone": ()}), generator) == [Picked()]
    assert generated_facets([], SETTINGS, generator) == []


def test_the_key_of_stored_picks_follows_the_lists_and_the_model():
    ids = {
        generated_id(SETTINGS, ScriptedGenerator([""])),
        generated_id(SETTINGS, ScriptedGenerator([""], base="other")),
        generated_id(Facets(generated={"crop": ("maize",)}), ScriptedGenerator([""])),
    }
    assert len(ids) == 3
