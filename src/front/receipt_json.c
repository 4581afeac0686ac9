#include "front/receipt_json.h"

#include "front/member.h"

static json_t *memory_point(const struct dr_memory_point *point)
{
    json_t *const object = json_object();
    member_set_bytes(object, "private_bytes", point->ledger_private_bytes);
    member_set_bytes(object, "mapped_bytes", point->ledger_mapped_bytes);
    member_set_bytes(object, "kernel_private_bytes", point->kernel_private_bytes);
    return object;
}

json_t *receipt_json(const struct dr_receipt *receipt)
{
    json_t *const object = json_object();
    member_set_bytes(object, "released_bytes", receipt->released_bytes);
    member_set_bytes(object, "acquired_bytes", receipt->acquired_bytes);
    member_set_bytes(object, "dropped_cache_bytes", receipt->dropped_cache_bytes);
    member_set(object, "before", memory_point(&receipt->before));
    member_set(object, "after", memory_point(&receipt->after));
    member_set_real(object, "ms", receipt->ms);
    member_set_text(object, "reason", receipt->reason);
    return object;
}
