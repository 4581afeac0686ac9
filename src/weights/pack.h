/* pack — a component's weights in the execution layout, in a file that is mapped.
 *
 *     head, padded | table: a digest for each section | ... | data, from a multiple of 64 KiB
 *
 * A pack is a cache of a checkpoint's weights. Its key identifies its content: the digest of the
 * component's tensors as the checkpoint stores them (`content`), and a digest of everything that
 * determines their layout in memory (`layout`: precision, the library's layouts, processor,
 * version). So a pack matches its key or is damaged; it is never outdated.
 *
 * Opening reads the header only. Whether the data are unchanged is checked with the digests of the
 * sections, for which the whole pack is read (about 1.5 GB/s); the caller decides when
 * (pack_store.h).
 *
 * Numbers are little-endian. Threads: a pack is used by one thread at a time; pack_section_digest
 * may run in several.
 */
#ifndef WEIGHTS_PACK_H
#define WEIGHTS_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "weights/file_identity.h"

enum {
    PACK_SECTION_BYTES = 8 << 20,
    PACK_SOURCE_BYTES = 512,
    PACK_ALIGN = 64 * 1024, /* of the data and of the file's end: any system's page */
};

struct pack_key {
    uint8_t content[DIGEST_BYTES];
    uint8_t layout[DIGEST_BYTES];
};

struct pack {
    int descriptor; /* -1: closed */
    struct pack_key key;
    size_t data_offset, data_bytes;
    size_t section_count;
    uint8_t table[DIGEST_BYTES];    /* digest of the sections' digests */
    char source[PACK_SOURCE_BYTES]; /* for messages: "vae of /models/a.safetensors" */
    struct file_identity identity;  /* header: the head's digest */
};
#define PACK_INIT ((struct pack){.descriptor = -1})

/* Open and check the head. key: the expected key; NULL: any. Errors: DR_NOT_FOUND (no such
 * file), DR_IO, DR_CORRUPT (no pack, cut short, another version, another key). */
enum dr_code pack_open(struct pack *pack, const char *path, const struct pack_key *key,
                       struct dr_error *err) DR_MUST_CHECK;
void pack_close(struct pack *pack); /* a closed one is fine */
/* Is this file a pack of an earlier version, which no process of this one uses? By its first bytes. */
bool pack_is_outdated(const char *path);

/* Takes over the descriptor of an unnamed file whose data are in place: a pack that could not be
 * stored, but can be used while it is open. Errors: DR_IO; the descriptor is closed then. */
enum dr_code pack_adopt(struct pack *pack, int descriptor_take,
                        const struct pack_key *key, size_t data_bytes,
                        struct dr_error *err) DR_MUST_CHECK;

/* Is the open file unchanged since it was opened? A file that was removed in the meantime (by
 * prune) counts as unchanged if nobody wrote to it. */
bool pack_is_unchanged(const struct pack *pack);
/* Does it still have a name? */
bool pack_has_name(const struct pack *pack);

/* The number of sections of so many bytes of data; room for their digests, NULL where there is no
 * memory. */
size_t pack_section_count(size_t data_bytes);
uint8_t (*pack_table_create(size_t data_bytes))[DIGEST_BYTES];
void pack_table_destroy(uint8_t (*table)[DIGEST_BYTES]); /* NULL is fine */
/* The digest of section `section` of data (data_bytes in all). */
void pack_section_digest(const unsigned char *data, size_t data_bytes, size_t section,
                         uint8_t digest[DIGEST_BYTES]);

/* Compares the digests of all sections, computed from the data, with the pack's. Errors:
 * DR_CORRUPT names the first that differs, DR_IO. */
enum dr_code pack_check(const struct pack *pack, const char *path,
                        const uint8_t (*digests)[DIGEST_BYTES],
                        struct dr_error *err) DR_MUST_CHECK;

/* Where the data of a pack of this many bytes begin, and the size of its file. False if a pack
 * of this size is impossible. */
bool pack_extent(size_t data_bytes, size_t *data_offset, size_t *file_bytes);

/* Write the head and the table of a pack whose data are in place. Errors: DR_IO. */
enum dr_code pack_write_head(int descriptor, const char *path,
                             const struct pack_key *key, size_t data_bytes,
                             const uint8_t (*digests)[DIGEST_BYTES], const char *source,
                             struct dr_error *err) DR_MUST_CHECK;

#endif
