#include "base/cancel.h"

#include <stddef.h>

#include "base/fault.h"

bool cancel_requested(const struct cancel *cancel)
{
    if (!cancel) return false;
    for (const struct cancel *look = cancel; look; look = look->above)
        if (atomic_load(&look->requested)) return true;
    return fault_strikes(FAULT_CANCEL);
}

void cancel_request(struct cancel *cancel)
{
    atomic_store(&cancel->requested, true);
}

void cancel_withdraw(struct cancel *cancel)
{
    atomic_store(&cancel->requested, false);
}
