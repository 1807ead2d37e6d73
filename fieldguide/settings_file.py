"""Setting values in a fieldguide.toml that a person also writes: comments, order and everything else stay.

Knows the file's form, not what the settings mean; ``load_settings`` is asked whether the result is good.
"""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldguide.errors import SettingsError
from fieldguide.files import write_atomically
from fieldguide.settings import load_settings

Values = Mapping[str, Mapping[str, Any]]


def change_settings(path: Path, values: Values) -> None:
    """Set ``{section: {name: value}}`` in the settings file; what is not named stays as it is, comments included.

    A name that only stands in a commented line, as the template writes the defaults, takes that line's place and keeps
    its description. A section that is missing is added at the end. Raises SettingsError, and leaves the file alone, if
    it is faulty before or would be after.
    """
    load_settings(path)
    target = path.resolve()  # a link stays a link
    before = target.read_bytes().decode("utf-8")
    text = _with_values(before, values)
    if tomllib.loads(text) != _expected(tomllib.loads(before), values):
        wanted = ", ".join(f"{section}.{name}" for section, names in values.items() for name in names)
        raise SettingsError(
            f"{path} is written in a way that cannot be changed from here; set {wanted} in it yourself."
        )
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / path.name
        trial.write_bytes(text.encode("utf-8"))
        load_settings(trial)
    if text != before:
        write_atomically(target, text)


def _with_values(text: str, values: Values) -> str:
    """The file's text with the values set."""
    import tomlkit

    for section, names in values.items():
        for name in names:
            text = _uncommented(text, section, name)
    document = tomlkit.parse(text)
    for section, names in values.items():
        if section not in document:
            document[section] = tomlkit.table()
        for name, value in names.items():
            _set(document[section], name, _plain(value))
    return tomlkit.dumps(document)


def _set(section: Any, name: str, value: Any) -> None:
    """One value in a section's table as tomlkit has it."""
    import tomlkit
    from tomlkit.items import Table

    old = section.get(name)
    if old is not None and old.unwrap() == value:
        return  # as it stands, with the comments inside it
    if isinstance(value, dict) and isinstance(old, Table):
        old.clear()  # a table of its own stays one
        old.update(value)
    elif isinstance(value, dict):
        section[name] = tomlkit.inline_table()
        section[name].update(value)
    else:
        section[name] = value


def _uncommented(text: str, section: str, name: str) -> str:
    """The text with the commented line of the section's ``name`` made a real one; unchanged if there is none.

    Which section a line belongs to is what a reader of the file finds there once the line is uncommented.
    """
    given = tomllib.loads(text)
    if name in given.get(section, {}):
        return text
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not re.match(rf"#\s*{re.escape(name)}\s*=", line):
            continue
        changed = "\n".join([*lines[:number], line.removeprefix("#").lstrip(), *lines[number + 1 :]])
        try:
            found = tomllib.loads(changed)
        except tomllib.TOMLDecodeError:
            continue
        inside = found.get(section, {})
        if name in inside and found == {**given, section: {**given.get(section, {}), name: inside[name]}}:
            return changed
    return text


def _plain(value: Any) -> Any:
    """The value as TOML has it."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def _expected(given: Mapping[str, Any], values: Values) -> dict[str, Any]:
    out = dict(given)
    for section, names in values.items():
        out[section] = {**out.get(section, {}), **{name: _plain(value) for name, value in names.items()}}
    return out
