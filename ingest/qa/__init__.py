"""Chunks to question-answer pairs: sources write drafts, checks keep those that hold, splits keep tests apart."""
