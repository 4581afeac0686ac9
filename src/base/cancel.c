#include "base/cancel.h"

#include <stddef.h>

#include "base/fault.h"

bool cancel_requested(const struct cancel *cancel)
{
    if (!cancel) return false;
    bool needs_insistence = false;
    for (const struct cancel *look = cancel; look; look = look->above) {
        if (atomic_load(needs_insistence ? &look->insisted : &look->requested))
            return true;
        needs_insistence |= look->heeds_insistence_alone;
    }
    return fault_strikes(FAULT_CANCEL);
}

void cancel_request(struct cancel *cancel)
{
    atomic_store(&cancel->requested, true);
}

void cancel_insist(struct cancel *cancel)
{
    atomic_store(&cancel->insisted, true);
    atomic_store(&cancel->requested, true);
}

void cancel_withdraw(struct cancel *cancel)
{
    atomic_store(&cancel->insisted, false);
    atomic_store(&cancel->requested, false);
}
