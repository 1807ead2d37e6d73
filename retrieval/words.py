"""The words channel: BM25 over chunks in tantivy, immutable folders, each made anew or from the one before it.

Ids and term statistics only; the texts are not kept. BM25 has tantivy's fixed k1 = 1.2 and b = 0.75. Deleted chunks
count in the document frequencies until their segment is merged, as in every Lucene-like index. Knows no catalogue.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from tantivy import Document, Index, Occur, Query, Schema, SchemaBuilder, Searcher

from fieldguide.errors import IndexMismatch
from retrieval.query import Among, Queries
from retrieval.terms import ANALYSIS as ANALYSIS
from retrieval.terms import stemmed, terms, variants
from retrieval.vectors import Hits

_MEMORY = 96_000_000  # bytes that the writer fills before it makes a segment
_REWRITTEN = ("meta.json", ".managed.json")  # tantivy never changes any other file
_ANALYSIS_FILE = "analysis.txt"
_KEPT = 4  # filters whose keys are kept, for as many users at a time
_MOST_TERMS = 128  # of a query; of a pasted page the rarest are taken


@dataclass(frozen=True, slots=True)
class Entry:
    """What is indexed of a chunk. ``language`` is its ISO 639-1 code, "" if unknown."""

    id: str
    text: str
    context: str = ""
    language: str = ""


def write_words(folder: Path, add: Iterable[Entry], remove: Collection[str] = (), before: Path | None = None) -> None:
    """Make the index of ``before`` (none: an empty one) with ``remove`` deleted and ``add`` added, in ``folder``.

    ``before`` stays as it is; the files that both have in common are hard links where the disk can. Of an id given
    again the last entry counts. ``folder`` is an empty folder that nobody reads yet. Raises IndexMismatch if
    ``before`` is damaged.
    """
    if before is None:
        index = Index(_schema(), str(folder))
        (folder / _ANALYSIS_FILE).write_text(ANALYSIS, "utf-8")
    else:
        _mirror(before, folder, os.link)
        index = _opened(folder, before)
    seen: set[str] = set()
    with index.writer(_MEMORY, 1) as writer:  # one thread makes the fewest segments
        for name in remove:
            writer.delete_documents_by_term("id", name)
        for entry in add:
            if before is not None or entry.id in seen:
                writer.delete_documents_by_term("id", entry.id)
            seen.add(entry.id)
            writer.add_document(_document(entry))
    del writer, index  # a thread of theirs looks after the folder and may lock it
    for file in folder.glob("*.lock"):
        file.unlink()
    for name in _REWRITTEN:
        (folder / name).chmod(0o644)


class Words:
    """An index opened for searching. What becomes of its folder afterwards does not change it.

    ``context_weight`` is what a term in the context line counts for, beside 1 for a term in the text.
    """

    def __init__(self, folder: Path, context_weight: float = 0.5) -> None:
        """Raises IndexMismatch if the index in ``folder`` is damaged or was made with another analysis of text."""
        # opened through links elsewhere: tantivy makes lock files, but a version's folder may be read-only
        links = Path(tempfile.mkdtemp(prefix="fieldguide-words-"))
        try:
            _mirror(folder, links, os.symlink)
            index = _opened(links, folder)
            self._schema = index.schema
            self._searcher: Searcher | None = index.searcher()
        finally:
            _vanish(links)
        self._languages = tuple(name.removeprefix("_") for name, _ in self._open.terms_with_prefix("language", "_"))
        self._context_weight = context_weight
        self._kept: tuple[tuple[Among, Among, _Chosen], ...] = ()

    def __len__(self) -> int:
        return self._open.num_docs

    def search(
        self, queries: Sequence[str], k: int, among: Among = None, without: frozenset[str] | None = None
    ) -> list[Hits]:
        """The k best chunks of each query by BM25, best first, ties by id; fewer where fewer have any of its words.

        Only ids in ``among`` and not in ``without`` take part. A query is free text, never a syntax.
        """
        chosen = self._choose(among, without)
        return [self._search(text, k, chosen) for text in queries]

    def close(self) -> None:
        """Let go of the files; it cannot be searched afterwards."""
        self._searcher = None

    @property
    def _open(self) -> Searcher:
        if self._searcher is None:
            raise ValueError("these words were closed")
        return self._searcher

    def _choose(self, among: Among, without: Among) -> _Chosen:
        kept = self._kept  # replaced as a whole, so that threads with other filters do not meet in it
        for wish, ban, chosen in kept:
            if wish is among and ban is without:
                return chosen
        chosen = _Chosen(among, without)
        self._kept = ((among, without, chosen), *kept[: _KEPT - 1])
        return chosen

    def _search(self, text: str, k: int, chosen: _Chosen) -> Hits:
        query = self._query(text)
        if query is None or k < 1:
            return []
        total = len(self)
        share = chosen.size(total) / total
        # the best few hundred mostly hold k that may be seen; to look at them is far cheaper than to filter by many ids
        if chosen.limited and 4 * chosen.size(total) * share > k:
            hits = self._best(query, min(int(2 * k / share) + k, total), k, chosen)
            if hits is not None:
                return hits
        query = chosen.filtered(query, self._schema)
        wanted = k + 1
        while (hits := self._best(query, min(wanted, total + 1), k, chosen)) is None:
            wanted *= 4
        return hits

    def _best(self, query: Query, wanted: int, k: int, chosen: _Chosen) -> Hits | None:
        """The k best that may be seen, out of the ``wanted`` best; None if these do not tell which they are."""
        found = self._open.search(query, wanted, count=False).hits
        seen = found
        if chosen.limited:
            keys = self._open.fast_field_values("key", [address for _, address in found])
            seen = [hit for hit, key in zip(found, keys, strict=True) if chosen.holds(key)]
        full = len(seen) >= k
        last = seen[k - 1][0] if full else 0.0
        if len(found) == wanted and (not full or last == found[-1][0]):
            return None
        named = [(str(self._open.doc(address).get_first("id")), score) for score, address in seen if score >= last]
        return sorted((hit for hit in named if chosen.sees(hit[0])), key=lambda hit: (-hit[1], hit[0]))[:k]

    def _query(self, text: str) -> Query | None:
        """None if the text has no word that is in the index. A word is worth its best term, whatever the language."""
        words: Counter[tuple[str, ...]] = Counter()
        frequency: dict[str, int] = {}
        for options in variants(text, self._languages):
            for term in options:
                if term not in frequency:
                    frequency[term] = self._open.doc_freq("text", term) + self._open.doc_freq("context", term)
            known = tuple(term for term in options if frequency[term])
            if known:
                words[known] += 1
        rarest = sorted(words, key=lambda options: min(frequency[term] for term in options))[:_MOST_TERMS]
        parts = []
        for options in rarest:
            for field, weight in (("text", 1.0), ("context", self._context_weight)):
                if weight:
                    choices = [Query.term_query(self._schema, field, term, "freq") for term in options]
                    part = choices[0] if len(choices) == 1 else Query.disjunction_max_query(choices)
                    weight *= words[options]
                    parts.append((Occur.Should, part if weight == 1 else Query.boost_query(part, weight)))
        return Query.boolean_query(parts) if parts else None


class WordsChannel:
    """Words as a channel of retrieval."""

    name = "words"

    def __init__(self, words: Words) -> None:
        self._words = words

    def search(self, queries: Queries, k: int, among: Among = None) -> list[Hits]:
        return self._words.search(queries.texts, k, among)


class _Chosen:
    """Which ids take part: as names, and as the 64-bit keys under which tantivy reads and filters them fast."""

    def __init__(self, among: Among, without: Among) -> None:
        self._among = among
        self._without = without or frozenset()
        self._keys = None if among is None else frozenset(map(_key, among - self._without))
        self._banned = frozenset(map(_key, self._without)) if among is None else frozenset()
        self.limited = among is not None or bool(self._banned)

    def size(self, total: int) -> int:
        """How many of ``total`` take part, about."""
        return max(1, total - len(self._banned) if self._keys is None else min(len(self._keys), total))

    def holds(self, key: object) -> bool:
        return key not in self._banned if self._keys is None else key in self._keys

    def sees(self, name: str) -> bool:
        """The final word: two names may share a key."""
        return name not in self._without and (self._among is None or name in self._among)

    def filtered(self, query: Query, schema: Schema) -> Query:
        """The query, matching nothing else; scores stay."""
        parts = [(Occur.Must, query)]
        if self._keys is not None:
            keys = Query.term_set_query(schema, "key", list(self._keys))
            parts.append((Occur.Must, Query.const_score_query(keys, 0.0)))
        if self._banned:
            parts.append((Occur.MustNot, Query.term_set_query(schema, "key", list(self._banned))))
        return Query.boolean_query(parts) if len(parts) > 1 else query


def _schema() -> Schema:
    builder = SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("key", indexed=True, fast=True)
    builder.add_text_field("language", tokenizer_name="raw", index_option="basic")
    for field in ("text", "context"):
        builder.add_text_field(field, tokenizer_name="whitespace", index_option="freq")
    return builder.build()


def _document(entry: Entry) -> Document:
    document = Document()
    document.add_text("id", entry.id)
    document.add_unsigned("key", _key(entry.id))
    document.add_text("language", "_" + stemmed(entry.language))
    for field, text in (("text", entry.text), ("context", entry.context)):
        if text:
            document.add_pre_tokenized_text(field, terms(text, entry.language))
    return document


def _key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _mirror(folder: Path, into: Path, link: Callable[[Path, Path], None]) -> None:
    """Another folder with the same index: links to the files, copies of those that tantivy rewrites; no locks, and
    nothing that others keep in the folder, such as the mark that it is whole."""
    if not folder.is_dir():
        raise _damaged(folder)
    for file in folder.iterdir():
        if file.name in _REWRITTEN or file.suffix not in (".lock", ".json"):
            try:
                (shutil.copyfile if file.name in _REWRITTEN else link)(file.resolve(), into / file.name)
            except OSError:  # a disk without links, or another disk
                shutil.copyfile(file, into / file.name)


def _opened(folder: Path, named: Path) -> Index:
    """The index in ``folder``, which stands for the one in ``named``."""
    try:
        index = Index.open(str(folder))
        index.config_reader("manual")
        index.searcher()
        made_with = (folder / _ANALYSIS_FILE).read_text("utf-8")
    except (ValueError, OSError):
        raise _damaged(named) from None
    if made_with != ANALYSIS:
        raise IndexMismatch(
            f"{named} was made with another analysis of text ({made_with}, now {ANALYSIS}); delete it and run "
            "`fieldguide ingest` to build the index anew."
        )
    return index


def _vanish(folder: Path) -> None:
    """Delete a folder in which tantivy's own thread may be making a lock file at this moment."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.01)


def _damaged(folder: Path) -> IndexMismatch:
    return IndexMismatch(f"{folder} is damaged; delete it and run `fieldguide ingest` to build the index anew.")
