/* network — what the tests of the networks share.
 *
 * A checkpoint is written on the spot by tools/random_checkpoint into a temporary folder, its
 * weights are loaded as the engine does, and results are held against the golden tensors of
 * tests/golden (made from diffusers by tools/golden/golden.py, channels-last, float32).
 *
 *     network_start();                                     once, in main
 *     const char *path = network_checkpoint("--family sd15 --size tiny --dtype f32");
 *     ... network_load, network_arena, network_relative_error ...
 *     network_finish();
 *
 * What cannot go on (no tool, no golden file) ends the program with a message.
 */
#ifndef TESTS_NETWORK_H
#define TESTS_NETWORK_H

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "check.h"
#include "compute/compute.h"
#include "compute/plan.h"
#include "mem/region.h"
#include "model/component.h"
#include "weights/checkpoint.h"

static char network_folder[256];
static struct ledger network_ledger;

#define network_require(condition, ...)                     \
    do {                                                    \
        if (!(condition)) {                                 \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
            fprintf(stderr, __VA_ARGS__);                   \
            fputc('\n', stderr);                            \
            exit(1);                                        \
        }                                                   \
    } while (0)

/* The narrow type that the library computes in here: for what is the same in any type. */
static inline enum dtype network_narrow(void)
{
    return compute_can_bf16() ? DTYPE_BF16 : DTYPE_F32;
}

/* A case about bfloat16 itself: skipped where it cannot run. */
#define network_run_bf16(function) \
    check_run_if(compute_can_bf16(), function, "this processor has no bfloat16")

static inline void network_start(void)
{
    const char *const root = getenv("TMPDIR");
    snprintf(network_folder, sizeof network_folder, "%s/darkroom-test-XXXXXX",
             root ? root : "/tmp");
    network_require(mkdtemp(network_folder), "no temporary folder: %s", network_folder);
    struct dr_error err = {0};
    network_require(compute_init(0, &err) == DR_OK, "compute: %s", err.message);
}

static inline void network_finish(void)
{
    check_int(network_ledger.count, ==, 0);
    check_int(network_ledger.private_bytes, ==, 0);
    char command[sizeof network_folder + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", network_folder);
    network_require(system(command) == 0, "%s", command);
}

static inline const char *network_environment(const char *name)
{
    const char *const text = getenv(name);
    network_require(text, "%s is not set: run this through meson test", name);
    return text;
}

/* ---- checkpoints ---- */

/* A new path in the temporary folder; valid for the whole program (a few dozen of them). */
static inline const char *network_path(const char *suffix)
{
    static char paths[64][sizeof network_folder + 64];
    static size_t count;
    network_require(count < 64, "too many files");
    char *const path = paths[count];
    snprintf(path, sizeof paths[0], "%s/%zu%s", network_folder, count++, suffix);
    return path;
}

static inline const char *network_checkpoint(const char *arguments)
{
    const char *const path = network_path(".safetensors");
    /* Built for another processor, it runs as the test does (script/foreign-machine). */
    const char *const emulator = getenv("MESON_EXE_WRAPPER");
    char command[1024];
    snprintf(command, sizeof command,
             "%s '%s/tools/random_checkpoint' %s -o '%s' 2>/dev/null",
             emulator ? emulator : "", network_environment("DARKROOM_BUILD"), arguments,
             path);
    network_require(system(command) == 0, "failed: %s", command);
    return path;
}

static inline void network_open(struct checkpoint *checkpoint, const char *path)
{
    struct dr_error err = {0};
    network_require(checkpoint_open(checkpoint, path, &err) == DR_OK, "%s",
                    err.message);
}

/* A copy of a file of random_checkpoint's with one metadata entry more. Its header begins with
 * the metadata, so the entry goes right behind that beginning. */
static inline const char *network_with_metadata(const char *source_path,
                                                const char *key, const char *text)
{
    static const char beginning[] = "{\"__metadata__\":{";
    enum {
        BEGINNING_BYTES = sizeof beginning - 1
    };
    const char *const target_path = network_path(".safetensors");
    char found[sizeof beginning] = "", entry[256];
    snprintf(entry, sizeof entry, "%s\"%s\":\"%s\",", beginning, key, text);
    FILE *const source = fopen(source_path, "rb");
    FILE *const target = fopen(target_path, "wb");
    network_require(source && target, "cannot copy %s", source_path);
    uint64_t header_bytes = 0;
    network_require(fread(&header_bytes, 8, 1, source) == 1 &&
                        fread(found, BEGINNING_BYTES, 1, source) == 1 &&
                        strcmp(found, beginning) == 0,
                    "%s: its header does not begin with metadata", source_path);
    header_bytes += strlen(entry) - BEGINNING_BYTES;
    bool written =
        fwrite(&header_bytes, 8, 1, target) == 1 && fputs(entry, target) >= 0;
    static char buffer[1 << 16];
    size_t bytes;
    while (written && (bytes = fread(buffer, 1, sizeof buffer, source)) > 0)
        written = fwrite(buffer, 1, bytes, target) == bytes;
    network_require(fclose(target) == 0 && written, "cannot write %s", target_path);
    fclose(source);
    return target_path;
}

/* Overwrite element idx of a float32 tensor in the file; returns what was there. */
static inline float network_poke(const char *path, enum component_role role,
                                 const char *name, int64_t idx, float value)
{
    struct checkpoint checkpoint;
    network_open(&checkpoint, path);
    const struct tensor *const tensor =
        component_find(&checkpoint.components[role], name);
    network_require(tensor && tensor->dtype == DTYPE_F32, "no float32 tensor %s", name);
    const off_t offset = (off_t)tensor->offset + (off_t)idx * 4;
    checkpoint_close(&checkpoint);

    float before = 0;
    const int descriptor = open(path, O_RDWR);
    network_require(descriptor >= 0 && pread(descriptor, &before, 4, offset) == 4 &&
                        pwrite(descriptor, &value, 4, offset) == 4,
                    "cannot change %s", path);
    close(descriptor);
    return before;
}

/* Let a tensor of an open checkpoint claim another shape; changed is the caller's and must
 * outlive the index. */
static inline void network_reshape(const struct component_index *index,
                                   const char *name, int32_t rank, const int64_t *dims,
                                   struct tensor *changed)
{
    const struct tensor *const tensor = component_find(index, name);
    network_require(tensor, "no tensor %s", name);
    *changed = *tensor;
    changed->rank = rank;
    memcpy(changed->dims, dims, (size_t)rank * sizeof dims[0]);
    for (size_t i = 0; i < index->count; ++i)
        if (index->tensors[i].tensor == tensor) index->tensors[i].tensor = changed;
}

/* ---- weights and runs ---- */

static inline void network_load(const struct component_spec *spec,
                                struct region *weights)
{
    const struct component_load_options options = {.ledger = &network_ledger,
                                                   .name = "test"};
    uint8_t digest[DIGEST_BYTES];
    struct dr_error err = {0};
    network_require(component_load(spec, &options, weights, digest, &err) == DR_OK,
                    "%s", err.message);
}

/* An arena of exactly the planned bytes, bound to the weights. */
static inline void network_arena(struct plan *plan, const struct region *weights,
                                 struct region *arena)
{
    const struct region_options options = {
        .bytes = plan_bytes(plan),
        .tag = REGION_ACTIVATIONS,
        .component = "test",
    };
    struct dr_error err = {0};
    network_require(region_open(arena, &network_ledger, &options, &err) == DR_OK &&
                        plan_bind(plan, arena->data, (const void *[]){weights->data}, 1,
                                  &err) == DR_OK,
                    "%s", err.message);
    plan_check(plan);
}

static inline void network_run(struct plan *plan)
{
    struct dr_error err = {0};
    network_require(plan_run(plan, NULL, &err) == DR_OK, "%s", err.message);
}

static inline size_t network_count(struct shape shape)
{
    return (size_t)shape.n * (size_t)shape.h * (size_t)shape.w * (size_t)shape.c;
}

/* All of an input or output, of four bytes each; freed by the caller. */
static inline void *network_read(const struct plan *plan, struct value value)
{
    const size_t count = network_count(plan_shape(plan, value));
    void *const numbers = malloc(count * 4);
    network_require(numbers, "no memory for %zu numbers", count);
    plan_read(plan, value, 0, count, numbers);
    return numbers;
}

static inline void network_clear(struct plan *plan, struct value input)
{
    plan_clear(plan, input, 0, network_count(plan_shape(plan, input)));
}

/* One image of a batch to a plan of one. */
static inline void network_take_image(struct plan *one, struct value input,
                                      const struct plan *batch, struct value value,
                                      size_t image)
{
    const size_t count = network_count(plan_shape(one, input));
    float *const numbers = network_read(batch, value);
    plan_write(one, input, 0, count, numbers + image * count);
    free(numbers);
}

static inline double network_relative_error(const float *result, const float *expected,
                                            size_t count)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; ++i) {
        const double d = (double)result[i] - (double)expected[i];
        difference += d * d;
        norm += (double)expected[i] * (double)expected[i];
    }
    return sqrt(difference / norm); /* NaN stays NaN, and no bound holds for it */
}

/* Of a plan of one against its image of a batch. */
static inline double network_image_error(const struct plan *one, struct value value,
                                         const struct plan *batch,
                                         struct value batch_value, size_t image)
{
    const size_t count = network_count(plan_shape(one, value));
    float *const alone = network_read(one, value);
    float *const together = network_read(batch, batch_value);
    const double error = network_relative_error(alone, together + image * count, count);
    free(together);
    free(alone);
    return error;
}

/* Are an output's bytes what was kept of it (network_read)? */
static inline bool network_equals(const struct plan *plan, struct value value,
                                  const void *kept)
{
    void *const now = network_read(plan, value);
    const size_t bytes = 4 * network_count(plan_shape(plan, value));
    const bool equal = memcmp(now, kept, bytes) == 0;
    free(now);
    return equal;
}

/* ---- golden tensors ---- */

struct golden {
    struct tensor_file file;
};

/* Of tests/golden, or of the folder in DARKROOM_GOLDEN. */
static inline void golden_open(struct golden *golden, const char *name)
{
    char path[1024];
    const char *const folder = getenv("DARKROOM_GOLDEN");
    if (folder)
        snprintf(path, sizeof path, "%s/%s.safetensors", folder, name);
    else
        snprintf(path, sizeof path, "%s/tests/golden/%s.safetensors",
                 network_environment("DARKROOM_SOURCE"), name);
    struct dr_error err = {0};
    network_require(tensor_file_open(&golden->file, path, &err) == DR_OK, "%s",
                    err.message);
}

static inline void golden_close(struct golden *golden)
{
    tensor_file_close(&golden->file);
}

/* The tensor "<group>.<name>" (or "<name>" where group is NULL); freed by the caller. */
static inline void *golden_read(const struct golden *golden, const char *group,
                                const char *name, size_t *count)
{
    char full[128];
    snprintf(full, sizeof full, "%s%s%s", group ? group : "", group ? "." : "", name);
    const struct tensor *const tensor = tensor_file_find(&golden->file, full);
    network_require(tensor && dtype_bytes(tensor->dtype) == 4, "%s: no tensor %s",
                    golden->file.path, full);
    void *const data = malloc(tensor->bytes);
    struct dr_error err = {0};
    network_require(data && tensor_file_read(&golden->file, tensor, 0, data,
                                             (size_t)tensor->bytes, &err) == DR_OK,
                    "%s", err.message);
    if (count) *count = (size_t)tensor_element_count(tensor);
    return data;
}

/* Dimension axis of a golden tensor. */
static inline int32_t golden_dim(const struct golden *golden, const char *group,
                                 const char *name, int32_t axis)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", group, name);
    const struct tensor *const tensor = tensor_file_find(&golden->file, full);
    network_require(tensor && axis < tensor->rank, "no tensor %s", full);
    return (int32_t)tensor->dims[axis];
}

/* Copy a golden tensor into an input of a bound plan. */
static inline void golden_fill(const struct golden *golden, const char *group,
                               const char *name, struct plan *plan, struct value input)
{
    size_t count = 0;
    void *const data = golden_read(golden, group, name, &count);
    const size_t expected = network_count(plan_shape(plan, input));
    network_require(count == expected, "%s is of %zu values, the plan wants %zu", name,
                    count, expected);
    plan_write(plan, input, 0, count, data);
    free(data);
}

/* Relative L2 error of an output against a golden tensor; printed, with the first values. */
static inline double golden_error(const struct golden *golden, const char *group,
                                  const char *name, const struct plan *plan,
                                  struct value output)
{
    size_t count = 0;
    float *const expected = golden_read(golden, group, name, &count);
    float *const result = network_read(plan, output);
    network_require(count == network_count(plan_shape(plan, output)),
                    "%s has %zu values, the plan's output %zu", name, count,
                    network_count(plan_shape(plan, output)));
    const double error = network_relative_error(result, expected, count);
    fprintf(stderr,
            "     %s%s%s: relative L2 %.3g (first %.6g %.6g, golden %.6g %.6g)\n",
            group ? group : "", group ? "." : "", name, error, (double)result[0],
            (double)result[1], (double)expected[0], (double)expected[1]);
    free(result);
    free(expected);
    return error;
}

/* Is this the checkpoint that the golden tensors were made from? Else every case would fail
 * without saying why. */
static inline void golden_check_checkpoint(const struct golden *golden,
                                           const char *path)
{
    struct digest digest;
    digest_init(&digest);
    FILE *const file = fopen(path, "rb");
    network_require(file, "cannot read %s", path);
    static unsigned char buffer[1 << 16];
    size_t bytes;
    while ((bytes = fread(buffer, 1, sizeof buffer, file)) > 0)
        digest_add(&digest, buffer, bytes);
    fclose(file);
    uint8_t result[DIGEST_BYTES];
    char text[DIGEST_HEX];
    digest_end(&digest, result);
    const char *const expected =
        tensor_file_metadata(&golden->file, "checkpoint_sha256");
    network_require(
        expected && strcmp(digest_hex(result, text), expected) == 0,
        "random_checkpoint writes another file than the one that %s was made "
        "from; run tools/golden/golden.py",
        golden->file.path);
}

#endif
