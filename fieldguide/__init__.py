"""The spine of Fieldguide: data types, settings, workspace, catalogue, models, prompts, metrics.

The stage packages (ingest, retrieval, tuning, assistant, eval) build on it; it knows none of them,
except in ``fieldguide.cli``, which wires them together.
"""

__version__ = "0.1.0"
