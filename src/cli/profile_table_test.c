#include "profile_table.h"

#include <string.h>

#include "check.h"

enum {
    MANY = 23
};

/* Rows of 1 GFLOP and 10 ms; the last has no multiplications. */
static struct dr_profile_row rows[MANY];
static struct dr_profile profile;

static void make_profile(size_t row_count, double library_flop_per_ms)
{
    static struct dr_profile_network network;
    network = (struct dr_profile_network){
        .name = "unet", .runs = 2, .rows = rows, .row_count = row_count};
    for (size_t i = 0; i < row_count; ++i) {
        rows[i] = (struct dr_profile_row){.kind = "conv 3x3",
                                          .n = 2,
                                          .height = 64,
                                          .width = 32 + (int32_t)i,
                                          .channels = 320,
                                          .in_channels = 4,
                                          .count = 3,
                                          .flop = i + 1 < row_count ? 1e9 : 0.0,
                                          .ms = 10.0,
                                          .bytes = 1 << 20};
        network.flop += rows[i].flop;
        network.ms += rows[i].ms;
        network.bytes += rows[i].bytes;
    }
    profile = (struct dr_profile){.library_flop_per_ms = library_flop_per_ms,
                                  .networks = &network,
                                  .network_count = 1};
}

static const char *printed(void)
{
    static char text[8192];
    FILE *const stream = tmpfile();
    profile_table_print(&profile, stream);
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    (void)fclose(stream);
    return text;
}

static int lines_of(const char *text)
{
    int lines = 0;
    for (; *text; ++text)
        lines += *text == '\n';
    return lines;
}

static void prints_every_column(void)
{
    make_profile(2, 2e8);
    check_str(
        printed(),
        "unet: 2 runs, 0.020 s\n"
        "  layer                                       count      GFLOP          ms   share"
        "   GFLOP/s of library     touched\n"
        "  conv 3x3 2x64x32 4->320                         3       1.00       10.00   50.0%"
        "     100.0        50%    1.00 MiB\n"
        "  conv 3x3 2x64x33 4->320                         3       0.00       10.00   50.0%"
        "         -          -    1.00 MiB\n"
        "  total                                           6       1.00       20.00  100.0%"
        "      50.0        25%    2.00 MiB\n"
        "of library: relative to 200.0 GFLOP/s, the rate of a GEMM measured just before the "
        "job\n");
}

/* 20 rows, the rest as one, and the sum of all. */
static void sums_what_is_not_shown(void)
{
    make_profile(MANY, 2e8);
    const char *const text = printed();
    check_int(lines_of(text), ==, 1 + 1 + PROFILE_TABLE_ROWS + 1 + 1 + 1);
    check_has(text, "2x64x51 4->320"); /* the twentieth */
    check(!strstr(text, "2x64x52 4->320"));
    check_has(
        text,
        "  3 more kinds and shapes                         9       2.00       30.00"
        "   13.0%      66.7        33%    3.00 MiB\n");
    check_has(
        text,
        "  total                                          69      22.00      230.00"
        "  100.0%      95.7        48%    23.0 MiB\n");
    make_profile(PROFILE_TABLE_ROWS, 2e8);
    check(!strstr(printed(), "more kinds"));
}

static void has_no_share_of_an_unknown_rate(void)
{
    make_profile(2, 0.0);
    check(!strstr(printed(), "of library:"));
    check_has(printed(), "     100.0          -    1.00 MiB\n");
}

int main(void)
{
    check_run(prints_every_column);
    check_run(sums_what_is_not_shown);
    check_run(has_no_share_of_an_unknown_rate);
    return check_done();
}
