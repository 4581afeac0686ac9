/* The settings' file: what is read, refused, matched and written; and the chain from a job's own
 * choice down to automatic, in an engine. */
#include "engine/engine_fixture.h"

#include "base/fault_fixture.h"
#include "switch/settings.h"
#include "switch/vae_folder.h"

static struct dr_settings settings;

static const char *settings_path(void)
{
    return in_root("settings.json");
}

static void write_settings(const char *text)
{
    FILE *const file = fopen(settings_path(), "wb");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) exit(1);
}

static const char *written(void)
{
    static char text[8192];
    size_t bytes;
    unsigned char *const data = read_file(settings_path(), &bytes);
    (void)snprintf(text, sizeof text, "%.*s", (int)bytes, (const char *)data);
    free(data);
    return text;
}

static enum dr_code parse(const char *text)
{
    dr_settings_free(&settings);
    problem = (struct dr_error){0};
    return settings_parse(&settings, "s.json", text, strlen(text), &problem);
}

/* ---- reading ----------------------------------------------------------------------------- */

static void every_key_is_read(void)
{
    check_int(parse("{\"vae\": \"sharp\", \"vae_dir\": \"/data/vae\",\n"
                    "\"vae_by_model\": {\"sd15\": \"none\", \"xl\": \"w\\u00efde\"}}"),
              ==, DR_OK);
    check_str(settings.vae, "sharp");
    check_str(settings.vae_folder, "/data/vae");
    check_int(settings.model_count, ==, 2);
    check_str(settings.models[0].model, "sd15");
    check_str(settings.models[0].vae, "none");
    check_str(settings.models[1].vae, "w\xC3\xAF"
                                      "de");
    check_str(settings.warnings, "");
    check_int(parse("{}"), ==, DR_OK);
    check_str(settings.vae, "");
    check_int(settings.model_count, ==, 0);
}

static void keys_that_are_not_about_vaes(void)
{
    check_int(parse("{\"model\": \"sd15\", \"model_dirs\": [\"/a\", \"/b c\"], "
                    "\"output_dir\": \"/out\", \"precision\": \"bf16\", "
                    "\"budget\": \"8G\", \"packs_limit\": 12345, "
                    "\"size\": \"768x512\", \"steps\": 25, \"cfg\": 7.5, "
                    "\"sampler\": \"dpmpp-2m\", \"scheduler\": \"karras\", "
                    "\"by_model\": {\"sd15\": {\"steps\": 30}, "
                    "\"models/sd15\": {\"cfg\": 0}}}"),
              ==, DR_OK);
    check_str(settings.warnings, "");
    check_str(settings.model, "sd15");
    check_int(settings.model_folder_count, ==, 2);
    check_str(settings.model_folders[1], "/b c");
    check_str(settings.output_folder, "/out");
    check_int(settings.precision, ==, DR_PRECISION_BF16);
    check_int(settings.budget_bytes, ==, (uint64_t)8 << 30);
    check_int(settings.packs_limit_bytes, ==, 12345);
    check_int(settings.defaults.width, ==, 768);
    check_int(settings.defaults.height, ==, 512);
    check_int(settings.defaults.steps, ==, 25);
    check_real(settings.defaults.cfg, ==, 7.5);
    check_str(settings.defaults.sampler, "dpmpp-2m");
    check_str(settings.defaults.scheduler, "karras");
    check_int(settings_defaults_for_model(&settings, "/x/sd15.pt")->steps, ==, 30);
    const struct dr_defaults *const close =
        settings_defaults_for_model(&settings, "/models/sd15.pt");
    check_int(close->steps, ==, 0);
    check_real(close->cfg, ==, 0.0);
    check(!settings_defaults_for_model(&settings, "/x/other.pt"));
    check(!settings_for_model(&settings, "/x/sd15.pt")); /* no VAE is set for it */
    check_int(parse("{}"), ==, DR_OK);
    check_int(settings.precision, ==, DR_PRECISION_UNSET);
    check_int(settings.defaults.steps, ==, 0);
    check_real(settings.defaults.cfg, ==, DR_CFG_DEFAULT);
}

static void values_that_are_none_are_named(void)
{
    static const char *const bad[] = {
        "{\"size\": \"768\"}",
        "{\"size\": \"768x513\"}",
        "{\"size\": \"8x8\"}",
        "{\"size\": \"768x512x\"}",
        "{\"size\": 512}",
        "{\"steps\": 0}",
        "{\"steps\": 1001}",
        "{\"steps\": 2.5}",
        "{\"cfg\": -1}",
        "{\"cfg\": \"7\"}",
        "{\"sampler\": \"eular\"}",
        "{\"scheduler\": \"karas\"}",
        "{\"model\": \"\"}",
        "{\"model\": 1}",
        "{\"model_dirs\": \"/a\"}",
        "{\"model_dirs\": [\"a\"]}",
        "{\"model_dirs\": [1]}",
        "{\"output_dir\": \"out\"}",
        "{\"precision\": \"f16\"}",
        "{\"budget\": \"0\"}",
        "{\"budget\": -5}",
        "{\"packs_limit\": \"lots\"}",
        "{\"by_model\": []}",
        "{\"by_model\": {\"a\": 1}}",
        "{\"by_model\": {\"a\": {\"steps\": \"x\"}}}",
        "{\"sampler\": \"lcm\", \"scheduler\": \"karras\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        check_int(parse(bad[i]), ==, DR_BAD_INPUT);
        check_has(problem.message, "s.json");
        check_int(settings.model_count, ==, 0);
    }
    check_has(problem.message, "does not go with the sampler lcm");
    /* What one model cannot have is no key there. */
    check_int(parse("{\"by_model\": {\"a\": {\"budget\": \"1G\"}}}"), ==, DR_OK);
    check_has(settings.warnings, "\"budget\"");
}

static void unknown_keys_are_named(void)
{
    check_int(parse("{\"vea\": 1, \"vae\": \"sharp\", \"theme\": {\"vae\": 2}}"), ==,
              DR_OK);
    check_str(settings.vae, "sharp");
    check_has(settings.warnings, "\"vea\", \"theme\"");
    check(strstr(settings.warnings, "\"vae\"") == NULL);
}

static void what_is_damaged_is_said(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"",                                                                   "line 1"                        },
        {"{\"vae\":\n \"sharp\",\n }",                                         "line 3"                        },
        {"not JSON",                                                           "line 1"                        },
        {"{\"vae\": \"a\"} x",                                                 "line 1"                        },
        {"{\"vae\": \"a\", \"vae\": \"b\"}",                                   "duplicate"                     },
        {"{\"vae\": \"\xFF\"}",                                                "line 1"                        },
        {"[]",                                                                 "a list"                        },
        {"\"sharp\"",                                                          "a text"                        },
        {"{\"vae\": 7}",                                                       "\"vae\" is a number"           },
        {"{\"vae\": null}",                                                    "\"vae\" is null"               },
        {"{\"vae\": \"\"}",                                                    "\"vae\" has 0 bytes"           },
        {"{\"vae_dir\": [\"/a\"]}",                                            "\"vae_dir\" is a list"         },
        {"{\"vae_dir\": \"vae\"}",                                             "absolute path"                 },
        {"{\"vae_by_model\": \"sharp\"}",                                      "\"vae_by_model\" is a text"    },
        {"{\"vae_by_model\": {\"sd15\": true}}",                               "\"sd15\" in vae_by_model is tr"},
        {"{\"vae\": \"a\", \"vae_by_model\": {\"k\": \"v\", \"sd15\": \"\"}}",
         "\"sd15\" in vae_by_model has 0 bytes"                                                                },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        check_int(parse(cases[i].text), ==, DR_BAD_INPUT);
        check_has(problem.message, "s.json");
        check_has(problem.message, cases[i].part);
        check_int(settings.model_count, ==, 0);
        check(settings.models == NULL);
    }
    check_has(problem.message, "remove the key");
}

static void what_is_too_large_or_deep_is_said(void)
{
    const size_t bytes = SETTINGS_MAX_BYTES + 1;
    char *const text = malloc(bytes);
    memset(text, ' ', bytes);
    memcpy(text, "{}", 2);
    check_int(settings_parse(&settings, "s.json", text, bytes, &problem), ==,
              DR_BAD_INPUT);
    check_has(problem.message, "1048577");
    check_int(settings_parse(&settings, "s.json", text, bytes - 1, &problem), ==,
              DR_OK);
    memset(text, '[', bytes - 1);
    check_int(settings_parse(&settings, "s.json", text, bytes - 1, &problem), ==,
              DR_BAD_INPUT);
    check_has(problem.message, "depth");
    char choice[DR_PATH_BYTES + 32];
    memset(choice, 'x', sizeof choice);
    memcpy(choice, "{\"vae\":\"", 8);
    memcpy(choice + 8 + DR_PATH_BYTES - 1, "\"}", 3);
    check_int(parse(choice), ==, DR_OK);
    check_int(strlen(settings.vae), ==, DR_PATH_BYTES - 1);
    memcpy(choice + 8 + DR_PATH_BYTES - 1, "x\"}", 4);
    check_int(parse(choice), ==, DR_BAD_INPUT);
    check_has(problem.message, "4096 bytes");
    free(text);
}

static void the_file_is_looked_for_where_xdg_has_it(void)
{
    check_int(setenv("HOME", in_root("home"), 1), ==, 0);
    check_int(setenv("XDG_CONFIG_HOME", in_root("config"), 1), ==, 0);
    check_int(dr_settings_read(NULL, &settings, &problem), ==, DR_OK);
    check_str(settings.path, in_root("config/darkroom/settings.json"));
    check(!settings.exists);
    check_int(setenv("XDG_CONFIG_HOME", "relative", 1), ==, 0);
    check_int(dr_settings_read(NULL, &settings, &problem), ==, DR_OK);
    check_str(settings.path, in_root("home/.config/darkroom/settings.json"));
    check_int(unsetenv("HOME"), ==, 0);
    check_int(dr_settings_read(NULL, &settings, &problem), ==, DR_OK);
    check_str(settings.path, "");
    check_int(dr_settings_change(NULL, &(struct dr_settings_change){.vae = "none"},
                                 NULL, &problem),
              ==, DR_BAD_INPUT);
    check_has(problem.message, "HOME");
    /* "": none is read, whatever lies in the user's place */
    check_int(setenv("XDG_CONFIG_HOME", in_root("config"), 1), ==, 0);
    check_int(dr_settings_change(NULL, &(struct dr_settings_change){.vae = "none"},
                                 NULL, &problem),
              ==, DR_OK);
    check_int(dr_settings_read(NULL, &settings, &problem), ==, DR_OK);
    check(settings.exists);
    check_str(settings.vae, "none");
    check_int(dr_settings_read("", &settings, &problem), ==, DR_OK);
    check_str(settings.vae, "");
}

static void what_is_no_file_is_an_error(void)
{
    check_int(mkdir(settings_path(), 0700), ==, 0);
    check_int(dr_settings_read(settings_path(), &settings, &problem), ==, DR_BAD_INPUT);
    check_has(problem.message, "not a regular file");
    check_int(rmdir(settings_path()), ==, 0);
    check_int(mkfifo(settings_path(), 0600), ==, 0); /* and nobody waits at it */
    check_int(dr_settings_read(settings_path(), &settings, &problem), ==, DR_BAD_INPUT);
    check_int(unlink(settings_path()), ==, 0);
    check_int(symlink("dotfiles/gone", settings_path()), ==, 0);
    check_int(dr_settings_read(settings_path(), &settings, &problem), ==, DR_BAD_INPUT);
    check_has(problem.message, "No such file");
    check_int(unlink(settings_path()), ==, 0);
    write_settings("{}");
    check_int(chmod(settings_path(), 0), ==, 0);
    const uid_t me = become_somebody();
    check_int(dr_settings_read(settings_path(), &settings, &problem), ==, DR_BAD_INPUT);
    become_again(me);
    check_has(problem.message, "cannot be read");
    check_int(unlink(settings_path()), ==, 0);
}

/* ---- whose entry ------------------------------------------------------------------------- */

static const char *entry_for(const char *checkpoint)
{
    const struct dr_model_setting *const entry =
        settings_for_model(&settings, checkpoint);
    return entry ? entry->vae : "-";
}

static void the_closest_entry_counts(void)
{
    check_int(parse("{\"vae_by_model\": {\"sd15\": \"stem\", \"m.ckpt\": \"name\","
                    "\"m\": \"m\", \"xl/m\": \"folder\", \"/a/xl/m.ckpt\": \"path\","
                    "\".hidden\": \"h\", \"a.b\": \"dots\", \"\": \"empty\"}}"),
              ==, DR_OK);
    check_str(entry_for("sd15.safetensors"), "stem");
    check_str(entry_for("/models/sd15.ckpt"), "stem");
    check_str(entry_for("/models/sd15"), "stem");
    check_str(entry_for("/models/sd15/"), "stem"); /* a diffusers folder */
    check_str(entry_for("/models/xsd15.ckpt"), "-");
    check_str(entry_for("/sd15/other.ckpt"), "-");
    check_str(entry_for("SD15.ckpt"), "-");
    check_str(entry_for("/b/m.ckpt"), "name");
    check_str(entry_for("/b/m.safetensors"), "m");
    check_str(entry_for("/b/xl/m.ckpt"), "folder"); /* says more than a name */
    check_str(entry_for("/b/yxl/m.ckpt"), "name");
    check_str(entry_for("/a/xl/m.ckpt"), "path");
    check_str(entry_for("/b/a/xl/m.ckpt"), "folder"); /* a whole path is one */
    check_str(entry_for(".hidden"), "h");
    check_str(entry_for("a.b.safetensors"), "dots");
    check_str(entry_for("a"), "-");
    check_str(entry_for(""), "-");
}

static void links_and_the_home_folder_are_followed(void)
{
    char text[2048];
    run_command("cd '%s' && mkdir -p real && touch real/model.ckpt && "
                "ln -s real/model.ckpt alias.ckpt && ln -s real other",
                fixture_root);
    check_int(setenv("HOME", fixture_root, 1), ==, 0);
    check_int(parse("{\"vae_by_model\": {\"model\": \"behind\"}}"), ==, DR_OK);
    check_str(entry_for(in_root("alias.ckpt")), "behind");
    check_int(parse(
                  "{\"vae_by_model\": {\"model\": \"x\", \"alias.ckpt\": \"front\"}}"),
              ==, DR_OK);
    check_str(entry_for(in_root("alias.ckpt")), "front");
    (void)snprintf(text, sizeof text, "{\"vae_by_model\": {\"%s\": \"same file\"}}",
                   in_root("other/model.ckpt"));
    check_int(parse(text), ==, DR_OK);
    check_str(entry_for(in_root("real/model.ckpt")), "same file");
    check_int(
        parse("{\"vae_dir\": \"~/vae\", \"vae_by_model\": {\"~/real/model\": \"~\"}}"),
        ==, DR_OK);
    check_str(settings.vae_folder, in_root("vae"));
    check_str(entry_for(in_root("real/model.ckpt")), "~");
}

/* ---- changing ---------------------------------------------------------------------------- */

static enum dr_code change(const char *model, const char *vae, const char *folder)
{
    dr_settings_free(&settings);
    problem = (struct dr_error){0};
    return dr_settings_change(
        settings_path(),
        &(struct dr_settings_change){.model = model, .vae = vae, .vae_folder = folder},
        &settings, &problem);
}

static void a_change_keeps_the_rest(void)
{
    write_settings("{\"theme\": [1.5, {\"deep\": null}], \"vae\": \"soft\"}");
    check_int(change(NULL, "sharp", NULL), ==, DR_OK);
    check_str(settings.vae, "sharp");
    check_has(settings.warnings, "theme");
    check_int(change("sd15", "none", in_root("vae")), ==, DR_OK);
    check_int(change("sdxl", "automatic", NULL), ==, DR_OK);
    check_int(settings.model_count, ==, 2);
    check_str(settings.vae, "sharp");
    check_str(settings.vae_folder, in_root("vae"));
    check_has(written(), "1.5");
    check_has(written(), "\"deep\": null");
    check_int(change("sd15", "", NULL), ==, DR_OK);
    check_int(settings.model_count, ==, 1);
    check_int(change("sdxl", "", NULL), ==, DR_OK);
    check(strstr(written(), "vae_by_model") == NULL);
    check_int(change(NULL, "", ""), ==, DR_OK);
    check_int(change(NULL, "", ""), ==, DR_OK); /* nothing left: no error */
    check_str(settings.vae, "");
    check_str(settings.vae_folder, "");
    check_has(written(), "theme");
    check_int(unlink(settings_path()), ==, 0);
}

static enum dr_code set(const char *model, const char *key, const char *value)
{
    const struct dr_setting one = {key, value};
    const struct dr_settings_change what = {.model = model,
                                            .settings = &one,
                                            .setting_count = 1};
    dr_settings_free(&settings);
    problem = (struct dr_error){0};
    return dr_settings_change(settings_path(), &what, &settings, &problem);
}

static void each_setting_is_set_and_removed(void)
{
    static const char *const pairs[][2] = {
        {"size",         "512x768" },
        {"steps",        "25"      },
        {"cfg",          "7.5"     },
        {"sampler",      "dpmpp-2m"},
        {"model",        "sd15"    },
        {"model_dirs",   "/a:/b"   },
        {"output_dir",   "/out"    },
        {"styles",       "/s.csv"  },
        {"wildcard_dir", "/w"      },
        {"precision",    "f32"     },
        {"budget",       "8G"      },
        {"packs_limit",  "20G"     },
        {"scheduler",    "karras"  },
    };
    enum {
        COUNT = sizeof pairs / sizeof *pairs
    };
    for (size_t i = 0; i < COUNT; ++i)
        check_int(set(NULL, pairs[i][0], pairs[i][1]), ==, DR_OK);
    check_int(settings.defaults.height, ==, 768);
    check_int(settings.model_folder_count, ==, 2);
    check_int(settings.packs_limit_bytes, ==, (uint64_t)20 << 30);
    check_int(settings.precision, ==, DR_PRECISION_F32);
    check_has(written(), "\"steps\": 25");
    check_int(set(NULL, "sampler", "lcm"), ==, DR_BAD_INPUT); /* beside karras */
    check_str(settings.path, "");
    for (size_t i = 0; i < COUNT; ++i)
        check_int(set(NULL, pairs[i][0], ""), ==, DR_OK);
    check_str(written(), "{}\n");
    check_int(set("sd15", "steps", "30"), ==, DR_OK);
    check_int(set("sd15", "cfg", "5"), ==, DR_OK);
    check_int(settings.model_count, ==, 1);
    check_int(settings.models[0].defaults.steps, ==, 30);
    check_int(set("sd15", "steps", ""), ==, DR_OK);
    check_int(settings.models[0].defaults.steps, ==, 0);
    check_int(set("sd15", "cfg", ""), ==, DR_OK);
    check_str(written(), "{}\n");
    check_int(set("sd15", "budget", "1G"), ==, DR_BAD_INPUT);
    check_has(problem.message, "applies to all models");
    check_int(set(NULL, "stepps", "1"), ==, DR_BAD_INPUT);
    check_has(problem.message, "packs_limit");
    check_int(set(NULL, "steps", "many"), ==, DR_BAD_INPUT);
    check_has(problem.message, "1 to 1000");
    check_int(set(NULL, "output_dir", in_root("a.safetensors")), ==, DR_BAD_INPUT);
    check_has(problem.message, "output directory");
    check_int(unlink(settings_path()), ==, 0);
}

static void what_cannot_be_changed_changes_nothing(void)
{
    static const char before[] = "{\"vae\": \"sharp\"}";
    write_settings(before);
    check_int(change("sd15", "", NULL), ==, DR_NOT_FOUND);
    check_has(problem.message, "sd15");
    check_int(change("sd15", NULL, NULL), ==, DR_BAD_INPUT);
    check_int(change("", "none", NULL), ==, DR_BAD_INPUT);
    check_int(change("s\xFF", "none", NULL), ==, DR_BAD_INPUT);
    check_has(problem.message, "UTF-8");
    check_int(change(NULL, "n\xFF", NULL), ==, DR_BAD_INPUT);
    check_int(change(NULL, NULL, in_root("a.safetensors")), ==, DR_BAD_INPUT);
    check_has(problem.message, "not a directory");
    for (int n = 1; n <= 4; ++n) {
        fault_arm(1U << FAULT_WRITE, n, FAULT_FROM_THEN_ON);
        check_int(change(NULL, "none", NULL), ==, DR_IO);
        check(fault_has_struck());
        fault_disarm();
        check_str(written(), before);
    }
    write_settings("{\"vae\": 7}");
    check_int(change(NULL, "none", NULL), ==, DR_BAD_INPUT);
    check_str(written(), "{\"vae\": 7}");
    check_int(unlink(settings_path()), ==, 0);
}

static void relative_paths_are_written_whole(void)
{
    char here[1024];
    if (!getcwd(here, sizeof here) || chdir(fixture_root) != 0) exit(1);
    check_int(change("./a.safetensors", "vae/sharp.safetensors", "vae"), ==, DR_OK);
    check_str(settings.models[0].model, in_root("a.safetensors"));
    check_str(settings.models[0].vae, in_root("vae/sharp.safetensors"));
    check_str(settings.vae_folder, in_root("vae"));
    check_int(change("./a.safetensors", "", NULL), ==, DR_OK);
    check_int(settings.model_count, ==, 0);
    /* a name in the folder stays a name, a file that lies here does not */
    check_int(change(NULL, "sharp", NULL), ==, DR_OK);
    check_str(settings.vae, "sharp");
    run_command("cp vae/soft.safetensors here.safetensors");
    check_int(change("a.safetensors", "here.safetensors", NULL), ==, DR_OK);
    check_str(settings.models[0].vae, in_root("here.safetensors"));
    check_str(settings.models[0].model, "a.safetensors"); /* the end of a path */
    check_str(settings.warnings, "");
    /* what means nothing yet is taken, and said */
    check_int(change(NULL, "shrap", NULL), ==, DR_OK);
    check_has(settings.warnings, "\"shrap\"");
    check_int(change(NULL, "later/x.pt", "later"), ==, DR_OK);
    check_str(settings.vae, in_root("later/x.pt"));
    check_int(change(NULL, NULL, "later"), ==, DR_OK);
    check_has(settings.warnings, "no directory");
    /* a name with two meanings is not */
    run_command("mkdir vae/below && cp vae/soft.safetensors vae/below/sharp.ckpt");
    check_int(change(NULL, "sharp", "vae"), ==, DR_BAD_INPUT);
    check_has(problem.message, "more than one");
    check_str(written() + strlen(written()) - 2, "}\n");
    run_command("rm -r vae/below here.safetensors settings.json");
    if (chdir(here) != 0) exit(1);
}

/* ---- in an engine ------------------------------------------------------------------------ */

static struct dr_engine *open_with(const char *text)
{
    struct dr_engine *engine = NULL;
    struct dr_engine_options options = dr_engine_options_default();
    char tokenizer[600];
    (void)snprintf(tokenizer, sizeof tokenizer, "%s/tests/data/tiny-tokenizer",
                   getenv("DARKROOM_SOURCE"));
    write_settings(text);
    options.tokenizer_folder = tokenizer;
    options.vae_folder = in_root("vae");
    options.settings_path = settings_path();
    options.thread_count = 1;
    problem = (struct dr_error){0};
    const enum dr_code code = dr_engine_open(&engine, &options, &problem);
    check((code == DR_OK) == (engine != NULL));
    return engine;
}

static void load_lazily(struct dr_engine *engine, const char *name,
                        struct dr_load_result *result)
{
    check_int(dr_engine_load(engine, in_root(name), DR_LOAD_LAZY, result, &problem), ==,
              DR_OK);
}

/* Loads, and says what came of the choice. */
static struct dr_vae_info vae_of(struct dr_engine *engine, const char *name)
{
    load_lazily(engine, name, NULL);
    return vae_state(engine);
}

static void the_first_that_was_said_counts(void)
{
    struct dr_engine *engine = open_with(
        "{\"vae\": \"sharp\", \"vae_by_model\": {\"b\": \"soft\"}, \"vea\": \"none\"}");
    struct dr_vae_info info = vae_state(engine); /* before any model */
    check_str(info.choice, "sharp");
    check_str(info.source, "setting");
    info = vae_of(engine, "a.safetensors");
    check_str(info.source, "setting");
    check_str(info.name, "sharp.safetensors");
    check_has(info.reason, "the settings have sharp");
    info = vae_of(engine, "b.safetensors");
    check_str(info.source, "model");
    check_str(info.choice, "soft");
    check_str(info.name, "soft.safetensors");
    check_has(info.reason, "for this model, which takes precedence over sharp");

    /* a request holds for the loaded model at once, and for later ones without an entry */
    check_int(choose(engine, "none"), ==, DR_OK);
    info = vae_state(engine);
    check_str(info.source, "setting");
    check(!info.override_active);
    info = vae_of(engine, "a.safetensors");
    check_str(info.choice, "none");
    check(!info.override_active);
    info = vae_of(engine, "b.safetensors");
    check_str(info.source, "model");
    check_str(info.name, "soft.safetensors");
    check_has(info.reason, "precedence over none");

    /* a job's own is before all */
    struct dr_generate_result result;
    struct dr_generate_options job = dr_generate_options_default();
    job.prompt = "x";
    job.output = in_root("own.png");
    job.width = job.height = 64;
    job.steps = 1;
    job.vae = "sharp";
    check_int(dr_engine_generate(engine, &job, &result, &problem), ==, DR_OK);
    check_str(result.vae.source, "job");
    check_str(result.vae.name, "sharp.safetensors");
    dr_generate_result_free(&result);
    check_str(vae_state(engine).source, "model");
    dr_engine_close(&engine);

    engine = open_with("{}");
    info = vae_of(engine, "a.safetensors");
    check_str(info.source, "default");
    check_str(info.choice, "automatic");
    dr_engine_close(&engine);
}

/* The picture shows it too: what runs is what the chain says. */
static void the_pictures_show_it(void)
{
    struct dr_engine *engine = open_with("{}");
    load(engine, "a.safetensors");
    picture(engine, "base.png");
    check_int(picture_with(engine, "soft.png", "soft", NULL), ==, DR_OK);
    dr_engine_close(&engine);
    engine = open_with("{\"vae\": \"sharp\", \"vae_by_model\": {\"a\": \"soft\"}}");
    load(engine, "a.safetensors");
    picture(engine, "set.png");
    check(same_file("soft.png", "set.png"));
    check_int(choose(engine, "none"), ==, DR_OK);
    picture(engine, "none.png");
    check(same_file("base.png", "none.png"));
    check(!same_file("base.png", "set.png"));
    dr_engine_close(&engine);
}

static void what_does_not_fit_falls_back_and_stays(void)
{
    struct dr_engine *engine =
        open_with("{\"vae\": \"sharp\", \"vae_by_model\": {\"b\": \"missing\"}}");
    struct dr_load_result result;
    load_lazily(engine, "b.safetensors", &result);
    check_has(result.receipt.reason, "the settings have missing for this model");
    check_has(result.receipt.reason, "does not fit");
    dr_load_result_free(&result);
    struct dr_vae_info info = vae_state(engine);
    check(!info.override_active);
    check_str(info.choice, "missing");
    check_str(info.source, "model");
    check_str(vae_of(engine, "a.safetensors").name, "sharp.safetensors");
    run_command("cp '%s' '%s'", in_root("vae/soft.safetensors"),
                in_root("vae/missing.safetensors"));
    check_str(vae_of(engine, "b.safetensors").name, "missing.safetensors");
    run_command("rm '%s'", in_root("vae/missing.safetensors"));
    dr_engine_close(&engine);
}

static void damaged_settings_open_no_engine(void)
{
    check(open_with("{\"vae\": \"sharp\"") == NULL);
    check_int(problem.code, ==, DR_BAD_INPUT);
    check_has(problem.message, "settings.json");
    check_has(problem.message, "line 1");
    check_has(problem.message, "move it away");
    struct dr_engine *engine = open_with("{\"vae\": \"sharp\"}");
    check(engine != NULL);
    dr_engine_close(&engine);
}

static const char *folder_with(const char *option, const char *environment,
                               const char *setting)
{
    static char folder[DR_PATH_BYTES];
    check_int(environment ? setenv("DARKROOM_VAE_DIR", environment, 1)
                          : unsetenv("DARKROOM_VAE_DIR"),
              ==, 0);
    vae_folder_find(option, setting, folder, sizeof folder);
    return folder;
}

static void the_first_folder_counts(void)
{
    check_int(setenv("XDG_DATA_HOME", "/data", 1), ==, 0);
    check_str(folder_with("/option", "/environment", "/setting"), "/option");
    check_str(folder_with(NULL, "/environment", "/setting"), "/environment");
    check_str(folder_with(NULL, NULL, "/setting"), "/setting");
    check_str(folder_with(NULL, "", "/setting"), "/setting");
    check_str(folder_with(NULL, NULL, ""), "/data/darkroom/vae");

    struct dr_engine *engine = NULL;
    struct dr_engine_options options = dr_engine_options_default();
    char text[1024];
    (void)snprintf(text, sizeof text, "{\"vae\": \"soft\", \"vae_dir\": \"%s\"}",
                   in_root("vae"));
    write_settings(text);
    options.settings_path = settings_path();
    options.thread_count = 1;
    check_int(dr_engine_open(&engine, &options, &problem), ==, DR_OK);
    check_str(vae_of(engine, "a.safetensors").path, in_root("vae/soft.safetensors"));
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(every_key_is_read);
    check_run(keys_that_are_not_about_vaes);
    check_run(values_that_are_none_are_named);
    check_run(unknown_keys_are_named);
    check_run(what_is_damaged_is_said);
    check_run(what_is_too_large_or_deep_is_said);
    check_run(the_file_is_looked_for_where_xdg_has_it);
    check_run(what_is_no_file_is_an_error);
    check_run(the_closest_entry_counts);
    check_run(links_and_the_home_folder_are_followed);
    check_run(a_change_keeps_the_rest);
    check_run(each_setting_is_set_and_removed);
    check_run_with_faults(what_cannot_be_changed_changes_nothing);
    check_run(relative_paths_are_written_whole);
    check_run(the_first_that_was_said_counts);
    check_run(the_pictures_show_it);
    check_run(what_does_not_fit_falls_back_and_stays);
    check_run(damaged_settings_open_no_engine);
    check_run(the_first_folder_counts);
    dr_settings_free(&settings);
    fixture_end();
    return check_done();
}
