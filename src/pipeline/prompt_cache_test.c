/* The cache against a naive list: what is kept, what goes first, and that a row is the bytes
 * that were written. */
#include "pipeline/prompt_cache.h"

#include "base/random.h"
#include "check.h"

enum {
    KEYS = 12, /* more than there are rows */
    ROW_FLOATS = 100
};

/* The keys in the cache, oldest use first. */
struct model {
    int keys[PROMPT_CACHE_CAPACITY];
    unsigned parts[KEYS];
    int count;
};

static struct prompt_cache_key key_of(int number)
{
    struct prompt_cache_key key = {.clip_skip = 1 + number % 2};
    for (int i = 0; i < TOKENIZER_POSITIONS; ++i)
        key.ids[0][i] = key.ids[1][i] = number / 2 + (i == TOKENIZER_POSITIONS - 1);
    return key;
}

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
    else if (model->count == PROMPT_CACHE_CAPACITY)
        drop(model, 0);
    if (place < 0) model->parts[number] = 0;
    model->keys[model->count++] = number;
}

static float value_of(int number, int part)
{
    return (float)(10 * number + part);
}

static void write_part(struct prompt_cache *cache, struct model *model, int number,
                       int part)
{
    const struct prompt_cache_key key = key_of(number);
    float *const row = prompt_cache_add(cache, &key, part);
    touch(model, number);
    model->parts[number] |= 1U << part;
    row[0] = (float)number;
    row[part ? ROW_FLOATS - 1 : 1] = value_of(number, part);
}

static void look(struct prompt_cache *cache, struct model *model, int number, int part)
{
    const struct prompt_cache_key key = key_of(number);
    const bool is_there = place_of(model, number) >= 0;
    const bool has = is_there && (model->parts[number] & 1U << part);
    const bool whole = is_there && model->parts[number] == 3;
    check_int(prompt_cache_has(cache, &key, part), ==, has);
    if (has) touch(model, number);
    const float *const row = prompt_cache_find(cache, &key);
    check_int(row != NULL, ==, whole);
    if (!row) return;
    touch(model, number);
    check_real(row[0], ==, number);
    check_real(row[1], ==, value_of(number, 0));
    check_real(row[ROW_FLOATS - 1], ==, value_of(number, 1));
}

static void is_the_naive_list(void)
{
    enum {
        SEED = 20240611
    };
    struct ledger ledger = {0};
    struct dr_error err = {0};
    struct prompt_cache cache = {0};
    struct model model = {0};
    struct random_source random;
    fprintf(stderr, "     seed %d\n", SEED);
    random_init(&random, RANDOM_CPU, SEED);
    check_int(prompt_cache_open(&cache, &ledger, sizeof(float) * ROW_FLOATS, 2, &err),
              ==, DR_OK);
    check_int(ledger.private_bytes, ==, prompt_cache_bytes(sizeof(float) * ROW_FLOATS));
    for (int i = 0; i < 20000; ++i) {
        float drawn[16]; /* the generator's streams begin at 16 values */
        random_normal(&random, drawn, 16);
        const int number = (int)(drawn[0] * 1000.0F + 1e6F) % KEYS;
        const int part = drawn[1] > 0.0F;
        if (drawn[2] > 0.3F)
            write_part(&cache, &model, number, part);
        else
            look(&cache, &model, number, part);
    }
    prompt_cache_close(&cache);
    check_int(ledger.private_bytes, ==, 0);
    const struct prompt_cache_key key = key_of(0);
    check(prompt_cache_find(&cache, &key) == NULL);
    check(!prompt_cache_has(&cache, &key, 0));
}

int main(void)
{
    check_run(is_the_naive_list);
    return check_done();
}
