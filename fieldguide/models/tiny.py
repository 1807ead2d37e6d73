"""A tiny random Llama, LoRA adapters for it and a tiny random encoder, written as files: real weights for tests.

Their output is noise, but a deterministic one that every part of a real model's path produces.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_TEXT = [
    "system user assistant The quick brown fox jumps over the lazy dog.",
    "Question: what does the document say? Answer: the pilot reported a loss of engine power on page 12.",
]


def write_tiny_model(folder: Path, *, seed: int = 0, context_tokens: int = 512) -> Path:
    """Write a random Llama (hidden 32, 2 layers) with tokenizer and chat template; returns ``folder``."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from fieldguide.models.weights import quiet

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_TEXT, trainer)
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(
        tokenizer_object=bpe, bos_token=_SPECIAL[1], eos_token=_SPECIAL[2], pad_token=_SPECIAL[2], unk_token=_SPECIAL[0]
    )
    tokenizer.chat_template = _TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context_tokens,
        initializer_range=0.5,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def write_tiny_encoder(folder: Path, words: Sequence[str], *, seed: int = 0, window: int = 32) -> Path:
    """Write a random BERT (hidden 32, 2 layers) that knows these words, as an embedder; returns ``folder``."""
    import tempfile

    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    from fieldguide.models.weights import quiet

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=window, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        initializer_range=0.3,
    )  # fmt: skip
    fast: Any = BertTokenizerFast
    with tempfile.TemporaryDirectory() as scratch, torch.random.fork_rng(devices=[]), quiet():
        part = Path(scratch)
        (part / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(part / "bert")
        fast(vocab=str(part / "vocab.txt"), model_max_length=window).save_pretrained(part / "bert")
        modules: Any = [Transformer(str(part / "bert"), max_seq_length=window), Pooling(32, "mean")]
        SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    return folder


def write_tiny_adapter(folder: Path, model_folder: Path, *, seed: int = 1, rank: int = 4) -> Path:
    """Write a random LoRA adapter (both factors non-zero, so that it changes outputs); returns ``folder``."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from fieldguide.models.weights import quiet

    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(str(model_folder), local_files_only=True, use_safetensors=True)
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        wrapped = get_peft_model(model, config)
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.5)
        wrapped.save_pretrained(str(folder))
    return folder
