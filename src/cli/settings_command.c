#include "settings_command.h"

#include <stdlib.h>

#include "front/settings_json.h"

static enum dr_code check(const struct options *options, struct dr_error *err)
{
    if (options->vae && options->unset_vae)
        return command_fail(err, DR_BAD_INPUT,
                            "--vae %.200s and --unset-vae exclude each other: give "
                            "one of them",
                            options->vae);
    if (options->vae_dir && options->unset_vae_dir)
        return command_fail(
            err, DR_BAD_INPUT,
            "--vae-dir %.200s and --unset-vae-dir exclude each other: give one of "
            "them",
            options->vae_dir);
    if (options->model && !options->vae && !options->unset_vae)
        return command_fail(
            err, DR_BAD_INPUT,
            "give the VAE for the model: --vae CHOICE, or --unset-vae; darkroom vaes "
            "-m %.400s shows the choices",
            options->model);
    return DR_OK;
}

enum dr_code run_settings(struct session *session, const struct options *options,
                          json_t *fields, struct dr_error *err)
{
    (void)session;
    const struct dr_settings_change change = {
        .model = options->model,
        .vae = options->unset_vae ? "" : options->vae,
        .vae_folder = options->unset_vae_dir ? "" : options->vae_dir,
    };
    enum dr_code code = check(options, err);
    if (code != DR_OK) return code;
    struct dr_settings *const settings = calloc(1, sizeof *settings);
    if (!settings) return command_fail(err, DR_NOMEM, "out of memory for the settings");
    code = change.vae || change.vae_folder
               ? dr_settings_change(NULL, &change, settings, err)
               : dr_settings_read(NULL, settings, err);
    if (code == DR_OK) settings_json_add(fields, settings);
    dr_settings_free(settings);
    free(settings);
    return code;
}
