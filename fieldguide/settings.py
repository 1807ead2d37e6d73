"""All settings, documented once: here. ``fieldguide init`` writes them, with these descriptions, to fieldguide.toml.

Precedence: flag > environment (FIELDGUIDE_SECTION__NAME) > fieldguide.toml > default.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as SourceError
from typing_extensions import TypedDict

from fieldguide.errors import SettingsError
from fieldguide.types import Kind


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Models(_Section):
    """Which models, from where."""

    embedder: str = Field("bundled", description='"bundled", a hub name, or a folder of a sentence-transformers model')
    generator: str = Field(
        "bundled",
        description='"bundled", a hub name, a folder, a .gguf file, "ct2:FOLDER" (an export), "remote:PROVIDER:MODEL"',
    )
    url: str = Field("", description="address of a remote generator's server, where it is not the provider's own")
    concurrency: int = Field(4, ge=1, le=256, description="requests to a remote generator at a time")
    price_input: float = Field(0.0, ge=0, description="price of a million tokens sent, where the provider tells none")
    price_output: float = Field(0.0, ge=0, description="price of a million tokens received")
    tuned: bool = Field(True, description="use the embedder that `tune --retriever` made from this one, if any")
    folder: str = Field("", description="folder that holds the weights, for machines without any network")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto takes a GPU where there is one")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: the fastest whose results stay near float32"
    )


class Ingest(_Section):
    """Reading files and cutting them into chunks."""

    chunk_tokens: int = Field(128, ge=16, le=8192, description="size of a chunk, in tokens of the embedder")
    chunk_overlap: int = Field(16, ge=0, le=4096, description="tokens that a chunk may share with the one before")

    @field_validator("chunk_overlap")
    @classmethod
    def _overlap_below_size(cls, value: int, info: ValidationInfo) -> int:
        if value >= info.data.get("chunk_tokens", value + 1):
            raise ValueError("must be smaller than chunk_tokens")
        return value

    strategy: Literal["structure", "recursive", "character", "tokens"] = Field(
        "structure", description="cut by section, paragraph, sentence; the others are LangChain's splitters"
    )
    context_line: bool = Field(True, description="index and show each chunk with a line that names its place")
    ocr: Literal["auto", "off"] = Field("auto", description="auto: read pages without usable text with Tesseract")
    ocr_language: str = Field("eng", description='languages for Tesseract, such as "eng+deu"')
    ocr_dpi: int = Field(300, ge=72, le=1200, description="resolution at which pages are read by OCR")
    ocr_page_seconds: float = Field(60.0, gt=0, le=86400, description="time limit for OCR of one page")
    keyfile: str = Field("", description="file of passwords, a line each: PATTERN=PASSWORD; see FIELDGUIDE_PASSWORDS")
    workers: int = Field(0, ge=0, le=256, description="files that are read at a time; 0 = one for each core")
    file_seconds: float = Field(120.0, gt=0, le=86400, description="time limit for reading one file, without OCR")
    file_memory_mb: int = Field(4096, ge=256, description="memory limit for reading one file")
    max_file_mb: int = Field(500, ge=1, description="larger files are not opened")
    max_pages: int = Field(5000, ge=1, description="files with more pages are not read")
    originals: Literal["link", "copy", "none"] = Field(
        "link", description="keep each file in the workspace: hard link where the disk can, else copy; or a copy"
    )
    near_duplicates: Literal["report", "leave out", "off"] = Field(
        "report", description="documents that nearly equal an earlier one: tell, or leave out of the index"
    )
    near_duplicate_similarity: float = Field(0.9, gt=0, le=1, description="share of 5-word runs that makes it one")
    supersede: bool = Field(False, description="prefer the newest of several documents with one title or name")


class Facets(_Section):
    """What documents and chunks can be told apart by, beside their text."""

    builtin: tuple[Literal["language", "date", "place", "organisation"], ...] = Field(
        ("language", "date", "place", "organisation"), description="facets that are found without any model"
    )
    patterns: dict[str, str] = Field(
        default_factory=dict, description='facets of your own: name = "regular expression", first group = the value'
    )
    generated: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description='facets that the generator picks: name = ["value", "value"]'
    )


class Index(_Section):
    """Where the vectors lie."""

    store: Literal["faiss", "chroma"] = Field("faiss", description="library that keeps and searches the vectors")
    server: str = Field("", description='a Chroma server, "host:port"; empty: Chroma runs inside this program')
    exact_up_to: int = Field(
        50_000, ge=0, description="FAISS compares with every vector up to so many, then only with those in near lists"
    )
    compress: Literal["auto", "never", "always"] = Field(
        "auto", description="FAISS keeps a byte instead of four for each number; auto: where it is not exact"
    )


class Questions(_Section):
    """Question-answer pairs made from the chunks."""

    sources: tuple[Literal["auto", "rules", "adapter", "model"], ...] = Field(
        ("auto",),
        description="who writes them: rules; a question adapter on the generator; the generator by prompts (model); "
        "auto: rules, and any generator but the bundled one",
    )
    mix: dict[str, float] = Field(
        default_factory=dict, description='wanted share of a kind against the others (1 each): cause = 2, "yes/no" = 0'
    )
    per_chunk: int = Field(8, ge=1, le=50, description="at most so many pairs from one chunk and source")
    model_chunks: int = Field(0, ge=0, description="ask the generator about at most so many chunks; 0 = all")
    answers: Literal["together", "retrieved"] = Field(
        "together", description="the generator answers as it asks; or asks only, and answers from retrieved passages"
    )
    adapter: str = Field("", description="folder of a question adapter; empty: the one of the bundled model")
    prompts: str = Field("", description="folder with prompts of your own; `fieldguide qa prompts` writes them there")
    round_trip: float = Field(
        0.5, ge=0, le=1, description="least agreement of a reader with the answer, for pairs by a model; 0 = off"
    )
    dependency: bool = Field(True, description="leave out what the reader answers without the passage")
    confidence: Literal["off", "auto"] = Field(
        "off", description="auto: also drop pairs below a confidence (CLEAR) that is chosen on the dev pairs"
    )
    alike: float = Field(0.95, gt=0, le=1, description="cosine of two questions about one thing that makes them one")
    phrasings: int = Field(1, ge=1, le=5, description="wordings in which one thing may be asked for training")
    budget_tokens: int = Field(0, ge=0, description="stop after so many tokens of a remote generator; 0 = no limit")
    budget_money: float = Field(0.0, ge=0, description="stop after so much money of a remote generator; 0 = no limit")
    seen_share: float = Field(0.1, ge=0, lt=1, description="share of trained facts that are tested in other words")
    held_out_share: float = Field(0.1, ge=0, lt=1, description="share of a training document's facts that only test")
    dev_share: float = Field(0.15, ge=0, lt=1, description="share of documents whose pairs choose and stop the tuning")
    test_share: float = Field(0.15, ge=0, lt=1, description="share of documents whose pairs only test")
    seed: int = Field(0, ge=0, description="decides splits and phrasings")

    @field_validator("sources")
    @classmethod
    def _one_source(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one source")
        return value

    @field_validator("mix")
    @classmethod
    def _kinds_known(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if name not in get_args(Kind):
                raise ValueError(f"there is no kind {name!r}; known are {', '.join(get_args(Kind))}")
            if not 0 <= weight < math.inf:
                raise ValueError(f"the share of {name} must be 0 or more, and finite")
        return value

    @field_validator("test_share")
    @classmethod
    def _train_remains(cls, value: float, info: ValidationInfo) -> float:
        if info.data.get("dev_share", 0) + value >= 1:
            raise ValueError("dev_share + test_share must leave documents for training (be below 1)")
        return value


class Retrieval(_Section):
    """What the model is given to read."""

    k: int = Field(3, ge=1, le=100, description="passages shown to the model")
    order: Literal["rank", "ends", "reverse"] = Field(
        "ends", description="order of the passages: best first, best at both ends (arXiv 2410.05983), best last"
    )
    channels: tuple[Literal["dense", "words", "questions"], ...] = Field(
        ("dense", "words"), description="ways to find passages: vectors, words, questions generated from them"
    )
    fusion: Literal["score", "rank"] = Field(
        "score", description="how channels are joined: scores brought to one scale, or reciprocal ranks"
    )
    weights: dict[str, float] = Field(
        default_factory=dict, description="weight of a channel in the fusion; those not named have 1"
    )
    depth: int = Field(100, ge=1, le=1000, description="candidates that each channel gives")
    clues: bool = Field(True, description="prefer the files and pages that a question names")
    expand: tuple[Literal["decompose", "hyde", "guess"], ...] = Field(
        (), description="further queries: the question's parts, a made-up passage, the tuned model's own guess"
    )
    rerank: tuple[Literal["cross-encoder", "sentences", "listwise", "qim", "mmr"], ...] = Field(
        (), description="steps that reorder the best candidates, one after the other"
    )
    rerank_depth: int = Field(30, ge=1, le=1000, description="candidates that are reordered")
    cross_encoder: str = Field("", description='a name or folder; empty: the one that "tune --reranker" made')
    diversity: float = Field(0.1, ge=0, le=1, description="mmr: weight of being unlike what stands before")
    neighbours: int = Field(0, ge=0, le=10, description="chunks before and after a hit that are read with it")
    context_tokens: int = Field(0, ge=0, description="most tokens for all passages; 0: what the model's window leaves")

    @field_validator("channels")
    @classmethod
    def _one_channel(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one channel")
        return value

    @field_validator("weights")
    @classmethod
    def _weights_of_channels(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if name not in ("dense", "words", "questions"):
                raise ValueError(f"there is no channel {name}; known are dense, words, questions")
            if not 0 <= weight < math.inf:
                raise ValueError(f"the weight of {name} must be 0 or more, and finite")
        return value


class Access(_Section):
    """Who may see which documents. Without it everybody who can use the workspace sees all."""

    documents: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description='labels of documents: "pattern of the file\'s path" = ["label", "label"]'
    )
    users: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description='labels that a user or key holds: name = ["label", "label"]'
    )


Method = Literal["lora", "rslora", "dora", "qlora", "pissa", "olora", "corda", "loftq", "kasa"]
"""How an adapter is trained (``tuning.methods``). The last five rewrite the base weights."""


class PeftArguments(TypedDict, total=False):
    """Further arguments of peft's LoraConfig, under peft's names: those that leave the base weights as they are."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    init_lora_weights: Literal["gaussian", "orthogonal"]
    rank_pattern: dict[str, Annotated[int, Field(ge=1)]]
    alpha_pattern: dict[str, Annotated[float, Field(gt=0)]]
    exclude_modules: Annotated[list[str], Field(min_length=1)]


class Tuning(_Section):
    """LoRA on the pairs, in the shape that is served."""

    method: Method = Field(
        "lora", description="kind of adapter; those after qlora rewrite the base and are served apart"
    )
    start: str = Field(
        "auto",
        description='adapter to begin with: a folder, "none", or auto: the shipped reader where it fits the base',
    )
    modules: tuple[str, ...] = Field(("all-linear",), description="names of the linear layers that get an adapter")
    half: bool = Field(False, description="train only half of the layers, drawn by seed (half fine-tuning)")
    rank: int = Field(16, ge=1, le=512, description="rank of the adapter")
    alpha: int = Field(32, ge=1, description="scale of the adapter is alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the adapter's input")
    peft: PeftArguments = Field(
        default_factory=PeftArguments,
        description="more of peft's LoraConfig: init_lora_weights, rank_pattern, alpha_pattern, exclude_modules",
    )
    learning_rate: float = Field(2e-4, gt=0, lt=1, description="peak, after 4% warm-up")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="how the learning rate falls")
    epochs: float = Field(3.0, gt=0, le=100, description="passes over the pairs")
    batch_size: int = Field(1, ge=1, le=1024, description="contexts, with all their questions, in a step")
    questions_per_context: int = Field(
        8, ge=1, le=64, description="pairs of one chunk that share the passages retrieved for one of them; 1 = none"
    )
    minutes: float = Field(0.0, ge=0, description="end the whole tuning within so many minutes; 0 = no limit")
    max_examples: int = Field(0, ge=0, description="train on at most so many pairs; 0 = all")
    passages: tuple[int, int] = Field(
        (0, 0), description="fewest and most passages of a context; 0, 0: from 1 on, as many as served on average"
    )
    retrievers: tuple[Literal["served", "words", "dense", "hybrid"], ...] = Field(
        ("served",), description="retrievers that find the passages, in turn over the contexts"
    )
    orders: tuple[Literal["served", "rank", "ends", "reverse", "random"], ...] = Field(
        ("served",), description="orders of the passages, in turn over the contexts"
    )
    closed_book_share: float = Field(
        0.2, ge=0, le=1, description="examples without passages, as a share of the pairs; 1 = only such"
    )
    gold_missing_share: float = Field(
        0.1, ge=0, le=1, description="examples whose passages lack the answer, as a share of the pairs: learn to refuse"
    )
    target: Literal["answer", "marked", "reasoned"] = Field(
        "answer", description="what is learned: the answer; with its passage's mark; passage and quote, then the answer"
    )
    indicator: bool = Field(False, description="mark questions whose answer depends on the passages")
    instructions: int = Field(1, ge=1, le=4, description="wordings of the instruction that are trained; 1 = as served")
    own_answers: bool = Field(False, description="train the base model's own answer where it is right (S3FT)")
    self_guide: int = Field(0, ge=0, description="so many pairs more that the model writes itself (SELF-GUIDE)")
    rounds: int = Field(0, ge=0, le=5, description="further rounds on variants of what is still wrong (LLM2LLM)")
    clear: float = Field(0.0, ge=0, lt=1, description="share of pairs to leave out, least confident first (CLEAR)")
    replay: str = Field(
        "", description="general examples against forgetting: JSON lines with question, answer, context"
    )
    replay_share: float = Field(
        0.1, ge=0, lt=1, description="share of the training set that they make, if there are any"
    )
    general: str = Field("", description="general suite for what is forgotten: JSON lines as above, or a SQuAD file")
    general_questions: int = Field(40, ge=0, description="at most so many questions of it; 0 = do not ask")
    strength: float = Field(
        0.0, ge=0, le=1, description="scale of the adapter when served; 0 = chosen, by domain gain and general loss"
    )
    dev_examples: int = Field(24, ge=0, description="held-out examples for loss and answers")
    checks: int = Field(4, ge=1, le=100, description="how often in a run the held-out examples are looked at")
    patience: int = Field(2, ge=1, description="stop after so many looks in a row without a better one")
    save_steps: int = Field(20, ge=1, description="a checkpoint every so many steps")
    tensorboard: bool = Field(False, description="write TensorBoard's event files into the run's folder")
    seed: int = Field(0, ge=0, description="decides order and initial weights")

    @field_validator("peft")
    @classmethod
    def _peft_of_plain_lora(cls, value: PeftArguments, info: ValidationInfo) -> PeftArguments:
        method = info.data.get("method", "lora")
        ranks = (info.data.get("rank", 16), *value.get("rank_pattern", {}).values())
        if value and method not in ("lora", "rslora", "dora", "qlora"):
            raise ValueError(f"{method} sets all of it itself: leave it away")
        if value.get("init_lora_weights") == "orthogonal" and any(rank % 2 for rank in ranks):
            raise ValueError("orthogonal needs even ranks")
        return value

    @field_validator("passages")
    @classmethod
    def _fewest_first(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value != (0, 0) and not 1 <= value[0] <= value[1] <= 100:
            raise ValueError("must be 0, 0 or fewest <= most, from 1 to 100")
        return value

    @field_validator("retrievers", "orders", "modules")
    @classmethod
    def _one_at_least(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one")
        return value


class Answer(_Section):
    """Answering and citing."""

    max_new_tokens: int = Field(48, ge=1, le=4096, description="longest answer, in tokens of the generator")
    indicator: bool = Field(False, description="mark questions with passages, for adapters tuned with that")
    support: float = Field(
        0.6, gt=0, le=1, description="share of a statement's words that a cited span must hold to support it"
    )
    prompts: str = Field("", description="folder with prompts of your own; `fieldguide prompts` writes them there")
    entailment: bool = Field(False, description="ask the generator too whether a cited span says the statement")
    refuse: Literal["model", "calibrated"] = Field(
        "calibrated", description='who declines: the model alone, or also a confidence below what "calibrate" chose'
    )
    from_memory: bool = Field(
        False, description="where the documents hold no answer, give the model's own, labelled so, before declining"
    )
    samples: int = Field(1, ge=1, le=16, description="answers drawn of each question, the first greedily")
    pick: Literal["support", "vote", "likelihood", "confidence"] = Field(
        "support", description="which of several samples is given; confidence: by what `fieldguide calibrate` fitted"
    )
    temperature: float = Field(0.7, gt=0, le=2, description="of the further samples")
    newest: bool = Field(True, description="where two documents contradict each other, answer from the newer one")


class Variant(_Section):
    """A further arm of a comparison: what it does otherwise than the arm that is served."""

    name: str = Field(min_length=1, max_length=40, description="what the report calls it")
    tuned: bool = Field(True, description="with the adapter in use, if there is one")
    retrieval: bool = Field(True, description="with passages")
    k: int = Field(0, ge=0, le=100, description="so many passages; 0 = as retrieval.k")
    order: Literal["", "rank", "ends", "reverse"] = Field("", description="order of passages; empty = as served")
    examples: int = Field(0, ge=0, le=8, description="worked examples before each question, from the trained pairs")
    prompt: Literal["served", "best"] = Field(
        "served", description='"best": wording and number of worked examples as they do best on dev questions'
    )


class Compare(_Section):
    """The four arms."""

    variants: tuple[Variant, ...] = Field((), description="further arms, each with a name and what it does otherwise")
    two_paths: tuple[Literal["support", "qim", "refusal", "likelihood"], ...] = Field(
        ("support", "qim"), description="judges that pick from the answers with and without passages: one arm each"
    )
    judge: str = Field("", description="a generator, by name or folder, that judges all answers; empty = none does")
    aspects: tuple[Literal["coherence", "relevance", "groundedness", "succinctness"], ...] = Field(
        (), description="what the judge rates from 1 to 5 beside correctness"
    )
    hour_costs: float = Field(0.0, ge=0, description="what an hour of this machine costs, for the costs of an answer")
    max_questions: int = Field(200, ge=1, description="at most so many questions, drawn by seed")
    dev_questions: int = Field(24, ge=1, description="at most so many dev questions choose a best prompt")
    samples: int = Field(10_000, ge=100, description="bootstrap samples")
    seed: int = Field(0, ge=0, description="decides the draw and the bootstrap")

    @field_validator("variants")
    @classmethod
    def _names_of_variants(cls, value: tuple[Variant, ...]) -> tuple[Variant, ...]:
        names = [variant.name for variant in value]
        taken = {"base", "base+RAG", "tuned", "tuned+RAG", *(n for n in names if names.count(n) > 1)} & set(names)
        if taken or any(name.startswith("two paths") for name in names):
            raise ValueError(f"each variant needs a name of its own, other than the arms that there are: {names}")
        return value


class Settings(BaseSettings):
    """Everything that ``fieldguide.toml`` may say."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="FIELDGUIDE_", env_nested_delimiter="__", env_nested_max_split=1
    )

    models: Models = Models()
    ingest: Ingest = Ingest()
    facets: Facets = Facets()
    index: Index = Index()
    questions: Questions = Questions()
    retrieval: Retrieval = Retrieval()
    access: Access = Access()
    tuning: Tuning = Tuning()
    answer: Answer = Answer()
    compare: Compare = Compare()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(init_settings, InitSettingsSource)
        flags: dict[str, Any] = init_settings.init_kwargs.get("_flags", {})
        file: dict[str, Any] = init_settings.init_kwargs.get("_file", {})
        return (InitSettingsSource(settings_cls, flags), env_settings, InitSettingsSource(settings_cls, file))


def load_settings(path: Path | None, flags: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """Settings from a file (none: defaults), the environment and flags given as ``{section: {name: value}}``.

    Raises SettingsError that lists *all* faults, each with the nearest known name or the allowed range.
    """
    given: dict[str, Any] = {}
    if path is not None:
        try:
            given = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise SettingsError(f"There is no {path}; make one with `fieldguide init`.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} is not valid TOML: {error}.") from None
    stray = _stray_variables()
    kept = {s: {n: v for n, v in values.items() if v is not None} for s, values in (flags or {}).items()}
    try:
        settings = Settings(_file=given, _flags={s: v for s, v in kept.items() if v})  # type: ignore[call-arg]
        faults: list[str] = []
    except SourceError as error:
        faults = _lists_not_json() or [f"{error}: {error.__cause__}"]
    except ValidationError as error:
        faults = [_fault(dict(e)) for e in error.errors()]
    faults += stray
    if faults:
        where = path if path is not None else "the settings"
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise SettingsError(f"{len(faults)} fault(s) in {where} (or flags, environment):\n{listed}")
    return settings


def _lists_not_json() -> list[str]:
    """Variables that should hold a list and hold no JSON."""
    values = {variable.upper(): value for variable, value in os.environ.items()}
    found = []
    for name, info in names():
        value = values.get("FIELDGUIDE_" + name.upper().replace(".", "__"))
        if value is not None and isinstance(info.default, tuple):
            try:
                json.loads(value)
            except ValueError:
                found.append(
                    f"{name} from the environment: lists are written as JSON, like '[\"rules\"]', not {value!r}"
                )
    return found


def _stray_variables() -> list[str]:
    """Variables like FIELDGUIDE_RETREIVAL__K whose section is unknown: pydantic passes over them in silence."""
    found = []
    for variable in sorted(os.environ):
        section, mark, name = variable.upper().removeprefix("FIELDGUIDE_").partition("__")
        if variable.upper().startswith("FIELDGUIDE_") and mark and section.lower() not in Settings.model_fields:
            fault = _fault({"type": "extra_forbidden", "loc": (section.lower(), name.lower())})
            found.append(f"{variable} in the environment: {fault.partition(': ')[2]}")
    return found


def _fault(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        message = str(error["msg"]).removeprefix("Value error, ")
        return f"{where}: {message}, not {error['input']!r}"
    known = dict(names())
    if len(error["loc"]) == 1:
        candidates = [*Settings.model_fields, *known]
    else:
        candidates = list(known)
    inside = [name for name in candidates if name.split(".")[0] == where.split(".")[0]]
    near = difflib.get_close_matches(where, inside, 1, 0.5) or difflib.get_close_matches(where, candidates, 1, 0.5)
    if not near:
        tail = where.rsplit(".", 1)[-1]
        by_tail = difflib.get_close_matches(tail, [c.rsplit(".", 1)[-1] for c in candidates], 1, 0.6)
        near = [c for c in candidates if by_tail and c.rsplit(".", 1)[-1] == by_tail[0]][:1]
    return f"{where}: unknown name" + (f"; did you mean {near[0]}?" if near else "; see `fieldguide init --print`")


def names() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting as ("section.name", its field)."""
    for section, holder in Settings.model_fields.items():
        model = holder.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        for name, info in model.model_fields.items():
            yield f"{section}.{name}", info


def template(values: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """The text of a fieldguide.toml: every setting with its description; those not in ``values`` commented out."""
    out = ["# Settings of this Fieldguide workspace. Lines that begin with # show the defaults.\n"]
    section = ""
    for name, info in names():
        holder, key = name.split(".")
        if holder != section:
            section = holder
            out.append(f"\n[{section}]\n")
        given = (values or {}).get(holder, {}).get(key)
        value = info.get_default(call_default_factory=True) if given is None else given
        out.append(f"{'# ' if given is None else ''}{key} = {_toml(value)}  # {info.description}\n")
    return "".join(out)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
