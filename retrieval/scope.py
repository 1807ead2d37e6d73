"""Which chunks a search may see: metadata filters and access labels, both made into one set of ids *before* the search.

Every channel takes that set, so nothing outside it is ranked, counted, explained or read as a neighbour. Knows the
catalogue and the settings, no index.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fieldguide.catalog import Catalog
from fieldguide.errors import FieldguideError, NotReady
from fieldguide.settings import Access
from fieldguide.types import content_hash

_SHORTEST_ID = 8  # letters of a document's id that are enough to name it


@dataclass(frozen=True)
class Scope:
    """The only chunks that a search sees, by id (None: all).

    ``key`` tells scopes apart, for caches and recipes: it changes with the wish, with the user's labels, and with the
    documents that are hidden from them. "" for no limit.
    """

    among: frozenset[str] | None
    key: str


EVERYTHING = Scope(None, "")


def scope(catalog: Catalog, where: Mapping[str, Sequence[str]], access: Access, user: str | None) -> Scope:
    """The chunks that fit ``where`` and that ``user`` may see (None: the owner at the command line, who sees all).

    ``where`` gives the values wanted of each name; one of each name has to fit. Names are facets (see
    ``Catalog.chunks_where``: a date may be a range, "2019..2021") and two that are built in and go before a facet of
    the same name: ``document`` (a file's name, with or without its ending, its whole path, or at least 8 letters of the
    document's id) and ``page`` ("3", or "3-7").

    A document has the labels of every pattern in ``access.documents`` that fits one of its paths, and is seen by those
    who hold at least one of them; one that no pattern fits is seen by everybody. In a pattern ``*`` and ``?`` stand for
    characters of one name and ``**`` for any number of folders; one that begins with ``/`` or a drive describes the
    whole path, another one its end; ``hr/`` is all below a folder ``hr``. Case makes no difference.

    Raises NotReady if no chunk fits, FieldguideError for a user who is not in ``access.users`` and for a wish that
    cannot be read.
    """
    if not where and user is None:
        return EVERYTHING
    sources = catalog.sources()
    hidden = _hidden(sources, access, user)
    documents = set(sources) - hidden
    if "document" in where:
        documents &= {name for name, paths in sources.items() if _is_named(name, paths, where["document"])}
    limited = bool(hidden) or "document" in where
    pages = [_range(value) for value in where.get("page", ())]
    facets = {name: values for name, values in where.items() if name not in ("document", "page")}
    if "page" in where and not pages:
        facets["page"] = ()  # no value of it is wanted: nothing fits, as with any other name
    if limited or pages or facets:
        among = frozenset(catalog.chunks_where(facets, documents if limited else None, pages))
    else:
        among = None
    if among is not None and not among:
        wanted = ", ".join(f"{name}={value}" for name, values in where.items() for value in values)
        raise NotReady(
            f"No chunk has {wanted}; `fieldguide facets` shows which values there are."
            if where
            else f"{user} may see no document of this workspace; give them one of its labels under [access.users]."
        )
    wish = {name: sorted(values) for name, values in sorted(where.items())}
    held = None if user is None else sorted(access.users[user])
    return Scope(among, content_hash(json.dumps([wish, held, len(among or ())]), *sorted(hidden))[:16])


def unmatched(catalog: Catalog, access: Access) -> list[str]:
    """The patterns of ``access.documents`` that fit no document: most likely mistyped, and so protecting nothing."""
    paths = [_folded(path) for paths in catalog.sources().values() for path in paths]
    return [pattern for pattern in access.documents if not any(map(_pattern(pattern).fullmatch, paths))]


def _hidden(sources: Mapping[str, Iterable[str]], access: Access, user: str | None) -> set[str]:
    """The documents that the user may not see."""
    if user is None:
        return set()
    if user not in access.users:
        raise FieldguideError(f"There is no user {user!r}; those under [access.users] of the settings may search.")
    held = set(access.users[user])
    patterns = [(_pattern(pattern), held.isdisjoint(labels)) for pattern, labels in access.documents.items()]
    hidden = set()
    for document, paths in sources.items():
        folded = [_folded(path) for path in paths]
        foreign = [alien for pattern, alien in patterns if any(map(pattern.fullmatch, folded))]
        if foreign and all(foreign):
            hidden.add(document)
    return hidden


def _is_named(document: str, paths: Iterable[str], names: Sequence[str]) -> bool:
    known = {document}
    for path in paths:
        file = PurePosixPath(path.replace("\\", "/"))
        known |= {path, file.name, file.stem}
    return any(name in known or (len(name) >= _SHORTEST_ID and document.startswith(name)) for name in names)


def _range(value: str) -> tuple[int, int]:
    """ "3" and "3-7" as first and last page."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*(?:[-–]\s*(\d{1,9})\s*)?", value)
    if match is None:
        raise FieldguideError(f"page is a number such as 3 or a range such as 3-7, not {value!r}.")
    return int(match[1]), int(match[2] or match[1])


def _folded(path: str) -> str:
    """Names that a file system or a person takes for the same are the same: a slip here would show what is hidden."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold()).replace("\\", "/")


def _pattern(glob: str) -> re.Pattern[str]:
    """A pattern of paths as a regular expression over folded ones."""
    text = _folded(glob)
    anchored = text.startswith("/") or re.match("[a-z]:/", text)
    text = text.removeprefix("./") + ("**" if text.endswith("/") else "")
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", text, re.DOTALL)
    try:
        return re.compile(("" if anchored else "(?:.*/)?") + "".join(map(_translated, tokens)), re.DOTALL)
    except re.error:
        raise FieldguideError(f"The pattern {glob!r} under [access.documents] has an unusable set in [ ].") from None


def _translated(token: str) -> str:
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if token in meanings:
        return meanings[token]
    if len(token) > 2:  # a set of characters
        inside = re.sub(r"([\[\]^&~|])", r"\\\1", token[1:-1].removeprefix("!"))
        return f"(?!/)[{'^' if token[1] == '!' else ''}{inside}]"
    return re.escape(token)
