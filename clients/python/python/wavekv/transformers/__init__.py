"""The KV cache of a Hugging Face causal language model, kept in the daemon.

    >>> import transformers, wavekv, wavekv.transformers
    >>> model = transformers.AutoModelForCausalLM.from_pretrained(...)
    >>> attached = wavekv.transformers.attach(model, wavekv.Client("unix:/tmp/wavekv/wavekvd.sock"))
    >>> model.generate(**inputs, max_new_tokens=200)        # as before

The prompt is attended to in this process, as without the daemon, and its K and V are stored; from then on every layer of
every step is one call, which inserts the token's K and V and attends. Each sequence of a batch is a collection of its own;
beams and samples of one prompt are forks of it.
"""

from .attach import Attached, attach
from .cache import Fallback, WaveKVCache
from .attention import NAME

__all__ = ["NAME", "Attached", "Fallback", "WaveKVCache", "attach"]
