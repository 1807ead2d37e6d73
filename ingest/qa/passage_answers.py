"""Answers and two-passage questions that a model writes from numbered passages, each proved by aligned quotes.

Passages come from a ``Retriever`` or are a given pair of chunks; how they were found is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fieldguide import align
from fieldguide.models.base import Generation
from fieldguide.prompts import passage_text
from fieldguide.types import PAGE_BREAK, Chunk, Document, Evidence
from ingest.qa.calls import Calls
from ingest.qa.checks import holds
from ingest.qa.drafts import Draft, Drafted, Rejection
from ingest.qa.prompt_files import PromptFiles
from ingest.qa.replies import Quote, Quoted, ReplyFault, ask_until_parsed, parse

ANSWER_TOKENS, MULTI_HOP_TOKENS = 200, 300
CLOSE = 0.8
"""Least share of a quote's words that the place in a passage must hold for it to count as that quote."""
_FEWEST_CLOSE = 4
_SHORTEST_ALONE = 4
"""An answer of fewer characters ("No", "5") proves nothing where it happens to stand."""
NO_ANSWER, NO_QUOTE = "no answer in the retrieved passages", "quote not in the passages"
NO_MULTI_HOP, ONE_PASSAGE = "no question needs both chunks", "one chunk alone holds the quotes"
EXAMPLE = "repeats the example"


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer from passages, and where in them it stands."""

    answer: str
    quote: str
    evidence: tuple[Evidence, ...]


def place_quote(quote: str, text: str) -> tuple[int, int] | None:
    """Characters (start, end) of the text that a quote copies: exactly, or all but a few of its words.

    Of a quote with gaps ("…", "...") the longest piece counts. None if it is not there.
    """
    pieces = quote.replace("…", "...").split("...")
    longest = max(pieces, key=len).strip(" \"'“”[]()")
    exact = align.find_exact(longest, text)
    if exact:
        return exact[0].start, exact[0].end
    close = align.find_close(longest, text) if len(align.content_tokens(longest)) >= _FEWEST_CLOSE else None
    return (close.start, close.end) if close is not None and close.score >= CLOSE else None


def clean_answer(answer: str) -> str:
    """In one line, without quotation marks around it and without the full stop of a sentence."""
    text = " ".join(answer.split()).strip("\"'“”")
    return text[:-1] if text.endswith(".") and "." not in text[:-1] else text


def answer_questions(
    calls: Calls,
    questions: Sequence[str],
    passages: Sequence[Sequence[Chunk]],
    *,
    prompts: PromptFiles,
    retries: int = 2,
    seed: int = 0,
) -> list[Answered | Rejection]:
    """An answer to each question from its own passages (shown under the numbers from 1), in order.

    Its evidence are the places of its quotes, which must align with a passage, and its own where no quote holds it.
    Rejected are questions that the passages do not answer, and answers for which nothing is found.
    """
    asked = [
        prompts.fill("question_answer", passages=_shown(chunks), question=question)
        for question, chunks in zip(questions, passages, strict=True)
    ]
    replies = ask_until_parsed(
        calls, asked, _read_one, prompts.correction,
        max_new_tokens=ANSWER_TOKENS, retries=retries, seed=seed,
    )  # fmt: skip
    return [
        reply if isinstance(reply, Rejection) else _answered(reply, question, chunks)
        for reply, question, chunks in zip(replies, questions, passages, strict=True)
    ]


def _answered(reply: Quoted, question: str, chunks: Sequence[Chunk]) -> Answered | Rejection:
    answer = clean_answer(reply.answer)
    if not answer:
        return Rejection(NO_ANSWER, question)
    places = [place for quote in reply.quotes if (place := _evidence(quote, chunks)) is not None]
    if not holds(answer, PAGE_BREAK.join(place.quote for place in places)):
        itself = _evidence(Quote(quote=answer), chunks) if len(answer) >= _SHORTEST_ALONE else None
        places += [itself] if itself is not None else []
    if not places:
        return Rejection(NO_QUOTE, f"{question} | {answer} | {'; '.join(q.quote for q in reply.quotes)}")
    evidence = tuple({(e.document, e.spans): e for e in places}.values())
    return Answered(answer, evidence[0].quote, evidence)


def draft_multi_hop(
    calls: Calls,
    first: Chunk,
    second: Chunk,
    entity: str,
    documents: Mapping[str, Document],
    *,
    prompts: PromptFiles | None = None,
    retries: int = 2,
    seed: int = 0,
) -> Drafted:
    """A question that needs both of two chunks about one entity, if the model finds one.

    The draft's evidence is one quote from each chunk. Rejected are questions whose quotes are not found, or both stand
    in one chunk.
    """
    files = prompts or PromptFiles()
    chunks = (_named(first, documents), _named(second, documents))
    asked = files.fill("question_multi_hop", passages=_shown(chunks), entity=entity)
    (reply,) = ask_until_parsed(
        calls, [asked], _read_one, files.correction,
        max_new_tokens=MULTI_HOP_TOKENS, retries=retries, seed=seed,
    )  # fmt: skip
    if isinstance(reply, Rejection):
        return [], [reply]
    answer, question = clean_answer(reply.answer), " ".join(reply.question.split())
    detail = f"{question} | {answer}"
    if not question or not answer:
        return [], [Rejection(NO_MULTI_HOP, entity)]
    if any(json.dumps(question, ensure_ascii=False) in example for example in files.replies("question_multi_hop")):
        return [], [Rejection(EXAMPLE, detail)]
    places = [place for quote in reply.quotes if (place := _evidence(quote, chunks)) is not None]
    if len(places) < 2:
        return [], [Rejection(NO_QUOTE, f"{detail} | {'; '.join(q.quote for q in reply.quotes)}")]
    one, two = (_only_in(places, *order) for order in (chunks, chunks[::-1]))
    if one is None or two is None:
        return [], [Rejection(ONE_PASSAGE, detail)]
    return [Draft(question, answer, one.quote, "multi-hop", "implicit fact", (one, two))], []


def _read_one(reply: Generation) -> Quoted:
    """The reply's first object. Raises ReplyFault for a reply that is none."""
    found, _ = parse(reply, Quoted)
    if found and not found[0].answer and found[0].quotes and not found[0].question:
        raise ReplyFault("reply does not fit the schema", 'answer: there are quotes, but no "answer"')
    return found[0] if found else Quoted()


def _shown(chunks: Sequence[Chunk]) -> str:
    return "\n\n".join(passage_text(number, chunk) for number, chunk in enumerate(chunks, 1))


def _named(chunk: Chunk, documents: Mapping[str, Document]) -> Chunk:
    """The chunk with its document's title as its place, where it has none."""
    if chunk.context:
        return chunk
    return Chunk(chunk.id, chunk.document, chunk.spans, chunk.text, chunk.heading, documents[chunk.document].title)


def _evidence(quote: Quote, chunks: Sequence[Chunk]) -> Evidence | None:
    """Where a quote stands: in the passage it names, else in the first that holds it."""
    named = [chunks[quote.passage - 1]] if 0 < quote.passage <= len(chunks) else []
    for chunk in [*named, *chunks]:
        place = place_quote(quote.quote, chunk.text)
        if place is not None:
            return Evidence(chunk.document, chunk.locate(*place), chunk.text[slice(*place)])
    return None


def _only_in(places: Sequence[Evidence], chunk: Chunk, other: Chunk) -> Evidence | None:
    """The first place that the chunk holds and whose words the other does not."""
    for place in places:
        held = place.document == chunk.document and align.find_exact(place.quote, chunk.text)
        if held and not align.find_exact(place.quote, other.text):
            return place
    return None
