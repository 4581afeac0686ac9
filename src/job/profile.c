#include "job/profile.h"

#include <stdlib.h>

/* The row of operators like this one: found, or the next free one. Kinds are static strings, one a
 * class of operators. */
static struct dr_profile_row *row_of(struct dr_profile_network *network,
                                     const struct plan_op_profile *op)
{
    for (size_t i = 0; i < network->row_count; ++i) {
        struct dr_profile_row *const row = &network->rows[i];
        if (row->kind == op->kind && row->n == op->shape.n &&
            row->height == op->shape.h && row->width == op->shape.w &&
            row->channels == op->shape.c && row->in_channels == op->in)
            return row;
    }
    struct dr_profile_row *const row = &network->rows[network->row_count++];
    *row = (struct dr_profile_row){.kind = op->kind,
                                   .n = op->shape.n,
                                   .height = op->shape.h,
                                   .width = op->shape.w,
                                   .channels = op->shape.c,
                                   .in_channels = op->in};
    return row;
}

static void add_op(struct dr_profile_network *network, const struct plan_op_profile *op)
{
    struct dr_profile_row *const row = row_of(network, op);
    const double flop = op->flop * network->runs, ms = op->seconds * 1000.0;
    const uint64_t bytes = op->bytes * (uint64_t)network->runs;
    ++row->count;
    row->flop += flop;
    row->ms += ms;
    row->bytes += bytes;
    network->flop += flop;
    network->ms += ms;
    network->bytes += bytes;
}

static int by_ms(const void *a, const void *b)
{
    const double x = ((const struct dr_profile_row *)a)->ms;
    const double y = ((const struct dr_profile_row *)b)->ms;
    return (x < y) - (x > y);
}

/* False if malloc fails. A network that did not run (its prompt was in the cache) has no entry. */
static bool add_network(struct dr_profile *profile, const char *name,
                        const struct plan *plan)
{
    size_t count = 0;
    const struct plan_op_profile *const ops = plan ? plan_profile(plan, &count) : NULL;
    if (count == 0 || ops[0].runs == 0) return true;
    struct dr_profile_network *const network =
        &profile->networks[profile->network_count];
    struct dr_profile_row *const rows = calloc(count, sizeof *rows);
    if (!rows) return false;
    *network = (struct dr_profile_network){.name = name,
                                           .runs = (int32_t)ops[0].runs,
                                           .rows = rows};
    ++profile->network_count;
    for (size_t i = 0; i < count; ++i)
        add_op(network, &ops[i]);
    qsort(network->rows, network->row_count, sizeof *network->rows, by_ms);
    return true;
}

static const char *name_of(const struct network *network)
{
    switch (network->kind) {
    case NETWORK_TEXT:
    case NETWORK_UNET: return network->slot->name;
    case NETWORK_ENCODER: return "vae encoder";
    case NETWORK_DECODER: return "vae decoder";
    }
    return "";
}

struct dr_profile *profile_create(const struct job *job, double library_flop_per_ms)
{
    const struct step_list *const list = &job->list;
    struct dr_profile *profile = calloc(1, sizeof *profile);
    if (!profile) return NULL;
    profile->library_flop_per_ms = library_flop_per_ms;
    profile->networks =
        calloc((size_t)list->network_count + 1, sizeof *profile->networks);
    bool has_memory = profile->networks != NULL;
    for (int32_t i = 0; has_memory && i < list->network_count; ++i)
        has_memory = add_network(profile, name_of(&list->networks[i]),
                                 network_plan(&list->networks[i]));
    if (!has_memory) profile_destroy(&profile);
    return profile;
}

void profile_destroy(struct dr_profile **profile)
{
    if (!profile || !*profile) return;
    for (int32_t i = 0; i < (*profile)->network_count; ++i)
        free((*profile)->networks[i].rows);
    free((*profile)->networks);
    free(*profile);
    *profile = NULL;
}
