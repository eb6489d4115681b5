"""A language model whose weights nobody trained: small, the same every time, and sure of its mistakes."""

from __future__ import annotations

from quality.language_model import LanguageModel, wrap_language_model


def random_model(vocab_size: int, positions: int) -> LanguageModel:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocab_size, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=positions, initializer_range=0.5,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return wrap_language_model(LlamaForCausalLM(config))
