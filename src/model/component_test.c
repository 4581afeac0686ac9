/* Specs and loading over hand-made files: every kind of operand in every type, against a plain
 * computation of the same; and all that can go wrong while a file is read. */
#include "base/dtype_fixture.h"
#include "check.h"
#include "compute/weight_fixture.h"
#include "scratch_folder.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "compute/compute.h"
#include "compute/plan.h"
#include "model/component.h"
#include "weights/tensor_writer.h"

static struct dr_error error;
static uint64_t random_state = 11;

static uint64_t draw(uint64_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % below;
}

/* ---- a file of random tensors ---- */

enum {
    MAX_TENSORS = 32,
    NAME_BYTES = 24
};

struct sample {
    struct tensor_writer_item items[MAX_TENSORS];
    char names[MAX_TENSORS][NAME_BYTES];
    unsigned char *data[MAX_TENSORS]; /* as stored */
    size_t bytes[MAX_TENSORS];
    int scale[MAX_TENSORS]; /* the place of its scale; 0: it has none */
    int count;
    struct tensor_file file;
    struct component_tensor tensors[MAX_TENSORS];
    struct component_index index;
    struct pool pool; /* of specs */
};

static size_t element_count(const struct tensor_writer_item *item)
{
    size_t count = 1;
    for (int i = 0; i < item->rank; ++i)
        count *= (size_t)item->dims[i];
    return count;
}

/* Random bits that are a finite number of about 1 in the type. */
static void draw_value(enum dtype type, unsigned char *into)
{
    const double value = ((double)draw(2000001) - 1000000) / 500000;
    const float narrow = (float)value;
    const uint16_t half = dtype_f16_from_f32(narrow),
                   brain = dtype_bf16_from_f32(narrow);
    switch ((int)type) {
    case DTYPE_F64: memcpy(into, &value, 8); break;
    case DTYPE_F32: memcpy(into, &narrow, 4); break;
    case DTYPE_F16: memcpy(into, &half, 2); break;
    case DTYPE_BF16: memcpy(into, &brain, 2); break;
    case DTYPE_F8_E4M3: *into = (unsigned char)((draw(2) << 7) | draw(0x7f)); break;
    case DTYPE_F8_E5M2: *into = (unsigned char)((draw(2) << 7) | draw(0x7c)); break;
    default: memset(into, 0, dtype_bytes(type)); break;
    }
}

static void add(struct sample *sample, const char *name, enum dtype type, int rank,
                const int64_t *dims)
{
    const int i = sample->count++;
    (void)snprintf(sample->names[i], NAME_BYTES, "%s", name);
    struct tensor_writer_item *const item = &sample->items[i];
    *item = (struct tensor_writer_item){.name = sample->names[i],
                                        .dtype = type,
                                        .rank = rank};
    if (rank > 0) memcpy(item->dims, dims, (size_t)rank * sizeof dims[0]);
    const size_t count = element_count(item), each = dtype_bytes(type);
    sample->bytes[i] = count * each;
    sample->data[i] = malloc(count * each + 1);
    for (size_t k = 0; k < count; ++k)
        draw_value(type, sample->data[i] + k * each);
}

#define DIMS(...)                                                \
    (int)(sizeof(int64_t[]){__VA_ARGS__} / 8), (const int64_t[]) \
    {                                                            \
        __VA_ARGS__                                              \
    }

static void write_sample(const struct sample *sample, const char *path)
{
    struct tensor_writer *writer = NULL;
    check_int(tensor_writer_open(&writer, path, sample->items, (size_t)sample->count,
                                 NULL, 0, &error),
              ==, DR_OK);
    for (int i = 0; i < sample->count; ++i)
        check_int(tensor_writer_add(writer, sample->data[i], sample->bytes[i], &error),
                  ==, DR_OK);
    check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
}

/* Write and open: all tensors are the component's, under their own names. */
static void open_sample(struct sample *sample)
{
    const char *const path = scratch_path("sample.safetensors");
    write_sample(sample, path);
    check_int(tensor_file_open(&sample->file, path, &error), ==, DR_OK);
    sample->index = (struct component_index){.role = ROLE_VAE,
                                             .file = &sample->file,
                                             .tensors = sample->tensors,
                                             .count = sample->file.tensor_count};
    for (size_t i = 0; i < sample->file.tensor_count; ++i) {
        sample->tensors[i].name = sample->file.tensors[i].name;
        sample->tensors[i].tensor = &sample->file.tensors[i];
        sample->index.bytes += sample->file.tensors[i].bytes;
    }
}

static void close_sample(struct sample *sample)
{
    for (int i = 0; i < sample->count; ++i)
        free(sample->data[i]);
    tensor_file_close(&sample->file);
    pool_finish(&sample->pool);
    *sample = (struct sample){0};
}

static int find(const struct sample *sample, const char *name)
{
    for (int i = 0; i < sample->count; ++i)
        if (strcmp(sample->names[i], name) == 0) return i;
    return -1;
}

/* ---- what an operand must hold ---- */

struct expectation {
    const struct weight *weight;
    const char *parts[OPERAND_MAX_PARTS + 1];
    int first_column;
    bool transpose;
};

/* A tensor's stored values times their scales: in float32. */
static float scaled_value(const struct sample *sample, int tensor, size_t element)
{
    const struct tensor_writer_item *const item = &sample->items[tensor];
    const int scale = sample->scale[tensor];
    const size_t rows = (size_t)item->dims[0];
    const size_t row = element / (element_count(item) / rows);
    const size_t place = element_count(&sample->items[scale]) > 1 ? row : 0;
    const enum dtype type = sample->items[scale].dtype;
    float value, factor;
    dtype_to_f32(sample->data[tensor] + element * dtype_bytes(item->dtype), item->dtype,
                 &value, 1);
    dtype_to_f32(sample->data[scale] + place * dtype_bytes(type), type, &factor, 1);
    return value * factor;
}

/* One value of a tensor in the file, in the type that its weight is stored in, to target. */
static void take(const struct sample *sample, int tensor, size_t element,
                 enum dtype type, unsigned char *target)
{
    float scaled = 0;
    if (sample->scale[tensor]) scaled = scaled_value(sample, tensor, element);
    const enum dtype stored =
        sample->scale[tensor] ? DTYPE_F32 : sample->items[tensor].dtype;
    const unsigned char *const source =
        sample->scale[tensor] ? (const unsigned char *)&scaled
                              : sample->data[tensor] + element * dtype_bytes(stored);
    if (type == stored) {
        memcpy(target, source, dtype_bytes(type));
    } else if (type == DTYPE_F32) {
        float value;
        dtype_to_f32(source, stored, &value, 1);
        memcpy(target, &value, 4);
    } else {
        uint16_t value;
        dtype_to_bf16(source, stored, &value, 1);
        memcpy(target, &value, 2);
    }
}

/* The operand's plain form, element by element: [out][in][kernel]. malloc'd. */
static unsigned char *plain_form(const struct sample *sample,
                                 const struct expectation *expected)
{
    const struct weight *const weight = expected->weight;
    const size_t kernel = (size_t)(weight->kernel_height * weight->kernel_width);
    const size_t in = (size_t)weight->in, each = dtype_bytes(weight->stored);
    size_t part_count = 0;
    while (expected->parts[part_count])
        ++part_count;
    const size_t rows = (size_t)weight->out / part_count;
    unsigned char *const plain = malloc(weight_plain_bytes(weight));
    for (size_t o = 0; o < (size_t)weight->out; ++o)
        for (size_t i = 0; i < in * kernel; ++i) {
            const int tensor = find(sample, expected->parts[o / rows]);
            const struct tensor_writer_item *const item = &sample->items[tensor];
            const size_t width = (item->rank > 1 ? (size_t)item->dims[1] : 1) * kernel;
            const size_t skip = (size_t)expected->first_column * kernel;
            const size_t element = expected->transpose ? i * (size_t)item->dims[1] + o
                                                       : o % rows * width + skip + i;
            take(sample, tensor, element, weight->stored,
                 plain + (o * in * kernel + i) * each);
        }
    return plain;
}

static void check_operand(const struct sample *sample,
                          const struct expectation *expected,
                          const struct region *weights)
{
    const struct weight *const weight = expected->weight;
    check(weight != NULL);
    if (!weight) return;
    check_int(weight->offset % 64, ==, 0);
    check_int(weight->offset + weight->bytes, <=, weights->bytes);
    unsigned char *const plain = plain_form(sample, expected);
    unsigned char *const stored = aligned_alloc(64, (weight->bytes + 63) & ~(size_t)63);
    memset(stored, 0xee, weight->bytes);
    weight_store(weight, plain, stored);
    if (memcmp(weights->data + weight->offset, stored, weight->bytes) != 0)
        check_fail_at("operand of %s (%s) differs", expected->parts[0],
                      dtype_name(
                          sample->items[find(sample, expected->parts[0])].dtype));
    free(plain);
    free(stored);
}

/* ---- loading ---- */

static enum dr_code load(const struct component_spec *spec, struct ledger *ledger,
                         const struct component_progress *progress,
                         struct region *weights, uint8_t digest[DIGEST_BYTES])
{
    const struct component_load_options options = {.ledger = ledger,
                                                   .name = "sample",
                                                   .progress = progress};
    error = (struct dr_error){0};
    return component_load(spec, &options, weights, digest, &error);
}

static size_t pages(size_t bytes)
{
    const size_t page = region_page_bytes();
    return (bytes + page - 1) / page * page;
}

static void check_digest(const struct sample *sample,
                         const uint8_t digest[DIGEST_BYTES])
{
    static unsigned char buffer[5000]; /* no multiple of anything */
    uint8_t read[DIGEST_BYTES];
    check_int(component_digest_read(&sample->index, buffer, sizeof buffer, NULL, read,
                                    &error),
              ==, DR_OK);
    check_bytes(read, digest, DIGEST_BYTES);
}

/* A network with one of each kind, in one type. conv is larger than a chunk or two. */
static void fill_sample(struct sample *sample, enum dtype type)
{
    *sample = (struct sample){0};
    add(sample, "conv", type, DIMS(130, 129, 3, 3));
    add(sample, "odd", type, DIMS(7, 5, 1, 3));
    add(sample, "one", type, DIMS(33, 17, 1, 1));
    add(sample, "linear", type, DIMS(40, 24));
    add(sample, "vector", type, DIMS(129));
    add(sample, "table", type, DIMS(600, 64));
    add(sample, "q", type, DIMS(64, 48));
    add(sample, "k", type, DIMS(64, 48, 1, 1));
    add(sample, "v", DTYPE_F32, DIMS(64, 48));
    add(sample, "q.bias", type, DIMS(64));
    add(sample, "k.bias", DTYPE_F16, DIMS(64));
    add(sample, "projection", type, DIMS(600, 37));
    add(sample, "skip", type, DIMS(96, 1100, 1, 1));
    add(sample, "unused", type, DIMS(1024, 1024));
    add(sample, "integers", DTYPE_I64, DIMS(1, 77));
    add(sample, "nothing", DTYPE_F32, DIMS(0, 4));
    open_sample(sample);
}

/* The scale of a tensor of the sample: NAME_scale, after which it is in the index too. */
static void add_scale(struct sample *sample, const char *name, enum dtype type,
                      int rank, const int64_t *dims)
{
    char scale[NAME_BYTES];
    (void)snprintf(scale, sizeof scale, "%s_scale", name);
    sample->scale[find(sample, name)] = sample->count;
    add(sample, scale, type, rank, dims);
}

static struct component_tensor *entry_of(struct sample *sample, const char *name)
{
    for (size_t i = 0; i < sample->index.count; ++i)
        if (strcmp(sample->tensors[i].name, name) == 0) return &sample->tensors[i];
    check_fail_at("no tensor %s", name);
    abort();
}

static void link_scales(struct sample *sample)
{
    for (int i = 0; i < sample->count; ++i) {
        if (!sample->scale[i]) continue;
        struct component_tensor *const scale =
            entry_of(sample, sample->names[sample->scale[i]]);
        struct component_tensor *const weight = entry_of(sample, sample->names[i]);
        weight->scales[0] = scale->tensor;
        weight->scale_count = 1;
        scale->is_scale = true;
    }
}

/* The same network with scales: one for a tensor, or one for each of its rows. */
static void fill_scaled_sample(struct sample *sample, enum dtype type)
{
    *sample = (struct sample){0};
    add(sample, "conv", type, DIMS(130, 129, 3, 3));
    add_scale(sample, "conv", DTYPE_F32, 0, NULL);
    add(sample, "odd", type, DIMS(7, 5, 1, 3));
    add_scale(sample, "odd", DTYPE_BF16, DIMS(7, 1, 1, 1));
    add(sample, "one", type, DIMS(33, 17, 1, 1));
    add(sample, "linear", type, DIMS(40, 24));
    add_scale(sample, "linear", DTYPE_F32, DIMS(40));
    add(sample, "vector", type, DIMS(129));
    add_scale(sample, "vector", DTYPE_F16, DIMS(1));
    add(sample, "table", type, DIMS(600, 64));
    add_scale(sample, "table", DTYPE_F64, DIMS(600, 1));
    add(sample, "q", type, DIMS(64, 48));
    add_scale(sample, "q", DTYPE_F32, DIMS(64, 1));
    add(sample, "k", type, DIMS(64, 48, 1, 1));
    add_scale(sample, "k", DTYPE_F32, 0, NULL);
    add(sample, "v", DTYPE_F32, DIMS(64, 48));
    add(sample, "q.bias", type, DIMS(64));
    add(sample, "k.bias", DTYPE_F16, DIMS(64));
    add(sample, "projection", type, DIMS(600, 37));
    add_scale(sample, "projection", DTYPE_F32, DIMS(600));
    add(sample, "skip", type, DIMS(96, 1100, 1, 1));
    add_scale(sample, "skip", DTYPE_F32, DIMS(96, 1));
    open_sample(sample);
    link_scales(sample);
}

enum {
    EXPECTED_COUNT = 11,
    HALF_WIDTH = 48
};

/* clang-format 14 fails on the tables below. */
/* clang-format off */
static void build_spec(struct sample *sample, enum dtype dtype, struct component_spec *spec,
                       struct expectation expected[EXPECTED_COUNT])
{
#define REQUEST(...) &(const struct operand_request){__VA_ARGS__}
    static const char *const stack[] = {"q", "k", "v", NULL};
    static const char *const biases[] = {"q.bias", "k.bias", NULL};
    component_spec_begin(spec, &sample->index, dtype, &sample->pool);
    const struct weight *const weights[EXPECTED_COUNT] = {
        component_need(spec, REQUEST(.kind = WEIGHT_CONV, .out = 130, .in = 129,
                                     .kernel_height = 3, .kernel_width = 3), "conv"),
        component_need(spec, REQUEST(.kind = WEIGHT_CONV, .out = -1, .in = -1,
                                     .kernel_height = 1, .kernel_width = 3), "odd"),
        component_need(spec, REQUEST(.kind = WEIGHT_LINEAR, .out = 33, .in = 17), "one"),
        component_need(spec, REQUEST(.kind = WEIGHT_LINEAR, .out = 40, .in = 24,
                                     .dtype_set = true, .dtype = DTYPE_F32), "lin%s", "ear"),
        component_need(spec, REQUEST(.kind = WEIGHT_VECTOR, .out = 129), "vector"),
        component_need(spec, REQUEST(.kind = WEIGHT_TABLE, .out = -1, .in = 64), "table"),
        component_need_stack(spec, REQUEST(.kind = WEIGHT_LINEAR, .out = 192, .in = 48), stack),
        component_need_stack(spec, REQUEST(.kind = WEIGHT_VECTOR, .out = -1), biases),
        component_need(spec, REQUEST(.kind = WEIGHT_LINEAR, .out = 37, .in = 600,
                                     .transpose = true), "projection"),
        component_need(spec, REQUEST(.kind = WEIGHT_LINEAR, .out = 96, .in = 700,
                                     .column_slice = true), "skip"),
        component_need(spec, REQUEST(.kind = WEIGHT_LINEAR, .out = 96, .in = 400,
                                     .column_slice = true, .first_column = 700), "skip"),
    };
#undef REQUEST
    const struct expectation parts[EXPECTED_COUNT] = {
        {.parts = {"conv"}},   {.parts = {"odd"}},
        {.parts = {"one"}},    {.parts = {"linear"}},
        {.parts = {"vector"}}, {.parts = {"table"}},
        {.parts = {"q", "k", "v"}}, {.parts = {"q.bias", "k.bias"}},
        {.parts = {"projection"}, .transpose = true},
        {.parts = {"skip"}},   {.parts = {"skip"}, .first_column = 700},
    };
    for (int i = 0; i < EXPECTED_COUNT; ++i) {
        expected[i] = parts[i];
        expected[i].weight = weights[i];
    }
    check_int(component_spec_end(spec, &error), ==, DR_OK);
    check_int(spec->operand_count, ==, EXPECTED_COUNT);
}
/* clang-format on */

/* Pieces of other sizes: their borders fall anywhere in rows and operands. */
/* bfloat16 where the processor multiplies it: where it does not, the library has no layout for
 * its operands. */
static enum dtype narrow_type(void)
{
    return compute_can_bf16() ? DTYPE_BF16 : DTYPE_F32;
}

static void set_chunk(struct component_spec *spec, size_t bytes)
{
    if (bytes >= spec->chunk_bytes) return;
    spec->scratch_bytes -= 2 * (spec->chunk_bytes - bytes);
    spec->chunk_bytes = bytes;
}

/* ---- two components in one run ---- */

struct half {
    struct sample sample;
    struct component_spec spec;
    const struct weight *weight;
    struct region weights;
};

static void open_half(struct half *half, struct ledger *ledger, int32_t region)
{
    uint8_t digest[DIGEST_BYTES];
    *half = (struct half){.weight = NULL};
    add(&half->sample, "one", DTYPE_F32, DIMS(HALF_WIDTH, HALF_WIDTH));
    open_sample(&half->sample);
    component_spec_begin(&half->spec, &half->sample.index, DTYPE_F32,
                         &half->sample.pool);
    half->spec.region = region;
    half->weight = component_need(
        &half->spec,
        &(const struct operand_request){.kind = WEIGHT_LINEAR, .out = -1, .in = -1},
        "one");
    check_int(component_spec_end(&half->spec, &error), ==, DR_OK);
    check_int(load(&half->spec, ledger, NULL, &half->weights, digest), ==, DR_OK);
}

static void close_half(struct half *half)
{
    region_close(&half->weights);
    close_sample(&half->sample);
}

/* target = (half's matrix) source. */
static void multiply(const struct half *half, const float *source, float *target)
{
    const float *const matrix = (const void *)half->sample.data[0];
    for (int i = 0; i < HALF_WIDTH; ++i) {
        double sum = 0;
        for (int k = 0; k < HALF_WIDTH; ++k)
            sum += (double)matrix[i * HALF_WIDTH + k] * (double)source[k];
        target[i] = (float)sum;
    }
}

static bool is_near(const float *got, const float *want)
{
    double difference = 0, norm = 0;
    for (int i = 0; i < HALF_WIDTH; ++i) {
        const double d = (double)got[i] - (double)want[i];
        difference += d * d;
        norm += (double)want[i] * (double)want[i];
    }
    return difference < 1e-9 * norm;
}

/* Specs with other region indices serve one plan, each with its own file's weights. */
static void two_components_serve_one_plan(void)
{
    struct ledger ledger = {0};
    struct half halves[2];
    struct plan *plan = NULL;
    const struct plan_options options = {.name = "both", .dtype = DTYPE_F32};
    for (int i = 0; i < 2; ++i)
        open_half(&halves[i], &ledger, i);
    check_int(plan_create(&plan, &options, &error), ==, DR_OK);
    const struct value in =
        plan_input(plan, (struct shape){1, 1, 1, HALF_WIDTH}, DTYPE_F32);
    struct value out = in;
    for (int i = 0; i < 2; ++i)
        out = plan_linear(plan, out,
                          &(struct linear_options){.weight = halves[i].weight});
    out = plan_output(plan, out, DTYPE_F32);
    check_int(plan_seal(plan, &error), ==, DR_OK);
    check_int(plan_region_count(plan), ==, 2);
    void *const arena = aligned_alloc(64, (plan_bytes(plan) + 63) & ~(size_t)63);
    for (int order = 0; order < 2; ++order) {
        float source[HALF_WIDTH], between[HALF_WIDTH], want[HALF_WIDTH],
            got[HALF_WIDTH];
        const void *const regions[] = {halves[order].weights.data,
                                       halves[!order].weights.data};
        for (int i = 0; i < HALF_WIDTH; ++i)
            source[i] = (float)draw(1000) / 1000;
        check_int(plan_bind(plan, arena, regions, 2, &error), ==, DR_OK);
        plan_write(plan, in, 0, HALF_WIDTH, source);
        check_int(plan_run(plan, NULL, &error), ==, DR_OK);
        plan_read(plan, out, 0, HALF_WIDTH, got);
        multiply(&halves[order], source, between);
        multiply(&halves[!order], between, want);
        check(is_near(got, want));
        multiply(&halves[!order], source, between);
        multiply(&halves[order], between, want);
        check(!is_near(got, want));
    }
    plan_destroy(&plan);
    free(arena);
    for (int i = 0; i < 2; ++i)
        close_half(&halves[i]);
}

static void loads_every_type(void)
{
    static const size_t chunks[] = {64, 4096 - 64, 192 * 1024, SIZE_MAX};
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16,    DTYPE_F16,
                                       DTYPE_F64, DTYPE_F8_E4M3, DTYPE_F8_E5M2};
    fprintf(stderr, "seed %" PRIu64 "\n", random_state);
    for (size_t i = 0; i < 2 * sizeof types / sizeof types[0]; ++i) {
        const enum dtype dtype = i % 2 ? narrow_type() : DTYPE_F32;
        struct sample sample;
        struct component_spec spec;
        struct expectation expected[EXPECTED_COUNT];
        struct ledger ledger = {0};
        struct region weights;
        uint8_t digest[DIGEST_BYTES];
        fill_sample(&sample, types[i / 2]);
        build_spec(&sample, dtype, &spec, expected);
        set_chunk(&spec, chunks[i / 2 % 4]);
        check_int(load(&spec, &ledger, NULL, &weights, digest), ==, DR_OK);
        check_str(error.message, "");
        check_int(ledger.private_bytes, ==, pages(spec.weights_bytes));
        check_int(ledger.peak_private_bytes, ==,
                  pages(spec.weights_bytes) + pages(spec.scratch_bytes));
        check_int(weights.tag, ==, REGION_WEIGHTS);
        for (int k = 0; k < EXPECTED_COUNT; ++k)
            check_operand(&sample, &expected[k], &weights);
        check_int(expected[3].weight->dtype, ==, DTYPE_F32);
        check_int(expected[4].weight->dtype, ==, DTYPE_F32);
        check_int(expected[5].weight->dtype, ==, dtype);
        check_digest(&sample, digest);
        region_close(&weights);
        ledger_check(&ledger);
        check_int(ledger.private_bytes, ==, 0);
        close_sample(&sample);
    }
}

/* Values times scales, whatever the pieces; the scales are in the digest, and nothing is unused. */
static void obeys_scales(void)
{
    static const size_t chunks[] = {64, 4096 - 64, 192 * 1024, SIZE_MAX};
    static const enum dtype types[] = {DTYPE_F8_E4M3, DTYPE_F8_E5M2, DTYPE_F16,
                                       DTYPE_BF16};
    for (size_t i = 0; i < 8; ++i) {
        struct sample sample;
        struct component_spec spec;
        struct expectation expected[EXPECTED_COUNT];
        struct ledger ledger = {0};
        struct region weights;
        uint8_t digest[DIGEST_BYTES], other[DIGEST_BYTES];
        fill_scaled_sample(&sample, types[i / 2]);
        build_spec(&sample, i % 2 ? narrow_type() : DTYPE_F32, &spec, expected);
        check_int(spec.unused.count, ==, 0);
        set_chunk(&spec, chunks[i / 2]);
        check_int(load(&spec, &ledger, NULL, &weights, digest), ==, DR_OK);
        check_str(error.message, "");
        for (int k = 0; k < EXPECTED_COUNT; ++k)
            check_operand(&sample, &expected[k], &weights);
        check_digest(&sample, digest);
        region_close(&weights);

        /* One bit of one scale is another digest. */
        const char *const path = scratch_path("sample.safetensors");
        const int scale = sample.scale[find(&sample, "linear")];
        sample.data[scale][0] ^= 1;
        write_sample(&sample, path);
        struct sample changed = sample;
        check_int(tensor_file_open(&changed.file, path, &error), ==, DR_OK);
        changed.index.file = &changed.file;
        for (size_t k = 0; k < changed.file.tensor_count; ++k)
            changed.tensors[k].tensor = &changed.file.tensors[k];
        changed.index.tensors = changed.tensors;
        static unsigned char buffer[4096];
        check_int(component_digest_read(&changed.index, buffer, sizeof buffer, NULL,
                                        other, &error),
                  ==, DR_OK);
        check(memcmp(digest, other, DIGEST_BYTES) != 0);
        tensor_file_close(&changed.file);
        close_sample(&sample);
    }
}

/* What changes the numbers beside the tensors is in the digest. */
static void a_meaning_is_in_the_digest(void)
{
    static unsigned char buffer[4096];
    uint8_t plain[DIGEST_BYTES], empty[DIGEST_BYTES], meant[DIGEST_BYTES];
    struct sample sample;
    fill_sample(&sample, DTYPE_F16);
    check_int(component_digest_read(&sample.index, buffer, sizeof buffer, NULL, plain,
                                    &error),
              ==, DR_OK);
    sample.index.meaning = "";
    check_int(component_digest_read(&sample.index, buffer, sizeof buffer, NULL, empty,
                                    &error),
              ==, DR_OK);
    sample.index.meaning = "prediction=v ";
    check_int(component_digest_read(&sample.index, buffer, sizeof buffer, NULL, meant,
                                    &error),
              ==, DR_OK);
    check_bytes(plain, empty, DIGEST_BYTES);
    check(memcmp(plain, meant, DIGEST_BYTES) != 0);
    close_sample(&sample);
}

static void refuses_scales_that_are_not_finite(void)
{
    struct sample sample;
    struct component_spec spec;
    struct expectation expected[EXPECTED_COUNT];
    struct ledger ledger = {0};
    struct region weights;
    uint8_t digest[DIGEST_BYTES];
    const float bad = NAN;
    fill_scaled_sample(&sample, DTYPE_F8_E4M3);
    const int scale = sample.scale[find(&sample, "q")];
    memcpy(sample.data[scale] + 4 * 63, &bad, sizeof bad);
    tensor_file_close(&sample.file);
    write_sample(&sample, scratch_path("sample.safetensors"));
    check_int(tensor_file_open(&sample.file, scratch_path("sample.safetensors"),
                               &error),
              ==, DR_OK);
    for (size_t k = 0; k < sample.file.tensor_count; ++k) {
        sample.tensors[k].name = sample.file.tensors[k].name;
        sample.tensors[k].tensor = &sample.file.tensors[k];
    }
    link_scales(&sample);
    build_spec(&sample, DTYPE_F32, &spec, expected);
    check_int(load(&spec, &ledger, NULL, &weights, digest), ==, DR_NOT_FINITE);
    check_has(error.message, "q_scale");
    check_int(ledger.private_bytes, ==, 0);
    close_sample(&sample);
}

/* ---- one small network for the failures ---- */

struct fixture {
    struct sample sample;
    struct component_spec spec;
    struct expectation expected[EXPECTED_COUNT];
    struct ledger ledger;
    struct region weights;
    uint8_t digest[DIGEST_BYTES];
};

static void begin(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    fill_sample(&fixture->sample, DTYPE_F16);
    build_spec(&fixture->sample, narrow_type(), &fixture->spec, fixture->expected);
    set_chunk(&fixture->spec, 192 * 1024);
}

static bool has_struck; /* an armed fault, in the last try_load */

/* Loads; where it fails, everything is as it was before. Faults are disarmed afterwards. */
static enum dr_code try_load(struct fixture *fixture,
                             const struct component_progress *progress)
{
    uint8_t before[DIGEST_BYTES];
    memset(fixture->digest, 0x5a, DIGEST_BYTES);
    memcpy(before, fixture->digest, DIGEST_BYTES);
    const enum dr_code code = load(&fixture->spec, &fixture->ledger, progress,
                                   &fixture->weights, fixture->digest);
    has_struck = fault_has_struck();
    fault_disarm();
    if (code == DR_OK) {
        check_digest(&fixture->sample, fixture->digest);
        region_close(&fixture->weights);
    } else {
        check_bytes(before, fixture->digest, DIGEST_BYTES);
        check_int(error.code, ==, code);
        check(error.message[0]);
    }
    check(!fixture->weights.data);
    check_int(fixture->ledger.private_bytes, ==, 0);
    check_int(fixture->ledger.count, ==, 0);
    ledger_check(&fixture->ledger);
    return code;
}

static void survives_every_fault(void)
{
    static const struct {
        unsigned mask;
        enum dr_code code;
        int least;
    } places[] = {
        {1u << FAULT_REGION, DR_NOMEM,   2 },
        {1u << FAULT_READ,   DR_IO,      15},
        {1u << FAULT_VERIFY, DR_CHANGED, 1 },
    };
    struct fixture fixture;
    begin(&fixture);
    for (size_t p = 0; p < 2 * sizeof places / sizeof places[0]; ++p) {
        int faults = 0;
        for (int nth = 1;; ++nth, ++faults) {
            fault_arm(places[p / 2].mask, nth, p % 2 ? FAULT_FROM_THEN_ON : FAULT_ONCE);
            const enum dr_code code = try_load(&fixture, NULL);
            check_int(code, ==, has_struck ? places[p / 2].code : DR_OK);
            if (!has_struck) break;
        }
        check_int(faults, >=, places[p / 2].least);
    }
    check_int(try_load(&fixture, NULL), ==, DR_OK);
    close_sample(&fixture.sample);
}

static void refuses_over_budget(void)
{
    struct fixture fixture;
    begin(&fixture);
    const size_t need =
        pages(fixture.spec.weights_bytes) + pages(fixture.spec.scratch_bytes);
    fixture.ledger.limit_bytes = need - 1;
    check_int(try_load(&fixture, NULL), ==, DR_OVER_BUDGET);
    fixture.ledger.limit_bytes = 1;
    check_int(try_load(&fixture, NULL), ==, DR_OVER_BUDGET);
    fixture.ledger.limit_bytes = need;
    check_int(try_load(&fixture, NULL), ==, DR_OK);
    close_sample(&fixture.sample);
}

static void writes_nothing_afterwards(void)
{
    struct fixture fixture;
    begin(&fixture);
    check_int(load(&fixture.spec, &fixture.ledger, NULL, &fixture.weights,
                   fixture.digest),
              ==, DR_OK);
    const pid_t child = fork();
    if (child == 0) {
        close(2); /* a sanitizer would report the fault that is wanted */
        *(volatile unsigned char *)fixture.weights.data = 1;
        _exit(0);
    }
    int status = 0;
    check_int(waitpid(child, &status, 0), ==, child);
    check(!(WIFEXITED(status) && WEXITSTATUS(status) == 0));
    region_close(&fixture.weights);
    close_sample(&fixture.sample);
}

/* ---- values that are no numbers ---- */

static void finds_values_that_are_not_finite(void)
{
    const double not_a_number = (double)NAN, infinity = (double)INFINITY;
    const struct {
        const char *tensor;
        size_t element;
        double value;
    } cases[] = {
        {"conv",       0,                 not_a_number},
        {"conv",       130 * 129 * 9 - 1, infinity    },
        {"vector",     128,               -infinity   },
        {"table",      12345,             not_a_number},
        {"v",          64 * 48 - 1,       not_a_number},
        {"skip",       699,               not_a_number},
        {"skip",       700,               not_a_number},
        {"projection", 777,               not_a_number},
        {"q.bias",     5,                 1e300       },
        {"k.bias",     5,                 infinity    },
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; ++c) {
        struct fixture fixture = {0};
        fill_sample(&fixture.sample, c % 2 ? DTYPE_F32 : DTYPE_F64);
        build_spec(&fixture.sample, c % 3 ? narrow_type() : DTYPE_F32, &fixture.spec,
                   fixture.expected);
        struct sample *const sample = &fixture.sample;
        const int i = find(sample, cases[c].tensor);
        const float narrow = (float)cases[c].value;
        const uint16_t half = dtype_f16_from_f32(narrow);
        const struct tensor *const tensor =
            tensor_file_find(&sample->file, cases[c].tensor);
        const size_t each = dtype_bytes(sample->items[i].dtype);
        const void *const value = each == 8   ? (const void *)&cases[c].value
                                  : each == 4 ? (const void *)&narrow
                                              : (const void *)&half;
        check_int(try_load(&fixture, NULL), ==, DR_OK);
        /* In place and unnoticed: the file is opened anew, as it were. */
        const int descriptor = open(sample->file.path, O_WRONLY);
        check_int(pwrite(descriptor, value, each,
                         (off_t)(tensor->offset + cases[c].element * each)),
                  ==, each);
        close(descriptor);
        struct file_identity *const identity = &sample->file.shards[0].identity;
        check_int(file_identity_read(identity, sample->file.shards[0].descriptor, "",
                                     &error),
                  ==, DR_OK);
        check_int(try_load(&fixture, NULL), ==, DR_NOT_FINITE);
        check_has(error.message, cases[c].tensor);
        check_has(error.message, sample->file.path);
        close_sample(sample);
    }
}

/* ---- files that change ---- */

/* Overwrites a byte when a share of the file is done. */
struct disturbance {
    const char *path;
    uint64_t offset;
    double at_share, last_share;
    enum {
        DISTURB_BYTE,
        DISTURB_LENGTH,
        DISTURB_CANCEL,
        DISTURB_NOTHING
    } kind;
    struct cancel cancel;
    int report_count;
};

static void disturb(void *cookie, double share)
{
    struct disturbance *const it = cookie;
    check_real(share, >=, it->last_share);
    check_real(share, <=, 1.0);
    it->last_share = share;
    ++it->report_count;
    if (share < it->at_share) return;
    if (it->kind == DISTURB_LENGTH)
        check_int(truncate(it->path, (off_t)it->offset), ==, 0);
    if (it->kind == DISTURB_CANCEL) cancel_request(&it->cancel);
    if (it->kind != DISTURB_BYTE) return;
    const int descriptor = open(it->path, O_RDWR);
    unsigned char byte;
    check_int(pread(descriptor, &byte, 1, (off_t)it->offset), ==, 1);
    byte ^= 1;
    check_int(pwrite(descriptor, &byte, 1, (off_t)it->offset), ==, 1);
    close(descriptor);
    it->at_share = 2; /* once */
}

static enum dr_code load_disturbed(struct fixture *fixture,
                                   struct disturbance *disturbance)
{
    disturbance->path = fixture->sample.file.path;
    const struct component_progress progress = {disturb, disturbance,
                                                &disturbance->cancel};
    return try_load(fixture, &progress);
}

static void notices_changes_while_loading(void)
{
    struct fixture fixture;
    begin(&fixture);
    struct disturbance nothing = {.kind = DISTURB_NOTHING};
    check_int(load_disturbed(&fixture, &nothing), ==, DR_OK);
    check_int(nothing.report_count, >, 20);
    check_real(nothing.last_share, ==, 1.0);
    struct disturbance cancel = {.kind = DISTURB_CANCEL, .at_share = 0.3};
    check_int(load_disturbed(&fixture, &cancel), ==, DR_CANCELLED);
    check_real(cancel.last_share, <, 0.9);

    /* The tensor that two operands share is another when it is read for the second. */
    const struct tensor *const skip = tensor_file_find(&fixture.sample.file, "skip");
    uint64_t before_skip = 0;
    for (int i = 0; i < EXPECTED_COUNT - 1; ++i)
        for (const char *const *part = fixture.expected[i].parts; *part; ++part)
            before_skip += tensor_file_find(&fixture.sample.file, *part)->bytes;
    const double total = (double)(fixture.sample.index.bytes + skip->bytes);
    struct disturbance twice = {.kind = DISTURB_BYTE,
                                .offset = skip->offset + 1,
                                .at_share = (double)before_skip / total};
    check_int(load_disturbed(&fixture, &twice), ==, DR_CHANGED);
    check_has(error.message, "tensor skip");
    close_sample(&fixture.sample);

    begin(&fixture);
    struct disturbance late = {
        .kind = DISTURB_BYTE,
        .offset = tensor_file_find(&fixture.sample.file, "conv")->offset,
        .at_share = 0.9};
    check_int(load_disturbed(&fixture, &late), ==, DR_CHANGED);
    check_has(error.message, "was modified");
    check_int(try_load(&fixture, NULL), ==, DR_CHANGED);
    close_sample(&fixture.sample);

    begin(&fixture);
    struct disturbance cut = {.kind = DISTURB_LENGTH, .offset = 5000, .at_share = 0.5};
    check_int(load_disturbed(&fixture, &cut), ==, DR_CHANGED);
    check_has(error.message, fixture.sample.file.path);
    close_sample(&fixture.sample);
}

/* The same size, the same stamp, another byte: only the digest can tell. */
static void notices_other_bytes(void)
{
    struct fixture fixture;
    begin(&fixture);
    check_int(try_load(&fixture, NULL), ==, DR_OK);
    uint8_t first[DIGEST_BYTES];
    memcpy(first, fixture.digest, DIGEST_BYTES);
    struct component_load_options options = {.ledger = &fixture.ledger,
                                             .name = "sample",
                                             .expected_digest = first};
    check_int(component_load(&fixture.spec, &options, &fixture.weights, fixture.digest,
                             &error),
              ==, DR_OK);
    region_close(&fixture.weights);

    struct stat status;
    const char *const path = fixture.sample.file.path;
    check_int(stat(path, &status), ==, 0);
    struct disturbance byte = {
        .kind = DISTURB_BYTE,
        .path = path,
        .offset = tensor_file_find(&fixture.sample.file, "unused")->offset + 77};
    disturb(&byte, 0);
    const struct timespec stamps[2] = {status.st_atim, status.st_mtim};
    check_int(utimensat(AT_FDCWD, path, stamps, 0), ==, 0);
    check_int(component_load(&fixture.spec, &options, &fixture.weights, fixture.digest,
                             &error),
              ==, DR_CHANGED);
    check_has(error.message, "has changed");
    check(!fixture.weights.data && fixture.ledger.private_bytes == 0);
    check_int(try_load(&fixture, NULL), ==, DR_OK); /* nothing was expected */
    check(memcmp(first, fixture.digest, DIGEST_BYTES) != 0);
    close_sample(&fixture.sample);
}

/* ---- specs that do not fit ---- */

static void lists_what_is_wrong(void)
{
    struct sample sample;
    struct component_spec spec;
    const struct operand_request linear = {.kind = WEIGHT_LINEAR, .out = 40, .in = 24};
    const struct operand_request vector = {.kind = WEIGHT_VECTOR, .out = 40};
    const struct operand_request conv = {.kind = WEIGHT_CONV,
                                         .out = 130,
                                         .in = -1,
                                         .kernel_height = 1,
                                         .kernel_width = 1};
    fill_sample(&sample, DTYPE_F16);

    component_spec_begin(&spec, &sample.index, DTYPE_F32, &sample.pool);
    check(component_need(&spec, &linear, "linear"));
    check(!component_need(&spec, &linear, "absent.%d.weight", 3));
    check_int(component_spec_end(&spec, &error), ==, DR_INCOMPLETE);
    check_has(error.message, "vae of ");
    check_has(error.message, sample.file.path);
    check_has(error.message, ": 1 tensor is missing: absent.3.weight");
    check(!strstr(error.message, "shape"));

    component_spec_begin(&spec, &sample.index, DTYPE_F32, &sample.pool);
    for (int i = 0; i < 40; ++i)
        check(!component_need(&spec, &linear, "absent.%d.weight", i));
    check(!component_need(&spec, &vector, "linear"));
    check(!component_need(&spec, &conv, "conv"));
    check(!component_need(&spec, &linear, "one"));
    check_int(component_spec_end(&spec, &error), ==, DR_INCOMPLETE);
    check_has(error.message,
              "40 tensors are missing: absent.0.weight, absent.1.weight");
    check_has(error.message, "absent.4.weight and 35 more; 3 have wrong shapes: ");
    check_has(error.message, "linear is F16 [40, 24], not [40]");
    check_has(error.message, "conv is F16 [130, 129, 3, 3], not [130, ?, 1, 1]");
    check_has(error.message, "one is F16 [33, 17, 1, 1], not [40, 24]");
    close_sample(&sample);
}

static void refuses_other_shapes(void)
{
    static const struct {
        struct operand_request request;
        const char *name;
    } cases[] = {
        {{.kind = WEIGHT_LINEAR, .out = 41, .in = 24},                        "linear"  },
        {{.kind = WEIGHT_LINEAR, .out = 40, .in = 25},                        "linear"  },
        {{.kind = WEIGHT_LINEAR, .out = -1, .in = -1},                        "vector"  },
        {{.kind = WEIGHT_LINEAR, .out = -1, .in = -1},                        "odd"     },
        {{.kind = WEIGHT_CONV, .out = -1, .in = -1},                          "linear"  },
        {{.kind = WEIGHT_CONV,
          .out = -1,
          .in = -1,
          .kernel_height = 3,
          .kernel_width = 1},
         "odd"                                                                          },
        {{.kind = WEIGHT_TABLE, .out = -1, .in = -1},                         "one"     },
        {{.kind = WEIGHT_VECTOR, .out = -1},                                  "table"   },
        {{.kind = WEIGHT_LINEAR, .out = -1, .in = -1},                        "nothing" },
        {{.kind = WEIGHT_LINEAR, .out = -1, .in = -1},                        "integers"},
        {{.kind = WEIGHT_LINEAR, .out = 600, .in = 37, .transpose = true},
         "projection"                                                                   },
        {{.kind = WEIGHT_LINEAR,
          .out = 96,
          .in = 400,
          .column_slice = true,
          .first_column = 701},
         "skip"                                                                         },
        {{.kind = WEIGHT_LINEAR, .out = 95, .in = 400, .column_slice = true}, "skip"    },
        {{.kind = WEIGHT_LINEAR, .out = -1, .in = -1, .optional = true},      "nothing" },
    };
    struct sample sample;
    fill_sample(&sample, DTYPE_BF16);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        struct component_spec spec;
        component_spec_begin(&spec, &sample.index, DTYPE_F32, &sample.pool);
        check(!component_need(&spec, &cases[i].request, "%s", cases[i].name));
        check_int(component_spec_end(&spec, &error), ==, DR_INCOMPLETE);
        check_has(error.message, "1 has the wrong shape: ");
        check_has(error.message, cases[i].name);
    }
    close_sample(&sample);
}

static void refuses_uneven_stacks(void)
{
    static const char *const uneven[] = {"q", "linear", NULL};
    static const char *const broken[] = {"q", "absent", "v", NULL};
    static const char *const absent[] = {"absent1", "absent2", NULL};
    static const char *const biases[] = {"q.bias", "vector", NULL};
    struct sample sample;
    struct component_spec spec;
    struct operand_request linear = {.kind = WEIGHT_LINEAR, .out = -1, .in = -1};
    const struct operand_request vector = {.kind = WEIGHT_VECTOR, .out = -1};
    fill_sample(&sample, DTYPE_F16);
    component_spec_begin(&spec, &sample.index, DTYPE_F32, &sample.pool);
    check(!component_need_stack(&spec, &linear, uneven));
    check(!component_need_stack(&spec, &vector, biases));
    check_int(spec.misshapen.count, ==, 2);
    check_has(spec.misshapen.text, "linear is F16 [40, 24], not [64, 48]");
    check_has(spec.misshapen.text, "vector is F16 [129], not [64]");
    linear.optional = true;
    check(!component_need_stack(&spec, &linear, absent));
    check_int(spec.missing.count, ==, 0);
    check(!component_need_stack(&spec, &linear, broken)); /* half of it is not absent */
    check_int(spec.missing.count, ==, 1);
    check_has(spec.missing.text, "absent");
    check_int(component_spec_end(&spec, &error), ==, DR_INCOMPLETE);
    close_sample(&sample);
}

int main(void)
{
    if (compute_init(0, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    check_run(loads_every_type);
    check_run(two_components_serve_one_plan);
    check_run(obeys_scales);
    check_run(a_meaning_is_in_the_digest);
    check_run(refuses_scales_that_are_not_finite);
    check_run_with_faults(survives_every_fault);
    check_run(refuses_over_budget);
    check_run(writes_nothing_afterwards);
    check_run(finds_values_that_are_not_finite);
    check_run(notices_changes_while_loading);
    check_run(notices_other_bytes);
    check_run(lists_what_is_wrong);
    check_run(refuses_other_shapes);
    check_run(refuses_uneven_stacks);
    return check_done();
}
