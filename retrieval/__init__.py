"""Chunks → index; query → ranked chunks → reordered context. ``retrieval.retriever`` is the main flow."""
