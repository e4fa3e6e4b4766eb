"""The attention and the mask that transformers calls by the name "wavekv".

The mask is that of sdpa, with the padding that it was made of beside it: without a mask function of its own, transformers
would hand no mask to an attention that it does not know, and causality would be lost without a word.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from .cache import NAME, PENDING, WaveKVLayer


def register() -> None:
    """Makes both known; once more is nothing new."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, mask)


def mask(*arguments: Any, attention_mask: torch.Tensor | None = None, **named: Any) -> torch.Tensor | None:
    """The mask of sdpa."""
    made = sdpa_mask(*arguments, attention_mask=attention_mask, **named)
    if made is not None:
        made.wavekv_padding = attention_mask
    return made


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **named: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one layer: over the daemon's tokens where the cache is a WaveKVCache, else as without the daemon."""
    layer = PENDING.layer
    PENDING.layer = None
    softcap = named.get("softcap")
    if layer is None:
        if softcap is not None:
            return _capped(module, query, key, value, attention_mask, scaling, softcap), None
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **named)
    if named.get("dropout"):
        raise ValueError(f"dropout is {named['dropout']}: expected 0, a model that is not in training")
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    cache, tokens = layer.cache, query.shape[2]
    cache.begin(key, value, scaling, softcap, _padding(attention_mask, query.shape[0]))
    # Capped scores of a prompt are the daemon's too: sdpa does not cap any.
    if layer.length > tokens or softcap is not None:
        out = cache.attend(layer, query, key, value, _mode(layer, tokens))
        return out.to(query.device), None
    cache.insert(layer, key, value)
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **named)


def _capped(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None,
    softcap: float,
) -> torch.Tensor:
    """Attention with scores `softcap tanh(s / softcap)`, which sdpa does not know; the mask is one of sdpa."""
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    groups = query.shape[1] // key.shape[1]
    key, value = (heads.repeat_interleave(groups, dim=1) for heads in (key, value))
    scores = softcap * torch.tanh(query @ key.transpose(2, 3) * scaling / softcap)
    if attention_mask is None:
        # So sdpa says that the mask is causal.
        queries, keys = scores.shape[-2:]
        attention_mask = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
    scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return (weights @ value).transpose(1, 2).contiguous()


def _mode(layer: WaveKVLayer, tokens: int) -> str | None:
    """Pieces of a prompt are attended to exactly: what is wrong there stays in K and V for ever."""
    return layer.cache.mode if tokens == 1 else "exact"


def _padding(mask: torch.Tensor | None, rows: int) -> list[int]:
    """Tokens of left padding of each row."""
    if mask is None:
        return [0] * rows
    if not hasattr(mask, "wavekv_padding"):
        raise ValueError(f"attention_mask of shape {tuple(mask.shape)} was made elsewhere: expected one of tokens, or none")
    seen = mask.wavekv_padding
    if seen is None:
        return [0] * rows
    seen = seen.to(torch.bool).cpu()
    padding = [int(row.int().argmax()) for row in seen]
    for row, skipped in enumerate(padding):
        if not seen[row, skipped:].all():
            raise ValueError(f"attention_mask has gaps in row {row}: expected padding on the left only")
    return padding
