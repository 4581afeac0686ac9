#include "service/model_names.h"

#include "check.h"

#define SHA_A "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff0000"
#define SHA_B "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct listed_checkpoint models[] = {
    {.title = "base.safetensors [aaaaaaaaaa]",
     .name = "base",
     .file = "base.safetensors",
     .path = "/m/base.safetensors",
     .sha256 = SHA_A},
    {.title = "xl/base.safetensors",
     .name = "xl_base",
     .file = "xl/base.safetensors",
     .path = "/m/xl/base.safetensors",
     .sha256 = ""   },
    {.title = "Photo.v2.safetensors [0123456789]",
     .name = "Photo.v2",
     .file = "Photo.v2.safetensors",
     .path = "/m/Photo.v2.safetensors",
     .sha256 = SHA_B},
    {.title = "copy.sft [0123456789]",
     .name = "copy",
     .file = "copy.sft",
     .path = "/m/copy.sft",
     .sha256 = SHA_B},
};
static const struct listed_vae_file vaes[] = {
    {.name = "sharp.safetensors", .path = "/v/sharp.safetensors"},
    {.name = "soft.safetensors",  .path = "/v/soft.safetensors" },
    {.name = "soft.pt",           .path = "/v/soft.pt"          },
    {.name = "sd/soft.pt",        .path = "/v/sd/soft.pt"       },
};
static const struct model_snapshot list = {.models = models,
                                           .model_count =
                                               sizeof models / sizeof *models,
                                           .vaes = vaes,
                                           .vae_count = sizeof vaes / sizeof *vaes};
static struct dr_error problem;

static const char *found(const char *said)
{
    const struct listed_checkpoint *model = NULL;
    const enum dr_code code = model_names_find(&list, said, &model, &problem);
    return code == DR_OK ? model->file : dr_code_name(code);
}

static void a_model_has_many_names(void)
{
    check_str(found("base.safetensors [aaaaaaaaaa]"), "base.safetensors");
    check_str(found("xl/base.safetensors"), "xl/base.safetensors");
    check_str(found("xl/base"), "xl/base.safetensors");
    check_str(found("xl_base"), "xl/base.safetensors");
    check_str(found("Photo.v2"), "Photo.v2.safetensors");
    check_str(found("Photo.v2.safetensors"), "Photo.v2.safetensors");
    check_str(found("Photo.v2 [0123456789]"), "Photo.v2.safetensors");
    check_str(found("copy [" SHA_B "]"), "copy.sft");
    check_str(found(SHA_A), "base.safetensors");
    check_str(found("aaaaaaaaaa"), "base.safetensors");
    check_str(found("AAAAAAAAAA"), "base.safetensors");
    check_str(found("0123456789"), "Photo.v2.safetensors"); /* the same file twice */
}

static void case_matters_last(void)
{
    check_str(found("PHOTO.V2.SAFETENSORS [0123456789]"), "Photo.v2.safetensors");
    check_str(found("photo.v2"), "Photo.v2.safetensors");
    check_str(found("XL_Base"), "xl/base.safetensors");
    check_str(found("pho"), "Photo.v2.safetensors");
    check_str(found("x"), "xl/base.safetensors");
}

static void what_means_several_is_an_error_that_lists_them(void)
{
    check_str(found("base"), "bad_input"); /* the name of one, the file of two */
    check_has(problem.message, "base.safetensors [aaaaaaaaaa], xl/base.safetensors");
}

static void what_means_nothing_is_an_error_that_lists_what_there_is(void)
{
    check_str(found("nothing"), "not_found");
    check_has(problem.message, "there is no model \"nothing\"; there are base");
    check_str(found(""), "not_found");
    check_str(found("base.safetensors [0123456789]"), "not_found"); /* another's hash */
    check_str(found("xl/base.safetensors [0123456789]"), "xl/base.safetensors");
    check_str(found("/m/base.safetensors"), "not_found"); /* no path of the disk */
    check_str(found("../m/base.safetensors"), "not_found");
    check_str(found("aaaaaaaaa"), "not_found"); /* nine digits */
    check_str(found("[aaaaaaaaaa]"), "not_found");
    const struct model_snapshot none = {0};
    const struct listed_checkpoint *model;
    check_int(model_names_find(&none, "x", &model, &problem), ==, DR_NOT_FOUND);
    check_str(problem.message, "there is no model \"x\"; there are none");
}

static const char *vae(const char *said)
{
    static const char *const words[] = {"automatic", "none"};
    enum vae_meaning meaning = VAE_MEANS_FILE;
    const struct listed_vae_file *file = NULL;
    const enum dr_code code =
        model_names_find_vae(&list, said, &meaning, &file, &problem);
    if (code != DR_OK) return dr_code_name(code);
    return meaning == VAE_MEANS_FILE ? file->path : words[meaning];
}

static void vaes_are_chosen_by_name(void)
{
    check_str(vae("Automatic"), "automatic");
    check_str(vae("auto"), "automatic");
    check_str(vae("None"), "none");
    check_str(vae("NONE"), "none");
    check_str(vae("Default"), "none");
    check_str(vae("Baked"), "none");
    check_str(vae("sharp.safetensors"), "/v/sharp.safetensors");
    check_str(vae("sharp"), "/v/sharp.safetensors");
    check_str(vae("SHARP"), "/v/sharp.safetensors");
    check_str(vae("soft.pt"), "/v/soft.pt"); /* a complete name comes before others */
    check_str(vae("sd/soft.pt"), "/v/sd/soft.pt");
    check_str(vae("sd/soft"), "/v/sd/soft.pt");
    check_str(vae("soft"), "bad_input");
    check_has(problem.message, "soft.safetensors, soft.pt, sd/soft.pt");
    check_str(vae("dull"), "not_found");
    check_has(problem.message, "sd_vae takes Automatic, None, sharp.safetensors");
    check_str(vae("/v/sharp.safetensors"), "not_found");
}

static void folders_are_hidden(void)
{
    static const struct {
        const char *folder, *text, *shown;
    } cases[] = {
        {"/m",               "/m/",                                         ""                          },
        {"/home/me/models",  "/home/me/models/a.safetensors was removed",
         "a.safetensors was removed"                                                                    },
        {"/home/me/models/",
         "cannot open /home/me/models/xl/b: no \"/home/me/models/c\"",      "cannot open xl/b: no \"c\""},
        {"/home/me/My VAEs", "no directory /home/me/My VAEs: No such file",
         "no directory My VAEs: No such file"                                                           },
        {"/home/me/models",  "/home/me/models",                             "models"                    },
        {"/home/me/models",  "/home/me/models2/a and /home/me/model",
         "/home/me/models2/a and /home/me/model"                                                        },
        {"models",           "models/a is not there",                       "models/a is not there"     },
        {"/",                "/a/b",                                        "/a/b"                      },
        {"",                 "/a/b",                                        "/a/b"                      },
        {"/m",               "",                                            ""                          }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char text[256];
        (void)snprintf(text, sizeof text, "%s", cases[i].text);
        model_names_hide(cases[i].folder, text);
        check_str(text, cases[i].shown);
    }
}

int main(void)
{
    check_run(a_model_has_many_names);
    check_run(case_matters_last);
    check_run(what_means_several_is_an_error_that_lists_them);
    check_run(what_means_nothing_is_an_error_that_lists_what_there_is);
    check_run(vaes_are_chosen_by_name);
    check_run(folders_are_hidden);
    return check_done();
}
