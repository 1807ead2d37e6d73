import json

import pytest

from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Questions
from fieldguide.types import Chunk, Context, Document, Evidence, ScoredChunk, Span
from ingest.qa.calls import Calls
from ingest.qa.drafts import Draft, Rejection
from ingest.qa.generator_source import ModelSource, letters, metadata_of

DOCUMENTS = {
    "d": Document("d", "a.pdf", "Wing manual", {"Producer": "Word", "Subject": "Tail\nrotors", "Keywords": " "}),
    "e": Document("e", "b.pdf", "Tree register"),
}


def chunk(text, name="c", document="d", context="Report 7"):
    return Chunk(name, document, (Span(3, 100, 100 + len(text)),), text, ("Part A", "Flight"), context)


TREE = chunk(
    "The aircraft N12AB flew low over Celle because the pilot had lost his way. The right wing hit a tree. "
    "It landed at 10:45 a.m. on Friday, 3 May 2019, and nobody was hurt."
)
LAWN = chunk(
    "The tree is an oak that was planted in 1871 by the town gardener of Celle, near the river Aller.", "l", "e"
)


def reply(*items):
    return json.dumps(list(items))


def item(question, answer="a tree", quote="The right wing hit a tree.", kind="fact", level="explicit fact"):
    return {"question": question, "answer": answer, "quote": quote, "kind": kind, "level": level}


def make(replies, retriever=None, **settings):
    scripted = ScriptedGenerator(replies, context_tokens=8000)
    keywords = {key: settings.pop(key) for key in ("levels", "retries") if key in settings}
    return scripted, ModelSource(Calls(scripted), Questions(**settings), retriever, **keywords)


def drafted(*replies, given=TREE, **settings):
    ((drafts, rejections),) = make(list(replies), **settings)[1].draft(DOCUMENTS, [given])
    return drafts, rejections


def test_items_become_drafts_with_kind_level_and_the_quote_as_it_stands():
    drafts, rejections = drafted(
        "Here they are:\n```json\n"
        + reply(
            item("What did the wing of N12AB hit?", "a tree.", "the RIGHT wing\nhit a tree"),
            item("When did N12AB land?", "10:45 a.m.", "nowhere", "quantity"),
            item("Why did N12AB fly low over Celle?", "the pilot had lost his way", "", "fact", ""),
            item("Was anybody on N12AB hurt?", "No", "and nobody was hurt", "fact", "implicit fact"),
            item("How high did N12AB fly?", "low", "It flew … aircraft N12AB flew low over", "Quantity.", "?"),
        )
        + "\n```\nAnything else?"
    )
    assert drafts == [
        Draft("What did the wing of N12AB hit?", "a tree", "The right wing hit a tree", "fact"),
        Draft(
            "When did N12AB land?", "10:45 a.m.", "It landed at 10:45 a.m. on Friday, 3 May 2019, and nobody was hurt.",
            "date",
        ),
        Draft(
            "Why did N12AB fly low over Celle?", "the pilot had lost his way",
            "The aircraft N12AB flew low over Celle because the pilot had lost his way.", "cause",
        ),
        Draft("Was anybody on N12AB hurt?", "No", "and nobody was hurt", "yes/no", "implicit fact"),
        Draft("How high did N12AB fly?", "low", "aircraft N12AB flew low over", "fact"),
    ]  # fmt: skip
    assert rejections == []


def test_what_cannot_be_used_of_a_reply_is_counted():
    bridge = "Why did the pumping station Nord in Celle stop in May 2019?"
    drafts, rejections = drafted(
        reply(
            item(bridge, "a surge had damaged the control board"),
            item("What did N12AB hit?"),
            item("what did N12AB hit"),
            {"question": "And this?"},
            item("Did N12AB burn?", "No", "there was no fire at all anywhere"),
            item("When was N12AB in Celle?", "3 May 2019", "3 May 2019"),
            item("What would have saved N12AB?", "a map", "", level="hidden rationale"),
            item("Where did N12AB fly?", "Celle", "flew low over Celle"),
            item("Which wing of N12AB hit a tree?", "right"),
            item("Who flew N12AB?", "the pilot"),
        ),
        per_chunk=3,
        mix={"date": 0},
    )
    assert [d.question for d in drafts] == ["What did N12AB hit?", "Where did N12AB fly?"]
    assert [(r.reason, r.detail) for r in rejections] == [
        ("reply does not fit the schema", 'answer: Field required: {"question": "And this?"}'),
        ("repeats the example", bridge),
        ("repeats itself", "what did N12AB hit"),
        ("kind not wanted (questions.mix)", "date: When was N12AB in Celle?"),
        ("level not wanted", "hidden rationale: What would have saved N12AB?"),
        ("more than questions.per_chunk", "Which wing of N12AB hit a tree?"),
        ("more than questions.per_chunk", "Who flew N12AB?"),
        ("quote not in the chunk", "Did N12AB burn? | No | there was no fire at all anywhere"),
    ]


def test_answers_must_stand_in_their_quote_and_be_no_label():
    form = chunk(
        "Pilot of N12AB: Age: Certificate: Private\nThe last review was on June 1, 2009. It was passed at once."
    )
    drafts, rejections = drafted(
        reply(
            item("How many reviews had the pilot of N12AB?", "1", "It was passed"),
            item("What is on the certificate of the pilot of N12AB?", "Age", "Pilot of N12AB: Age"),
            item("What is the certificate of the pilot of N12AB?", "Private", "Certificate: Private"),
            item("When was the pilot of N12AB reviewed?", "June 1, 2009", "It was passed"),
            item("How was the review of the pilot of N12AB?", "passed", "was passed at"),
        ),
        given=form,
    )
    assert [(d.answer, d.quote) for d in drafts] == [
        ("Private", "Certificate: Private"),
        ("June 1, 2009", form.text[: form.text.index(" It was passed")]),
        ("passed", "was passed at"),
    ]
    assert [(r.reason, r.detail.split(" | ")[1]) for r in rejections] == [
        ("answer not in its quote", "1"), ("answer is a field's label", "Age"),
    ]  # fmt: skip


def test_a_columns_name_may_be_the_answer():
    table = chunk(
        "Programs of Celle works\nAccounting quantities in the year | 737: 10,800 | 747: 1,574 | 767: 1,267\n"
    )
    drafts, _ = drafted(reply(item("Which program of Celle works had 1,574?", "747", "747: 1,574")), given=table)
    assert [d.answer for d in drafts] == ["747"]


def test_hidden_rationale_only_where_asked():
    given = reply(item("What would have saved N12AB?", "a map", "had lost his way", level="hidden rationale"))
    drafts, _ = drafted(given, levels=("hidden rationale",))
    assert drafts == [Draft("What would have saved N12AB?", "a map", "had lost his way", "fact", "hidden rationale")]


def test_a_reply_without_anything_is_shown_to_the_model_with_the_error():
    scripted, source = make(["I cannot do that.", '[{"question": "What?"}]', reply(item("What did N12AB hit?"))])
    ((drafts, rejections),) = source.draft(DOCUMENTS, [TREE])
    assert ([d.question for d in drafts], rejections) == (["What did N12AB hit?"], [])
    (first, _), (second, _), (third, _) = scripted.calls
    assert second[:-2] == third[:-2] == first
    assert second[-2].role == "assistant"
    assert second[-2].content == "I cannot do that."
    assert second[-1].content.startswith("That reply cannot be used: it holds no JSON.")
    assert third[-2].content == '[{"question": "What?"}]'
    assert third[-1].content.startswith("That reply cannot be used: answer: Field required.")


def test_retries_are_bounded_and_the_rest_is_a_rejection():
    scripted, source = make(["Sorry."], retries=1)
    assert source.draft(DOCUMENTS, [TREE]) == [
        ([], [Rejection("reply without JSON or question lines", "it holds no JSON: Sorry.")])
    ]
    assert len(scripted.calls) == 2


def test_the_model_may_skip_a_chunk():
    scripted, source = make(["[]"])
    assert source.draft(DOCUMENTS, [TREE]) == [([], [Rejection("the model asks nothing of the chunk", TREE.text[:80])])]
    assert len(scripted.calls) == 1


def test_plain_lines_are_read_where_there_is_no_json():
    drafts, rejections = drafted(
        "Sure!\n1. **Question:** What did the wing of N12AB hit?\n   **Answer:** a tree.\n\n"
        "q: When did N12AB land?\nA: 10:45 a.m.\nQuestion: How many?\nand no answer"
    )
    assert [(d.question, d.answer) for d in drafts] == [
        ("What did the wing of N12AB hit?", "a tree"),
        ("When did N12AB land?", "10:45 a.m."),
    ]
    assert [r.reason for r in rejections] == ["reply does not fit the schema"]


def test_the_prompt_holds_role_examples_metadata_title_text_kinds_and_levels():
    scripted, source = make([reply(item("What did N12AB hit?"))], mix={"cause": 1} | dict.fromkeys(OTHERS, 0))
    source.draft(DOCUMENTS, [TREE])
    ((prompt, _),) = scripted.calls
    assert [m.role for m in prompt] == ["system", "user", "assistant", "user", "assistant", "user"]
    last = prompt[-1].content
    assert last.startswith(
        'Metadata: {"title": "Wing manual", "about": "Report 7", "section": ["Part A", "Flight"], '
        '"subject": "Tail rotors"}\n\nTitle: Wing manual\n\nText:\n' + TREE.text + "\n\n"
    )
    assert "at most 2 questions" in last
    assert "Kinds: cause (2). Levels: explicit fact, implicit fact, interpretable rationale." in last
    assert last.endswith("with words of: Report 7")
    assert all(isinstance(json.loads(m.content), list) for m in prompt if m.role == "assistant")


OTHERS = ["fact", "definition", "quantity", "date", "list", "comparison", "procedure", "table lookup", "yes/no"]


def test_chunks_that_carry_no_question_cost_no_call():
    scripted, source = make([reply(item("What did N12AB hit?"))])
    numbers = chunk("\n".join(f"{n} | {n * 7} | {n * n}" for n in range(20)), "n")
    short, title = chunk("Page 3", "s"), chunk("Contents of this manual", "t")
    outcome = source.draft(DOCUMENTS, [short, TREE, numbers, title])
    assert [[r.reason for r in rejections] for _, rejections in outcome] == [
        ["chunk too short to ask about"], [], ["chunk holds only numbers"], ["chunk too short to ask about"]
    ]  # fmt: skip
    assert [len(drafts) for drafts, _ in outcome] == [0, 1, 0, 0]
    assert len(scripted.calls) == 1
    tables_only = {"table lookup": 1} | dict.fromkeys([*OTHERS, "cause"], 0) | {"table lookup": 1}
    scripted, source = make(["[]"], mix=tables_only)
    assert source.draft(DOCUMENTS, [TREE])[0][1] == [Rejection("chunk carries no wanted kind", TREE.text[:80])]
    assert scripted.calls == []


def test_a_chunk_that_does_not_fit_is_rejected_and_the_others_go_on():
    scripted = ScriptedGenerator([reply(item("What did N12AB hit?"))], context_tokens=1500)
    source = ModelSource(Calls(scripted), Questions(per_chunk=4))
    long, short = source.draft(DOCUMENTS, [chunk("many words " * 600, "long"), TREE])
    assert long == ([], [Rejection("chunk too long for the model", "1000 tokens fit")])
    assert [draft.answer for draft in short[0]] == ["a tree"]


def test_letters_count_threefold_where_a_sign_is_a_word():
    assert (letters("ab 1, c"), letters("機翼 2")) == (3, 6)


def test_metadata_leaves_out_what_programs_say():
    assert metadata_of(DOCUMENTS["d"], Chunk("c", "d", (), "", (), "Wing manual")) == {
        "title": "Wing manual", "subject": "Tail rotors",
    }  # fmt: skip


def test_id_names_everything_that_decides_the_drafts(tmp_path):
    (tmp_path / "question_retry.txt").write_text("No: {error}", "utf-8")
    varied = [
        {}, {"per_chunk": 3}, {"seed": 1}, {"mix": {"cause": 2}}, {"prompts": str(tmp_path)}, {"retries": 0},
        {"levels": ("explicit fact",)}, {"answers": "retrieved", "retriever": Shelf([])},
        {"answers": "retrieved", "retriever": Shelf([], recipe="other")},
    ]  # fmt: skip
    ids = [make([""], **settings)[1].id for settings in varied]
    assert len(set(ids)) == len(varied)
    assert ids[0] == make([""], dev_share=0.3)[1].id
    assert ids[0].startswith(f"model-{ScriptedGenerator(['']).id}-")
    (tmp_path / "question_retry.txt").write_text("Never: {error}", "utf-8")
    assert make([""], prompts=str(tmp_path))[1].id != ids[4]


class Shelf:
    """A retriever that gives every question the same chunks."""

    def __init__(self, chunks, recipe="r"):
        self.chunks, self.recipe, self.index_id, self.k = chunks, recipe, "i", len(chunks)
        self.asked = []

    def contexts(self, queries):
        self.asked += queries
        ranked = tuple(ScoredChunk(c, 1.0, n) for n, c in enumerate(self.chunks, 1))
        return [Context(ranked, "rank") for _ in queries]


def evidence(of, quote):
    start = 100 + of.text.index(quote)
    return Evidence(of.document, (Span(3, start, start + len(quote)),), quote)


def test_answers_by_retrieval_draw_on_several_chunks():
    shelf = Shelf([LAWN, TREE])
    answers = {
        "What did N12AB hit, and who planted it?": {
            "answer": "a tree; the town gardener",
            "quotes": [
                {"passage": 2, "quote": "The right wing hit a tree."},
                {"passage": "[1]", "quote": "planted in 1871 by the town gardener"},
            ],
        },
        "When was the oak planted?": {"answer": "1871", "quote": "planted in 1871", "passage": 2},
        "Did the oak fall?": {"answer": "", "quotes": []},
        "How tall was the oak?": {"answer": "12 m", "quotes": [{"passage": 1, "quote": "The oak is 12 m tall."}]},
    }

    def script(prompt, adapter):
        asked = prompt[-1].content.rpartition("\n\nQuestion: ")[2]
        if asked in answers:
            assert prompt[-1].content.startswith(f"[1] Report 7\n{LAWN.text}\n\n[2] Report 7\n{TREE.text}\n\n")
            return json.dumps(answers[asked])
        return reply(*({"question": question, "kind": "fact", "level": "explicit fact"} for question in answers))

    scripted, source = make(script, shelf, answers="retrieved")
    ((drafts, rejections),) = source.draft(DOCUMENTS, [TREE])
    assert shelf.asked == list(answers)
    assert drafts == [
        Draft(
            "What did N12AB hit, and who planted it?", "a tree; the town gardener",
            "The right wing hit a tree", "fact", "implicit fact",
            (evidence(TREE, "The right wing hit a tree"), evidence(LAWN, "planted in 1871 by the town gardener")),
        ),
        Draft(
            "When was the oak planted?", "1871", "planted in 1871", "date", "explicit fact",
            (evidence(LAWN, "planted in 1871"),),
        ),
    ]  # fmt: skip
    assert rejections == [
        Rejection("no answer in the retrieved passages", "Did the oak fall?"),
        Rejection("quote not in the passages", "How tall was the oak? | 12 m | The oak is 12 m tall."),
    ]
    assert len(scripted.calls) == 5


def test_retrieved_answers_need_a_retriever():
    with pytest.raises(ValueError, match="needs a retriever"):
        make([""], answers="retrieved")


def test_estimate_counts_calls_and_the_most_tokens():
    scripted, source = make([reply(item("What did N12AB hit?"))], per_chunk=2)
    estimate = source.estimate(DOCUMENTS, [TREE, chunk("Page 3", "s")])
    assert scripted.calls == []
    source.draft(DOCUMENTS, [TREE])
    assert (estimate.calls, estimate.tokens) == (1, scripted.count_tokens(scripted.calls[0][0]) + 60 + 2 * 110)
    assert source.estimate(DOCUMENTS, [TREE]).calls == 0
    _, source = make(["[]"], Shelf([TREE, LAWN]), per_chunk=2, answers="retrieved")
    assert source.estimate(DOCUMENTS, [TREE]).calls == 3


def test_nothing_is_generated_twice():
    calls = Calls(scripted := ScriptedGenerator([reply(item("What did N12AB hit?"))]))
    outcomes = [ModelSource(calls, Questions()).draft(DOCUMENTS, [TREE]) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert len(scripted.calls) == 1
