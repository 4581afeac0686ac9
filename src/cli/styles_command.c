#include "styles_command.h"

#include "front/style_json.h"

enum dr_code run_styles(struct session *session, const struct options *options,
                        json_t *fields, struct dr_error *err)
{
    struct dr_style_list list;
    (void)session;
    const enum dr_code code = dr_list_styles(options->styles_file, &list, err);
    if (code != DR_OK) return code;
    style_list_json_add(fields, &list);
    dr_style_list_free(&list);
    return DR_OK;
}

enum dr_code styles_expand(const struct options *options, const char *prompt,
                           const char *negative, uint64_t seed, struct dr_expanded *out,
                           struct dr_error *err)
{
    struct dr_expansion how = {.prompt = prompt,
                               .negative = negative,
                               .styles = options->styles.list,
                               .styles_path = options->styles_file,
                               .wildcard_directory = options->wildcard_dir,
                               .seed = seed,
                               .keeps_wildcards =
                                   options->prompt_is_plain ||
                                   options->prompt_syntax == DR_PROMPT_PLAIN};
    while (how.styles[how.style_count])
        ++how.style_count;
    return dr_expand_prompt(&how, out, err);
}
