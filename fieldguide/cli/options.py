"""Options that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Root = Annotated[
    Path,
    typer.Option("--workspace", "-w", envvar="FIELDGUIDE_WORKSPACE", help="The workspace folder.", show_default=True),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        help="Only what fits NAME=VALUE: a facet, document=FILE, page=3 or 3-7, date=2019..2021; several values of one "
        "name mean any of them."
    ),
]
User = Annotated[
    str | None, typer.Option("--user", help="Only documents that this user of the settings' [access] may see.")
]
After = Annotated[
    list[str] | None,
    typer.Option("--after", help="What was asked before, if this question leans on it; may be repeated, oldest first."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")]
HERE = Path()
