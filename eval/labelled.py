"""Labels that people gave to answers, from a file: what a judge is compared with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval.judge import Correctness, Pair, Preference
from fieldguide.errors import FieldguideError


@dataclass(frozen=True, slots=True)
class Labelled:
    """``pairs`` with what people preferred, and ``graded``: question, reference, answer, and people's grade."""

    pairs: list[tuple[Pair, Preference]]
    graded: list[tuple[str, str, str, Correctness]]


class _Graded(BaseModel):
    model_config = ConfigDict(extra="ignore")

    question: str = Field(min_length=1)
    reference: str = Field(min_length=1)
    answer: str
    label: Literal["correct", "partly", "wrong"]


class _Pair(BaseModel):
    model_config = ConfigDict(extra="ignore")

    question: str = Field(min_length=1)
    first: str
    second: str
    reference: str = ""
    label: Literal["first", "second", "tie"]


def read_labels(path: Path) -> Labelled:
    """JSON lines: {question, reference, answer, label: correct | partly | wrong}, or {question, first, second, label:
    first | second | tie}, with a reference or without. Raises FieldguideError that lists every faulty line."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FieldguideError(f"The labels in {path} cannot be read: {error}.") from None
    found, faults = Labelled([], []), []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if isinstance(row, dict) and "first" in row:
                pair = _Pair.model_validate(row)
                found.pairs.append((Pair(pair.question, pair.first, pair.second, pair.reference), pair.label))
            else:
                graded = _Graded.model_validate(row)
                found.graded.append((graded.question, graded.reference, graded.answer, graded.label))
        except ValidationError as error:
            faults += [f"line {number}: {'.'.join(map(str, e['loc'])) or 'all'}: {e['msg']}" for e in error.errors()]
        except ValueError as error:
            faults.append(f"line {number}: not JSON ({error})")
    if faults:
        raise FieldguideError(f"{len(faults)} fault(s) in {path}:\n  " + "\n  ".join(faults))
    if not (found.pairs or found.graded):
        raise FieldguideError(f"{path} holds no labels.")
    return found
