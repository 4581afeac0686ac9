#include "pipeline/adapter_set.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/path.h"

static enum component_role role_of(const struct slot *slot)
{
    switch (slot->kind) {
    case DR_COMPONENT_TEXT: return slot->kind_idx == 0 ? ROLE_TEXT : ROLE_TEXT2;
    case DR_COMPONENT_UNET: return ROLE_UNET;
    case DR_COMPONENT_VAE:
    case DR_COMPONENT_ADAPTER: break;
    }
    return ROLE_COUNT;
}

static double strength_of(const struct adapter *adapter, enum component_role role)
{
    return role == ROLE_UNET ? adapter->unet : adapter->text;
}

/* Does it change this network at all? */
static bool changes(const struct adapter *adapter, enum component_role role)
{
    size_t count = 0;
    if (role >= ROLE_VAE) return false;
    (void)adapter_deltas(adapter->spec, role, &count);
    return count > 0 && strength_of(adapter, role) != 0.0;
}

/* ---- opening ----------------------------------------------------------------------------- */

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for an adapter");
}

static enum dr_code check_wish(const struct adapter_wish *wish, struct dr_error *err)
{
    const double strengths[] = {wish->unet, wish->text};
    for (int i = 0; i < 2; ++i)
        if (!isfinite(strengths[i]) || fabs(strengths[i]) > ADAPTER_MOST_STRENGTH)
            return error_set(
                err, DR_BAD_INPUT,
                "a weight of %g for %.300s is out of range: give -%g to %g "
                "(1 is what the LoRA was trained for)",
                strengths[i], wish->path, ADAPTER_MOST_STRENGTH, ADAPTER_MOST_STRENGTH);
    if (strlen(wish->path) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT, "a LoRA's path is longer than %d bytes",
                         DR_PATH_BYTES - 1);
    return DR_OK;
}

static bool is_same_file(const struct adapter_file *a, const struct adapter_file *b)
{
    const struct tensor_shard *const first = tensor_file_only(&a->file);
    const struct tensor_shard *const second = tensor_file_only(&b->file);
    return first && second &&
           memcmp(&first->identity, &second->identity, sizeof first->identity) == 0;
}

static enum dr_code open_one(struct adapter_set *set, const struct adapter_wish *wish,
                             struct dr_error *err)
{
    struct adapter *const adapter = calloc(1, sizeof *adapter);
    if (!adapter) return no_memory(err);
    set->items[set->count++] = adapter;
    adapter->unet = wish->unet;
    adapter->text = wish->text;
    (void)snprintf(adapter->path, sizeof adapter->path, "%s", wish->path);
    path_stem(wish->path, adapter->name, sizeof adapter->name);
    (void)snprintf(adapter->label, sizeof adapter->label, "lora %s", adapter->name);
    enum dr_code code = adapter_file_open(&adapter->file, wish->path, err);
    if (code) return code;
    for (int32_t i = 0; i + 1 < set->count; ++i)
        if (is_same_file(&set->items[i]->file, &adapter->file)) {
            set->items[i]->unet += wish->unet;
            set->items[i]->text += wish->text;
            adapter_file_close(&adapter->file);
            free(adapter);
            --set->count;
            return DR_OK;
        }
    const struct pipeline *const pipeline = set->pipeline;
    const struct adapter_networks networks = {
        .components = {[ROLE_TEXT] = pipeline->text[0]
                                         ? clip_text_component(pipeline->text[0])
                                         : NULL,
                       [ROLE_TEXT2] = pipeline->text[1]
                                          ? clip_text_component(pipeline->text[1])
                                          : NULL,
                       [ROLE_UNET] =
                           pipeline->unet ? unet_component(pipeline->unet) : NULL},
        .family = pipeline->checkpoint.family,
    };
    code =
        adapter_spec_create(&adapter->spec, &adapter->file, &networks, set->count, err);
    if (code) return code;
    adapter->source = (struct source){.name = adapter->label,
                                      .spec = adapter_component(adapter->spec),
                                      .path = adapter->path};
    component_pack_init(&adapter->source.pack, NULL);
    return DR_OK;
}

/* ---- deltas ------------------------------------------------------------------------------ */

static int compare_targets(const void *left, const void *right)
{
    const struct weight_delta *const a = left, *const b = right;
    if (a->target != b->target)
        return (uintptr_t)a->target < (uintptr_t)b->target ? -1 : 1;
    return (a->terms[0].full ? a->terms[0].full : a->terms[0].up)->region -
           (b->terms[0].full ? b->terms[0].full : b->terms[0].up)->region;
}

/* Of all adapters those that change this network, with their strengths. In one order, so that the same sum is
 * the same bytes. */
static enum dr_code gather(struct adapter_set *set, enum component_role role,
                           struct dr_error *err)
{
    size_t total = 0, count = 0, filled = 0;
    for (int32_t i = 0; i < set->count; ++i) {
        (void)adapter_deltas(set->items[i]->spec, role, &count);
        total += count;
    }
    if (total == 0) return DR_OK;
    struct weight_delta *const deltas = calloc(total, sizeof *deltas);
    if (!deltas) return no_memory(err);
    for (int32_t i = 0; i < set->count; ++i) {
        const struct adapter *const adapter = set->items[i];
        const struct weight_delta *const own =
            adapter_deltas(adapter->spec, role, &count);
        if (!changes(adapter, role)) continue;
        for (size_t k = 0; k < count; ++k) {
            deltas[filled] = own[k];
            deltas[filled++].strength = (float)strength_of(adapter, role);
        }
    }
    qsort(deltas, filled, sizeof *deltas, compare_targets);
    set->deltas[role] = deltas;
    set->tables[role] = (struct weight_deltas){deltas, filled};
    return DR_OK;
}

static enum dr_code add_slots(struct adapter_set *set, struct dr_error *err)
{
    struct pipeline *const pipeline = set->pipeline;
    if (pipeline->slot_count + set->count > PIPELINE_SLOTS)
        return error_set(err, DR_BAD_INPUT,
                         "%d LoRAs are more than this model has room for",
                         (int)set->count);
    ledger_lock(set->ledger);
    set->first_slot = pipeline->slot_count;
    for (int32_t i = 0; i < set->count; ++i)
        pipeline_add_slot(pipeline, DR_COMPONENT_ADAPTER, set->items[i]->label)->base =
            &set->items[i]->source;
    ledger_unlock(set->ledger);
    return DR_OK;
}

static void free_items(struct adapter_set *set)
{
    for (int32_t i = 0; i < set->count; ++i) {
        adapter_spec_destroy(&set->items[i]->spec);
        adapter_file_close(&set->items[i]->file);
        free(set->items[i]);
    }
    for (int role = 0; role < ROLE_COUNT; ++role)
        free(set->deltas[role]);
    *set = (struct adapter_set){0};
}

enum dr_code adapter_set_open(struct adapter_set *set, struct pipeline *pipeline,
                              struct ledger *ledger, const struct adapter_wish *wishes,
                              int32_t wish_count, struct dr_error *err)
{
    *set = (struct adapter_set){.pipeline = pipeline, .ledger = ledger};
    enum dr_code code = DR_OK;
    for (int32_t i = 0; i < wish_count && !code; ++i)
        code = check_wish(&wishes[i], err);
    if (!code && wish_count > PIPELINE_ADAPTERS)
        code = error_set(err, DR_BAD_INPUT, "%d LoRAs at once: give at most %d",
                         (int)wish_count, PIPELINE_ADAPTERS);
    for (int32_t i = 0; i < wish_count && !code; ++i)
        code = open_one(set, &wishes[i], err);
    for (int role = 0; role < ROLE_VAE && !code; ++role)
        code = gather(set, (enum component_role)role, err);
    if (!code && set->count > 0) code = add_slots(set, err);
    if (code) free_items(set);
    return code;
}

void adapter_set_close(struct adapter_set *set)
{
    struct pipeline *const pipeline = set->pipeline;
    if (!pipeline) return;
    if (set->count > 0 && fault_is_sabotaged(SABOTAGE_KEPT_ADAPTER)) return;
    for (int32_t i = 0; i < set->count; ++i)
        (void)slot_release(&pipeline->slots[set->first_slot + i]);
    if (set->count > 0) {
        ledger_lock(set->ledger);
        assert(pipeline->slot_count == set->first_slot + set->count);
        pipeline->slot_count = set->first_slot;
        ledger_unlock(set->ledger);
    }
    free_items(set);
}

/* ---- looking ----------------------------------------------------------------------------- */

const struct weight_deltas *adapter_set_deltas(const struct adapter_set *set,
                                               const struct slot *slot)
{
    const enum component_role role = role_of(slot);
    return role < ROLE_COUNT && set->tables[role].count > 0 ? &set->tables[role] : NULL;
}

unsigned adapter_set_slots(const struct adapter_set *set, const struct slot *slot)
{
    const enum component_role role = role_of(slot);
    unsigned slots = 0;
    for (int32_t i = 0; i < set->count; ++i)
        if (changes(set->items[i], role)) slots |= 1U << (set->first_slot + i);
    return slots;
}

int32_t adapter_set_regions(const struct adapter_set *set, const struct slot *slot,
                            const void *regions[static ADAPTER_SET_REGIONS])
{
    regions[0] = slot->weights.data;
    for (int32_t i = 0; i < set->count; ++i)
        regions[i + 1] = set->pipeline->slots[set->first_slot + i].weights.data;
    return set->count + 1;
}

enum dr_code adapter_set_hash(const struct adapter_set *set, int32_t idx,
                              const struct cancel *cancel,
                              char out[static ADAPTER_HASH_BYTES], struct dr_error *err)
{
    struct pipeline *const pipeline = set->pipeline;
    const struct adapter_file *const file = &set->items[idx]->file;
    const struct tensor_shard *const shard = tensor_file_only(&file->file);
    for (int32_t i = 0; shard && i < PIPELINE_ADAPTERS; ++i) {
        const struct pipeline_hash *const known = &pipeline->lora_hashes[i];
        if (!known->hash[0] ||
            memcmp(&known->identity, &shard->identity, sizeof known->identity) != 0)
            continue;
        memcpy(out, known->hash, sizeof known->hash);
        return DR_OK;
    }
    const enum dr_code code = adapter_file_hash(file, cancel, out, err);
    if (code != DR_OK || !shard) return code;
    struct pipeline_hash *const next = &pipeline->lora_hashes[pipeline->next_hash];
    pipeline->next_hash = (pipeline->next_hash + 1) % PIPELINE_ADAPTERS;
    next->identity = shard->identity;
    memcpy(next->hash, out, sizeof next->hash);
    return DR_OK;
}

void adapter_set_mix_digest(const struct adapter_set *set, const struct slot *slot,
                            const uint8_t digest[static DIGEST_BYTES],
                            uint8_t out[static DIGEST_BYTES])
{
    struct digest mixed;
    if (adapter_set_slots(set, slot) == 0) {
        memcpy(out, digest, DIGEST_BYTES);
        return;
    }
    digest_init(&mixed);
    digest_add(&mixed, digest, DIGEST_BYTES);
    for (int32_t i = 0; i < set->count; ++i) {
        const struct adapter *const adapter = set->items[i];
        if (!changes(adapter, role_of(slot))) continue;
        const struct tensor_file *const file = &adapter->file.file;
        for (size_t k = 0; k < file->shard_count; ++k)
            digest_add(&mixed, &file->shards[k].identity,
                       sizeof file->shards[k].identity);
        for (size_t k = 0; k < adapter->file.layer_count; ++k) /* of a file beside it */
            digest_add(&mixed, &adapter->file.layers[k].scale,
                       sizeof adapter->file.layers[k].scale);
        digest_add(&mixed, &adapter->text, sizeof adapter->text);
    }
    digest_end(&mixed, out);
}
