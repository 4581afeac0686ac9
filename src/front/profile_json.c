#include "front/profile_json.h"

#include "front/member.h"

static double share(double part, double all)
{
    return all > 0.0 ? part / all : 0.0;
}

/* flop, ms, bytes, and what follows from them. */
static void set_sums(json_t *object, double flop, double ms, uint64_t bytes,
                     double library_flop_per_ms)
{
    const double rate = share(flop, ms);
    member_set_real(object, "flop", flop);
    member_set_real(object, "ms", ms);
    member_set_bytes(object, "bytes", bytes);
    member_set_real(object, "flop_per_ms", rate);
    if (library_flop_per_ms > 0.0)
        member_set_real(object, "library_share", rate / library_flop_per_ms);
}

static json_t *row_object(const struct dr_profile_row *row,
                          const struct dr_profile_network *network,
                          double library_flop_per_ms)
{
    json_t *const object = json_object(), *const shape = json_array();
    const int32_t sides[] = {row->n, row->height, row->width, row->channels};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; ++i)
        (void)json_array_append_new(shape, json_integer(sides[i]));
    member_set_text(object, "kind", row->kind);
    member_set(object, "shape", shape);
    member_set_integer(object, "in_channels", row->in_channels);
    member_set_integer(object, "count", row->count);
    member_set_real(object, "share", share(row->ms, network->ms));
    set_sums(object, row->flop, row->ms, row->bytes, library_flop_per_ms);
    return object;
}

static json_t *network_object(const struct dr_profile_network *network,
                              double library_flop_per_ms)
{
    json_t *const object = json_object(), *const rows = json_array();
    for (size_t i = 0; i < network->row_count; ++i)
        (void)json_array_append_new(rows, row_object(&network->rows[i], network,
                                                     library_flop_per_ms));
    member_set_text(object, "network", network->name);
    member_set_integer(object, "runs", network->runs);
    set_sums(object, network->flop, network->ms, network->bytes, library_flop_per_ms);
    member_set(object, "rows", rows);
    return object;
}

void profile_json_add(json_t *answer, const struct dr_profile *profile)
{
    json_t *const networks = json_array();
    for (int32_t i = 0; i < profile->network_count; ++i)
        (void)json_array_append_new(networks,
                                    network_object(&profile->networks[i],
                                                   profile->library_flop_per_ms));
    member_set(answer, "profile", networks);
    member_set_real(answer, "library_flop_per_ms", profile->library_flop_per_ms);
}
