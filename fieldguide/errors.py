"""Errors that a user can act on. The command line prints their one sentence and no traceback."""

from __future__ import annotations


class FieldguideError(Exception):
    """A mistake or a condition that the user can mend.

    The message is one sentence or a few: what is wrong, where, and what to do. ``exit_code`` is what the
    command line returns for it.
    """

    exit_code = 2


class SettingsError(FieldguideError):
    """The settings are not usable; the message lists every fault found."""


class WorkspaceError(FieldguideError):
    """The workspace is missing, locked, read-only or of another version."""


class ModelError(FieldguideError):
    """Weights cannot be found, fetched, checked or loaded."""


class IndexMismatch(FieldguideError):
    """An index does not fit the embedder or the documents that it is used with."""


class NotReady(FieldguideError):
    """An earlier stage has to run first; the message names the command."""


class IntegrityError(FieldguideError):
    """A promise about an experiment was broken (an adapter on in a base arm, changed base weights)."""
