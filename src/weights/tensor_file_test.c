/* Files of all kinds: single, sharded, damaged, and what is no model at all. */
#include "check.h"
#include "scratch_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "weights/tensor_file.h"

static struct dr_error error;

/* ---- making files ---- */

/* length, header, data; length as given where it is not the header's. */
static const char *write_raw(const char *name, uint64_t length, const char *header,
                             const void *data, size_t data_bytes)
{
    static unsigned char bytes[64 * 1024];
    const size_t header_bytes = strlen(header);
    for (int i = 0; i < 8; ++i)
        bytes[i] = (unsigned char)(length >> 8 * i & 0xff);
    memcpy(bytes + 8, header, header_bytes);
    if (data_bytes > 0) memcpy(bytes + 8 + header_bytes, data, data_bytes);
    const char *const path = scratch_path(name);
    scratch_write(path, bytes, 8 + header_bytes + data_bytes);
    return path;
}

static const char *write_good(const char *name, const char *header, const void *data,
                              size_t data_bytes)
{
    return write_raw(name, strlen(header), header, data, data_bytes);
}

static const char *write_text(const char *name, const char *text)
{
    const char *const path = scratch_path(name);
    scratch_write(path, text, strlen(text));
    return path;
}

static enum dr_code try_open(const char *path)
{
    struct tensor_file file;
    error = (struct dr_error){0};
    const enum dr_code code = tensor_file_open(&file, path, &error);
    if (code == DR_OK)
        tensor_file_close(&file);
    else
        check(!file.tensors && !file.shards && !file.pool.head && !file.path);
    return code;
}

#define refuse(path, code, part)                \
    do {                                        \
        const char *const refused = (path);     \
        check_int(try_open(refused), ==, code); \
        check_has(error.message, part);         \
        check_has(error.message, refused);      \
    } while (0)

static const char two_tensors[] =
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]},"
    "\"b\":{\"dtype\":\"I16\",\"shape\":[1],\"data_offsets\":[0,2]}}";

/* ---- single files ---- */

static void reads_tensors(void)
{
    const char *const path = write_good("two.safetensors", two_tensors, "BBaaaa", 6);
    struct tensor_file file;
    check_int(tensor_file_open(&file, path, &error), ==, DR_OK);
    check_str(file.path, path);
    check_str(file.format, "safetensors");
    check_int(file.shard_count, ==, 1);
    char data[4] = "";
    const struct tensor *const a = tensor_file_find(&file, "a");
    check_int(tensor_file_read(&file, a, 0, data, 4, &error), ==, DR_OK);
    check_bytes(data, "aaaa", 4);
    const struct tensor *const b = tensor_file_find(&file, "b");
    check_int(tensor_file_read(&file, b, 1, data, 1, &error), ==, DR_OK);
    check_bytes(data, "Baaa", 4);
    check_int(tensor_file_read(&file, b, 2, data, 0, &error), ==, DR_OK);
    check_int(tensor_file_check(&file, &error), ==, DR_OK);
    tensor_file_close(&file);
}

static void tells_headers_apart(void)
{
    struct tensor_file first, same, other;
    const char *const path = write_good("one.safetensors", two_tensors, "BBaaaa", 6);
    const char *const copy = write_good("copy.safetensors", two_tensors, "BBaaab", 6);
    const char *const more =
        write_good("more.safetensors",
                   "{\"a\":{\"dtype\":\"U8\",\"shape\":[6],\"data_offsets\":[0,6]}}",
                   "BBaaaa", 6);
    check_int(tensor_file_open(&first, path, &error), ==, DR_OK);
    check_int(tensor_file_open(&same, copy, &error), ==, DR_OK);
    check_int(tensor_file_open(&other, more, &error), ==, DR_OK);
    const uint8_t *const header = first.shards[0].identity.header;
    check_bytes(header, same.shards[0].identity.header, DIGEST_BYTES);
    check(memcmp(header, other.shards[0].identity.header, DIGEST_BYTES) != 0);
    check(first.shards[0].identity.inode != same.shards[0].identity.inode);
    tensor_file_close(&first);
    tensor_file_close(&same);
    tensor_file_close(&other);
}

static void refuses_damaged(void)
{
    refuse(scratch_path("none.safetensors"), DR_NOT_FOUND, "No such file");
    refuse(write_text("empty.safetensors", ""), DR_CORRUPT, "is empty");
    refuse(write_text("short.safetensors", "1234567"), DR_CORRUPT,
           "has 7 bytes, too few");
    refuse(write_raw("huge.safetensors", 1ULL << 60, two_tensors, "BBaaaa", 6),
           DR_CORRUPT, "1152921504606846976 bytes, but the format allows 100000000");
    refuse(write_raw("huge", 1ULL << 60, two_tensors, "BBaaaa", 6), DR_CORRUPT,
           "1152921504606846976 bytes");
    refuse(write_raw("full.safetensors", UINT64_MAX, "junk", "", 0), DR_CORRUPT,
           "18446744073709551615 bytes");
    refuse(write_raw("long.safetensors", 100000000, two_tensors, "BBaaaa", 6),
           DR_CORRUPT, "truncated: its header has 100000000 bytes");
    refuse(write_raw("low.safetensors", 0, two_tensors, "BBaaaa", 6), DR_CORRUPT,
           "does not begin with '{'");
    refuse(write_good("junk.safetensors", "junk junk", "", 0), DR_CORRUPT,
           "does not begin with '{'");
    for (size_t bytes = 0; bytes < 6; ++bytes)
        refuse(write_good("cut.safetensors", two_tensors, "BBaaaa", bytes), DR_CORRUPT,
               "truncated");
    refuse(write_good("trail.safetensors", two_tensors, "BBaaaa!", 7), DR_CORRUPT,
           "1 bytes follow");
}

/* Every length of a file but its own is refused. */
static void refuses_every_truncation(void)
{
    const char *const path = write_good("every.safetensors", two_tensors, "BBaaaa", 6);
    for (off_t bytes = 8 + (off_t)strlen(two_tensors) + 6; bytes-- > 0;) {
        check_int(truncate(path, bytes), ==, 0);
        check_int(try_open(path), ==, DR_CORRUPT);
    }
}

static void names_other_formats(void)
{
    refuse(write_text("a.ckpt", "PK\003\004.........."), DR_CORRUPT, "zip directory");
    refuse(write_text("b.safetensors", "PK\003\004.........."), DR_CORRUPT, "zip");
    refuse(write_text("c.pt", "\200\002}q\001..."), DR_UNSUPPORTED, "torch.save");
    refuse(write_text("d.gguf", "GGUF\003..."), DR_UNSUPPORTED, "GGUF");
    refuse(write_text("e.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
           DR_UNSUPPORTED, "Git LFS pointer");
    refuse(write_text("f.safetensors", "<!DOCTYPE html><html>"), DR_UNSUPPORTED,
           "web page");
    refuse(write_text("g.txt", "hello, world, how are you"), DR_UNSUPPORTED,
           "no format");
    refuse(write_text("h.json", "{\"model_type\": \"clip\"}"), DR_UNSUPPORTED,
           "weight_map");
    refuse(scratch_folder(), DR_UNSUPPORTED, "is a directory without");
    const char *const fifo = scratch_path("fifo");
    check_int(mkfifo(fifo, 0600), ==, 0);
    refuse(fifo, DR_BAD_INPUT, "not a regular file"); /* and does not wait */
}

/* A file that is named as a model, of all that people have in its place. */
static void names_what_is_no_model(void)
{
    static const struct {
        const char *start, *part;
        size_t bytes; /* 0: the text's */
    } rows[] = {
        {"\n\n  <!DOCTYPE HTML PUBLIC>",                        "web page",                   0 },
        {"\xef\xbb\xbf<HTML><body>",                            "web page",                   0 },
        {"<!-- x --><html lang=\"en\">",                        "web page",                   0 },
        {"<?xml version=\"1.0\"?><Error><Code>AccessDenied",    "XML document",               0 },
        {"<?xml version=\"1.0\"?><html xmlns=\"x\">",           "web page",                   0 },
        {"\x1f\x8b\x08\x08\x1a\x2b\x3c\x4d\0\x03",              "gzip file: unpack",          10},
        {"7z\xbc\xaf\x27\x1c\0\x04",                            "7z archive",                 8 },
        {"Rar!\x1a\x07\x01\0",                                  "RAR archive",                8 },
        {"\x28\xb5\x2f\xfd\x04\x58\x01\0",                      "Zstandard",                  8 },
        {"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",                       "PNG picture",                16},
        {"\xff\xd8\xff\xe0\0\x10JFIF",                          "JPEG picture",               10},
        {"RIFF\x10\0\0\0WEBPVP8 ",                              "WebP picture",               16},
        {"version https://git-lfs.github.com/spec/v1\noid sha", "git lfs pull",               0 },
        {"/annex/objects/SHA256E-s42--abc",                     "git annex get",              0 },
        {"d8:announce35:udp://tracker.example",                 "BitTorrent",                 0 },
        {"\0\x05\x16\x07\0\x02\0\0Mac OS X",                    "does not begin with ._",     16},
        {"Entry not found",                                     "begins with \"Entry not",    0 },
        {"Invalid username or password.\n",                     "or password.\"; downlo",     0 },
        {"{\"error\":\"Access to model x is restricted\"}",     "Access to model x is",       0 },
        {"{\"message\": \"Not Found\", \"status\": 404}",       "error message: \"Not Found",
         0                                                                                      },
        {"{\"error\": {\"message\": \"quota\"}}",               "quota",                      0 },
    };
    static const char *const names[] = {"a.safetensors", "a.ckpt", "a"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i)
        for (size_t n = 0; n < sizeof names / sizeof names[0]; ++n) {
            const char *const path = scratch_path(names[n]);
            scratch_write(path, rows[i].start,
                          rows[i].bytes ? rows[i].bytes : strlen(rows[i].start));
            refuse(path, DR_UNSUPPORTED, rows[i].part);
            check(!strstr(error.message, "header"));
        }
    static char zeros[4096], tar[1024];
    scratch_write(scratch_path("z.safetensors"), zeros, sizeof zeros);
    refuse(scratch_path("z.safetensors"), DR_UNSUPPORTED, "zeros");
    memcpy(tar, "model/", 6);
    memcpy(tar + 257, "ustar", 5);
    scratch_write(scratch_path("t.safetensors"), tar, sizeof tar);
    refuse(scratch_path("t.safetensors"), DR_UNSUPPORTED, "tar archive");
}

static void names_downloads_that_go_on(void)
{
    /* Its size is whole, its bytes are not there yet. */
    const char *const path =
        write_good("w.safetensors", two_tensors, "\0\0\0\0\0\0", 6);
    (void)write_text("w.safetensors.aria2", "");
    refuse(path, DR_CORRUPT, "there is an .aria2 file beside it");
    check_int(unlink(scratch_path("w.safetensors.aria2")), ==, 0);
    check_int(try_open(path), ==, DR_OK);

    refuse(write_good("x.safetensors.part", two_tensors, "BB", 2), DR_CORRUPT,
           "ends in .part, so its download is not finished");
    refuse(write_text("y.crdownload", "\1\2\3\4\5\6\7\10"), DR_UNSUPPORTED,
           "ends in .crdownload");
    check_int(try_open(write_good("v.part", two_tensors, "BBaaaa", 6)), ==, DR_OK);
}

/* Only ENOENT means that nothing is there. */
static void keeps_what_the_system_says(void)
{
    const char *const link = scratch_path("link.safetensors");
    check_int(symlink("../../blobs/0123", link), ==, 0);
    refuse(link, DR_NOT_FOUND,
           "link.safetensors is a symbolic link to ../../blobs/0123, which is missing");
    const char *const loop = scratch_path("loop.safetensors");
    check_int(symlink(loop, loop), ==, 0);
    refuse(loop, DR_IO, "Too many levels");
    (void)write_text("plain", "x");
    refuse(scratch_path("plain/m.safetensors"), DR_IO, "/plain is a file");
}

/* A header of 640 bytes: its length begins as an old pickle does. */
static void is_not_misled_by_lengths(void)
{
    char header[641];
    memset(header, ' ', 640);
    memcpy(header, two_tensors, strlen(two_tensors));
    header[640] = '\0';
    check_int(try_open(write_good("pickle-like", header, "BBaaaa", 6)), ==, DR_OK);
}

/* ---- a file that changes ---- */

static void notices_changes(void)
{
    const char *const path = write_good("change.safetensors", two_tensors, "BBaaaa", 6);
    struct tensor_file file;
    char data[4];
    check_int(tensor_file_open(&file, path, &error), ==, DR_OK);
    check_int(truncate(path, 8 + (off_t)strlen(two_tensors) + 3), ==, 0);
    const struct tensor *const a = tensor_file_find(&file, "a");
    check_int(tensor_file_read(&file, a, 0, data, 4, &error), ==, DR_CHANGED);
    check_has(error.message, path);
    check_has(error.message, "tensor a");
    check_has(error.message, "truncated");
    check_int(tensor_file_read(&file, tensor_file_find(&file, "b"), 0, data, 2, &error),
              ==, DR_OK);
    check_int(tensor_file_check(&file, &error), ==, DR_CHANGED);
    check_int(unlink(path), ==, 0);
    write_good("change.safetensors", two_tensors, "BBaaaa", 6);
    check_int(tensor_file_check(&file, &error), ==, DR_CHANGED);
    tensor_file_close(&file);
}

static void passes_faults_on(void)
{
    const char *const path = write_good("fault.safetensors", two_tensors, "BBaaaa", 6);
    int faults = 0;
    for (int nth = 1;; ++nth) {
        fault_arm(1u << FAULT_READ, nth, FAULT_ONCE);
        const enum dr_code code = try_open(path);
        const bool struck = fault_has_struck();
        fault_disarm();
        if (!struck) {
            check_int(code, ==, DR_OK);
            break;
        }
        ++faults;
        check_int(code, ==, DR_IO);
        check_has(error.message, path);
    }
    check_int(faults, ==, 3); /* the first bytes, the length, the header */
}

/* ---- sharded sets ---- */

static const char shard_1[] =
    "{\"__metadata__\":{\"format\":\"pt\",\"x\":\"1\"},"
    "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
    "\"c\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}";
static const char shard_2[] =
    "{\"__metadata__\":{\"format\":\"np\",\"y\":\"2\"},"
    "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";

static void write_shards(void)
{
    write_good("m-1.safetensors", shard_1, "aac", 3);
    write_good("m-2.safetensors", shard_2, "bb", 2);
}

#define INDEX(map) \
    "{\"metadata\":{\"total_size\":5,\"x\":\"0\"},\"weight_map\":{" map "}}"
#define A1 "\"a\":\"m-1.safetensors\""
#define B2 "\"b\":\"m-2.safetensors\""
#define C1 "\"c\":\"m-1.safetensors\""

static void reads_sharded_sets(void)
{
    write_shards();
    const char *const path =
        write_text("m.safetensors.index.json", INDEX(B2 "," A1 ",\n " C1));
    struct tensor_file file;
    check_int(tensor_file_open(&file, path, &error), ==, DR_OK);
    check_str(file.format, "sharded safetensors");
    check_int(file.shard_count, ==, 2);
    check_int(file.tensor_count, ==, 3);
    static const char *const names[] = {"a", "b", "c"};
    static const char *const data[] = {"aa", "bb", "c"};
    for (size_t i = 0; i < 3; ++i) {
        char read[3] = "";
        check_str(file.tensors[i].name, names[i]);
        check_int(tensor_file_read(&file, &file.tensors[i], 0, read,
                                   (size_t)file.tensors[i].bytes, &error),
                  ==, DR_OK);
        check_str(read, data[i]);
    }
    check_str(tensor_file_metadata(&file, "x"), "0"); /* the index comes first */
    check_str(tensor_file_metadata(&file, "y"), "2");
    check(!tensor_file_metadata(&file, "total_size"));
    check_int(tensor_file_check(&file, &error), ==, DR_OK);
    check_int(truncate(scratch_path("m-2.safetensors"), 20), ==, 0);
    check_int(tensor_file_check(&file, &error), ==, DR_CHANGED);
    check_has(error.message, "m-2.safetensors");
    tensor_file_close(&file);
}

static void refuses_bad_sets(void)
{
    const char *const name = "bad.safetensors.index.json";
    write_shards();
    refuse(write_text(name, INDEX(A1 "," C1 ",\"b\":\"m-3.safetensors\"")),
           DR_NOT_FOUND, "m-3.safetensors is missing");
    refuse(write_text(name, INDEX(A1 "," B2)), DR_CORRUPT,
           "m-1.safetensors has tensor c, which is not in the index");
    refuse(write_text(name, INDEX(A1 "," B2 "," C1 ",\"d\":\"m-2.safetensors\"")),
           DR_CORRUPT, "lists tensor d in shard m-2.safetensors");
    refuse(write_text(name, INDEX(A1 "," B2 ",\"c\":\"m-2.safetensors\"")), DR_CORRUPT,
           "tensor c is in shard m-1.safetensors, but the index says m-2.safetensors");
    refuse(write_text(name, INDEX(A1 "," A1)), DR_CORRUPT, "twice");
    refuse(write_text(name, "{\"weight_map\":[]}"), DR_UNSUPPORTED, "weight_map");
    refuse(write_text(name, "{\"weight_map\":{\"a\":1}}"), DR_CORRUPT, "tensor a");
    refuse(write_text(name, "{\"weight_map\""), DR_CORRUPT, "is not valid JSON");
    refuse(write_text(name, "{"), DR_CORRUPT, "is not valid JSON");
    check_int(try_open(write_text(name, "{\"weight_map\":{}}")), ==, DR_OK);
    write_good("m-2.safetensors", shard_2, "b", 1);
    refuse(write_text(name, INDEX(A1 "," B2 "," C1)), DR_CORRUPT, "truncated");
    check_has(error.message, "m-2.safetensors");
    write_text("m-2.safetensors", INDEX(A1)); /* an index is no shard */
    refuse(scratch_path(name), DR_CORRUPT, "m-2.safetensors is JSON");
}

static void keeps_shards_beside_the_index(void)
{
    static const char *const paths[] = {
        "../m-1.safetensors",   "/etc/m-1.safetensors",
        "x/m-1.safetensors",    "..",
        ".m-1.safetensors",     "",
        ".safetensors",         "m-1.json",
        "x\\\\m-1.safetensors", "m\\u0001.safetensors",
        "m-1.safetensors/",
    };
    write_shards();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; ++i) {
        char text[256];
        (void)snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"%s\"}}", paths[i]);
        refuse(write_text("path.safetensors.index.json", text), DR_CORRUPT,
               "not the name of a .safetensors or .bin file");
    }
}

static void refuses_many_shards(void)
{
    static char text[32 * 1024] = "{\"weight_map\":{";
    size_t used = strlen(text);
    for (int i = 0; i < 300; ++i)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "%s\"t%d\":\"s%d.safetensors\"", i ? "," : "", i, i);
    (void)snprintf(text + used, sizeof text - used, "}}");
    refuse(write_text("many.safetensors.index.json", text), DR_UNSUPPORTED,
           "more than 256 shards");
}

int main(void)
{
    check_run(reads_tensors);
    check_run(tells_headers_apart);
    check_run(refuses_damaged);
    check_run(refuses_every_truncation);
    check_run(names_other_formats);
    check_run(names_what_is_no_model);
    check_run(names_downloads_that_go_on);
    check_run(keeps_what_the_system_says);
    check_run(is_not_misled_by_lengths);
    check_run(notices_changes);
    check_run_with_faults(passes_faults_on);
    check_run(reads_sharded_sets);
    check_run(refuses_bad_sets);
    check_run(keeps_shards_beside_the_index);
    check_run(refuses_many_shards);
    return check_done();
}
