"""Facets that a generator picks: asked once for each chunk, and again when the question changes.

Runs after the files are read, since it needs a model. Knows nothing of prompts (see ``ingest.facets``).
"""

from __future__ import annotations

from collections import Counter

from fieldguide.catalog import Catalog
from fieldguide.models.base import Generator
from fieldguide.settings import Facets
from fieldguide.types import Progress
from ingest.facets import generated_facets, generated_id

MARK = "_generated"
"""A facet of its own that says with which model and lists a chunk was tagged."""

_BATCH = 16


def tag(catalog: Catalog, settings: Facets, generator: Generator, progress: Progress) -> Counter[str]:
    """Pick the facets of every chunk that was not asked about yet; why answers did not count, with their number."""
    recipe = generated_id(settings, generator)
    marked = {(chunk, value) for _, chunk, name, value in catalog.facets() if name == MARK}
    if any(value != recipe for _, value in marked):
        for name in (MARK, *settings.generated):
            catalog.drop_facet(name)
        marked = set()
    done = {chunk for chunk, _ in marked}
    waiting = [chunk for chunk in catalog.iter_chunks() if chunk.id not in done]
    refused: Counter[str] = Counter()
    progress.start("tagging", len(done) + len(waiting), done=len(done))
    for start in range(0, len(waiting), _BATCH):
        batch = waiting[start : start + _BATCH]
        rows = []
        for chunk, picked in zip(batch, generated_facets(batch, settings, generator), strict=True):
            rows.append((chunk.document, chunk.id, MARK, recipe))
            rows += [(chunk.document, chunk.id, n, value) for n, values in picked.values.items() for value in values]
            refused.update(f"{name}: {reason.partition(':')[0]}" for name, reason in picked.unparsed)
        catalog.add_facets(rows)
        progress.advance(len(batch))
    return refused
