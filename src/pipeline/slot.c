#include "pipeline/slot.h"

#include <assert.h>
#include <string.h>

#include "base/fault.h"
#include "base/size.h"

/* Large enough for few system calls, and small compared with a component. */
enum {
    SAVE_BUFFER_BYTES = 1 << 18
};

struct source *slot_active(const struct slot *slot)
{
    return slot->override ? slot->override : slot->base;
}

/* Set the digest of a source. Other threads may read it at the same time. */
static void learn_digest(struct source *source, const struct ledger *ledger,
                         const uint8_t digest[static DIGEST_BYTES])
{
    ledger_lock(ledger);
    memcpy(source->digest, digest, DIGEST_BYTES);
    source->digest_known = true;
    ledger_unlock(ledger);
}

enum dr_code source_settle(struct source *source, struct ledger *ledger,
                           enum component_pack_manner manner,
                           const struct component_progress *progress,
                           struct dr_error *err)
{
    if (!source) return DR_OK;
    const struct component_pack_settle how = {
        .ledger = ledger, .name = source->name, .manner = manner, .progress = progress};
    uint8_t digest[DIGEST_BYTES];
    if (!source->digest_known &&
        component_pack_recall(&source->pack, source->spec, digest))
        learn_digest(source, ledger, digest);
    return component_pack_settle(&source->pack, source->spec,
                                 source->digest_known ? source->digest : NULL, &how,
                                 err);
}

void source_unsettle(struct source *source)
{
    if (source) component_pack_unsettle(&source->pack);
}

void source_finish(struct source *source)
{
    component_pack_finish(&source->pack);
}

size_t source_weights_bytes(const struct source *source)
{
    return source ? component_pack_private_bytes(&source->pack, source->spec) : 0;
}

size_t source_scratch_bytes(const struct source *source)
{
    return source && component_pack_reads(&source->pack)
               ? size_align(source->spec->scratch_bytes, region_page_bytes())
               : 0;
}

size_t source_memory_bytes(const struct source *source)
{
    return source ? size_align(source->spec->weights_bytes, region_page_bytes()) : 0;
}

uint64_t source_file_bytes(const struct source *source)
{
    return source ? source->spec->index->bytes : 0;
}

static enum dr_code load_source(struct source *source,
                                const struct slot_load_options *options,
                                struct region *weights, struct dr_error *err)
{
    uint8_t digest[DIGEST_BYTES];
    const struct component_load_options load = {
        .ledger = options->ledger,
        .name = source->name,
        .expected_digest = source->digest_known ? source->digest : NULL,
        .progress = options->progress,
        .pack = source->pack.store ? &source->pack : NULL,
    };
    const enum dr_code code = component_load(source->spec, &load, weights, digest, err);
    if (code != DR_OK) return code;
    if (!source->digest_known) learn_digest(source, options->ledger, digest);
    if (!options->accept) return DR_OK;
    const enum dr_code verdict = options->accept(options->accept_cookie, weights, err);
    if (verdict != DR_OK) region_close(weights);
    return verdict;
}

/* Replace the old weights with the loaded ones, with the lock held: a reader sees either the old or
 * the new. */
static void take_weights(struct slot *slot, struct region *fresh, struct source *source,
                         const struct ledger *ledger)
{
    ledger_lock(ledger);
    if (slot->resident && fault_is_sabotaged(SABOTAGE_HALF_SWITCH)) {
        region_close(fresh);
    } else {
        region_close(&slot->weights);
        region_move(&slot->weights, fresh);
    }
    slot->resident = source;
    ledger_unlock(ledger);
}

static enum dr_code load_by_swap(struct slot *slot,
                                 const struct slot_load_options *options,
                                 struct dr_error *err)
{
    struct region fresh = {0};
    struct source *const wanted = slot_active(slot);
    const enum dr_code code = load_source(wanted, options, &fresh, err);
    if (code == DR_OK) take_weights(slot, &fresh, wanted, options->ledger);
    return code;
}

static enum dr_code load_after_release(struct slot *slot,
                                       const struct slot_load_options *options,
                                       struct dr_error *err)
{
    struct region fresh = {0};
    struct source *const old = slot->resident;
    struct source *const wanted = slot_active(slot);
    slot_release(slot);
    const enum dr_code code = load_source(wanted, options, &fresh, err);
    if (code == DR_OK) take_weights(slot, &fresh, wanted, options->ledger);
    if (code == DR_OK || !old) return code;
    /* The cancel that stopped the switch must not stop its undoing. */
    const struct slot_load_options back = {.ledger = options->ledger,
                                           .order = options->order};
    if (load_source(old, &back, &fresh, NULL) == DR_OK)
        take_weights(slot, &fresh, old, options->ledger);
    else
        error_prefix(err,
                     "the %s is released and will be loaded again when it is "
                     "needed",
                     slot->name);
    return code;
}

enum dr_code slot_load(struct slot *slot, const struct slot_load_options *options,
                       struct dr_error *err)
{
    slot_check(slot);
    struct source *const wanted = slot_active(slot);
    if (!wanted)
        return error_set(err, DR_NOT_FOUND, "the checkpoint has no %s of its own",
                         slot->name);
    if (slot->resident == wanted) return DR_OK;
    const enum dr_code code = options->order == SLOT_SWAP || !slot->resident
                                  ? load_by_swap(slot, options, err)
                                  : load_after_release(slot, options, err);
    slot_check(slot);
    return code;
}

size_t slot_release(struct slot *slot)
{
    const struct ledger *const ledger = slot->weights.ledger;
    const size_t bytes = slot->weights.bytes;
    ledger_lock(ledger);
    region_close(&slot->weights);
    slot->resident = NULL;
    ledger_unlock(ledger);
    return bytes;
}

void slot_set_override(struct slot *slot, const struct ledger *ledger,
                       struct source *override)
{
    ledger_lock(ledger);
    slot->override = override;
    ledger_unlock(ledger);
}

enum dr_code source_save(struct source *source, struct ledger *ledger,
                         const struct component_progress *progress,
                         struct dr_error *err)
{
    if (!source || source->digest_known) return DR_OK;
    struct region buffer = {0};
    uint8_t digest[DIGEST_BYTES];
    const struct region_options options = {.bytes = SAVE_BUFFER_BYTES,
                                           .tag = REGION_SCRATCH,
                                           .component = "digest"};
    enum dr_code code = region_open(&buffer, ledger, &options, err);
    if (code != DR_OK) return code;
    code = component_digest_read(source->spec->index, buffer.data, buffer.bytes,
                                 progress, digest, err);
    region_close(&buffer);
    if (code != DR_OK) return code;
    learn_digest(source, ledger, digest);
    component_pack_remember(&source->pack, source->spec, source->digest);
    return DR_OK;
}

uint64_t source_unsaved_bytes(const struct source *source)
{
    return source && !source->digest_known ? source_file_bytes(source) : 0;
}

size_t source_save_bytes(const struct source *source)
{
    return source && !source->digest_known
               ? size_align(SAVE_BUFFER_BYTES, region_page_bytes())
               : 0;
}

enum dr_code slot_check_pages(struct slot *slot, struct dr_error *err)
{
    struct source *const source = slot->resident;
    if (!source || !region_lost_page(&slot->weights)) return DR_OK;
    slot_release(slot);
    return component_pack_lost(&source->pack, source->name, err);
}

void slot_check(const struct slot *slot)
{
    assert((slot->weights.data != NULL) == (slot->resident != NULL));
    assert(!slot->resident || slot->resident->digest_known);
    (void)slot;
}
