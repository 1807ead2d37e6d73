"""Passwords for encrypted files: lines PATTERN=PASSWORD from the environment and a file. They appear in no message."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fieldguide.errors import SettingsError

VARIABLE = "FIELDGUIDE_PASSWORDS"


@dataclass(frozen=True, slots=True)
class Passwords:
    """Pairs of a pattern (a glob over a file's name or path) and a password, in order."""

    pairs: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __call__(self, path: Path) -> tuple[str, ...]:
        """The passwords to try on a file, the empty one first, none twice."""
        full = path.as_posix()
        fits = (password for pattern, password in self.pairs if _fits(pattern, path.name, full))
        return tuple(dict.fromkeys(["", *fits]))


def load_passwords(keyfile: str = "", environment: Mapping[str, str] = os.environ) -> Passwords:
    """The environment's passwords, then the keyfile's. Raises SettingsError, which tells the place but no password."""
    pairs = _pairs(environment.get(VARIABLE, "").replace(";", "\n"), f"{VARIABLE} in the environment")
    if keyfile:
        try:
            text = Path(keyfile).expanduser().read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SettingsError(f"The file of passwords {keyfile} (ingest.keyfile) cannot be read: {reason}.") from None
        pairs += _pairs(text, f"{keyfile} (ingest.keyfile)")
    return Passwords(tuple(pairs))


def _pairs(text: str, source: str) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        pattern, mark, password = line.partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not mark or not pattern.strip() or not password.strip():
            raise SettingsError(f"Line {number} of {source} is not of the form PATTERN=PASSWORD.")
        pairs.append((pattern.strip(), password.strip()))
    return pairs


def _fits(pattern: str, name: str, full: str) -> bool:
    pattern = pattern.replace("\\", "/")
    return any(
        fnmatch.fnmatchcase(text, glob) for text, glob in ((name, pattern), (full, pattern), (full, f"*/{pattern}"))
    )
