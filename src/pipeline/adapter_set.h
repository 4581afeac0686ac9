/* adapter_set — the adapters of one job: their files, a slot for each, and what they add to each network.
 *
 *     adapter_set_open     the files are opened and matched to the model; a slot for each is added to the
 *                          pipeline's list, released
 *     ...                  the job's plans take the deltas, its list loads and releases the slots
 *     adapter_set_close    the slots are released and taken out, the files closed
 *
 * The base's weights, their packs and digests are not touched: there is nothing to undo. An adapter's tables are
 * private memory, never a pack: the file is already what a pack would hold.
 *
 * A file that is given twice is one adapter, with the sum of the strengths.
 *
 * Threads: as a pipeline's. Slots are added and taken out with the ledger's lock held.
 */
#ifndef PIPELINE_ADAPTER_SET_H
#define PIPELINE_ADAPTER_SET_H

#include "model/adapter.h"
#include "pipeline/pipeline.h"

/* Any more would be a picture of noise. */
#define ADAPTER_MOST_STRENGTH 100.0

/* One that is wanted. path: borrowed for the call. */
struct adapter_wish {
    const char *path;
    double unet, text; /* strengths */
};

struct adapter {
    char path[DR_PATH_BYTES];
    char name[128];  /* stem of the path */
    char label[160]; /* "lora NAME": of its region and its slot */
    double unet, text;
    struct adapter_file file;
    struct adapter_spec *spec;
    struct source source;
};

struct adapter_set {
    struct pipeline *pipeline; /* NULL: empty */
    struct ledger *ledger;
    struct adapter *items[PIPELINE_ADAPTERS];
    int32_t count;
    int32_t first_slot; /* of the pipeline's: one for each item */
    struct weight_delta *deltas[ROLE_COUNT];
    struct weight_deltas tables[ROLE_COUNT]; /* of them */
};

/* Errors: DR_BAD_INPUT (a strength that is not a number or too large, too many), adapter_file_open's,
 * adapter_spec_create's. On error the pipeline is as it was, and *set empty. */
enum dr_code adapter_set_open(struct adapter_set *set, struct pipeline *pipeline,
                              struct ledger *ledger, const struct adapter_wish *wishes,
                              int32_t wish_count, struct dr_error *err) DR_MUST_CHECK;
void adapter_set_close(struct adapter_set *set); /* zeroed is fine */

/* What they add to the network in this slot; NULL: nothing. */
const struct weight_deltas *adapter_set_deltas(const struct adapter_set *set,
                                               const struct slot *slot);

/* A mask of the slots of those that change the network in this slot; 0: none. */
unsigned adapter_set_slots(const struct adapter_set *set, const struct slot *slot);

/* The regions that a plan of the network in this slot is bound to: its own, then those of the adapters.
 * Returns how many. */
enum {
    ADAPTER_SET_REGIONS = PIPELINE_ADAPTERS + 1
};
int32_t adapter_set_regions(const struct adapter_set *set, const struct slot *slot,
                            const void *regions[static ADAPTER_SET_REGIONS]);

/* The LoRA hash of an item (adapter_file_hash): read once, and remembered by the pipeline. Errors: adapter_file_hash's. */
enum dr_code adapter_set_hash(const struct adapter_set *set, int32_t idx,
                              const struct cancel *cancel,
                              char out[static ADAPTER_HASH_BYTES],
                              struct dr_error *err) DR_MUST_CHECK;

/* An encoder's digest with what the adapters make of it: the prompt cache's key. The digest itself where none
 * changes the encoder in this slot. */
void adapter_set_mix_digest(const struct adapter_set *set, const struct slot *slot,
                            const uint8_t digest[static DIGEST_BYTES],
                            uint8_t out[static DIGEST_BYTES]);

#endif
