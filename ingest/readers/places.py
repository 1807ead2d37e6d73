"""What the reading process tells of one page beside its text: the place of each character, and its picture.

Runs inside that process (``ingest.readers.child``). Opens no file that needs a password.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ingest.layout.glyphs import Glyphs, Rect
from ingest.readers.base import CannotOpen, PageFault, PasswordNeeded, phrase

_HIGHLIGHT = (255, 226, 77)
_EDGE = (230, 150, 0)


@dataclass(frozen=True, slots=True)
class GlyphsTask:
    """Tell where the characters of page ``number`` (from 1) stand; the answer is Glyphs, or why not as a phrase."""

    path: Path
    number: int


@dataclass(frozen=True, slots=True)
class PictureTask:
    """Draw page ``number`` (from 1) with rectangles highlighted; the answer is a PNG, or why not as a phrase.

    ``rects`` are in points from the top left corner of the page as it is displayed. ``crop`` (likewise; none for the
    whole page) is the part that is drawn.
    """

    path: Path
    number: int
    dpi: float
    rects: tuple[Rect, ...] = ()
    crop: Rect | None = None


PageTask = GlyphsTask | PictureTask


def look(task: PageTask, memory_mb: int) -> Glyphs | bytes | str:
    """Do the task; a file that cannot be used is a phrase without a full stop, never an exception."""
    work: Callable[[], Glyphs | bytes] = (
        (lambda: _glyphs(task)) if isinstance(task, GlyphsTask) else (lambda: _picture(task))
    )
    try:
        return work()
    except PasswordNeeded:
        return "the file is encrypted"
    except CannotOpen as error:
        return f"the file cannot be opened: {phrase(error)}"
    except PageFault as error:
        return phrase(error)
    except MemoryError:
        return f"the page takes more than ingest.file_memory_mb = {memory_mb}"
    except Exception as error:  # whatever a broken file provokes is a reason, not the end
        return f"the page cannot be read ({type(error).__name__}: {phrase(error)})"


def _glyphs(task: GlyphsTask) -> Glyphs:
    from ingest.readers.pdfium import PdfiumFile

    file = PdfiumFile(task.path)
    try:
        return file.glyphs(task.number)
    finally:
        file.close()


def _picture(task: PictureTask) -> bytes:
    from PIL import Image, ImageChops, ImageDraw

    from ingest.readers.pdfium import PdfiumFile

    file = PdfiumFile(task.path)
    try:
        image, dpi = file.colour_image(task.number, task.dpi)
    finally:
        file.close()
    scale = dpi / 72
    if task.rects:
        layer = Image.new("RGB", image.size, "white")
        pen = ImageDraw.Draw(layer)
        for x0, top, x1, bottom in task.rects:  # a pixel more on each side, so that the edge is beside the text
            sides = (scale * x0 - 1, scale * top - 1, scale * x1 + 1, scale * bottom + 1)
            pen.rectangle(sides, fill=_HIGHLIGHT, outline=_EDGE)
        image = ImageChops.multiply(image.convert("RGB"), layer)
    if task.crop is not None:
        image = image.crop(tuple(round(scale * side) for side in task.crop))
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
