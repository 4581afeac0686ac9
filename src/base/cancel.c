#include "base/cancel.h"

#include "base/fault.h"

bool cancel_requested(const atomic_bool *flag)
{
    return flag && (atomic_load(flag) || fault_strikes(FAULT_CANCEL));
}
