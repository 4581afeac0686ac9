/* Files made byte by byte: what is read of them, and each thing that can be wrong. */
#include "weights/gguf.h"

#include "check.h"
#include "scratch_folder.h"
#include "weights/checkpoint.h"
#include "weights/gguf_fixture.h"

static struct gguf_bytes bytes;
static struct dr_error error;

enum {
    F32 = 0,
    F16 = 1,
    Q8_0 = 8,
    Q4_K = 12
};

static const char *write_file(void)
{
    const char *const path = scratch_path("a.gguf");
    scratch_write(path, (const char *)bytes.data, bytes.bytes);
    return path;
}

/* The same by the file and by the memory, and both with this message. */
static void refuse(enum dr_code code, const char *part)
{
    struct tensor_file file;
    check_int(tensor_file_parse_gguf(&file, bytes.data, bytes.bytes, &error), ==, code);
    check_has(error.message, part);
    check(!file.tensors && !file.pool.head);
    check_int(tensor_file_open(&file, write_file(), &error), ==, code);
    check_has(error.message, part);
    check_has(error.message, "a.gguf");
}

/* Two tensors: "b" of 2x3 float32 (24 bytes), and "a" of two blocks of Q8_0 at byte 32. */
static void two_tensors(uint32_t version)
{
    gguf_begin(&bytes, version, 2, 2);
    gguf_text_pair(&bytes, "general.architecture", "sdxl");
    gguf_string(&bytes, "general.file_type");
    gguf_number(&bytes, 4, 4);
    gguf_number(&bytes, 7, 4);
    gguf_tensor(&bytes, "b", (const int64_t[]){2, 3}, 2, F32, 0);
    gguf_tensor(&bytes, "a", (const int64_t[]){2, 32}, 2, Q8_0, 32);
    gguf_pad(&bytes, 32);
}

static void two_tensors_data(void)
{
    for (int i = 0; i < 24; ++i)
        gguf_number(&bytes, (uint64_t)i, 1);
    gguf_pad(&bytes, 32);
    for (int i = 0; i < 68; ++i)
        gguf_number(&bytes, (uint64_t)(100 + i), 1);
}

static void reads_tensors_and_metadata(void)
{
    for (uint32_t version = 2; version <= 3; ++version) {
        struct tensor_file file;
        unsigned char data[68];
        char shape[TENSOR_SHAPE_TEXT];
        two_tensors(version);
        const size_t data_start = bytes.bytes;
        two_tensors_data();
        check_int(tensor_file_open(&file, write_file(), &error), ==, DR_OK);
        check_str(file.format, "GGUF");
        check_int(file.tensor_count, ==, 2);
        check_str(tensor_file_metadata(&file, "general.architecture"), "sdxl");
        check(!tensor_file_metadata(&file, "general.file_type"));
        const struct tensor *const a = tensor_file_find(&file, "a");
        const struct tensor *const b = tensor_file_find(&file, "b");
        check(a && b);
        if (!a || !b) return;
        check_str(tensor_shape_text(a, shape), "[2, 32]");
        check_str(tensor_shape_text(b, shape), "[2, 3]");
        check_int(a->dtype, ==, DTYPE_Q8_0);
        check_int(a->bytes, ==, 68);
        check_int(tensor_element_count(a), ==, 64);
        check_int(b->offset, ==, data_start);
        check_int(tensor_file_read(&file, a, 0, data, 68, &error), ==, DR_OK);
        check_int(data[0], ==, 100);
        check_int(data[67], ==, 167);
        tensor_file_close(&file);
    }
}

/* Padding behind the last tensor is part of the file in some writers, and not in others. */
static void takes_padding_at_the_end(void)
{
    struct tensor_file file;
    two_tensors(3);
    two_tensors_data();
    gguf_pad(&bytes, 32);
    check_int(tensor_file_open(&file, write_file(), &error), ==, DR_OK);
    tensor_file_close(&file);
    gguf_number(&bytes, 0, 1);
    refuse(DR_CORRUPT, "29 bytes follow the last tensor's end at byte 100");
}

static void has_the_shape_that_is_told(void)
{
    static const char key[] = "comfy.gguf.orig_shape.w";
    struct tensor_file file;
    char shape[TENSOR_SHAPE_TEXT];
    gguf_begin(&bytes, 3, 1, 2);
    gguf_shape_pair(&bytes, "comfy.gguf.orig_shape.other", (const int32_t[]){1}, 1);
    gguf_shape_pair(&bytes, key, (const int32_t[]){16, 8, 2, 2}, 4);
    gguf_tensor(&bytes, "w", (const int64_t[]){2, 256}, 2, Q4_K, 0);
    gguf_pad(&bytes, 32);
    for (int i = 0; i < 288; ++i)
        gguf_number(&bytes, 0, 1);
    check_int(tensor_file_open(&file, write_file(), &error), ==, DR_OK);
    check_int(file.tensor_count, ==, 1);
    check_str(tensor_shape_text(&file.tensors[0], shape), "[16, 8, 2, 2]");
    check_int(file.tensors[0].bytes, ==, 288);
    tensor_file_close(&file);

    gguf_begin(&bytes, 3, 1, 1);
    gguf_shape_pair(&bytes, key, (const int32_t[]){16, 8, 2, 1}, 4);
    gguf_tensor(&bytes, "w", (const int64_t[]){2, 256}, 2, Q4_K, 0);
    refuse(DR_CORRUPT, "is [2, 256], but its comfy.gguf.orig_shape says [16, 8, 2, 1]");
    gguf_begin(&bytes, 3, 1, 1);
    gguf_shape_pair(&bytes, key, (const int32_t[]){-16, -32}, 2);
    gguf_tensor(&bytes, "w", (const int64_t[]){2, 256}, 2, Q4_K, 0);
    refuse(DR_CORRUPT, "dimension 0 is -16");
    gguf_begin(&bytes, 3, 1, 1);
    gguf_shape_pair(&bytes, key, (const int32_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9}, 9);
    refuse(DR_UNSUPPORTED, "has 9 dimensions, more than 8");
    gguf_begin(&bytes, 3, 1, 1);
    gguf_text_pair(&bytes, key, "2, 256");
    refuse(DR_CORRUPT, "is not an array of integers");
    gguf_begin(&bytes, 3, 0, 2);
    gguf_shape_pair(&bytes, key, (const int32_t[]){512}, 1);
    gguf_shape_pair(&bytes, key, (const int32_t[]){2, 256}, 2);
    refuse(DR_CORRUPT, "it has comfy.gguf.orig_shape.w twice");
}

static void obeys_the_alignment(void)
{
    static const uint64_t bad[] = {0, 3, 48, 1 << 21};
    struct tensor_file file;
    gguf_begin(&bytes, 3, 1, 1);
    gguf_string(&bytes, "general.alignment");
    gguf_number(&bytes, 4, 4);
    gguf_number(&bytes, 4096, 4);
    gguf_tensor(&bytes, "w", (const int64_t[]){1}, 1, F32, 0);
    gguf_pad(&bytes, 4096);
    gguf_number(&bytes, 0, 4);
    check_int(tensor_file_open(&file, write_file(), &error), ==, DR_OK);
    check_int(file.tensors[0].offset, ==, 4096);
    tensor_file_close(&file);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        gguf_begin(&bytes, 3, 0, 1);
        gguf_string(&bytes, "general.alignment");
        gguf_number(&bytes, 4, 4);
        gguf_number(&bytes, bad[i], 4);
        refuse(DR_CORRUPT, "not a power of two");
    }
    gguf_begin(&bytes, 3, 1, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){1}, 1, F32, 16);
    refuse(DR_CORRUPT, "begins at byte 16 of the data, which is not a multiple of the "
                       "alignment, 32");
}

/* Every prefix of a good file is refused, and those of its header as truncated. */
static void refuses_every_prefix(void)
{
    struct tensor_file file;
    two_tensors(3);
    const size_t header = bytes.bytes;
    two_tensors_data();
    for (size_t i = 0; i < bytes.bytes; ++i) {
        check_int(tensor_file_parse_gguf(&file, bytes.data, i, &error), ==, DR_CORRUPT);
        check_has(error.message, i < 24 || i >= header ? "" : "download it again");
    }
    bytes.bytes -= 1;
    refuse(DR_CORRUPT, "it is truncated: tensor a needs bytes");
}

static void refuses_what_is_too_much(void)
{
    gguf_begin(&bytes, 3, UINT64_C(1) << 60, 0);
    refuse(DR_CORRUPT,
           "promises 1152921504606846976 tensors, but the file has only 24");
    gguf_begin(&bytes, 3, 1, UINT64_MAX);
    gguf_pad(&bytes, 64);
    refuse(DR_CORRUPT, "promises 18446744073709551615 pairs of metadata");
    gguf_begin(&bytes, 3, 0, 1);
    gguf_number(&bytes, UINT64_MAX, 8); /* a key without end */
    gguf_pad(&bytes, 64);
    refuse(DR_CORRUPT, "it is truncated: its list of metadata needs bytes 32");
    gguf_begin(&bytes, 3, 1, 0);
    gguf_number(&bytes, UINT64_C(1) << 40, 8); /* a name without end */
    gguf_pad(&bytes, 64);
    refuse(DR_CORRUPT, "it is truncated: its list of tensors needs bytes 32");
    gguf_begin(&bytes, 3, 0, 1);
    gguf_string(&bytes, "tokens");
    gguf_number(&bytes, 9, 4);
    gguf_number(&bytes, 8, 4);
    gguf_number(&bytes, UINT64_C(1) << 61, 8);
    refuse(DR_CORRUPT, "\"tokens\" is an array of 2305843009213693952 elements");
    gguf_begin(&bytes, 3, 1, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){INT64_MAX, 32}, 2, Q8_0, 0);
    refuse(DR_CORRUPT, "a size of [9223372036854775807, 32] overflows");
    gguf_begin(&bytes, 3, 1, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){-1}, 1, F32, 0);
    refuse(DR_CORRUPT, "dimension 0 is 18446744073709551615");
    gguf_begin(&bytes, 3, 1, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, 9, F32, 0);
    refuse(DR_UNSUPPORTED, "has 9 dimensions, more than 8");
    gguf_begin(&bytes, 3, 1, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){1}, 1, F32, UINT64_MAX - 31);
    refuse(DR_CORRUPT, "belong to no tensor");
}

static void refuses_other_versions_and_types(void)
{
    gguf_begin(&bytes, 1, 0, 0);
    refuse(DR_UNSUPPORTED, "a GGUF file of version 1");
    gguf_begin(&bytes, 4, 0, 0);
    refuse(DR_UNSUPPORTED, "version 4; darkroom reads versions 2 and 3");
    gguf_begin(&bytes, 0x03000000, 0, 0);
    refuse(DR_UNSUPPORTED, "big-endian GGUF file (version 3)");
    gguf_begin(&bytes, 3, 1, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){256}, 1, 23, 0);
    refuse(DR_UNSUPPORTED, "tensor w is of type IQ4_XS (number 23)");
    gguf_begin(&bytes, 3, 1, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){256}, 1, 4711, 0);
    refuse(DR_UNSUPPORTED, "tensor w is of type ? (number 4711)");
    gguf_begin(&bytes, 3, 1, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){8, 48}, 2, Q8_0, 0);
    refuse(DR_CORRUPT,
           "rows of 48 elements are not whole blocks of Q8_0, which have 32");
    gguf_begin(&bytes, 3, 0, 1);
    gguf_string(&bytes, "key");
    gguf_number(&bytes, 13, 4);
    refuse(DR_CORRUPT, "the value of \"key\" is of type 13, which GGUF does not have");
    gguf_begin(&bytes, 3, 0, 1);
    gguf_string(&bytes, "key");
    gguf_number(&bytes, 9, 4);
    gguf_number(&bytes, 9, 4);
    gguf_number(&bytes, 0, 8);
    refuse(DR_UNSUPPORTED, "\"key\" is an array of arrays");
}

static void refuses_wrong_places_and_names(void)
{
    gguf_begin(&bytes, 3, 2, 0);
    gguf_tensor(&bytes, "v", (const int64_t[]){16}, 1, F32, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){8}, 1, F32, 32);
    gguf_pad(&bytes, 32);
    bytes.bytes += 64;
    refuse(DR_CORRUPT, "tensors v and w overlap at byte 32 of the data");
    gguf_begin(&bytes, 3, 2, 0);
    gguf_tensor(&bytes, "v", (const int64_t[]){8}, 1, F32, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){8}, 1, F32, 64);
    gguf_pad(&bytes, 32);
    bytes.bytes += 96;
    refuse(DR_CORRUPT, "bytes 32 to 64 of the data, before tensor w, belong to no");
    gguf_begin(&bytes, 3, 2, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){8}, 1, F32, 0);
    gguf_tensor(&bytes, "w", (const int64_t[]){8}, 1, F32, 32);
    gguf_pad(&bytes, 32);
    bytes.bytes += 64;
    refuse(DR_CORRUPT, "has tensor w twice");
    gguf_begin(&bytes, 3, 1, 0);
    gguf_tensor(&bytes, "w\n", (const int64_t[]){8}, 1, F32, 0);
    refuse(DR_CORRUPT, "control character");
    gguf_begin(&bytes, 3, 1, 0);
    gguf_tensor(&bytes, "w\xff", (const int64_t[]){8}, 1, F32, 0);
    refuse(DR_CORRUPT, "is not UTF-8");
}

/* A string of 3 MB passes through the window; one of 100 MB does not exist in so small a file. */
static void passes_long_texts(void)
{
    static char text[3000000];
    FILE *const out = fopen(scratch_path("long.gguf"), "wb");
    struct tensor_file file;
    check(out != NULL);
    if (!out) return;
    memset(text, 'x', sizeof text);
    gguf_begin(&bytes, 3, 1, 2);
    gguf_string(&bytes, "long");
    gguf_number(&bytes, 8, 4);
    gguf_number(&bytes, sizeof text, 8);
    check_int(fwrite(bytes.data, 1, bytes.bytes, out), ==, bytes.bytes);
    size_t written = bytes.bytes + fwrite(text, 1, sizeof text, out);
    bytes.bytes = 0;
    gguf_text_pair(&bytes, "short", "y");
    gguf_tensor(&bytes, "w", (const int64_t[]){1}, 1, F16, 0);
    while ((written + bytes.bytes) % 32)
        gguf_number(&bytes, 0, 1);
    gguf_number(&bytes, 0x3C00, 2);
    written += fwrite(bytes.data, 1, bytes.bytes, out);
    check_int(fclose(out), ==, 0);
    check_int(tensor_file_open(&file, scratch_path("long.gguf"), &error), ==, DR_OK);
    check(!tensor_file_metadata(&file, "long"));
    check_str(tensor_file_metadata(&file, "short"), "y");
    check_int(file.tensors[0].offset + 2, ==, written);
    tensor_file_close(&file);
}

/* Another header is another file, in one byte of the metadata. */
static void notes_the_header(void)
{
    uint8_t headers[2][DIGEST_BYTES];
    for (int i = 0; i < 2; ++i) {
        struct tensor_file file;
        gguf_begin(&bytes, 3, 1, 1);
        gguf_text_pair(&bytes, "general.name", i ? "y" : "x");
        gguf_tensor(&bytes, "w", (const int64_t[]){1}, 1, F32, 0);
        gguf_pad(&bytes, 32);
        gguf_number(&bytes, 0, 4);
        check_int(tensor_file_open(&file, write_file(), &error), ==, DR_OK);
        memcpy(headers[i], file.shards[0].identity.header, DIGEST_BYTES);
        tensor_file_close(&file);
    }
    check(memcmp(headers[0], headers[1], DIGEST_BYTES) != 0);
}

int main(void)
{
    check_run(reads_tensors_and_metadata);
    check_run(takes_padding_at_the_end);
    check_run(has_the_shape_that_is_told);
    check_run(obeys_the_alignment);
    check_run(refuses_every_prefix);
    check_run(refuses_what_is_too_much);
    check_run(refuses_other_versions_and_types);
    check_run(refuses_wrong_places_and_names);
    check_run(passes_long_texts);
    check_run(notes_the_header);
    return check_done();
}
