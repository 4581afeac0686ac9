/* zip_archive — finds the stored entries of a zip file.
 *
 * PyTorch writes a checkpoint as a zip file with uncompressed entries, so that a tensor's bytes
 * can be read in place. This module reads the directory at the end of the file, with the 64-bit
 * extensions, and returns the position of an entry's bytes; it decompresses nothing. An entry is
 * found by its name inside the archive's own directory, "name/data.pkl".
 *
 * Errors: DR_CORRUPT (truncated, an inconsistent directory), DR_UNSUPPORTED (a requested entry
 * that is compressed or encrypted), DR_IO, DR_CHANGED, DR_NOMEM.
 * Source: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3.
 */
#ifndef WEIGHTS_ZIP_ARCHIVE_H
#define WEIGHTS_ZIP_ARCHIVE_H

#include "weights/tensor_reader.h"

struct zip_entry {
    const char *name; /* in the directory; not terminated */
    size_t name_bytes;
    uint64_t header_at, bytes; /* from the file's start; of the content */
    bool is_stored;            /* neither compressed nor encrypted */
};

struct zip_archive {
    const struct tensor_shard *shard; /* borrowed */
    unsigned char *directory;         /* heap; the names lie in it */
    uint64_t directory_at;
    size_t directory_bytes;
    struct zip_entry *entries; /* heap; sorted by name */
    size_t entry_count;
    const char *folder; /* what comes before the names that are asked for */
    size_t folder_bytes;
};

/* The folder is that of the entry "<folder>/<landmark>"; without one, error DR_UNSUPPORTED.
 * On error *archive is zero. */
enum dr_code zip_archive_open(struct zip_archive *archive,
                              const struct tensor_shard *shard, const char *landmark,
                              struct dr_error *err) DR_MUST_CHECK;
void zip_archive_close(struct zip_archive *archive); /* zeroed is fine */

/* NULL if the directory has no entry of that name. */
const struct zip_entry *zip_archive_find(const struct zip_archive *archive,
                                         const char *name, size_t name_bytes);

/* The position of the entry's content in the file; all of it is within the file. */
enum dr_code zip_archive_place(const struct zip_archive *archive,
                               const struct zip_entry *entry, uint64_t *offset,
                               struct dr_error *err) DR_MUST_CHECK;

#endif
