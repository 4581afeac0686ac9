/* settings_fuzz — any bytes as a settings file.
 *
 * Read or refused, it is so as a whole, with a sentence that names the file. What is read can be
 * changed, says the change when it is read again, and keeps all else: the same keys are unknown,
 * the same models have entries, and a second change of the same kind gives the same text.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "switch/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_defaults(const struct dr_defaults *defaults)
{
    assert(defaults->width % 8 == 0 && defaults->height % 8 == 0);
    assert(!defaults->width == !defaults->height && defaults->width >= 0);
    assert(defaults->steps >= 0 && defaults->steps <= 1000);
    assert(defaults->cfg == DR_CFG_DEFAULT ||
           (defaults->cfg >= 0.0 && defaults->cfg <= 1000.0));
}

static void check_settings(const struct dr_settings *settings)
{
    assert(strlen(settings->vae) < DR_PATH_BYTES);
    assert(!settings->vae_folder[0] || settings->vae_folder[0] == '/');
    for (size_t i = 0; i < settings->model_count; ++i) {
        const struct dr_model_setting *const entry = &settings->models[i];
        assert(!entry->vae || (entry->vae[0] && strlen(entry->vae) < DR_PATH_BYTES));
        const size_t length = strlen(entry->model);
        const bool is_plain = length > 0 && entry->model[length - 1] != '/' &&
                              strncmp(entry->model, "~/", 2) != 0;
        if (is_plain && entry->vae) assert(settings_for_model(settings, entry->model));
        if (is_plain && !entry->vae)
            assert(settings_defaults_for_model(settings, entry->model));
        check_defaults(&entry->defaults);
    }
    check_defaults(&settings->defaults);
    assert(!settings->output_folder[0] || settings->output_folder[0] == '/');
    assert(!settings->styles_file[0] || settings->styles_file[0] == '/');
    assert(!settings->wildcard_folder[0] || settings->wildcard_folder[0] == '/');
    for (size_t i = 0; i < settings->model_folder_count; ++i)
        assert(settings->model_folders[i][0] == '/');
    const struct dr_model_setting *const own =
        settings_for_model(settings, "/models/sd15.safetensors");
    assert(!own || strstr(own->model, "sd15"));
}

static void check_change(const struct dr_settings *before, const char *text,
                         size_t bytes)
{
    static const struct dr_setting steps = {"steps", "25"};
    static const struct dr_settings_change change = {.model = "sd15",
                                                     .vae = "sharp",
                                                     .vae_folder = "/vae",
                                                     .settings = &steps,
                                                     .setting_count = 1};
    struct dr_settings after;
    char *once = NULL, *twice = NULL;
    enum dr_code code = settings_edit("s.json", text, bytes, &change, &once, NULL);
    assert(code == DR_OK && once);
    code = settings_parse(&after, "s.json", once, strlen(once), NULL);
    assert(code == DR_OK);
    assert(strcmp(after.vae_folder, "/vae") == 0);
    assert(strcmp(after.vae, before->vae) == 0);
    assert(strcmp(after.warnings, before->warnings) == 0);
    assert(after.model_count >= before->model_count &&
           after.model_count <= before->model_count + 2);
    dr_settings_free(&after);
    code = settings_edit("s.json", once, strlen(once), &change, &twice, NULL);
    assert(code == DR_OK && strcmp(once, twice) == 0);
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct dr_settings settings;
    struct dr_error err = {.message = ""};
    const char *const text = (const char *)data;
    const enum dr_code code = settings_parse(&settings, "s.json", text, bytes, &err);
    if (code == DR_OK) {
        check_settings(&settings);
        check_change(&settings, text, bytes);
    } else {
        char *edited = NULL;
        assert(code == DR_BAD_INPUT && err.code == code);
        assert(strstr(err.message, "s.json"));
        assert(!settings.models && settings.model_count == 0);
        const struct dr_settings_change change = {.vae = "none"};
        const enum dr_code again =
            settings_edit("s.json", text, bytes, &change, &edited, NULL);
        assert((bytes == 0 ? again == DR_OK : again == code));
        free(edited);
    }
    dr_settings_free(&settings);
    return 0;
}
