/* The file of a pack: what is written is read, and nothing else is taken for one. */
#include "weights/pack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "check.h"
#include "scratch_folder.h"

enum {
    DATA_BYTES = 2 * PACK_SECTION_BYTES + 12345,
    SECTIONS = 3
};

static struct pack_key key;
static unsigned char *data;
static uint8_t digests[SECTIONS][DIGEST_BYTES];
static struct dr_error problem;

static const uint8_t (*kept(void))[DIGEST_BYTES]
{
    return (const uint8_t(*)[DIGEST_BYTES])digests;
}

/* Some kernels count change times in ticks of 10 ms. */
static void wait_for_tick(void)
{
    const struct timespec time = {.tv_nsec = 25000000};
    (void)nanosleep(&time, NULL);
}

static void write_pack(const char *path)
{
    size_t offset, bytes;
    check(pack_extent(DATA_BYTES, &offset, &bytes));
    const int descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    check(descriptor >= 0);
    check_int(ftruncate(descriptor, (off_t)bytes), ==, 0);
    check_int(pwrite(descriptor, data, DATA_BYTES, (off_t)offset), ==, DATA_BYTES);
    check_int(pack_write_head(descriptor, path, &key, DATA_BYTES, kept(),
                              "vae of /models/a.safetensors", &problem),
              ==, DR_OK);
    (void)close(descriptor);
}

static void what_is_written_is_read(void)
{
    struct pack pack;
    const char *const path = scratch_path("whole.pack");
    write_pack(path);
    check_int(pack_open(&pack, path, &key, &problem), ==, DR_OK);
    check_int(pack.data_bytes, ==, DATA_BYTES);
    check_int(pack.data_offset % PACK_ALIGN, ==, 0);
    check_int(pack.section_count, ==, SECTIONS);
    check_str(pack.source, "vae of /models/a.safetensors");
    check(memcmp(&pack.key, &key, sizeof key) == 0);
    check(pack_is_unchanged(&pack));
    check_int(pack_check(&pack, path, kept(), &problem), ==, DR_OK);
    pack_close(&pack);
    pack_close(&pack);
    check(!pack_is_unchanged(&pack));
    check_int(pack_open(&pack, path, NULL, &problem), ==, DR_OK);
    pack_close(&pack);
}

static void another_section_is_seen(void)
{
    struct pack pack;
    const char *const path = scratch_path("sections.pack");
    write_pack(path);
    check_int(pack_open(&pack, path, &key, &problem), ==, DR_OK);
    for (int i = 0; i < SECTIONS; ++i) {
        uint8_t others[SECTIONS][DIGEST_BYTES];
        memcpy(others, digests, sizeof others);
        others[i][31] ^= 1;
        check_int(pack_check(&pack, path, (const uint8_t(*)[DIGEST_BYTES])others,
                             &problem),
                  ==, DR_CORRUPT);
        char which[32];
        (void)snprintf(which, sizeof which, "section %d of 3", i + 1);
        check_has(problem.message, which);
    }
    fault_arm(1U << FAULT_VERIFY, 1, FAULT_ONCE);
    check_int(pack_check(&pack, path, kept(), &problem), ==, DR_CORRUPT);
    fault_disarm();
    pack_close(&pack);
}

static void sections_cover_the_data(void)
{
    check_int(pack_section_count(1), ==, 1);
    check_int(pack_section_count(PACK_SECTION_BYTES), ==, 1);
    check_int(pack_section_count((size_t)PACK_SECTION_BYTES + 1), ==, 2);
    for (size_t i = 0; i < SECTIONS; ++i) {
        uint8_t before[DIGEST_BYTES], after[DIGEST_BYTES];
        const size_t start = i * PACK_SECTION_BYTES;
        const size_t end = i + 1 < SECTIONS ? start + PACK_SECTION_BYTES : DATA_BYTES;
        pack_section_digest(data, DATA_BYTES, i, before);
        check(memcmp(before, digests[i], DIGEST_BYTES) == 0);
        const size_t places[] = {start, end - 1};
        for (int k = 0; k < 2; ++k) {
            data[places[k]] ^= 0x10;
            pack_section_digest(data, DATA_BYTES, i, after);
            check(memcmp(before, after, DIGEST_BYTES) != 0);
            data[places[k]] ^= 0x10;
        }
    }
}

/* Every byte of head and table, one bit of it; every length. */
static void damage_is_no_pack(void)
{
    struct pack pack;
    const char *const path = scratch_path("damaged.pack");
    write_pack(path);
    check_int(pack_open(&pack, path, &key, NULL), ==, DR_OK);
    const size_t file_bytes = (size_t)pack.identity.bytes;
    const size_t head_bytes = 16 + 4 * 8 + 4 * DIGEST_BYTES + PACK_SOURCE_BYTES;
    const size_t table_bytes = SECTIONS * DIGEST_BYTES;
    pack_close(&pack);
    const int descriptor = open(path, O_RDWR);
    for (size_t at = 0; at < head_bytes + table_bytes; ++at) {
        unsigned char byte;
        check_int(pread(descriptor, &byte, 1, (off_t)at), ==, 1);
        const unsigned char wrong = (unsigned char)(byte ^ 1U << at % 8);
        check_int(pwrite(descriptor, &wrong, 1, (off_t)at), ==, 1);
        enum dr_code code = pack_open(&pack, path, &key, &problem);
        if (code == DR_OK) code = pack_check(&pack, path, kept(), &problem);
        if (code != DR_CORRUPT) check_fail_at("byte %zu: code %d", at, (int)code);
        pack_close(&pack);
        check_int(pwrite(descriptor, &byte, 1, (off_t)at), ==, 1);
    }
    const size_t lengths[] = {0,
                              1,
                              15,
                              16,
                              head_bytes - 1,
                              head_bytes,
                              file_bytes / 2,
                              file_bytes - 1,
                              file_bytes + 1,
                              file_bytes + PACK_ALIGN};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; ++i) {
        write_pack(path);
        check_int(truncate(path, (off_t)lengths[i]), ==, 0);
        check_int(pack_open(&pack, path, &key, &problem), ==, DR_CORRUPT);
        check_has(problem.message, path);
    }
    (void)close(descriptor);
}

static void another_key_is_refused(void)
{
    struct pack pack;
    const char *const path = scratch_path("key.pack");
    write_pack(path);
    struct pack_key other = key;
    other.content[0] ^= 1;
    check_int(pack_open(&pack, path, &other, &problem), ==, DR_CORRUPT);
    check_has(problem.message, "other weights");
    other = key;
    other.layout[31] ^= 1;
    check_int(pack_open(&pack, path, &other, &problem), ==, DR_CORRUPT);
}

static void what_is_no_file_is_refused(void)
{
    struct pack pack;
    const char *const fifo = scratch_path("fifo.pack"), *const link =
                                                            scratch_path("link.pack");
    check_int(pack_open(&pack, scratch_path("none.pack"), &key, &problem), ==,
              DR_NOT_FOUND);
    check_int(mkfifo(fifo, 0600), ==, 0);
    check_int(pack_open(&pack, fifo, &key, &problem), ==, DR_CORRUPT);
    check_int(pack_open(&pack, scratch_folder(), &key, &problem), ==, DR_CORRUPT);
    write_pack(scratch_path("target.pack"));
    check_int(symlink(scratch_path("target.pack"), link), ==, 0);
    check_int(pack_open(&pack, link, &key, &problem), ==, DR_IO);
    check_int(pack.descriptor, ==, -1);
}

static void a_change_is_seen(void)
{
    struct pack pack;
    const char *const path = scratch_path("changed.pack");
    write_pack(path);
    check_int(pack_open(&pack, path, &key, NULL), ==, DR_OK);
    check(pack_is_unchanged(&pack));
    wait_for_tick();
    check_int(chmod(path, 0400), ==, 0); /* even where size and content stay */
    check(!pack_is_unchanged(&pack));
    pack_close(&pack);
    check_int(pack_open(&pack, path, &key, NULL), ==, DR_OK);
    /* A name less is no other content; a write is. */
    check(pack_has_name(&pack));
    check_int(unlink(path), ==, 0);
    check(!pack_has_name(&pack));
    check(pack_is_unchanged(&pack));
    check_int(ftruncate(pack.descriptor, 10), !=, 0); /* it is open for reading alone */
    pack_close(&pack);
    write_pack(path);
    check_int(pack_open(&pack, path, &key, NULL), ==, DR_OK);
    wait_for_tick();
    const int writer = open(path, O_WRONLY);
    check_int(unlink(path), ==, 0);
    check_int(pwrite(writer, "x", 1, 100000), ==, 1);
    (void)close(writer);
    check(!pack_is_unchanged(&pack));
    pack_close(&pack);
}

/* What a process keeps that could not give its pack a name. */
static void a_nameless_file_is_adopted(void)
{
    struct pack pack;
    const char *const path = scratch_path("nameless.pack");
    write_pack(path);
    const int descriptor = open(path, O_RDONLY);
    check_int(unlink(path), ==, 0);
    check_int(pack_adopt(&pack, descriptor, &key, DATA_BYTES, &problem), ==, DR_OK);
    check(pack_is_unchanged(&pack) && !pack_has_name(&pack));
    unsigned char byte = 0;
    check_int(pread(pack.descriptor, &byte, 1, (off_t)pack.data_offset + 5), ==, 1);
    check_int(byte, ==, data[5]);
    pack_close(&pack);
}

static void sizes_are_bounded(void)
{
    size_t offset, bytes;
    check(!pack_extent(0, &offset, &bytes));
    check(!pack_extent(SIZE_MAX, &offset, &bytes));
    check(!pack_extent(SIZE_MAX / 2, &offset, &bytes));
    check(pack_extent(1, &offset, &bytes));
    check_int(bytes, ==, offset + PACK_ALIGN);
}

int main(void)
{
    data = malloc(DATA_BYTES);
    if (!data) return 1;
    uint32_t state = 1;
    for (size_t i = 0; i < DATA_BYTES; ++i) {
        state = state * 1664525U + 1013904223U;
        data[i] = (unsigned char)(state >> 24);
    }
    for (size_t i = 0; i < sizeof key.content; ++i) {
        key.content[i] = (uint8_t)(i * 7 + 1);
        key.layout[i] = (uint8_t)(i * 5 + 3);
    }
    for (size_t i = 0; i < SECTIONS; ++i)
        pack_section_digest(data, DATA_BYTES, i, digests[i]);
    check_run(what_is_written_is_read);
    check_run_with_faults(another_section_is_seen);
    check_run(sections_cover_the_data);
    check_run(damage_is_no_pack);
    check_run(another_key_is_refused);
    check_run(what_is_no_file_is_refused);
    check_run(a_change_is_seen);
    check_run(a_nameless_file_is_adopted);
    check_run(sizes_are_bounded);
    free(data);
    return check_done();
}
