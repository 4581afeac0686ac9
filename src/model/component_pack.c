#define _DEFAULT_SOURCE

#include "model/component_pack.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cancel.h"
#include "base/size.h"
#include "compute/compute.h"
#include "compute/team.h"

enum {
    LOOK_AGAIN_MS = 50
};

/* Raised when the bytes of a packed component come to mean something else. */
static const char layout_version[] = "component layout 2";

void component_pack_init(struct component_pack *pack, const struct pack_store *store)
{
    *pack = (struct component_pack){.store = store,
                                    .pack = PACK_INIT,
                                    .draft = PACK_DRAFT_INIT};
}

void component_pack_finish(struct component_pack *pack)
{
    if (!pack->store) return;
    component_pack_unsettle(pack);
    pack_close(&pack->pack);
    pack->state = COMPONENT_PACK_UNSETTLED;
}

__attribute__((format(printf, 2, 3))) static void say(const struct component_pack *pack,
                                                      const char *format, ...)
{
    char line[1024];
    if (!pack->store->say) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    pack->store->say(pack->store->say_cookie, line);
}

size_t component_pack_private_bytes(const struct component_pack *pack,
                                    const struct component_spec *spec)
{
    const bool is_mapped =
        pack->state == COMPONENT_PACK_READY || pack->state == COMPONENT_PACK_DRAFTED ||
        pack->state == COMPONENT_PACK_WANTED || pack->state == COMPONENT_PACK_FOUND;
    return is_mapped ? 0 : size_align(spec->weights_bytes, region_page_bytes());
}

bool component_pack_reads(const struct component_pack *pack)
{
    return pack->state != COMPONENT_PACK_READY && pack->state != COMPONENT_PACK_FOUND;
}

/* ---- the layout's digest ---- */

static void add_operand(struct digest *digest, const struct component_spec *spec,
                        const struct operand *operand)
{
    const int32_t numbers[] = {operand->part_count, operand->first_column,
                               operand->transpose};
    digest_add(digest, numbers, sizeof numbers);
    for (int32_t i = 0; i < operand->part_count; ++i) {
        const char *const name = spec->index->tensors[operand->parts[i]].name;
        digest_add(digest, name, strlen(name) + 1);
    }
    weight_add_to_digest(&operand->weight, digest);
}

static void know_layout(struct component_pack *pack, const struct component_spec *spec)
{
    struct digest digest;
    const char *const platform = compute_platform();
    if (pack->layout_known) return;
    digest_init(&digest);
    digest_add(&digest, layout_version, sizeof layout_version);
    digest_add(&digest, platform, strlen(platform) + 1);
    for (size_t i = 0; i < spec->operand_count; ++i)
        add_operand(&digest, spec, spec->operands[i]);
    digest_end(&digest, pack->layout);
    pack->layout_known = true;
}

static struct pack_key key_of(const struct component_pack *pack,
                              const uint8_t digest[DIGEST_BYTES])
{
    struct pack_key key;
    memcpy(key.content, digest, DIGEST_BYTES);
    memcpy(key.layout, pack->layout, DIGEST_BYTES);
    return key;
}

bool component_pack_path(const struct component_pack *pack,
                         const uint8_t digest[DIGEST_BYTES],
                         char path[static PACK_PATH_BYTES])
{
    const bool is_there =
        pack->state == COMPONENT_PACK_FOUND || pack->state == COMPONENT_PACK_READY;
    if (!is_there || !pack->layout_known) return false;
    const struct pack_key key = key_of(pack, digest);
    pack_store_path(pack->store, &key, path);
    return true;
}

/* ---- the sections' digests, by all threads ---- */

struct sections {
    const unsigned char *data;
    size_t data_bytes;
    uint8_t (*digests)[DIGEST_BYTES];
    const struct component_progress *progress; /* whose cancel ends it; or NULL */
    atomic_bool is_cut_short; /* it was cancelled: some digests were not computed */
};

static bool is_cancelled(const struct component_progress *progress)
{
    return progress && cancel_requested(progress->cancel);
}

static void digest_section(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    struct sections *const sections = context;
    if (atomic_load(&sections->is_cut_short)) return;
    if (is_cancelled(sections->progress)) {
        atomic_store(&sections->is_cut_short, true);
        return;
    }
    pack_section_digest(sections->data, sections->data_bytes, (size_t)task_idx,
                        sections->digests[task_idx]);
}

/* Into *digests, for pack_table_destroy: all of them, or NULL and an error. Errors: DR_NOMEM;
 * DR_CANCELLED, which says nothing about the data. */
static enum dr_code digest_sections(const unsigned char *data, size_t data_bytes,
                                    const struct component_progress *progress,
                                    uint8_t (**digests)[DIGEST_BYTES],
                                    struct dr_error *err)
{
    const size_t count = pack_section_count(data_bytes);
    struct sections sections = {.data = data,
                                .data_bytes = data_bytes,
                                .digests = pack_table_create(data_bytes),
                                .progress = progress};
    *digests = NULL;
    if (!sections.digests) return error_set(err, DR_NOMEM, "no memory for digests");
    team_run((int64_t)count, digest_section, &sections);
    if (atomic_load(&sections.is_cut_short)) {
        pack_table_destroy(sections.digests);
        return error_set(err, DR_CANCELLED, "the check was cancelled");
    }
    *digests = sections.digests;
    return DR_OK;
}

/* ---- settling ---- */

static enum dr_code map_pack(const struct pack *pack, const struct component_spec *spec,
                             struct ledger *ledger, const char *name,
                             struct region *weights, struct dr_error *err)
{
    const struct region_options options = {.bytes = spec->weights_bytes,
                                           .tag = REGION_WEIGHTS,
                                           .component = name};
    return region_map(weights, ledger, pack->descriptor, pack->data_offset, &options,
                      err);
}

static enum dr_code stopped(const struct component_pack_settle *how,
                            struct dr_error *err)
{
    return error_set(err, DR_CANCELLED, "loading %s was cancelled", how->name);
}

/* Read the whole pack and compare it with its table. */
static enum dr_code check_data(const struct pack *pack, const char *path,
                               const struct component_spec *spec,
                               const struct component_pack_settle *how,
                               struct dr_error *err)
{
    struct region region = {0};
    enum dr_code code = map_pack(pack, spec, how->ledger, how->name, &region, err);
    if (code != DR_OK) return code;
    uint8_t(*digests)[DIGEST_BYTES];
    code = digest_sections(region.data, pack->data_bytes, how->progress, &digests, err);
    const bool has_lost = region_lost_page(&region);
    region_close(&region);
    if (code == DR_OK)
        code = has_lost ? error_set(err, DR_CORRUPT, "%s is truncated", path)
                        : pack_check(pack, path,
                                     (const uint8_t(*)[DIGEST_BYTES])digests, err);
    pack_table_destroy(digests);
    return code;
}

/* Is there a pack of this key? Then it is checked, and the state READY. Errors: DR_NOT_FOUND (there
 * is none that can be used); DR_CANCELLED (nobody knows: it stays as it is). */
static enum dr_code find_pack(struct component_pack *pack,
                              const struct component_spec *spec,
                              const uint8_t digest[DIGEST_BYTES],
                              const struct component_pack_settle *how)
{
    const struct pack_key key = key_of(pack, digest);
    struct dr_error problem;
    bool is_checked = false;
    char path[PACK_PATH_BYTES];
    enum dr_code code =
        pack_store_find(pack->store, &key, &pack->pack, &is_checked, &problem);
    if (code == DR_OK && pack->pack.data_bytes != spec->weights_bytes)
        code = error_set(&problem, DR_CORRUPT, "its size does not match its layout");
    if (code == DR_OK && !is_checked) {
        pack_store_path(pack->store, &key, path);
        code = check_data(&pack->pack, path, spec, how, &problem);
        if (code == DR_OK) pack_store_trust(pack->store, &pack->pack);
    }
    if (code == DR_OK) {
        pack->state = COMPONENT_PACK_READY;
        return DR_OK;
    }
    pack_close(&pack->pack);
    if (code == DR_CANCELLED) return DR_CANCELLED;
    if (code == DR_CORRUPT) pack_store_remove(pack->store, &key);
    if (code != DR_NOT_FOUND)
        say(pack,
            "the pack of %s cannot be used and is being made again from "
            "%.300s: %.400s",
            how->name, spec->index->file->path, problem.message);
    return DR_NOT_FOUND;
}

/* By the digest that is given, or the one that the checkpoint had when it was read last. Errors:
 * find_pack's. Where it only looks the state is FOUND instead. */
static enum dr_code look(struct component_pack *pack, const struct component_spec *spec,
                         const uint8_t *digest, const struct component_pack_settle *how)
{
    uint8_t recalled[DIGEST_BYTES];
    if (!digest && pack_store_recall(pack->store, spec->index, recalled))
        digest = recalled;
    if (!digest) return DR_NOT_FOUND;
    if (how->manner != COMPONENT_PACK_LOOK) return find_pack(pack, spec, digest, how);
    const struct pack_key key = key_of(pack, digest);
    if (!pack_store_has(pack->store, &key, spec->weights_bytes)) return DR_NOT_FOUND;
    pack->state = COMPONENT_PACK_FOUND;
    return DR_OK;
}

static void nap(void)
{
    const struct timespec time = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};
    (void)nanosleep(&time, NULL);
}

static enum dr_code draft_or_wait(struct component_pack *pack,
                                  const struct component_spec *spec,
                                  const uint8_t *digest,
                                  const struct component_pack_settle *how,
                                  struct dr_error *err)
{
    struct dr_error problem;
    bool has_said = false;
    for (;;) {
        enum dr_code code =
            pack_store_draft(pack->store, spec->index, pack->layout,
                             spec->weights_bytes, &pack->draft, &problem);
        if (code == DR_OK) {
            /* Whoever held the lock may have finished the pack between the two looks. */
            code = look(pack, spec, digest, how);
            if (code == DR_NOT_FOUND)
                pack->state = COMPONENT_PACK_DRAFTED;
            else
                pack_draft_discard(&pack->draft);
            return code == DR_CANCELLED ? stopped(how, err) : DR_OK;
        }
        if (code != DR_BUSY || how->manner != COMPONENT_PACK_WAIT) {
            pack->state = COMPONENT_PACK_PRIVATE;
            say(pack, "the weights of %s will be private memory: %.600s", how->name,
                problem.message);
            return DR_OK;
        }
        if (!has_said)
            say(pack, "another process is making the pack of %s: waiting for it",
                how->name);
        has_said = true;
        if (is_cancelled(how->progress)) return stopped(how, err);
        nap();
        code = look(pack, spec, digest, how);
        if (code == DR_CANCELLED) return stopped(how, err);
        if (code == DR_OK) return DR_OK;
    }
}

enum dr_code component_pack_settle(struct component_pack *pack,
                                   const struct component_spec *spec,
                                   const uint8_t *digest,
                                   const struct component_pack_settle *how,
                                   struct dr_error *err)
{
    if (!pack_store_is_on(pack->store)) {
        pack->state = COMPONENT_PACK_PRIVATE;
        return DR_OK;
    }
    know_layout(pack, spec);
    if (pack->state == COMPONENT_PACK_DRAFTED) return DR_OK;
    if (pack->state == COMPONENT_PACK_READY) {
        if (pack_is_unchanged(&pack->pack) && pack_has_name(&pack->pack)) return DR_OK;
        pack_close(&pack->pack);
    }
    pack->state = COMPONENT_PACK_UNSETTLED;
    const enum dr_code code = look(pack, spec, digest, how);
    if (code == DR_CANCELLED) return stopped(how, err);
    if (code == DR_OK) return DR_OK;
    if (is_cancelled(how->progress)) return stopped(how, err);
    if (how->manner == COMPONENT_PACK_LOOK) {
        pack->state = COMPONENT_PACK_WANTED;
        return DR_OK;
    }
    if (how->manner == COMPONENT_PACK_HOLD) return DR_OK;
    return draft_or_wait(pack, spec, digest, how, err);
}

bool component_pack_is_sound(const struct component_pack *pack,
                             const struct region *weights)
{
    if (weights->kind == REGION_PRIVATE) return true;
    return pack->state == COMPONENT_PACK_READY && pack_is_unchanged(&pack->pack) &&
           !region_lost_page(weights);
}

void component_pack_unsettle(struct component_pack *pack)
{
    if (!pack->store || pack->state == COMPONENT_PACK_READY) return;
    pack_draft_discard(&pack->draft);
    pack->state = COMPONENT_PACK_UNSETTLED;
}

/* ---- weights ---- */

enum dr_code component_pack_map(struct component_pack *pack,
                                const struct component_spec *spec,
                                struct ledger *ledger, const char *name,
                                struct region *weights, struct dr_error *err)
{
    assert(pack->state == COMPONENT_PACK_READY);
    if (pack_is_unchanged(&pack->pack))
        return map_pack(&pack->pack, spec, ledger, name, weights, err);
    char path[PACK_PATH_BYTES];
    pack_store_path(pack->store, &pack->pack.key, path);
    pack_close(&pack->pack);
    pack->state = COMPONENT_PACK_UNSETTLED;
    return error_set(
        err, DR_CHANGED,
        "the pack of %s changed or was removed while it was in use (%.600s); try "
        "again: the pack will be made again",
        name, path);
}

enum dr_code component_pack_map_draft(struct component_pack *pack,
                                      const struct component_spec *spec,
                                      struct ledger *ledger, const char *name,
                                      struct region *weights, struct dr_error *err)
{
    assert(pack->state == COMPONENT_PACK_DRAFTED);
    const struct region_options options = {.bytes = spec->weights_bytes,
                                           .tag = REGION_WEIGHTS,
                                           .component = name};
    return region_map_writable(weights, ledger, pack->draft.descriptor,
                               pack->draft.data_offset, &options, err);
}

/* "f32", or, where most weights are stored in another type, "f32, weights in f16". */
static void describe_types(const struct component_spec *spec, char text[static 40])
{
    const enum dtype stored = component_stored_type(spec);
    const int length = stored == spec->dtype
                           ? snprintf(text, 40, "%s", dtype_name(spec->dtype))
                           : snprintf(text, 40, "%s, weights in %s",
                                      dtype_name(spec->dtype), dtype_name(stored));
    for (int i = 0; i < length && i < 40; ++i)
        text[i] = (char)tolower((unsigned char)text[i]);
}

void component_pack_commit(struct component_pack *pack,
                           const struct component_spec *spec,
                           const uint8_t digest[DIGEST_BYTES],
                           const struct region *weights)
{
    const struct pack_key key = key_of(pack, digest);
    struct dr_error problem = {0};
    uint8_t(*digests)[DIGEST_BYTES];
    enum dr_code code =
        digest_sections(weights->data, spec->weights_bytes, NULL, &digests, &problem);
    describe_types(spec, pack->draft.precision);
    /* Before others can find the pack: who waits for it looks for this first. */
    component_pack_remember(pack, spec, digest);
    if (code == DR_OK)
        code = pack_store_commit(pack->store, &pack->draft, &key,
                                 (const uint8_t(*)[DIGEST_BYTES])digests, spec->index,
                                 &pack->pack, &problem);
    pack_table_destroy(digests);
    pack_draft_discard(&pack->draft);
    pack->state =
        pack->pack.descriptor >= 0 ? COMPONENT_PACK_READY : COMPONENT_PACK_UNSETTLED;
    if (code == DR_OK) return;
    say(pack, "the pack of %s could not be stored: %.600s",
        component_role_name(spec->index->role), problem.message);
}

void component_pack_give_up(struct component_pack *pack)
{
    assert(pack->state == COMPONENT_PACK_WANTED);
    pack->state = COMPONENT_PACK_PRIVATE;
}

uint64_t component_pack_draft_bytes(const struct component_pack *pack)
{
    size_t data_offset, file_bytes;
    return pack->state == COMPONENT_PACK_DRAFTED &&
                   pack_extent(pack->draft.data_bytes, &data_offset, &file_bytes)
               ? file_bytes
               : 0;
}

void component_pack_remember(const struct component_pack *pack,
                             const struct component_spec *spec,
                             const uint8_t digest[DIGEST_BYTES])
{
    if (pack_store_is_on(pack->store))
        pack_store_remember(pack->store, spec->index, digest);
}

bool component_pack_recall(const struct component_pack *pack,
                           const struct component_spec *spec,
                           uint8_t digest[DIGEST_BYTES])
{
    return pack_store_is_on(pack->store) &&
           pack_store_recall(pack->store, spec->index, digest);
}

enum dr_code component_pack_lost(struct component_pack *pack, const char *name,
                                 struct dr_error *err)
{
    char path[PACK_PATH_BYTES] = "its file";
    if (pack->state == COMPONENT_PACK_READY) {
        pack_store_path(pack->store, &pack->pack.key, path);
        pack_store_remove(pack->store, &pack->pack.key);
        pack_close(&pack->pack);
    }
    pack->state = COMPONENT_PACK_UNSETTLED;
    return error_set(
        err, DR_IO,
        "the pack of %s lost a page while it was in use: %.600s was truncated or "
        "cannot be read; the result was discarded; try again: the pack will be made "
        "again",
        name, path);
}
