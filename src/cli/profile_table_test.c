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
    struct dr_profile_network network = {
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
                                  .networks = {network},
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
        "of library: of 200.0 GFLOP/s, which a plain matrix product reached just before the "
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
    json_t *const answer = json_object();
    profile_table_add(answer, &profile);
    json_t *const network = json_array_get(json_object_get(answer, "profile"), 0);
    check(!json_object_get(network, "library_share"));
    json_decref(answer);
}

static double real_at(json_t *object, const char *key)
{
    const json_t *const value = json_object_get(object, key);
    if (!json_is_number(value)) check_fail_at("there is no number \"%s\"", key);
    return json_number_value(value);
}

static void answers_all_rows(void)
{
    make_profile(MANY, 2e8);
    json_t *const answer = json_object();
    profile_table_add(answer, &profile);
    check_real(real_at(answer, "library_flop_per_ms"), ==, 2e8);
    json_t *const networks = json_object_get(answer, "profile");
    check_int(json_array_size(networks), ==, 1);
    json_t *const network = json_array_get(networks, 0);
    check_str(json_string_value(json_object_get(network, "network")), "unet");
    check_real(real_at(network, "runs"), ==, 2.0);
    check_real(real_at(network, "flop"), ==, 22e9);
    check_real(real_at(network, "ms"), ==, 230.0);
    check_real(real_at(network, "bytes"), ==, 23.0 * (1 << 20));
    json_t *const all = json_object_get(network, "rows");
    check_int(json_array_size(all), ==, MANY);
    json_t *const row = json_array_get(all, 1);
    check_str(json_string_value(json_object_get(row, "kind")), "conv 3x3");
    json_t *const shape = json_object_get(row, "shape");
    check_int(json_integer_value(json_array_get(shape, 0)), ==, 2);
    check_int(json_integer_value(json_array_get(shape, 1)), ==, 64);
    check_int(json_integer_value(json_array_get(shape, 2)), ==, 33);
    check_int(json_integer_value(json_array_get(shape, 3)), ==, 320);
    check_real(real_at(row, "in_channels"), ==, 4.0);
    check_real(real_at(row, "count"), ==, 3.0);
    check_real(real_at(row, "flop_per_ms"), ==, 1e8);
    check_real(real_at(row, "library_share"), ==, 0.5);
    double shares = 0.0;
    for (size_t i = 0; i < MANY; ++i)
        shares += real_at(json_array_get(all, i), "share");
    check_real(shares, >, 1.0 - 1e-9);
    check_real(shares, <, 1.0 + 1e-9);
    json_decref(answer);
}

int main(void)
{
    check_run(prints_every_column);
    check_run(sums_what_is_not_shown);
    check_run(has_no_share_of_an_unknown_rate);
    check_run(answers_all_rows);
    return check_done();
}
