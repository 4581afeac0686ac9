/* The cache against a naive list: what is kept, what goes first, and that a row is the bytes
 * that were written, while the number of rows changes. Another encoder never gets the rows of the
 * one before. */
#include "pipeline/prompt_cache.h"

#include "base/random.h"
#include "check.h"

enum {
    TEXTS = 2,
    KEYS = 24, /* more than there are rows */
    MOST_ROWS = 13
};
static const size_t row_floats[TEXTS] = {100, 33};

static struct ledger ledger;
static struct dr_error problem;

static struct prompt_cache_shape shape_of(int32_t row_count)
{
    return (struct prompt_cache_shape){
        .row_bytes = {sizeof(float) * row_floats[0], sizeof(float) * row_floats[1]},
        .text_count = TEXTS,
        .row_count = row_count
    };
}

/* Opened, or opened again, with so many rows a table. */
static void open_rows(struct prompt_cache *cache, int32_t row_count)
{
    const struct prompt_cache_shape shape = shape_of(row_count);
    const size_t before = cache->rows.bytes, after = prompt_cache_bytes(&shape);
    const bool changes = cache->shape.row_count != row_count;
    ledger_reset_peak(&ledger);
    check_int(prompt_cache_open(cache, &ledger, &shape, &problem), ==, DR_OK);
    check_int(ledger.private_bytes, ==, after);
    check_int(ledger.peak_private_bytes, ==, changes ? before + after : after);
}

/* Keys that differ in one thing each. */
static struct prompt_cache_key key_of(int number)
{
    struct prompt_cache_key key = {.clip_skip = 1, .dtype = DTYPE_F32};
    for (int i = 0; i < TOKENIZER_POSITIONS; ++i)
        key.chunk.weights[i] = 1.0F;
    switch (number % 6) {
    case 0: break;
    case 1: key.clip_skip = 2; break;
    case 2: key.dtype = DTYPE_BF16; break;
    case 3: key.chunk.weights[TOKENIZER_POSITIONS - 1] = 1.1F; break;
    case 4: key.encoder[DIGEST_BYTES - 1] = 1; break;
    case 5: key.chunk.eos_idx = 1; break;
    }
    key.chunk.ids[TOKENIZER_POSITIONS - 1] = number / 6;
    return key;
}

/* ---- against a naive list ---------------------------------------------------------------- */

/* The keys in one table, oldest use first. */
struct model {
    int keys[MOST_ROWS];
    int count, room;
};

static int place_of(const struct model *model, int number)
{
    for (int i = 0; i < model->count; ++i)
        if (model->keys[i] == number) return i;
    return -1;
}

static void drop(struct model *model, int place)
{
    for (int i = place; i + 1 < model->count; ++i)
        model->keys[i] = model->keys[i + 1];
    --model->count;
}

/* Used now: to the end. */
static void touch(struct model *model, int number)
{
    const int place = place_of(model, number);
    if (place >= 0)
        drop(model, place);
    else if (model->count == model->room)
        drop(model, 0);
    model->keys[model->count++] = number;
}

static float value_of(int32_t text_idx, int number)
{
    return (float)(100 * text_idx + number);
}

static void use(struct prompt_cache *cache, struct model *model, int32_t text_idx,
                int number, bool adds)
{
    const struct prompt_cache_key key = key_of(number);
    const size_t last = row_floats[text_idx] - 1;
    const bool is_there = place_of(model, number) >= 0;
    const float *const row = prompt_cache_find(cache, text_idx, &key);
    check_int(row != NULL, ==, is_there);
    if (row) {
        check_real(row[0], ==, value_of(text_idx, number));
        check_real(row[last], ==, value_of(text_idx, number));
    } else if (adds) {
        float *const fresh = prompt_cache_add(cache, text_idx, &key);
        fresh[0] = fresh[last] = value_of(text_idx, number);
    }
    if (row || adds) touch(model, number);
}

static void is_the_naive_list(void)
{
    enum {
        SEED = 20240611
    };
    struct prompt_cache cache = {0};
    struct model models[TEXTS] = {{.room = PROMPT_CACHE_ROWS},
                                  {.room = PROMPT_CACHE_ROWS}};
    struct random_source random;
    fprintf(stderr, "     seed %d\n", SEED);
    random_init(&random, RANDOM_CPU, SEED);
    open_rows(&cache, PROMPT_CACHE_ROWS);
    for (int i = 0; i < 20000; ++i) {
        float drawn[16]; /* the generator's streams begin at 16 values */
        random_normal(&random, drawn, 16);
        const int number = (int)(drawn[0] * 1000.0F + 1e6F) % KEYS;
        const int text_idx = drawn[1] > 0.0F;
        use(&cache, &models[text_idx], text_idx, number, drawn[2] > 0.3F);
        if (drawn[3] < 2.5F) continue;
        const int rows = 1 + (int)(drawn[4] * 1000.0F + 1e6F) % MOST_ROWS;
        open_rows(&cache, rows);
        for (int text = 0; text < TEXTS; ++text) {
            models[text].room = rows;
            while (models[text].count > rows)
                drop(&models[text], 0);
        }
    }
    prompt_cache_close(&cache);
    check_int(ledger.private_bytes, ==, 0);
    const struct prompt_cache_key key = key_of(0);
    check(prompt_cache_find(&cache, 0, &key) == NULL);
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* Each key finds its own row and no other's: with one thing left out of the comparison, two
 * would be one. */
static void each_difference_has_a_row_of_its_own(void)
{
    struct prompt_cache cache = {0};
    open_rows(&cache, 6);
    for (int i = 0; i < 6; ++i) {
        const struct prompt_cache_key key = key_of(i);
        check(prompt_cache_find(&cache, 0, &key) == NULL);
        prompt_cache_add(&cache, 0, &key)[0] = (float)i;
    }
    for (int i = 0; i < 6; ++i) {
        const struct prompt_cache_key key = key_of(i);
        const float *const row = prompt_cache_find(&cache, 0, &key);
        check(row != NULL);
        if (row) check_real(row[0], ==, i);
        check(prompt_cache_find(&cache, 1, &key) == NULL);
    }
    prompt_cache_close(&cache);
}

static void a_refusal_leaves_it_as_it_was(void)
{
    struct prompt_cache cache = {0};
    const struct prompt_cache_shape more = shape_of(1000);
    const struct prompt_cache_key key = key_of(3);
    open_rows(&cache, 2);
    prompt_cache_add(&cache, 1, &key)[0] = 5.0F;
    ledger.limit_bytes = ledger.private_bytes + region_page_bytes();
    check_int(prompt_cache_open(&cache, &ledger, &more, &problem), ==, DR_OVER_BUDGET);
    ledger.limit_bytes = 0;
    check_int(cache.shape.row_count, ==, 2);
    const float *const row = prompt_cache_find(&cache, 1, &key);
    check(row && row[0] == 5.0F);
    prompt_cache_close(&cache);
    check_int(ledger.private_bytes, ==, 0);
}

int main(void)
{
    check_run(is_the_naive_list);
    check_run(each_difference_has_a_row_of_its_own);
    check_run(a_refusal_leaves_it_as_it_was);
    return check_done();
}
