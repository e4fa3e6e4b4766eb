"""What PyTorch and FAISS need for the work of WaveKV: attention of one query token over one layer's KV cache.

Reads traces as `wavekv generate` and captures write them (safetensors: K, V, Q), asks the queries of their end in the
order of `wavekv bench`, and writes JSON of the schema of `wavekv bench`, which takes it in with --peers.

PyTorch computes exact attention, with scaled_dot_product_attention and in plain operations, in bf16 and f32. FAISS has an
index (IVF, HNSW) of the keys of each KV head; what it retrieves for a query head, the sink and the recent window are
attended to exactly, and the rest is left out, as in RetrievalAttention.
"""

import argparse
import json
import math
import platform
import shlex
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import torch
from safetensors import safe_open

# Always attended to by the FAISS methods, as WaveKV's steady zone.
SINK_TOKENS = 4
RECENT_TOKENS = 64
LAST_QUERIES = 64


@dataclass
class Layer:
    """K and V [kv_heads, tokens, dim] in the trace's dtype, and the queries in the order in which they are asked."""

    k: torch.Tensor
    v: torch.Tensor
    q: torch.Tensor  # [queries, q_heads, head_dim] f32
    positions: list[int]
    scale: float

    def group(self):
        return self.q.shape[1] // self.k.shape[0]

    def grouped(self, number):
        """Query `number` as [kv_heads, group, head_dim]."""
        return self.q[number].view(self.k.shape[0], self.group(), -1)


def spread(count):
    """0..count in the order of `wavekv bench`: any beginning is spread evenly over all."""
    golden = max(int(count * 0.618), 1)
    step = next((step for step in range(golden, count) if math.gcd(step, count) == 1), 1)
    return [index * step % count for index in range(count)]


def load(path):
    """The summary of a trace, as `wavekv bench` writes it, and its layers."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        numbers = json.loads(metadata["layers"])
        all_positions = file.get_tensor("q_positions").tolist()
        last = len(all_positions) - min(LAST_QUERIES, len(all_positions))
        rows = [last + row for row in spread(len(all_positions) - last)]
        layers = []
        for number in numbers:
            layers.append(
                Layer(
                    k=file.get_tensor(f"L{number}.k"),
                    v=file.get_tensor(f"L{number}.v"),
                    q=file.get_tensor(f"L{number}.q")[rows].float(),
                    positions=[all_positions[row] for row in rows],
                    scale=float(metadata["scale"]),
                )
            )
    head_dim = int(metadata["head_dim"])
    dtypes = {torch.bfloat16: "bf16", torch.float16: "f16", torch.float32: "f32"}
    summary = {
        "model": metadata["model"],
        "text": metadata["text"],
        "tokens": int(metadata["tokens"]),
        "layers": numbers,
        "q_heads": int(metadata["q_heads"]),
        "kv_heads": int(metadata["kv_heads"]),
        "head_dim": head_dim,
        "value_dim": int(metadata.get("value_dim", head_dim)),
        "dtype": dtypes[layers[0].k.dtype],
        "scale": float(metadata["scale"]),
        "queries": len(all_positions),
    }
    return summary, layers


def exact(layer, number):
    """Attention of query `number` in f64, [q_heads, value_dim]."""
    end = layer.positions[number] + 1
    heads = []
    for kv_head, q in enumerate(layer.grouped(number).double()):
        scores = layer.scale * (q @ layer.k[kv_head, :end].double().T)
        heads.append(torch.softmax(scores, dim=-1) @ layer.v[kv_head, :end].double())
    return torch.cat(heads)


# Exact attention in PyTorch. Each takes q [kv_heads, group, head_dim], k and v [kv_heads, tokens, dim], and attends to
# the tokens before `end`. What comes behind it is cut off or masked, whichever was faster: the batched product of a cut
# tensor would copy it first.


def sdpa_of_heads(q, k, v, end, scale):
    """Query heads as heads, K and V shared by groups."""
    heads = q.reshape(1, -1, 1, q.shape[-1])
    k, v = k[None, :, :end], v[None, :, :end]
    out = torch.nn.functional.scaled_dot_product_attention(heads, k, v, scale=scale, enable_gqa=True)
    return out.reshape(-1, v.shape[-1])


def sdpa_of_groups(q, k, v, end, scale):
    """The heads of a group as queries of one head: no K is read twice."""
    k, v = k[None, :, :end], v[None, :, :end]
    out = torch.nn.functional.scaled_dot_product_attention(q[None], k, v, scale=scale)
    return out.reshape(-1, v.shape[-1])


def weighted(scores, v, end):
    """Scores [kv_heads, group, tokens] to the output."""
    scores[:, :, end:] = -math.inf
    return (torch.softmax(scores, dim=-1) @ v).reshape(-1, v.shape[-1])


def eager(q, k, v, end, scale):
    """Two products and a softmax."""
    return weighted((scale * q) @ k.transpose(1, 2), v, end)


def eager_by_keys(q, k, v, end, scale):
    """The same with K on the left, which some matrix libraries stream faster."""
    return weighted((k @ (scale * q).transpose(1, 2)).transpose(1, 2).contiguous(), v, end)


class Dense:
    """One of the above in one dtype."""

    system = "pytorch"
    exact = True

    def __init__(self, method, attention, layers, dtype):
        self.method = method
        self.attention = attention
        self.dtype = dtype
        self.kv = [(layer.k.to(dtype), layer.v.to(dtype)) for layer in layers]

    def ask(self, layers, index, number):
        layer, (k, v) = layers[index], self.kv[index]
        q = layer.grouped(number).to(self.dtype)
        return self.attention(q, k, v, layer.positions[number] + 1, layer.scale)


class Retrieved:
    """One setting of FAISS indexes, one per KV head, over what is neither sink nor recent. Heads go to the threads."""

    system = "faiss"
    exact = False

    def __init__(self, method, indexes, vectors, parameters, count, pool):
        self.method = method
        self.indexes = indexes
        self.vectors = vectors
        self.parameters = parameters
        self.count = count
        self.pool = pool

    def ask(self, layers, index, number):
        layer = layers[index]
        q = np.ascontiguousarray(layer.grouped(number).numpy())
        end = layer.positions[number] + 1
        recent = min(index_end(layer), end)
        steady = np.concatenate([np.arange(min(SINK_TOKENS, end)), np.arange(recent, end)])
        heads = zip(q, self.indexes[index], *self.vectors[index])
        outs = self.pool.map(lambda head: self.head(layer.scale, steady, *head), heads)
        return torch.from_numpy(np.concatenate(list(outs)))

    def head(self, scale, steady, q, index, k, v):
        """The group of one KV head, [group, value_dim]."""
        _, found = index.search(q, self.count, params=self.parameters)
        tokens = np.concatenate([np.tile(steady, (len(q), 1)), found + SINK_TOKENS], axis=1)
        scores = scale * (k[tokens] @ q[:, :, None])[:, :, 0]
        # -1: the index found less than it was asked for.
        scores[:, len(steady) :][found < 0] = -np.inf
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        return (weights[:, None, :] @ v[tokens])[:, 0]


def index_end(layer):
    """Where the recent window of the first query begins: what lies before is indexed."""
    return max(min(layer.positions) - RECENT_TOKENS + 1, SINK_TOKENS)


def build(kind, keys, lists):
    """A FAISS index of the keys of one head, by inner product. A common part of all keys ranks nothing: it is taken off."""
    keys = keys - keys.mean(axis=0)
    dim = keys.shape[1]
    if kind == "ivf":
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1
        index.train(keys)
    else:
        index = faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
    index.add(keys)
    return index


def settings(kind, indexed, lists, arguments):
    """The name, search parameters and number of tokens of every setting that makes sense."""
    for setting in arguments.nprobe if kind == "ivf" else arguments.ef_search:
        if kind == "ivf":
            name, parameters = f"nprobe={setting}", faiss.SearchParametersIVF(nprobe=setting)
            most = 2 * setting * indexed // lists
        else:
            name, parameters = f"efSearch={setting}", faiss.SearchParametersHNSW(efSearch=setting)
            most = setting
        for count in arguments.k:
            if setting <= lists and count <= min(most, indexed):
                yield f"{kind} {name} k={count}", parameters, count


def retrievals(kind, layers, pool, arguments):
    """Every setting of one kind of index."""
    indexed = index_end(layers[0]) - SINK_TOKENS
    if indexed < 1000:
        return []
    vectors = [
        ([head.float().numpy() for head in layer.k], [head.float().numpy() for head in layer.v])
        for layer in layers
    ]
    lists = int(4 * math.sqrt(indexed))
    start = time.perf_counter()
    indexes = [
        [build(kind, keys[SINK_TOKENS : index_end(layer)], lists) for keys in heads]
        for layer, (heads, _) in zip(layers, vectors)
    ]
    seconds = time.perf_counter() - start
    rate = len(layers) * len(indexes[0]) * indexed / seconds / 1e6
    say(f"  {kind}: built in {seconds:.1f} s, {rate:.2f} million tokens x KV heads a second")
    return [
        Retrieved(name, indexes, vectors, parameters, count, pool)
        for name, parameters, count in settings(kind, indexed, lists if kind == "ivf" else math.inf, arguments)
    ]


def measure(method, layers, truth, arguments):
    """A point of the report: times of all calls, errors of the checked ones."""
    count = len(layers)
    latencies, errors = [], []
    for number in range(arguments.warm_up):
        method.ask(layers, number % count, 0)
    for number in range(arguments.queries):
        index, place = number % count, number // count
        start = time.perf_counter()
        out = method.ask(layers, index, place % len(layers[index].positions))
        latencies.append((time.perf_counter() - start) * 1e3)
        if (index, place) in truth:
            expected = truth[index, place]
            difference = torch.linalg.vector_norm(out.double() - expected, dim=-1)
            errors.extend((difference / torch.linalg.vector_norm(expected, dim=-1)).tolist())
    return {
        "system": method.system,
        "method": method.method,
        "exact": method.exact,
        "queries": arguments.queries,
        "latency_p50_ms": percentile(latencies, 0.50),
        "latency_p99_ms": percentile(latencies, 0.99),
        "checked": len([place for place in truth if place[1] * count + place[0] < arguments.queries]),
        "error_mean": float(np.mean(errors)) if errors else None,
        "error_p50": percentile(errors, 0.50) if errors else None,
        "error_p95": percentile(errors, 0.95) if errors else None,
        "error_p99": percentile(errors, 0.99) if errors else None,
        "error_estimate_mean": None,
        "calibrated_share": None,
        "bytes_read": None,
        "byte_share": None,
        "zones": None,
    }


def percentile(values, share):
    """By nearest rank, as `wavekv bench`."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def context(path, pool, arguments):
    """One trace with every method, one method after the other: each wants all threads."""
    summary, layers = load(path)
    say(f"{path.stem}: {summary['tokens']} tokens")
    places = [(i, place) for place in range(arguments.checked) for i in range(len(layers))]
    truth = {(i, place): exact(layers[i], place) for i, place in places if place < len(layers[i].positions)}
    points = []

    def take(method):
        point = measure(method, layers, truth, arguments)
        points.append(point)
        error = point["error_mean"]
        shown = "-" if error is None else f"{error:.2e}"
        say(f"  {method.method}: {point['latency_p50_ms']:.2f} ms, error {shown}")

    for name, dtype in (("bf16", torch.bfloat16), ("f32", torch.float32)):
        for method, attention in (
            (f"sdpa {name}, heads", sdpa_of_heads),
            (f"sdpa {name}, groups", sdpa_of_groups),
            (f"eager {name}", eager),
            (f"eager {name}, by keys", eager_by_keys),
        ):
            take(Dense(method, attention, layers, dtype))
    for kind in arguments.index:
        for method in retrievals(kind, layers, pool, arguments):
            take(method)
    elements = summary["kv_heads"] * (summary["head_dim"] + summary["value_dim"])
    return {
        "name": path.stem,
        "trace": summary,
        "layer_bytes": summary["tokens"] * elements * layers[0].k.element_size(),
        "build": None,
        "points": points,
    }


def cpu():
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(": ", 1)[1] for line in lines if line.startswith("model name") and ": " in line]
    return names[0] if names else platform.processor() or "unknown CPU"


def say(line):
    print(line, file=sys.stderr, flush=True)


def numbers(text):
    return [int(number) for number in text.split(",") if number]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACE", help="safetensors files")
    parser.add_argument("--out", required=True, type=Path, help="the JSON file to write")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch and FAISS (default: 2)")
    parser.add_argument("--queries", type=int, default=64, help="timed calls of each method (default: 64)")
    parser.add_argument("--checked", type=int, default=16, help="of each layer, compared with f64 (default: 16)")
    parser.add_argument("--warm-up", type=int, default=3, help="calls before those that are timed (default: 3)")
    parser.add_argument("--index", nargs="*", default=["ivf", "hnsw"], choices=["ivf", "hnsw"], help="of FAISS")
    parser.add_argument("--nprobe", type=numbers, default=[4, 16, 64, 256], help="of IVF (default: 4,16,64,256)")
    parser.add_argument("--ef-search", type=numbers, default=[64, 256, 1024], help="of HNSW (default: 64,256,1024)")
    parser.add_argument("--k", type=numbers, default=[64, 256, 1024], help="tokens a query head (default: 64,256,1024)")
    return parser.parse_args()


def main():
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    faiss.omp_set_num_threads(arguments.threads)
    # A search is too short to be shared by threads: each thread takes whole heads.
    pool = ThreadPoolExecutor(arguments.threads, initializer=lambda: faiss.omp_set_num_threads(1))
    versions = f"torch {torch.__version__}, faiss {faiss.__version__}"
    report = {
        "command": f"{shlex.join(['peers.py', *sys.argv[1:]])} ({versions})",
        "machine": {
            "cpu": cpu(),
            "threads": arguments.threads,
            "read_bytes_per_second": None,
            "buffer_bytes": None,
        },
        "daemon": None,
        "contexts": [context(path, pool, arguments) for path in arguments.traces],
        "peers": [],
    }
    arguments.out.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    say(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
