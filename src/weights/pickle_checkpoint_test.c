/* PyTorch checkpoints that torch.save wrote (tests/corpus/pickle: torch-* by PyTorch 2.15, the
 * others by tests/cli/torch_save.py): what is in them, and what becomes of them cut short, damaged, or made to do harm. */
#include "check.h"
#include "scratch_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "weights/checkpoint.h"
#include "weights/pickle.h"

enum {
    MAX_BYTES = 1 << 16
};

static struct dr_error error;

/* ---- files ---- */

static const char *corpus(const char *name)
{
    static char path[4096];
    const char *const source = getenv("DARKROOM_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/corpus/pickle/%s",
                   source ? source : ".", name);
    return path;
}

static size_t read_corpus(const char *name, unsigned char *out)
{
    FILE *const stream = fopen(corpus(name), "rb");
    check(stream);
    const size_t bytes = stream ? fread(out, 1, MAX_BYTES, stream) : 0;
    if (stream) (void)fclose(stream);
    check_int(bytes, >, 0);
    return bytes;
}

static const char *write_bytes(const void *content, size_t bytes)
{
    const char *const path = scratch_path("damaged.ckpt");
    FILE *const stream = fopen(path, "wb");
    check(stream && fwrite(content, 1, bytes, stream) == bytes);
    if (stream) (void)fclose(stream);
    return path;
}

/* Open, read all tensors, close. */
static enum dr_code try_open(const char *path)
{
    unsigned char data[256];
    struct tensor_file file;
    error = (struct dr_error){0};
    enum dr_code code = tensor_file_open(&file, path, &error);
    if (code) {
        check(error.message[0] && !file.tensors && !file.pool.head);
        return code;
    }
    for (size_t i = 0; !code && i < file.tensor_count; ++i) {
        const uint64_t bytes = file.tensors[i].bytes;
        code =
            tensor_file_read(&file, &file.tensors[i], 0, data,
                             bytes < sizeof data ? (size_t)bytes : sizeof data, &error);
    }
    tensor_file_close(&file);
    return code;
}

#define refuse(name, code, part)                     \
    do {                                             \
        check_int(try_open(corpus(name)), ==, code); \
        check_has(error.message, part);              \
    } while (0)

/* ---- good ---- */

static void check_floats(const struct tensor_file *file, const char *name, float first,
                         size_t count)
{
    float values[16];
    const struct tensor *const tensor = tensor_file_find(file, name);
    check(tensor);
    if (!tensor) return;
    check_int(tensor->dtype, ==, DTYPE_F32);
    check_int(tensor->bytes, ==, count * sizeof values[0]);
    check_int(tensor_file_read(file, tensor, 0, values, count * sizeof values[0], NULL),
              ==, DR_OK);
    for (size_t i = 0; i < count; ++i)
        check_real(values[i], ==, first + (float)i);
}

static void opens(const char *name, const char *format)
{
    struct tensor_file file;
    check_int(tensor_file_open(&file, corpus(name), &error), ==, DR_OK);
    check_str(file.format, format);
    check_int(file.tensor_count, ==, 5);
    const struct tensor *tensor =
        tensor_file_find(&file, "first_stage_model.quant_conv.weight");
    check(tensor && tensor->dtype == DTYPE_F16 && tensor->rank == 4 &&
          tensor->dims[0] == 2 && tensor->dims[3] == 1);
    tensor = tensor_file_find(&file, "first_stage_model.quant_conv.bias");
    check(tensor && tensor->dtype == DTYPE_BF16 && tensor->rank == 1);
    tensor = tensor_file_find(&file, "steps");
    check(tensor && tensor->dtype == DTYPE_I64 && tensor->rank == 0);
    check_floats(&file, "a.whole", 0, 12);
    check_floats(&file, "a.view", 4, 6); /* a part of the same storage */
    check_int(tensor_file_check(&file, &error), ==, DR_OK);
    tensor_file_close(&file);
}

static void opens_what_torch_wrote(void)
{
    opens("torch-zip", "PyTorch checkpoint");
    opens("torch-protocol4", "PyTorch checkpoint");
    opens("torch-legacy", "PyTorch checkpoint (legacy)");
    struct tensor_file file;
    check_int(tensor_file_open(&file, corpus("torch-float8"), &error), ==, DR_OK);
    check_int(file.tensors[0].dtype, ==, DTYPE_F8_E4M3);
    check_int(file.tensors[0].bytes, ==, 3);
    tensor_file_close(&file);
}

/* The same component from either form: its digest is one. */
static void has_one_digest(void)
{
    static const char *const names[] = {"torch-zip", "torch-legacy", "torch-protocol4"};
    uint8_t digests[3][DIGEST_BYTES];
    unsigned char buffer[4096];
    for (size_t i = 0; i < 3; ++i) {
        struct checkpoint checkpoint;
        check_int(checkpoint_open(&checkpoint, corpus(names[i]), &error), ==, DR_OK);
        check_int(checkpoint.components[ROLE_VAE].count, ==, 2);
        check_int(checkpoint.ignored_count, ==, 3);
        check_int(component_digest_read(&checkpoint.components[ROLE_VAE], buffer,
                                        sizeof buffer, NULL, digests[i], &error),
                  ==, DR_OK);
        checkpoint_close(&checkpoint);
        check_bytes(digests[0], digests[i], DIGEST_BYTES);
    }
}

/* ---- bad ---- */

static void runs_nothing(void)
{
    refuse("evil-root", DR_UNSUPPORTED, "created by calling posix.system");
    refuse("evil-legacy", DR_UNSUPPORTED, "a is created by calling posix.system");
    check_int(try_open(corpus("evil-beside")), ==, DR_OK); /* left where it is */
    check_int(try_open(corpus("objects")), ==, DR_OK);
}

static void says_what_is_wrong(void)
{
    refuse("torch-turned", DR_UNSUPPORTED, "tensor t: [3, 2] is not contiguous");
    refuse("plain-pickle", DR_UNSUPPORTED, "not one that PyTorch's torch.save wrote");
    refuse("other-zip", DR_UNSUPPORTED, "without data.pkl");
    refuse("deflated", DR_UNSUPPORTED, "compressed");
    refuse("itself", DR_UNSUPPORTED, "is a list");
    refuse("deep", DR_UNSUPPORTED, "is a list");
    refuse("memo-far", DR_UNSUPPORTED, "memo");
    refuse("long-text", DR_CORRUPT, "truncated");
    refuse("stack-empty", DR_CORRUPT, "the stack is empty");
    refuse("mark-only", DR_CORRUPT, "the stack is empty");
}

static void refuses_every_truncation(const char *name)
{
    static unsigned char content[MAX_BYTES];
    const size_t bytes = read_corpus(name, content);
    const char *const path = write_bytes(content, bytes);
    check_int(try_open(path), ==, DR_OK);
    for (size_t left = bytes; left-- > 0;) {
        check_int(truncate(path, (off_t)left), ==, 0);
        const enum dr_code code = try_open(path);
        /* A file of one byte is no longer told to be one of these. */
        check(code == DR_CORRUPT || (left < 4 && code == DR_UNSUPPORTED));
    }
}

static void refuses_truncations(void)
{
    refuses_every_truncation("torch-zip");
    refuses_every_truncation("torch-legacy");
}

/* Any one byte another: an answer, whatever it is, and no more tensor bytes than there are. */
static void survives_every_byte(const char *name)
{
    static unsigned char content[MAX_BYTES];
    static const unsigned char changes[] = {0x01, 0x80, 0xff};
    const size_t bytes = read_corpus(name, content);
    const int descriptor = open(write_bytes(content, bytes), O_RDWR | O_CLOEXEC);
    const char *const path = scratch_path("damaged.ckpt");
    size_t refused = 0;
    check(descriptor >= 0);
    for (size_t i = 0; i < bytes; ++i)
        for (size_t c = 0; c < sizeof changes; ++c) {
            const unsigned char changed = content[i] ^ changes[c];
            check_int(pwrite(descriptor, &changed, 1, (off_t)i), ==, 1);
            const enum dr_code code = try_open(path);
            check_int(pwrite(descriptor, &content[i], 1, (off_t)i), ==, 1);
            check(code == DR_OK || code == DR_CORRUPT || code == DR_UNSUPPORTED);
            if (code) ++refused;
        }
    (void)close(descriptor);
    check_int(refused, >, bytes / 4);
}

static void survives_damage(void)
{
    survives_every_byte("torch-zip");
    survives_every_byte("torch-legacy");
    survives_every_byte("objects");
}

static void survives_failing_reads(void)
{
    static const char *const names[] = {"torch-zip", "torch-legacy"};
    for (size_t i = 0; i < 2; ++i) {
        enum dr_code code = DR_IO;
        for (int64_t nth = 1; code; ++nth) {
            fault_arm(1U << FAULT_READ, nth, FAULT_ONCE);
            code = try_open(corpus(names[i]));
            const bool struck = fault_has_struck();
            fault_disarm();
            check_int(code, ==, struck ? DR_IO : DR_OK);
            if (nth > 1000) break;
        }
        check_int(code, ==, DR_OK);
    }
}

/* ---- the machine alone ---- */

static enum dr_code read_pickle(const char *bytes, size_t count)
{
    struct pickle pickle;
    error = (struct dr_error){0};
    const enum dr_code code = pickle_read(&pickle, bytes, count, &error);
    pickle_finish(&pickle);
    return code;
}

static void reads_values(void)
{
    static const char bytes[] = "(I12\nL-5L\nM\x01\x02J\xff\xff\xff\xffI01\nNl.";
    struct pickle pickle;
    uint32_t items[6];
    check_int(pickle_read(&pickle, bytes, sizeof bytes - 1, &error), ==, DR_OK);
    check_int(pickle_items(&pickle, pickle.root, items, 6), ==, 6);
    static const int64_t expected[] = {12, -5, 0x201, -1, 1};
    for (size_t i = 0; i < 5; ++i)
        check_int(pickle.values[items[i]].as.integer, ==, expected[i]);
    check_int(pickle.values[items[4]].kind, ==, PICKLE_BOOL);
    check_int(pickle.values[items[5]].kind, ==, PICKLE_NONE);
    check_int(pickle.end, ==, sizeof bytes - 1);
    pickle_finish(&pickle);
}

/* Random opcodes, drawn so that many are good: an answer for each, and its values in bounds. */
static void survives_random_pickles(void)
{
    static const char opcodes[] =
        "NIJKM()]}tlde(asuc\x85\x86\x87\x88\x93Rb0212q\x01h\x01QX."
        "\x81\x94\x8f\x90\x91io1";
    uint64_t state = 20260731;
    fprintf(stderr, "seed %llu\n", (unsigned long long)state);
    for (int round = 0; round < 20000; ++round) {
        char bytes[64];
        for (size_t i = 0; i < sizeof bytes; ++i) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            const size_t at = (size_t)(state >> 33) % (sizeof opcodes + 8);
            bytes[i] = at < sizeof opcodes ? opcodes[at] : (char)(state >> 40);
        }
        const enum dr_code code = read_pickle(bytes, sizeof bytes);
        check(code == DR_OK || code == DR_CORRUPT || code == DR_UNSUPPORTED);
    }
}

int main(void)
{
    if (access(corpus("torch-zip"), R_OK) != 0) return check_skip("no tests/corpus");
    check_run(opens_what_torch_wrote);
    check_run(has_one_digest);
    check_run(runs_nothing);
    check_run(says_what_is_wrong);
    check_run(refuses_truncations);
    check_run(survives_damage);
    check_run_with_faults(survives_failing_reads);
    check_run(reads_values);
    check_run(survives_random_pickles);
    return check_done();
}
