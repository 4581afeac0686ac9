#include "front/profile_json.h"

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

static void has_no_share_of_an_unknown_rate(void)
{
    make_profile(2, 0.0);
    json_t *const answer = json_object();
    profile_json_add(answer, &profile);
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
    profile_json_add(answer, &profile);
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
    check_run(has_no_share_of_an_unknown_rate);
    check_run(answers_all_rows);
    return check_done();
}
