#include "base/pool.h"

#include <stdbool.h>

#include "check.h"

static bool all_zero(const unsigned char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; ++i)
        if (data[i]) return false;
    return true;
}

/* Records of many sizes: zeroed, aligned, and none overwrites another. */
static void keeps_records_apart(void)
{
    enum {
        COUNT = 2000
    };
    static unsigned char *records[COUNT];
    struct pool pool = {0};
    size_t sum = 0;
    for (size_t i = 0; i < COUNT; ++i) {
        const size_t bytes = i % 97 == 0 ? i * 61 : i % 41;
        records[i] = pool_alloc(&pool, bytes);
        check(records[i] != NULL);
        check_int((uintptr_t)records[i] % 16, ==, 0);
        check(all_zero(records[i], bytes));
        memset(records[i], (int)(i & 0xFF), bytes);
        sum += bytes;
    }
    check_int(pool.bytes, ==, sum);
    for (size_t i = 0; i < COUNT; ++i) {
        const size_t bytes = i % 97 == 0 ? i * 61 : i % 41;
        for (size_t j = 0; j < bytes; ++j)
            if (records[i][j] != (i & 0xFF)) {
                check_fail_at("record %zu was overwritten", i);
                break;
            }
    }
    pool_finish(&pool);
    check(pool.head == NULL);
    check_int(pool.bytes, ==, 0);
}

static void gives_empty_records_addresses_of_their_own(void)
{
    struct pool pool = {0};
    const void *const a = pool_alloc(&pool, 0), *const b = pool_alloc(&pool, 0);
    check(a && b && a != b);
    pool_finish(&pool);
}

static void copies_strings(void)
{
    struct pool pool = {0};
    char text[] = "first_stage_model";
    const char *const copy = pool_string(&pool, text);
    text[0] = '#';
    check_str(copy, "first_stage_model");
    check_str(pool_string(&pool, ""), "");
    pool_finish(&pool);
}

static void grows_arrays(void)
{
    struct pool pool = {0};
    size_t capacity = 0, *array = NULL;
    for (size_t count = 0; count < 1000; ++count) {
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 3;
            array = pool_grow(&pool, array, count, capacity, sizeof *array);
            check(array != NULL);
        }
        array[count] = count * count;
    }
    for (size_t i = 0; i < 1000; ++i)
        check_int(array[i], ==, i * i);
    pool_finish(&pool);
}

static void refuses_what_overflows(void)
{
    struct pool pool = {0};
    check(pool_alloc(&pool, SIZE_MAX) == NULL);
    check(pool_alloc(&pool, SIZE_MAX / 2) == NULL);
    check(pool_grow(&pool, NULL, 0, SIZE_MAX / 4, 16) == NULL);
    check_int(pool.bytes, ==, 0);
    check(pool_alloc(&pool, 16) != NULL);
    pool_finish(&pool);
    pool_finish(&pool);
}

int main(void)
{
    check_run(keeps_records_apart);
    check_run(gives_empty_records_addresses_of_their_own);
    check_run(copies_strings);
    check_run(grows_arrays);
    check_run(refuses_what_overflows);
    return check_done();
}
