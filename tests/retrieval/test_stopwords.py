import pytest

from retrieval.stopwords import content_words


@pytest.mark.parametrize(
    ("text", "languages", "kept"),
    [
        ("what is the quick ratio of it", ["en"], ["quick", "ratio"]),
        ("was ist die katze", ["de"], ["katze"]),
        ("what is die katze", ["en", "de"], ["katze"]),
        ("what is the ratio", ["ar"], ["what", "is", "the", "ratio"]),
        ("what is the ratio", [], ["what", "is", "the", "ratio"]),
        ("to be or not to be", ["en"], ["to", "be", "or", "not", "to", "be"]),
        ("ratio ratio", ["en"], ["ratio", "ratio"]),
        ("", ["en"], []),
    ],
)
def test_stop_words_go_unless_nothing_else_is_left(text, languages, kept):
    assert content_words(text.split(), languages) == kept
