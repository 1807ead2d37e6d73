# A process that builds the index is killed at any moment: what was in use still is, and a rerun ends well.

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Index, Retrieval
from fieldguide.types import Chunk, Document, QAPair, Silent, content_hash
from retrieval.build import build_index
from retrieval.index import KIND, gone_ids
from retrieval.retriever import HybridRetriever

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and kill -9")

WORDS = ["wing", "tree", "pilot", "crack", "spar", "fuel", "engine", "storm", "ice", "runway", "gear", "flap"]
QUERIES = ["wing storm", "fuel and ice", "a crack in the spar"]
EXACT, LISTS = Index(), Index(exact_up_to=100)
KILLS = 5


class Slow(HashingEmbedder):
    """Takes a hundredth of a second for each batch, as a model would take more."""

    def embed(self, texts):
        time.sleep(0.01)
        return super().embed(texts)


def add(catalog, name, chunks):
    chance = random.Random(name)
    made = [
        Chunk(content_hash(name, str(n)), name, (), " ".join(chance.choices(WORDS, k=9)), (), "") for n in range(chunks)
    ]
    catalog.store_document(Document(name, name, name), Reading("r"), [], made, FileRecord(name, name, 1, "read", ""))
    for chunk in made[:5]:
        pair = QAPair(f"q-{chunk.id}", f"what of {chunk.text}?", "yes", name, chunk.id, (), "fact", "rules", "train")
        catalog.store_pairs(chunk.id, "rules", [pair], [])


def small(catalog):
    add(catalog, "new", 6)


def deletions(catalog):
    add(catalog, "new", 4)
    catalog.remove_documents(["d3"])


def large(catalog):
    add(catalog, "new", 80)
    catalog.remove_documents(["d1", "d2"])


CASES = {
    "small update": (small, EXACT, {}),
    "update with deletions": (deletions, EXACT, {"questions": True}),
    "merge": (deletions, EXACT, {"merge": True}),
    "lists, merged after a while": (large, LISTS, {}),
}


def build(root, settings, **options):
    catalog = Catalog.open(root / "catalog.sqlite")
    build_index(catalog, root / "index", settings, Slow(48), Silent(), **options)
    catalog.close()


def answers(root):
    """What the index in use finds, read anew."""
    catalog = Catalog.open(root / "catalog.sqlite")
    opened = HybridRetriever.open(catalog, root / "index", HashingEmbedder(48), Retrieval(depth=20, clues=False))
    index = opened._index
    found = [[(hit.chunk.id, hit.scores) for hit in hits] for hits in opened.retrieve(QUERIES, 20)]
    ids = set(index.dense.ids()), len(index.words)
    opened.close()
    catalog.close()
    return found, ids


def killed(root, settings, options, after):
    """Whether a build in a process of its own was still going on when it was killed ``after`` seconds."""
    child = os.fork()
    if child == 0:
        try:
            build(root, settings, **options)
        finally:
            os._exit(0)
    time.sleep(after)
    done, _ = os.waitpid(child, os.WNOHANG)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return not done


def left(root):
    """What lies in the index folder that no version in the catalogue names."""
    catalog = Catalog.open(root / "catalog.sqlite")
    rows = [row.manifest for row in catalog.artefacts(KIND)]
    catalog.close()
    named = {row["id"] for row in rows} | {part for row in rows for parts in row["parts"].values() for part in parts}
    folders = [*(root / "index").iterdir(), *(root / "index" / "parts").iterdir()]
    return [folder.name for folder in folders if folder.is_dir() and folder.name not in {*named, "parts"}]


def wanted(root):
    catalog = Catalog.open(root / "catalog.sqlite")
    ids = set(catalog.chunk_ids())
    catalog.close()
    return ids


@pytest.mark.parametrize("case", CASES)
def test_a_killed_update_leaves_the_index_in_use_and_a_rerun_ends_it(case, tmp_path):
    change, settings, options = CASES[case]
    catalog = Catalog.open(tmp_path / "catalog.sqlite")
    for number in range(8):
        add(catalog, f"d{number}", 30)
    catalog.close()
    first = {key: value for key, value in options.items() if key == "questions"}
    build(tmp_path, settings, **first)
    ids_before = answers(tmp_path)[1]
    catalog = Catalog.open(tmp_path / "catalog.sqlite")
    change(catalog)
    catalog.close()
    before = answers(tmp_path)
    assert before[1] == ids_before
    chance, caught = random.Random(case), 0
    for _ in range(KILLS):
        caught += killed(tmp_path, settings, options, chance.uniform(0.0, 0.12))
        after = answers(tmp_path)
        assert after == before or after[1] == (wanted(tmp_path), len(wanted(tmp_path)))
    build(tmp_path, settings, **options)
    ids, words = answers(tmp_path)[1]
    assert caught
    assert ids == wanted(tmp_path)
    assert words == len(ids)
    assert left(tmp_path) == []
    if options.get("merge"):
        catalog = Catalog.open(tmp_path / "catalog.sqlite")
        assert gone_ids(tmp_path / "index", catalog.active(KIND).manifest) == frozenset()
        catalog.close()


def test_a_first_build_that_is_killed_goes_on_and_what_was_undone_meanwhile_leaves_nothing(tmp_path):
    catalog = Catalog.open(tmp_path / "catalog.sqlite")
    for number in range(8):
        add(catalog, f"d{number}", 30)
    catalog.close()
    for n in range(KILLS):
        killed(tmp_path, EXACT, {}, 0.01 * n)
    build(tmp_path, EXACT)
    fine = answers(tmp_path)
    assert fine[1] == (wanted(tmp_path), 240)
    part = tmp_path / "index" / "parts" / "0123456789abcdef"  # as a killed run leaves it
    part.mkdir()
    (part / "settings.json").write_text(EXACT.model_dump_json())
    Path(tmp_path / "index" / ".fedcba9876543210.x.part").mkdir()
    build(tmp_path, EXACT)
    assert left(tmp_path) == []
    assert answers(tmp_path) == fine
