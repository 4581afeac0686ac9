#include "again_command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/again_json.h"
#include "generate_command.h"
#include "models_command.h"
#include "switch_commands.h"

struct again {
    struct dr_parameters picture;
    char not_restored[2 * DR_TEXT_BYTES];
    char model[DR_PATH_BYTES], base[DR_PATH_BYTES], vae[DR_PATH_BYTES],
        output[DR_PATH_BYTES];
};

void again_free(struct again *again)
{
    if (!again) return;
    dr_parameters_free(&again->picture);
    free(again);
}

/* ---- the picture's options --------------------------------------------------------------- */

/* A picture that was cut is made at the next multiple of 8, and cut again. */
static int32_t made_side(int32_t pixels, int32_t *cut)
{
    const int32_t made = (pixels + 7) / 8 * 8;
    *cut = made == pixels ? 0 : pixels;
    return made;
}

static void take_numbers(struct options *options, const struct dr_parameters *picture)
{
    options->seed = picture->seed;
    options->sampling = picture->sampling;
    options->seed_given = true;
    options->steps = picture->steps;
    options->cfg = picture->cfg;
    options->width = made_side(picture->width, &options->cut_width);
    options->height = made_side(picture->height, &options->cut_height);
    options->clip_skip = picture->clip_skip;
    options->original[0] = picture->original_width;
    options->original[1] = picture->original_height;
    options->crop[0] = picture->crop_left;
    options->crop[1] = picture->crop_top;
    options->target[0] = picture->target_width;
    options->target[1] = picture->target_height;
    options->bits = picture->bits;
    if (picture->image_to_image) options->strength = picture->strength;
}

/* A picture that does not say that weights were rounded was made with the file's: the settings may have others. */
static void take_weights(struct options *options, const struct dr_parameters *picture)
{
    if (strcmp(picture->weights, "f16") == 0) options->weights = DR_WEIGHTS_F16;
    if (strcmp(picture->weights, "q8") == 0) options->weights = DR_WEIGHTS_Q8;
    if (strcmp(picture->weights, "q4") == 0) options->weights = DR_WEIGHTS_Q4;
    if (!picture->weights[0] && strncmp(picture->version, "darkroom", 8) == 0)
        options->weights = DR_WEIGHTS_AUTO;
}

static void take_picture(struct options *options, const struct dr_parameters *picture)
{
    take_numbers(options, picture);
    options->prompt = picture->prompt;
    options->negative = picture->negative;
    if (picture->sampler[0]) options->sampler = picture->sampler;
    if (picture->scheduler[0]) options->scheduler = picture->scheduler;
    options->prediction = picture->prediction;
    options->prompt_syntax = (int)picture->prompt_syntax;
    options->emphasis = (int)picture->emphasis;
    options->pad_prompts = picture->pad_prompts != 0;
    options->rng = picture->rng;
    if (strcmp(picture->precision, "bf16") == 0) options->precision = DR_PRECISION_BF16;
    if (strcmp(picture->precision, "f32") == 0) options->precision = DR_PRECISION_F32;
    take_weights(options, picture);
    options->exact_convolutions = picture->exact_convolutions != 0;
}

static const char *name_of(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "star-again.png" for "pictures/star.png": the picture itself stays. */
static void name_output(struct again *again, const char *picture)
{
    const char *const name = name_of(picture);
    const char *const dot = strrchr(name, '.');
    const size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    (void)snprintf(again->output, sizeof again->output, "%.*s-again%.16s", (int)stem,
                   name, dot && dot != name ? dot : ".png");
}

/* By its digests, which are sure, then by its name. */
static enum dr_code find_model(struct again *again, const struct options *options,
                               const char *path, struct dr_error *err)
{
    const struct dr_parameters *const picture = &again->picture;
    const char *const names[] = {picture->model_hash, picture->unet_digest,
                                 picture->model};
    struct dr_models_options how = models_options(options);
    struct dr_error why = {0};
    how.only_names = 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (names[i][0] && dr_find_model(names[i], &how, again->model, &why) == DR_OK)
            return DR_OK;
    if (why.code != DR_NOT_FOUND && why.code != DR_OK) {
        *err = why;
        return why.code;
    }
    struct dr_model_list list = {.folders = ""};
    const bool has_list = dr_models_list(&how, &list, &why) == DR_OK;
    const enum dr_code code = command_fail(
        err, DR_NOT_FOUND,
        "the model of %.200s is not found: looked for the hash %.16s, the UNet digest "
        "%.16s and the name %.100s in %.300s, and for the digests among the models that "
        "were used before; give it with -m FILE, or its directory with --models DIR",
        path, picture->model_hash[0] ? picture->model_hash : "(none)",
        picture->unet_digest[0] ? picture->unet_digest : "(none)",
        picture->model[0] ? picture->model : "(none)",
        has_list ? list.folders : "the model directories");
    dr_model_list_free(&list);
    return code;
}

/* Of a UNet alone: the model with its other parts, by its name. */
static enum dr_code find_base(struct again *again, struct options *options,
                              const char *path, struct dr_error *err)
{
    const char *const name = again->picture.base;
    struct dr_models_options how = models_options(options);
    struct dr_error why = {0};
    if (!name[0] || options->base) return DR_OK;
    how.only_names = 1;
    const enum dr_code code = dr_find_model(name, &how, again->base, &why);
    options->base = again->base;
    if (code == DR_OK) return DR_OK;
    return command_fail(err, code,
                        "%.200s was made with the text encoders or the VAE of %.100s, "
                        "which is not found (%.300s); give it with --base MODEL",
                        path, name, why.message);
}

/* A VAE that lay beside the model is named by its path; one of the VAE directory by its name. */
static void name_vae(struct again *again, const char *model, struct options *options)
{
    const char *const vae = again->picture.vae;
    const size_t folder = (size_t)(name_of(model) - model);
    (void)snprintf(again->vae, sizeof again->vae, "%.*s%s", (int)folder, model, vae);
    if (!vae[0] || options->vae) return;
    options->vae =
        strcmp(vae, "none") != 0 && access(again->vae, F_OK) == 0 ? again->vae : vae;
}

/* Note what the new picture does not take over. */
static void leave_out(struct again *again, const char *what, const char *name)
{
    const size_t used = strlen(again->not_restored);
    (void)snprintf(again->not_restored + used, sizeof again->not_restored - used,
                   "%s%s%s%.200s", used ? ", " : "", what, name[0] ? " " : "", name);
}

static enum dr_code check_init(struct again *again, const struct options *options,
                               const struct again_words *words, struct dr_error *err)
{
    if (!again->picture.image_to_image || options->init) return DR_OK;
    if (words->manner == AGAIN_LIKE) {
        leave_out(again, "the picture that it was made from (give it with --init)", "");
        return DR_OK;
    }
    return command_fail(err, DR_BAD_INPUT,
                        "%.400s was made from another picture, which it does not "
                        "contain: give that with --init IMAGE",
                        words->picture);
}

/* A name in the VAE directory, with or without its extension. */
static bool has_vae(const char *name, const struct options *options)
{
    struct dr_vae_files list;
    struct dr_error ignored;
    bool found = strcmp(name, "none") == 0 || strcmp(name, "automatic") == 0;
    if (found || dr_vae_files_list(options->vae_dir, NULL, &list, &ignored) != DR_OK)
        return found;
    for (size_t i = 0; i < list.count && !found; ++i) {
        const char *const own = list.files[i].name, *const dot = strrchr(own, '.');
        const size_t stem = dot ? (size_t)(dot - own) : strlen(own);
        found = strcmp(own, name) == 0 ||
                (strlen(name) == stem && strncmp(own, name, stem) == 0);
    }
    dr_vae_files_free(&list);
    return found;
}

/* The picture's model, where no other was given; with --like the one that is loaded or the settings', where that
 * one is not there. */
static enum dr_code choose_model(struct again *again, struct options *full,
                                 const struct again_words *words, struct dr_error *err)
{
    struct dr_error why = {0};
    if (full->model) return DR_OK;
    const enum dr_code code = find_model(again, full, words->picture, &why);
    const bool has_other = (words->command & IN_SHELL) || command_has_default_model();
    if (code == DR_NOT_FOUND && words->manner == AGAIN_LIKE && has_other) {
        leave_out(again, "the model", again->picture.model);
        return DR_OK;
    }
    if (code != DR_OK) *err = why;
    full->model = again->model;
    return code;
}

static enum dr_code fill(struct options *options, const struct options *defaults,
                         const struct again_words *words, struct again *again,
                         struct dr_error *err)
{
    const char *const path = words->picture;
    const bool is_like = words->manner == AGAIN_LIKE;
    struct options full = *defaults;
    enum dr_code code = dr_read_picture(path, &again->picture, err);
    if (code != DR_OK) return code;
    take_picture(&full, &again->picture);
    code = options_parse(&full, words->command, words->count, words->words, err);
    full.prompt_is_plain = full.prompt == again->picture.prompt;
    full.picture = &again->picture;
    full.not_restored = again->not_restored;
    if (again->picture.unknown[0]) leave_out(again, again->picture.unknown, "");
    if (code == DR_OK) code = check_init(again, &full, words, err);
    if (code == DR_OK) code = choose_model(again, &full, words, err);
    if (code == DR_OK) code = find_base(again, &full, path, err);
    if (code != DR_OK) return code;
    const bool has_own_vae = full.vae != NULL;
    name_vae(again, full.model ? full.model : "", &full);
    if (is_like && !has_own_vae && full.vae && full.vae != again->vae &&
        !has_vae(full.vae, &full)) {
        leave_out(again, "the VAE", full.vae);
        full.vae = NULL;
    }
    if (!full.output && !is_like) {
        name_output(again, path);
        full.output = again->output;
    }
    *options = full;
    return DR_OK;
}

enum dr_code again_fill(struct options *options, const struct options *defaults,
                        const struct again_words *words, struct again **again,
                        struct dr_error *err)
{
    *again = calloc(1, sizeof **again);
    if (!*again) return command_fail(err, DR_NOMEM, "out of memory for the picture");
    return fill(options, defaults, words, *again, err);
}

/* ---- what is not the same with --like ------------------------------------------------------ */

void again_warn_before(struct session *session, const struct options *options)
{
    char line[2 * DR_TEXT_BYTES + 100];
    if (!options->like || !options->not_restored || !options->not_restored[0]) return;
    (void)snprintf(line, sizeof line, "not restored from the picture: %s",
                   options->not_restored);
    talk_log(&session->talk, DR_LOG_WARNING, line);
}

void again_warn_after(struct session *session, const struct options *options,
                      const json_t *answer)
{
    struct dr_difference differences[DR_MAX_DIFFERENCES];
    struct dr_parameters is;
    struct dr_error ignored;
    const char *const path = options->like ? again_json_made(answer) : NULL;
    if (!path || dr_read_picture(path, &is, &ignored) != DR_OK) return;
    const size_t count = dr_parameters_compare(options->picture, &is, differences);
    for (size_t i = 0; i < count; ++i) {
        char line[DR_TEXT_BYTES];
        const struct dr_difference *const one = &differences[i];
        if (strcmp(one->what, "LoRA hash") != 0 &&
            strcmp(one->what, "embedding hash") != 0)
            continue;
        (void)snprintf(line, sizeof line,
                       "another file of the same name: the %s is %s, and was %s",
                       one->what, one->is, one->was);
        talk_log(&session->talk, DR_LOG_WARNING, line);
    }
    dr_parameters_free(&is);
}

/* ---- what differs ------------------------------------------------------------------------ */

/* A picture before another is made, which may take its place. */
struct before {
    const struct dr_parameters *says; /* borrowed */
    unsigned char *bytes;             /* of the file; NULL: not known */
    size_t count;
};

static void read_bytes(struct before *before, const char *path)
{
    FILE *const file = fopen(path, "rb");
    long size = 0;
    if (file && fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    if (size > 0 && fseek(file, 0, SEEK_SET) == 0) before->bytes = malloc((size_t)size);
    if (before->bytes) before->count = fread(before->bytes, 1, (size_t)size, file);
    if (file) (void)fclose(file);
}

static void before_free(struct before *before)
{
    free(before->bytes);
}

/* Has the file these bytes? */
static bool is_identical(const struct before *before, const char *path)
{
    FILE *const file = before->bytes ? fopen(path, "rb") : NULL;
    size_t at = 0;
    int byte = EOF;
    if (!file) return false;
    while ((byte = getc(file)) != EOF && at < before->count &&
           before->bytes[at] == byte)
        ++at;
    (void)fclose(file);
    return byte == EOF && at == before->count;
}

static void answer_differences(const struct options *options,
                               const struct before *before, json_t *fields)
{
    struct dr_difference differences[DR_MAX_DIFFERENCES];
    struct dr_parameters is;
    struct dr_error why;
    const char *const path = again_json_made(fields);
    if (!path || dr_read_picture(path, &is, &why) != DR_OK) return; /* latents */
    const size_t count = dr_parameters_compare(before->says, &is, differences);
    again_json_add(fields,
                   &(struct again_answer){.picture = options->operands[0],
                                          .differences = differences,
                                          .count = count,
                                          .identical = is_identical(before, path)});
    dr_parameters_free(&is);
}

enum dr_code run_again(struct session *session, const struct options *options,
                       json_t *fields, struct dr_error *err)
{
    struct before before = {.says = options->picture};
    read_bytes(&before, options->operands[0]);
    const enum dr_code code = run_generate(session, options, fields, err);
    if (before.says->unknown[0]) {
        char line[DR_TEXT_BYTES + 100];
        (void)snprintf(line, sizeof line,
                       "the picture was made with what darkroom does not have: %s",
                       before.says->unknown);
        talk_log(&session->talk, DR_LOG_WARNING, line);
    }
    if (code == DR_OK) answer_differences(options, &before, fields);
    before_free(&before);
    return code;
}
