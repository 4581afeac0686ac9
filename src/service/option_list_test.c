/* Options as clients see and send them, over real model directories and a real store. */
#include "service/option_list.h"

#include "check.h"
#include "scratch_folder.h"
#include "service/model_folders_fixture.h"
#include "service/option_store.h"

static struct dr_error problem;
static struct model_folders *folders;
static struct option_list *list;
static json_t *ignored;

static void open_list(struct store *store)
{
    option_list_destroy(list);
    check_int(option_list_create(&list, store, folders, &problem), ==, DR_OK);
}

/* Reads and sets TEXT: how many options changed, or minus the error's code. */
static int change(const char *text)
{
    struct option_change *changes = NULL;
    size_t count = 0;
    json_t *const values = json_loads(text, JSON_DECODE_ANY, NULL);
    json_decref(ignored);
    ignored = json_array();
    enum dr_code code =
        option_list_read(list, values, &changes, &count, ignored, &problem);
    if (code == DR_OK) code = option_list_set(list, changes, count, &problem);
    option_changes_free(changes, count);
    json_decref(values);
    return code == DR_OK ? (int)count : -(int)code;
}

static const char *value_of(const char *name)
{
    static char value[DR_PATH_BYTES];
    option_list_get(list, name, value, sizeof value);
    return value;
}

/* As GET options shows it, as JSON. */
static const char *shown(const char *name)
{
    static char text[256];
    json_t *const all = option_list_json(list);
    char *const json =
        json_dumps(json_object_get(all, name), JSON_ENCODE_ANY | JSON_COMPACT);
    (void)snprintf(text, sizeof text, "%s", json ? json : "missing");
    free(json);
    json_decref(all);
    return text;
}

static void options_have_what_clients_read(void)
{
    static const char *const needed[] = {"sd_model_checkpoint",
                                         "sd_checkpoint_hash",
                                         "sd_vae",
                                         "samples_format",
                                         "CLIP_stop_at_last_layers",
                                         "img2img_color_correction",
                                         "sd_model_refiner",
                                         "eta_noise_seed_delta",
                                         "face_restoration_model",
                                         "randn_source",
                                         "live_previews_enable",
                                         "show_progress_type",
                                         "samples_save",
                                         "upcast_attn",
                                         "outdir_samples"};
    static const char *const forbidden[] = {"forge_preset", "cross_attention_sep",
                                            "cuda_compile_sep", "sd_backend"};
    open_list(NULL);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; ++i)
        if (strcmp(shown(needed[i]), "missing") == 0)
            check_fail_at("%s is missing", needed[i]);
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; ++i)
        check_str(shown(forbidden[i]), "missing");
    check_str(shown("sd_model_checkpoint"), "\"\"");
    check_str(shown("sd_vae"), "\"Automatic\"");
    check_str(shown("samples_format"), "\"png\"");
    check_str(shown("CLIP_stop_at_last_layers"), "1");
    check_str(shown("face_restoration_model"), "null");
    check_str(shown("img2img_color_correction"), "false");
}

static void models_and_vaes_are_set_by_name_and_kept_as_paths(void)
{
    open_list(NULL);
    check_int(change("{\"sd_model_checkpoint\":\"a\",\"sd_vae\":\"SHARP\"}"), ==, 2);
    check_str(value_of("sd_model_checkpoint"), scratch_path("models/a.safetensors"));
    check_str(shown("sd_model_checkpoint"), "\"a.safetensors\"");
    check_str(value_of("sd_vae"), scratch_path("vae/sharp.safetensors"));
    check_str(shown("sd_vae"), "\"sharp.safetensors\"");
    check_int(change("{\"sd_model_checkpoint\":\"a.safetensors\"}"), ==, 0);
    check_int(change("{\"sd_vae\":\"None\"}"), ==, 1);
    check_str(value_of("sd_vae"), "none");
    check_str(shown("sd_vae"), "\"None\"");
}

static void all_of_it_comes_back_and_changes_nothing(void)
{
    open_list(NULL);
    check_int(change("{\"sd_model_checkpoint\":\"a\",\"samples_format\":\"jpg\"}"), ==,
              2);
    json_t *const all = option_list_json(list);
    char *const text = json_dumps(all, 0);
    check_int(change(text), ==, 0);
    check_int(json_array_size(ignored), ==, 0);
    free(text);
    json_decref(all);
}

static void values_are_loosely_typed(void)
{
    open_list(NULL);
    check_int(change("{\"CLIP_stop_at_last_layers\":2.0}"), ==, 1);
    check_str(shown("CLIP_stop_at_last_layers"), "2");
    check_int(change("{\"CLIP_stop_at_last_layers\":\"3\"}"), ==, 1);
    check_int(change("{\"samples_save\":0}"), ==, 1);
    check_str(shown("samples_save"), "false");
    check_int(change("{\"samples_format\":\"JPEG\"}"), ==, 1);
    check_str(shown("samples_format"), "\"jpg\"");
    check_int(change("{\"samples_format\":null,\"sd_vae\":null,"
                     "\"sd_model_checkpoint\":\"\"}"),
              ==, 0);
    check_int(change("null"), ==, 0);
}

static void what_is_wrong_changes_nothing(void)
{
    open_list(NULL);
    check_int(change("{\"samples_save\":false,\"CLIP_stop_at_last_layers\":13}"), ==,
              -DR_BAD_INPUT);
    check_has(problem.message, "CLIP_stop_at_last_layers is 13");
    check_str(shown("samples_save"), "true");
    check_int(change("{\"samples_save\":false,\"sd_model_checkpoint\":\"gone\"}"), ==,
              -DR_NOT_FOUND);
    check_int(change("{\"samples_save\":false,\"sd_vae\":\"gone\"}"), ==,
              -DR_NOT_FOUND);
    check_str(shown("samples_save"), "true");
    check_int(change("{\"samples_format\":\"tiff\"}"), ==, -DR_BAD_INPUT);
    check_has(problem.message, "it takes png, jpg");
    check_int(change("[1]"), ==, -DR_BAD_INPUT);
}

/* No path, command or host can be set. */
static void what_is_unknown_or_only_shown_is_ignored(void)
{
    open_list(NULL);
    check_int(change("{\"outdir_samples\":\"/tmp/x\",\"no_such\":[1],"
                     "\"sd_model_refiner\":\"xl\",\"img2img_color_correction\":true,"
                     "\"eta_noise_seed_delta\":0.0,\"sd_lora\":\"None\","
                     "\"face_restoration_model\":null,\"samples_save\":false}"),
              ==, 1);
    check_str(shown("outdir_samples"), "\"\"");
    check_str(shown("samples_save"), "false");
    char *const names = json_dumps(ignored, JSON_COMPACT);
    check_str(names, "[\"outdir_samples\",\"no_such\",\"sd_model_refiner\","
                     "\"img2img_color_correction\"]");
    free(names);
}

static void ignored_names_are_bounded(void)
{
    open_list(NULL);
    char text[4096] = "{";
    for (int i = 0; i < 200; ++i) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s\"n%d\":1", i ? "," : "", i);
    }
    strcat(text, "}");
    check_int(change(text), ==, 0);
    check_int(json_array_size(ignored), ==, 64);
}

static void what_is_set_survives(void)
{
    struct store *store = NULL;
    check_int(store_open(&store, scratch_path("data"), &problem), ==, DR_OK);
    open_list(store);
    check_int(change("{\"sd_model_checkpoint\":\"b\",\"sd_vae\":\"sharp\","
                     "\"CLIP_stop_at_last_layers\":2}"),
              ==, 3);
    /* Of another version, and out of its range now. */
    check_int(option_store_write(store, "no_such", "1", &problem), ==, DR_OK);
    check_int(option_store_write(store, "jpeg_quality", "1000", &problem), ==, DR_OK);
    check_int(option_store_write(store, "outdir_samples", "/tmp", &problem), ==, DR_OK);
    open_list(store);
    check_str(value_of("sd_model_checkpoint"), scratch_path("models/b.safetensors"));
    check_str(value_of("sd_vae"), scratch_path("vae/sharp.safetensors"));
    check_str(value_of("CLIP_stop_at_last_layers"), "2");
    check_str(value_of("jpeg_quality"), "80");
    check_str(value_of("outdir_samples"), "");
    open_list(NULL);
    store_close(store);
}

/* Read once, when the list is made; the same value is no change. */
static void the_vae_of_the_settings_counts_until_one_is_set(void)
{
    static const struct {
        const char *settings, *value, *shown;
    } cases[] = {
        {"{\"vae\":\"none\"}", "none",      "\"None\""     },
        {"{\"vae\":\"gone\"}", "gone",      "\"gone\""     },
        {"{}",                 "automatic", "\"Automatic\""}
    };
    struct model_folders *const before = folders;
    const char *const vae_paths[] = {scratch_path("vae"), NULL};
    const struct model_folders_options options = {.models = vae_paths,
                                                  .vaes = vae_paths,
                                                  .pack_folder = "",
                                                  .settings_path =
                                                      scratch_path("settings.json")};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        scratch_write(options.settings_path, cases[i].settings,
                      strlen(cases[i].settings));
        check_int(model_folders_create(&folders, &options, &problem), ==, DR_OK);
        open_list(NULL);
        check_str(value_of("sd_vae"), cases[i].value);
        check_str(shown("sd_vae"), cases[i].shown);
        option_list_destroy(list);
        list = NULL;
        model_folders_destroy(folders);
    }
    const char *const sharp = "{\"vae\":\"sharp\"}";
    scratch_write(options.settings_path, sharp, strlen(sharp));
    check_int(model_folders_create(&folders, &options, &problem), ==, DR_OK);
    open_list(NULL);
    check_str(value_of("sd_vae"), scratch_path("vae/sharp.safetensors"));
    check_int(change("{\"sd_vae\":\"sharp.safetensors\"}"), ==, 0);
    check_int(change("{\"sd_vae\":\"Automatic\"}"), ==, 1);
    check_str(value_of("sd_vae"), "automatic");
    option_list_destroy(list);
    list = NULL;
    model_folders_destroy(folders);
    folders = before;
}

int main(void)
{
    folders = model_folders_fixture();
    check_run(options_have_what_clients_read);
    check_run(models_and_vaes_are_set_by_name_and_kept_as_paths);
    check_run(all_of_it_comes_back_and_changes_nothing);
    check_run(values_are_loosely_typed);
    check_run(what_is_wrong_changes_nothing);
    check_run(what_is_unknown_or_only_shown_is_ignored);
    check_run(ignored_names_are_bounded);
    check_run(what_is_set_survives);
    check_run(the_vae_of_the_settings_counts_until_one_is_set);
    option_list_destroy(list);
    model_folders_destroy(folders);
    json_decref(ignored);
    return check_done();
}
