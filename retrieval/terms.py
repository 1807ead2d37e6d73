"""Text as the terms that the words channel matches: normalised, in words or character bigrams, stemmed by language.

A text and a query go the same way. What a script is written in decides where its words end, so that no language has to
be known for that; the language decides the stem alone. Knows no index.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from tantivy import Filter, PreTokenizedString, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

from retrieval.stopwords import content_words

ANALYSIS = "words-1"
"""Changes with every change of what a text's terms are; an index is searched with the analysis it was made with."""

STEMMERS = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "fi": "finnish",
    "fr": "french", "hu": "hungarian", "it": "italian", "nb": "norwegian", "nl": "dutch", "nn": "norwegian",
    "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish", "ta": "tamil",
    "tr": "turkish",
}  # fmt: skip
"""The Snowball stemmer (snowballstem.org) of a language, by ISO 639-1 code."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""Runs of Thai, Lao, Burmese, Khmer, kana, Han and Hangul (which has spaces, but glues particles to its words)."""
# each begins with the rare character that it is about: several times faster than one that begins with a letter
_THOUSANDS = re.compile(r",(?<=\d,)(?=\d{3}(?!\d))")
_DECIMAL = re.compile(r"\.(?<=\d\.)(?=\d)")
_POSSESSIVE = re.compile(r"['’]s\b")
_HAS_INITIALS = re.compile(r"\.[^\W\d_]\.")
_INITIALS = re.compile(r"\b(?:[^\W\d_]\.){2,}")
_HAS_CODE = re.compile(r"-(?:(?<=\d-)(?=[^\W\d_])|(?<=[^\W\d_]-)(?=\d))")
_CODE = re.compile(r"\b([^\W\d_]+)-(\d\w*)|\b(\d+)-([^\W\d_]+)")
_POINT = "\x1f"  # stands for a decimal point while all other punctuation goes


class _Spaces(dict[int, str]):
    """For ``str.translate``: a space for what is neither letter, mark nor number."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        self[code] = letter if unicodedata.category(letter)[0] in "LMN" else " "
        return self[code]


_SPACES = _Spaces({ord(_POINT): ".", 0x200C: "", 0x200D: "", 0xAD: ""})  # joiners and soft hyphens stand inside words


def stemmed(language: str) -> str:
    """The language whose stems a text in ``language`` gets, such as "en" for "en-GB"; "" where there is no stemmer."""
    code = language.lower().replace("_", "-").partition("-")[0]
    return code if code in STEMMERS else ""


def normalised(text: str) -> str:
    """Lower case, compatible characters unified (NFKC), numbers and codes as people type them, bigrams spaced out.

    "$1,577" becomes 1577; "10-K" becomes 10, k and 10k, so that both spellings meet; "U.S." becomes us.
    """
    text = unicodedata.normalize("NFKC", text).lower().replace("\u2010", "-")
    text = _POSSESSIVE.sub("", _DECIMAL.sub(_POINT, _THOUSANDS.sub("", text)))
    if _HAS_INITIALS.search(text):
        text = _INITIALS.sub(lambda match: match[0].replace(".", "") + " ", text)
    if _HAS_CODE.search(text):
        text = _CODE.sub(lambda match: f"{match[0]} {''.join(part for part in match.groups() if part)}", text)
    text = text.translate(_SPACES)
    return text if text.isascii() else _UNSPACED.sub(_bigrams, text)


def terms(text: str, language: str) -> PreTokenizedString:
    """The terms of a text, as the index takes them."""
    return _analyzer(stemmed(language)).pre_tokenize(normalised(text))


def variants(text: str, languages: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The words of a query but the stop words, each as the distinct terms that texts in ``languages`` have for it."""
    words = " ".join(content_words(normalised(text).split(), [language for language in languages if language]))
    columns = [_analyzer(stemmed(language)).analyze(words) for language in languages]
    return [tuple(dict.fromkeys(row)) for row in zip(*columns, strict=True)]


def _bigrams(match: re.Match[str]) -> str:
    run = match[0]
    pairs = [run[i : i + 2] for i in range(len(run) - 1)] or [run]
    return f" {' '.join(pairs)} "


@lru_cache
def _analyzer(language: str) -> TextAnalyzer:
    """Accents are folded after stemming: the stemmers know them."""
    builder = TextAnalyzerBuilder(Tokenizer.whitespace())
    if language:
        builder = builder.filter(Filter.stemmer(STEMMERS[language]))
    return builder.filter(Filter.ascii_fold()).build()
