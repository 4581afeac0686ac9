/* What the proofs of switching share: verdicts, processes of their own, and a second opinion on
 * memory, read from smaps here and not by kernel_view.
 *
 * A checker returns a verdict, empty where all holds. The tests want it empty; their negative
 * controls run the same checker over a process that commits one of fault.h's sabotages, and want
 * the sentence that tells of it. Such a process is always one of its own: what it leaks and
 * believes ends with it. So nothing here calls check_*() but run_part.
 */
#ifndef ENGINE_SWITCH_FIXTURE_H
#define ENGINE_SWITCH_FIXTURE_H

#include <inttypes.h>
#include <sys/wait.h>

#include "base/fault_fixture.h"
#include "engine/engine_fixture.h"

/* ---- verdicts ----------------------------------------------------------------------------- */

struct verdict {
    char why[1500]; /* sentences, each ending in ". "; "": it holds */
};

static inline bool verdict_holds(const struct verdict *verdict)
{
    return verdict->why[0] == '\0';
}

static inline void verdict_add(struct verdict *verdict, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static inline void verdict_add(struct verdict *verdict, const char *format, ...)
{
    const size_t used = strlen(verdict->why);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(verdict->why + used, sizeof verdict->why - used, format, arguments);
    va_end(arguments);
    const size_t end = strlen(verdict->why);
    (void)snprintf(verdict->why + end, sizeof verdict->why - end, ". ");
}

/* Are weights mapped from packs in this run of the test? (DARKROOM_PACKS names their folder, and it
 * can be used.) */
static inline bool has_packs(void)
{
    struct pack_store store;
    const char *const folder = getenv("DARKROOM_PACKS");
    if (!folder || strcmp(folder, "off") == 0) return false;
    pack_store_open(&store, folder);
    return pack_store_is_on(&store);
}

/* Why this run, which is to have packs, cannot: to be skipped. NULL: it has them, or is to have none. */
static inline const char *packs_missing(void)
{
    static struct pack_store store;
    const char *const folder = getenv("DARKROOM_PACKS");
    if (!folder || strcmp(folder, "off") == 0) return NULL;
    pack_store_open(&store, folder);
    return pack_store_is_on(&store) ? NULL : store.off_reason;
}

/* ---- a process of its own ------------------------------------------------------------------ */

enum {
    PART_ARGUMENTS = 3 /* of main: part, sabotage, folder */
};

/* Run this program again as `part`, committing a sabotage; what it says is kept in part.log. What
 * it hands back is a record of `bytes`, written by end_part. */
static inline void run_part(const char *part, enum fault_sabotage sabotage,
                            void *record, size_t bytes)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%d", (int)sabotage);
    (void)unlink(in_root("part.record"));
    const char *const log = in_root("part.log");
    const pid_t child = fork();
    if (child == 0) {
        if (!freopen(log, "w", stdout) || !freopen(log, "a", stderr)) _exit(126);
        (void)execl("/proc/self/exe", "part", part, number, fixture_root, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    check_int(waitpid(child, &status, 0), ==, child);
    check_int(status, ==, 0);
    FILE *const file = fopen(in_root("part.record"), "rb");
    check(file && fread(record, bytes, 1, file) == 1);
    if (file) (void)fclose(file);
}

/* What main does with its arguments: true where this process is a part; then its name and
 * sabotage, the fixture's folder being its parent's. */
static inline bool is_part(int count, char **arguments, const char **part,
                           enum fault_sabotage *sabotage)
{
    if (count != 1 + PART_ARGUMENTS) return false;
    *part = arguments[1];
    *sabotage = (enum fault_sabotage)atoi(arguments[2]);
    (void)snprintf(fixture_root, sizeof fixture_root, "%s", arguments[3]);
    return true;
}

/* Hand the record to the parent and end, without the clean-up that a sabotage may have made
 * impossible. */
static inline void end_part(const void *record, size_t bytes) __attribute__((noreturn));
static inline void end_part(const void *record, size_t bytes)
{
    FILE *const file = fopen(in_root("part.record"), "wb");
    const bool written = file && fwrite(record, bytes, 1, file) == 1;
    const bool closed = file && fclose(file) == 0;
    _exit(written && closed ? 0 : 1);
}

/* ---- a second opinion on memory ------------------------------------------------------------ */

struct mapping {
    uint64_t start, end, rss_bytes, anonymous_bytes;
};

struct mapping_list {
    struct mapping *items;
    size_t count, capacity;
};

static inline void mapping_add(struct mapping_list *list, uint64_t start, uint64_t end)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 512;
        list->items = realloc(list->items, list->capacity * sizeof *list->items);
        if (!list->items) exit(1);
    }
    list->items[list->count++] = (struct mapping){.start = start, .end = end};
}

/* The lines of /proc/self/smaps; items to be freed. */
static inline struct mapping_list read_mappings(void)
{
    struct mapping_list list = {0};
    char line[4096];
    FILE *const file = fopen("/proc/self/smaps", "r");
    while (file && fgets(line, sizeof line, file)) {
        uint64_t start, end, kib;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2)
            mapping_add(&list, start, end);
        else if (list.count && sscanf(line, "Rss: %" SCNu64, &kib) == 1)
            list.items[list.count - 1].rss_bytes = kib * 1024;
        else if (list.count && sscanf(line, "Anonymous: %" SCNu64, &kib) == 1)
            list.items[list.count - 1].anonymous_bytes = kib * 1024;
    }
    if (file) (void)fclose(file);
    return list;
}

/* Resident bytes of the mapping that is exactly this range; 0 where there is none. */
static inline uint64_t resident_at(const struct mapping_list *list, uint64_t start,
                                   uint64_t bytes)
{
    for (size_t i = 0; i < list->count; ++i)
        if (list->items[i].start == start && list->items[i].end == start + bytes)
            return list->items[i].rss_bytes;
    return 0;
}

/* A region as it was once: is it still what it was? */
struct trace {
    uint64_t start, bytes, serial;
    char what[40];
};

enum {
    MOST_TRACES = 16
};

struct trace_list {
    struct trace items[MOST_TRACES];
    int count;
};

static inline struct trace_list trace_regions(const struct dr_engine *engine)
{
    struct trace_list list = {0};
    for (const struct region *r = engine->resources.ledger.first; r; r = r->next) {
        if (list.count == MOST_TRACES) exit(1);
        struct trace *const trace = &list.items[list.count++];
        *trace = (struct trace){.start = (uint64_t)(uintptr_t)r->data,
                                .bytes = r->bytes,
                                .serial = r->serial};
        (void)snprintf(trace->what, sizeof trace->what, "%s %s", r->component,
                       region_tag_name(r->tag));
    }
    return list;
}

static inline const struct region *region_at(const struct dr_engine *engine,
                                             uint64_t start)
{
    for (const struct region *r = engine->resources.ledger.first; r; r = r->next)
        if ((uint64_t)(uintptr_t)r->data == start) return r;
    return NULL;
}

/* None of these regions is in the ledger, nor anything resident at its addresses but regions that
 * were opened since. */
static inline void judge_gone(const struct dr_engine *engine,
                              const struct trace_list *before, struct verdict *verdict)
{
    struct mapping_list now = read_mappings();
    for (int i = 0; i < before->count; ++i) {
        const struct trace *const trace = &before->items[i];
        const struct region *const there = region_at(engine, trace->start);
        uint64_t left = 0;
        if (there && there->serial == trace->serial)
            verdict_add(verdict, "%s of %" PRIu64 " bytes is still in the ledger",
                        trace->what, trace->bytes);
        for (size_t k = 0; k < now.count; ++k) {
            const struct mapping *const m = &now.items[k];
            const bool overlaps =
                m->start < trace->start + trace->bytes && m->end > trace->start;
            if (overlaps && !region_at(engine, m->start)) left += m->rss_bytes;
        }
        if (left)
            verdict_add(verdict, "%" PRIu64 " bytes are still resident where %s was",
                        left, trace->what);
    }
    free(now.items);
}

/* What is compared between two processes. */
struct look {
    uint64_t ledger, kernel;                 /* private bytes */
    uint64_t image, heap, stack, jit, other; /* the residual */
    uint64_t mapped;    /* bytes of the ledger's mapped regions: packs */
    uint64_t resident;  /* at the addresses of its private regions, as read here */
    uint64_t anonymous; /* resident, of the whole process, as read here */
};

static inline struct look take_look(struct dr_engine *engine, struct verdict *verdict)
{
    struct dr_memory memory;
    struct look look = {0};
    if (dr_engine_memory(engine, &memory, &problem) != DR_OK) {
        verdict_add(verdict, "memory is not told: %s", problem.message);
        return look;
    }
    struct mapping_list mappings = read_mappings();
    for (size_t i = 0; i < memory.region_count; ++i)
        if (strcmp(memory.regions[i].kind, "private") == 0)
            look.resident += resident_at(&mappings, memory.regions[i].start,
                                         memory.regions[i].bytes);
    for (size_t i = 0; i < mappings.count; ++i)
        look.anonymous += mappings.items[i].anonymous_bytes;
    free(mappings.items);
    look.ledger = memory.ledger.private_bytes;
    look.mapped = memory.ledger.mapped_bytes;
    look.kernel = memory.kernel.private_bytes;
    look.image = memory.residual.image_bytes;
    look.heap = memory.residual.heap_bytes;
    look.stack = memory.residual.stack_bytes;
    look.jit = memory.residual.jit_bytes;
    look.other = memory.residual.other_bytes;
    if (kernel_is_measured && !memory.regions_agree)
        verdict_add(verdict, "ledger and kernel disagree: %s", memory.disagreement);
    dr_memory_free(&memory);
    return look;
}

/* ---- slots --------------------------------------------------------------------------------- */

static inline bool is_in_file(const struct checkpoint *checkpoint, const char *name)
{
    for (int role = 0; role < ROLE_COUNT; ++role)
        if (checkpoint->components[role].count > 0 &&
            strcmp(component_role_name((enum component_role)role), name) == 0)
            return true;
    return false;
}

/* What must hold whenever no call runs: a slot holds the active weights or none, its base is still
 * referenced, and the ledger holds weights and prompts alone, each private byte resident. */
static inline void judge_slots(struct dr_engine *engine, struct verdict *verdict)
{
    const struct pipeline *const pipeline = engine->model.pipeline;
    uint64_t explained = 0, mapped = 0;
    for (int32_t i = 0; pipeline && i < pipeline->slot_count; ++i) {
        const struct slot *const slot = &pipeline->slots[i];
        slot_check(slot);
        if (slot->kind == DR_COMPONENT_ADAPTER)
            verdict_add(verdict, "the slot of %s is left", slot->name);
        explained += region_private_bytes(&slot->weights);
        mapped += slot->weights.bytes - region_private_bytes(&slot->weights);
        if (slot->resident && slot->resident != slot_active(slot))
            verdict_add(verdict, "the %s in memory is not the active one", slot->name);
        if (is_in_file(&pipeline->checkpoint, slot->name) && !slot->base)
            verdict_add(verdict, "the original %s is not referenced", slot->name);
    }
    if (pipeline) explained += pipeline->prompts.rows.bytes;
    if (pipeline && !weights_are_so(engine))
        verdict_add(verdict, "the weights of the unet are not stored in blocks");
    const struct look look = take_look(engine, verdict);
    if (look.ledger != explained)
        verdict_add(verdict,
                    "the ledger holds %" PRIu64
                    " bytes, the slots account for %" PRIu64,
                    look.ledger, explained);
    if (look.mapped != mapped)
        verdict_add(verdict,
                    "the ledger maps %" PRIu64
                    " bytes of files, the slots account for %" PRIu64,
                    look.mapped, mapped);
    if (look.resident != look.ledger)
        verdict_add(verdict,
                    "%" PRIu64
                    " bytes are resident in regions, the ledger says %" PRIu64,
                    look.resident, look.ledger);
}

#endif
