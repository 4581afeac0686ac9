#include "model/adapter.h"

#include "model/clip_text.h"
#include "model/unet.h"
#include "network.h"
#include "weights/adapter_fixture.h"

/* A tiny UNet with an adapter, against diffusers with the same weights fused (tools/golden/adapters.py). */

/* float32 against diffusers' float32: the promise is 1e-4. */
static const double golden_bound = 1e-4;
#define STRENGTH 0.75F /* of the golden results */

static const char *const arguments[] = {"--family sd15 --size tiny --dtype f32",
                                        "--family sdxl --size tiny --dtype f32"};
static const char *const families[] = {"sd15", "sdxl"};
static const char *paths[2];

static struct dr_error error;

struct loaded {
    struct checkpoint checkpoint;
    struct unet_spec *spec;
    struct clip_text_spec *text; /* in place of the UNet; of `role` */
    enum component_role role;
    struct region weights;
};

static void load(struct loaded *loaded, int family)
{
    network_open(&loaded->checkpoint, paths[family]);
    loaded->role = ROLE_UNET;
    network_require(
        unet_spec_create(&loaded->spec, &loaded->checkpoint.components[ROLE_UNET],
                         loaded->checkpoint.family, DTYPE_F32, &error) == DR_OK,
        "%s", error.message);
    network_load(unet_component(loaded->spec), &loaded->weights);
}

static void load_text(struct loaded *loaded, int family, enum component_role role)
{
    network_open(&loaded->checkpoint, paths[family]);
    loaded->role = role;
    network_require(
        clip_text_spec_create(&loaded->text, &loaded->checkpoint.components[role],
                              loaded->checkpoint.family, DTYPE_F32, &error) == DR_OK,
        "%s", error.message);
    network_load(clip_text_component(loaded->text), &loaded->weights);
}

static void unload(struct loaded *loaded)
{
    region_close(&loaded->weights);
    unet_spec_destroy(&loaded->spec);
    clip_text_spec_destroy(&loaded->text);
    checkpoint_close(&loaded->checkpoint);
}

/* The networks that an adapter is matched to: the one that is loaded. */
static struct adapter_networks networks_of(const struct loaded *loaded)
{
    struct adapter_networks networks = {.family = loaded->checkpoint.family};
    networks.components[loaded->role] =
        loaded->text ? clip_text_component(loaded->text) : unet_component(loaded->spec);
    return networks;
}

struct opened {
    struct adapter_file file;
    struct adapter_spec *spec;
    struct region weights;
    struct weight_delta *deltas;
    struct weight_deltas table;
};

static void open_adapter(struct opened *opened, const struct loaded *loaded,
                         const char *path, float strength)
{
    const struct adapter_networks networks = networks_of(loaded);
    network_require(adapter_file_open(&opened->file, path, &error) == DR_OK, "%s",
                    error.message);
    network_require(adapter_spec_create(&opened->spec, &opened->file, &networks, 1,
                                        &error) == DR_OK,
                    "%s", error.message);
    network_load(adapter_component(opened->spec), &opened->weights);
    size_t count = 0;
    const struct weight_delta *const deltas =
        adapter_deltas(opened->spec, loaded->role, &count);
    opened->deltas = malloc(count * sizeof *deltas);
    memcpy(opened->deltas, deltas, count * sizeof *deltas);
    for (size_t i = 0; i < count; ++i)
        opened->deltas[i].strength = strength;
    opened->table = (struct weight_deltas){opened->deltas, count};
}

static void close_adapter(struct opened *opened)
{
    free(opened->deltas);
    region_close(&opened->weights);
    adapter_spec_destroy(&opened->spec);
    adapter_file_close(&opened->file);
}

/* Its bytes in memory are those in the file, and at most a twentieth more; of these small matrices the alignment is
 * more than that. */
static void check_bytes_of(const struct opened *opened)
{
    const struct component_spec *const spec = adapter_component(opened->spec);
    const size_t aligned = 64 * spec->operand_count;
    check(spec->weights_bytes <=
          opened->file.bytes + opened->file.bytes / 20 + aligned);
}

static double run_case(const struct loaded *loaded, const struct opened *opened,
                       const struct golden *inputs, const struct golden *results,
                       const char *kind)
{
    struct unet_plan unet = {0};
    struct region arena = {0};
    const struct unet_shape shape = {.n = golden_dim(inputs, "odd", "latent", 0),
                                     .height = golden_dim(inputs, "odd", "latent", 1),
                                     .width = golden_dim(inputs, "odd", "latent", 2),
                                     .tokens = golden_dim(inputs, "odd", "context", 1),
                                     .deltas = &opened->table};
    network_require(unet_plan_create(&unet, loaded->spec, &shape, false, &error) ==
                        DR_OK,
                    "%s", error.message);
    network_require(region_open(&arena, &network_ledger,
                                &(struct region_options){.bytes = plan_bytes(unet.plan),
                                                         .tag = REGION_ACTIVATIONS,
                                                         .component = "test"},
                                &error) == DR_OK,
                    "%s", error.message);
    const void *const regions[] = {loaded->weights.data, opened->weights.data};
    network_require(plan_bind(unet.plan, arena.data, regions, 2, &error) == DR_OK, "%s",
                    error.message);
    float *const time = golden_read(inputs, NULL, "time", NULL);
    unet_plan_set_time(&unet, time[0]);
    free(time);
    golden_fill(inputs, "odd", "latent", unet.plan, unet.latent);
    golden_fill(inputs, "odd", "context", unet.plan, unet.context);
    if (unet.vector.id != 0)
        golden_fill(inputs, "odd", "vector", unet.plan, unet.vector);
    network_run(unet.plan);
    const double away = golden_error(results, NULL, kind, unet.plan, unet.result);
    unet_plan_destroy(&unet);
    region_close(&arena);
    return away;
}

static const char *golden_adapter(int family, const char *kind)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/tests/golden/adapters/%s-%s.safetensors",
                   network_environment("DARKROOM_SOURCE"), families[family], kind);
    return path;
}

static void equals_diffusers(void)
{
    static const char *const kinds[] = {"lora", "peft", "mid",     "loha",    "lokr",
                                        "full", "norm", "dora-in", "dora-out"};
    for (int family = 0; family < 2; ++family) {
        struct golden inputs, results;
        struct loaded loaded = {0};
        golden_open(&inputs, family ? "unet_sdxl" : "unet");
        golden_open(&results, family ? "adapters_sdxl" : "adapters_sd15");
        golden_check_checkpoint(&results, paths[family]);
        load(&loaded, family);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
            struct opened opened = {0};
            open_adapter(&opened, &loaded, golden_adapter(family, kinds[i]), STRENGTH);
            check_int(adapter_info(opened.spec)->unused.count, ==, 0);
            check_bytes_of(&opened);
            const double away = run_case(&loaded, &opened, &inputs, &results, kinds[i]);
            fprintf(stderr, "%s %s: %.2e\n", families[family], kinds[i], away);
            if (!(away <= golden_bound))
                check_fail_at("%s %s: %g away", families[family], kinds[i], away);
            if (i == 0) { /* another strength is another result */
                for (size_t k = 0; k < opened.table.count; ++k)
                    opened.deltas[k].strength = 0.7F;
                check(run_case(&loaded, &opened, &inputs, &results, kinds[i]) >
                      10 * golden_bound);
            }
            close_adapter(&opened);
        }
        unload(&loaded);
        golden_close(&inputs);
        golden_close(&results);
    }
}

/* ---- text encoders ---- */

/* The context that one makes of the golden ids; pooled: NULL, or the golden vector that belongs to it. How far
 * away is the farther of both? */
static double run_text(const struct loaded *loaded, const struct opened *opened,
                       const struct golden *golden, const char *ids,
                       const char *context, const char *pooled)
{
    struct clip_text_plan text = {0};
    struct region arena = {0};
    const struct clip_text_shape shape = {.n = 1,
                                          .clip_skip = 1,
                                          .deltas = &opened->table};
    network_require(clip_text_plan_create(&text, loaded->text, &shape, &error) == DR_OK,
                    "%s", error.message);
    network_require(region_open(&arena, &network_ledger,
                                &(struct region_options){.bytes = plan_bytes(text.plan),
                                                         .tag = REGION_ACTIVATIONS,
                                                         .component = "test"},
                                &error) == DR_OK,
                    "%s", error.message);
    const void *const regions[] = {loaded->weights.data, opened->weights.data};
    network_require(plan_bind(text.plan, arena.data, regions, 2, &error) == DR_OK, "%s",
                    error.message);
    golden_fill(golden, ids, "ten", text.plan, text.ids);
    network_run(text.plan);
    double away = golden_error(golden, context, "ten", text.plan, text.context);
    if (pooled) {
        size_t count = 0, id_count = 0;
        float vector[1024];
        float *const want = golden_read(golden, pooled, "ten", &count);
        int32_t *const tokens = golden_read(golden, ids, "ten", &id_count);
        int32_t end = 0; /* the largest id is the end of the text */
        for (size_t i = 1; i < id_count; ++i)
            if (tokens[i] > tokens[end]) end = (int32_t)i;
        network_require(count <= 1024, "%zu numbers", count);
        clip_text_read_pooled(&text, 0, end, vector);
        away = fmax(away, network_relative_error(vector, want, count));
        free(want);
        free(tokens);
    }
    clip_text_plan_destroy(&text);
    region_close(&arena);
    return away;
}

/* A LoRA that changes text encoders, loaded by diffusers and fused by PEFT (tools/golden/adapter_pipeline.py). */
static void text_equals_peft(void)
{
    static const struct {
        int family;
        enum component_role role;
        const char *ids, *context, *pooled;
    } cases[] = {
        {0, ROLE_TEXT,  "ids",  "context",  NULL    },
        {1, ROLE_TEXT,  "ids",  "context",  NULL    },
        {1, ROLE_TEXT2, "ids2", "context2", "pooled"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct golden golden;
        struct loaded loaded = {0};
        struct opened opened = {0};
        golden_open(&golden,
                    cases[i].family ? "adapters_steps_sdxl" : "adapters_steps_sd15");
        golden_check_checkpoint(&golden, paths[cases[i].family]);
        load_text(&loaded, cases[i].family, cases[i].role);
        open_adapter(&opened, &loaded, golden_adapter(cases[i].family, "names-peft"),
                     STRENGTH);
        check_int(opened.table.count, >, 0);
        const double away = run_text(&loaded, &opened, &golden, cases[i].ids,
                                     cases[i].context, cases[i].pooled);
        fprintf(stderr, "%s %s: %.2e\n", families[cases[i].family], cases[i].context,
                away);
        check_real(away, <=, golden_bound);
        for (size_t k = 0; k < opened.table.count; ++k)
            opened.deltas[k].strength = 0.7F; /* is another result */
        check_real(run_text(&loaded, &opened, &golden, cases[i].ids, cases[i].context,
                            cases[i].pooled),
                   >, 10 * golden_bound);
        close_adapter(&opened);
        unload(&loaded);
        golden_close(&golden);
    }
}

static enum dr_code matched(const struct loaded *loaded, const char *path)
{
    struct adapter_file file;
    struct adapter_spec *spec = NULL;
    const struct adapter_networks networks = networks_of(loaded);
    network_require(adapter_file_open(&file, path, &error) == DR_OK, "%s",
                    error.message);
    const enum dr_code code = adapter_spec_create(&spec, &file, &networks, 1, &error);
    adapter_spec_destroy(&spec);
    adapter_file_close(&file);
    return code;
}

/* One of the other family's: by its shapes, or because nothing of it is there. */
static void refuses_another_family(void)
{
    struct loaded loaded = {0};
    load(&loaded, 0);
    check_int(matched(&loaded, golden_adapter(1, "peft")), ==, DR_FOREIGN);
    check(strstr(error.message, "not for this model (sd15)") != NULL);
    unload(&loaded);
}

int main(void)
{
    network_start();
    for (int i = 0; i < 2; ++i)
        paths[i] = strdup(network_checkpoint(arguments[i]));
    check_run(equals_diffusers);
    check_run(text_equals_peft);
    check_run(refuses_another_family);
    network_finish();
    return check_done();
}
