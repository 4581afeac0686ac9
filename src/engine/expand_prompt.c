/* dr_list_styles and dr_expand_prompt: what a prompt is after its styles and wildcards. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "darkroom/darkroom.h"
#include "switch/style_file.h"
#include "switch/wildcard.h"

enum {
    MAX_PROMPT_BYTES = 1 << 20 /* that styles may make */
};

/* What the user's settings say of a place, where neither an option nor the environment does. */
static enum dr_code setting_of(const char *option, const char *variable, size_t offset,
                               char text[static DR_PATH_BYTES], struct dr_error *err)
{
    const char *const said = option ? option : getenv(variable);
    text[0] = '\0';
    if (said && *said) return DR_OK;
    struct dr_settings *const settings = calloc(1, sizeof *settings);
    if (!settings) return error_set(err, DR_NOMEM, "no memory for the settings");
    const enum dr_code code = dr_settings_read(NULL, settings, err);
    if (code == DR_OK)
        (void)snprintf(text, DR_PATH_BYTES, "%s", (const char *)settings + offset);
    dr_settings_free(settings);
    free(settings);
    return code;
}

enum dr_code dr_list_styles(const char *path, struct dr_style_list *list,
                            struct dr_error *err)
{
    *list = (struct dr_style_list){0};
    char setting[DR_PATH_BYTES];
    enum dr_code code =
        setting_of(path, "DARKROOM_STYLES", offsetof(struct dr_settings, styles_file),
                   setting, err);
    if (code != DR_OK) return code;
    const bool is_named = style_file_find(path, setting, list->path);
    code = list->path[0] ? style_file_read(list, err) : DR_OK;
    if (code == DR_NOT_FOUND && !is_named) return DR_OK;
    if (code != DR_OK) dr_style_list_free(list);
    return code;
}

static enum dr_code refuse_style(const struct dr_style_list *list, const char *name,
                                 struct dr_error *err)
{
    return error_set(err, DR_NOT_FOUND,
                     "there is no style \"%.200s\" in %.400s, which has %zu; `darkroom "
                     "styles` lists them",
                     name, list->path[0] ? list->path : "any file", list->count);
}

/* *text with a style around it. */
static enum dr_code apply(const struct dr_style *style, const char *words, char **text,
                          struct dr_error *err)
{
    char *const styled = style_file_apply(words, *text, MAX_PROMPT_BYTES);
    if (!styled)
        return error_set(
            err, DR_BAD_INPUT,
            "with the style \"%.200s\" the prompt has more than %d bytes, or "
            "there is no memory for it: use fewer styles",
            style->name, MAX_PROMPT_BYTES);
    free(*text);
    *text = styled;
    return DR_OK;
}

static enum dr_code apply_styles(const struct dr_expansion *how,
                                 struct dr_expanded *out, struct dr_error *err)
{
    struct dr_style_list list;
    if (how->style_count == 0) return DR_OK;
    enum dr_code code = dr_list_styles(how->styles_path, &list, err);
    for (size_t i = 0; i < how->style_count && code == DR_OK; ++i) {
        const struct dr_style *const style = style_file_match(&list, how->styles[i]);
        code = style ? apply(style, style->prompt, &out->prompt, err)
                     : refuse_style(&list, how->styles[i], err);
        if (code == DR_OK) code = apply(style, style->negative, &out->negative, err);
    }
    dr_style_list_free(&list);
    return code;
}

static enum dr_code replace_wildcards(const struct dr_expansion *how, char **text,
                                      int32_t *count, struct dr_error *err)
{
    char setting[DR_PATH_BYTES], folder[DR_PATH_BYTES], *replaced;
    int32_t more;
    if (!wildcard_any(*text)) return DR_OK;
    enum dr_code code =
        setting_of(how->wildcard_directory, "DARKROOM_WILDCARD_DIR",
                   offsetof(struct dr_settings, wildcard_folder), setting, err);
    if (code != DR_OK) return code;
    wildcard_folder_find(how->wildcard_directory, setting, folder);
    code = wildcard_expand(*text, folder, how->seed, &replaced, &more, err);
    if (code != DR_OK) return code;
    free(*text);
    *text = replaced;
    *count += more;
    return DR_OK;
}

enum dr_code dr_expand_prompt(const struct dr_expansion *how, struct dr_expanded *out,
                              struct dr_error *err)
{
    *out = (struct dr_expanded){.prompt = strdup(how->prompt ? how->prompt : ""),
                                .negative = strdup(how->negative ? how->negative : "")};
    enum dr_code code = out->prompt && out->negative
                            ? apply_styles(how, out, err)
                            : error_set(err, DR_NOMEM, "no memory for the prompt");
    if (code == DR_OK && !how->keeps_wildcards)
        code = replace_wildcards(how, &out->prompt, &out->wildcard_count, err);
    if (code == DR_OK && !how->keeps_wildcards)
        code = replace_wildcards(how, &out->negative, &out->wildcard_count, err);
    /* None was given, and no style gave one: that is another thing than an empty one. */
    if (code == DR_OK && !how->negative && !out->negative[0]) {
        free(out->negative);
        out->negative = NULL;
    }
    if (code != DR_OK) dr_expanded_free(out);
    return code;
}

void dr_expanded_free(struct dr_expanded *expanded)
{
    if (!expanded) return;
    free(expanded->prompt);
    free(expanded->negative);
    *expanded = (struct dr_expanded){0};
}
