"""A transformers generator whose base an adapter has rewritten: for a process that serves that adapter alone."""

from __future__ import annotations

from pathlib import Path

from fieldguide.errors import ModelError
from fieldguide.files import file_hash
from fieldguide.models import adapters
from fieldguide.models.adapter_strength import read_strength, scalings
from fieldguide.models.rewriting import put_on
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.models.weights import quiet


class RewrittenGenerator(TransformersGenerator):
    """``id`` is of the base as it was loaded, ``base_hash`` of the base as it is now; ``rewriting`` is the adapter's
    id. Without the adapter it is no model that anybody wants: use ``SeparateGenerator``, which does not ask for that.
    """

    def __init__(
        self,
        base: Path,
        adapter: Path,
        *,
        name: str,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int = 4096,
    ) -> None:
        """Raises ModelError if the base or the adapter cannot be loaded."""
        super().__init__(base, name=name, device=device, dtype=dtype, batch_tokens=batch_tokens)
        config = adapters.read_config(adapter, rewriting=True)
        adapters.check_manifest(adapter, self.base_hash())
        if read_strength(adapter) != 1.0:
            raise ModelError(
                f"The adapter in {adapter} rewrites its base, so its strength can only be 1: mend its manifest.json."
            )
        self.rewriting = file_hash(adapter / adapters.WEIGHTS)
        try:
            with quiet():
                self._peft = put_on(self.model, adapter, self.rewriting, self.device)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"The adapter in {adapter} cannot be put on the model {self.id}: {reason}") from error
        self._peft.eval()
        self._adapters[self.rewriting] = config
        self._scalings[self.rewriting] = scalings(self.model, self.rewriting)
        self._switch(None)
