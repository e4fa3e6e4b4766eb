"""One call that has a model keep its cache in the daemon."""

from __future__ import annotations

import hashlib
import inspect
import json
from typing import Any

from .. import Client
from .attention import NAME, register
from .cache import Fallback, WaveKVCache


class Attached:
    """A model whose cache is in the daemon, until `detach`."""

    def __init__(self, model: Any, client: Client, options: dict[str, Any]) -> None:
        self.model = model
        self.client = client
        self._options = options
        self._before = model.config._attn_implementation
        self._prepare = model._prepare_cache_for_generation
        #: The cache of the last `generate`.
        self.cache: WaveKVCache | None = None

    def new_cache(self) -> WaveKVCache:
        """An empty cache, for `past_key_values` of `generate` or `forward`."""
        config = self.model.config.get_text_config(decoder=True)
        return WaveKVCache(self.client, config, fingerprint=fingerprint(self.model), **self._options)

    def _prepare_cache(self, generation_config: Any, model_kwargs: dict, *arguments: Any, **named: Any) -> Any:
        key = cache_argument(self.model)
        if model_kwargs.get(key) is None and generation_config.use_cache is not False:
            self.cache = model_kwargs[key] = self.new_cache()
        return self._prepare(generation_config, model_kwargs, *arguments, **named)

    def detach(self) -> None:
        """The model is as it was; collections that its last cache made are removed."""
        self.model.set_attn_implementation(self._before)
        del self.model._prepare_cache_for_generation
        if self.cache is not None:
            self.cache.close()
            self.cache = None


def attach(
    model: Any,
    client: Client,
    *,
    mode: str | None = None,
    durability: str | None = None,
    namespace: str = "",
    fallback: Fallback | None = None,
) -> Attached:
    """Has `model.generate` keep its cache in the daemon.

    `mode` is how the steps after the prompt attend (None: the daemon's default), `durability` what the cache outlives,
    `fallback` what happens when the daemon goes away in the middle.
    """
    register()
    attached = Attached(
        model, client, {"mode": mode, "durability": durability, "namespace": namespace, "fallback": fallback}
    )
    model.set_attn_implementation(NAME)
    model._prepare_cache_for_generation = attached._prepare_cache
    return attached


def fingerprint(model: Any) -> str:
    """Of what makes K and V what they are: the model's name and all of its configuration."""
    config = model.config.to_dict()
    # What differs between two loads of the same model, and which attention it uses.
    for passing in ("transformers_version", "_attn_implementation", "attn_implementation", "use_cache"):
        config.pop(passing, None)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
    return f"{type(model).__name__}:{digest[:32]}"


def cache_argument(model: Any) -> str:
    """The name under which this version of transformers hands a cache to the model."""
    parameters = inspect.signature(type(model).forward).parameters
    return "cache" if "cache" in parameters else "past_key_values"
