"""Hugging Face models with their cache in a real daemon. Small models of random weights; those of test_models.py are real."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test-transformers installs it")
transformers = pytest.importorskip("transformers")

import wavekv
import wavekv.transformers as adapter
from wavekv.transformers.attach import cache_argument

TOKENS = 40

# The models are tiny, and threads of torch that spin for each other would take the daemon's cores.
torch.set_num_threads(1)


def without_daemon(config) -> str:
    """The attention of a model alone: sdpa caps no scores."""
    return "eager" if config.model_type == "gemma2" else "sdpa"


def model_of(kind: str):
    torch.manual_seed(3)
    shape = dict(vocab_size=500, hidden_size=64, intermediate_size=96, num_hidden_layers=3, max_position_embeddings=4096)
    ends = dict(bos_token_id=1, eos_token_id=None, pad_token_id=0)
    if kind == "llama-gqa":
        config = transformers.LlamaConfig(**shape, **ends, num_attention_heads=4, num_key_value_heads=2)
    elif kind == "llama-mha":
        config = transformers.LlamaConfig(**shape, **ends, num_attention_heads=4, num_key_value_heads=4)
    elif kind == "gemma3":
        # Sliding windows in two layers of three, heads wider than hidden_size / heads, a scale of its own.
        kinds = ["sliding_attention", "full_attention", "sliding_attention"]
        config = transformers.Gemma3TextConfig(
            **shape, **ends, num_attention_heads=4, num_key_value_heads=1, head_dim=32, sliding_window=16,
            layer_types=kinds, query_pre_attn_scalar=50,
        )  # fmt: skip
    elif kind == "gemma2":
        # Capped scores, sharp enough to feel it; a sliding window in every other layer.
        config = transformers.Gemma2Config(
            **shape, **ends, num_attention_heads=4, num_key_value_heads=2, head_dim=16, sliding_window=16,
            query_pre_attn_scalar=4, attn_logit_softcapping=5.0,
        )  # fmt: skip
    else:
        raise AssertionError(kind)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=without_daemon(config)).eval()
    # Weights of a fresh model make scores near zero, and attention an average: sharpen them, or nothing would be tested.
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "q_proj" in name or "k_proj" in name:
                weights.mul_(8.0)
    return model


def prompt(tokens: int, rows: int = 1, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2, 500, (rows, tokens), generator=generator)


def generate(model, ids, **options):
    named = {"attention_mask": torch.ones_like(ids), "max_new_tokens": TOKENS, "do_sample": False, **options}
    return model.generate(ids, **named)


@pytest.fixture(params=["llama-gqa", "llama-mha", "gemma2", "gemma3"])
def model(request: pytest.FixtureRequest):
    return model_of(request.param)


@pytest.fixture
def attached(model, client: wavekv.Client):
    attached = adapter.attach(model, client, mode="exact")
    yield attached
    attached.detach()


def plain(model, make):
    """What it gives without the daemon."""
    before = model.config._attn_implementation
    prepare = model.__dict__.pop("_prepare_cache_for_generation", None)
    model.set_attn_implementation(without_daemon(model.config))
    try:
        return make()
    finally:
        model.set_attn_implementation(before)
        if prepare is not None:
            model._prepare_cache_for_generation = prepare


def same(model, attached, ids, **options):
    expected = plain(model, lambda: generate(model, ids, **options))
    found = generate(model, ids, **options)
    assert attached.cache is not None and attached.cache.sequences, "the daemon was not asked"
    torch.testing.assert_close(found, expected)


def test_greedy_tokens_are_those_of_the_model_alone(model, attached) -> None:
    same(model, attached, prompt(70))


def test_rows_of_different_lengths_are_sequences_of_their_own(model, attached) -> None:
    ids = prompt(50, rows=3)
    mask = torch.ones_like(ids)
    for row, padding in enumerate((0, 13, 44)):
        ids[row, :padding] = 0
        mask[row, :padding] = 0
    same(model, attached, ids, attention_mask=mask)
    lengths = [sequence.describe().length for sequence in attached.cache.sequences]
    assert lengths == [50 + TOKENS - 1 - padding for padding in (0, 13, 44)]


def test_beams_are_forks(model, attached) -> None:
    same(model, attached, prompt(30, rows=2), num_beams=3, max_new_tokens=20)
    assert attached.cache._forks > 0


def test_samples_are_those_of_the_model_alone(model, attached) -> None:
    ids = prompt(30)

    def sample():
        torch.manual_seed(5)
        return generate(model, ids, do_sample=True, num_return_sequences=4)

    expected = plain(model, sample)
    torch.testing.assert_close(sample(), expected)


def test_a_prompt_in_pieces_sees_all_that_came_before(model, attached) -> None:
    same(model, attached, prompt(700), prefill_chunk_size=300)


def test_rejected_tokens_of_a_guess_are_dropped(model, attached) -> None:
    ids = prompt(12).repeat(1, 5)
    # transformers 4 wants to know a token that ends.
    same(model, attached, ids, prompt_lookup_num_tokens=4, eos_token_id=499)


def test_a_forward_without_a_cache_of_ours_is_the_model_s_own(model, attached) -> None:
    ids = prompt(40)
    with torch.no_grad():
        expected = plain(model, lambda: model(ids).logits)
        torch.testing.assert_close(model(ids).logits, expected)


def test_logits_of_every_step_are_those_of_the_model_alone(model, attached) -> None:
    ids = prompt(60)
    cache = attached.new_cache()
    with torch.no_grad():
        expected = plain(model, lambda: model(ids).logits)
        pieces = [ids[:, :40], *(ids[:, at : at + 1] for at in range(40, 60))]
        found = [model(piece, **{cache_argument(model): cache}).logits for piece in pieces]
    torch.testing.assert_close(torch.cat(found, dim=1), expected, atol=1e-3, rtol=1e-3)
    cache.close()


def test_collections_go_with_the_cache(model, attached, client: wavekv.Client) -> None:
    generate(model, prompt(20), max_new_tokens=3)
    name = attached.cache.sequences[0].name
    assert name in [described.name for described in client.list("transformers/")]
    attached.cache.close()
    assert name not in [described.name for described in client.list("transformers/")]


def test_gaps_and_padding_on_the_right_are_refused(client: wavekv.Client) -> None:
    model = model_of("llama-gqa")
    attached = adapter.attach(model, client)
    mask = torch.ones(1, 20, dtype=torch.long)
    mask[0, 15:] = 0
    with pytest.raises(ValueError, match="padding on the left only"):
        generate(model, prompt(20), attention_mask=mask)
    attached.detach()


class KillAt(transformers.LogitsProcessor):
    """Kills the daemon before a token, and starts it again when asked to."""

    def __init__(self, daemon, length: int, restart: bool) -> None:
        self.daemon, self.length, self.restart = daemon, length, restart

    def __call__(self, input_ids, scores):
        if input_ids.shape[1] == self.length:
            self.daemon.kill()
            if self.restart:
                self.daemon.start()
        return scores


def test_a_daemon_killed_in_the_middle_goes_on_with_the_same_tokens(own_daemon) -> None:
    model, ids = model_of("llama-gqa"), prompt(50)
    expected = generate(model, ids)
    attached = adapter.attach(model, own_daemon.client(), mode="exact")
    found = generate(model, ids, logits_processor=[KillAt(own_daemon, 65, restart=True)])
    torch.testing.assert_close(found, expected)
    attached.detach()


def test_a_daemon_that_stays_away_is_an_error_and_no_hang(own_daemon) -> None:
    model = model_of("llama-gqa")
    adapter.attach(model, own_daemon.client(deadline=10), mode="exact", fallback=adapter.Fallback(patience=1))
    with pytest.raises((wavekv.ConnectionLost, wavekv.ConnectError, wavekv.Unavailable)):
        generate(model, prompt(50), logits_processor=[KillAt(own_daemon, 60, restart=False)])
