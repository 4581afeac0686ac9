#include "mem/ledger.h"

#include "base/size.h"
#include "mem/region.h"

#include <assert.h>

static const char *const tag_names[] = {
#define X(name, text) text,
    REGION_TAGS(X)
#undef X
};

const char *region_tag_name(enum region_tag tag)
{
    assert((size_t)tag < REGION_TAG_COUNT);
    return tag_names[tag];
}

const char *region_kind_name(enum region_kind kind)
{
    return kind == REGION_PRIVATE ? "private" : "mapped";
}

void ledger_lock(const struct ledger *ledger)
{
    if (!ledger || !ledger->lock) return;
    const int refused = pthread_mutex_lock(ledger->lock);
    assert(!refused);
    (void)refused;
}

void ledger_unlock(const struct ledger *ledger)
{
    if (!ledger || !ledger->lock) return;
    const int refused = pthread_mutex_unlock(ledger->lock);
    assert(!refused); /* held by another thread */
    (void)refused;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static enum dr_code refuse(const struct ledger *ledger, const struct region *region,
                           struct dr_error *err)
{
    char size[16];
    return error_set(err, DR_OVER_BUDGET,
                     "needs %zu bytes (%s) for %s %s, %zu of %zu bytes are in use",
                     region->bytes, size_format(region->bytes, size), region->component,
                     region_tag_name(region->tag), ledger->private_bytes,
                     ledger->limit_bytes);
}

enum dr_code ledger_reserve(struct ledger *ledger, struct region *region,
                            struct dr_error *err)
{
    size_t *const sum =
        region->kind == REGION_PRIVATE ? &ledger->private_bytes : &ledger->mapped_bytes;
    size_t new_sum, new_total;
    if (!size_add(ledger->private_bytes, ledger->mapped_bytes, &new_total) ||
        !size_add(new_total, region->bytes, &new_total) ||
        !size_add(*sum, region->bytes, &new_sum))
        return refuse(ledger, region, err);
    if (region->kind == REGION_PRIVATE && ledger->limit_bytes > 0 &&
        new_sum > ledger->limit_bytes)
        return refuse(ledger, region, err);

    *sum = new_sum;
    ledger->tag_bytes[region->tag] += region->bytes;
    region->ledger = ledger;
    region->previous = ledger->last;
    region->next = NULL;
    *(ledger->last ? &ledger->last->next : &ledger->first) = region;
    ledger->last = region;
    ++ledger->count;
    region->serial = ++ledger->opened_count;

    ledger->peak_private_bytes =
        larger(ledger->peak_private_bytes, ledger->private_bytes);
    ledger->peak_mapped_bytes = larger(ledger->peak_mapped_bytes, ledger->mapped_bytes);
    ledger->tag_peak_bytes[region->tag] =
        larger(ledger->tag_peak_bytes[region->tag], ledger->tag_bytes[region->tag]);
    return DR_OK;
}

void ledger_refund(struct ledger *ledger, struct region *region)
{
    assert(region->ledger == ledger);
    size_t *const sum =
        region->kind == REGION_PRIVATE ? &ledger->private_bytes : &ledger->mapped_bytes;
    assert(*sum >= region->bytes && ledger->tag_bytes[region->tag] >= region->bytes);
    *sum -= region->bytes;
    ledger->tag_bytes[region->tag] -= region->bytes;
    *(region->previous ? &region->previous->next : &ledger->first) = region->next;
    *(region->next ? &region->next->previous : &ledger->last) = region->previous;
    --ledger->count;
}

void ledger_withdraw(struct ledger *ledger, struct region *region,
                     const struct ledger *before)
{
    ledger_refund(ledger, region);
    assert(ledger->first == before->first && ledger->last == before->last);
    *ledger = *before;
}

void ledger_replace(struct ledger *ledger, struct region *old,
                    struct region *new_region)
{
    assert(old->ledger == ledger);
    *new_region = *old;
    *(old->previous ? &old->previous->next : &ledger->first) = new_region;
    *(old->next ? &old->next->previous : &ledger->last) = new_region;
}

void ledger_announce(const struct ledger *ledger, enum ledger_change change,
                     const struct region *region)
{
    const struct ledger_observer *const observer = &ledger->observer;
    if (observer->changed) observer->changed(observer->cookie, change, region);
}

void ledger_reset_peak(struct ledger *ledger)
{
    ledger->peak_private_bytes = ledger->private_bytes;
    ledger->peak_mapped_bytes = ledger->mapped_bytes;
    for (size_t tag = 0; tag < REGION_TAG_COUNT; ++tag)
        ledger->tag_peak_bytes[tag] = ledger->tag_bytes[tag];
}

void ledger_check(const struct ledger *ledger)
{
    size_t count = 0, private_bytes = 0, mapped_bytes = 0;
    size_t tag_bytes[REGION_TAG_COUNT] = {0};
    const struct region *previous = NULL;
    for (const struct region *region = ledger->first; region; region = region->next) {
        assert(region->ledger == ledger);
        assert(region->previous == previous);
        assert(region->data);
        assert(region->bytes > 0);
        assert((size_t)region->tag < REGION_TAG_COUNT);
        *(region->kind == REGION_PRIVATE ? &private_bytes : &mapped_bytes) +=
            region->bytes;
        tag_bytes[region->tag] += region->bytes;
        previous = region;
        ++count;
        assert(count <= ledger->count); /* a list with a loop would never end */
    }
    assert(ledger->last == previous);
    assert(ledger->count == count);
    assert(ledger->private_bytes == private_bytes);
    assert(ledger->mapped_bytes == mapped_bytes);
    assert(ledger->private_bytes <= ledger->peak_private_bytes);
    assert(ledger->mapped_bytes <= ledger->peak_mapped_bytes);
    assert(ledger->limit_bytes == 0 || ledger->private_bytes <= ledger->limit_bytes);
    assert(ledger->opened_count >= ledger->count);
    for (size_t tag = 0; tag < REGION_TAG_COUNT; ++tag) {
        assert(ledger->tag_bytes[tag] == tag_bytes[tag]);
        assert(ledger->tag_bytes[tag] <= ledger->tag_peak_bytes[tag]);
    }
}
