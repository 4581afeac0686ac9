#include "weights/pack.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/size.h"

static const char magic[16] = "darkroom pack 2";
/* Those of earlier versions, which have the same length. 1: all weights in the arithmetic's type. */
static const char *const earlier_magics[] = {"darkroom pack 1"};

/* As it lies in the file: no padding, every number little-endian. */
struct head {
    char magic[16];
    uint64_t data_offset, data_bytes, section_bytes, section_count;
    uint8_t content[DIGEST_BYTES], layout[DIGEST_BYTES];
    char source[PACK_SOURCE_BYTES];
    uint8_t table[DIGEST_BYTES];
    uint8_t self[DIGEST_BYTES]; /* of all before */
};
static_assert(sizeof(struct head) == 16 + 4 * 8 + 4 * DIGEST_BYTES + PACK_SOURCE_BYTES,
              "the head has no holes");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "numbers are written as they lie");

static void digest_of(const void *data, size_t bytes, uint8_t out[DIGEST_BYTES])
{
    struct digest digest;
    digest_init(&digest);
    digest_add(&digest, data, bytes);
    digest_end(&digest, out);
}

static void head_digest(const struct head *head, uint8_t out[DIGEST_BYTES])
{
    digest_of(head, offsetof(struct head, self), out);
}

size_t pack_section_count(size_t data_bytes)
{
    return data_bytes / PACK_SECTION_BYTES + (data_bytes % PACK_SECTION_BYTES != 0);
}

uint8_t (*pack_table_create(size_t data_bytes))[DIGEST_BYTES]
{
    return malloc(pack_section_count(data_bytes) * DIGEST_BYTES);
}

void pack_table_destroy(uint8_t (*table)[DIGEST_BYTES])
{
    free(table);
}

void pack_section_digest(const unsigned char *data, size_t data_bytes, size_t section,
                         uint8_t digest[DIGEST_BYTES])
{
    const size_t start = section * PACK_SECTION_BYTES;
    const size_t left = data_bytes - start;
    digest_of(data + start, left < PACK_SECTION_BYTES ? left : PACK_SECTION_BYTES,
              digest);
}

bool pack_extent(size_t data_bytes, size_t *data_offset, size_t *file_bytes)
{
    if (data_bytes == 0 || data_bytes > SIZE_MAX / 4) return false;
    *data_offset =
        size_align(sizeof(struct head) + pack_section_count(data_bytes) * DIGEST_BYTES,
                   PACK_ALIGN);
    *file_bytes = *data_offset + size_align(data_bytes, PACK_ALIGN);
    return true;
}

/* ---- reading ---- */

bool pack_is_outdated(const char *path)
{
    char begin[sizeof magic] = {0};
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) return false;
    const ssize_t got = pread(descriptor, begin, sizeof begin, 0);
    (void)close(descriptor);
    if (got != (ssize_t)sizeof begin) return false;
    for (size_t i = 0; i < sizeof earlier_magics / sizeof *earlier_magics; ++i)
        if (memcmp(begin, earlier_magics[i], sizeof begin) == 0) return true;
    return false;
}

/* Exactly these bytes; a short read is DR_CORRUPT. */
static enum dr_code read_at(int descriptor, const char *path, uint64_t offset,
                            void *target, size_t bytes, struct dr_error *err)
{
    if (fault_strikes(FAULT_READ))
        return error_set_errno(err, DR_IO, EIO, "cannot read %s", path);
    for (size_t done = 0; done < bytes;) {
        const ssize_t got = pread(descriptor, (unsigned char *)target + done,
                                  bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_set_errno(err, DR_IO, errno, "cannot read %s", path);
        if (got == 0)
            return error_set(err, DR_CORRUPT, "%s is truncated at byte %llu", path,
                             (unsigned long long)(offset + done));
        done += (size_t)got;
    }
    return DR_OK;
}

static enum dr_code check_head(const struct head *head, const struct stat *status,
                               const char *path, const struct pack_key *key,
                               struct dr_error *err)
{
    uint8_t self[DIGEST_BYTES];
    size_t data_offset, file_bytes;
    if (memcmp(head->magic, magic, sizeof magic) != 0)
        return error_set(err, DR_CORRUPT, "%s is not a pack of this version", path);
    head_digest(head, self);
    if (memcmp(self, head->self, sizeof self) != 0)
        return error_set(err, DR_CORRUPT, "the head of %s is damaged", path);
    if (!pack_extent((size_t)head->data_bytes, &data_offset, &file_bytes) ||
        head->data_offset != data_offset || head->section_bytes != PACK_SECTION_BYTES ||
        head->section_count != pack_section_count((size_t)head->data_bytes) ||
        !memchr(head->source, '\0', sizeof head->source))
        return error_set(err, DR_CORRUPT, "the head of %s is not one of this version",
                         path);
    if ((uint64_t)status->st_size != file_bytes)
        return error_set(err, DR_CORRUPT, "%s has %lld bytes instead of %zu", path,
                         (long long)status->st_size, file_bytes);
    if (key && (memcmp(key->content, head->content, DIGEST_BYTES) != 0 ||
                memcmp(key->layout, head->layout, DIGEST_BYTES) != 0))
        return error_set(err, DR_CORRUPT,
                         "%s contains other weights than its name "
                         "says",
                         path);
    return DR_OK;
}

static enum dr_code read_head(struct pack *pack, const char *path,
                              const struct pack_key *key, struct dr_error *err)
{
    struct head head;
    struct stat status;
    enum dr_code code =
        file_identity_read(&pack->identity, pack->descriptor, path, err);
    if (code == DR_OK && fstat(pack->descriptor, &status))
        code = error_set_errno(err, DR_IO, errno, "cannot look at %s", path);
    if (code == DR_OK && !S_ISREG(status.st_mode))
        code = error_set(err, DR_CORRUPT, "%s is not a regular file", path);
    if (code == DR_OK)
        code = read_at(pack->descriptor, path, 0, &head, sizeof head, err);
    if (code == DR_OK) code = check_head(&head, &status, path, key, err);
    if (code != DR_OK) return code;
    memcpy(pack->key.content, head.content, DIGEST_BYTES);
    memcpy(pack->key.layout, head.layout, DIGEST_BYTES);
    memcpy(pack->table, head.table, DIGEST_BYTES);
    memcpy(pack->identity.header, head.self, DIGEST_BYTES);
    memcpy(pack->source, head.source, sizeof pack->source);
    pack->data_offset = (size_t)head.data_offset;
    pack->data_bytes = (size_t)head.data_bytes;
    pack->section_count = (size_t)head.section_count;
    return DR_OK;
}

enum dr_code pack_open(struct pack *pack, const char *path, const struct pack_key *key,
                       struct dr_error *err)
{
    *pack = PACK_INIT;
    pack->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (pack->descriptor < 0)
        return error_set_errno(err, errno == ENOENT ? DR_NOT_FOUND : DR_IO, errno,
                               "cannot open %s", path);
    const enum dr_code code = read_head(pack, path, key, err);
    if (code != DR_OK) pack_close(pack);
    return code;
}

void pack_close(struct pack *pack)
{
    if (pack->descriptor >= 0) (void)close(pack->descriptor);
    *pack = PACK_INIT;
}

bool pack_is_unchanged(const struct pack *pack)
{
    struct stat status;
    struct file_identity now;
    if (fault_strikes(FAULT_IDENTITY)) return true;
    if (pack->descriptor < 0 || fstat(pack->descriptor, &status) != 0 ||
        file_identity_read(&now, pack->descriptor, "", NULL) != DR_OK)
        return false;
    const bool is_nameless =
        status.st_nlink == 0; /* that alone changed its change time */
    return now.bytes == pack->identity.bytes &&
           now.modified_ns == pack->identity.modified_ns &&
           (is_nameless || now.changed_ns == pack->identity.changed_ns);
}

bool pack_has_name(const struct pack *pack)
{
    struct stat status;
    return pack->descriptor >= 0 && fstat(pack->descriptor, &status) == 0 &&
           status.st_nlink > 0;
}

enum dr_code pack_adopt(struct pack *pack, int descriptor, const struct pack_key *key,
                        size_t data_bytes, struct dr_error *err)
{
    size_t file_bytes;
    *pack = PACK_INIT;
    pack->descriptor = descriptor;
    pack->key = *key;
    pack->data_bytes = data_bytes;
    pack->section_count = pack_section_count(data_bytes);
    enum dr_code code =
        pack_extent(data_bytes, &pack->data_offset, &file_bytes)
            ? DR_OK
            : error_set(err, DR_UNSUPPORTED, "a pack of %zu bytes", data_bytes);
    if (code == DR_OK)
        code = file_identity_read(&pack->identity, descriptor, "a pack without a name",
                                  err);
    if (code != DR_OK) pack_close(pack);
    return code;
}

/* ---- the sections ---- */

static enum dr_code compare(const uint8_t (*found)[DIGEST_BYTES],
                            const uint8_t (*kept)[DIGEST_BYTES], size_t count,
                            const char *path, struct dr_error *err)
{
    for (size_t i = 0; i < count; ++i)
        if (memcmp(found[i], kept[i], DIGEST_BYTES) != 0)
            return error_set(err, DR_CORRUPT, "%s is damaged in section %zu of %zu",
                             path, i + 1, count);
    return DR_OK;
}

enum dr_code pack_check(const struct pack *pack, const char *path,
                        const uint8_t (*digests)[DIGEST_BYTES], struct dr_error *err)
{
    uint8_t table[DIGEST_BYTES];
    const size_t bytes = pack->section_count * DIGEST_BYTES;
    uint8_t(*const kept)[DIGEST_BYTES] = pack_table_create(pack->data_bytes);
    if (!kept) return error_set(err, DR_NOMEM, "no memory to check %s", path);
    enum dr_code code =
        read_at(pack->descriptor, path, sizeof(struct head), kept, bytes, err);
    if (code == DR_OK) {
        digest_of(kept, bytes, table);
        if (memcmp(table, pack->table, sizeof table) != 0)
            code = error_set(err, DR_CORRUPT, "the table of %s is damaged", path);
    }
    if (code == DR_OK && fault_strikes(FAULT_VERIFY))
        code = error_set(err, DR_CORRUPT, "%s could not be checked", path);
    if (code == DR_OK)
        code = compare(digests, (const uint8_t(*)[DIGEST_BYTES])kept,
                       pack->section_count, path, err);
    pack_table_destroy(kept);
    return code;
}

/* ---- writing ---- */

static enum dr_code write_at(int descriptor, const char *path, uint64_t offset,
                             const void *data, size_t bytes, struct dr_error *err)
{
    if (fault_strikes(FAULT_WRITE))
        return error_set_errno(err, DR_IO, ENOSPC, "cannot write %s", path);
    for (size_t done = 0; done < bytes;) {
        const ssize_t put = pwrite(descriptor, (const unsigned char *)data + done,
                                   bytes - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return error_set_errno(err, DR_IO, errno, "cannot write %s", path);
        done += (size_t)put;
    }
    return DR_OK;
}

enum dr_code pack_write_head(int descriptor, const char *path,
                             const struct pack_key *key, size_t data_bytes,
                             const uint8_t (*digests)[DIGEST_BYTES], const char *source,
                             struct dr_error *err)
{
    struct head head = {.data_bytes = data_bytes, .section_bytes = PACK_SECTION_BYTES};
    size_t data_offset, file_bytes;
    if (!pack_extent(data_bytes, &data_offset, &file_bytes))
        return error_set(err, DR_UNSUPPORTED, "a pack of %zu bytes", data_bytes);
    const size_t count = pack_section_count(data_bytes),
                 table_bytes = count * DIGEST_BYTES;
    memcpy(head.magic, magic, sizeof magic);
    head.data_offset = data_offset;
    head.section_count = count;
    memcpy(head.content, key->content, DIGEST_BYTES);
    memcpy(head.layout, key->layout, DIGEST_BYTES);
    const size_t length = strnlen(source, sizeof head.source - 1);
    memcpy(head.source, source, length);
    digest_of(digests, table_bytes, head.table);
    head_digest(&head, head.self);
    const enum dr_code code =
        write_at(descriptor, path, sizeof head, digests, table_bytes, err);
    if (code != DR_OK) return code;
    return write_at(descriptor, path, 0, &head, sizeof head, err);
}
