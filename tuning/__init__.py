"""Pairs + the production retriever → training set → LoRA adapter. ``tuning.train`` is the main flow."""
