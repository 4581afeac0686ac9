/* What tests of the engine share: tiny random checkpoints in a folder of their own, pictures made
 * and compared, and the look at memory that follows every step.
 *
 * The checkpoints are links to those that the build has made (ready_checkpoint.h), or made by
 * tools/random_checkpoint in the build folder (DARKROOM_BUILD) where a test changes them; the vocabulary from tests/data/tiny-tokenizer (DARKROOM_SOURCE): both are set by the build.
 */
#ifndef ENGINE_ENGINE_FIXTURE_H
#define ENGINE_ENGINE_FIXTURE_H

#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "compute/compute.h"
#include "darkroom/darkroom.h"
#include "engine/engine.h"
#include "image/image.h"
#include "ready_checkpoint.h"

static char fixture_root[256];
static struct dr_error problem;

/* Sanitizers hold memory of their own: what the kernel says is not looked at there. They also take
 * several times as long, so that some tests do less. */
static const bool kernel_is_measured =
#ifdef __SANITIZE_ADDRESS__
    false;
#else
    true;
#endif

/* Whether a network in the processor's own precision is another one than in float32. */
static inline bool has_own_precision(void)
{
    if (compute_has_bf16()) return true;
    check_skip_case("this processor's own precision is float32");
    return false;
}

static inline const char *in_root(const char *name)
{
    static char paths[8][600];
    static int next;
    char *const path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", fixture_root, name);
    return path;
}

static inline void run_command(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
static inline void run_command(const char *format, ...)
{
    char command[4096];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    if (system(command) == 0) return;
    fprintf(stderr, "cannot run: %s\n", command);
    exit(1);
}

/* options as random_checkpoint takes them */
static inline void make_checkpoint(const char *name, const char *options)
{
    const char *const build = getenv("DARKROOM_BUILD");
    run_command("'%s/tools/random_checkpoint' %s -o '%s'", build ? build : "build",
                options, in_root(name));
}

/* The networks' size, as random_checkpoint takes it: "tiny" (four times the bytes) where a test compares
 * the weights' bytes with a number of mebibytes. */
static const char *fixture_size = "least";

/* A link to the checkpoint that the build has made with these options, of fixture_size: only to be
 * read. */
static inline void take_checkpoint(const char *name, const char *family,
                                   const char *options)
{
    char path[1024], words[200];
    (void)snprintf(words, sizeof words, "--family %s --size %s %s", family,
                   fixture_size, options);
    ready_checkpoint_path(path, sizeof path, words);
    if (symlink(path, in_root(name)) == 0) return;
    fprintf(stderr, "cannot link %s\n", path);
    exit(1);
}

/* Permissions count only for others than the superuser: between these it is somebody else. */
static inline uid_t become_somebody(void)
{
    const uid_t me = geteuid();
    check_int(chmod(fixture_root, 0755), ==, 0);
    if (me == 0) check_int(seteuid(65534), ==, 0);
    return me;
}

static inline void become_again(uid_t me)
{
    check_int(seteuid(me), ==, 0);
}

static inline void fixture_end(void)
{
    if (!fixture_root[0]) return;
    char command[sizeof fixture_root + 16];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", fixture_root);
    fixture_root[0] = '\0';
    if (system(command) != 0) fprintf(stderr, "cannot run: %s\n", command);
}

/* An empty folder, with an empty VAE folder in it; gone when the program ends. */
static inline void fixture_folder(void)
{
    (void)snprintf(fixture_root, sizeof fixture_root, "%s/darkroom-engine-XXXXXX",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(fixture_root)) exit(1);
    (void)mkdir(in_root("vae"), 0777);
    if (atexit(fixture_end) != 0) exit(1);
}

/* The folder with two checkpoints and two VAEs. */
static inline void fixture_begin(void)
{
    fixture_folder();
    take_checkpoint("a.safetensors", "sd15", "--seed 1");
    take_checkpoint("b.safetensors", "sd15", "--seed 2");
    take_checkpoint("vae/sharp.safetensors", "sd15", "--part vae --seed 3");
    take_checkpoint("vae/soft.safetensors", "sd15", "--part vae --seed 4");
}

static inline const char *tiny_tokenizer(void)
{
    static char tokenizer[600];
    const char *const source = getenv("DARKROOM_SOURCE");
    (void)snprintf(tokenizer, sizeof tokenizer, "%s/tests/data/tiny-tokenizer",
                   source ? source : ".");
    return tokenizer;
}

/* How weights are stored in this run of the test: DARKROOM_WEIGHTS is not set, or "q8". */
static inline enum dr_weights fixture_weights(void)
{
    const char *const said = getenv("DARKROOM_WEIGHTS");
    return said && strcmp(said, "q8") == 0 ? DR_WEIGHTS_Q8 : DR_WEIGHTS_UNSET;
}

/* Are they stored so? The type of most of the UNet's bytes. */
static inline bool weights_are_so(const struct dr_engine *engine)
{
    const struct slot *const unet =
        pipeline_slot(engine->model.pipeline, DR_COMPONENT_UNET, 0);
    return fixture_weights() != DR_WEIGHTS_Q8 || !unet->base ||
           component_stored_type(unet->base->spec) == DTYPE_Q8_0;
}

static inline struct dr_engine *open_engine_with(uint64_t budget_bytes,
                                                 enum dr_precision precision)
{
    struct dr_engine *engine = NULL;
    struct dr_engine_options options = dr_engine_options_default();
    options.tokenizer_folder = tiny_tokenizer();
    options.vae_folder = in_root("vae");
    options.settings_path = ""; /* not those of who runs the tests */
    options.budget_bytes = budget_bytes;
    options.precision = precision;
    options.weights = fixture_weights();
    /* Networks this small gain nothing from threads, and tests run beside each other. */
    options.thread_count = 1;
    const enum dr_code code = dr_engine_open(&engine, &options, &problem);
    if (code != DR_OK) {
        fprintf(stderr, "cannot open an engine: %s\n", problem.message);
        exit(1);
    }
    return engine;
}

static inline struct dr_engine *open_engine(void)
{
    return open_engine_with(0, DR_PRECISION_AUTO);
}

/* Every region agrees with the kernel, and the slots with the regions. Returns the ledger's
 * private bytes. */
static inline uint64_t check_memory(struct dr_engine *engine)
{
    struct dr_memory memory;
    const enum dr_code code = dr_engine_memory(engine, &memory, &problem);
    check_int(code, ==, DR_OK);
    if (code != DR_OK) return 0;
    uint64_t regions = 0;
    for (size_t i = 0; i < memory.region_count; ++i)
        regions += memory.regions[i].bytes;
    check_int(regions, ==, memory.ledger.private_bytes + memory.ledger.mapped_bytes);
    if (kernel_is_measured) {
        if (!memory.regions_agree) check_str(memory.disagreement, "");
        check(memory.regions_agree);
    }
    const uint64_t bytes = memory.ledger.private_bytes;
    dr_memory_free(&memory);
    return bytes;
}

/* The budget that leaves so many bytes for regions. */
static inline uint64_t budget_for(struct dr_engine *engine, uint64_t region_bytes)
{
    return region_bytes + engine_beside_bytes(engine);
}

static inline void limit_regions(struct dr_engine *engine, uint64_t region_bytes)
{
    check_int(dr_engine_set_budget(engine, budget_for(engine, region_bytes), &problem),
              ==, DR_OK);
    check_int(check_memory(engine), <=, region_bytes);
}

static inline void load(struct dr_engine *engine, const char *name)
{
    const enum dr_code code =
        dr_engine_load(engine, in_root(name), DR_LOAD_EAGER, NULL, &problem);
    if (code != DR_OK) check_str(problem.message, "");
    check_int(code, ==, DR_OK);
    check(code != DR_OK || weights_are_so(engine));
    (void)check_memory(engine);
}

static inline enum dr_code choose(struct dr_engine *engine, const char *choice)
{
    struct dr_vae_info info;
    struct dr_receipt receipt;
    problem = (struct dr_error){0};
    const enum dr_code code =
        dr_engine_choose_vae(engine, choice, 0, &info, &receipt, &problem);
    (void)check_memory(engine);
    return code;
}

/* A small picture with a fixed seed; vae, init: NULL for none. */
static inline enum dr_code picture_with(struct dr_engine *engine, const char *name,
                                        const char *vae, const char *init)
{
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = "fog";
    options.output = in_root(name);
    options.width = options.height = 64;
    options.steps = 2;
    options.seed = 7;
    options.vae = vae;
    options.init = init;
    problem = (struct dr_error){0};
    const enum dr_code code = dr_engine_generate(engine, &options, &result, &problem);
    if (code == DR_OK) {
        check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
        dr_generate_result_free(&result);
    }
    (void)check_memory(engine);
    return code;
}

static inline void picture(struct dr_engine *engine, const char *name)
{
    const enum dr_code code = picture_with(engine, name, NULL, NULL);
    if (code != DR_OK) check_str(problem.message, "");
    check_int(code, ==, DR_OK);
}

/* Exactly as large as the file: meson sets MALLOC_PERTURB_, with which malloc fills what it returns. */
static inline unsigned char *read_file(const char *path, size_t *bytes)
{
    FILE *const file = fopen(path, "rb");
    struct stat status = {0};
    const bool is_known = file && fstat(fileno(file), &status) == 0;
    const size_t most_bytes = is_known ? (size_t)status.st_size : 0;
    unsigned char *const data = malloc(most_bytes + 1);
    *bytes = data && most_bytes > 0 ? fread(data, 1, most_bytes, file) : 0;
    if (file) (void)fclose(file);
    return data;
}

/* A copy of a file of random_checkpoint's with one metadata entry more, behind the beginning
 * of its header. */
static inline void copy_with_metadata(const char *source, const char *target,
                                      const char *entry)
{
    static const char beginning[] = "{\"__metadata__\":{";
    size_t bytes;
    unsigned char *const data = read_file(in_root(source), &bytes);
    FILE *const file = fopen(in_root(target), "wb");
    uint64_t header_bytes = 0;
    const size_t at = 8 + sizeof beginning - 1;
    if (!data || !file || bytes < at || memcmp(data + 8, beginning, at - 8) != 0)
        exit(1);
    memcpy(&header_bytes, data, 8);
    header_bytes += strlen(entry);
    const bool written = fwrite(&header_bytes, 8, 1, file) == 1 &&
                         fwrite(data + 8, at - 8, 1, file) == 1 &&
                         fputs(entry, file) >= 0 &&
                         fwrite(data + at, bytes - at, 1, file) == 1;
    if (fclose(file) != 0 || !written) exit(1);
    free(data);
}

static inline int same_file(const char *a, const char *b)
{
    size_t bytes_a, bytes_b;
    unsigned char *const data_a = read_file(in_root(a), &bytes_a);
    unsigned char *const data_b = read_file(in_root(b), &bytes_b);
    const int same =
        bytes_a > 0 && bytes_a == bytes_b && memcmp(data_a, data_b, bytes_a) == 0;
    free(data_a);
    free(data_b);
    return same;
}

/* The samples of a picture of 64x64. */
static inline bool read_pixels(const char *name, float pixels[static 64 * 64 * 3])
{
    struct image_reader *reader = NULL;
    struct image_head head = {0};
    const bool read =
        image_reader_open(&reader, &head, in_root(name), &problem) == DR_OK &&
        head.width == 64 && head.height == 64 &&
        image_reader_pixels(reader, pixels, &problem) == DR_OK;
    image_reader_close(&reader);
    return read;
}

/* Is every sample equal? Their texts may differ: a file names its model. */
static inline bool same_pixels(const char *a, const char *b)
{
    static float pixels[2][64 * 64 * 3];
    return read_pixels(a, pixels[0]) && read_pixels(b, pixels[1]) &&
           memcmp(pixels[0], pixels[1], sizeof pixels[0]) == 0;
}

static inline struct dr_vae_info vae_state(struct dr_engine *engine)
{
    struct dr_vae_info info = {0};
    check_int(dr_engine_vae(engine, &info, &problem), ==, DR_OK);
    return info;
}

#endif
