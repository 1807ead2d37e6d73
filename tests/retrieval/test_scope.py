"""Which chunks a search may see: filters and labels with their values, and that no channel finds what is hidden."""

import numpy as np
import pytest

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.errors import FieldguideError, NotReady
from fieldguide.settings import Access, Index
from fieldguide.types import Chunk, Document, Page, Span
from retrieval.scope import EVERYTHING, Scope, scope, unmatched
from retrieval.vectors import open_store
from retrieval.words import Entry, Words, write_words

PAPERS = {
    "aaaaaaaa11": ("/shelf/hr/Löhne 2021.pdf", "2021-03-04", "de"),
    "bbbbbbbb22": ("/shelf/hr/old/wages.v2.pdf", "2019", "en"),
    "cccccccc33": ("/shelf/public/manual.pdf", "2020-11", "en"),
    "dddddddd44": ("C:\\shelf\\board\\minutes.pdf", "", "en"),
}
"""Document, its file, its date and its language. Each has the chunks 1 (pages 1 and 2) and 2 (page 5)."""

ACCESS = Access(
    documents={"hr/": ("staff",), "**/old/*": ("archive",), "minutes.pdf": ("board",), "/shelf/nothing/*": ("x",)},
    users={"ann": ("staff",), "bob": ("archive", "board"), "guest": ()},
)


@pytest.fixture
def catalog(tmp_path):
    opened = Catalog.open(tmp_path / "catalog.sqlite")
    for name, (path, date, language) in PAPERS.items():
        chunks = [
            Chunk(name[0] + "1", name, (Span(1, 0, 2), Span(2, 0, 2)), "one"),
            Chunk(name[0] + "2", name, (Span(5, 0, 2),), "two"),
        ]
        facets = [("", "language", language), ("", "date", date), (name[0] + "2", "place", "Ohio"), ("", "page", "9")]
        pages = [Page(name, number, str(number), "text", "r") for number in (1, 2, 5)]
        opened.store_document(
            Document(name, path, name),
            Reading("r"),
            pages,
            chunks,
            FileRecord(path, name, 1, "read", ""),
            facets=facets,
        )
    yield opened
    opened.close()


def seen(catalog, where, access=None, user=None):
    return "".join(sorted(scope(catalog, where, access or Access(), user).among)).replace("1", "₁").replace("2", "₂")


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"language": ["de"]}, "a₁a₂"),
        ({"place": ["Ohio"], "language": ["de", "en"]}, "a₂b₂c₂d₂"),
        ({"document": ["manual.pdf"]}, "c₁c₂"),
        ({"document": ["manual", "wages.v2"]}, "b₁b₂c₁c₂"),
        ({"document": ["/shelf/hr/Löhne 2021.pdf"]}, "a₁a₂"),
        ({"document": ["minutes"]}, "d₁d₂"),
        ({"document": ["bbbbbbbb"]}, "b₁b₂"),
        ({"document": ["cccccccc33"], "page": ["2"]}, "c₁"),
        ({"page": ["5"]}, "a₂b₂c₂d₂"),
        ({"page": ["2-4", "17"], "language": ["de"]}, "a₁"),
        ({"page": ["2–5"], "language": ["de"]}, "a₁a₂"),
        ({"date": ["2021"]}, "a₁a₂"),
        ({"date": ["2019..2020"]}, "b₁b₂c₁c₂"),
        ({"date": ["2019..2020-10"]}, "b₁b₂"),
        ({"date": ["2020-11.."]}, "a₁a₂c₁c₂"),
        ({"date": ["..2019"]}, "b₁b₂"),
        ({"date": ["..2019", "2021-03-04"]}, "a₁a₂b₁b₂"),
    ],
)
def test_a_wish_gives_its_chunks(catalog, where, found):
    assert seen(catalog, where) == found


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ({"language": ["fr"]}, "No chunk has language=fr; `fieldguide facets` shows which values there are."),
        ({"colour": ["red"]}, "No chunk has colour=red;"),
        ({"document": ["bbbbbbb"]}, "No chunk has document=bbbbbbb;"),
        ({"document": ["manual"], "page": ["3"]}, "No chunk has document=manual, page=3;"),
        ({"page": ["9"]}, "No chunk has page=9;"),  # a facet of that name is not asked
        ({"date": ["2022.."]}, r"No chunk has date=2022\.\.;"),
    ],
)
def test_a_wish_that_nothing_fits_is_said(catalog, where, sentence):
    with pytest.raises(NotReady, match=r"^" + sentence):
        scope(catalog, where, Access(), None)


@pytest.mark.parametrize("value", ["x", "", "3-", "-3", "1,2"])
def test_a_page_is_a_number_or_a_range(catalog, value):
    with pytest.raises(FieldguideError, match=r"^page is a number such as 3 or a range such as 3-7, not"):
        scope(catalog, {"page": [value]}, Access(), None)


def test_labels_decide_what_a_user_sees(catalog):
    assert scope(catalog, {}, ACCESS, None) == EVERYTHING == Scope(None, "")
    assert seen(catalog, {}, ACCESS, "ann") == "a₁a₂b₁b₂c₁c₂"  # one of b's two labels is enough
    assert seen(catalog, {}, ACCESS, "bob") == "b₁b₂c₁c₂d₁d₂"
    assert seen(catalog, {}, ACCESS, "guest") == "c₁c₂"
    assert seen(catalog, {"place": ["Ohio"]}, ACCESS, "ann") == "a₂b₂c₂"
    assert scope(catalog, {}, Access(users={"eve": ()}), "eve").among is None


def test_what_is_hidden_is_not_there(catalog):
    with pytest.raises(NotReady, match=r"^No chunk has document=minutes;"):
        scope(catalog, {"document": ["minutes"]}, ACCESS, "ann")
    with pytest.raises(NotReady, match=r"^guest may see no document of this workspace; give them one of its labels"):
        scope(catalog, {}, Access(documents={"**": ("x",)}, users={"guest": ("y",)}), "guest")


@pytest.mark.parametrize("access", [ACCESS, Access()])
def test_an_unknown_user_sees_nothing(catalog, access):
    with pytest.raises(FieldguideError, match=r"^There is no user 'eve'; those under \[access.users\] of the settings"):
        scope(catalog, {}, access, "eve")


def test_a_label_list_without_labels_is_for_the_owner_alone(catalog):
    access = Access(documents={"manual.pdf": ()}, users={"ann": ("staff",)})
    assert seen(catalog, {}, access, "ann") == "a₁a₂b₁b₂d₁d₂"


def test_a_copy_elsewhere_does_not_lift_a_label(catalog):
    catalog.record_files([FileRecord("/shelf/public/copy.pdf", "aaaaaaaa11", 1, "read", "")])
    assert seen(catalog, {}, ACCESS, "guest") == "c₁c₂"
    assert seen(catalog, {"document": ["copy"]}, ACCESS, "ann") == "a₁a₂"
    catalog.record_files([FileRecord("/shelf/hr/manual.pdf", "cccccccc33", 1, "read", "")])
    assert seen(catalog, {}, ACCESS, "bob") == "b₁b₂d₁d₂"


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("*.pdf", "abcd"), ("hr/*", "a"), ("hr/**", "ab"), ("hr/", "ab"), ("hr", ""), ("HR/OLD/*", "b"), ("r/*", ""),
        ("/shelf/**/*.pdf", "abc"), ("/shelf/*.pdf", ""), ("/shelf/*/*.pdf", "ac"), ("/hr/*", ""), ("**", "abcd"),
        ("c:/shelf/**", "d"), ("C:\\shelf\\board\\*", "d"), ("lo\u0308hne*", "a"), ("wages.v?.pdf", "b"),
        ("[a-m]*.pdf", "acd"), ("[!a-m]*.pdf", "b"), ("manual[.]pdf", "c"), ("shelf?hr/*", ""), ("./public/*", "c"),
        ("**/old/**", "b"), ("", ""), ("(manual|x).pdf", ""), ("/shelf/hr**", "ab"),
    ],
)  # fmt: skip
def test_patterns(catalog, pattern, fits):
    access = Access(documents={pattern: ("x",)}, users={"guest": ()})
    hidden = set("abcd")
    if fits != "abcd":
        among = scope(catalog, {}, access, "guest").among
        hidden = set() if among is None else hidden - {name[0] for name in among}
    # [a-m] has no ö, but Löhne begins with l
    assert "".join(sorted(hidden)) == fits if fits != "abcd" else unmatched(catalog, access) == []
    assert unmatched(catalog, access) == ([] if fits else [pattern])


def test_unmatched_patterns_are_named(catalog):
    assert unmatched(catalog, ACCESS) == ["/shelf/nothing/*"]


def test_an_unusable_pattern_is_said(catalog):
    with pytest.raises(FieldguideError, match=r"^The pattern '\[z-a\]' under \[access.documents\]"):
        scope(catalog, {}, Access(documents={"[z-a]": ("x",)}, users={"ann": ()}), "ann")


def test_the_key_tells_scopes_apart(catalog):
    def key(where, access=ACCESS, user=None):
        return scope(catalog, where, access, user).key

    other = Access(documents={"hr/": ("staff",)}, users=ACCESS.users)
    keys = [
        key({}), key({"language": ["de"]}), key({"language": ["en"]}), key({"document": ["Löhne 2021"]}),
        key({}, user="ann"), key({}, user="bob"), key({}, other, "ann"), key({"language": ["de"]}, user="ann"),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert all(len(name) == 16 for name in keys[1:])
    assert key({"language": ["en", "de"], "page": ["5"]}) == key({"page": ["5"], "language": ["de", "en"]})


def test_no_channel_finds_what_the_user_may_not_see(catalog, tmp_path):
    """The best hit for the owner, by words and by vectors, is not there for a guest."""
    (tmp_path / "words").mkdir()
    texts = {
        "a1": "secret wages wages",
        "b1": "old wages of some people",
        "c1": "a manual that only names the word wages once, far below",
        "d1": "minutes",
    }
    write_words(tmp_path / "words", [Entry(name, text, "", "en") for name, text in texts.items()])
    words = Words(tmp_path / "words")
    store = open_store(Index(), tmp_path / "dense", 2, expected=4)
    store.add(["a1", "b1", "c1", "d1"], np.asarray([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], dtype=np.float32))
    store.save()
    query = np.asarray([[1, 0]], dtype=np.float32)

    def found(user):
        among = scope(catalog, {}, ACCESS, user).among
        return [
            [name for name, _ in hits]
            for hits in (words.search(["wages"], 2, among)[0], store.search(query, 2, among)[0])
        ]

    assert found(None) == [["a1", "b1"], ["a1", "b1"]]
    assert found("guest") == [["c1"], ["c1"]]
    assert found("bob") == [["b1", "c1"], ["b1", "c1"]]


def test_many_documents_may_be_asked_for(catalog):
    everything = {f"document {i}" for i in range(40_000)} | set(PAPERS)
    assert len(catalog.chunks_where({}, everything)) == 8
    assert catalog.chunks_where({"language": ["de"]}, everything - {"aaaaaaaa11"}) == set()
    assert catalog.chunks_where({}, set()) == set()
