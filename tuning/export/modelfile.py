"""The Ollama Modelfile of an exported model: the chat template in Ollama's own language, and the prompt of RAG.

Pure. Ollama's templates are Go's: what is between {{ and }} is code, everything else is text.
"""

from __future__ import annotations

from fieldguide.errors import ModelError
from fieldguide.models.base import Message
from fieldguide.models.chat import Chat
from fieldguide.prompts import answer_prompt, passage_text
from fieldguide.types import Chunk, Context, ScoredChunk

_SYSTEM, _USER = "SYSTEMxSYSTEM", "USERxUSER"
_CONTEXT = 8192


def modelfile(chat: Chat, model: str, context_tokens: int, max_new_tokens: int, adds_bos: bool) -> str:
    """The Modelfile for the file ``model``, whose prompts ``chat`` renders.

    ``context_tokens`` is the model's limit, ``max_new_tokens`` that of an answer; with ``adds_bos`` llama.cpp puts the
    first token before the prompt by itself. Raises ModelError for a chat template that Ollama cannot have.
    """
    system, user = _as_served()
    parameters = [f'stop "{token}"' for token in stop_tokens(chat)]
    parameters += [
        "temperature 0",
        "seed 0",
        "repeat_penalty 1",  # Ollama's own is 1.1, which is not how the model was tuned
        f"num_ctx {min(context_tokens, _CONTEXT)}",
        f"num_predict {max_new_tokens}",
    ]
    lines = [
        "# ollama create NAME -f Modelfile",
        "# Ask it as Fieldguide does: the passages, each under its number and heading, then the question:",
        *(f"#   {line}".rstrip() for line in user.splitlines()),
        f"FROM ./{model}",
        f'TEMPLATE """{template(chat, adds_bos)}"""',
        f'SYSTEM """{_quoted(system)}"""',
        *(f"PARAMETER {parameter}" for parameter in parameters),
    ]
    return "\n".join(lines) + "\n"


def template(chat: Chat, adds_bos: bool) -> str:
    """The chat template for one system message and one question, as Go's: exactly what ``chat`` renders."""
    shown = chat.text((Message("system", _SYSTEM), Message("user", _USER)))
    bos = chat.tokenizer.bos_token
    if adds_bos and bos:
        shown = shown.removeprefix(bos)
    if shown.count(_SYSTEM) != 1 or shown.count(_USER) != 1:
        raise ModelError("The model's chat template changes its messages, so that no Modelfile can be written for it.")
    before, _, rest = shown.partition(_SYSTEM)
    between, _, after = rest.partition(_USER)
    head, middle, tail = (_quoted(_escaped(part)) for part in (before, between, after))
    return f"{head}{{{{ .System }}}}{middle}{{{{ .Prompt }}}}{tail}{{{{ .Response }}}}{_escaped(_end(chat))}"


def stop_tokens(chat: Chat) -> list[str]:
    """The texts of the tokens that end an answer."""
    ids = dict.fromkeys(i for i in (chat.end_id, chat.tokenizer.eos_token_id) if i is not None)
    return [str(chat.tokenizer.convert_ids_to_tokens(i)) for i in ids]


def _end(chat: Chat) -> str:
    return "" if chat.end_id is None else str(chat.tokenizer.convert_ids_to_tokens(chat.end_id))


def _as_served() -> tuple[str, str]:
    """System message, and the user's message with its slots, as the model was tuned on them."""
    chunk = Chunk("", "", (), "TEXT", (), "FILE, HEADING")
    system, user = answer_prompt("QUESTION", Context((ScoredChunk(chunk, 0.0, 1),), ""))
    return system.content, user.content.replace(passage_text(1, chunk), passage_text(1, chunk) + "\n\n[2] …")


def _escaped(text: str) -> str:
    """Text that Go's templates leave alone."""
    return text.replace("{{", '{{ "{{" }}')


def _quoted(text: str) -> str:
    """Raises ModelError for the marks that end a text in a Modelfile, which knows no way to write them."""
    if '"""' in text:
        raise ModelError('A prompt or chat template holds """, which no Modelfile can hold: export as safetensors.')
    return text
