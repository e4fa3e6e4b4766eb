// Stores a thousand tokens of one layer, attends to them step by step as a decoding engine does, and compares the exact
// answer with one that is computed here.
//
//   attend ADDRESS

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "wavekv.h"

enum { TOKENS = 1000, STEPS = 50, KV_HEADS = 2, GROUP = 2, Q_HEADS = KV_HEADS * GROUP, DIM = 32 };

static float k[TOKENS + STEPS][KV_HEADS][DIM], v[TOKENS + STEPS][KV_HEADS][DIM], q[Q_HEADS][DIM], out[Q_HEADS][DIM];

static float noise(void) { return (float)rand() / (float)RAND_MAX * 2.0f - 1.0f; }

static void fill(float *numbers, size_t count) {
    for (size_t i = 0; i < count; i++) numbers[i] = noise();
}

static void check(WavekvStatus status, const char *what) {
    if (status != WAVEKV_STATUS_OK) {
        fprintf(stderr, "%s: %s (status %d)\n", what, wavekv_error(), (int)status);
        exit(1);
    }
}

static WavekvTensor tensor(const void *data, uint32_t tokens, uint32_t heads) {
    return (WavekvTensor){.dtype = WAVEKV_DTYPE_F32, .tokens = tokens, .heads = heads, .dim = DIM, .data = data};
}

// The largest difference from attention to the first `tokens` tokens.
static double difference(size_t tokens) {
    double largest = 0;
    for (size_t head = 0; head < Q_HEADS; head++) {
        double mass = 0, exact[DIM] = {0};
        for (size_t token = 0; token < tokens; token++) {
            double score = 0;
            for (size_t i = 0; i < DIM; i++) score += (double)q[head][i] * k[token][head / GROUP][i];
            double weight = exp(score / sqrt(DIM));
            mass += weight;
            for (size_t i = 0; i < DIM; i++) exact[i] += weight * v[token][head / GROUP][i];
        }
        for (size_t i = 0; i < DIM; i++) largest = fmax(largest, fabs(out[head][i] - exact[i] / mass));
    }
    return largest;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s ADDRESS\n", argv[0]);
        return 2;
    }
    WavekvClient *client = NULL;
    check(wavekv_connect(argv[1], 0, 60000, &client), "connect");
    WavekvCollection name = {.name = "example-in-c"};
    WavekvGeometry geometry = {.fingerprint = "noise", .layers = 1, .q_heads = Q_HEADS, .kv_heads = KV_HEADS,
                               .head_dim = DIM, .value_dim = DIM, .dtype = WAVEKV_DTYPE_F32, .scale = 1.0f / sqrtf(DIM)};
    check(wavekv_create(client, &name, &geometry, WAVEKV_INDEX_DEFAULT, WAVEKV_DURABILITY_NONE, NULL), "create");

    fill(&k[0][0][0], sizeof k / sizeof(float));
    fill(&v[0][0][0], sizeof v / sizeof(float));
    WavekvLayer layer = {.collection = name, .layer = 0};
    WavekvInsert prompt = {.layer = layer, .start = 0, .k = tensor(k, TOKENS, KV_HEADS), .v = tensor(v, TOKENS, KV_HEADS)};
    check(wavekv_insert(client, &prompt, 1, NULL, NULL), "insert");

    double largest = 0;
    WavekvReport report = {0};
    for (uint32_t at = TOKENS; at < TOKENS + STEPS; at++) {
        fill(&q[0][0], sizeof q / sizeof(float));
        WavekvAttend step = {.layer = layer, .q = tensor(q, 1, Q_HEADS), .mode = {.kind = WAVEKV_MODE_KIND_EXACT},
                             .k = tensor(k[at], 1, KV_HEADS), .v = tensor(v[at], 1, KV_HEADS), .start = at,
                             .out = &out[0][0], .out_length = Q_HEADS * DIM};
        check(wavekv_attend(client, &step, 1, &report, NULL), "attend");
        largest = fmax(largest, difference(at + 1));
    }
    printf("%u tokens, largest difference from attention computed here: %.1e\n", report.length, largest);

    // A gap is refused with a sentence, and nothing is stored.
    prompt.start = 5000;
    WavekvStatus refused = wavekv_insert(client, &prompt, 1, NULL, NULL);
    printf("refused with status %d: %s\n", (int)refused, wavekv_error());

    check(wavekv_delete(client, &name), "delete");
    wavekv_close(client);
    return largest < 1e-4 && refused == WAVEKV_STATUS_OUT_OF_RANGE ? 0 : 1;
}
