/* adapter_file — a LoRA or one of its relatives: the layers that its file changes, by the names of its tensors.
 *
 * A layer is a module of a network and the tensors that say how it changes. Which weight that is, and whether
 * the shapes go with it, only a model can say (model/adapter.h); here each layer is complete in itself.
 *
 *     kind          tensors
 *     LoRA          up [out, r, ...], down [r, in, ...]; mid [r, r, kh, kw]; alpha
 *     LoHa          hada_w1_a, _w1_b, _w2_a, _w2_b; t1 and t2; alpha
 *     LoKr          lokr_w1 or w1_a and w1_b; lokr_w2 or w2_a and w2_b, t2; alpha
 *     difference    diff, diff_b
 *     norm          w_norm, b_norm
 *     and dora_scale, or lora_magnitude_vector, with any of the first three
 *
 * (IA)^3, OFT and others are refused by name. Names that are not understood are counted and listed.
 *
 * What a file says about itself (kohya's ss_ texts): its base model, and the tags that its pictures were
 * described with, the most frequent first: its trigger words.
 *
 * Threads: one at a time per file.
 */
#ifndef WEIGHTS_ADAPTER_FILE_H
#define WEIGHTS_ADAPTER_FILE_H

#include "base/cancel.h"
#include "weights/adapter_names.h"

enum adapter_kind {
    ADAPTER_LORA,
    ADAPTER_LOHA,
    ADAPTER_LOKR,
    ADAPTER_DIFFERENCE,
    ADAPTER_NORM,
    ADAPTER_KIND_COUNT
};

const char *adapter_kind_name(enum adapter_kind kind); /* "LoRA" */

struct adapter_layer {
    enum component_role role;
    enum adapter_kind kind;
    const char *module;                             /* as adapter_name has it */
    const struct tensor *parts[ADAPTER_PART_COUNT]; /* NULL: it has none */
    int32_t rank;                                   /* 0: it has no low-rank term */
    float
        scale; /* alpha / rank, or as PEFT's config says; 1 where there is no alpha or no rank */
};

enum {
    ADAPTER_TRIGGER_WORDS = 12,
    ADAPTER_LISTED_NAMES = 5,
    ADAPTER_HASH_DIGITS = 12,
    ADAPTER_HASH_BYTES = ADAPTER_HASH_DIGITS + 1
};

struct adapter_file {
    struct tensor_file file;
    struct adapter_layer *layers; /* sorted by network and module */
    size_t layer_count;
    size_t kind_counts[ADAPTER_KIND_COUNT];
    bool has_dora;
    enum family family;     /* FAMILY_UNKNOWN: it does not show */
    const char *base_model; /* what the file says, or NULL */
    const char *words[ADAPTER_TRIGGER_WORDS];
    size_t word_count;
    size_t unknown_count; /* names that are not understood */
    const char *unknown[ADAPTER_LISTED_NAMES];
    uint64_t bytes;   /* of the tensors of its layers */
    struct pool pool; /* private */
};

/* Errors: tensor_file_open's; DR_UNSUPPORTED (no adapter; a method that is not applied), DR_CORRUPT (two tensors
 * for one part, a part without its counterpart, shapes that do not go together), DR_BAD_INPUT (rank or alpha
 * 0), DR_NOT_FINITE (alpha), adapter_config_parse's. On error *adapter is zero. */
enum dr_code adapter_file_open(struct adapter_file *adapter, const char *path,
                               struct dr_error *err) DR_MUST_CHECK;
void adapter_file_close(struct adapter_file *adapter); /* zeroed is fine */

/* The Lora hash of other programs: what the file says of itself (sshs_model_hash, which kohya's trainer writes), else the
 * first digits of the SHA-256 of what follows a safetensors file's header, of another file's whole content, which is
 * read. "" for one in several files.
 * Errors: tensor_file_read's, DR_CANCELLED. */
enum dr_code adapter_file_hash(const struct adapter_file *adapter,
                               const struct cancel *cancel,
                               char out[static ADAPTER_HASH_BYTES],
                               struct dr_error *err) DR_MUST_CHECK;

/* The part of adapter_file_open that reads no data, for the fuzzer: alphas count as 1. Takes the file. */
enum dr_code adapter_file_sort(struct adapter_file *adapter,
                               struct tensor_file *file_take,
                               struct dr_error *err) DR_MUST_CHECK;

#endif
