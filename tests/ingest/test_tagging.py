from fieldguide.catalog import FileRecord, Reading
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Facets
from fieldguide.types import Chunk, Document, Silent, Span
from ingest.tagging import tag

SETTINGS = Facets(generated={"phase": ("takeoff", "cruise")})


def add(catalog, name, *texts):
    chunks = [Chunk(f"{name}-{n}", name, (Span(1, 0, len(text)),), text) for n, text in enumerate(texts)]
    catalog.store_document(Document(name, name, name), Reading("r"), [], chunks, FileRecord(name, name, 1, "read", ""))


def replies(prompt, adapter):
    text = prompt[-1].content
    return "takeoff" if text.startswith("climb") else "it was rough" if text.startswith("rough") else "none"


def test_each_chunk_is_asked_about_once_until_the_question_changes(catalog):
    add(catalog, "d", "climb of the Aerostar", "rough air", "the pilot")
    generator = ScriptedGenerator(replies)
    assert tag(catalog, SETTINGS, generator, Silent()) == {"phase: the answer is none of the values": 1}
    assert catalog.chunks_where({"phase": ["takeoff"]}) == {"d-0"}
    assert catalog.facet_values() == {"phase": {"takeoff": 1}}
    assert len(generator.calls) == 3
    add(catalog, "e", "climb of the Cessna")
    assert tag(catalog, SETTINGS, generator, Silent()) == {}
    assert (len(generator.calls), catalog.facet_values()) == (4, {"phase": {"takeoff": 2}})
    tag(catalog, Facets(generated={"phase": ("landing",)}), generator, Silent())
    assert (len(generator.calls), catalog.facet_values()) == (8, {})


def test_other_facets_found_anew_leave_the_picked_ones(catalog):
    add(catalog, "d", "climb of the Aerostar")
    tag(catalog, SETTINGS, ScriptedGenerator(replies), Silent())
    catalog.store_facets("d", "new", [("", "language", "en")], keep=["_generated", "phase"])
    generator = ScriptedGenerator(replies)
    tag(catalog, SETTINGS, generator, Silent())
    assert generator.calls == []
    assert catalog.facet_values() == {"language": {"en": 1}, "phase": {"takeoff": 1}}
