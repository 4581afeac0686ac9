/* pack_store_fixture.h — a store of packs with a component that packs are made of: what the tests of the
 * store and of its room share.
 */
#ifndef WEIGHTS_PACK_STORE_FIXTURE_H
#define WEIGHTS_PACK_STORE_FIXTURE_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "pack_folder.h"
#include "scratch_folder.h"
#include "weights/pack_store.h"

enum {
    DATA_BYTES = 100000
};

static struct pack_store store;
static struct dr_error problem;
static uint8_t layout[DIGEST_BYTES] = {7};
static uint8_t digests[1][DIGEST_BYTES];

/* A component of one file, whose identity is what it is now. */
static struct tensor_shard shard;
static struct tensor_file file;
static struct component_index source;

static inline void look_at_source(void)
{
    const int descriptor = open(shard.path, O_RDONLY);
    check_int(file_identity_read(&shard.identity, descriptor, shard.path, &problem), ==,
              DR_OK);
    (void)close(descriptor);
}

static inline struct pack_key key_number(int number)
{
    struct pack_key key = {.content = {(uint8_t)number}};
    memcpy(key.layout, layout, sizeof layout);
    return key;
}

/* Make the pack of a key, with data of one repeated byte. */
static inline void make_pack(int number, size_t data_bytes)
{
    struct pack_draft draft;
    struct pack pack;
    const struct pack_key key = key_number(number);
    unsigned char *const data = calloc(1, data_bytes);
    check_int(pack_store_draft(&store, &source, layout, data_bytes, &draft, &problem),
              ==, DR_OK);
    check_int(pwrite(draft.descriptor, data, data_bytes, (off_t)draft.data_offset), ==,
              data_bytes);
    pack_section_digest(data, data_bytes, 0, digests[0]);
    check_int(pack_store_commit(&store, &draft, &key,
                                (const uint8_t(*)[DIGEST_BYTES])digests, &source, &pack,
                                &problem),
              ==, DR_OK);
    pack_close(&pack);
    free(data);
}

static inline void use_at(int number, time_t when)
{
    char path[PACK_PATH_BYTES];
    const struct pack_key key = key_number(number);
    pack_store_path(&store, &key, path);
    const size_t length = strlen(path);
    (void)snprintf(path + length - strlen(".pack"), 16, ".checked");
    const struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};
    check_int(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

/* The file of the component, as it is now. */
static inline void begin_source(void)
{
    shard.path = scratch_path("a.safetensors");
    shard.descriptor = -1;
    scratch_write(shard.path, "original", 8);
    file = (struct tensor_file){.path = shard.path, .shards = &shard, .shard_count = 1};
    source = (struct component_index){.role = ROLE_VAE, .file = &file};
    look_at_source();
}

#endif
