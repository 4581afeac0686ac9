/* Every rule of the format, by hand-made headers, and random good tables. */
#include "check.h"

#include <inttypes.h>
#include <stdarg.h>

#include "weights/tensor_file.h"

/* ---- headers as text ---- */

static struct dr_error error;

/* Parse a header for data_bytes of data; what it found is closed again. */
static enum dr_code parse(const char *header, uint64_t data_bytes)
{
    struct tensor_file file;
    error = (struct dr_error){0};
    const enum dr_code code =
        tensor_file_parse_safetensors(&file, header, strlen(header), data_bytes,
                                      &error);
    if (code == DR_OK)
        tensor_file_close(&file);
    else
        check(!file.tensors && !file.pool.head);
    return code;
}

#define refuse(header, data_bytes, code, part)          \
    do {                                                \
        check_int(parse(header, data_bytes), ==, code); \
        check_has(error.message, part);                 \
    } while (0)

#define TENSOR(name, dtype, shape, begin, end)               \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape \
    ",\"data_offsets\":[" #begin "," #end "]}"

/* ---- good ---- */

static void accepts_ordinary(void)
{
    const char header[] = "{\"__metadata__\":{\"format\":\"pt\",\"a\":\"\"}," TENSOR(
        "b", "F16", "[2,3]", 4, 16) "," TENSOR("a", "F32", "[]", 0, 4) "}   ";
    struct tensor_file file;
    check_int(tensor_file_parse_safetensors(&file, header, strlen(header), 16, NULL),
              ==, DR_OK);
    check_int(file.tensor_count, ==, 2);
    check_str(file.tensors[0].name, "a");
    check_int(file.tensors[0].rank, ==, 0);
    check_int(tensor_element_count(&file.tensors[0]), ==, 1);
    check_int(file.tensors[0].offset, ==, 8 + strlen(header));
    const struct tensor *const b = tensor_file_find(&file, "b");
    check(b && b->rank == 2 && b->dims[0] == 2 && b->dims[1] == 3 && b->bytes == 12);
    check_int(b->dtype, ==, DTYPE_F16);
    check_int(tensor_element_count(b), ==, 6);
    check_int(b->offset, ==, 8 + strlen(header) + 4);
    check(!tensor_file_find(&file, "c"));
    check(!tensor_file_find(&file, ""));
    check_str(tensor_file_metadata(&file, "format"), "pt");
    check_str(tensor_file_metadata(&file, "a"), "");
    check(!tensor_file_metadata(&file, "b"));
    char shape[TENSOR_SHAPE_TEXT];
    check_str(tensor_shape_text(b, shape), "[2, 3]");
    check_str(tensor_shape_text(&file.tensors[0], shape), "[]");
    tensor_file_close(&file);
    tensor_file_close(&file); /* a closed one is fine */
}

static void accepts_edges(void)
{
    check_int(parse("{}", 0), ==, DR_OK);
    check_int(parse("{\"__metadata__\":{}}", 0), ==, DR_OK);
    check_int(parse("{" TENSOR("e", "F32", "[0,4]", 0, 0) "}", 0), ==, DR_OK);
    check_int(parse("{" TENSOR("e", "F32", "[0]", 4, 4) "," TENSOR(
                        "a", "U8", "[4]", 0,
                        4) "," TENSOR("z", "I8", "[1,1,1,1,1,1,1,2]", 4, 6) "}",
                    6),
              ==, DR_OK);
    check_int(parse("{" TENSOR("\\u00e9\\n\\u4e2d", "BOOL", "[1]", 0, 1) "}", 1), ==,
              DR_CORRUPT); /* \n in a name */
    check_int(parse("{" TENSOR("\\u00e9\\u4e2d", "BOOL", "[1]", 0, 1) "}", 1), ==,
              DR_OK);
    check_int(parse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],"
                    "\"later\":[{}]}}",
                    1),
              ==, DR_OK); /* an unknown field */
}

/* What other programs write and read: no metadata as null, a zero character in a text. */
static void accepts_odd_metadata(void)
{
    const char none[] = "{\"__metadata__\":null," TENSOR("a", "F32", "[]", 0, 4) "}";
    check_int(parse(none, 4), ==, DR_OK);
    const char header[] =
        "{\"__metadata__\":{\"title\":\"short\\u0000tail\","
        "\"empty\":\"\\u0000\",\"format\":\"pt\"}," TENSOR("a", "F32", "[]", 0, 4) "}";
    struct tensor_file file;
    check_int(tensor_file_parse_safetensors(&file, header, strlen(header), 4, &error),
              ==, DR_OK);
    check_int(file.tensor_count, ==, 1);
    check_str(tensor_file_metadata(&file, "title"), "short");
    check_str(tensor_file_metadata(&file, "empty"), "");
    check_str(tensor_file_metadata(&file, "format"), "pt");
    tensor_file_close(&file);
    refuse("{" TENSOR("t", "F32\\u0000", "[]", 0, 4) "}", 4, DR_CORRUPT,
           "no \"dtype\" string");
}

static void knows_all_types(void)
{
    for (int type = DTYPE_F32; type <= DTYPE_BOOL; ++type) {
        char header[256];
        const int bytes = 3 * (int)dtype_bytes((enum dtype)type);
        (void)snprintf(
            header, sizeof header,
            "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}",
            dtype_name((enum dtype)type), bytes);
        struct tensor_file file;
        check_int(tensor_file_parse_safetensors(&file, header, strlen(header),
                                                (uint64_t)bytes, NULL),
                  ==, DR_OK);
        check_int(file.tensors[0].dtype, ==, type);
        check_int(tensor_element_count(&file.tensors[0]), ==, 3);
        tensor_file_close(&file);
    }
}

/* ---- bad JSON ---- */

static void refuses_bad_json(void)
{
    refuse("", 0, DR_CORRUPT, "does not begin with '{'");
    refuse("[]", 0, DR_CORRUPT, "does not begin with '{'");
    refuse(" {}", 0, DR_CORRUPT, "does not begin with '{'");
    refuse("{", 0, DR_CORRUPT, "is not valid JSON");
    refuse("{}{}", 0, DR_CORRUPT, "is not valid JSON");
    refuse("{\"a\":1,}", 0, DR_CORRUPT, "is not valid JSON");
    refuse("{'a':1}", 0, DR_CORRUPT, "is not valid JSON");
    refuse("{\"a\":\"\\ud800\"}", 0, DR_CORRUPT, "is not valid JSON");
    refuse("{\"\xff\":1}", 0, DR_CORRUPT, "is not valid JSON");
    refuse("{\"a\":\x1b}", 0, DR_CORRUPT, "is not valid JSON");
    check(!strchr(error.message,
                  '\x1b')); /* nothing of the file reaches a terminal raw */
    refuse("{\"a\\u0000b\":{}}", 0, DR_CORRUPT, "NUL");
    char nul[] = "{\"a?b\":{}}";
    nul[3] = '\0';
    struct tensor_file file;
    check_int(tensor_file_parse_safetensors(&file, nul, sizeof nul - 1, 0, &error), ==,
              DR_CORRUPT);
}

static void refuses_deep_json(void)
{
    enum {
        DEPTH = 10000
    };
    static char header[2 * DEPTH + 64];
    size_t used = (size_t)sprintf(header, "{\"a\":");
    memset(header + used, '[', DEPTH);
    memset(header + used + DEPTH, ']', DEPTH);
    strcpy(header + used + 2 * (size_t)DEPTH, "}");
    refuse(header, 0, DR_CORRUPT, "nests more than 16 deep");
    header[used + DEPTH] = '\0'; /* never closed */
    refuse(header, 0, DR_CORRUPT, "nests more than 16 deep");
    refuse("{\"[[[[[[[[[[[[[[[[[[[[[[\":1}", 0, DR_CORRUPT, "is not a JSON object");
}

static void refuses_many_values(void)
{
    enum {
        COUNT = 3000000
    };
    char *const header = malloc(2 * COUNT + 64);
    size_t used = (size_t)sprintf(header, "{\"a\":[0");
    for (int i = 0; i < COUNT; ++i, used += 2)
        memcpy(header + used, ",0", 2);
    strcpy(header + used, "]}");
    refuse(header, 0, DR_CORRUPT, "lists more than");
    free(header);
}

static void refuses_many_tensors(void)
{
    enum {
        COUNT = TENSOR_MAX_COUNT + 1,
        EACH = 64
    };
    char *const header = malloc((size_t)COUNT * EACH + 64);
    size_t used = (size_t)sprintf(header, "{");
    for (int i = 0; i < COUNT; ++i)
        used += (size_t)sprintf(
            header + used,
            "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
            i ? "," : "", i);
    strcpy(header + used, "}");
    refuse(header, 0, DR_UNSUPPORTED, "100001 tensors, more than 100000");
    free(header);
}

static void refuses_duplicates(void)
{
    refuse("{" TENSOR("twice", "U8", "[1]", 0, 1) "," TENSOR("twice", "U8", "[1]", 1,
                                                             2) "}",
           2, DR_CORRUPT, "twice");
    refuse(
        "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
        1, DR_CORRUPT, "dtype");
    refuse("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, DR_CORRUPT, "\"k\"");
}

/* ---- bad entries ---- */

static void refuses_bad_metadata(void)
{
    refuse("{\"__metadata__\":[]}", 0, DR_CORRUPT, "__metadata__ is not a JSON object");
    refuse("{\"__metadata__\":{\"k\":1}}", 0, DR_CORRUPT, "\"k\" is not a string");
    refuse("{\"__metadata__\":false}", 0, DR_CORRUPT,
           "__metadata__ is not a JSON object");
}

static void leaves_out_long_metadata(void)
{
    static char header[8192] = "{\"__metadata__\":{\"thumbnail\":\"";
    size_t used = strlen(header);
    memset(header + used, 'x', 5000);
    strcpy(header + used + 5000, "\",\"format\":\"pt\"}}");
    struct tensor_file file;
    check_int(tensor_file_parse_safetensors(&file, header, strlen(header), 0, NULL), ==,
              DR_OK);
    check_int(file.metadata_count, ==, 1);
    check_str(tensor_file_metadata(&file, "format"), "pt");
    tensor_file_close(&file);
}

static void refuses_bad_names(void)
{
    static char header[4096] = "{\"";
    memset(header + 2, 'n', 1025);
    strcpy(header + 2 + 1025,
           "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
    refuse(header, 1, DR_CORRUPT, "has 1025 bytes, more than 1024");
    memmove(header + 2, header + 3, strlen(header + 3) + 1);
    check_int(parse(header, 1), ==, DR_OK);
    refuse("{" TENSOR("a\\u001b[2Jb", "U8", "[1]", 0, 1) "}", 1, DR_CORRUPT,
           "control character (0x1b at byte 1)");
}

static void refuses_bad_types(void)
{
    refuse("{" TENSOR("q", "Q4_0", "[1]", 0, 1) "}", 1, DR_UNSUPPORTED,
           "tensor q is of type \"Q4_0\"");
    refuse("{" TENSOR("q", "f32", "[1]", 0, 4) "}", 4, DR_UNSUPPORTED, "\"f32\"");
    refuse("{" TENSOR("q", "\\u001b", "[1]", 0, 4) "}", 4, DR_UNSUPPORTED, "\"?\"");
    refuse("{\"q\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, DR_CORRUPT,
           "tensor q has no \"dtype\"");
    refuse("{\"q\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, DR_CORRUPT,
           "no \"dtype\"");
    refuse("{\"q\":[]}", 0, DR_CORRUPT, "tensor q: its entry is not a JSON object");
}

static void refuses_bad_shapes(void)
{
    refuse("{" TENSOR("s", "U8", "[NaN]", 0, 1) "}", 1, DR_CORRUPT,
           "is not valid JSON");
    refuse("{" TENSOR("s", "U8", "[-1]", 0, 1) "}", 1, DR_CORRUPT, "dimension 0");
    refuse("{" TENSOR("s", "U8", "[1,1.0]", 0, 1) "}", 1, DR_CORRUPT, "dimension 1");
    refuse("{" TENSOR("s", "U8", "[1e3]", 0, 1000) "}", 1000, DR_CORRUPT,
           "dimension 0");
    refuse("{" TENSOR("s", "U8", "[\"1\"]", 0, 1) "}", 1, DR_CORRUPT, "dimension 0");
    refuse("{" TENSOR("s", "U8", "[null]", 0, 1) "}", 1, DR_CORRUPT, "dimension 0");
    refuse("{" TENSOR("s", "U8", "1", 0, 1) "}", 1, DR_CORRUPT, "no \"shape\" list");
    refuse("{\"s\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, DR_CORRUPT,
           "no \"shape\"");
    refuse("{" TENSOR("s", "U8", "[1,1,1,1,1,1,1,1,1]", 0, 1) "}", 1, DR_UNSUPPORTED,
           "9 dimensions, more than 8");
    refuse("{" TENSOR("s", "U8", "[99999999999999999999]", 0, 1) "}", 1, DR_CORRUPT,
           "is not valid JSON");
    refuse("{" TENSOR("s", "U8", "[4294967296,4294967296]", 0, 0) "}", 0, DR_CORRUPT,
           "overflows");
    refuse("{" TENSOR("s", "F64", "[2305843009213693952]", 0, 0) "}", 0, DR_CORRUPT,
           "overflows");
    refuse("{" TENSOR("s", "U8", "[9223372036854775807,2]", 0, 0) "}", 0, DR_CORRUPT,
           "overflows");
}

static void refuses_bad_offsets(void)
{
    refuse("{\"o\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, DR_CORRUPT,
           "\"data_offsets\"");
    refuse("{\"o\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1,
           DR_CORRUPT, "\"data_offsets\"");
    refuse("{\"o\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1,
           DR_CORRUPT, "\"data_offsets\"");
    refuse("{\"o\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1.0]}}", 1,
           DR_CORRUPT, "\"data_offsets\"");
    refuse("{\"o\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":\"01\"}}", 1,
           DR_CORRUPT, "\"data_offsets\"");
    refuse("{" TENSOR("o", "U8", "[1]", -1, 0) "}", 1, DR_CORRUPT, "\"data_offsets\"");
    refuse("{" TENSOR("o", "U8", "[1]", 2, 1) "}", 2, DR_CORRUPT, "\"data_offsets\"");
    refuse("{" TENSOR("o", "F32", "[2]", 0, 4) "}", 4, DR_CORRUPT,
           "[2] of F32 takes 8 bytes, the header gives it 4");
    refuse("{" TENSOR("o", "F32", "[0]", 0, 4) "}", 4, DR_CORRUPT, "takes 0 bytes");
}

static void refuses_bad_places(void)
{
    const char hole[] =
        "{" TENSOR("a", "U8", "[2]", 0, 2) "," TENSOR("b", "U8", "[2]", 3, 5) "}";
    refuse(hole, 5, DR_CORRUPT, "bytes 2 to 3 of the data, before tensor b");
    refuse("{" TENSOR("a", "U8", "[2]", 1, 3) "}", 3, DR_CORRUPT, "bytes 0 to 1");
    const char overlap[] =
        "{" TENSOR("a", "U8", "[2]", 0, 2) "," TENSOR("b", "U8", "[2]", 1, 3) "}";
    refuse(overlap, 3, DR_CORRUPT, "tensors a and b overlap at byte 1");
    refuse("{" TENSOR("a", "U8", "[2]", 0, 2) "," TENSOR("b", "U8", "[2]", 0, 2) "}", 2,
           DR_CORRUPT, "overlap");
    refuse("{" TENSOR("a", "U8", "[4]", 0, 4) "," TENSOR("b", "U8", "[0]", 2, 2) "}", 4,
           DR_CORRUPT, "overlap");
    const char one[] = "{" TENSOR("a", "U8", "[2]", 0, 2) "}";
    refuse(one, 1, DR_CORRUPT, "promises 2 bytes of data, there are 1");
    refuse(one, 0, DR_CORRUPT, "truncated");
    refuse(one, 5, DR_CORRUPT, "3 bytes follow the last tensor");
    refuse("{}", 1, DR_CORRUPT, "1 bytes follow");
    refuse("{" TENSOR("a", "U8", "[9223372036854775807]", 0, 9223372036854775807) "}",
           16, DR_CORRUPT, "truncated");
}

/* ---- random tables ---- */

static uint64_t random_state = 1;

static uint64_t draw(uint64_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % below;
}

struct entry {
    enum dtype dtype;
    int rank;
    uint64_t dims[TENSOR_MAX_RANK], begin, end;
};

static size_t print_table(char *text, size_t capacity, const struct entry *entries,
                          int count, int first)
{
    size_t used = (size_t)snprintf(text, capacity, "{");
    for (int k = 0; k < count; ++k) {
        const int i = (first + k) % count; /* not in the order of places */
        const struct entry *const entry = &entries[i];
        used += (size_t)snprintf(text + used, capacity - used,
                                 "%s\"t%d\" : {\"shape\":[", k ? ", " : "", i);
        for (int d = 0; d < entry->rank; ++d)
            used += (size_t)snprintf(text + used, capacity - used, "%s%" PRIu64,
                                     d ? "," : "", entry->dims[d]);
        used += (size_t)snprintf(text + used, capacity - used,
                                 "],\"data_offsets\":[%" PRIu64 ",%" PRIu64
                                 "],\"dtype\":\"%s\"}",
                                 entry->begin, entry->end, dtype_name(entry->dtype));
    }
    return used + (size_t)snprintf(text + used, capacity - used, "}");
}

static uint64_t draw_table(struct entry *entries, int count)
{
    uint64_t end = 0;
    for (int i = 0; i < count; ++i) {
        struct entry *const entry = &entries[i];
        *entry = (struct entry){.dtype = (enum dtype)draw(DTYPE_BOOL + 1),
                                .rank = (int)draw(TENSOR_MAX_RANK + 1)};
        uint64_t bytes = dtype_bytes(entry->dtype);
        for (int d = 0; d < entry->rank; ++d)
            bytes *= entry->dims[d] = draw(8) ? 1 + draw(4) : draw(2);
        entry->begin = end;
        end += bytes;
        entry->end = end;
    }
    return end;
}

static void reads_random_tables(void)
{
    static char text[64 * 1024];
    fprintf(stderr, "seed %" PRIu64 "\n", random_state);
    for (int round = 0; round < 200; ++round) {
        struct entry entries[40];
        const int count = 1 + (int)draw(40);
        const uint64_t data_bytes = draw_table(entries, count);
        const size_t bytes =
            print_table(text, sizeof text, entries, count, (int)draw((uint64_t)count));
        struct tensor_file file;
        check_int(tensor_file_parse_safetensors(&file, text, bytes, data_bytes, &error),
                  ==, DR_OK);
        check_int(file.tensor_count, ==, count);
        for (int i = 0; i < count; ++i) {
            char name[16];
            (void)snprintf(name, sizeof name, "t%d", i);
            const struct tensor *const tensor = tensor_file_find(&file, name);
            check(tensor && tensor->dtype == entries[i].dtype &&
                  tensor->rank == entries[i].rank &&
                  tensor->offset == 8 + bytes + entries[i].begin &&
                  tensor->bytes == entries[i].end - entries[i].begin);
        }
        tensor_file_close(&file);
        /* One byte more or less of data is never right. */
        check_int(parse(text, data_bytes + 1), ==, DR_CORRUPT);
        if (data_bytes > 0) check_int(parse(text, data_bytes - 1), ==, DR_CORRUPT);
    }
}

/* Any single byte of a good header may change: no crash, and no read beyond it (sanitizers). */
static void survives_mutations(void)
{
    const char good[] = "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR(
        "b", "F16", "[2,3]", 4, 16) "," TENSOR("a", "F32", "[]", 0, 4) "}";
    for (int round = 0; round < 20000; ++round) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (uint64_t n = 1 + draw(3); n > 0; --n)
            text[draw(sizeof good - 1)] = (char)draw(256);
        struct tensor_file file;
        const size_t bytes = draw(4) ? sizeof good - 1 : draw(sizeof good);
        if (tensor_file_parse_safetensors(&file, text, bytes, 16, NULL) == DR_OK)
            tensor_file_close(&file);
    }
}

int main(void)
{
    check_run(accepts_ordinary);
    check_run(accepts_edges);
    check_run(accepts_odd_metadata);
    check_run(knows_all_types);
    check_run(refuses_bad_json);
    check_run(refuses_deep_json);
    check_run(refuses_many_values);
    check_run(refuses_many_tensors);
    check_run(refuses_duplicates);
    check_run(refuses_bad_metadata);
    check_run(leaves_out_long_metadata);
    check_run(refuses_bad_names);
    check_run(refuses_bad_types);
    check_run(refuses_bad_shapes);
    check_run(refuses_bad_offsets);
    check_run(refuses_bad_places);
    check_run(reads_random_tables);
    check_run(survives_mutations);
    return check_done();
}
