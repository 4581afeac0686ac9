/* Regions and their ledger: random operations against a naive model, refusals, failures on
 * purpose, guards, and what is left behind. Agreement with the kernel is in
 * kernel_view_test.c. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "mem/region.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "check.h"
#include "mem/kernel_view.h"

#define MIB ((size_t)1 << 20)

static const struct region_options unet = {.bytes = 3 * 4096,
                                           .tag = REGION_WEIGHTS,
                                           .component = "unet"};

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static size_t below(uint64_t *state, size_t limit)
{
    return (size_t)(next_random(state) % limit);
}

/* A file of bytes with a known pattern, without a name; or -1. */
static int pattern_file(size_t bytes)
{
    char path[] = "/tmp/region_test_XXXXXX";
    const int descriptor = mkstemp(path);
    if (descriptor < 0) abort();
    unlink(path);
    for (size_t at = 0; at < bytes;) {
        unsigned char block[4096];
        for (size_t i = 0; i < sizeof block; ++i)
            block[i] = (unsigned char)((at + i) * 7 >> 3);
        const size_t part = bytes - at < sizeof block ? bytes - at : sizeof block;
        if (write(descriptor, block, part) != (ssize_t)part) abort();
        at += part;
    }
    return descriptor;
}

static void opens_zeroed_and_closes(void)
{
    struct ledger ledger = {0};
    struct region region;
    check_int(region_open(&region, &ledger, &unet, NULL), ==, DR_OK);
    ledger_check(&ledger);
    check_int(region.bytes, ==, 3 * 4096);
    check_int(ledger.private_bytes, ==, 3 * 4096);
    check_int(ledger.tag_bytes[REGION_WEIGHTS], ==, 3 * 4096);
    check_int(ledger.count, ==, 1);
    check_int((uintptr_t)region.data % region_page_bytes(), ==, 0);
    for (size_t i = 0; i < region.bytes; ++i)
        if (region.data[i]) check_fail_at("byte %zu is not zero", i);
    memset(region.data, 0xFF, region.bytes);

    region_close(&region);
    region_close(&region);
    check(region.data == NULL);
    ledger_check(&ledger);
    check_int(ledger.private_bytes, ==, 0);
    check_int(ledger.count, ==, 0);
    check_int(ledger.opened_count, ==, 1);
    check_int(ledger.peak_private_bytes, ==, 3 * 4096);
    ledger_reset_peak(&ledger);
    check_int(ledger.peak_private_bytes, ==, 0);
}

static void rounds_up_to_pages_and_aligns_large_ones(void)
{
    struct ledger ledger = {0};
    struct region small, large;
    struct region_options options = unet;
    options.bytes = 1;
    check_int(region_open(&small, &ledger, &options, NULL), ==, DR_OK);
    check_int(small.bytes, ==, region_page_bytes());
    options.bytes = 5 * MIB + 1;
    check_int(region_open(&large, &ledger, &options, NULL), ==, DR_OK);
    check_int(large.bytes, ==, 5 * MIB + region_page_bytes());
    check_int((uintptr_t)large.data % (2 * MIB), ==, 0);
    region_close(&small);
    region_close(&large);
}

static void refuses_no_bytes_and_too_many(void)
{
    struct ledger ledger = {0};
    struct region region;
    struct dr_error err = {0};
    struct region_options options = unet;
    options.bytes = 0;
    check_int(region_open(&region, &ledger, &options, &err), ==, DR_BAD_INPUT);
    check(region.data == NULL);
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2,
                                  (size_t)1 << 60};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; ++i) {
        options.bytes = huge[i];
        check_int(region_open(&region, &ledger, &options, &err), ==, DR_NOMEM);
        check_has(err.message, "for unet weights");
        check(region.data == NULL);
        check_int(ledger.peak_private_bytes, ==, 0);
        check_int(ledger.opened_count, ==, 0);
        ledger_check(&ledger);
    }
}

static void refuses_beyond_the_budget(void)
{
    struct ledger ledger = {.limit_bytes = 10 * 4096};
    struct region first, second;
    struct dr_error err = {0};
    struct region_options options = unet;
    options.bytes = 6 * 4096;
    check_int(region_open(&first, &ledger, &options, &err), ==, DR_OK);
    const struct ledger before = ledger;
    options.bytes = 5 * 4096 - 100;
    check_int(region_open(&second, &ledger, &options, &err), ==, DR_OVER_BUDGET);
    check_str(err.message, "needs 20480 bytes (20.0 KiB) for unet weights, "
                           "24576 of 40960 bytes are in use");
    check(second.data == NULL);
    check(memcmp(&before, &ledger, sizeof before) == 0);
    options.bytes = 4 * 4096;
    check_int(region_open(&second, &ledger, &options, &err), ==, DR_OK);
    ledger_check(&ledger);

    /* A file costs no private bytes, so it may be mapped however full the budget is. */
    const int file = pattern_file(4 * 4096);
    struct region mapped;
    check_int(region_map(&mapped, &ledger, file, 0, &options, &err), ==, DR_OK);
    ledger_check(&ledger);
    close(file);
    region_close(&first);
    region_close(&second);
    region_close(&mapped);
}

static void maps_a_file(void)
{
    const size_t bytes = 5 * 4096 + 123;
    const int file = pattern_file(bytes);
    struct ledger ledger = {0};
    struct region region;
    struct dr_error err = {0};
    struct region_options options = unet;
    options.bytes = bytes - 4096;
    check_int(region_map(&region, &ledger, file, 4096, &options, &err), ==, DR_OK);
    check_int(region.bytes, ==, 5 * 4096);
    check_int(ledger.mapped_bytes, ==, 5 * 4096);
    check_int(ledger.private_bytes, ==, 0);
    for (size_t i = 0; i < options.bytes; ++i)
        if (region.data[i] != (unsigned char)((i + 4096) * 7 >> 3)) {
            check_fail_at("byte %zu differs", i);
            break;
        }
    region_close(&region);

    options.bytes = bytes - 4095;
    check_int(region_map(&region, &ledger, file, 4096, &options, &err), ==, DR_IO);
    check_has(err.message, "the file has only 20603 bytes");
    check(region.data == NULL);
    check_int(region_map(&region, &ledger, file, SIZE_MAX - 4095, &options, &err), ==,
              DR_IO);
    close(file);
    options.bytes = 4096;
    check_int(region_map(&region, &ledger, file, 0, &options, &err), ==, DR_IO);
    check_has(err.message, "Bad file descriptor");
    check_int(ledger.peak_mapped_bytes, ==, 5 * 4096);
    ledger_check(&ledger);
}

static void moves_between_structs(void)
{
    struct ledger ledger = {0};
    struct region a, b, c, other = {0};
    check_int(region_open(&a, &ledger, &unet, NULL), ==, DR_OK);
    check_int(region_open(&b, &ledger, &unet, NULL), ==, DR_OK);
    check_int(region_open(&c, &ledger, &unet, NULL), ==, DR_OK);
    struct region *const all[] = {&a, &b, &c};
    for (size_t i = 0; i < 3; ++i) { /* first, middle and last of the list */
        const unsigned char *const data = all[i]->data;
        region_move(&other, all[i]);
        check(all[i]->data == NULL && other.data == data);
        ledger_check(&ledger);
        check_int(ledger.count, ==, 3);
        region_move(all[i], &other);
        ledger_check(&ledger);
    }
    region_close(&b);
    ledger_check(&ledger);
    region_close(&a);
    region_close(&c);
    ledger_check(&ledger);
}

/* In a child: touch an address. Returns the signal that ended it, 0 for none. */
static int touch(volatile unsigned char *address, int writing)
{
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would exit otherwise */
        if (writing)
            *address = 1;
        else
            (void)*address;
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void guards_both_ends_and_seals(void)
{
    struct ledger ledger = {0};
    struct region region, mapped;
    const int file = pattern_file(unet.bytes);
    check_int(region_open(&region, &ledger, &unet, NULL), ==, DR_OK);
    check_int(region_map(&mapped, &ledger, file, 0, &unet, NULL), ==, DR_OK);
    close(file);
    struct region *const both[] = {&region, &mapped};
    for (size_t i = 0; i < 2; ++i) {
        unsigned char *const data = both[i]->data;
        check_int(touch(data - 1, 0), ==, SIGSEGV);
        check_int(touch(data, 0), ==, 0);
        check_int(touch(data + both[i]->bytes - 1, 0), ==, 0);
        check_int(touch(data + both[i]->bytes, 0), ==, SIGSEGV);
    }
    check_int(touch(mapped.data, 1), ==, SIGSEGV);
    check_int(touch(region.data, 1), ==, 0);
    region.data[5] = 99;
    region_seal(&region);
    check_int(touch(region.data + 5, 1), ==, SIGSEGV);
    check_int(region.data[5], ==, 99);
    unsigned char *const gone = region.data;
    region_close(&region);
    region_close(&mapped);
    check_int(touch(gone, 0), ==, SIGSEGV);
}

enum {
    SLOTS = 12
};

/* The naive model: what should be open, and in which order it was opened. */
struct model {
    size_t bytes[SLOTS]; /* 0: closed */
    enum region_tag tag[SLOTS];
    enum region_kind kind[SLOTS];
    uint64_t order[SLOTS];
    size_t peak_private, peak_mapped;
};

static size_t model_sum(const struct model *model, enum region_kind kind)
{
    size_t sum = 0;
    for (size_t i = 0; i < SLOTS; ++i)
        if (model->kind[i] == kind) sum += model->bytes[i];
    return sum;
}

static void compare(const struct model *model, const struct ledger *ledger,
                    const struct region *regions)
{
    ledger_check(ledger);
    size_t count = 0;
    for (size_t i = 0; i < SLOTS; ++i) {
        count += model->bytes[i] > 0;
        check_int(regions[i].bytes, ==, model->bytes[i]);
        check_int(regions[i].data != NULL, ==, model->bytes[i] > 0);
    }
    check_int(ledger->count, ==, count);
    check_int(ledger->private_bytes, ==, model_sum(model, REGION_PRIVATE));
    check_int(ledger->mapped_bytes, ==, model_sum(model, REGION_MAPPED));
    check_int(ledger->peak_private_bytes, ==, model->peak_private);
    check_int(ledger->peak_mapped_bytes, ==, model->peak_mapped);
    uint64_t before = 0;
    for (const struct region *region = ledger->first; region; region = region->next) {
        const uint64_t order = model->order[region - regions];
        check_int(order, >, before);
        before = order;
    }
}

static void try_open(struct model *model, struct ledger *ledger, struct region *regions,
                     int file, size_t slot, uint64_t *state)
{
    const enum region_kind kind = below(state, 3) == 0 ? REGION_MAPPED : REGION_PRIVATE;
    const struct region_options options = {
        .bytes = 1 + below(state, 60000),
        .tag = (enum region_tag)below(state, REGION_TAG_COUNT),
        .component = "job"};
    const size_t page = region_page_bytes();
    const size_t bytes = (options.bytes + page - 1) / page * page;
    const size_t private_sum = model_sum(model, REGION_PRIVATE);
    const enum dr_code code =
        kind == REGION_MAPPED
            ? region_map(&regions[slot], ledger, file, 0, &options, NULL)
            : region_open(&regions[slot], ledger, &options, NULL);
    if (kind == REGION_PRIVATE && private_sum + bytes > ledger->limit_bytes) {
        check_int(code, ==, DR_OVER_BUDGET);
        return;
    }
    check_int(code, ==, DR_OK);
    model->bytes[slot] = bytes;
    model->tag[slot] = options.tag;
    model->kind[slot] = kind;
    model->order[slot] = ledger->opened_count;
    const size_t sums[] = {model_sum(model, REGION_PRIVATE),
                           model_sum(model, REGION_MAPPED)};
    if (sums[0] > model->peak_private) model->peak_private = sums[0];
    if (sums[1] > model->peak_mapped) model->peak_mapped = sums[1];
}

static void move_slot(struct model *model, struct region *regions, size_t from,
                      size_t to)
{
    region_move(&regions[to], &regions[from]);
    model->bytes[to] = model->bytes[from];
    model->tag[to] = model->tag[from];
    model->kind[to] = model->kind[from];
    model->order[to] = model->order[from];
    model->bytes[from] = 0;
}

static void follows_a_naive_model(void)
{
    const int rounds = getenv("DARKROOM_TEST_LONG") ? 200000 : 4000;
    const uint64_t seed = 7;
    fprintf(stderr, "seed %llu, %d operations\n", (unsigned long long)seed, rounds);
    uint64_t state = seed;
    struct ledger ledger = {.limit_bytes = 200000};
    struct model model = {0};
    struct region regions[SLOTS] = {0};
    const int file = pattern_file(60000);
    for (int round = 0; round < rounds; ++round) {
        const size_t slot = below(&state, SLOTS), other = below(&state, SLOTS);
        if (!model.bytes[slot]) {
            try_open(&model, &ledger, regions, file, slot, &state);
        } else if (!model.bytes[other] && below(&state, 2)) {
            move_slot(&model, regions, slot, other);
        } else if (below(&state, 20) == 0) {
            ledger_reset_peak(&ledger);
            model.peak_private = model_sum(&model, REGION_PRIVATE);
            model.peak_mapped = model_sum(&model, REGION_MAPPED);
        } else {
            region_close(&regions[slot]);
            model.bytes[slot] = 0;
        }
        compare(&model, &ledger, regions);
    }
    for (size_t slot = 0; slot < SLOTS; ++slot)
        region_close(&regions[slot]);
    close(file);
    check_int(ledger.private_bytes + ledger.mapped_bytes + ledger.count, ==, 0);
}

/* A job of several regions that undoes itself on the first failure. */
static enum dr_code open_several(struct ledger *ledger, struct region regions[4],
                                 int file, struct dr_error *err)
{
    struct region_options options = unet;
    enum dr_code code = region_open(&regions[0], ledger, &options, err);
    options.bytes = 6 * MIB;
    if (!code) code = region_open(&regions[1], ledger, &options, err);
    options.bytes = 5000;
    if (!code) code = region_map(&regions[2], ledger, file, 0, &options, err);
    if (!code) code = region_open(&regions[3], ledger, &options, err);
    if (code)
        for (int i = 0; i < 4; ++i)
            region_close(&regions[i]);
    return code;
}

static size_t kernel_private_bytes(void)
{
    struct kernel_totals totals = {0};
    check_int(kernel_totals_read(&totals, NULL), ==, DR_OK);
    return totals.private_bytes;
}

/* Fail each visit in turn, once and from then on, until none strikes: every time the
 * ledger and the kernel's figure are what they were. */
static void failures_leave_nothing_behind(void)
{
    const int file = pattern_file(8192);
    struct ledger ledger = {0};
    struct region kept;
    check_int(region_open(&kept, &ledger, &unet, NULL), ==, DR_OK);
    const struct ledger before = ledger;
    for (int mode = FAULT_ONCE; mode <= FAULT_FROM_THEN_ON; ++mode) {
        int64_t nth = 1;
        for (;; ++nth) {
            struct region regions[4] = {0};
            struct dr_error err = {0};
            const size_t held = kernel_private_bytes();
            fault_arm(1u << FAULT_REGION | 1u << FAULT_MAP, nth, (enum fault_mode)mode);
            const enum dr_code code = open_several(&ledger, regions, file, &err);
            fault_disarm();
            if (!fault_has_struck()) {
                check_int(code, ==, DR_OK);
                for (int i = 0; i < 4; ++i)
                    region_close(&regions[i]);
                break;
            }
            check_int(code, ==, DR_NOMEM);
            check_has(err.message, "the system refused");
            check_has(err.message, "unet weights");
            ledger_check(&ledger);
            check_int(ledger.private_bytes, ==, before.private_bytes);
            check_int(ledger.mapped_bytes, ==, 0);
            check_int(ledger.count, ==, 1);
            check(ledger.first == before.first && ledger.last == before.last);
#if !defined(__SANITIZE_ADDRESS__) /* its shadow of new addresses stays resident */
            check_int(kernel_private_bytes(), <=, held + 16384);
#else
            (void)held;
#endif
        }
        check_int(nth, ==, 9); /* 3 private and 1 mapped region, two visits each */
    }
    region_close(&kept);
    close(file);
}

/* A refusal leaves the peaks as they were: nothing was held. */
static void a_failed_open_is_no_peak(void)
{
    struct ledger ledger = {0};
    struct region kept, region;
    check_int(region_open(&kept, &ledger, &unet, NULL), ==, DR_OK);
    const struct ledger before = ledger;
    struct region_options options = unet;
    options.bytes = 100 * 4096;
    options.tag = REGION_ACTIVATIONS;
    for (int visit = 1; visit <= 2; ++visit) {
        fault_arm(1u << FAULT_REGION, visit, FAULT_ONCE);
        check_int(region_open(&region, &ledger, &options, NULL), ==, DR_NOMEM);
        check(memcmp(&before, &ledger, sizeof before) == 0);
    }
    fault_disarm();
    region_close(&kept);
}

/* What an observer was told, added up. */
struct told {
    const struct ledger *ledger;
    size_t opened, closed, bytes;
};

static void note_change(void *cookie, enum ledger_change change,
                        const struct region *region)
{
    struct told *const told = cookie;
    check(region->data);
    if (change == LEDGER_OPENED) {
        ++told->opened;
        told->bytes += region->bytes;
    } else {
        ++told->closed;
        told->bytes -= region->bytes;
    }
    check_int(told->bytes, ==,
              told->ledger->private_bytes + told->ledger->mapped_bytes);
}

/* A file that cannot be mapped is not a lack of memory, and no smaller picture helps. */
static void what_the_file_refuses_is_no_lack_of_memory(void)
{
    char path[] = "/tmp/region_test_XXXXXX";
    struct ledger ledger = {0};
    struct region region;
    struct dr_error err = {0};
    const int made = mkstemp(path);
    const int descriptor = open(path, O_WRONLY);
    check(made >= 0 && descriptor >= 0 && ftruncate(made, 3 * 4096) == 0);
    check_int(region_map(&region, &ledger, descriptor, 0, &unet, &err), ==, DR_IO);
    check_has(err.message, "Permission denied");
    check(strstr(err.message, "picture") == NULL);
    check_int(ledger.mapped_bytes, ==, 0);
    (void)close(descriptor);
    (void)close(made);
    (void)unlink(path);
}

static void tells_what_comes_and_goes(void)
{
    struct ledger ledger = {0};
    struct told told = {.ledger = &ledger};
    struct region a, b, moved = {0};
    ledger.observer = (struct ledger_observer){.changed = note_change, .cookie = &told};
    check_int(region_open(&a, &ledger, &unet, NULL), ==, DR_OK);
    const int file = pattern_file(4096);
    const struct region_options page = {4096, REGION_WEIGHTS, "vae"};
    check_int(region_map(&b, &ledger, file, 0, &page, NULL), ==, DR_OK);
    check_int(told.opened, ==, 2);

    /* What was refused never came, and moving is neither coming nor going. */
    fault_arm(1U << FAULT_REGION, 1, FAULT_ONCE);
    struct region refused;
    check_int(region_open(&refused, &ledger, &unet, NULL), ==, DR_NOMEM);
    fault_disarm();
    region_move(&moved, &a);
    check_int(told.opened, ==, 2);
    check_int(told.closed, ==, 0);

    region_close(&moved);
    region_close(&b);
    region_close(&b);
    check_int(told.closed, ==, 2);
    check_int(told.bytes, ==, 0);
    (void)close(file);
}

static void names_tags_and_kinds(void)
{
    check_str(region_tag_name(REGION_WEIGHTS), "weights");
    check_str(region_tag_name(REGION_SCRATCH), "scratch");
    check_str(region_kind_name(REGION_PRIVATE), "private");
    check_str(region_kind_name(REGION_MAPPED), "mapped");
}

int main(void)
{
    check_run(opens_zeroed_and_closes);
    check_run(rounds_up_to_pages_and_aligns_large_ones);
    check_run(refuses_no_bytes_and_too_many);
    check_run(refuses_beyond_the_budget);
    check_run(maps_a_file);
    check_run(moves_between_structs);
    check_run(guards_both_ends_and_seals);
    check_run(follows_a_naive_model);
    check_run_with_faults(failures_leave_nothing_behind);
    check_run_with_faults(a_failed_open_is_no_peak);
    check_run(what_the_file_refuses_is_no_lack_of_memory);
    check_run_with_faults(tells_what_comes_and_goes);
    check_run(names_tags_and_kinds);
    return check_done();
}
