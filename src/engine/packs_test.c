/* The engine over packs: weights cost no private memory, a restore is a mapping, the pictures are
 * the same bytes, the plan is the peak; and a pack that goes wrong fails a job, never the process. */
#include "engine/engine_fixture.h"
#include "hidden_files.h"
#include "pack_folder.h"

#include "base/fault_fixture.h"

static char told[8192];
static const struct dr_packs_options verify = {.flags = DR_PACKS_VERIFY};

static void hear(void *cookie, enum dr_log_level level, const char *line)
{
    (void)cookie;
    const size_t used = strlen(told);
    if (level <= DR_LOG_WARNING)
        (void)snprintf(told + used, sizeof told - used, "%s\n", line);
}

/* packs: a folder, or "off". */
static struct dr_engine *open_with(const char *packs)
{
    check_int(setenv("DARKROOM_PACKS", packs, 1), ==, 0);
    struct dr_engine *const engine = open_engine();
    engine->resources.log = hear;
    told[0] = '\0';
    return engine;
}

static void remove_packs(void)
{
    struct dr_pack_prune pruned;
    check_int(dr_packs_prune(pack_folder(), 0, &pruned, &problem), ==, DR_OK);
}

static uint64_t kernel_bytes(struct dr_engine *engine)
{
    struct dr_memory memory;
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    const uint64_t bytes = memory.kernel.private_bytes;
    dr_memory_free(&memory);
    return bytes;
}

/* No weights are private, and those that are loaded are mapped. */
static void check_mapped(struct dr_engine *engine)
{
    struct dr_memory memory;
    uint64_t mapped = 0;
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    for (size_t i = 0; i < memory.region_count; ++i)
        if (strcmp(memory.regions[i].tag, "weights") == 0)
            check_str(memory.regions[i].kind, "mapped");
    for (int i = 0; i < memory.component_count; ++i) {
        check_int(memory.components[i].private_bytes, ==, 0);
        mapped += memory.components[i].mapped_bytes;
    }
    check_int(mapped, ==, memory.ledger.mapped_bytes);
    check_int(mapped, >, 0);
    dr_memory_free(&memory);
}

/* The path of the one pack whose source begins with `what`. */
static void find_pack(const char *what, char path[DR_PATH_BYTES])
{
    struct dr_pack_list list;
    path[0] = '\0';
    check_int(dr_packs_list(pack_folder(), NULL, &list, &problem), ==, DR_OK);
    for (size_t i = 0; i < list.count; ++i)
        if (strncmp(list.packs[i].source, what, strlen(what)) == 0)
            (void)snprintf(path, DR_PATH_BYTES, "%s", list.packs[i].path);
    dr_pack_list_free(&list);
    if (!path[0]) check_fail_at("no pack of %s", what);
}

/* ---- cases ---- */

static void the_pictures_are_the_same_bytes(void)
{
    struct dr_engine *engine = open_with("off");
    load(engine, "a.safetensors");
    picture(engine, "plain.png");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, "plain-sharp.png");
    dr_engine_close(&engine);
    remove_packs();
    for (int round = 0; round < 2; ++round) { /* made, then found */
        engine = open_with(pack_folder());
        load(engine, "a.safetensors");
        check_mapped(engine);
        picture(engine, "packed.png");
        check(same_file("plain.png", "packed.png"));
        check_int(choose(engine, "sharp"), ==, DR_OK);
        check_mapped(engine);
        picture(engine, "packed-sharp.png");
        check(same_file("plain-sharp.png", "packed-sharp.png"));
        check_str(told, "");
        dr_engine_close(&engine);
    }
}

static void a_switch_moves_no_private_byte(void)
{
    struct dr_vae_info info;
    struct dr_receipt receipt;
    struct dr_engine *engine = open_with(pack_folder());
    load(engine, "a.safetensors");
    picture(engine, "before.png");
    check_int(choose(engine, "sharp"), ==, DR_OK); /* both packs are there after this */
    check_int(choose(engine, "none"), ==, DR_OK);
    const uint64_t ledger = check_memory(engine), kernel = kernel_bytes(engine);
    for (int i = 0; i < 10; ++i) {
        check_int(dr_engine_choose_vae(engine, i % 2 ? "none" : "sharp", 0, &info,
                                       &receipt, &problem),
                  ==, DR_OK);
        check_int(receipt.before.ledger_private_bytes, ==,
                  receipt.after.ledger_private_bytes);
        check_int(receipt.before.ledger_mapped_bytes, ==,
                  receipt.after.ledger_mapped_bytes);
        check_int(receipt.released_bytes, ==, receipt.acquired_bytes);
        check_int(info.override_active, ==, i % 2 == 0);
        check(info.verified);
    }
    check_int(check_memory(engine), ==, ledger);
#ifndef __SANITIZE_ADDRESS__
    const uint64_t now = kernel_bytes(engine);
    check_int(now > kernel ? now - kernel : kernel - now, <=, 64 * 1024);
#else
    (void)kernel;
#endif
    picture(engine, "after.png");
    check(same_file("before.png", "after.png"));
    dr_engine_close(&engine);
}

/* With the smallest budget that the plan allows, cold and warm; and one byte less is refused. */
static void the_plan_is_the_peak_and_the_budget_holds(void)
{
    struct dr_forecast forecast;
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.width = options.height = 64;
    options.steps = 2;
    for (int round = 0; round < 2; ++round) {
        if (round == 0) remove_packs();
        struct dr_engine *engine = open_with(pack_folder());
        check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                                 &problem),
                  ==, DR_OK);
        check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
        check_int(forecast.resident_peak_bytes, <,
                  16 << 20); /* the weights are 53 MB */
        limit_regions(engine, forecast.resident_peak_bytes - 1);
        check_int(picture_with(engine, "small.png", NULL, NULL), ==, DR_OVER_BUDGET);
        limit_regions(engine, forecast.resident_peak_bytes);
        dr_forecast_free(&forecast);
        picture(engine, "small.png");
        check(same_file("plain.png", "small.png"));
        check_mapped(engine);
        dr_engine_close(&engine);
    }
}

static void a_forecast_makes_nothing(void)
{
    struct dr_forecast cold, warm;
    struct dr_pack_list list;
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "x";
    remove_packs();
    struct dr_engine *engine = open_with(pack_folder());
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    check_int(dr_engine_forecast(engine, &options, &cold, &problem), ==, DR_OK);
    check_int(dr_packs_list(pack_folder(), NULL, &list, &problem), ==, DR_OK);
    check_int(list.count, ==, 0);
    dr_pack_list_free(&list);
    load(engine, "a.safetensors");
    check_int(dr_engine_forecast(engine, &options, &warm, &problem), ==, DR_OK);
    check_int(warm.resident_peak_bytes, <=, cold.resident_peak_bytes);
    dr_forecast_free(&warm);
    dr_forecast_free(&cold);
    dr_engine_close(&engine);
}

static void distrust_all(const struct dr_engine *engine)
{
    struct pack_listing *list = NULL;
    size_t count = 0;
    check_int(pack_store_list(&engine->resources.packs, &list, &count, &problem), ==,
              DR_OK);
    for (size_t i = 0; i < count; ++i)
        pack_store_distrust(&engine->resources.packs, &list[i].key);
    free(list);
}

/* As after a restart of the machine: a forecast leaves the reading of packs to the job, and says the
 * same as where they were read. */
static void a_forecast_reads_no_pack(void)
{
    struct dr_generate_options options = dr_generate_options_default();
    struct dr_forecast checked, unchecked;
    struct dr_pack_list list;
    options.prompt = "";
    options.width = options.height = 64;
    options.vae = "sharp";
    struct dr_engine *engine = open_with(pack_folder());
    load(engine, "a.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK); /* all packs are there after this */
    check_int(choose(engine, "none"), ==, DR_OK);
    dr_engine_close(&engine);
    for (int round = 0; round < 2; ++round) {
        struct dr_forecast *const forecast = round ? &unchecked : &checked;
        engine = open_with(pack_folder());
        check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                                 &problem),
                  ==, DR_OK);
        if (round) distrust_all(engine);
        check_int(dr_engine_forecast(engine, &options, forecast, &problem), ==, DR_OK);
        check_int(dr_packs_list(pack_folder(), NULL, &list, &problem), ==, DR_OK);
        check_int(list.count, >=, 4);
        for (size_t i = 0; i < list.count; ++i)
            check_int(list.packs[i].state, ==,
                      round ? DR_PACK_UNCHECKED : DR_PACK_READY);
        dr_pack_list_free(&list);
        dr_engine_close(&engine);
    }
    check_int(unchecked.resident_peak_bytes, ==, checked.resident_peak_bytes);
    check_int(unchecked.phased_peak_bytes, ==, checked.phased_peak_bytes);
    check_int(unchecked.load_scratch_bytes, ==, checked.load_scratch_bytes);
    dr_forecast_free(&checked);
    dr_forecast_free(&unchecked);
}

static struct dr_ram_forecast ram_with(struct dr_engine *engine, size_t ram_bytes)
{
    struct dr_generate_options options = dr_generate_options_default();
    struct dr_forecast forecast;
    options.prompt = "";
    options.width = options.height = 64;
    engine->machine.bytes = ram_bytes;
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    const struct dr_ram_forecast ram = forecast.ram;
    dr_forecast_free(&forecast);
    return ram;
}

/* To the byte: what a step needs fits; a byte less, and the UNet's weights are read again; less than what is
 * private does not fit. */
static void a_forecast_is_held_against_the_ram(void)
{
    struct dr_engine *engine = open_with(pack_folder());
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    const struct dr_ram_forecast wide = ram_with(engine, engine->machine.bytes);
    const struct slot *const unet =
        pipeline_slot(engine->model.pipeline, DR_COMPONENT_UNET, 0);
    const uint64_t weights = source_memory_bytes(slot_active(unet));
    check_str(wide.verdict, "fits");
    check_int(wide.reread_bytes, ==, 0);
    check_int(wide.mapped_bytes, >, weights);
    check_int(wide.step_bytes, ==, wide.private_bytes + weights);
    check_int(ram_with(engine, wide.step_bytes).fit, ==, DR_RAM_FITS);
    const struct dr_ram_forecast slow = ram_with(engine, wide.step_bytes - 1);
    check_int(slow.fit, ==, DR_RAM_REREADS);
    check_int(slow.reread_bytes, ==, weights);
    check_real(slow.disk_bytes_per_s, >, 0.0);
    check_real(slow.reread_s, ==, (double)weights / slow.disk_bytes_per_s);
    check_has(slow.verdict, "fits, but weights will be re-read from disk every step: ");
    check_int(ram_with(engine, wide.private_bytes).fit, ==, DR_RAM_REREADS);
    const struct dr_ram_forecast none = ram_with(engine, wide.private_bytes - 1);
    check_int(none.fit, ==, DR_RAM_TOO_SMALL);
    check_has(none.verdict, "does not fit: ");
    dr_engine_close(&engine);
}

/* The original is known by its record: nothing is read to save it. */
static void saving_the_original_reads_nothing(void)
{
    struct dr_engine *engine = open_with(pack_folder());
    load(engine, "a.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    dr_engine_close(&engine);
    engine = open_with(pack_folder());
    check_int(choose(engine, "sharp"), ==, DR_OK);
    load(engine, "a.safetensors");
    check(vae_state(engine).override_active);
    const uint64_t mapped = engine->resources.ledger.mapped_bytes;
    check_int(engine->resources.ledger.peak_mapped_bytes, ==, mapped);
    check_int(choose(engine, "none"), ==, DR_OK);
    check(vae_state(engine).verified);
    dr_engine_close(&engine);
}

static int stop_at_once(void *cookie, const struct dr_load_progress *progress)
{
    (void)cookie;
    return progress->done_bytes > 0;
}

static void a_cancelled_load_leaves_no_draft(void)
{
    struct dr_pack_list list;
    remove_packs();
    struct dr_engine *engine = open_with(pack_folder());
    engine->resources.load_progress = stop_at_once;
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_EAGER, NULL,
                             &problem),
              ==, DR_CANCELLED);
    check_int(engine->resources.ledger.count, ==, 0);
    check_int(dr_packs_list(pack_folder(), NULL, &list, &problem), ==, DR_OK);
    for (size_t i = 0; i < list.count; ++i)
        check_int(list.packs[i].state, ==, DR_PACK_READY);
    dr_pack_list_free(&list);
    engine->resources.load_progress = NULL;
    load(engine, "a.safetensors");
    check_mapped(engine);
    dr_engine_close(&engine);
}

/* A file that is cut short when a job's stage reports for the first time. */
struct cut {
    char path[DR_PATH_BYTES];
    enum dr_stage stage;
    bool is_done;
};

static void cut_short(void *cookie, const struct dr_progress *progress)
{
    struct cut *const cut = cookie;
    if (cut->is_done || progress->stage != cut->stage) return;
    cut->is_done = truncate(cut->path, 128 * 1024) == 0;
}

static enum dr_code picture_with_cut(struct dr_engine *engine, struct cut *cut)
{
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a blue square"; /* not one that is encoded already */
    options.output = in_root("torn.png");
    options.width = options.height = 64;
    options.steps = 2;
    options.progress = cut_short;
    options.progress_cookie = cut;
    const enum dr_code code = dr_engine_generate(engine, &options, &result, &problem);
    if (code == DR_OK) dr_generate_result_free(&result);
    (void)check_memory(engine);
    return code;
}

/* Each component's pack is cut short while it is mapped and at work. */
static void a_pack_cut_short_fails_the_job(void)
{
    static const struct {
        const char *source;
        enum dr_stage stage;
    } parts[] = {
        {"text (", DR_STAGE_TEXT},
        {"unet (", DR_STAGE_UNET},
        {"vae (",  DR_STAGE_UNET},
    };
    struct dr_engine *engine = open_with(pack_folder());
    load(engine, "a.safetensors");
    picture(engine, "whole.png");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) {
        struct cut cut = {.stage = parts[i].stage};
        remove_packs();
        check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
        load(engine, "a.safetensors");
        find_pack(parts[i].source, cut.path);
        check_int(picture_with_cut(engine, &cut), ==, DR_IO);
        check(cut.is_done);
        check_has(problem.message, cut.path);
        check_has(problem.message, "lost a page");
        check_int(access(in_root("torn.png"), F_OK), !=, 0);
        picture(engine, "again.png");
        check(same_file("whole.png", "again.png"));
        check_mapped(engine);
    }
    dr_engine_close(&engine);
}

/* Between two jobs it is seen, and what was mapped from it is mapped anew. */
static void a_pack_written_to_is_not_used_again(void)
{
    char path[DR_PATH_BYTES];
    struct dr_engine *engine = open_with(pack_folder());
    load(engine, "a.safetensors");
    picture(engine, "whole.png");
    find_pack("unet (", path);
    check_int(truncate(path, 128 * 1024), ==, 0);
    picture(engine, "again.png");
    check_has(told, "made again");
    check(same_file("whole.png", "again.png"));
    /* One that only lost its name serves on. */
    remove_packs();
    picture(engine, "again.png");
    check(same_file("whole.png", "again.png"));
    check_mapped(engine);
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    picture(engine, "again.png");
    check(same_file("whole.png", "again.png"));
    dr_engine_close(&engine);
}

static void a_damaged_pack_is_made_again_and_said(void)
{
    char path[DR_PATH_BYTES];
    struct dr_pack_list list;
    struct dr_engine *engine = open_with(pack_folder());
    load(engine, "a.safetensors");
    picture(engine, "whole.png");
    dr_engine_close(&engine);
    find_pack("unet (", path);
    FILE *const file = fopen(path, "r+b");
    check(file && fseek(file, 1 << 20, SEEK_SET) == 0 && fputs("damage", file) >= 0);
    if (file) (void)fclose(file);
    check_int(dr_packs_list(pack_folder(), &verify, &list, &problem), ==, DR_CORRUPT);
    check_has(problem.message, path);
    dr_pack_list_free(&list);
    engine = open_with(pack_folder());
    load(engine, "a.safetensors");
    check_has(told, "made again");
    check_mapped(engine);
    picture(engine, "again.png");
    check(same_file("whole.png", "again.png"));
    dr_engine_close(&engine);
    check_int(dr_packs_list(pack_folder(), &verify, &list, &problem), ==, DR_OK);
    dr_pack_list_free(&list);
}

static size_t count_in_state(enum dr_pack_state state)
{
    struct dr_pack_list list;
    size_t count = 0;
    check_int(dr_packs_list(pack_folder(), NULL, &list, &problem), ==, DR_OK);
    for (size_t i = 0; i < list.count; ++i)
        count += list.packs[i].state == state;
    dr_pack_list_free(&list);
    return count;
}

static int stop_the_check(void *cookie, const struct dr_load_progress *progress)
{
    uint64_t *const total = cookie;
    check_str(progress->component, "pack");
    check_int(progress->done_bytes, ==, 0);
    *total = progress->total_bytes;
    return 1;
}

/* Whoever stops a check has learned nothing of the packs that were not read. */
static void a_cancelled_check_says_nothing(void)
{
    struct dr_pack_list list;
    uint64_t total = 0;
    run_command("rm '%s'/*.checked", pack_folder());
    const size_t all = count_in_state(DR_PACK_UNCHECKED);
    check_int(all, >=, 3);
    const struct dr_packs_options stopped = {.flags = DR_PACKS_VERIFY,
                                             .progress = stop_the_check,
                                             .progress_cookie = &total};
    check_int(dr_packs_list(pack_folder(), &stopped, &list, &problem), ==,
              DR_CANCELLED);
    check_int(list.count, ==, 0);
    check(list.packs == NULL);
    check_int(total, >, 20 << 20);
    dr_pack_list_free(&list);
    enum dr_code code = DR_CANCELLED;
    int64_t nth = 0;
    while (code == DR_CANCELLED && nth < 1000) {
        check_int(count_in_state(DR_PACK_DAMAGED), ==, 0);
        fault_arm(1U << FAULT_CANCEL, ++nth, FAULT_FROM_THEN_ON);
        code = dr_packs_list(pack_folder(), &verify, &list, &problem);
        fault_disarm();
        dr_pack_list_free(&list);
    }
    check_int(code, ==, DR_OK);
    check_int(nth, >, (int64_t)all);
    check_int(count_in_state(DR_PACK_READY), ==, all);
}

/* What cannot be read is not damaged, and stays as it is. */
static void a_pack_that_cannot_be_read_is_not_called_damaged(void)
{
    char path[DR_PATH_BYTES];
    struct dr_pack_list list;
    find_pack("vae (", path);
    hidden_files = path;
    hidden_errno = EACCES;
    check_int(dr_packs_list(pack_folder(), &verify, &list, &problem), ==, DR_IO);
    hidden_files = "";
    check_has(problem.message, path);
    check(strstr(problem.message, "made again") == NULL);
    check_int(list.count, >=, 3);
    for (size_t i = 0; i < list.count; ++i)
        check(list.packs[i].state != DR_PACK_DAMAGED);
    dr_pack_list_free(&list);
}

static void without_room_it_goes_on_in_private_memory(void)
{
    remove_packs();
    struct dr_engine *engine = open_with(pack_folder());
    fault_arm(1U << FAULT_WRITE, 1, FAULT_FROM_THEN_ON);
    const enum dr_code code =
        dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_EAGER, NULL, &problem);
    fault_disarm();
    check_int(code, ==, DR_OK);
    check_has(told, "the weights of unet will be private memory");
    check_int(engine->resources.ledger.mapped_bytes, ==, 0);
    /* 53 MB of weights, or half of that */
    check_int(check_memory(engine), >,
              (engine->resources.dtype == DTYPE_F32 ? 50 : 25) << 20);
    picture(engine, "private.png");
    check(same_file("plain.png", "private.png"));
    dr_engine_close(&engine);
    engine = open_with("/proc/no/such/folder");
    load(engine, "a.safetensors");
    check_int(engine->resources.ledger.mapped_bytes, ==, 0);
    dr_engine_close(&engine);
}

static void models_switch_within_a_small_budget(void)
{
    struct dr_engine *engine = open_with(pack_folder());
    load(engine, "b.safetensors");
    load(engine, "a.safetensors");
    picture(engine, "a.png");
    dr_engine_close(&engine);
    engine = open_with(pack_folder());
    limit_regions(engine, 8 << 20); /* either model's weights are 53 MB */
    for (int i = 0; i < 3; ++i) {
        load(engine, "b.safetensors");
        check_mapped(engine);
        load(engine, "a.safetensors");
        check_mapped(engine);
    }
    picture(engine, "a-again.png");
    check(same_file("a.png", "a-again.png"));
    dr_engine_close(&engine);
}

int main(void)
{
    struct pack_store store;
    pack_store_open(&store, pack_folder());
    if (strstr(store.off_reason, "lies in memory")) return check_skip(store.off_reason);
    check_str(store.off_reason, "");
    fixture_size = "tiny";
    fixture_begin();
    check_run(the_pictures_are_the_same_bytes);
    check_run(a_switch_moves_no_private_byte);
    check_run(the_plan_is_the_peak_and_the_budget_holds);
    check_run(a_forecast_makes_nothing);
    check_run(a_forecast_reads_no_pack);
    check_run(a_forecast_is_held_against_the_ram);
    check_run(saving_the_original_reads_nothing);
    check_run(a_cancelled_load_leaves_no_draft);
    check_run(a_pack_cut_short_fails_the_job);
    check_run(a_pack_written_to_is_not_used_again);
    check_run(a_damaged_pack_is_made_again_and_said);
    check_run_with_faults(a_cancelled_check_says_nothing);
    check_run(a_pack_that_cannot_be_read_is_not_called_damaged);
    check_run_with_faults(without_room_it_goes_on_in_private_memory);
    check_run(models_switch_within_a_small_budget);
    return check_done();
}
