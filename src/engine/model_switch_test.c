/* After any switch between the two families, with a VAE of one's own or without, the pictures are
 * those of a process that never did anything else, and so are the ledger's bytes. scene_test
 * takes the one switch that this program exists for further. */
#include "engine/engine_fixture.h"

#include <inttypes.h>

static const char *self;

struct choice {
    const char *model, *vae;
    const char *fresh; /* the picture of a process of its own */
};

enum {
    SD15,
    SD15_SHARP,
    SDXL,
    SDXL_WIDE,
    CHOICE_COUNT
};

static const struct choice choices[CHOICE_COUNT] = {
    [SD15] = {"a.safetensors", "none",  "fresh-a.png"      },
    [SD15_SHARP] = {"a.safetensors", "sharp", "fresh-a-sharp.png"},
    [SDXL] = {"x.safetensors", "none",  "fresh-x.png"      },
    [SDXL_WIDE] = {"x.safetensors", "wide",  "fresh-x-wide.png" },
};

static uint64_t fresh_bytes[CHOICE_COUNT]; /* the ledger's */

static void take(struct dr_engine *engine, const struct choice *choice,
                 const char *name)
{
    load(engine, choice->model);
    check_int(choose(engine, choice->vae), ==, DR_OK);
    picture(engine, name);
}

/* ---- a process of its own ----------------------------------------------------------------- */

static int be_fresh(int idx)
{
    struct dr_engine *engine = open_engine();
    take(engine, &choices[idx], choices[idx].fresh);
    const uint64_t bytes = check_memory(engine);
    FILE *const file = fopen(in_root("bytes"), "w");
    if (!file) return 1;
    fprintf(file, "%" PRIu64 "\n", bytes);
    dr_engine_close(&engine);
    return fclose(file) != 0 ? 1 : check_done();
}

static void run_fresh(int idx)
{
    run_command("'%s' %d '%s' >/dev/null", self, idx, fixture_root);
    FILE *const file = fopen(in_root("bytes"), "r");
    check(file && fscanf(file, "%" SCNu64, &fresh_bytes[idx]) == 1);
    check_int(fresh_bytes[idx], >, 0);
    if (file) (void)fclose(file);
}

/* ---- switching ----------------------------------------------------------------------------- */

/* One step: the picture and the bytes of the process that only ever did this. */
static void step(struct dr_engine *engine, int idx)
{
    take(engine, &choices[idx], "step.png");
    check(same_file("step.png", choices[idx].fresh));
    check_int(check_memory(engine), ==, fresh_bytes[idx]);
}

/* Every ordered pair of choices, there and back, in one engine. */
static void any_switch_leaves_nothing(void)
{
    struct dr_engine *engine = open_engine();
    for (int from = 0; from < CHOICE_COUNT; ++from)
        for (int to = from + 1; to < CHOICE_COUNT; ++to) {
            step(engine, from);
            step(engine, to);
            step(engine, from);
        }
    struct dr_receipt receipt;
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, &receipt, &problem), ==, DR_OK);
    check_int(receipt.released_bytes, >, 0);
    check_int(check_memory(engine), ==, 0);
    step(engine, SDXL);
    dr_engine_close(&engine);
}

/* The setting stays when the model changes: what is meant for SDXL follows to SD1.5 only where
 * the user leaves it there; a job's own choice goes with the job. */
static void a_jobs_own_vae_goes_with_the_job(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "x.safetensors");
    check_int(picture_with(engine, "own.png", "wide", NULL), ==, DR_OK);
    check(same_file("own.png", choices[SDXL_WIDE].fresh));
    picture(engine, "base.png");
    check(same_file("base.png", choices[SDXL].fresh));
    check_int(check_memory(engine), ==, fresh_bytes[SDXL]);
    load(engine, "a.safetensors");
    picture(engine, "base.png");
    check(same_file("base.png", choices[SD15].fresh));
    check_int(check_memory(engine), ==, fresh_bytes[SD15]);
    dr_engine_close(&engine);
}

static void a_failed_switch_keeps_the_model(void)
{
    struct dr_engine *engine = open_engine();
    step(engine, SDXL_WIDE);
    const uint64_t bytes = check_memory(engine);
    check_int(dr_engine_load(engine, in_root("absent.safetensors"), DR_LOAD_EAGER, NULL,
                             &problem),
              ==, DR_NOT_FOUND);
    check_int(check_memory(engine), ==, bytes);
    picture(engine, "step.png");
    check(same_file("step.png", choices[SDXL_WIDE].fresh));
    dr_engine_close(&engine);
}

int main(int count, char **arguments)
{
    static char program[512];
    if (count == 3) {
        (void)snprintf(fixture_root, sizeof fixture_root, "%s", arguments[2]);
        return be_fresh(atoi(arguments[1]));
    }
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    check(length > 0);
    self = program;
    fixture_begin();
    take_checkpoint("x.safetensors", "sdxl", "--seed 5");
    take_checkpoint("vae/wide.safetensors", "sdxl", "--part vae --seed 6");
    for (int i = 0; i < CHOICE_COUNT; ++i)
        run_fresh(i);
    check_run(any_switch_leaves_nothing);
    check_run(a_jobs_own_vae_goes_with_the_job);
    check_run(a_failed_switch_keeps_the_model);
    return check_done();
}
