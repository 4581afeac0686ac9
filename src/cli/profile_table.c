#include "profile_table.h"

/* One line of the table. */
struct line {
    char name[96];
    int32_t count;
    double flop, ms;
    uint64_t bytes;
};

/* What shares are of. */
struct whole {
    double network_ms, library_flop_per_ms;
};

static double share(double part, double all)
{
    return all > 0.0 ? part / all : 0.0;
}

static struct line line_of(const struct dr_profile_row *row)
{
    struct line line = {
        .count = row->count, .flop = row->flop, .ms = row->ms, .bytes = row->bytes};
    (void)snprintf(line.name, sizeof line.name, "%.24s %dx%dx%d %d->%d", row->kind,
                   (int)row->n, (int)row->height, (int)row->width,
                   (int)row->in_channels, (int)row->channels);
    return line;
}

/* The rows that are not shown, or all, as one. */
static struct line sum_of(const struct dr_profile_network *network, size_t first)
{
    struct line line = {.name = "total"};
    for (size_t i = first; i < network->row_count; ++i) {
        const struct dr_profile_row *const row = &network->rows[i];
        line.count += row->count;
        line.flop += row->flop;
        line.ms += row->ms;
        line.bytes += row->bytes;
    }
    if (first > 0)
        (void)snprintf(line.name, sizeof line.name, "%zu more kinds and shapes",
                       network->row_count - first);
    return line;
}

static void print_line(const struct line *line, const struct whole *whole, FILE *stream)
{
    char rate[32] = "-", of_library[32] = "-", bytes[16];
    const double flop_per_ms = share(line->flop, line->ms);
    if (flop_per_ms > 0.0) (void)snprintf(rate, sizeof rate, "%.1f", flop_per_ms / 1e6);
    if (flop_per_ms > 0.0 && whole->library_flop_per_ms > 0.0)
        (void)snprintf(of_library, sizeof of_library, "%.0f%%",
                       100.0 * flop_per_ms / whole->library_flop_per_ms);
    fprintf(stream, "  %-42s %6d %10.2f %11.2f %6.1f%% %9s %10s %11s\n", line->name,
            (int)line->count, line->flop / 1e9, line->ms,
            100.0 * share(line->ms, whole->network_ms), rate, of_library,
            dr_format_bytes(line->bytes, bytes));
}

static void print_network(const struct dr_profile_network *network,
                          double library_flop_per_ms, FILE *stream)
{
    const struct whole whole = {network->ms, library_flop_per_ms};
    const size_t shown = network->row_count > PROFILE_TABLE_ROWS ? PROFILE_TABLE_ROWS
                                                                 : network->row_count;
    fprintf(stream, "%s: %d run%s, %.3f s\n", network->name, (int)network->runs,
            network->runs == 1 ? "" : "s", network->ms / 1e3);
    fprintf(stream, "  %-42s %6s %10s %11s %7s %9s %10s %11s\n", "layer", "count",
            "GFLOP", "ms", "share", "GFLOP/s", "of library", "touched");
    for (size_t i = 0; i < shown; ++i) {
        const struct line line = line_of(&network->rows[i]);
        print_line(&line, &whole, stream);
    }
    if (shown < network->row_count) {
        const struct line rest = sum_of(network, shown);
        print_line(&rest, &whole, stream);
    }
    const struct line total = sum_of(network, 0);
    print_line(&total, &whole, stream);
}

void profile_table_print(const struct dr_profile *profile, FILE *stream)
{
    for (int32_t i = 0; i < profile->network_count; ++i)
        print_network(&profile->networks[i], profile->library_flop_per_ms, stream);
    if (profile->library_flop_per_ms > 0.0)
        fprintf(
            stream,
            "of library: relative to %.1f GFLOP/s, the rate of a GEMM measured just "
            "before the job\n",
            profile->library_flop_per_ms / 1e6);
    (void)fflush(stream);
}
