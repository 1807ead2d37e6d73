"""Question → cited answer. ``assistant.flow`` is the main flow, ``assistant.cite`` checks what it says."""
