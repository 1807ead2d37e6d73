import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from fieldguide.errors import FieldguideError, ModelError, NotReady
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Retrieval
from fieldguide.types import Chunk, ScoredChunk
from retrieval import listwise
from retrieval.listwise import ListwiseReranker, read_order
from retrieval.mmr import marginal_relevance
from retrieval.qim import influence, quantise
from retrieval.query import Queries, Tools
from retrieval.rerank import reranker
from retrieval.rescore import rescored, to_unit

PLACES = {"c1": [1.0, 0.0], "c2": [0.8, 0.6], "c3": [0.6, 0.8], "c4": [0.0, 1.0]}

EMBEDDER = HashingEmbedder(8)


def vectors_of(ids):
    return np.asarray([PLACES[name] for name in ids], dtype=np.float32)


def candidates(*names, scores=None):
    return [
        ScoredChunk(Chunk(name, "d", (), f"text of {name}"), score, rank, {"dense": score}, {"dense": rank})
        for rank, (name, score) in enumerate(zip(names, scores or [1 / n for n in range(1, len(names) + 1)]), 1)
    ]


def names(ranked):
    return [held.chunk.id for held in ranked]


def queries(*texts):
    return Queries(texts or ["which?"], HashingEmbedder())


def tools(generator=None, **more):
    return Tools(lambda: generator, lambda: None, **more)


def test_rescored_keeps_what_other_steps_said_and_breaks_ties_by_the_old_order():
    found = rescored("mmr", candidates("a", "b", "c", scores=[0.9, 0.8, 0.7]), [0.1, 0.5, 0.5])
    assert names(found) == ["b", "c", "a"]
    assert [held.rank for held in found] == [1, 2, 3]
    assert [held.score for held in found] == [0.5, 0.5, 0.1]
    assert found[0].scores == {"dense": 0.8, "mmr": 0.5}
    assert found[0].ranks == {"dense": 2, "mmr": 1}
    with pytest.raises(ValueError, match="3 candidates, 1 scores"):
        rescored("mmr", candidates("a", "b", "c"), [0.1])


def test_scores_brought_to_one_scale():
    assert to_unit([2.0, 4.0, 3.0]).tolist() == [0.0, 1.0, 0.5]
    assert to_unit([7.0, 7.0]).tolist() == [1.0, 1.0]
    assert to_unit([]).tolist() == []


# QIM


def test_levels_are_bins_of_equal_width_of_each_row():
    assert quantise([[0.0, 0.49, 0.5, 1.0], [-3.0, -2.0, 0.9, 1.0]], 2).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]
    assert quantise([[0.0, 1.0, 2.0, 15.9, 16.0]]).tolist() == [[0, 1, 2, 15, 15]]
    assert quantise([[5.0, 5.0]]).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("levels", "document", "value"),
    [
        (2, [0, 0, 1, 1], 1.0),  # parts' means 0 and 1, mean ½: (2²·¼ + 2²·¼) / (4 · ½)
        (2, [1, 1, 0, 0], 1.0),
        (2, [0, 1, 0, 1], 0.0),  # both parts have the mean of all
        (2, [0, 0, 0, 1], 0.5 / (4 * np.sqrt(3 / 16))),  # means 0 and ½, mean ¼: (4/16 + 4/16) / (4 · √(¼ · ¾))
        (16, [0, 0, 1, 1], 15.0),  # levels 0 and 15, mean 7½: 2 · 4 · 56¼ / (4 · 7½)
        (16, [7, 7, 7, 7], 0.0),  # no deviation: defined as 0
    ],
)
def test_influence_by_hand(levels, document, value):
    assert influence([0, 0, 1, 1], [document], levels) == pytest.approx([value])


def test_influence_of_uneven_parts_by_hand():
    # query levels 0 0 0 3, document levels 0 1 2 3 of 4: means 1 and 3, mean 1½: (9·¼ + 1·2¼) / (4 · √1¼)
    assert influence([0, 0, 0, 1], [[0, 1, 2, 3]], 4) == pytest.approx([4.5 / (4 * np.sqrt(1.25))])


def test_influence_of_a_constant_query_is_zero_and_of_no_documents_nothing():
    assert influence([2.0, 2.0, 2.0], [[1.0, 2.0, 3.0]]).tolist() == [0.0]
    assert influence([1.0, 2.0], np.zeros((0, 2))).tolist() == []


def test_influence_ignores_sign_and_agrees_with_the_size_of_the_cosine():
    rng = np.random.default_rng(0)
    query = rng.normal(size=384)
    query /= np.linalg.norm(query)
    noise = rng.normal(size=(500, 384))
    noise -= (noise @ query)[:, None] * query
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    cosines = rng.uniform(-0.65, 0.65, 500)
    documents = cosines[:, None] * query + np.sqrt(1 - cosines**2)[:, None] * noise
    found = influence(query, documents)
    assert influence(query, -documents) == pytest.approx(found)
    assert influence(query, [-query]) == pytest.approx(influence(query, [query]))
    assert spearmanr(found, abs(cosines)).statistic == pytest.approx(0.94, abs=0.02)


def test_influence_of_many_is_that_of_each():
    rng = np.random.default_rng(1)
    query, documents = rng.normal(size=48), rng.normal(size=(20, 48))
    assert influence(query, documents) == pytest.approx([influence(query, [one])[0] for one in documents])


def test_qim_reranks_by_influence():
    class Flat(HashingEmbedder):
        def embed(self, texts):
            return np.asarray([[0, 0, 1, 1]] * len(texts), dtype=np.float32)

    held = {"a": [0, 1, 0, 1], "b": [0, 0, 0, 1], "c": [0, 0, 1, 1]}
    step = reranker(
        "qim", Retrieval(), None, lambda ids: np.asarray([held[name] for name in ids], dtype=np.float32), EMBEDDER
    )
    found, empty = step.rerank(Queries(["x", "y"], Flat()), [candidates("a", "b", "c"), []])
    assert names(found) == ["c", "b", "a"]
    assert [one.scores["qim"] for one in found] == pytest.approx([15.0, 15 * 0.5 / (4 * np.sqrt(3 / 16)), 0.0])
    assert empty == []
    assert step.id == "qim:16"


# MMR


def test_marginal_relevance_by_hand():
    # λ = ½. First: ½ · 1. Then c2: ½ · 0.9 − ½ · 0.8 = 0.05, c4: ½ · 0.5 − 0 = 0.25. Last c2, as near to c1 as before.
    found = marginal_relevance([1.0, 0.9, 0.5], vectors_of(["c1", "c2", "c4"]), 0.5)
    assert found == pytest.approx([0.5, 0.05, 0.25])


def test_without_diversity_relevance_and_with_nothing_else_no_relevance():
    assert marginal_relevance([0.2, 1.0, 0.5], vectors_of(["c1", "c2", "c4"]), 0.0) == pytest.approx([0.2, 1.0, 0.5])
    # all alike at first, so the first; then c4 (0 from it), then c2 (0.8 from c1)
    assert marginal_relevance([0.2, 1.0, 0.5], vectors_of(["c1", "c2", "c4"]), 1.0) == pytest.approx([0, -0.8, 0])


def test_opposite_vectors_are_no_better_than_unrelated_ones():
    vectors = np.asarray([[1, 0], [-1, 0], [0, 1]], dtype=np.float32)
    assert marginal_relevance([1.0, 0.5, 0.5], vectors, 0.5) == pytest.approx([0.5, 0.25, 0.25])


def test_mmr_brings_the_scores_that_it_is_given_to_one_scale():
    step = reranker("mmr", Retrieval(diversity=0.5), None, vectors_of, EMBEDDER)
    (found,) = step.rerank(queries(), [candidates("c1", "c2", "c4", scores=[0.030, 0.029, 0.020])])
    assert names(found) == ["c1", "c2", "c4"]  # ½·0.9 − ½·0.8 = 0.05 against ½·0 − 0
    assert [one.score for one in found] == pytest.approx([0.5, 0.05, -0.3])
    assert step.id != reranker("mmr", Retrieval(diversity=0.4), None, vectors_of, EMBEDDER).id


# Listwise


@pytest.mark.parametrize(
    ("reply", "order"),
    [
        ("[2] > [3] > [1]", [1, 2, 0]),
        ("3, 1", [2, 0, 1]),
        ("[2] > [2] > [9] > [0] > [1]", [1, 0, 2]),
        ("The best is passage 3.", [2, 0, 1]),
        ("no idea", [0, 1, 2]),
        ("99999999999999999999", [0, 1, 2]),
    ],
)
def test_orders_are_read_leniently(reply, order):
    assert read_order(reply, 3) == order


def test_listwise_shows_numbered_passages_and_takes_the_order():
    generator = ScriptedGenerator(["[3] > [1] > [2]"])
    step = reranker("listwise", Retrieval(), tools(generator), vectors_of, EMBEDDER)
    (found,) = step.rerank(queries("which?"), [candidates("c1", "c2", "c3")])
    assert names(found) == ["c3", "c1", "c2"]
    assert [one.score for one in found] == pytest.approx([1, 2 / 3, 1 / 3])
    shown = generator.calls[0][0][-1].content
    assert shown.startswith("[1] text of c1\n\n[2] text of c2\n\n[3] text of c3\n\nQuestion: which?")
    assert "Order the 3 passages" in shown
    assert generator.calls[0][1] is None


def test_replies_that_say_no_order_are_counted():
    step = ListwiseReranker(ScriptedGenerator(["nothing", "[2]", "2 1"]))
    first, second, third = step.rerank(queries("a", "b", "c"), [candidates("c1", "c2")] * 3)
    assert [names(first), names(second), names(third)] == [["c1", "c2"], ["c2", "c1"], ["c2", "c1"]]
    assert (step.asked, step.unparsed, step.incomplete) == (3, 1, 1)


def best_first(prompt, adapter):
    """Orders passages by the number that their text holds, highest first."""
    lines = [line for line in prompt[-1].content.splitlines() if line.startswith("[")]
    worth = {number: int(line.rsplit(" ", 1)[1]) for number, line in enumerate(lines, 1)}
    return " > ".join(f"[{number}]" for number in sorted(worth, key=lambda n: -worth[n]))


@pytest.mark.parametrize(("window", "best"), [(20, 9), (4, 2), (2, 1)])
def test_the_best_of_the_last_rise_through_all_windows(monkeypatch, window, best):
    monkeypatch.setattr(listwise, "WINDOW", window)
    held = [ScoredChunk(Chunk(str(n), "d", (), f"worth {n}"), 1.0, n + 1) for n in range(9)]
    step = ListwiseReranker(ScriptedGenerator(best_first))
    found, single, empty = step.rerank(queries("a", "b", "c"), [held, held[:1], []])
    assert names(found)[:best] == [str(n) for n in range(8, 8 - best, -1)]
    assert sorted(names(found)) == [str(n) for n in range(9)]
    assert (names(single), empty) == (["0"], [])


def test_fewer_passages_are_shown_to_a_small_window():
    generator = ScriptedGenerator(best_first, context_tokens=listwise.WINDOW * 6 + 60)
    held = [ScoredChunk(Chunk(str(n), "d", (), f"{'word ' * 8}{n}"), 1.0, n + 1) for n in range(6)]
    (found,) = ListwiseReranker(generator).rerank(queries(), [held])
    assert names(found)[0] == "5"
    assert max(prompt[-1].content.count("word word") for prompt, _ in generator.calls) < 24


# Factory and cross-encoder


def test_factory_says_what_is_missing():
    with pytest.raises(FieldguideError, match="known are cross-encoder, sentences, listwise, qim and mmr"):
        reranker("best", Retrieval(), None, vectors_of, EMBEDDER)
    with pytest.raises(FieldguideError, match="needs a generator"):
        reranker("listwise", Retrieval(), None, vectors_of, EMBEDDER)
    for given in (None, tools()):
        with pytest.raises(NotReady, match="tune --reranker"):
            reranker("cross-encoder", Retrieval(), given, vectors_of, EMBEDDER)


def test_a_cross_encoder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="is not in the offline folder"):
        reranker("cross-encoder", Retrieval(cross_encoder="some/model"), tools(models=tmp_path), vectors_of, EMBEDDER)
    (tmp_path / "broken").mkdir()
    with pytest.raises(ModelError, match="holds no safetensors"):
        reranker("cross-encoder", Retrieval(cross_encoder=str(tmp_path / "broken")), None, vectors_of, EMBEDDER)


def write_cross_encoder(folder, labels=1):
    """A random BERT of one layer with a word tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "which?", "text", "of", "c1", "c2", "c3"]
    inner = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=32,
    ).save_pretrained(folder)  # fmt: skip
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, num_labels=labels, initializer_range=1.0,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_cross_encoder(tmp_path_factory.mktemp("cross") / "encoder")


def test_cross_encoder_orders_by_its_own_output(model):
    step = reranker("cross-encoder", Retrieval(cross_encoder=str(model)), None, vectors_of, EMBEDDER)
    pairs = [("which?", f"text of {name}") for name in ("c1", "c2", "c3")]
    outputs = dict(zip(["c1", "c2", "c3"], step.scores(pairs)))
    assert len(set(outputs.values())) == 3
    assert step.scores(pairs[::-1])[::-1] == pytest.approx(step.scores(pairs), abs=1e-5)
    found, empty = step.rerank(queries("which?", "which?"), [candidates("c1", "c2", "c3"), []])
    assert names(found) == sorted(outputs, key=lambda name: -outputs[name])
    assert [one.score for one in found] == pytest.approx(sorted(outputs.values(), reverse=True), abs=1e-5)
    assert empty == []


def test_cross_encoder_that_was_tuned_is_weighed_against_the_score_before(model, tmp_path):
    import shutil

    tuned = shutil.copytree(model, tmp_path / "tuned")
    given = candidates("c1", "c2", "c3", scores=[0.3, 0.2, 0.1])
    found = {}
    for weight in (0.0, 0.25, 1.0):
        (tuned / "manifest.json").write_text(json.dumps({"weight": weight}))
        step = reranker("cross-encoder", Retrieval(), tools(cross_encoder=tuned), vectors_of, EMBEDDER)
        (ranked,) = step.rerank(queries(), [given])
        found[weight] = {one.chunk.id: one.score for one in ranked}, step.id
    assert found[0.0][0] == pytest.approx({"c1": 1.0, "c2": 0.5, "c3": 0.0})
    alone = to_unit([found[1.0][0][name] for name in ("c1", "c2", "c3")])
    assert [found[0.25][0][name] for name in ("c1", "c2", "c3")] == pytest.approx(
        0.25 * alone + 0.75 * np.asarray([1.0, 0.5, 0.0]), abs=1e-6
    )
    assert len({key for _, key in found.values()}) == 3


def test_a_manifest_without_sense_is_refused(model, tmp_path):
    import shutil

    tuned = shutil.copytree(model, tmp_path / "tuned")
    (tuned / "manifest.json").write_text('{"weight": 3}')
    with pytest.raises(ModelError, match="must be between 0 and 1"):
        reranker("cross-encoder", Retrieval(cross_encoder=str(tuned)), None, vectors_of, EMBEDDER)
    (tuned / "manifest.json").write_text("[]")
    with pytest.raises(ModelError, match="not the manifest of a reranker"):
        reranker("cross-encoder", Retrieval(cross_encoder=str(tuned)), None, vectors_of, EMBEDDER)


def test_classes_and_foreign_code_are_refused(model, tmp_path):
    import shutil

    folder = write_cross_encoder(tmp_path / "classes", labels=3)
    with pytest.raises(ModelError, match="gives 3 classes"):
        reranker("cross-encoder", Retrieval(cross_encoder=str(folder)), None, vectors_of, EMBEDDER)
    foreign = shutil.copytree(model, tmp_path / "foreign")
    (foreign / "modules.json").write_text('[{"type": "own.module.Thing", "path": ""}]')
    with pytest.raises(ModelError, match="run code of its own"):
        reranker("cross-encoder", Retrieval(cross_encoder=str(foreign)), None, vectors_of, EMBEDDER)
