#include "summary.h"

#include "check.h"

static const char *summed_up(const char *json, enum summary_detail detail)
{
    static char text[4096];
    json_error_t problem;
    FILE *const stream = tmpfile();
    json_t *const object = json_loads(json, 0, &problem);
    if (!object) check_fail_at("the test's JSON: %s", problem.text);
    check(summary_fits(object));
    check(summary_print(object, 8249.0, detail, stream));
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    (void)fclose(stream);
    json_decref(object);
    return text;
}

#define OWN                                                                          \
    "\"width\":64,\"planned_private_bytes\":4096,\"timings_ms\":{\"vae\":3.0},"      \
    "\"receipt\":{\"released_bytes\":1,\"reason\":\"all\"},\"vae\":{\"choice\":"     \
    "\"automatic\",\"source\":\"default\",\"active\":\"base\",\"path\":\"m.ckpt\","  \
    "\"reason\":\"automatic: no matching VAE file; using the checkpoint's own VAE\"" \
    "}"

static void one_picture_is_two_lines(void)
{
    static const char answer[] =
        "{\"images\":[{\"path\":\"a.png\",\"seed\":3}]," OWN "}";
    check_str(summed_up(answer, SUMMARY_LINES),
              "a.png  seed 3\n8.25 s, VAE: the checkpoint's own\n");
    check_str(summed_up(answer, SUMMARY_FILES), "a.png  seed 3\n");
    check_str(summed_up(answer, SUMMARY_PATHS), "a.png\n");
}

static void a_batch_is_aligned(void)
{
    static const char answer[] = "{\"images\":[{\"path\":\"\\u00e4.png\",\"seed\":3},"
                                 "{\"path\":\"a-2.png\",\"seed\":4}]," OWN "}";
    check_str(summed_up(answer, SUMMARY_LINES),
              "\xC3\xA4.png    seed 3\na-2.png  seed 4\n"
              "8.25 s, VAE: the checkpoint's own\n");
    check_str(summed_up(answer, SUMMARY_PATHS), "\xC3\xA4.png\na-2.png\n");
}

static void a_file_of_latents_is_named_once(void)
{
    static const char answer[] =
        "{\"images\":[{\"path\":\"l.sft\",\"seed\":3},"
        "{\"path\":\"l.sft\",\"seed\":4}],\"latents\":\"l.sft\"," OWN "}";
    check_str(summed_up(answer, SUMMARY_LINES), "l.sft  seeds 3 to 4\n8.25 s\n");
    check_str(summed_up(answer, SUMMARY_PATHS), "l.sft\n");
    check_str(summed_up("{\"latents\":\"e.sft\"," OWN "}", SUMMARY_LINES),
              "e.sft\n8.25 s, VAE: the checkpoint's own\n");
}

/* decode */
static void without_seeds_there_are_none(void)
{
    check_str(summed_up("{\"images\":[{\"path\":\"d.png\"}]," OWN "}", SUMMARY_LINES),
              "d.png\n8.25 s, VAE: the checkpoint's own\n");
}

static void a_vae_that_was_named_is_told(void)
{
    check_str(summed_up("{\"images\":[{\"path\":\"a.png\",\"seed\":-1}],\"vae\":{"
                        "\"choice\":\"sharp\",\"active\":\"override\",\"path\":"
                        "\"vae/sharp\\u0007.sft\",\"reason\":\"sharp: found\"}}",
                        SUMMARY_LINES),
              "a.png  seed 18446744073709551615\n8.25 s, VAE: vae/sharp?.sft\n");
    check_str(summed_up("{\"images\":[{\"path\":\"a.png\",\"seed\":1}],\"vae\":{"
                        "\"choice\":\"sharp\",\"active\":\"base\",\"path\":\"m\","
                        "\"reason\":\"sharp is damaged\"}}",
                        SUMMARY_LINES),
              "a.png  seed 1\n8.25 s, VAE: the checkpoint's own: sharp is damaged\n");
}

static void other_answers_are_not_of_jobs(void)
{
    json_t *const object = json_pack("{s:{s:s}}", "model", "path", "m.ckpt");
    check(!summary_fits(object));
    json_decref(object);
}

int main(void)
{
    check_run(one_picture_is_two_lines);
    check_run(a_batch_is_aligned);
    check_run(a_file_of_latents_is_named_once);
    check_run(without_seeds_there_are_none);
    check_run(a_vae_that_was_named_is_told);
    check_run(other_answers_are_not_of_jobs);
    return check_done();
}
