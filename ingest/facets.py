"""What documents and chunks can be told apart by beside their text: language, dates, places, organisations, and facets
that the user names, found by a pattern or picked by a generator.

Facets are data for filters, {name: sorted distinct values}; a name without a value is left out. Knows nothing of how
they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from fieldguide.errors import SettingsError
from fieldguide.models.base import Generator, Message, Prompt
from fieldguide.prompts import fill, load
from fieldguide.settings import Facets
from fieldguide.types import Chunk, Page, content_hash
from ingest import dates, facet_patterns

if TYPE_CHECKING:
    import regex

FACETS_VERSION = "facets-1"
"""Changes when the same text and settings would give other facets."""

Values = dict[str, tuple[str, ...]]
"""A facet's name to its values, sorted, each once."""

MOST_VALUES = 20
_LONGEST_VALUE = 200
_LONGEST_TEXT = 100_000
_PATTERN_SECONDS = 0.5
_LANGUAGE_CHARACTERS = 2000
_LANGUAGE_PAGES = 12
_SURE = 0.5
_BATCH = 8
BUILTIN = ("language", "date", "place", "organisation")


def facets_of(
    chunk: Chunk,
    settings: Facets,
    language: str,
    day_first: bool | None = None,
    faults: list[str] | None = None,
    mixed: bool = True,
) -> Values:
    """The facets of a chunk, without those that a generator picks; at most 20 values each, the first of the chunk.

    ``language`` and ``day_first`` are the document's (``languages_of_document``, ``dates.day_first``). With ``mixed`` a
    chunk that is surely in another language has that one. A pattern that takes longer than half a second on the chunk
    gives nothing there and a sentence in ``faults``. Raises SettingsError for patterns that are no regular expressions.
    """
    own = (mixed and language_of(chunk.text)) or language
    own = own if "language" in settings.builtin else ""
    order = dates.day_first([chunk.text], own or language) if day_first is None else day_first
    return _found(chunk.text, settings, own, order, faults)


def document_facets(
    title: str, metadata: Mapping[str, str], pages: Sequence[Page], settings: Facets, faults: list[str] | None = None
) -> Values:
    """The facets of a document: its language, its own date, and what the title and the first page name.

    Raises SettingsError as ``facets_of``.
    """
    texts = [page.text for page in pages]
    first = texts[0] if texts else ""
    language = next(iter(languages_of_document(texts)), "")
    order = dates.day_first(texts, metadata.get("Lang", language))
    found = _found(f"{title}\n{first}", settings, language if "language" in settings.builtin else "", order, faults)
    found.pop("date", None)
    if "date" in settings.builtin and (date := dates.document_date(metadata, first, order)):
        found["date"] = (date,)
    return found


def _found(text: str, settings: Facets, language: str, order: bool | None, faults: list[str] | None) -> Values:
    patterns = compiled(settings)
    found: dict[str, Iterable[str]] = {"language": [language] if language else []}
    if "date" in settings.builtin:
        found["date"] = dates.dates(text, order)
    if "place" in settings.builtin:
        found["place"] = facet_patterns.places(text)
    if "organisation" in settings.builtin:
        found["organisation"] = facet_patterns.organisations(text)
    for name, pattern in patterns.items():
        found[name] = _matches(name, pattern, text, faults)
    return {name: tuple(sorted(list(values)[:MOST_VALUES])) for name, values in found.items() if values}


def _matches(name: str, pattern: regex.Pattern[str], text: str, faults: list[str] | None) -> list[str]:
    """The first group, or without groups the whole, of each match; each value once, in the order found."""
    values: dict[str, None] = {}
    try:
        for match in pattern.finditer(text[:_LONGEST_TEXT], timeout=_PATTERN_SECONDS):
            value = " ".join((match[1 if pattern.groups else 0] or "").split())
            if value:
                values[value[:_LONGEST_VALUE]] = None
            if len(values) == MOST_VALUES:
                break
    except TimeoutError:
        if faults is not None:
            faults.append(f"facets.patterns.{name} took longer than {_PATTERN_SECONDS} s on a text; make it simpler.")
        return []  # what a slow machine found in time, another would not
    return list(values)


def compiled(settings: Facets) -> dict[str, regex.Pattern[str]]:
    """The user's patterns by name. Raises SettingsError that lists every one that is not usable."""
    return _compiled(tuple(settings.patterns.items()), tuple(settings.generated))


@cache
def _compiled(patterns: tuple[tuple[str, str], ...], generated: tuple[str, ...]) -> dict[str, regex.Pattern[str]]:
    import regex

    found = {}
    faults = []
    names = {name: "patterns" for name, _ in patterns}
    for name in (*names, *generated):
        section = names.get(name, "generated")
        if name in BUILTIN:
            faults.append(f"facets.{section}.{name}: this name is taken by a built-in facet; choose another.")
        if not regex.fullmatch(r"[^\W\d][\w-]*", name):
            faults.append(f"facets.{section}.{name}: a name is letters, digits, _ and -, and begins with a letter.")
    faults += [
        f"facets.generated.{n}: facets.patterns has the same name; choose another." for n in generated if n in names
    ]
    for name, pattern in patterns:
        try:
            found[name] = regex.compile(pattern, regex.MULTILINE)
        except (regex.error, ValueError, OverflowError, RecursionError) as error:
            faults.append(f"facets.patterns.{name}: {pattern!r} is not a regular expression ({error}).")
    if faults:
        raise SettingsError("\n".join(faults))
    return found


@cache
def _identifier() -> Any:
    """The language model that comes with py3langid, for languages with an ISO 639-1 code and for "no language".

    Left out are languages made up for commerce and science: few write them, and tables of abbreviations look like them.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    made_up = {"vo", "ia", "ie", "io"}
    identifier.set_languages([code for code in identifier.labels if len(code) == 2 and code not in made_up] + ["zxx"])
    return identifier


def language_of(text: str) -> str:
    """The ISO 639-1 code of a text's language, from its first 2,000 characters; "" if unsure or too short to tell."""
    import regex

    letters = " ".join(regex.findall(r"[\p{L}\p{M}]+", text[:_LANGUAGE_CHARACTERS]))
    if len(letters.encode("utf-8", "ignore")) < 20:
        return ""
    code, confidence = _identifier().classify(letters)
    return code if code != "zxx" and confidence >= _SURE else ""


def languages_of_document(pages: Sequence[str]) -> list[str]:
    """The languages of a dozen pages spread over a document, the most frequent first; none if none is known."""
    step = max(len(pages) // _LANGUAGE_PAGES, 1)
    codes = [code for text in pages[::step] if (code := language_of(text))]
    return sorted(set(codes), key=lambda code: (-codes.count(code), code))


@dataclass(frozen=True, slots=True)
class Picked:
    """What a generator picked for one chunk, and (facet, reason) of each answer that was none of the values."""

    values: Values = field(default_factory=dict)
    unparsed: tuple[tuple[str, str], ...] = ()


def generated_id(settings: Facets, generator: Generator) -> str:
    """Changes when the same chunk might be given other values: by the model, the prompt or the lists of values."""
    lists = [part for name, values in sorted(settings.generated.items()) for part in (name, *values, "")]
    return content_hash(generator.id, load("facet"), *lists)


def generated_facets(chunks: Sequence[Chunk], settings: Facets, generator: Generator) -> list[Picked]:
    """For each chunk the value of each facet of ``settings.generated`` that the generator picks, if it picks one.

    Greedy, in batches of eight. An answer counts only if it is a value, whatever its case, quotes and full stop, or
    "none". What depends on chunk, generator and settings only may be kept under ``generated_id``.
    """
    asked = [(n, name, values) for n in range(len(chunks)) for name, values in settings.generated.items() if values]
    picked: list[Values] = [{} for _ in chunks]
    unparsed: list[list[tuple[str, str]]] = [[] for _ in chunks]
    room = {name: _longest(values, generator) for name, values in settings.generated.items() if values}
    for start in range(0, len(asked), _BATCH):
        batch = []
        for n, name, values in asked[start : start + _BATCH]:
            prompt = _prompt(chunks[n], name, values)
            if generator.count_tokens(prompt) + max(room.values()) > generator.context_tokens:
                unparsed[n].append((name, "the chunk is too long for the model"))
            else:
                batch.append((n, name, values, prompt))
        replies = generator.generate([p for *_, p in batch], max_new_tokens=max(room.values())) if batch else []
        for (n, name, values, _), reply in zip(batch, replies, strict=True):
            answer = _answer(reply.text, values)
            if answer is None:
                unparsed[n].append((name, f"the answer is none of the values: {reply.text.strip()[:80]!r}"))
            elif answer:
                picked[n][name] = (answer,)
    return [Picked(values, tuple(reasons)) for values, reasons in zip(picked, unparsed, strict=True)]


def _prompt(chunk: Chunk, name: str, values: Sequence[str]) -> Prompt:
    listed = "\n".join(f"- {value}" for value in values)
    return (Message("user", fill("facet", text=chunk.indexed_text, facet=name, values=listed)),)


def _longest(values: Sequence[str], generator: Generator) -> int:
    """Tokens that an answer may take: the longest value's, and some for quotes and the end."""
    return max(generator.count_tokens((Message("assistant", value),)) for value in values) + 8


def _answer(text: str, values: Sequence[str]) -> str | None:
    """The value that the answer is, "" for none of them, None if the answer is neither."""
    said = " ".join(text.strip().lstrip("-").strip(" \t\r\n\"'“”*.").split()).casefold()
    known = {" ".join(value.strip(" .").split()).casefold(): value for value in values}
    return known.get(said, "" if said == "none" else None)
