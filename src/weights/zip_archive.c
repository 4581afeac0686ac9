/* Every number is of the file's choosing: places are compared by subtraction from what is known
 * to be there, so that no sum can overflow. */
#include "weights/zip_archive.h"

#include <stdlib.h>
#include <string.h>

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    COMMENT_MAX_BYTES = 65535,
    DIRECTORY_MAX_BYTES = 64 << 20,
    FLAG_ENCRYPTED = 1,
    EXTRA_64 = 1,
};

static const unsigned char entry_mark[4] = "PK\1\2", local_mark[4] = "PK\3\4",
                           end_mark[4] = "PK\5\6", end64_mark[4] = "PK\6\6",
                           locator_mark[4] = "PK\6\7";

static uint64_t number_at(const unsigned char *bytes, size_t count)
{
    uint64_t number = 0;
    for (size_t i = count; i-- > 0;)
        number = number << 8 | bytes[i];
    return number;
}

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for its zip directory");
}

static enum dr_code broken(struct dr_error *err, const char *what)
{
    return error_set(err, DR_CORRUPT, "its zip directory %s; download it again", what);
}

/* ---- the end of the file ---- */

struct directory_place {
    uint64_t at, bytes, entry_count;
};

/* The 64-bit record, which a locator right before the end record points to. */
static enum dr_code read_end64(const struct tensor_shard *shard, uint64_t end_at,
                               struct directory_place *place, struct dr_error *err)
{
    unsigned char locator[LOCATOR_BYTES], end[END64_BYTES];
    if (end_at < LOCATOR_BYTES) return DR_OK;
    enum dr_code code =
        tensor_shard_read(shard, end_at - LOCATOR_BYTES, locator, sizeof locator, err);
    if (code || memcmp(locator, locator_mark, 4) != 0) return code;
    const uint64_t at = number_at(locator + 8, 8);
    if (end_at < END64_BYTES || at > end_at - END64_BYTES)
        return broken(err, "has its 64-bit record outside the file");
    code = tensor_shard_read(shard, at, end, sizeof end, err);
    if (code) return code;
    if (memcmp(end, end64_mark, 4) != 0)
        return broken(err, "has no 64-bit record at the given position");
    *place = (struct directory_place){.at = number_at(end + 48, 8),
                                      .bytes = number_at(end + 40, 8),
                                      .entry_count = number_at(end + 32, 8)};
    return DR_OK;
}

/* The last end record in the file's tail; before it may lie the 64-bit one. */
static enum dr_code find_directory(const struct tensor_shard *shard,
                                   unsigned char *tail, size_t tail_bytes,
                                   struct directory_place *place, struct dr_error *err)
{
    const uint64_t tail_at = shard->identity.bytes - tail_bytes;
    const enum dr_code code = tensor_shard_read(shard, tail_at, tail, tail_bytes, err);
    if (code) return code;
    size_t at = tail_bytes - END_BYTES + 1;
    while (at > 0) {
        const unsigned char *const end = tail + --at;
        if (memcmp(end, end_mark, 4) != 0 ||
            number_at(end + 20, 2) != tail_bytes - at - END_BYTES)
            continue;
        *place = (struct directory_place){.at = number_at(end + 16, 4),
                                          .bytes = number_at(end + 12, 4),
                                          .entry_count = number_at(end + 10, 2)};
        return read_end64(shard, tail_at + at, place, err);
    }
    return error_set(err, DR_CORRUPT,
                     "it is truncated: a zip file must end with its directory; "
                     "download it again");
}

static enum dr_code read_directory(struct zip_archive *archive,
                                   struct directory_place *place, struct dr_error *err)
{
    const uint64_t file_bytes = archive->shard->identity.bytes;
    if (file_bytes < END_BYTES) return broken(err, "does not fit the file");
    const size_t tail_bytes = file_bytes < END_BYTES + COMMENT_MAX_BYTES
                                  ? (size_t)file_bytes
                                  : END_BYTES + COMMENT_MAX_BYTES;
    unsigned char *const tail = malloc(tail_bytes);
    if (!tail) return no_memory(err);
    enum dr_code code = find_directory(archive->shard, tail, tail_bytes, place, err);
    free(tail);
    if (code) return code;
    if (place->at > file_bytes || place->bytes > file_bytes - place->at)
        return broken(err, "is outside the file");
    if (place->bytes > DIRECTORY_MAX_BYTES ||
        place->entry_count > place->bytes / ENTRY_BYTES)
        return broken(err, "does not have the size of its entries");
    archive->directory_at = place->at;
    archive->directory_bytes = (size_t)place->bytes;
    archive->directory = malloc(archive->directory_bytes + 1);
    if (!archive->directory) return no_memory(err);
    return tensor_shard_read(archive->shard, place->at, archive->directory,
                             archive->directory_bytes, err);
}

/* ---- entries ---- */

/* Numbers that do not fit 32 bits lie in an extra field, in the order of the fixed ones. */
static bool read_extra64(struct zip_entry *entry, uint64_t *stored_bytes,
                         const unsigned char *extra, size_t extra_bytes)
{
    uint64_t *const wanted[] = {&entry->bytes, stored_bytes, &entry->header_at};
    size_t at = 0;
    while (extra_bytes - at >= 4) {
        const uint64_t tag = number_at(extra + at, 2);
        const size_t bytes = (size_t)number_at(extra + at + 2, 2);
        at += 4;
        if (bytes > extra_bytes - at) return false;
        size_t used = 0;
        for (int i = 0; tag == EXTRA_64 && i < 3; ++i) {
            if (*wanted[i] != UINT32_MAX) continue;
            if (bytes - used < 8) return false;
            *wanted[i] = number_at(extra + at + used, 8);
            used += 8;
        }
        at += bytes;
    }
    return true;
}

/* The entry at the start of left bytes; how many it takes, or 0 where it is broken. */
static size_t parse_entry(struct zip_entry *entry, const unsigned char *start,
                          size_t left)
{
    if (left < ENTRY_BYTES || memcmp(start, entry_mark, 4) != 0) return 0;
    const size_t name_bytes = (size_t)number_at(start + 28, 2);
    const size_t extra_bytes = (size_t)number_at(start + 30, 2);
    const size_t bytes =
        ENTRY_BYTES + name_bytes + extra_bytes + (size_t)number_at(start + 32, 2);
    if (bytes > left) return 0;
    uint64_t stored_bytes = number_at(start + 20, 4);
    *entry = (struct zip_entry){.name = (const char *)start + ENTRY_BYTES,
                                .name_bytes = name_bytes,
                                .header_at = number_at(start + 42, 4),
                                .bytes = number_at(start + 24, 4)};
    if (!read_extra64(entry, &stored_bytes, start + ENTRY_BYTES + name_bytes,
                      extra_bytes))
        return 0;
    entry->is_stored = number_at(start + 10, 2) == 0 &&
                       (number_at(start + 8, 2) & FLAG_ENCRYPTED) == 0 &&
                       stored_bytes == entry->bytes;
    return bytes;
}

static int compare_text(const char *left, size_t left_bytes, const char *right,
                        size_t right_bytes)
{
    const size_t shared = left_bytes < right_bytes ? left_bytes : right_bytes;
    const int order = memcmp(left, right, shared);
    if (order != 0) return order;
    return (left_bytes > right_bytes) - (left_bytes < right_bytes);
}

static int compare_entries(const void *left, const void *right)
{
    const struct zip_entry *const a = left, *const b = right;
    return compare_text(a->name, a->name_bytes, b->name, b->name_bytes);
}

static enum dr_code parse_entries(struct zip_archive *archive, uint64_t entry_count,
                                  struct dr_error *err)
{
    size_t at = 0;
    archive->entries = calloc((size_t)entry_count + 1, sizeof archive->entries[0]);
    if (!archive->entries) return no_memory(err);
    for (; archive->entry_count < entry_count; ++archive->entry_count) {
        const size_t bytes =
            parse_entry(&archive->entries[archive->entry_count],
                        archive->directory + at, archive->directory_bytes - at);
        if (bytes == 0) return broken(err, "has a broken entry");
        at += bytes;
    }
    if (at != archive->directory_bytes)
        return broken(err, "does not have the size of its entries");
    qsort(archive->entries, archive->entry_count, sizeof archive->entries[0],
          compare_entries);
    for (size_t i = 1; i < archive->entry_count; ++i)
        if (compare_entries(&archive->entries[i - 1], &archive->entries[i]) == 0)
            return broken(err, "lists a name twice");
    return DR_OK;
}

enum {
    SHOWN_NAME = 160
};

/* Of the first entry, printable; "" where there is none. */
static const char *first_name(const struct zip_archive *archive,
                              char out[static SHOWN_NAME])
{
    size_t bytes = archive->entry_count ? archive->entries[0].name_bytes : 0;
    if (bytes >= SHOWN_NAME) bytes = SHOWN_NAME - 1;
    for (size_t i = 0; i < bytes; ++i) {
        const unsigned char c = (unsigned char)archive->entries[0].name[i];
        out[i] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
    }
    out[bytes] = '\0';
    return out;
}

static enum dr_code find_folder(struct zip_archive *archive, const char *landmark,
                                struct dr_error *err)
{
    const size_t bytes = strlen(landmark);
    for (size_t i = 0; i < archive->entry_count; ++i) {
        const struct zip_entry *const entry = &archive->entries[i];
        if (entry->name_bytes <= bytes) continue;
        const size_t folder_bytes = entry->name_bytes - bytes;
        if (entry->name[folder_bytes - 1] != '/' ||
            memchr(entry->name, '/', folder_bytes - 1) ||
            memcmp(entry->name + folder_bytes, landmark, bytes) != 0)
            continue;
        archive->folder = entry->name;
        archive->folder_bytes = folder_bytes;
        return DR_OK;
    }
    char name[SHOWN_NAME];
    return error_set(err, DR_UNSUPPORTED,
                     "it is a zip file without %s: not a PyTorch checkpoint%s%s",
                     landmark,
                     archive->entry_count ? "; unpack it first: it holds " : "",
                     first_name(archive, name));
}

/* ---- the archive ---- */

enum dr_code zip_archive_open(struct zip_archive *archive,
                              const struct tensor_shard *shard, const char *landmark,
                              struct dr_error *err)
{
    struct directory_place place = {0};
    *archive = (struct zip_archive){.shard = shard};
    enum dr_code code = read_directory(archive, &place, err);
    if (!code) code = parse_entries(archive, place.entry_count, err);
    if (!code) code = find_folder(archive, landmark, err);
    if (code) zip_archive_close(archive);
    return code;
}

void zip_archive_close(struct zip_archive *archive)
{
    free(archive->directory);
    free(archive->entries);
    *archive = (struct zip_archive){0};
}

const struct zip_entry *zip_archive_find(const struct zip_archive *archive,
                                         const char *name, size_t name_bytes)
{
    size_t low = 0, high = archive->entry_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct zip_entry *const entry = &archive->entries[middle];
        int order = compare_text(archive->folder, archive->folder_bytes, entry->name,
                                 entry->name_bytes < archive->folder_bytes
                                     ? entry->name_bytes
                                     : archive->folder_bytes);
        if (order == 0)
            order = compare_text(name, name_bytes, entry->name + archive->folder_bytes,
                                 entry->name_bytes - archive->folder_bytes);
        if (order == 0) return entry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

enum dr_code zip_archive_place(const struct zip_archive *archive,
                               const struct zip_entry *entry, uint64_t *offset,
                               struct dr_error *err)
{
    unsigned char local[LOCAL_BYTES];
    if (!entry->is_stored)
        return error_set(err, DR_UNSUPPORTED,
                         "entry %.*s of its zip file is compressed or encrypted; "
                         "PyTorch stores entries uncompressed",
                         (int)(entry->name_bytes < 160 ? entry->name_bytes : 160),
                         entry->name);
    /* Entries lie before the directory. */
    if (archive->directory_at < LOCAL_BYTES ||
        entry->header_at > archive->directory_at - LOCAL_BYTES)
        return broken(err, "has an entry outside the file");
    const enum dr_code code =
        tensor_shard_read(archive->shard, entry->header_at, local, sizeof local, err);
    if (code) return code;
    if (memcmp(local, local_mark, 4) != 0)
        return broken(err, "points to an entry that does not exist");
    const uint64_t left = archive->directory_at - LOCAL_BYTES - entry->header_at;
    const uint64_t skipped = number_at(local + 26, 2) + number_at(local + 28, 2);
    if (skipped > left || entry->bytes > left - skipped)
        return broken(err, "has an entry that is larger than the file");
    *offset = entry->header_at + LOCAL_BYTES + skipped;
    return DR_OK;
}
