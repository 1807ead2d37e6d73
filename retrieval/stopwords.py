"""Words that a question is made with, whatever it is about. A query is searched without them, texts keep them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

_ENGLISH = (
    "i", "me", "my", "myself", "we", "our", "ours", "ourselves", "you", "your", "yours", "yourself", "yourselves",
    "he", "him", "his", "himself", "she", "her", "hers", "herself", "it", "its", "itself", "they", "them",
    "their", "theirs", "themselves", "what", "which", "who", "whom", "this", "that", "these", "those", "am", "is",
    "are", "was", "were", "be", "been", "being", "have", "has", "had", "having", "do", "does", "did", "doing",
    "would", "should", "could", "ought", "a", "an", "the", "and", "but", "if", "or", "because", "as", "until",
    "while", "of", "at", "by", "for", "with", "about", "against", "between", "into", "through", "during",
    "before", "after", "above", "below", "to", "from", "up", "down", "in", "out", "on", "off", "over", "under",
    "again", "further", "then", "once", "here", "there", "when", "where", "why", "how", "all", "any", "both",
    "each", "few", "more", "most", "other", "some", "such", "no", "nor", "not", "only", "own", "same", "so",
    "than", "too", "very", "s", "t", "can", "will", "just", "don", "now",
)  # fmt: skip
"""Snowball's list (snowballstem.org/algorithms/english/stop.txt). Tantivy's English one has no question words."""

_LISTS = {
    "da": "danish", "de": "german", "es": "spanish", "fi": "finnish", "fr": "french", "hu": "hungarian",
    "it": "italian", "nb": "norwegian", "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pt": "portuguese",
    "ru": "russian", "sv": "swedish",
}  # fmt: skip
"""Tantivy's lists, which are Snowball's, by ISO 639-1 code."""


def content_words(words: Sequence[str], languages: Sequence[str] = ("en",)) -> list[str]:
    """The words (in lower case) that are no stop words of the languages; all of them where nothing else is left."""
    kept = list(words)
    for language in languages:
        analyzer = _analyzer(language)
        if analyzer is not None:
            content = set(analyzer.analyze(" ".join(kept)))
            kept = [word for word in kept if word in content]
    return kept or list(words)


@lru_cache
def _analyzer(language: str) -> TextAnalyzer | None:
    if language == "en":
        stop = Filter.custom_stopword(list(_ENGLISH))
    elif language in _LISTS:
        stop = Filter.stopword(_LISTS[language])
    else:
        return None
    return TextAnalyzerBuilder(Tokenizer.whitespace()).filter(stop).build()
