"""The question adapter as a source: the sentences it is asked about, what it is shown, how replies become drafts."""

import pytest

from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Questions
from fieldguide.types import Chunk, Document
from ingest.qa.adapter_source import (
    AdapterSource,
    Sentence,
    choose_sentences,
    name_subject,
    question_kind,
    read_reply,
    read_sentences,
    shown_text,
)
from ingest.qa.calls import Calls
from ingest.qa.rule_anchors import Anchors

PROSE = (
    "The bridge over the Aller at Celle was opened by the mayor of the town on 3 May 1931.\n"
    "It was closed to heavy lorries in the spring of 2004 because two of its girders had rusted through.\n"
    "Location: Celle, Germany"
)
DOCUMENT = Document("d", "bridge.pdf", "City engineer's report on the Celle bridge")


def chunk(text, name="c"):
    return Chunk(name, "d", (), text, (), "")


def sentence_of(prompt):
    return prompt[-1].content.rsplit(": ", 1)[-1]


REPLIES = {
    "The bridge over": "3 May 1931\nwhen was the bridge over the Aller at Celle opened?",
    "It was closed": "two of its girders had rusted through.\nWhy was the bridge at Celle closed to lorries?",
}


def by_sentence(prompt, adapter):
    text = prompt[-1].content
    return next(reply for start, reply in REPLIES.items() if start in text.rsplit("sentence of the text:", 1)[-1])


@pytest.fixture
def source(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")

    def make(replies=by_sentence, chunks_of=None, context_tokens=4096, **settings):
        generator = ScriptedGenerator(replies, context_tokens=context_tokens)
        adapter = generator.load_adapter(tmp_path)
        return AdapterSource(Calls(generator), adapter, Questions(**settings), chunks_of), generator

    return make


def test_each_prose_sentence_gives_a_draft_with_its_kind_and_the_sentence_as_quote(source):
    made, generator = source(per_chunk=2)
    [(drafts, rejections)] = made.draft({"d": DOCUMENT}, [chunk(PROSE)])
    first, second = drafts
    assert first.question.startswith("When was the bridge over the Aller at Celle opened")
    assert first.answer == "3 May 1931"
    assert first.quote == "The bridge over the Aller at Celle was opened by the mayor of the town on 3 May 1931."
    assert (second.answer, second.kind) == ("two of its girders had rusted through", "cause")
    assert [first.kind, rejections] == ["date", []]
    asked = [prompt[-1].content.rsplit("sentence of the text:")[-1] for prompt, _ in generator.calls]
    assert not any("Location" in sentence for sentence in asked)


def test_where_there_is_room_the_longest_sentence_is_asked_again(source):
    made, generator = source(per_chunk=3)
    [(drafts, rejections)] = made.draft({"d": DOCUMENT}, [chunk(PROSE)])
    assert len(generator.calls) == 3
    assert len(drafts) == 2
    assert [r.reason for r in rejections] == ["reply is not an answer and a question"]  # it ends in its seed, " #0"


def test_a_malformed_reply_is_rejected_with_its_text(source):
    made, _ = source(lambda p, a: "no question here", per_chunk=2)
    [(drafts, rejections)] = made.draft({"d": DOCUMENT}, [chunk(PROSE)])
    assert drafts == []
    assert {(r.reason, r.detail) for r in rejections} == {("reply is not an answer and a question", "no question here")}


def test_a_chunk_that_does_not_fit_is_rejected(source):
    made, generator = source(context_tokens=70, per_chunk=2)
    [(drafts, rejections)] = made.draft({"d": DOCUMENT}, [chunk(PROSE)])
    assert (drafts, generator.calls) == ([], [])
    assert [r.reason for r in rejections] == ["chunk too long for the model"] * 2


def test_forms_and_tables_are_left_to_the_rules(source):
    made, generator = source()
    [(drafts, _)] = made.draft({"d": DOCUMENT}, [chunk("Location: Celle\nYear: 1931\nSpan: 60 m")])
    assert (drafts, generator.calls) == ([], [])


def test_a_batch_gives_each_chunk_its_own_drafts_in_order(source):
    made, _ = source(per_chunk=1)
    lines = PROSE.split("\n")
    chunks = [chunk(lines[1], "b"), chunk("Span: 60 m", "x"), chunk(lines[0], "a")]
    found = made.draft({"d": DOCUMENT}, chunks)
    assert [[d.kind for d in drafts] for drafts, _ in found] == [["cause"], [], ["date"]]
    assert found == made.draft({"d": DOCUMENT}, chunks)


def test_a_sentence_that_leans_is_shown_with_what_stands_before_it(source):
    before, this = chunk("Rain fell on Monday. The dam at Elz broke.", "b"), chunk(PROSE.split("\n")[1])
    made, generator = source(chunks_of=lambda document: [before, this], per_chunk=1)
    made.draft({"d": DOCUMENT}, [this])
    assert "The dam at Elz broke.\nIt was closed" in generator.calls[0][0][-1].content


def test_shown_text_takes_the_end_of_the_chunk_before_only_where_it_is_needed():
    before = chunk("One is here. Two is here. Three is here. Four is here.", "b")
    short, long = chunk("A short one."), chunk("A word. " * 60)
    leaning, plain = Sentence("It fell.", 1, True), Sentence("Rain fell.", 2, False)
    assert shown_text(short, before, plain) == "Two is here. Three is here. Four is here.\nA short one."
    assert shown_text(long, before, plain) == long.text.strip()
    assert shown_text(long, before, leaning).startswith("Two is here.")
    assert shown_text(short, None, leaning) == "A short one."


def test_why_sentences_are_not_used():
    text = (
        "of the engine that was found near the wreckage by two hikers.\n\n"
        "Rain fell. The pilot had logged about 1,200 hours of flight time in this make of helicopter.\n\n"
        "The tail rotor of the helicopter was found in a field to the"
    )
    before = chunk("The pilot had logged about 1,200 hours of flight time in this make of helicopter.", "b")
    kept, rejections = read_sentences(chunk(text), None)
    assert [s.text for s in kept] == [before.text]
    assert {r.reason for r in rejections} == {"sentence is cut", "sentence says too little"}
    kept, rejections = read_sentences(chunk(text), before)
    assert kept == []
    assert "sentence repeats the chunk before" in {r.reason for r in rejections}


@pytest.mark.parametrize(
    "text",
    [
        "We agree with the Secretary that the decision of the court in Norman v.",
        "Learn more about the coordination center • which serves as a center of expertise.",
        "Dockets released after this date are available at http://dms.ntsb.gov/pubdms.",
        "DIRECTIONAL CONTROL - NOT MAINTAINED - PILOT IN COMMAND OF THE AIRPLANE.",
        "and the rest of the wing was found in a field near the road.",
    ],
)
def test_debris_is_not_asked_about(text):
    assert read_sentences(chunk(text), None)[0] == []


def test_numbers_of_items_and_notes_are_left_out():
    said = "The wing of the airplane was found in a field near the road."
    for mark in ("4. ", "(a) ", "2.1.1 ", "12 ", "• "):
        assert [s.text for s in read_sentences(chunk(mark + said), None)[0]] == [said]


def test_double_spaced_lines_make_one_sentence():
    text = "FCA manufactured and sold automobiles in the United States\n\nunder brands such as Chrysler, Jeep, and Ram."
    kept, _ = read_sentences(chunk(text), None)
    assert [s.text for s in kept] == [" ".join(text.split())]


def test_chosen_sentences_say_most_and_differ():
    rows = [
        Sentence("Alpha beta gamma delta epsilon zeta.", 6, False),
        Sentence("Alpha beta gamma delta epsilon zeta eta.", 7, False),
        Sentence("One two three four five.", 5, False),
        Sentence("Red green blue yellow black white.", 6, False),
    ]
    assert choose_sentences(rows, 2) == [rows[1], rows[3]]
    assert choose_sentences(rows, 8) == [rows[1], rows[2], rows[3]]


ACCIDENT = Anchors(("the Elyria, OH accident",), ("N2699G",), ("the report on the Elyria, OH accident",))
PAPER = Anchors((), (), ("“Irrigation of corn”",))
NONE = Anchors((), (), ())


@pytest.mark.parametrize(
    ("question", "anchors", "named"),
    [
        ("What is deep percolation?", ACCIDENT, "What is deep percolation?"),
        ("When was the NTSB established?", ACCIDENT, "When was the NTSB established?"),
        ("Who owned the airplane?", ACCIDENT, "Who owned N2699G?"),
        ("What did the left wing strike?", ACCIDENT, "What did the left wing strike in the Elyria, OH accident?"),
        (
            "What did the pilot do after he landed?",
            ACCIDENT,
            "In the Elyria, OH accident, what did the pilot do after he landed?",
        ),
        ("What did the crew use to clear snow?", NONE, None),
        ("What did he do?", ACCIDENT, None),
        ("What does this report recommend?", PAPER, None),
    ],
)
def test_questions_name_what_they_are_about(question, anchors, named):
    assert name_subject(question, anchors, "") == named


@pytest.mark.parametrize(
    "reply", ["", "answer only", "what?\nwhy?", "a\nb\nc?", "answer\nno question", "\n\n", ".\nWhat is it?"]
)
def test_replies_of_another_form_are_none(reply):
    assert read_reply(reply, "s") is None


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("When was it opened?", "3 May 1931", "date"),
        ("In which year did NTSB begin?", "1967", "date"),
        ("Why did it close?", "rust", "cause"),
        ("What caused the crash?", "ice", "cause"),
        ("How many girders had rusted?", "two", "quantity"),
        ("In the Elyria, OH accident, how far was the runway?", "2 miles", "quantity"),
        ("What did it weigh?", "1,200 pounds", "quantity"),
        ("How should wheat be irrigated?", "at night", "procedure"),
        ("What is deep percolation?", "water that leaves the root zone", "definition"),
        ("What does ELT stand for?", "emergency locator transmitter", "definition"),
        ("What did FCA sell?", "Chrysler, Jeep, Dodge, and Ram", "list"),
        ("Is the runway closed?", "yes", "yes/no"),
        ("Which crop needs more water than wheat?", "maize", "comparison"),
        ("Who opened the bridge?", "the mayor", "fact"),
    ],
)
def test_kinds(question, answer, kind):
    assert question_kind(question, answer) == kind


def test_the_id_changes_with_what_decides_the_drafts(source):
    ids = [source(**options)[0].id for options in ({}, {"per_chunk": 3}, {"seed": 1}, {"dev_share": 0.3})]
    assert ids[0] == ids[3]
    assert len(set(ids)) == 3
    assert ids[0].startswith("adapter-")
