/* pack_fuzz — any bytes as a pack.
 *
 * The first byte chooses: as they are, or as a pack whose head is sealed over whatever the bytes
 * put into it, so that what stands behind the digests is reached: mark and digests are made right, the file
 * gets the size that the head asks for where it is small. What opens must be sound: data within the
 * file, a text that ends; its sections are then held against its table.
 */
#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "scratch_folder.h"
#include "weights/pack.h"

#include <fcntl.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* The head as it lies in the file (pack.c). */
enum {
    MARK_BYTES = 16,
    NUMBERS_AT = MARK_BYTES,
    SELF_AT = MARK_BYTES + 4 * 8 + 3 * DIGEST_BYTES + PACK_SOURCE_BYTES,
    TABLE_AT = SELF_AT - DIGEST_BYTES,
    HEAD_BYTES = SELF_AT + DIGEST_BYTES,
    FILE_MAX_BYTES = 1 << 20,
};

enum {
    SEALS_HEAD = 1,   /* mark and the head's own digest */
    SEALS_TABLE = 2,  /* the digest of the sections' digests, as the file has them */
    KEEPS_PLACES = 4, /* data_offset, section_bytes and section_count are right */
    HAS_DATA = 8,     /* the sections' digests are those of the data */
};

static void digest_of(const void *data, size_t bytes, uint8_t out[DIGEST_BYTES])
{
    struct digest digest;
    digest_init(&digest);
    digest_add(&digest, data, bytes);
    digest_end(&digest, out);
}

static uint64_t number_at(const uint8_t *file, int idx)
{
    uint64_t number;
    memcpy(&number, file + NUMBERS_AT + 8 * idx, sizeof number);
    return number;
}

static void put_number(uint8_t *file, int idx, uint64_t number)
{
    memcpy(file + NUMBERS_AT + 8 * idx, &number, sizeof number);
}

static size_t seal(uint8_t *file, size_t bytes, unsigned how)
{
    size_t data_offset = 0, file_bytes = 0;
    const size_t data_bytes = (size_t)number_at(file, 1);
    const bool is_size = pack_extent(data_bytes, &data_offset, &file_bytes) &&
                         file_bytes <= FILE_MAX_BYTES;
    const size_t table_bytes = DIGEST_BYTES * pack_section_count(data_bytes);
    memcpy(file, "darkroom pack 1", MARK_BYTES);
    if (is_size) bytes = file_bytes;
    if (is_size && (how & KEEPS_PLACES)) {
        put_number(file, 0, data_offset);
        put_number(file, 2, PACK_SECTION_BYTES);
        put_number(file, 3, pack_section_count(data_bytes));
    }
    for (size_t i = 0;
         is_size && (how & HAS_DATA) && i < pack_section_count(data_bytes); ++i)
        pack_section_digest(file + data_offset, data_bytes, i,
                            file + HEAD_BYTES + i * DIGEST_BYTES);
    if (is_size && (how & SEALS_TABLE))
        digest_of(file + HEAD_BYTES, table_bytes, file + TABLE_AT);
    digest_of(file, SELF_AT, file + SELF_AT);
    return bytes;
}

static void check_pack(const struct pack *pack, const char *path, const uint8_t *file,
                       size_t bytes)
{
    struct dr_error err = {.message = ""};
    assert(pack->data_bytes > 0 && pack->data_offset % PACK_ALIGN == 0);
    assert(pack->data_offset <= bytes && pack->data_bytes <= bytes - pack->data_offset);
    assert(pack->section_count == pack_section_count(pack->data_bytes));
    assert(strlen(pack->source) < PACK_SOURCE_BYTES);
    assert(pack_is_unchanged(pack) && pack_has_name(pack));
    uint8_t(*const digests)[DIGEST_BYTES] = pack_table_create(pack->data_bytes);
    if (!digests) abort();
    for (size_t i = 0; i < pack->section_count; ++i)
        pack_section_digest(file + pack->data_offset, pack->data_bytes, i, digests[i]);
    const enum dr_code code =
        pack_check(pack, path, (const uint8_t(*)[DIGEST_BYTES])digests, &err);
    assert(code == DR_OK || code == DR_CORRUPT);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    assert(code != DR_OK ||
           memcmp(digests, file + HEAD_BYTES, pack->section_count * DIGEST_BYTES) == 0);
    pack_table_destroy(digests);
}

static void try_key(const struct pack *pack, const char *path)
{
    struct pack other;
    struct pack_key key = pack->key;
    enum dr_code code = pack_open(&other, path, &key, NULL);
    assert(code == DR_OK);
    pack_close(&other);
    key.layout[DIGEST_BYTES - 1] ^= 1;
    code = pack_open(&other, path, &key, NULL);
    assert(code == DR_CORRUPT && other.descriptor < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static uint8_t file[FILE_MAX_BYTES];
    static const char *path;
    if (!path) path = scratch_path("pack");
    if (bytes == 0 || bytes > FILE_MAX_BYTES) return 0;
    const unsigned how = *data++;
    size_t file_bytes = --bytes;
    memset(file, 0, sizeof file);
    memcpy(file, data, bytes);
    if (how & SEALS_HEAD)
        file_bytes = seal(file, file_bytes < HEAD_BYTES ? HEAD_BYTES : file_bytes, how);
    scratch_write(path, file, file_bytes);

    struct pack pack;
    struct dr_error err = {.message = ""};
    const enum dr_code code = pack_open(&pack, path, NULL, &err);
    if (code == DR_OK) {
        check_pack(&pack, path, file, file_bytes);
        try_key(&pack, path);
    } else {
        assert(code == DR_CORRUPT && strstr(err.message, path));
        assert(pack.descriptor < 0);
    }
    pack_close(&pack);
    return 0;
}
