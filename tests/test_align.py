import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.align import find_close, find_exact, lines, normalise, sentences, tokens

# What texts of PDFs hold, and anything else that Unicode holds.
PIECES = st.sampled_from(
    ["the", "Wing", "5", "3.5", "1,500", "10:45", " ", "\n", "\r\n", "“", "’", "–", "ﬁn", "oﬀ", "\u00ad", "½", "²", "."]
)
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join)
WORDS = st.lists(
    st.sampled_from(["Wing", "spar", "5", "3.5", "1,500", "oﬀ", "ﬁn", "it’s", "a–b"]), min_size=1, max_size=4
)


def found(statement: str, text: str) -> list[str]:
    """The pieces of the text where the statement stands."""
    return [text[match.start : match.end] for match in find_exact(statement, text)]


@given(TEXTS)
def test_offsets_are_monotone_and_in_range(text):
    folded, offsets = normalise(text)
    assert len(offsets) == len(folded) + 1
    assert offsets == sorted(offsets)
    assert offsets[-1] == len(text)
    assert all(0 <= offset < len(text) for offset in offsets[:-1])


@given(WORDS, TEXTS, TEXTS)
def test_exact_spans_normalise_to_the_statement(words, before, after):
    statement = " ".join(words)
    matches = find_exact(statement, f"{before} {statement} {after}")
    assert matches
    for match in matches:
        span = f"{before} {statement} {after}"[match.start : match.end]
        assert normalise(span)[0] == normalise(statement)[0]
        assert match.score == 1.0


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("5", "35 seats"),
        ("5", "57 seats"),
        ("1,5", "1,500 ft"),
        ("500", "1,500 ft"),
        ("3", "3.5 inches"),
        ("5", "3.5 inches"),
        ("10", "at 10:45"),
        ("5", "visibility .5 miles"),
        (".5", "visibility 3.5 miles"),
        ("51", "5½ miles"),
        ("102", "10² lines"),
        ("2", "½ mile"),
        ("wing", "wingtip"),
        ("tip", "wingtip"),
        ("", "anything"),
        ("...", "Well..."),
    ],
)
def test_only_whole_words_and_numbers_match(statement, text):
    assert found(statement, text) == []


@pytest.mark.parametrize(
    ("statement", "text", "piece"),
    [
        ("right wing spar", "the RIGHT\n  wing\r\nspar.", "RIGHT\n  wing\r\nspar"),
        ('"full function"', "had “full function” of it", "full function"),
        ("pilot's", "the pilot’s loss", "pilot’s"),
        ("31-minute", "the 31–minute flight", "31–minute"),
        ("final flight", "the ﬁnal ﬂight", "ﬁnal ﬂight"),
        ("offset", "an oﬀset", "oﬀset"),
        ("airplane", "the air\u00adplane", "air\u00adplane"),
        ("airplane", "the air\u00ad\nplane", "air\u00ad\nplane"),
        ("5", "was 5.", "5"),
        ("5 1/2", "about 5½ miles", "5½"),
        ("0.5 miles", "visibility .5 miles", ".5 miles"),
        ("1995", "in 1995² it", "1995"),
        ("Straße", "die STRASSE", "STRASSE"),
        ("$5.", "cost $5 each", "$5"),
    ],
)
def test_exact_matches_whatever_the_typography(statement, text, piece):
    assert found(statement, text) == [piece]


def test_exact_gives_every_place():
    text = "A tree, a Tree; a treetop."
    assert [(m.start, m.end) for m in find_exact("tree", text)] == [(2, 6), (10, 14)]


def test_close_gives_the_shortest_window_and_the_share_it_holds():
    text = "The wing was bent. The right wing hit a tree after takeoff."
    match = find_close("the right wing struck a tree", text)
    assert text[match.start : match.end] == "right wing hit a tree"
    assert match.score == 3 / 4  # right, wing, tree of right, wing, struck, tree


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("the wing hit 35 trees", "the wing hit 5 trees"),
        ("it took 3 hours", "it took 3.5 hours"),
        ("the cost was 1,5 million", "the cost was 1,500 million"),
        ("quite another thing", "the wing hit 5 trees"),
        ("of the and", "of the and"),
    ],
)
def test_close_finds_nothing_without_the_numbers_or_any_word(statement, text):
    assert find_close(statement, text) is None


def test_close_stays_within_its_window():
    text = "wing " + "x " * 40 + "spar"
    match = find_close("wing spar", text)
    assert (text[match.start : match.end], match.score) == ("wing", 0.5)


@given(TEXTS)
def test_sentences_and_lines_cover_everything_in_order(text):
    for split in (sentences, lines):
        spans = split(text)
        covered = [False] * len(text)
        last = 0
        for start, end in spans:
            assert last <= start < end
            assert text[start:end] == text[start:end].strip()
            covered[start:end] = [True] * (end - start)
            last = end
        assert all(covered[i] or char.isspace() for i, char in enumerate(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ('He said "Go." Then he went.', ['He said "Go."', "Then he went."]),
        ("It is 3.5 m. That is all.", ["It is 3.5 m.", "That is all."]),
        ("Mr. Smith of Acme Inc. Ohio left at 5 p.m. Friday.", ["Mr. Smith of Acme Inc. Ohio left at 5 p.m. Friday."]),
        ("The U.S. Army, see Fig. 3, No. 5.", ["The U.S. Army, see Fig. 3, No. 5."]),
        ("A heading\n\nand a paragraph", ["A heading", "and a paragraph"]),
        ("broken over\na line. (So was this.)", ["broken over\na line.", "(So was this.)"]),
        ("", []),
    ],
)
def test_sentences(text, expected):
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_lines_are_trimmed_and_blank_ones_left_out():
    text = " a \n\n  b c\r\n"
    assert [text[start:end] for start, end in lines(text)] == ["a", "b c"]


def test_tokens_keep_the_separators_of_numbers():
    assert tokens("At 10:45, 12,500 ft; 3.5% on 12/11/2007.") == [
        "at",
        "10:45",
        "12,500",
        "ft",
        "3.5",
        "on",
        "12/11/2007",
    ]
