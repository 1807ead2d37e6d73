"""Questions a second: the assistant, and LangChain's retrieval chain with HuggingFacePipeline on the same model,
adapter, passages, prompt and limits, called with ``.batch``; and the same adapter exported for CTranslate2.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from assistant.flow import Assistant
from eval.questions import TestQuestion
from fieldguide.cli.session import Session
from fieldguide.metrics import token_f1
from fieldguide.models import Prompt, load_generator
from fieldguide.models.decoding import batches
from fieldguide.prompts import answer_prompt
from fieldguide.types import Context, ScoredChunk

_PEERS = ("langchain", "langchain_default")
"""The chain with our batch size, and with its own."""
_STOCK_BATCH = 4
_STREAMED = 8  # prompts whose answers are streamed


def measured(s: Session, asked: Sequence[TestQuestion]) -> dict[str, Any]:
    """``ratio_vs_langchain``: questions a second by CTranslate2 in float32, which answers alike, over the chain's with
    our batch size; ``_default``: with its own; ``same_engine``: by transformers as the chain; ``int8``: in 8 bits."""
    texts = [question.question for question in asked]
    assistant = s.assistant(s.retriever(), calibrated=False)
    contexts = [context for context in assistant.contexts(texts) if context is not None]
    fixed = replace(assistant, retriever=Fixed(texts, contexts, assistant.retriever))
    model = s.trainable
    lengths = [model.count_tokens(answer_prompt(q, c)) for q, c in zip(texts, contexts, strict=True)]
    size = max(1, round(len(texts) / len(batches(lengths, model.batch_tokens))))
    ours, answers = _timed(lambda: [answer.text for answer in fixed.answer(texts)])
    rates = {"questions_per_s": len(texts) / ours}
    out: dict[str, Any] = {"n": len(texts), "batch_size": size, "mean_prompt_tokens": sum(lengths) / len(lengths)}
    for name, batch_size in zip(_PEERS, (size, _STOCK_BATCH), strict=True):
        seconds, said = _timed(lambda size=batch_size: _chain(s, assistant, texts, contexts, size))
        rates[f"{name}_per_s"] = len(texts) / seconds
        out[f"same_as_{name}"] = _alike(answers, said)
    prompts = [answer_prompt(q, c) for q, c in zip(texts, contexts, strict=True)][:_STREAMED]
    out |= {f"transformers_{k}": v for k, v in _streamed(model, assistant.adapter, prompts).items()}
    for stored in ("f32", "int8"):
        seconds, said, streamed = _exported(s, fixed, texts, prompts, stored)
        out |= {f"ct2_{stored}_{k}": v for k, v in streamed.items()}
        rates[f"ct2_{stored}_per_s"] = len(texts) / seconds
        out[f"ct2_{stored}_identical"], out[f"ct2_{stored}_token_f1"] = _alike(answers, said), _mean_f1(answers, said)
    rated = {f"ratio_vs_{peer}": rates["ct2_f32_per_s"] / rates[f"{peer}_per_s"] for peer in _PEERS}
    rated |= {f"ratio_same_engine_vs_{peer}": rates["questions_per_s"] / rates[f"{peer}_per_s"] for peer in _PEERS}
    rated |= {f"ratio_int8_vs_{peer}": rates["ct2_int8_per_s"] / rates[f"{peer}_per_s"] for peer in _PEERS}
    return out | {name: round(value, 4) for name, value in (rates | rated).items()}


class Fixed:
    """A Retriever that has found everything already, so that generation alone is timed."""

    def __init__(self, texts: Sequence[str], contexts: Sequence[Context], real: Any) -> None:
        self.index_id, self.recipe, self.k = real.index_id, real.recipe, real.k
        self._known = dict(zip(texts, contexts, strict=True))

    def contexts(self, queries: Sequence[str]) -> list[Context]:
        return [self._known[query] for query in queries]

    def context(self, ranked: Sequence[ScoredChunk]) -> Context:
        raise NotImplementedError

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[ScoredChunk]]:
        return [list(self._known[query].passages[:k]) for query in queries]


def _chain(
    s: Session, assistant: Assistant, texts: Sequence[str], contexts: Sequence[Context], batch_size: int
) -> list[str]:
    """LangChain's create_retrieval_chain over the same passages; its prompt is ours in the model's chat template."""
    warnings.filterwarnings("ignore")
    from langchain_classic.chains import create_retrieval_chain
    from langchain_classic.chains.combine_documents import create_stuff_documents_chain
    from langchain_community.llms.huggingface_pipeline import HuggingFacePipeline
    from langchain_core.documents import Document
    from langchain_core.prompts import PromptTemplate
    from langchain_core.runnables import RunnableLambda
    from transformers import pipeline

    model = s.trainable
    known = dict(zip(texts, contexts, strict=True))

    def found(given: dict[str, str]) -> list[Document]:
        passages = known[given["input"]].passages
        return [Document(f"[{n}] {p.chunk.context}".rstrip() + f"\n{p.chunk.text}") for n, p in enumerate(passages, 1)]

    shape = [{"role": m.role, "content": m.content} for m in answer_prompt("{input}", Context((), "rank"))]
    shape[-1]["content"] = "{context}\n\nQuestion: {input}"
    written = model.tokenizer.apply_chat_template(shape, tokenize=False, add_generation_prompt=True)
    with model.using(assistant.adapter) as weights:
        pipe = pipeline(
            "text-generation", model=weights, tokenizer=model.tokenizer, batch_size=batch_size, return_full_text=False,
            max_new_tokens=assistant.settings.max_new_tokens, do_sample=False,
        )  # fmt: skip
        if model.tokenizer.pad_token_id is None:
            model.tokenizer.pad_token = model.tokenizer.eos_token
        model.tokenizer.padding_side = "left"
        llm = HuggingFacePipeline(pipeline=pipe, batch_size=batch_size)
        stuff = create_stuff_documents_chain(llm, PromptTemplate.from_template(written))
        chain = create_retrieval_chain(RunnableLambda(found), stuff)
        return [row["answer"].strip() for row in chain.batch([{"input": text} for text in texts])]


def _exported(
    s: Session, fixed: Assistant, texts: Sequence[str], prompts: Sequence[Prompt], stored: str
) -> tuple[float, list[str], dict[str, float]]:
    """Seconds and answers of the same adapter, merged and run by CTranslate2, and how fast it streams."""
    from tuning.export.ct2 import convert
    from tuning.export.merged import write_merged
    from tuning.train import active_adapter

    active = active_adapter(s.catalog, s.workspace.adapters_folder)
    with tempfile.TemporaryDirectory() as scratch:
        write_merged(s.trainable, active[1] if active is not None else None, Path(scratch) / "merged")
        convert(Path(scratch) / "merged", Path(scratch) / "ct2", stored)
        generator = load_generator(f"ct2:{Path(scratch) / 'ct2'}")
        other = replace(fixed, generator=generator, adapter=None)
        seconds, said = _timed(lambda: [answer.text for answer in other.answer(texts)])
        return seconds, said, _streamed(generator, None, prompts)


def _streamed(generator: Any, adapter: str | None, prompts: Sequence[Prompt]) -> dict[str, float]:
    """Median seconds to the first piece of an answer, one prompt after another, and for each further token."""
    firsts, further = [], []
    for prompt in prompts:
        heard: list[float] = []
        started = time.perf_counter()
        made = generator.stream(
            prompt, max_new_tokens=48, write=lambda piece, h=heard: h.append(time.perf_counter()), adapter=adapter
        )
        ended = time.perf_counter()
        if heard:
            firsts.append(heard[0] - started)
            further += [(ended - heard[0]) / made.completion_tokens] if made.completion_tokens > 1 else []
    return {"first_piece_s": round(median(firsts), 3), "token_s": round(median(further), 4) if further else 0.0}


def _timed(work: Any) -> tuple[float, list[str]]:
    started = time.perf_counter()
    said: list[str] = work()
    return time.perf_counter() - started, said


def _alike(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """Share of answers that are the same but for white space and our reading of refusals."""
    from fieldguide.replies import read_reply

    return sum(a == read_reply(b).answer for a, b in zip(ours, theirs, strict=True)) / len(ours)


def _mean_f1(ours: Sequence[str], theirs: Sequence[str]) -> float:
    return sum(token_f1(a, b) for a, b in zip(ours, theirs, strict=True)) / len(ours)
