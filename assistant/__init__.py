"""Question → cited answer. ``assistant.answer`` is the main flow, ``assistant.cite`` checks what it says."""
