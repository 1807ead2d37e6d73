"""Text as it is kept, and whether it can be read at all, in any script. Knows no parser and no layout.

It judges the shape of text, not its meaning: words of an unknown language are legible, text in a wrong but consistent
encoding that still looks like words (a substitution cipher) is too.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections import Counter

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\ufeff]")
_COMPATIBLE = re.compile("[\u2f00-\u2fd5\ufb00-\ufb4f\ufb50-\ufdff\ufe70-\ufefc]+")
_BULLETS = {ord(char): "•" for char in "\uf0b7\uf0a7\uf0a8\uf076\uf0d8\uf0fc\uf06e\uf0b0\uf02d"}


def clean(text: str) -> str:
    """Text as it is kept: Unix line ends, nothing invisible, ligatures and shaped letters spelt out."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xad\n", "")
    text = _CONTROLS.sub("", _INVISIBLE.sub("", text)).replace("\xad", "")
    text = _COMPATIBLE.sub(_spelt_out, text).translate(_BULLETS)
    return re.sub(r"[ \t\xa0]+(?=\n|\Z)", "", text).replace("\xa0", " ")


def clean_word(text: str) -> str:
    """A word as it is kept: a soft hyphen is one (a page draws it), unmapped characters are U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    text = _CONTROLS.sub("\ufffd", _INVISIBLE.sub("", text)).replace("\xad", "-")
    return _COMPATIBLE.sub(_spelt_out, text).translate(_BULLETS)


def _spelt_out(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match.group())


_GLYPH_NAME = re.compile(r"\(cid:\d+\)|/?\b(?:[GgCc]|uni|glyph|cid|index)[0-9A-Fa-f]{2,5}\b|/[A-Za-z]\d+\b")
_PLAIN_WORD = re.compile(r"\b[a-z]*[aeiou][a-z]*\b")
_UNMAPPED = re.compile("[\ufffd\u03e2-\u03ef]")  # Coptic letters are what fonts without a map make of digits
_MOJIBAKE = re.compile(
    "[ÂÃâÐÑØÙ][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)
"""UTF-8 that was read as Windows-1252."""
_VOWELS = frozenset("aeiouyæœøı")  # accents are taken off before
_SAMPLE = 20_000
_LEAST = 20


def is_legible(text: str) -> bool:
    """Whether the text (of a page, say) can be read; True for text too short to tell. See ``legibility``."""
    return legibility(text) >= 0.5


def legibility(text: str) -> float:
    """From 0 (no reader could make sense of it) to 1. Looks at the first 20,000 characters."""
    text = text[:_SAMPLE]
    if 2 * sum(map(len, _PLAIN_WORD.findall(text))) > len(text):
        return 1.0  # much quicker, and true for most pages
    shown = [char for char in text if not char.isspace()]
    if not shown:
        return 1.0
    kinds = Counter(map(unicodedata.category, shown))
    unmapped = kinds["Co"] + kinds["Cn"] + kinds["Cc"] + kinds["Cs"] + len(_UNMAPPED.findall(text))
    if unmapped * 3 > len(shown) and unmapped >= 3:
        return 0.0
    score = 1.0 - 1.4 * unmapped / len(shown)
    if len(shown) < _LEAST:
        return max(0.0, score)
    score -= 1.2 * sum(map(len, _GLYPH_NAME.findall(text))) / len(shown)
    score -= 4.0 * len(_MOJIBAKE.findall(text)) / len(shown)
    letters = sum(count for kind, count in kinds.items() if kind[0] in "LM")
    if letters + sum(count for kind, count in kinds.items() if kind[0] == "N") < 0.25 * len(shown):
        repeated = Counter(shown).most_common(1)[0][1] > 0.5 * len(shown)  # rules and dot leaders
        score -= 0.0 if repeated else 0.6
    elif not text.isascii() and (_mixes_scripts(shown) or _sits_in_one_corner(shown)):
        score = 0.0
    return max(0.0, score - _lacks_words(text, len(shown)))


def _mixes_scripts(shown: list[str]) -> bool:
    """Whether letters of scripts that never share a word stand side by side, again and again."""
    scripts = [_script(char) for char in shown]
    switches = sum(bool(a and b and a != b) for a, b in itertools.pairwise(scripts))
    return switches > 0.15 * len(shown)


@functools.lru_cache(maxsize=20_000)
def _script(char: str) -> str:
    """The script of a letter; one name for those that do share words; "" for all that is no letter."""
    if not char.isalpha():
        return ""
    name = unicodedata.name(char, "").partition(" ")[0]
    return "shared" if name in _SHARED else name


_SHARED = frozenset({
    "LATIN", "GREEK", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO", "FULLWIDTH",
    "HALFWIDTH", "MODIFIER", "IDEOGRAPHIC", "MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "BLACK-LETTER", "MICRO", "OHM",
    "ANGSTROM", "KELVIN", "FEMININE", "MASCULINE",
})  # fmt: skip


def _sits_in_one_corner(shown: list[str]) -> bool:
    """Whether ideographs or syllables all come from two neighbouring pages of 256, or have no low byte.

    Then they are numbers of glyphs, or bytes in the wrong order. Real Chinese and Korean fill dozens of such pages.
    """
    codes = [code for char in shown if 0x3400 <= (code := ord(char)) <= 0xD7A3]
    if len(codes) < max(_LEAST, len(shown) // 3) or len(set(codes)) < 8:
        return False
    pages = Counter(code >> 8 for code in codes)
    corner = max(count + pages[page + 1] for page, count in list(pages.items()))
    return corner > 0.9 * len(codes) or sum(not code & 0xFF for code in codes) > 0.5 * len(codes)


def _lacks_words(text: str, size: int) -> float:
    """How far (0 to 0.7) Latin letters fail to make words; 0 where there are few of them."""
    words = [word for word in re.findall(r"[^\W\d_]+", _without_accents(text)) if word[0].isascii()]
    letters = sum(map(len, words))
    if letters > 0.5 * size and sum(len(word) == 1 for word in words) > max(40, 0.8 * len(words)):
        return 0.7
    if letters < max(60, 0.5 * size):
        return 0.6 if _is_shifted(text, size) else 0.0
    vowels = sum(char in _VOWELS for word in words for char in word.lower())
    odd = sum(len(word) for word in words if _is_odd(word))
    if odd > 0.6 * letters:
        return 0.7
    return 0.6 if vowels < 0.16 * letters or _is_shifted(text, size) else 0.0


def _is_shifted(text: str, size: int) -> bool:
    """Whether it is glyph numbers of a common kind: each 29 too low ("7KH" for "The")."""
    meant = "".join(chr(ord(char) + 29) if "\x03" <= char <= "a" else " " for char in text)
    small = sum("a" <= char <= "z" for char in meant)
    if small < max(20, 0.5 * size) or sum("a" <= char <= "z" for char in text) > 0.2 * size:
        return False
    vowels = sum(char in _VOWELS for char in meant)
    return vowels > 0.28 * small and sum(char in "AEIOUY" for char in text) < 0.2 * size


def _without_accents(text: str) -> str:
    return text if text.isascii() else re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", text))


def _is_odd(word: str) -> bool:
    """A word of three letters or more without any vowel, or with capitals strewn in."""
    if len(word) < 3:
        return False
    strewn = sum(a.islower() and b.isupper() for a, b in itertools.pairwise(word))
    return strewn > 1 + len(word) // 8 or not any(char in _VOWELS for char in word.lower())
