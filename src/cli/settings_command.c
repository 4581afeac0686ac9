#include "settings_command.h"

#include <stdlib.h>
#include <string.h>

#include "front/settings_json.h"

enum {
    MOST_SETTINGS = 32,
    VALUE_BYTES = 48
};

/* What is to be set, as dr_settings_change takes it. */
struct change {
    struct dr_settings_change all;
    struct dr_setting settings[MOST_SETTINGS];
    char values[MOST_SETTINGS][VALUE_BYTES]; /* of those that are numbers */
    char *unset;                             /* the names that settings borrow */
};

static void set_text(struct change *change, const char *key, const char *text)
{
    if (!text || change->all.setting_count == MOST_SETTINGS) return;
    change->settings[change->all.setting_count++] = (struct dr_setting){key, text};
}

/* Room for the text of the next setting. */
static char *next_value(struct change *change)
{
    static char none[VALUE_BYTES];
    return change->all.setting_count < MOST_SETTINGS
               ? change->values[change->all.setting_count]
               : none;
}

/* The bytes exactly, with the largest unit that they are a multiple of. */
static void set_bytes(struct change *change, const char *key, uint64_t bytes)
{
    static const char units[] = "KMGT";
    char *const text = next_value(change);
    int unit = -1;
    while (unit < 3 && bytes % 1024 == 0 && bytes > 0) {
        bytes /= 1024;
        ++unit;
    }
    (void)snprintf(text, VALUE_BYTES, "%llu%.*s", (unsigned long long)bytes,
                   unit >= 0 ? 1 : 0, unit >= 0 ? &units[unit] : "");
    set_text(change, key, text);
}

static void set_size(struct change *change, const struct options *options)
{
    char *const text = next_value(change);
    (void)snprintf(text, VALUE_BYTES, "%dx%d", (int)options->width,
                   (int)options->height);
    set_text(change, "size", text);
}

static void set_steps(struct change *change, int32_t steps)
{
    char *const text = next_value(change);
    (void)snprintf(text, VALUE_BYTES, "%d", (int)steps);
    set_text(change, "steps", text);
}

static void set_cfg(struct change *change, double cfg)
{
    char *const text = next_value(change);
    (void)snprintf(text, VALUE_BYTES, "%.10g", cfg);
    set_text(change, "cfg", text);
}

static enum dr_code set_given(struct change *change, const struct options *options,
                              struct dr_error *err)
{
    static const char *const precisions[] = {"auto", "bf16", "f32"};
    static const char *const weights[] = {"auto", "f32", "f16", "q8", "q4"};
    if (!options->width != !options->height)
        return command_fail(err, DR_BAD_INPUT,
                            "a size has two sides: give --width and --height");
    if (options->width) set_size(change, options);
    if (options->steps) set_steps(change, options->steps);
    if (options->cfg != DR_CFG_DEFAULT) set_cfg(change, options->cfg);
    set_text(change, "sampler", options->sampler);
    set_text(change, "scheduler", options->scheduler);
    set_text(change, "model", options->default_model);
    set_text(change, "base", options->base);
    set_text(change, "model_dirs", options->models);
    set_text(change, "output_dir", options->output_dir);
    set_text(change, "styles", options->styles_file);
    set_text(change, "wildcard_dir", options->wildcard_dir);
    if (options->precision != DR_PRECISION_UNSET)
        set_text(change, "precision", precisions[options->precision]);
    if (options->weights != DR_WEIGHTS_UNSET)
        set_text(change, "weights", weights[options->weights]);
    if (options->budget_given) set_bytes(change, "budget", options->budget);
    if (options->packs_limit) set_bytes(change, "packs_limit", options->packs_limit);
    return DR_OK;
}

/* The key that is meant: also by an option's name, "output-dir" or "--output-dir". Changes name. */
static const char *key_of(char *name)
{
    static const char *const others[][2] = {
        {"models",        "model_dirs"},
        {"default_model", "model"     },
        {"width",         "size"      },
        {"height",        "size"      }
    };
    name += strspn(name, "-");
    for (char *c = name; *c; ++c)
        if (*c == '-') *c = '_';
    for (size_t i = 0; i < sizeof others / sizeof *others; ++i)
        if (strcmp(name, others[i][0]) == 0) return others[i][1];
    return name;
}

/* "steps,size": each is removed. vae and vae_dir are settings, too. */
static enum dr_code set_unset(struct change *change, const char *names,
                              struct dr_error *err)
{
    char *rest = NULL;
    if (!names) return DR_OK;
    change->unset = strdup(names);
    if (!change->unset)
        return command_fail(err, DR_NOMEM, "out of memory for the settings");
    for (char *word = strtok_r(change->unset, ",", &rest); word;
         word = strtok_r(NULL, ",", &rest)) {
        const char *const name = key_of(word);
        if (strcmp(name, "vae") == 0)
            change->all.vae = "";
        else if (strcmp(name, "vae_dir") == 0)
            change->all.vae_folder = "";
        else
            set_text(change, name, "");
    }
    return DR_OK;
}

static enum dr_code check(const struct options *options,
                          const struct dr_settings_change *change, struct dr_error *err)
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
    if (options->model && !change->vae && !change->setting_count)
        return command_fail(
            err, DR_BAD_INPUT,
            "give what is to be set for the model: --vae CHOICE, --width and --height, "
            "--steps, --cfg, --sampler or --scheduler; --default-model %.300s makes "
            "it the model where none is given",
            options->model);
    return DR_OK;
}

static enum dr_code make(struct change *change, const struct options *options,
                         struct dr_error *err)
{
    change->all = (struct dr_settings_change){
        .model = options->model,
        .vae = options->unset_vae ? "" : options->vae,
        .vae_folder = options->unset_vae_dir ? "" : options->vae_dir,
        .settings = change->settings,
    };
    enum dr_code code = set_given(change, options, err);
    if (code == DR_OK) code = set_unset(change, options->unset, err);
    return code == DR_OK ? check(options, &change->all, err) : code;
}

enum dr_code run_settings(struct session *session, const struct options *options,
                          json_t *fields, struct dr_error *err)
{
    (void)session;
    struct change *const change = calloc(1, sizeof *change);
    struct dr_settings *const settings = calloc(1, sizeof *settings);
    enum dr_code code =
        change && settings
            ? make(change, options, err)
            : command_fail(err, DR_NOMEM, "out of memory for the settings");
    if (code == DR_OK) {
        const struct dr_settings_change *const all = &change->all;
        code = all->vae || all->vae_folder || all->setting_count
                   ? dr_settings_change(NULL, all, settings, err)
                   : dr_settings_read(NULL, settings, err);
        if (code == DR_OK) settings_json_add(fields, settings);
        dr_settings_free(settings);
    }
    if (change) free(change->unset);
    free(change);
    free(settings);
    return code;
}
