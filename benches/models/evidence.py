"""Real models with their cache in the daemon, beside the same models alone: tokens, perplexity, KL, facts, and time.

    evidence.py --daemon PATH --models FOLDER --out FILE.md [--model smol|gemma] [--only tokens,text,facts,many,kill]

Prints and writes Markdown. PATH is the built wavekvd, which is started on a folder of its own. FOLDER has the weights (models.sh fetches them). Text is that of Python's own
manual (pydoc_data), so that everybody has it.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pydoc_data import topics

import torch
import transformers

import wavekv
import wavekv.transformers as adapter
from wavekv.transformers.attach import cache_argument

#: Tokens that perplexity and KL are measured on, after the context.
SCORED = 256
#: Of a greedy generation.
GENERATED = 200
#: Facts asked for at each length.
FACTS = 5


class Daemon:
    """A daemon on a folder of its own, which can be killed and started again."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.folder = tempfile.TemporaryDirectory()
        self.address = f"shm:{self.folder.name}/data/wavekvd.shm.sock"
        self.start()

    def start(self) -> None:
        options = ["--data-dir", f"{self.folder.name}/data", "--set", "grpc.listen=", "--set", "http.listen=", "--set", "log.level=warn"]
        self.process = subprocess.Popen([self.program, *options])
        for _ in range(600):
            try:
                wavekv.Client(self.address).stats()
                return
            except (wavekv.ConnectError, wavekv.Unavailable):
                if self.process.poll() is not None:
                    raise SystemExit(f"{self.program} ended with {self.process.returncode}") from None
                time.sleep(0.1)
        raise SystemExit(f"{self.program} does not serve")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


class Model:
    """A model, its tokenizer, and its text as tokens."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        named = {"gguf_file": f"{name}.gguf"}
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **named)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, **named, dtype=torch.float32, attn_implementation="sdpa"
        ).eval()
        text = "\n\n".join(topics.topics[topic] for topic in sorted(topics.topics))
        text = re.sub(r"[ \t]+", " ", re.sub(r"[*=^~-]{4,}", "", text))
        ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        begin = self.tokenizer.bos_token_id
        self.begin = torch.tensor([[begin]] if begin is not None and name == "gemma" else [[]], dtype=torch.long)
        self.text = ids

    def context(self, tokens: int, start: int = 0) -> torch.Tensor:
        own = tokens - self.begin.shape[1]
        return torch.cat([self.begin, self.text[:, start : start + own]], dim=1)


@contextmanager
def in_daemon(model: Model, client: wavekv.Client, mode: str) -> Iterator[adapter.Attached]:
    attached = adapter.attach(model.model, client, mode=mode)
    try:
        yield attached
    finally:
        attached.detach()


@torch.no_grad()
def steps(model: Model, ids: torch.Tensor, scored: int, cache: object) -> torch.Tensor:
    """Log-probabilities `[scored, vocabulary]` of the tokens that follow each of the last `scored` ones, one step a token."""
    argument = cache_argument(model.model)
    first = ids.shape[1] - scored
    rows = []
    model.model(ids[:, :first], **{argument: cache}, logits_to_keep=1)
    for at in range(first, ids.shape[1]):
        logits = model.model(ids[:, at : at + 1], **{argument: cache}, logits_to_keep=1).logits[0, -1]
        rows.append(torch.log_softmax(logits.float(), dim=-1))
    return torch.stack(rows)


def compared(model: Model, ids: torch.Tensor, scored: int, client: wavekv.Client, mode: str, full: torch.Tensor) -> tuple[float, float]:
    """Perplexity over the scored tokens, and the mean KL from the distribution of full attention."""
    with in_daemon(model, client, mode) as attached:
        cache = attached.new_cache()
        found = steps(model, ids[:, :-1], scored, cache)
        cache.close()
    return perplexity(found, ids), kl(full, found)


def perplexity(rows: torch.Tensor, ids: torch.Tensor) -> float:
    right = ids[0, -rows.shape[0] :]
    return math.exp(-rows[torch.arange(len(right)), right].mean().item())


def kl(full: torch.Tensor, found: torch.Tensor) -> float:
    return (full.exp() * (full - found)).sum(-1).mean().item()


def text(model: Model, client: wavekv.Client, lengths: list[int], modes: list[str]) -> list[str]:
    lines = ["| context | attention | perplexity | of that of full attention | mean KL |", "| --- | --- | --- | --- | --- |"]
    for length in lengths:
        ids = model.context(length + 1)
        cache = transformers.DynamicCache(config=model.model.config)
        full = steps(model, ids[:, :-1], SCORED, cache)
        alone = perplexity(full, ids)
        lines.append(f"| {length} | full | {alone:.4f} | 1 | 0 |")
        for mode in modes:
            found, distance = compared(model, ids, SCORED, client, mode, full)
            lines.append(f"| {length} | `{mode}` | {found:.4f} | {found / alone:.4f} | {distance:.5f} |")
            print(lines[-1], flush=True)
    return lines


def tokens(model: Model, client: wavekv.Client) -> list[str]:
    """Greedy tokens in `exact` mode beside those of the model alone; where they part, how near the two tokens were."""
    same, notes, seconds = 0, [], {"alone": 0.0, "daemon": 0.0}
    prompts = 8
    for number in range(prompts):
        ids = model.context(120 + 40 * number, start=5000 * number)
        options = {"attention_mask": torch.ones_like(ids), "max_new_tokens": GENERATED, "min_new_tokens": GENERATED, "do_sample": False}
        watch = time.perf_counter()
        alone = model.model.generate(ids, **options)
        seconds["alone"] += time.perf_counter() - watch
        with in_daemon(model, client, "exact"):
            watch = time.perf_counter()
            found = model.model.generate(ids, **options)
            seconds["daemon"] += time.perf_counter() - watch
        differs = (alone != found).nonzero()
        if len(differs) == 0:
            same += 1
            continue
        at = int(differs[0, 1])
        with torch.no_grad():
            logits = model.model(alone[:, :at]).logits[0, -1]
        pair = [int(alone[0, at]), int(found[0, at])]
        notes.append(f"prompt {number} parts at token {at - ids.shape[1]}: logits {logits[pair[0]]:.5f} and {logits[pair[1]]:.5f}")
    generated = prompts * GENERATED
    return [
        f"{same} of {prompts} greedy generations of {GENERATED} tokens are the same, token by token, in `exact` mode.",
        *notes,
        f"Tokens a second with their prompts: {generated / seconds['alone']:.1f} alone, {generated / seconds['daemon']:.1f} with the daemon "
        f"({seconds['alone'] / seconds['daemon']:.2f} of that).",
    ]


def facts(model: Model, client: wavekv.Client, lengths: list[int], modes: list[str]) -> list[str]:
    """Facts hidden in text and asked for: how many answers name them."""
    lines = ["| context | attention | of " + str(FACTS) + " facts | mean KL at the question's tokens |", "| --- | --- | --- | --- |"]
    for length in lengths:
        asked = [fact(model, length, number) for number in range(FACTS)]
        right, rows = zip(*(answer(model, ids, word, None, None) for ids, word in asked), strict=True)
        lines.append(f"| {length} | full | {sum(right)} | 0 |")
        for mode in modes:
            found = [answer(model, ids, word, client, mode) for ids, word in asked]
            distance = sum(kl(full, own) for full, (_, own) in zip(rows, found, strict=True)) / FACTS
            lines.append(f"| {length} | `{mode}` | {sum(right for right, _ in found)} | {distance:.5f} |")
            print(lines[-1], flush=True)
    return lines


QUESTION_TOKENS = 12
PLACES = ["Lisbon", "Nairobi", "Toronto", "Kyoto", "Bogota"]
KEYS = ["48213", "90571", "36842", "71095", "25468"]


def encoded(model: Model, text: str) -> torch.Tensor:
    return model.tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids


def needle_of(model: Model, number: int) -> torch.Tensor:
    return encoded(model, f"\n\nThe secret access code for the vault in {PLACES[number]} is {KEYS[number]}.\n\n")


def question_of(model: Model, number: int) -> torch.Tensor:
    asked = f"Question: What is the secret access code for the vault in {PLACES[number]}?"
    return encoded(model, f"\n\n{asked}\nAnswer: The secret access code for the vault in {PLACES[number]} is")


def fact(model: Model, length: int, number: int) -> tuple[torch.Tensor, str]:
    """A context with a fact somewhere in it and a question at its end, and the word that answers it."""
    needle, question, key = needle_of(model, number), question_of(model, number), KEYS[number]
    room = length - needle.shape[1] - question.shape[1] - model.begin.shape[1]
    body = model.text[:, 9000 * number : 9000 * number + room]
    at = int(room * (0.15 + 0.17 * number))
    return torch.cat([model.begin, body[:, :at], needle, body[:, at:], question], dim=1), key


def answer(model: Model, ids: torch.Tensor, word: str, client: wavekv.Client | None, mode: str | None) -> tuple[bool, torch.Tensor]:
    """Whether the greedy answer has the word; log-probabilities at the question's last tokens."""

    def ask(cache: object) -> tuple[bool, torch.Tensor]:
        rows = steps(model, ids, QUESTION_TOKENS, cache)
        said, argument = [], cache_argument(model.model)
        following = rows[-1].argmax().reshape(1, 1)
        with torch.no_grad():
            for _ in range(10):
                said.append(int(following))
                following = model.model(following, **{argument: cache}, logits_to_keep=1).logits[0, -1].argmax().reshape(1, 1)
        return word in model.tokenizer.decode(said).replace(" ", ""), rows

    if client is None or mode is None:
        return ask(transformers.DynamicCache(config=model.model.config))
    with in_daemon(model, client, mode) as attached:
        cache = attached.new_cache()
        try:
            return ask(cache)
        finally:
            cache.close()


@torch.no_grad()
def many(model: Model, client: wavekv.Client, length: int, mode: str) -> list[str]:
    """One text with all facts, read once; forks of it ask for one fact each, all at the same time."""
    questions = [question_of(model, number) for number in range(FACTS)]
    longest = max(question.shape[1] for question in questions)
    newline = encoded(model, "\n")[:, :1]
    # Rows of one length, so that no row needs a mask.
    rows = torch.cat([torch.cat([newline.repeat(1, longest - asked.shape[1]), asked], dim=1) for asked in questions])
    needles = [needle_of(model, number) for number in range(FACTS)]
    body = model.context(length - sum(needle.shape[1] for needle in needles))
    parts = [part for pair in zip(body.chunk(FACTS, dim=1), needles, strict=False) for part in pair]
    ids = torch.cat(parts, dim=1)

    def asked(cache: object) -> int:
        argument = cache_argument(model.model)
        model.model(ids, **{argument: cache}, logits_to_keep=1)
        cache.batch_repeat_interleave(FACTS)

        def following(tokens: torch.Tensor) -> torch.Tensor:
            return model.model(tokens, **{argument: cache}, logits_to_keep=1).logits[:, -1].argmax(-1, keepdim=True)

        # The question a token at a time, as `mode` answers it.
        for token in rows.split(1, dim=1):
            last = following(token)
        said = [last]
        for _ in range(9):
            said.append(following(said[-1]))
        texts = [model.tokenizer.decode(row).replace(" ", "") for row in torch.cat(said, dim=1)]
        return sum(key in text for key, text in zip(KEYS, texts, strict=True))

    alone = asked(transformers.DynamicCache(config=model.model.config))
    with in_daemon(model, client, mode) as attached:
        cache = attached.new_cache()
        found = asked(cache)
        stats = client.stats()
        cache.close()
    return [
        f"{FACTS} forks of one text of {ids.shape[1]} tokens, each asking for another of its facts at the same time: "
        f"{alone} right with full attention and a copy of the cache for each, {found} with `{mode}`, where the forks share "
        f"{stats.shared_bytes / 2**20:.1f} MiB of K, V and index."
    ]


def kill(model: Model, daemon: Daemon, client: wavekv.Client) -> list[str]:
    """A generation whose daemon is killed and started again in the middle."""
    ids = model.context(300, start=2000)
    options = {"attention_mask": torch.ones_like(ids), "max_new_tokens": GENERATED, "min_new_tokens": GENERATED, "do_sample": False}
    killed_at = GENERATED // 2

    class Kill(transformers.StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
            if input_ids.shape[1] == ids.shape[1] + killed_at:
                daemon.kill()
                daemon.start()
            return torch.zeros(input_ids.shape[0], dtype=torch.bool)

    with in_daemon(model, client, "exact"):
        expected = model.model.generate(ids, **options)
        found = model.model.generate(ids, **options, stopping_criteria=transformers.StoppingCriteriaList([Kill()]))
    same = "the same tokens" if torch.equal(expected, found) else "OTHER TOKENS"
    return [f"Killed (SIGKILL) after {killed_at} of {GENERATED} tokens and started again, the generation went on with {same}."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daemon", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", choices=["smol", "gemma"], action="append")
    parser.add_argument("--only", default="tokens,text,facts,many,kill")
    parser.add_argument("--lengths", default="2048,8192")
    parser.add_argument("--modes", default="adaptive:0.05,retroinfer")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    daemon = Daemon(arguments.daemon)
    client = wavekv.Client(daemon.address)
    lengths = [int(length) for length in arguments.lengths.split(",")]
    modes = arguments.modes.split(",")
    page: list[str] = []
    for name in arguments.model or ["smol", "gemma"]:
        model = Model(name, arguments.models)
        page += [f"## {name}", ""]
        for part in arguments.only.split(","):
            made = {
                "tokens": lambda: tokens(model, client),
                "text": lambda: text(model, client, lengths, modes),
                "facts": lambda: facts(model, client, lengths, modes),
                "many": lambda: many(model, client, lengths[0], modes[0]),
                "kill": lambda: kill(model, daemon, client),
            }[part]()
            page += [*made, ""]
            print("\n".join(made), flush=True)
            arguments.out.write_text("\n".join(page))
    daemon.end()


if __name__ == "__main__":
    main()
