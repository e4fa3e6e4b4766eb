// The C client of WaveKV, a KV-cache storage daemon. Generated from clients/c/src: do not edit.
//
// Every function but wavekv_error and wavekv_close returns a status; wavekv_error says why the last call of this thread was
// not WAVEKV_STATUS_OK. A client may be used by several threads at once. What is passed in is copied before a function
// returns, and what it returns is written to memory of the caller's. Strings are UTF-8 and end with 0.
//
// See clients/c/examples/attend.c.

#ifndef WAVEKV_H
#define WAVEKV_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// How a call went: from 1 to 9, the daemon's codes.
typedef enum WavekvStatus {
  // It was done.
  WAVEKV_STATUS_OK = 0,
  // A field is wrong; the sentence names it, its value and what was expected.
  WAVEKV_STATUS_INVALID_ARGUMENT = 1,
  // There is no such collection, layer, segment or cluster.
  WAVEKV_STATUS_NOT_FOUND = 2,
  // The name is taken, or other bytes are stored at these positions.
  WAVEKV_STATUS_ALREADY_EXISTS = 3,
  // A gap: the sentence says the expected position.
  WAVEKV_STATUS_OUT_OF_RANGE = 4,
  // The collection is another generation or another model's.
  WAVEKV_STATUS_FAILED_PRECONDITION = 5,
  // Memory, disk or a limit: what was acknowledged stays.
  WAVEKV_STATUS_RESOURCE_EXHAUSTED = 6,
  // The daemon starts or stops, or its disk does not work: try again.
  WAVEKV_STATUS_UNAVAILABLE = 7,
  // What is on disk of the collection is damaged.
  WAVEKV_STATUS_DATA_LOSS = 8,
  // The answer took longer than the deadline.
  WAVEKV_STATUS_DEADLINE_EXCEEDED = 9,
  // A bug in the daemon or the client, or an answer that does not fit the contract.
  WAVEKV_STATUS_INTERNAL = 10,
  // There is no daemon at the address, or it did not answer in time.
  WAVEKV_STATUS_CANNOT_CONNECT = 11,
  // The connection broke during the call: the daemon may have done it or not.
  WAVEKV_STATUS_CONNECTION_LOST = 12,
} WavekvStatus;

// Element type of a tensor.
typedef enum WavekvDtype {
  // The upper half of an f32.
  WAVEKV_DTYPE_BF16 = 1,
  // IEEE half precision.
  WAVEKV_DTYPE_F16 = 2,
  // IEEE single precision.
  WAVEKV_DTYPE_F32 = 3,
} WavekvDtype;

// What finds the tokens that matter.
typedef enum WavekvIndex {
  // The daemon's default.
  WAVEKV_INDEX_DEFAULT = 0,
  // Clusters.
  WAVEKV_INDEX_WAVE = 1,
  // None: every token is read.
  WAVEKV_INDEX_FLAT = 2,
  // FAISS inverted lists.
  WAVEKV_INDEX_IVF = 3,
  // FAISS HNSW graphs.
  WAVEKV_INDEX_HNSW = 4,
} WavekvIndex;

// What stored tokens outlive.
typedef enum WavekvDurability {
  // The daemon's default; of a fork, its source's.
  WAVEKV_DURABILITY_DEFAULT = 0,
  // Nothing.
  WAVEKV_DURABILITY_NONE = 1,
  // The daemon's process.
  WAVEKV_DURABILITY_PROCESS = 2,
  // A loss of power.
  WAVEKV_DURABILITY_POWER = 3,
} WavekvDurability;

// How much is computed exactly.
typedef enum WavekvModeKind {
  // As the daemon is configured.
  WAVEKV_MODE_KIND_DEFAULT = 0,
  // Everything.
  WAVEKV_MODE_KIND_EXACT = 1,
  // As much as the target error takes.
  WAVEKV_MODE_KIND_ADAPTIVE = 2,
  // A share of the tokens; all other clusters are estimated.
  WAVEKV_MODE_KIND_BUDGET = 3,
  // The paper's rule.
  WAVEKV_MODE_KIND_RETROINFER = 4,
} WavekvModeKind;

// A connection to a daemon.
typedef struct WavekvClient WavekvClient;

// Names a collection.
typedef struct WavekvCollection {
  // Null or empty: "default".
  const char *name_space;
  // Not null.
  const char *name;
  // Refused when another generation bears the name by now; 0: whichever does.
  uint64_t generation;
} WavekvCollection;

// Names a layer of a collection.
typedef struct WavekvLayer {
  // Whose layer it is.
  struct WavekvCollection collection;
  // From 0.
  uint32_t layer;
} WavekvLayer;

// A dense tensor `[tokens, heads, dim]`.
typedef struct WavekvTensor {
  // Of its elements: a `WavekvDtype`.
  uint32_t dtype;
  // Rows of heads.
  uint32_t tokens;
  // KV heads of K and V, query heads of Q.
  uint32_t heads;
  // Elements of a head.
  uint32_t dim;
  // tokens * heads * dim elements, little-endian.
  const void *data;
} WavekvTensor;

// A mode: a `WavekvModeKind`, and what it takes.
typedef struct WavekvMode {
  // A `WavekvModeKind`.
  uint32_t kind;
  // Of adaptive the target of |out - exact| / |exact|, of budget the share of tokens; else nothing.
  float value;
} WavekvMode;

// A query, with what is to be inserted first.
typedef struct WavekvAttend {
  // That is attended to.
  struct WavekvLayer layer;
  // `[tokens, q_heads, head_dim]`.
  struct WavekvTensor q;
  // Of each query token; null: the layer's last ones, after the insert.
  const uint32_t *positions;
  // How.
  struct WavekvMode mode;
  // K of this step; no insert where its data is null.
  struct WavekvTensor k;
  // V of this step.
  struct WavekvTensor v;
  // Position of the step's first token.
  uint32_t start;
  // Room for the output `[tokens, q_heads, value_dim]`.
  float *out;
  // Its elements.
  size_t out_length;
  // Room for the log-sum-exp `[tokens, q_heads]`; may be null.
  float *lse;
  // Its elements.
  size_t lse_length;
} WavekvAttend;

// What an answer cost, summed over query tokens and KV heads, and how good it is believed to be.
typedef struct WavekvReport {
  // The layer's length, after the insert.
  uint32_t length;
  // The largest estimate of |out - exact| / |exact| of a query head.
  float error_estimate;
  // Tokens that the queries see.
  uint64_t visible_tokens;
  // Computed exactly: sink, window and tail.
  uint64_t steady_tokens;
  // Computed exactly: chosen.
  uint64_t retrieved_tokens;
  // Weighed by codes.
  uint64_t coded_tokens;
  // Estimated.
  uint64_t estimated_tokens;
  // Read for the answer.
  uint64_t bytes_read;
  // That all visible tokens have.
  uint64_t full_bytes;
} WavekvReport;

// What the vectors of a collection are.
typedef struct WavekvGeometry {
  // Model, revision, RoPE settings.
  const char *fingerprint;
  // Number of layers.
  uint32_t layers;
  // Of each layer: 0 for every earlier token, n for the last n. Null: 0 for all.
  const uint32_t *sliding_windows;
  // A multiple of `kv_heads`.
  uint32_t q_heads;
  // Heads of K and V.
  uint32_t kv_heads;
  // Elements of a key.
  uint32_t head_dim;
  // Elements of a value.
  uint32_t value_dim;
  // Of K and V as they are stored: a `WavekvDtype`.
  uint32_t dtype;
  // Scores are scale * q.k.
  float scale;
  // Or, where it is not 0, softcap * tanh(scale * q.k / softcap): the index is flat then.
  float softcap;
} WavekvGeometry;

// A collection as it is now.
typedef struct WavekvDescription {
  // Distinguishes it from earlier ones of its name.
  uint64_t generation;
  // Tokens that every layer has.
  uint32_t length;
  // Number of layers.
  uint32_t layers;
  // Query heads.
  uint32_t q_heads;
  // KV heads.
  uint32_t kv_heads;
  // Elements of a key.
  uint32_t head_dim;
  // Elements of a value.
  uint32_t value_dim;
} WavekvDescription;

// K `[tokens, kv_heads, head_dim]` and V `[tokens, kv_heads, value_dim]` of the tokens from position `start` on.
typedef struct WavekvInsert {
  // Where they go.
  struct WavekvLayer layer;
  // Position of the first.
  uint32_t start;
  // Keys.
  struct WavekvTensor k;
  // Values.
  struct WavekvTensor v;
} WavekvInsert;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Answers `count` queries in one call, which fail alone, as the entries of `wavekv_insert` do. `reports` (one each) may be null.
//
// # Safety
// As `wavekv_insert`; `out` and `lse` of every query may be written.
enum WavekvStatus wavekv_attend(const struct WavekvClient *client,
                                const struct WavekvAttend *queries,
                                size_t count,
                                struct WavekvReport *reports,
                                enum WavekvStatus *statuses);

// Connects to `unix:/path/to.sock`, `shm:/path/to.sock`, `http://host:port` or `https://host:port`, within
// `connect_timeout_ms` (0: five seconds); every call has `deadline_ms` (0: as long as it takes). `client` is to be given to `wavekv_close`.
//
// # Safety
// `address` ends with 0; `client` points to a pointer that may be written.
enum WavekvStatus wavekv_connect(const char *address,
                                 uint32_t connect_timeout_ms,
                                 uint32_t deadline_ms,
                                 struct WavekvClient **client);

// Ends a connection; null is none.
//
// # Safety
// `client` is null or comes from `wavekv_connect`, and no call of any thread has it or gets it afterwards.
void wavekv_close(struct WavekvClient *client);

// Makes an empty collection. `index` is a `WavekvIndex` and `durability` a `WavekvDurability`; `description` may be null.
//
// # Safety
// Pointers are null or point to what they say, texts end with 0, and `sliding_windows` has one number a layer.
enum WavekvStatus wavekv_create(const struct WavekvClient *client,
                                const struct WavekvCollection *collection,
                                const struct WavekvGeometry *geometry,
                                uint32_t index,
                                uint32_t durability,
                                struct WavekvDescription *description);

// Describes a collection. With a `fingerprint` that is not null, it must be of that model.
//
// # Safety
// As `wavekv_create`.
enum WavekvStatus wavekv_get(const struct WavekvClient *client,
                             const struct WavekvCollection *collection,
                             const char *fingerprint,
                             struct WavekvDescription *description);

// Makes the collection `name`, which begins with the first `length` tokens of another (`UINT32_MAX`: all of them) and shares
// them with it.
//
// # Safety
// As `wavekv_create`.
enum WavekvStatus wavekv_fork(const struct WavekvClient *client,
                              const struct WavekvCollection *collection,
                              const char *name,
                              uint32_t length,
                              uint32_t durability,
                              struct WavekvDescription *description);

// Drops the tokens from `length` on in every layer.
//
// # Safety
// As `wavekv_create`.
enum WavekvStatus wavekv_truncate(const struct WavekvClient *client,
                                  const struct WavekvCollection *collection,
                                  uint32_t length);

// Removes a collection and all that it holds.
//
// # Safety
// As `wavekv_create`.
enum WavekvStatus wavekv_delete(const struct WavekvClient *client,
                                const struct WavekvCollection *collection);

// Why the last call of this thread failed; empty when it did not. Valid until the thread's next call.
const char *wavekv_error(void);

// Stores `count` entries, which fail alone: `statuses` (one each, or null) says which, and the call's own status and sentence
// are those of the first that failed. `lengths` (one each, or null) are the layers' lengths afterwards.
//
// # Safety
// Pointers are null or point to what they say, texts end with 0, and tensors have all elements of their shapes.
enum WavekvStatus wavekv_insert(const struct WavekvClient *client,
                                const struct WavekvInsert *inserts,
                                size_t count,
                                uint32_t *lengths,
                                enum WavekvStatus *statuses);

// Clusters a layer's pending tail now, and returns when it is done.
//
// # Safety
// As `wavekv_insert`.
enum WavekvStatus wavekv_segment_cluster(const struct WavekvClient *client,
                                         const struct WavekvLayer *layer);

// Gives back K and V of the tokens [start, end) of a layer, as they are stored: `k` has room for `k_bytes` and `v` for `v_bytes`,
// which must be what the tokens take.
//
// # Safety
// As `wavekv_insert`; `k` and `v` may be written.
enum WavekvStatus wavekv_fetch(const struct WavekvClient *client,
                               const struct WavekvLayer *layer,
                               uint32_t start,
                               uint32_t end,
                               uint8_t *k,
                               size_t k_bytes,
                               uint8_t *v,
                               size_t v_bytes);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WAVEKV_H */
