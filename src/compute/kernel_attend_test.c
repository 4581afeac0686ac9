/* kernels.attend of every table that this processor runs, held against plain loops in double. */
#include "compute/plan_fixture.h"

#include "compute/kernels.h"

enum {
    BLOCKS = 3,
    MOST_WIDTH = 64
};

/* One panel of queries, and a few blocks of keys. */
struct sample {
    const struct kernels *kernels;
    enum dtype type;
    size_t dim, keys; /* of a block; the last one has `last` */
    size_t last;
    bool causal;
    int32_t first_seen;
    float factor;
    float *queries, *key_rows, *values; /* [width][dim], [BLOCKS keys][dim], likewise */
};

static size_t round_up(size_t count, size_t step)
{
    return (count + step - 1) / step * step;
}

/* Word w of numbers that lie `step` apart: one of float32, or two of bfloat16. Those from `count` on are 0. */
static uint32_t word_of(const float *numbers, size_t step, size_t count, size_t w,
                        enum dtype type)
{
    uint32_t word = 0;
    if (type == DTYPE_F32) {
        if (w < count) memcpy(&word, &numbers[w * step], sizeof word);
        return word;
    }
    for (size_t i = 0; i < 2; ++i) {
        const float number = 2 * w + i < count ? numbers[(2 * w + i) * step] : 0;
        uint16_t half;
        dtype_to_bf16(&number, DTYPE_F32, &half, 1);
        word |= (uint32_t)half << (16 * i);
    }
    return word;
}

/* Words of rows, `tile` rows side by side; rows beyond repeat the last one. */
static struct guarded rows_in_tiles(const float *numbers, size_t rows, size_t dim,
                                    size_t dim_words, size_t tile, enum dtype type)
{
    const size_t padded = round_up(rows, tile);
    struct guarded g = guarded_open(padded * dim_words * sizeof(uint32_t));
    uint32_t *const words = (void *)g.data;
    for (size_t r = 0; r < padded; ++r)
        for (size_t w = 0; w < dim_words; ++w)
            words[r / tile * tile * dim_words + w * tile + r % tile] =
                word_of(numbers + (r < rows ? r : rows - 1) * dim, 1, dim, w, type);
    return g;
}

static struct guarded values_in_tiles(const float *numbers, size_t rows, size_t dim,
                                      size_t dims, size_t tile, enum dtype type)
{
    const size_t lines = type == DTYPE_BF16 ? (rows + 1) / 2 : rows;
    struct guarded g = guarded_open(lines * dims * sizeof(uint32_t));
    uint32_t *const words = (void *)g.data;
    for (size_t w = 0; w < lines; ++w)
        for (size_t d = 0; d < dims; ++d)
            words[d / tile * tile * lines + w * tile + d % tile] =
                d < dim ? word_of(numbers + d, dim, rows, w, type) : 0;
    return g;
}

static bool sees(const struct sample *s, size_t query, size_t key)
{
    return !s->causal || (int32_t)key < s->first_seen + (int32_t)query;
}

/* Is every sum / total what the formula says? */
static void check_result(const struct sample *s, const float *sums, const float *total)
{
    const size_t width = s->kernels->attend_width;
    const size_t keys = (BLOCKS - 1) * s->keys + s->last;
    const double log_of_2 = 0.69314718055994531;
    double *const scores = malloc(keys * sizeof *scores);
    for (size_t q = 0; q < width; ++q) {
        double most = -1e300, all = 0, size = 0;
        for (size_t k = 0; k < keys; ++k) {
            scores[k] = 0;
            for (size_t d = 0; d < s->dim; ++d)
                scores[k] += (double)s->queries[q * s->dim + d] *
                             (double)s->key_rows[k * s->dim + d];
            scores[k] *= (double)s->factor;
            if (sees(s, q, k) && scores[k] > most) most = scores[k];
            if (fabs(scores[k]) > size) size = fabs(scores[k]);
        }
        for (size_t k = 0; k < keys; ++k) {
            scores[k] = sees(s, q, k) ? exp((scores[k] - most) * log_of_2) : 0;
            all += scores[k];
        }
        const double tolerance = (s->type == DTYPE_BF16 ? 8e-3 : 2e-6) + 4e-7 * size;
        for (size_t d = 0; d < s->dim; ++d) {
            double want = 0;
            for (size_t k = 0; k < keys; ++k)
                want += scores[k] / all * (double)s->values[k * s->dim + d];
            const double got = (double)sums[d * width + q] / (double)total[q];
            if (!(fabs(got - want) <= tolerance))
                check_fail_at(
                    "%s, %s, dim %zu, %zu and %zu keys, query %zu: %g, not %g",
                    s->kernels->name, dtype_name(s->type), s->dim, s->keys, s->last, q,
                    got, want);
        }
    }
    free(scores);
}

/* All blocks of keys, one after the other. sums: [dims][width]. */
static void attend_to(const struct sample *s, size_t key_rows, size_t value_rows,
                      float *sums, float *total)
{
    const size_t each = s->type == DTYPE_BF16 ? 2 : 1, width = s->kernels->attend_width;
    const size_t dim_words = (s->dim + each - 1) / each;
    const size_t dims = round_up(s->dim, value_rows);
    float reference[MOST_WIDTH];
    struct guarded queries =
        rows_in_tiles(s->queries, width, s->dim, dim_words, width, s->type);
    struct guarded scores =
        guarded_open(round_up(s->keys, key_rows) * width * sizeof(float));
    for (size_t block = 0; block < BLOCKS; ++block) {
        const size_t seen = block + 1 < BLOCKS ? s->keys : s->last;
        const size_t first = block * s->keys * s->dim;
        struct guarded keys = rows_in_tiles(s->key_rows + first, seen, s->dim,
                                            dim_words, key_rows, s->type);
        struct guarded values =
            values_in_tiles(s->values + first, seen, s->dim, dims, value_rows, s->type);
        const struct kernel_attend call = {
            .queries = queries.data,
            .keys = keys.data,
            .values = values.data,
            .sums = sums,
            .scores = (void *)scores.data,
            .reference = reference,
            .total = total,
            .type = s->type,
            .begins = block == 0,
            .dim_words = dim_words,
            .key_rows = key_rows,
            .value_rows = value_rows,
            .dims = dims,
            .tile_step = (seen + each - 1) / each * value_rows,
            .seen = seen,
            .causal = s->causal,
            .first_seen = s->first_seen - (int32_t)(block * s->keys),
            .factor = s->type == DTYPE_F32 ? NAN : s->factor, /* not used */
        };
        s->kernels->attend(&call);
        guarded_close(&keys);
        guarded_close(&values);
    }
    guarded_close(&queries);
    guarded_close(&scores);
}

static size_t any_rows(const struct kernels *kernels)
{
    return kernels->attend_unit * (size_t)fixture_int(4, 6);
}

/* float32: queries are given times the factor. */
static void scale_queries(struct sample *s)
{
    if (s->type != DTYPE_F32) return;
    for (size_t i = 0; i < s->kernels->attend_width * s->dim; ++i)
        s->queries[i] *= s->factor;
    s->factor = 1;
}

/* Scores of `spread`, so that some blocks have far larger ones than those before. */
static void try_one(const struct kernels *kernels, enum dtype type, float spread)
{
    struct sample s = {
        .kernels = kernels,
        .type = type,
        .dim = (size_t)fixture_int(1, 90),
        .keys = 2 * (size_t)fixture_int(1, 40),
        .causal = fixture_int(0, 2) == 0,
        .first_seen = fixture_int(1, 60),
    };
    s.last = (size_t)fixture_int(1, (int32_t)s.keys);
    s.factor = 1.44269504f / sqrtf((float)s.dim);
    const size_t width = kernels->attend_width, count = BLOCKS * s.keys * s.dim;
    const size_t value_rows = any_rows(kernels), dims = round_up(s.dim, value_rows);
    s.queries = fixture_reals(width * s.dim, spread, type);
    scale_queries(&s);
    s.key_rows = fixture_reals(count, spread, type);
    s.values = fixture_reals(count, 1, type);
    float total[MOST_WIDTH];
    struct guarded sums = guarded_open(dims * width * sizeof(float));
    check(width <= MOST_WIDTH);
    attend_to(&s, fixture_int(0, 1) ? 4 : 6, value_rows, (void *)sums.data, total);
    check_result(&s, (void *)sums.data, total);
    guarded_close(&sums);
    free(s.queries);
    free(s.key_rows);
    free(s.values);
}

static void for_all(float spread)
{
    for (const struct kernels *const *table = kernels_all(); *table; ++table)
        for (int round = 0; round < 60; ++round) {
            try_one(*table, DTYPE_F32, spread);
            if ((*table)->multiplies_bf16) try_one(*table, DTYPE_BF16, spread);
        }
}

static void equals_the_formula(void)
{
    for_all(1);
}

/* Scores of +-thousands: a block begins again with a higher reference. */
static void follows_rising_scores(void)
{
    for_all(20);
}

/* A NaN in a key reaches every query, in whichever block it is. */
static void hands_on_nan(void)
{
    for (const struct kernels *const *table = kernels_all(); *table; ++table)
        for (size_t block = 0; block < BLOCKS; ++block) {
            const struct kernels *const kernels = *table;
            const size_t width = kernels->attend_width, rows = 4 * kernels->attend_unit;
            struct sample s = {.kernels = kernels, .dim = 8, .keys = 30, .last = 30};
            s.type = kernels->multiplies_bf16 && block == 1 ? DTYPE_BF16 : DTYPE_F32;
            s.factor = 0.5f;
            s.queries = fixture_reals(width * s.dim, 1, s.type);
            s.key_rows = fixture_reals(BLOCKS * s.keys * s.dim, 1, s.type);
            s.values = fixture_reals(BLOCKS * s.keys * s.dim, 1, s.type);
            s.key_rows[(block * s.keys + 13) * s.dim + 5] = NAN;
            float total[MOST_WIDTH], sums[MOST_WIDTH * 8];
            attend_to(&s, 6, rows, sums, total);
            size_t finite = 0;
            for (size_t i = 0; i < width * s.dim; ++i)
                finite += isfinite(sums[i] / total[i % width]) != 0;
            check_int(finite, ==, 0);
            free(s.queries);
            free(s.key_rows);
            free(s.values);
        }
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3011);
    check_run(equals_the_formula);
    check_run(follows_rising_scores);
    check_run(hands_on_nan);
    return check_done();
}
