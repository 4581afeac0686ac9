/* The table of meaning.h, walked: each rule in a file of its own, from the file to the finding. Files
 * hold a few names of each network; configs lie in a diffusers folder. */
#include "check.h"
#include "scratch_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "weights/checkpoint.h"
#include "weights/tensor_writer.h"

static struct dr_error error;

/* ---- files ---- */

enum {
    MOST_TENSORS = 24,
    TEXT_BYTES = 1024
};

/* Names that make a file an SD1.x checkpoint. */
static const char *const network[] = {
    "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    "cond_stage_model.transformer.text_model.final_layer_norm.bias",
    "model.diffusion_model.input_blocks.0.0.weight",
    "model.diffusion_model.time_embed.0.weight",
    "first_stage_model.decoder.conv_in.weight",
    "first_stage_model.encoder.conv_in.weight",
};

/* Its names, one more (may be NULL), and metadata (may be NULL). */
static void write_file(const char *path, const char *extra,
                       const struct tensor_metadata *metadata)
{
    struct tensor_writer_item items[MOST_TENSORS];
    struct tensor_writer *writer = NULL;
    size_t count = 0;
    for (; count < sizeof network / sizeof network[0]; ++count)
        items[count] =
            (struct tensor_writer_item){.name = network[count], .rank = 1, .dims = {1}};
    if (extra)
        items[count++] =
            (struct tensor_writer_item){.name = extra, .rank = 1, .dims = {1}};
    (void)unlink(path);
    check_int(tensor_writer_open(&writer, path, items, count, metadata,
                                 metadata ? 1 : 0, &error),
              ==, DR_OK);
    for (size_t i = 0; i < count; ++i)
        check_int(tensor_writer_add(writer, "\0\0\0", 4, &error), ==, DR_OK);
    check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
}

static void write_text(const char *path, const char *text)
{
    FILE *const stream = fopen(path, "w");
    check(stream && fputs(text, stream) >= 0 && fclose(stream) == 0);
}

static void write_part(const char *folder, const char *name, const char *second)
{
    char path[TEXT_BYTES];
    const struct tensor_writer_item items[] = {
        {.name = name,   .rank = 1, .dims = {1}},
        {.name = second, .rank = 1, .dims = {1}},
    };
    struct tensor_writer *writer = NULL;
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    (void)unlink(path);
    check_int(tensor_writer_open(&writer, path, items, 2, NULL, 0, &error), ==, DR_OK);
    for (int i = 0; i < 2; ++i)
        check_int(tensor_writer_add(writer, "\0\0\0", 4, &error), ==, DR_OK);
    check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
}

/* Where a config of each place lies in the folder. */
static const char *const configs[MEANING_PLACE_COUNT] = {
    [MEANING_PIPELINE_CONFIG] = "folder/model_index.json",
    [MEANING_UNET_CONFIG] = "folder/unet/config.json",
    [MEANING_VAE_CONFIG] = "folder/vae/config.json",
    [MEANING_TEXT_CONFIG] = "folder/text_encoder/config.json",
    [MEANING_SCHEDULER_CONFIG] = "folder/scheduler/scheduler_config.json",
};

static void write_folder(void)
{
    static const char *const folders[] = {"folder", "folder/unet", "folder/vae",
                                          "folder/text_encoder", "folder/scheduler"};
    char path[TEXT_BYTES];
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; ++i)
        (void)mkdir(scratch_path(folders[i]), 0700);
    (void)snprintf(path, sizeof path, "%s", scratch_path("folder/unet"));
    write_part(path, "conv_in.weight", "up_blocks.0.resnets.0.conv1.weight");
    (void)snprintf(path, sizeof path, "%s", scratch_path("folder/vae"));
    write_part(path, "decoder.mid_block.resnets.0.conv1.weight",
               "decoder.up_blocks.0.resnets.0.conv1.weight");
    (void)snprintf(path, sizeof path, "%s", scratch_path("folder/text_encoder"));
    write_part(path, "text_model.final_layer_norm.weight",
               "text_model.final_layer_norm.bias");
    for (size_t i = 0; i < MEANING_PLACE_COUNT; ++i)
        if (configs[i]) write_text(scratch_path(configs[i]), "{}");
}

/* ---- what is found ---- */

static struct checkpoint checkpoint;

/* Opens it; the number of findings that refuse. */
static size_t findings_of(const char *path)
{
    size_t count = 0;
    const enum dr_code code = checkpoint_open(&checkpoint, path, &error);
    if (code) check_fail_at("%s", error.message);
    for (size_t i = 0; i < checkpoint.meaning.finding_count; ++i)
        if (!checkpoint.meaning.findings[i].is_warning) ++count;
    return count;
}

/* "*lora_*" becomes "xlora_x": a text that the pattern matches. */
static void an_instance(const char *pattern, size_t bytes, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < bytes; ++i)
        if (pattern[i] == '*')
            out[used++] = 'x';
        else
            out[used++] = pattern[i];
    out[used] = '\0';
}

/* A value that a rule speaks of, and as JSON where it is no number, truth or null. */
static void a_value(const struct meaning_rule *rule, char *value, char *json)
{
    const char *const values = rule->values ? rule->values : "7";
    an_instance(values, strcspn(values, "|"), value);
    char *end;
    (void)!strtod(value, &end);
    const bool is_plain = (*value && !*end) || strcmp(value, "true") == 0 ||
                          strcmp(value, "false") == 0 || strcmp(value, "null") == 0;
    if (is_plain) {
        (void)snprintf(json, TEXT_BYTES, "%s", value);
        return;
    }
    size_t used = 0;
    json[used++] = '"';
    for (const char *c = value; *c; ++c) {
        if (*c == '"') json[used++] = '\\';
        json[used++] = *c;
    }
    json[used++] = '"';
    json[used] = '\0';
}

/* Keys of lists and numbers that the networks' readers look at themselves. */
static bool is_checked_elsewhere(const char *key)
{
    return strcmp(key, "latents_mean") == 0 || strcmp(key, "latents_std") == 0;
}

static const char *const prefixes[] = {
    [MEANING_MARKER] = "",
    [MEANING_TEXT] = "cond_stage_model.transformer.text_model.",
    [MEANING_UNET] = "model.diffusion_model.",
    [MEANING_VAE] = "first_stage_model.",
};

/* Write what the rule speaks of, with this value; the path to open. NULL: not by a file here. */
static const char *write_case(const struct meaning_rule *rule, const char *key,
                              const char *value, const char *json)
{
    char text[2 * TEXT_BYTES];
    const struct tensor_metadata said = {.key = key, .text = value};
    switch (rule->place) {
    case MEANING_TEXT2: return NULL; /* the first encoder's route is the same */
    case MEANING_MARKER:
    case MEANING_TEXT:
    case MEANING_UNET:
    case MEANING_VAE:
        (void)snprintf(text, sizeof text, "%s%s", prefixes[rule->place], key);
        write_file(scratch_path("m.safetensors"), text, NULL);
        return scratch_path("m.safetensors");
    case MEANING_METADATA:
        write_file(scratch_path("m.safetensors"), NULL, &said);
        return scratch_path("m.safetensors");
    case MEANING_YAML:
        /* A flat key with dots, which a nested one is joined to. */
        (void)snprintf(text, sizeof text, "%s: '%s'\n", key, value);
        write_text(scratch_path("y.yaml"), text);
        write_file(scratch_path("y.safetensors"), NULL, NULL);
        return scratch_path("y.safetensors");
    case MEANING_PIPELINE_CONFIG:
    case MEANING_UNET_CONFIG:
    case MEANING_VAE_CONFIG:
    case MEANING_TEXT_CONFIG:
    case MEANING_SCHEDULER_CONFIG:
        if (is_checked_elsewhere(key)) return NULL;
        (void)snprintf(text, sizeof text, "{\"%s\": %s}", key, json);
        write_text(scratch_path(configs[rule->place]), text);
        return scratch_path("folder");
    case MEANING_PLACE_COUNT: break;
    }
    return NULL;
}

static void put_back(const struct meaning_rule *rule)
{
    if (configs[rule->place]) write_text(scratch_path(configs[rule->place]), "{}");
}

static void every_rule_is_obeyed(void)
{
    char key[TEXT_BYTES], value[TEXT_BYTES], json[TEXT_BYTES];
    size_t walked = 0;
    write_folder();
    for (size_t i = 0; i < meaning_rule_count; ++i) {
        const struct meaning_rule *const rule = &meaning_rules[i];
        bool is_known;
        an_instance(rule->key, strlen(rule->key), key);
        a_value(rule, value, json);
        if (!rule->values && strcmp(rule->key, "*") == 0) continue;
        const struct meaning_rule *const found =
            meaning_find(rule->place, key, rule->values ? value : "7", &is_known);
        check(is_known);
        if (found != rule) /* a refusal that is only for what the rules before leave */
            check(found && found->place == rule->place);
        const char *const path = write_case(rule, key, value, json);
        if (!path) continue;
        const size_t refused = findings_of(path);
        const bool should = found && found->verdict == MEANING_REFUSED;
        if (refused != (should ? 1U : 0U))
            check_fail_at("%s = %s: %zu findings, not %d", key, value, refused, should);
        if (should && refused == 1) {
            check_has(checkpoint.meaning.findings[0].text, key);
            check_has(checkpoint.meaning.findings[0].text, found->what);
        }
        ++walked;
        checkpoint_close(&checkpoint);
        put_back(rule);
    }
    check_int(walked, >, 250);
}

/* With the table's values replaced by one that none has. */
static void other_values_are_refused(void)
{
    char key[TEXT_BYTES];
    size_t walked = 0;
    write_folder();
    for (size_t i = 0; i < meaning_rule_count; ++i) {
        const struct meaning_rule *const rule = &meaning_rules[i];
        bool is_known;
        if (!rule->values || strpbrk(rule->key, "*")) continue;
        an_instance(rule->key, strlen(rule->key), key);
        const struct meaning_rule *const found =
            meaning_find(rule->place, key, "qqq", &is_known);
        if (found && found->verdict != MEANING_REFUSED) continue;
        const char *const path = write_case(rule, key, "qqq", "\"qqq\"");
        if (!path) continue;
        if (findings_of(path) != 1) check_fail_at("%s: not one finding", key);
        if (checkpoint.meaning.finding_count > 0) {
            check_has(checkpoint.meaning.findings[0].text, key);
            check_has(checkpoint.meaning.findings[0].text, "\"qqq\"");
        }
        ++walked;
        checkpoint_close(&checkpoint);
        put_back(rule);
    }
    check_int(walked, >, 50);
}

/* Names that no rule has. */
static void unknown_names_are_findings(void)
{
    static const struct {
        enum meaning_place place;
        const char *key, *json;
        size_t refused, warned;
    } cases[] = {
        {MEANING_MARKER,           "strange",                  "7",            1, 0},
        {MEANING_MARKER,           "some.other.tensor",        "7",            0, 1},
        {MEANING_UNET,             "input_blocks.0.0.strange", "7",            1, 0},
        {MEANING_UNET,             "strange.weight",           "7",            1, 0},
        {MEANING_VAE,              "decoder.strange",          "7",            1, 0},
        {MEANING_TEXT,             "final_layer_norm.strange", "7",            1, 0},
        {MEANING_UNET_CONFIG,      "strange",                  "7",            1, 0},
        {MEANING_UNET_CONFIG,      "strange",                  "\"a\"",        1, 0},
        {MEANING_UNET_CONFIG,      "strange",                  "[1]",          1, 0},
        {MEANING_UNET_CONFIG,      "strange",                  "true",         1, 0},
        {MEANING_UNET_CONFIG,      "strange",                  "null",         0, 0},
        {MEANING_UNET_CONFIG,      "strange",                  "false",        0, 0},
        {MEANING_VAE_CONFIG,       "strange",                  "7",            1, 0},
        {MEANING_TEXT_CONFIG,      "strange",                  "7",            1, 0},
        {MEANING_SCHEDULER_CONFIG, "strange",                  "7",            1, 0},
        {MEANING_PIPELINE_CONFIG,  "strange",                  "[\"a\"]",      1, 0},
        {MEANING_PIPELINE_CONFIG,  "strange",                  "[null, null]", 0, 0},
        {MEANING_METADATA,         "strange",                  "7",            0, 0},
        {MEANING_YAML,             "model.params.strange",     "7",            1, 0},
        {MEANING_YAML,             "strange.to.models",        "7",            0, 0},
    };
    write_folder();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        const struct meaning_rule rule = {.place = cases[i].place};
        const char *const path =
            write_case(&rule, cases[i].key, cases[i].json, cases[i].json);
        check_int(findings_of(path), ==, cases[i].refused);
        check_int(checkpoint.meaning.finding_count, ==,
                  cases[i].refused + cases[i].warned);
        if (checkpoint.meaning.finding_count > 0)
            check_has(checkpoint.meaning.findings[0].text, cases[i].key);
        checkpoint_close(&checkpoint);
        put_back(&rule);
        (void)unlink(scratch_path("y.yaml"));
    }
}

/* A file of names that nothing knows: looked at in bounded time and memory. */
static void many_strangers_are_bounded(void)
{
    enum {
        MANY = 20000
    };
    struct tensor_writer_item *const items = calloc(MANY, sizeof *items);
    char(*const names)[40] = calloc(MANY, sizeof *names);
    struct tensor_writer *writer = NULL;
    const char *const path = scratch_path("many.safetensors");
    for (int i = 0; i < MANY; ++i) {
        (void)snprintf(names[i], sizeof names[0],
                       i == 0          ? "decoder.conv_in.weight"
                       : i == MANY - 1 ? "z_marker"
                                       : "%s.strange.%d",
                       i % 2 ? "decoder" : "elsewhere", i);
        items[i] =
            (struct tensor_writer_item){.name = names[i], .rank = 1, .dims = {0}};
    }
    check_int(tensor_writer_open(&writer, path, items, MANY, NULL, 0, &error), ==,
              DR_OK);
    for (int i = 0; i < MANY; ++i)
        check_int(tensor_writer_add(writer, "", 0, &error), ==, DR_OK);
    check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
    check_int(findings_of(path), ==,
              100 + 1); /* those of one role hide none of another */
    check_int(checkpoint.pool.bytes, <, 4 << 20);
    checkpoint_close(&checkpoint);
    free(names);
    free(items);
}

/* A bare VAE has no prefix: what shares a module with its tensors is its own, the rest is not. */
static void a_bare_vae_knows_its_modules(void)
{
    static const struct {
        const char *name;
        size_t refused, warned;
    } cases[] = {
        {"decoder.conv_in.strange", 1, 0},
        {"strange.weight",          0, 1},
        {"loss.logvar",             0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        const struct tensor_writer_item items[] = {
            {.name = "decoder.conv_in.weight", .rank = 1, .dims = {1}},
            {.name = cases[i].name,            .rank = 1, .dims = {1}},
        };
        const char *const path = scratch_path("bare.safetensors");
        struct tensor_writer *writer = NULL;
        (void)unlink(path);
        check_int(tensor_writer_open(&writer, path, items, 2, NULL, 0, &error), ==,
                  DR_OK);
        check_int(tensor_writer_add(writer, "\0\0\0", 4, &error), ==, DR_OK);
        check_int(tensor_writer_add(writer, "\0\0\0", 4, &error), ==, DR_OK);
        check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
        check_int(findings_of(path), ==, cases[i].refused);
        check_int(checkpoint.meaning.finding_count, ==,
                  cases[i].refused + cases[i].warned);
        checkpoint_close(&checkpoint);
    }
}

/* ---- prediction ---- */

static void expect_prediction(const char *path, bool is_v, const char *source,
                              size_t warnings)
{
    check_int(findings_of(path), ==, 0);
    check_int(checkpoint.meaning.predicts_v, ==, is_v);
    check_has(checkpoint.meaning.prediction_source, source);
    check_int(checkpoint.meaning.finding_count, ==, warnings);
    check_str(checkpoint.components[ROLE_UNET].meaning, is_v ? "prediction=v " : "");
    checkpoint_close(&checkpoint);
}

static void every_marker_of_v_is_obeyed(void)
{
    const char *const path = scratch_path("v.safetensors");
    static const struct tensor_metadata said[] = {
        {.key = "darkroom.prediction",       .text = "v"           },
        {.key = "darkroom.prediction",       .text = "v_prediction"},
        {.key = "modelspec.prediction_type", .text = "v"           },
        {.key = "modelspec.predict_key",     .text = "v"           },
    };
    write_file(path, NULL, NULL);
    expect_prediction(path, false, "default", 0);
    write_file(path, "v_pred", NULL);
    expect_prediction(path, true, "tensor v_pred of v.safetensors", 0);
    for (size_t i = 0; i < sizeof said / sizeof said[0]; ++i) {
        write_file(path, NULL, &said[i]);
        expect_prediction(path, true, said[i].key, 0);
    }
    write_file(path, NULL, NULL);
    write_text(scratch_path("v.yaml"),
               "model:\n  params:\n    parameterization: \"v\"\n");
    expect_prediction(path, true, "model.params.parameterization of v.yaml", 0);
    write_text(scratch_path("v.yaml"),
               "model: {params: {denoiser_config: {params: {scaling_config: {target: "
               "sgm.modules.diffusionmodules.denoiser_scaling.VScaling}}}}}\n");
    expect_prediction(path, true, "scaling_config.target of v.yaml", 0);
    /* A text of nothing states nothing. */
    write_file(path, NULL,
               &(struct tensor_metadata){.key = "modelspec.prediction_type",
                                         .text = ""});
    expect_prediction(path, true, "scaling_config.target of v.yaml", 0);
    /* The first of the list counts, and the other is said. */
    write_file(path, "v_pred",
               &(struct tensor_metadata){.key = "modelspec.prediction_type",
                                         .text = "epsilon"});
    expect_prediction(path, true, "tensor v_pred", 1);
    check_int(unlink(scratch_path("v.yaml")), ==, 0);
    write_folder();
    write_text(scratch_path(configs[MEANING_SCHEDULER_CONFIG]),
               "{\"prediction_type\": \"v_prediction\"}");
    expect_prediction(scratch_path("folder"), true,
                      "prediction_type of scheduler_config.json", 0);
}

static void the_schedule_and_zeros_are_obeyed(void)
{
    const char *const path = scratch_path("v.safetensors");
    write_file(path, "ztsnr", NULL);
    check_int(findings_of(path), ==, 0);
    check(checkpoint.meaning.zero_terminal_snr && !checkpoint.meaning.predicts_v);
    check_has(checkpoint.meaning.schedule_source, "tensor ztsnr");
    checkpoint_close(&checkpoint);
    write_folder();
    write_text(scratch_path(configs[MEANING_SCHEDULER_CONFIG]),
               "{\"rescale_betas_zero_snr\": true}");
    write_text(scratch_path(configs[MEANING_PIPELINE_CONFIG]),
               "{\"force_zeros_for_empty_prompt\": false}");
    check_int(findings_of(scratch_path("folder")), ==, 0);
    check(checkpoint.meaning.zero_terminal_snr);
    check(checkpoint.meaning.encodes_empty_negative);
    checkpoint_close(&checkpoint);
    write_folder();
    check_int(findings_of(scratch_path("folder")), ==, 0);
    check(!checkpoint.meaning.encodes_empty_negative);
    checkpoint_close(&checkpoint);
}

/* ---- the check ---- */

static void findings_refuse_by_role(void)
{
    const char *const path = scratch_path("v.safetensors");
    char warnings[512];
    write_file(path, "first_stage_model.decoder.strange", NULL);
    check_int(findings_of(path), ==, 1);
    check_int(meaning_check(&checkpoint, 1U << ROLE_UNET, false, warnings,
                            sizeof warnings, &error),
              ==, DR_OK);
    check_str(warnings, "");
    check_int(meaning_check(&checkpoint, 1U << ROLE_VAE, false, warnings,
                            sizeof warnings, &error),
              ==, DR_UNSUPPORTED);
    check_has(error.message, "v.safetensors");
    check_has(error.message, "first_stage_model.decoder.strange");
    check_has(error.message, "F32 [1]");
    check_has(error.message, "--force");
    check_int(meaning_check(&checkpoint, 1U << ROLE_VAE, true, warnings,
                            sizeof warnings, &error),
              ==, DR_OK);
    check_has(warnings, "decoder.strange");
    checkpoint_close(&checkpoint);
}

static void a_broken_yaml_is_a_finding(void)
{
    static const char *const texts[] = {"model: [1, 2\n", "model: {a: b\n",
                                        "\t- x: 1\n", "? [a, b]\n: c\n", "a: b: c\n"};
    write_file(scratch_path("y.safetensors"), NULL, NULL);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        write_text(scratch_path("y.yaml"), texts[i]);
        check_int(findings_of(scratch_path("y.safetensors")), ==, 1);
        check_has(checkpoint.meaning.findings[0].text, "y.yaml");
        checkpoint_close(&checkpoint);
    }
    /* Aliases are not followed, and what is no model is not looked at. */
    write_text(scratch_path("y.yaml"),
               "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nnotes: mine\n---\nd: 1\n");
    check_int(findings_of(scratch_path("y.safetensors")), ==, 0);
    checkpoint_close(&checkpoint);
    check_int(unlink(scratch_path("y.yaml")), ==, 0);
}

/* What a finding quotes is printable, and whole characters. */
static void findings_are_printable(void)
{
    static const char *const texts[] = {
        "model: {params: {\"a\\nb\": \"\\e[31mred\\x7f\"}}\n",
        /* 27 characters of 3 bytes: the value that is shown ends within one */
        "model: {params: {a: "
        "\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8"
        "\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8"
        "\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8"
        "\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8\xe6\x9c\xa8}}\n",
    };
    write_file(scratch_path("y.safetensors"), NULL, NULL);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        write_text(scratch_path("y.yaml"), texts[i]);
        check_int(findings_of(scratch_path("y.safetensors")), ==, 1);
        const char *const text = checkpoint.meaning.findings[0].text;
        check(utf8_is_valid(text, strlen(text)));
        for (const char *c = text; *c; ++c)
            check((unsigned char)*c >= 0x20 && *c != 0x7f);
        checkpoint_close(&checkpoint);
    }
    check_int(unlink(scratch_path("y.yaml")), ==, 0);
    /* A long one is cut between characters, in an error and in a warning. */
    char text[1201] = "", warnings[101];
    for (int i = 0; i < 400; ++i)
        (void)strcat(text, "\xe6\x9c\xa8");
    check_int(findings_of(scratch_path("y.safetensors")), ==, 0);
    check_int(meaning_add(&checkpoint, ROLE_COUNT, &error, "%s", text), ==, DR_OK);
    check_int(meaning_check(&checkpoint, 1U << ROLE_COUNT, false, warnings,
                            sizeof warnings, &error),
              ==, DR_UNSUPPORTED);
    check(utf8_is_valid(error.message, strlen(error.message)));
    check_int(meaning_check(&checkpoint, 1U << ROLE_COUNT, true, warnings,
                            sizeof warnings, &error),
              ==, DR_OK);
    check_int(strlen(warnings), ==, 99);
    check(utf8_is_valid(warnings, strlen(warnings)));
    checkpoint_close(&checkpoint);
}

int main(void)
{
    check_run(every_rule_is_obeyed);
    check_run(other_values_are_refused);
    check_run(unknown_names_are_findings);
    check_run(many_strangers_are_bounded);
    check_run(a_bare_vae_knows_its_modules);
    check_run(every_marker_of_v_is_obeyed);
    check_run(the_schedule_and_zeros_are_obeyed);
    check_run(findings_refuse_by_role);
    check_run(a_broken_yaml_is_a_finding);
    check_run(findings_are_printable);
    return check_done();
}
