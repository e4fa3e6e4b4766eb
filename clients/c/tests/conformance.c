// The C client for the conformance suite: reads the lines that tests/conformance/program.rs says, and answers them.

#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wavekv.h"

enum { Q_HEADS = 4, KV_HEADS = 2, DIM = 32, WORDS = 8 };

static WavekvClient *client;

static void answer(WavekvStatus status) {
    // gRPC status codes, in the order of WavekvStatus.
    static const int codes[] = {0, 3, 5, 6, 11, 9, 8, 14, 15, 4, 13};
    if (status == WAVEKV_STATUS_OK)
        puts("ok");
    else if (status == WAVEKV_STATUS_CANNOT_CONNECT || status == WAVEKV_STATUS_CONNECTION_LOST)
        puts("away");
    else
        printf("refused %d\n", codes[status]);
}

static WavekvCollection collection(const char *name) { return (WavekvCollection){.name = name}; }

static WavekvLayer layer(const char *name) { return (WavekvLayer){.collection = collection(name)}; }

static unsigned digit(char c) { return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10); }

// Turns digits into the bytes that they stand for, in their place.
static WavekvTensor tensor(char *digits, uint32_t heads) {
    unsigned char *bytes = (unsigned char *)digits;
    size_t count = strlen(digits) / 2;
    for (size_t i = 0; i < count; i++) bytes[i] = (unsigned char)(digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]));
    uint32_t tokens = (uint32_t)(count / sizeof(float) / heads / DIM);
    return (WavekvTensor){.dtype = WAVEKV_DTYPE_F32, .tokens = tokens, .heads = heads, .dim = DIM, .data = bytes};
}

static WavekvMode mode(const char *word) {
    if (strcmp(word, "exact") == 0) return (WavekvMode){.kind = WAVEKV_MODE_KIND_EXACT};
    if (strcmp(word, "budget:1") == 0) return (WavekvMode){.kind = WAVEKV_MODE_KIND_BUDGET, .value = 1.0f};
    return (WavekvMode){.kind = WAVEKV_MODE_KIND_DEFAULT};
}

static void create(const char *name, const char *durability) {
    WavekvCollection named = collection(name);
    WavekvGeometry geometry = {.fingerprint = "conformance", .layers = 1, .q_heads = Q_HEADS, .kv_heads = KV_HEADS,
                               .head_dim = DIM, .value_dim = DIM, .dtype = WAVEKV_DTYPE_F32, .scale = 1.0f / sqrtf(DIM)};
    bool kept = strcmp(durability, "process") == 0;
    answer(wavekv_create(client, &named, &geometry, WAVEKV_INDEX_DEFAULT,
                         kept ? WAVEKV_DURABILITY_PROCESS : WAVEKV_DURABILITY_NONE, NULL));
}

static void attend(char **words) {
    float out[Q_HEADS * DIM];
    WavekvAttend step = {.layer = layer(words[1]), .mode = mode(words[2]), .start = (uint32_t)atol(words[3]),
                         .q = tensor(words[4], Q_HEADS), .k = tensor(words[5], KV_HEADS), .v = tensor(words[6], KV_HEADS),
                         .out = out, .out_length = Q_HEADS * DIM};
    WavekvStatus status = wavekv_attend(client, &step, 1, NULL, NULL);
    if (status != WAVEKV_STATUS_OK) {
        answer(status);
        return;
    }
    const unsigned char *bytes = (const unsigned char *)out;
    printf("ok ");
    for (size_t i = 0; i < sizeof out; i++) printf("%02x", bytes[i]);
    puts("");
}

static int run(char **words, int count) {
    WavekvCollection named = collection(count > 1 ? words[1] : "");
    if (strcmp(words[0], "connect") == 0 && count == 3) {
        answer(wavekv_connect(words[1], 0, (uint32_t)atol(words[2]), &client));
    } else if (strcmp(words[0], "create") == 0 && count == 3) {
        create(words[1], words[2]);
    } else if (strcmp(words[0], "insert") == 0 && count == 5) {
        WavekvInsert insert = {.layer = layer(words[1]), .start = (uint32_t)atol(words[2]),
                               .k = tensor(words[3], KV_HEADS), .v = tensor(words[4], KV_HEADS)};
        answer(wavekv_insert(client, &insert, 1, NULL, NULL));
    } else if (strcmp(words[0], "cluster") == 0 && count == 2) {
        WavekvLayer first = layer(words[1]);
        answer(wavekv_segment_cluster(client, &first));
    } else if (strcmp(words[0], "attend") == 0 && count == 7) {
        attend(words);
    } else if (strcmp(words[0], "fork") == 0 && count == 4) {
        answer(wavekv_fork(client, &named, words[2], (uint32_t)atol(words[3]), WAVEKV_DURABILITY_DEFAULT, NULL));
    } else if (strcmp(words[0], "truncate") == 0 && count == 3) {
        answer(wavekv_truncate(client, &named, (uint32_t)atol(words[2])));
    } else if (strcmp(words[0], "delete") == 0 && count == 2) {
        answer(wavekv_delete(client, &named));
    } else {
        fprintf(stderr, "conformance: unknown line of %d words: %s\n", count, words[0]);
        return 1;
    }
    return fflush(stdout);
}

int main(void) {
    char *line = NULL;
    size_t room = 0;
    int failed = 0;
    while (!failed && getline(&line, &room, stdin) > 0) {
        char *words[WORDS], *rest = NULL;
        int count = 0;
        for (char *word = strtok_r(line, " \n", &rest); word && count < WORDS; word = strtok_r(NULL, " \n", &rest))
            words[count++] = word;
        failed = count == 0 || run(words, count);
    }
    free(line);
    wavekv_close(client);
    return failed;
}
