"""Which examples an adapter is trained and watched on: pairs, with what the settings' options make of them.

Knows the catalogue, the retriever that serves and the base model; not the loop.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fieldguide import metrics
from fieldguide.catalog import Catalog
from fieldguide.errors import FieldguideError, NotReady
from fieldguide.files import write_atomically
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import fill
from fieldguide.replies import read_reply, target
from fieldguide.settings import Retrieval, Tuning
from fieldguide.types import Progress, QAPair, Retriever
from retrieval.retriever import HybridRetriever
from retrieval.rewrite import standalone
from tuning.contexts import Shape, build_examples
from tuning.examples import Example, choose, shares
from tuning.general import suite_of
from tuning.tokenise import Sequences, tokenise
from tuning.watch import Judge

_CHANNELS = {"words": ("words",), "dense": ("dense",), "hybrid": ("dense", "words")}


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Examples to train on and held-out ones, and the pairs of the catalogue that the former teach.

    ``left_out`` counts by reason what was not taken; ``notes`` are sentences about what the options did. ``train``
    repeats the pairs ``passes`` times (other draws each time).
    """

    train: list[Example]
    dev: list[Example]
    pairs: list[QAPair]
    passes: int
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def assemble(
    catalog: Catalog,
    retriever: Retriever,
    base: TransformersGenerator,
    settings: Tuning,
    progress: Progress,
    start: Path | None = None,
) -> TrainingSet:
    """The training set of the settings; ``start`` is the adapter that training begins with, which the options ask
    where they ask the model. Raises NotReady where there is nothing to train on."""
    asks = settings.own_answers or settings.self_guide or settings.indicator
    adapter = base.load_adapter(start) if asks and start is not None else None
    chosen = choose(catalog.pairs("train"), settings.max_examples, settings.seed)
    if not chosen:
        raise NotReady("There are no question-answer pairs to train on; run `fieldguide qa` first.")
    out, notes = Counter[str](), list[str]()
    taught = [as_asked(pair) for pair in _curated(catalog, chosen, base, settings, progress, out)]
    written = _self_guided(catalog, retriever, base, adapter, settings, progress, notes)
    shape = shape_of(settings, retriever.k)
    chunks = catalog.chunks()
    train = build_examples([*taught, *written], retrievers(retriever, settings), chunks, shape)
    dev_pairs = choose(catalog.pairs("dev"), settings.dev_examples, settings.seed) if settings.dev_examples else []
    plain = Shape(per_context=settings.questions_per_context, style=settings.target, seed=settings.seed)
    dev = build_examples([as_asked(pair) for pair in dev_pairs], [retriever], chunks, plain)
    lost = {example.pair for example in train if example.gold == "missing"}
    kept = [example for example in train if example.pair not in lost]
    if not kept:
        raise NotReady(
            f"The evidence of all {len(taught)} pairs is missing from the text as it is read now; run `fieldguide qa` "
            "to write new ones."
        )
    if lost:
        out["evidence is in no chunk any more"] = len(lost)
    kept = _options(kept, taught, base, adapter, settings, progress, notes)
    held_out = [example for example in dev if example.gold != "missing"]
    return TrainingSet(kept, held_out, [p for p in taught if p.id not in lost], shape.passes, out, notes)


def shape_of(settings: Tuning, k: int) -> Shape:
    """The shape of a training set by the settings, where ``k`` passages are served: a pass for each epoch begun."""
    passages = settings.passages if settings.passages[0] else (1, 2 * k - 1)
    return Shape(
        settings.questions_per_context, passages, settings.orders, settings.closed_book_share,
        settings.gold_missing_share, settings.target, math.ceil(settings.epochs), settings.seed,
    )  # fmt: skip


def retrievers(served: Retriever, settings: Tuning) -> list[Retriever]:
    """The retrievers that find the passages of training, by name. Raises FieldguideError for one that cannot change
    its channels."""
    out: list[Retriever] = []
    for name in settings.retrievers:
        if name == "served":
            out.append(served)
        elif isinstance(served, HybridRetriever):
            plain: dict[str, Any] = {"channels": _CHANNELS[name], "expand": (), "rerank": ()}
            out.append(served.using(Retrieval(**{**served.settings.model_dump(), **plain})))
        else:
            raise FieldguideError(f"tuning.retrievers names {name!r}, which this retriever cannot become.")
    return out


def as_asked(pair: QAPair) -> QAPair:
    """A pair whose question stands alone, as serving rewrites follow-ups (by rules)."""
    return pair if not pair.after else replace(pair, question=standalone(pair.question, [(q, "") for q in pair.after]))


def _curated(
    catalog: Catalog,
    pairs: Sequence[QAPair],
    base: TransformersGenerator,
    settings: Tuning,
    progress: Progress,
    out: Counter[str],
) -> Sequence[QAPair]:
    """The pairs without those in which the base model has least confidence (CLEAR), if the settings want that."""
    if not settings.clear:
        return pairs
    from ingest.qa.calls import Budget, Calls
    from ingest.qa.confidence import Confidence
    from ingest.qa.reader import Reader
    from tuning.confident import most_confident

    chunks = {chunk.id: chunk for chunk in catalog.chunks()}
    documents = {document.id: document for document in catalog.documents()}
    judge = Confidence(Reader(Calls(base, catalog, Budget(0, 0)), None), seed=settings.seed)
    curated = most_confident(pairs, chunks, documents, judge, settings.clear, progress)
    out["least confident (tuning.clear)"] = len(curated.dropped)
    return curated.kept


def _self_guided(
    catalog: Catalog,
    retriever: Retriever,
    base: TransformersGenerator,
    adapter: str | None,
    settings: Tuning,
    progress: Progress,
    notes: list[str],
) -> list[QAPair]:
    """Pairs that the base model writes about the training documents, if the settings want any."""
    if not settings.self_guide:
        return []
    from tuning.self_guide import self_guide

    splits = catalog.splits()
    chunks = [chunk for chunk in catalog.chunks() if splits.get(chunk.document) == "train"]
    known = catalog.pairs(every=True)
    languages = catalog.facet_of_chunks("language", [chunk.id for chunk in chunks])
    made, rejected = self_guide(
        chunks, retriever, base, settings.self_guide, settings.seed, progress, known=known, languages=languages,
        adapter=adapter,
    )  # fmt: skip
    reasons = ", ".join(f"{n} {reason}" for reason, n in rejected.most_common()) or "none"
    notes.append(f"The model wrote {len(made)} pairs itself; rejected: {reasons}.")
    return made


def _options(
    examples: list[Example],
    pairs: Sequence[QAPair],
    base: TransformersGenerator,
    adapter: str | None,
    settings: Tuning,
    progress: Progress,
    notes: list[str],
) -> list[Example]:
    """The options that change finished examples: own answers, the indicator, wordings of the instruction, replay."""
    if settings.own_answers:
        from tuning.own_answers import own_answers

        examples, counts = own_answers(examples, base, 48, progress, adapter=adapter)
        notes.append(
            f"The model answers {counts.right} of {counts.examples} examples right itself; "
            f"{counts.replaced} targets are its own words now."
        )
    if settings.indicator:
        from tuning.indicator import indicated, known_without

        known = known_without(pairs, base, 48, progress, adapter=adapter)
        examples = indicated(examples, known)
        notes.append(f"{len(known)} of {len(pairs)} pairs are answered right without passages: they get no mark.")
    if settings.instructions > 1:
        from tuning.instructions import varied

        examples = varied(examples, settings.instructions, settings.seed)
    if settings.replay:
        from tuning.replay import replay_examples

        first = examples[-1].group + 1
        found = replay_examples(
            Path(settings.replay).expanduser(), settings.replay_share, len(examples), settings.seed, first,
            lambda e: len(base.render(e.prompt)) + len(base.completion_ids(e.completion)) <= base.context_tokens,
            suite_of(settings),
        )  # fmt: skip
        passed_over = f"{found.too_long} too long, {found.measured} measured, {found.without_answer} without an answer"
        notes.append(
            f"{len(found.examples)} general examples of {found.available} are trained too (passed over: {passed_over})."
        )
        examples = [*examples, *found.examples]
    return examples


def extended(made: TrainingSet, more: Sequence[QAPair], settings: Tuning) -> TrainingSet:
    """The set with further pairs, each a group of its own, in the contexts of the pairs that they are variants of."""
    prompts = {e.pair: e for e in made.train if e.gold in ("retrieved", "inserted")}
    models = {(pair.chunk, pair.answer): prompts[pair.id] for pair in made.pairs if pair.id in prompts}
    first = made.train[-1].group + 1
    added: list[Example] = []
    for pair in more:
        model = models.get((pair.chunk, pair.answer))
        if model is None:
            made.left_out["variant of a pair that is not trained with passages"] += 1
            continue
        asked = model.prompt[-1].content.rsplit("\n\n", 1)[0]
        question = fill("answer_closed_book", question=pair.question)
        prompt = (*model.prompt[:-1], replace(model.prompt[-1], content=f"{asked}\n\n{question}"))
        quoted = read_reply(model.completion)
        style = "answer" if not quoted.marks else settings.target
        completion = target(style, pair.answer, quoted.marks[0] if quoted.marks else None, quoted.quote)
        added.append(Example(pair.id, prompt, completion, model.gold, first + len(added)))
    return replace(made, train=[*made.train, *added])


def judge_of(dev: Sequence[Example], base: TransformersGenerator) -> Judge:
    """Held-out examples as the loop asks them: token F1 of the answers read from what it writes."""
    wanted = [read_reply(example.completion).answer for example in dev]

    def score(written: Sequence[list[int]]) -> float:
        said = [read_reply(base.tokenizer.decode(ids, skip_special_tokens=True)).answer for ids in written]
        return sum(map(metrics.token_f1, said, wanted)) / max(len(wanted), 1)

    ends = frozenset(end for end in (base.chat.end_id,) if end is not None)
    return Judge([base.render(example.prompt) for example in dev], score, ends)


def write_dry_run(made: TrainingSet, base: TransformersGenerator, path: Path) -> dict[str, Any]:
    """The set as JSON lines, an example a line with its token counts, and a summary: shares, tokens, examples.

    Raises FieldguideError for an example that does not fit the model: nothing is cut.
    """
    sets = {"train": made.train, "dev": made.dev}
    rows = {name: tokenise(examples, base, base.context_tokens) for name, examples in sets.items()}
    lines: list[dict[str, Any]] = []
    answers = 0
    for name, examples in sets.items():
        for example in examples:
            prompt, answer = base.render(example.prompt), base.completion_ids(example.completion)
            answers += len(answer)
            lines.append(
                {"set": name, "pair": example.pair, "gold": example.gold, "group": example.group,
                 "prompt_tokens": len(prompt), "answer_tokens": len(answer), "truncated": False,
                 "prompt": [{"role": m.role, "content": m.content} for m in example.prompt],
                 "completion": example.completion}
            )  # fmt: skip
    write_atomically(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    separate = sum(line["prompt_tokens"] + line["answer_tokens"] for line in lines if line["set"] == "train")
    return {
        "file": str(path), "train": len(made.train), "dev": len(made.dev), "passes": made.passes,
        "gold": shares(made.train), "left_out": dict(made.left_out), "notes": made.notes, "truncated": 0,
        "rows": len(rows["train"]), "row_tokens": row_tokens(rows["train"]), "tokens_if_separate": separate,
        "answer_tokens": answers, "longest_row": max(len(r.input_ids) for r in rows["train"]),
        "context_tokens": base.context_tokens,
        "examples": [lines[n] for n in sorted({0, len(made.train) // 2, len(made.train) - 1})],
    }  # fmt: skip


def row_tokens(rows: Sequence[Sequences]) -> int:
    """Tokens of all rows."""
    return sum(len(row.input_ids) for row in rows)
