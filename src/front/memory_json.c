#include "front/memory_json.h"

#include "front/member.h"

json_t *memory_json_budget(uint64_t bytes, const char *reason)
{
    json_t *const object = json_object();
    member_set_bytes(object, "bytes", bytes);
    member_set_text(object, "reason", reason);
    return object;
}

static json_t *component_memory(const struct dr_component_memory *part)
{
    json_t *const object = json_object();
    member_set_text(object, "name", part->name);
    member_set_text(object, "role", part->slot);
    member_set_text(object, "state", dr_slot_state_name(part->state));
    member_set_text(object, "path", part->path);
    member_set_bytes(object, "private_bytes", part->private_bytes);
    member_set_bytes(object, "mapped_bytes", part->mapped_bytes);
    return object;
}

static json_t *region(const struct dr_region_info *info)
{
    json_t *const object = json_object();
    member_set_bytes(object, "start", info->start);
    member_set_bytes(object, "bytes", info->bytes);
    member_set_text(object, "tag", info->tag);
    member_set_text(object, "component", info->component);
    member_set_text(object, "kind", info->kind);
    return object;
}

static void add_totals(json_t *answer, const struct dr_memory *memory)
{
    json_t *const ledger = json_object(), *const kernel = json_object();
    member_set_bytes(ledger, "private_bytes", memory->ledger.private_bytes);
    member_set_bytes(ledger, "mapped_bytes", memory->ledger.mapped_bytes);
    member_set_bytes(ledger, "peak_private_bytes", memory->ledger.peak_private_bytes);
    member_set_bytes(kernel, "private_bytes", memory->kernel.private_bytes);
    member_set_bytes(kernel, "mapped_resident_bytes",
                     memory->kernel.mapped_resident_bytes);
    member_set_bytes(kernel, "rss_bytes", memory->kernel.rss_bytes);
    member_set_bytes(kernel, "pss_bytes", memory->kernel.pss_bytes);
    member_set(answer, "ledger", ledger);
    member_set(answer, "kernel", kernel);
}

static void add_residual(json_t *answer, const struct dr_memory *memory)
{
    json_t *const residual = json_object();
    member_set_bytes(residual, "total_bytes", memory->residual.total_bytes);
    member_set_bytes(residual, "image_bytes", memory->residual.image_bytes);
    member_set_bytes(residual, "heap_bytes", memory->residual.heap_bytes);
    member_set_bytes(residual, "heap_used_bytes", memory->residual.heap_used_bytes);
    member_set_bytes(residual, "heap_retained_bytes",
                     memory->residual.heap_retained_bytes);
    member_set_bytes(residual, "stack_bytes", memory->residual.stack_bytes);
    member_set_bytes(residual, "jit_bytes", memory->residual.jit_bytes);
    member_set_bytes(residual, "shmem_bytes", memory->residual.shmem_bytes);
    member_set_bytes(residual, "other_bytes", memory->residual.other_bytes);
    member_set_bytes(residual, "baseline_bytes", memory->residual.baseline_bytes);
    member_set(answer, "residual", residual);
}

void memory_json_add(json_t *answer, const struct dr_memory *memory)
{
    json_t *const parts = json_array(), *const regions = json_array();
    for (int32_t i = 0; i < memory->component_count; ++i)
        (void)json_array_append_new(parts, component_memory(&memory->components[i]));
    for (size_t i = 0; i < memory->region_count; ++i)
        (void)json_array_append_new(regions, region(&memory->regions[i]));
    member_set_integer(answer, "pid", memory->pid);
    member_set(answer, "components", parts);
    member_set(answer, "regions", regions);
    add_totals(answer, memory);
    add_residual(answer, memory);
    if (memory->regions_agree < 0)
        member_set(answer, "regions_agree", json_null());
    else
        member_set_flag(answer, "regions_agree", memory->regions_agree);
    if (memory->disagreement[0])
        member_set_text(answer, "disagreement", memory->disagreement);
    member_set(answer, "budget",
               memory_json_budget(memory->budget_bytes, memory->budget_reason));
}
