/* The table of DESIGN.md 5, row by row, in folders made for each case. */
#include "switch/vae_resolution.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char root[256];

static const char *at(const char *name)
{
    static char paths[4][512];
    static int next;
    char *const path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void touch(const char *name)
{
    FILE *const file = fopen(at(name), "w");
    check(file != NULL);
    if (file) (void)fclose(file);
}

static void folder(const char *name)
{
    check_int(mkdir(at(name), 0777), ==, 0);
}

static void begin(void)
{
    (void)snprintf(root, sizeof root, "%s/darkroom-resolution-XXXXXX",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    check(mkdtemp(root) != NULL);
    folder("models");
    folder("vae");
    folder("vae/below");
    touch("models/m.safetensors");
}

static void end(void)
{
    char command[512];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    check_int(system(command), ==, 0);
}

static struct vae_resolution found;
static struct dr_error problem;

static enum dr_code resolve(const char *choice)
{
    char checkpoint[512], vae_folder[512];
    (void)snprintf(checkpoint, sizeof checkpoint, "%s/models/m.safetensors", root);
    (void)snprintf(vae_folder, sizeof vae_folder, "%s/vae", root);
    const struct vae_resolution_request request = {.choice = choice,
                                                   .checkpoint = checkpoint,
                                                   .vae_folder = vae_folder};
    problem = (struct dr_error){0};
    return vae_resolve(&found, &request, &problem);
}

static void none_is_base_in_any_case(void)
{
    static const char *const words[] = {"none",    "None",     "NONE",    "default",
                                        "Default", "built-in", "Built-In"};
    begin();
    touch("models/m.vae.safetensors"); /* an explicit none beats a neighbour */
    touch("vae/none.safetensors");     /* and a file of that name */
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i) {
        check_int(resolve(words[i]), ==, DR_OK);
        check(found.is_base);
        check(found.reason[0] != '\0');
    }
    end();
}

static void automatic_prefers_beside_then_folder_then_base(void)
{
    begin();
    check_int(resolve("automatic"), ==, DR_OK);
    check(found.is_base && !found.is_explicit);
    touch("vae/m.safetensors");
    check_int(resolve("Automatic"), ==, DR_OK);
    check(!found.is_base);
    check_str(found.path, at("vae/m.safetensors"));
    check_has(found.reason, "in the VAE directory");
    touch("models/m.vae.pt");
    check_int(resolve("auto"), ==, DR_OK);
    check_str(found.path, at("models/m.vae.pt"));
    touch("models/m.vae.ckpt");
    check_int(resolve(NULL), ==, DR_OK);
    check_str(found.path, at("models/m.vae.ckpt"));
    touch("models/m.vae.sft");
    check_int(resolve(NULL), ==, DR_OK);
    check_str(found.path, at("models/m.vae.sft"));
    touch("models/m.vae.safetensors");
    check_int(resolve("AUTO"), ==, DR_OK);
    check_str(found.path, at("models/m.vae.safetensors"));
    check_has(found.reason, "beside the checkpoint: m.vae.safetensors");
    check(!found.is_explicit);
    end();
}

static void automatic_takes_whole_stems_only(void)
{
    begin();
    touch("vae/m2.safetensors"); /* A1111 would take it: a prefix match */
    touch("vae/m.txt");          /* no VAE ending */
    touch("vae/m.vae.other.safetensors");
    check_int(resolve("automatic"), ==, DR_OK);
    check(found.is_base);
    touch("vae/below/m.vae.safetensors");
    check_int(resolve("automatic"), ==, DR_OK);
    check_str(found.path, at("vae/below/m.vae.safetensors"));
    end();
}

static void a_checkpoint_is_not_its_own_neighbour(void)
{
    begin();
    touch("vae/m.safetensors");
    char checkpoint[512], vae_folder[512];
    (void)snprintf(checkpoint, sizeof checkpoint, "%s/vae/m.safetensors", root);
    (void)snprintf(vae_folder, sizeof vae_folder, "%s/vae", root);
    const struct vae_resolution_request request = {.choice = "automatic",
                                                   .checkpoint = checkpoint,
                                                   .vae_folder = vae_folder};
    check_int(vae_resolve(&found, &request, &problem), ==, DR_OK);
    check(found.is_base);
    end();
}

static void a_name_goes_with_and_without_ending(void)
{
    begin();
    touch("vae/sharp.safetensors");
    touch("vae/below/soft.vae.pt");
    check_int(resolve("sharp"), ==, DR_OK);
    check_str(found.path, at("vae/sharp.safetensors"));
    check(found.is_explicit);
    check_int(resolve("sharp.safetensors"), ==, DR_OK);
    check_str(found.path, at("vae/sharp.safetensors"));
    check_int(resolve("soft.vae"), ==, DR_OK);
    check_str(found.path, at("vae/below/soft.vae.pt"));
    touch("vae/fine.sft");
    check_int(resolve("fine"), ==, DR_OK);
    check_str(found.path, at("vae/fine.sft"));
    check_int(resolve("fine.sft"), ==, DR_OK);
    check_int(resolve("shar"), ==, DR_NOT_FOUND);
    check_has(problem.message, "\"shar\"");
    check_has(problem.message, "/vae");
    end();
}

static void two_candidates_are_an_error_that_lists_both(void)
{
    begin();
    touch("vae/twice.safetensors");
    touch("vae/below/twice.pt");
    check_int(resolve("twice"), ==, DR_BAD_INPUT);
    check_has(problem.message, "vae/twice.safetensors");
    check_has(problem.message, "vae/below/twice.pt");
    check_int(resolve("twice.pt"), ==, DR_OK); /* the ending tells them apart */
    check_str(found.path, at("vae/below/twice.pt"));
    end();
}

static void a_path_is_that_file(void)
{
    begin();
    touch("elsewhere.bin");
    check_int(resolve(at("elsewhere.bin")), ==, DR_OK);
    check_str(found.path, at("elsewhere.bin"));
    check_int(resolve(at("gone.safetensors")), ==, DR_NOT_FOUND);
    check_has(problem.message, "gone.safetensors");
    check_int(resolve(at("models")), ==, DR_NOT_FOUND); /* a folder is no file */
    end();
}

static void a_diffusers_folder_is_a_vae(void)
{
    begin();
    folder("vae/kl.v2");
    touch("vae/kl.v2/config.json");
    touch("vae/kl.v2/diffusion_pytorch_model.fp16.safetensors");
    check_int(resolve("kl.v2"), ==, DR_OK);
    check_str(found.path, at("vae/kl.v2"));
    check_has(found.reason, "chosen by name, in the VAE directory: kl.v2");
    check_int(resolve("kl"), ==, DR_NOT_FOUND); /* a folder's name has no ending */
    /* What lies in it is no VAE beside it. */
    check_int(resolve("diffusion_pytorch_model.fp16"), ==, DR_NOT_FOUND);
    check_int(resolve(at("vae/kl.v2/")), ==, DR_OK);
    check_str(found.path, at("vae/kl.v2"));
    check_has(found.reason, "chosen by path");
    check_int(resolve("automatic"), ==, DR_OK); /* never by itself */
    check(found.is_base);
    touch("vae/below/kl.v2.safetensors");
    check_int(resolve("kl.v2"), ==, DR_BAD_INPUT);
    check_has(problem.message, "vae/kl.v2 ");
    check_has(problem.message, "below/kl.v2.safetensors");
    end();
}

static void a_pipelines_folder_has_a_vae(void)
{
    static const char *const parts[] = {"unet", "vae"};
    begin();
    folder("vae/pipeline");
    touch("vae/pipeline/model_index.json");
    check_int(resolve("pipeline"), ==, DR_NOT_FOUND); /* none in it yet */
    for (int i = 0; i < 2; ++i) {
        char name[64];
        (void)snprintf(name, sizeof name, "vae/pipeline/%s", parts[i]);
        folder(name);
        (void)snprintf(name, sizeof name, "vae/pipeline/%s/config.json", parts[i]);
        touch(name);
        (void)snprintf(name, sizeof name, "vae/pipeline/%s/diffusion_pytorch_model.bin",
                       parts[i]);
        touch(name);
    }
    check_int(resolve("pipeline"), ==, DR_OK);
    check_str(found.path, at("vae/pipeline/vae"));
    check_int(resolve(at("vae/pipeline")), ==, DR_OK);
    check_str(found.path, at("vae/pipeline/vae"));
    check_int(resolve("unet"), ==, DR_NOT_FOUND); /* no VAE */
    end();
}

static void a_config_alone_is_no_vae(void)
{
    begin();
    touch("vae/below/config.json");
    touch("vae/below/sharp.safetensors");
    touch("vae/below/sharp.json"); /* what download programs leave beside it */
    touch("vae/below/sharp.civitai.info");
    check_int(resolve("below"), ==, DR_NOT_FOUND);
    check_int(resolve("sharp"), ==, DR_OK); /* the folder is looked into all the same */
    check_str(found.path, at("vae/below/sharp.safetensors"));
    check_int(resolve("config"), ==, DR_NOT_FOUND);
    check_int(resolve(at("vae/below")), ==, DR_NOT_FOUND);
    check_has(problem.message, "contains no VAE");
    end();
}

static void an_explicit_choice_beats_a_neighbour(void)
{
    begin();
    touch("models/m.vae.safetensors");
    touch("vae/other.safetensors");
    check_int(resolve("other"), ==, DR_OK);
    check_str(found.path, at("vae/other.safetensors"));
    end();
}

static void silly_choices_are_refused_in_words(void)
{
    static char overlong[DR_PATH_BYTES + 10];
    begin();
    check_int(resolve(""), ==, DR_BAD_INPUT);
    check_has(problem.message, "empty");
    memset(overlong, 'x', sizeof overlong - 1);
    check_int(resolve(overlong), ==, DR_BAD_INPUT);
    check_has(problem.message, "too long for a path");
    end();
}

static void a_missing_folder_is_no_folder(void)
{
    begin();
    const struct vae_resolution_request request = {.choice = "some",
                                                   .checkpoint = "m.safetensors",
                                                   .vae_folder = "/does/not/exist"};
    check_int(vae_resolve(&found, &request, &problem), ==, DR_NOT_FOUND);
    check_has(problem.message, "/does/not/exist, which does not exist");
    const struct vae_resolution_request unset = {.choice = "some",
                                                 .checkpoint = "m.safetensors"};
    check_int(vae_resolve(&found, &unset, &problem), ==, DR_NOT_FOUND);
    check_has(problem.message, "--vae-dir");
    end();
}

/* What is there and leads nowhere is found: who opens it then says why it cannot be used. */
static void links_to_nothing_are_found(void)
{
    begin();
    check_int(symlink("../blobs/0123", at("vae/sharp.safetensors")), ==, 0);
    check_int(resolve("sharp"), ==, DR_OK);
    check_str(found.path, at("vae/sharp.safetensors"));
    check_int(resolve(at("vae/sharp.safetensors")), ==, DR_NOT_FOUND);
    check_has(
        problem.message,
        "sharp.safetensors is a symbolic link to ../blobs/0123, which is missing");
    check_int(symlink("/nowhere.pt", at("models/m.vae.pt")), ==, 0);
    check_int(resolve("automatic"), ==, DR_OK);
    check(!found.is_base);
    check_str(found.path, at("models/m.vae.pt"));
    end();
}

/* Only ENOENT means that there is none. */
static void what_the_system_says_stays(void)
{
    begin();
    check_int(symlink("round", at("round")), ==, 0);
    check_int(resolve(at("round")), ==, DR_IO);
    check_has(problem.message, "Too many levels");
    check_int(resolve(at("models/m.safetensors/x")), ==, DR_IO);
    check_has(problem.message, "m.safetensors is a file");
    check_int(resolve(at("none")), ==, DR_NOT_FOUND);
    check_has(problem.message, "no VAE file or directory");

    /* Root may search everything, so it becomes somebody else for this. */
    const uid_t me = geteuid();
    check_int(chmod(root, 0755), ==, 0);
    folder("closed");
    folder("closed/vae");
    check_int(chmod(at("closed"), 0), ==, 0);
    check_int(chmod(at("vae/below"), 0), ==, 0);
    if (me == 0) check_int(seteuid(65534), ==, 0);
    check_int(resolve(at("closed")), ==, DR_IO);
    check_has(problem.message, "cannot read directory");
    check_has(problem.message, "closed: Permission denied");
    check_int(resolve(at("closed/vae")), ==, DR_IO);
    check_has(problem.message, "closed may not be searched");
    check_int(resolve("some"), ==, DR_IO); /* which may lie where nobody may look */
    check_has(problem.message, "no VAE \"some\" was found");
    check_has(problem.message, "vae/below: Permission denied");
    if (me == 0) check_int(seteuid(me), ==, 0);
    check_int(resolve("some"), ==, me == 0 ? DR_NOT_FOUND : DR_IO);
    end();
}

static void a_folder_that_contains_itself_ends(void)
{
    begin();
    check_int(symlink("..", at("vae/below/up")), ==, 0);
    touch("vae/once.safetensors");
    /* The link shows the same file again and again: depth is bounded, and it is one candidate. */
    check_int(resolve("once"), ==, DR_OK);
    check_str(found.path, at("vae/once.safetensors"));
    end();
}

int main(void)
{
    check_run(none_is_base_in_any_case);
    check_run(links_to_nothing_are_found);
    check_run(what_the_system_says_stays);
    check_run(automatic_prefers_beside_then_folder_then_base);
    check_run(automatic_takes_whole_stems_only);
    check_run(a_checkpoint_is_not_its_own_neighbour);
    check_run(a_name_goes_with_and_without_ending);
    check_run(two_candidates_are_an_error_that_lists_both);
    check_run(a_path_is_that_file);
    check_run(a_diffusers_folder_is_a_vae);
    check_run(a_pipelines_folder_has_a_vae);
    check_run(a_config_alone_is_no_vae);
    check_run(an_explicit_choice_beats_a_neighbour);
    check_run(silly_choices_are_refused_in_words);
    check_run(a_missing_folder_is_no_folder);
    check_run(a_folder_that_contains_itself_ends);
    return check_done();
}
