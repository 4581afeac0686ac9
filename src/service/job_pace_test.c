#include "service/job_pace.h"

#include "check.h"

static void note(struct job_pace *pace, const char *model, int32_t side, double step_ms)
{
    const struct dr_generate_result result = {
        .width = side, .height = side, .unet_per_step_ms = step_ms, .vae_ms = 500};
    job_pace_note(pace, model, &result);
}

static void what_was_seen_comes_again(void)
{
    static struct job_pace pace;
    check_real(job_pace_seconds(&pace, "a", 64 * 64, 20, 1), <, 0);
    note(&pace, "a", 64, 1000);
    check_real(job_pace_seconds(&pace, "a", 64 * 64, 20, 1), ==, 20.5);
    check_real(job_pace_seconds(&pace, "a", 64 * 64, 20, 2), ==, 41);
    check_real(job_pace_seconds(&pace, "b", 64 * 64, 20, 1), <, 0);
    note(&pace, "a", 64, 2000);
    check_real(job_pace_seconds(&pace, "a", 64 * 64, 20, 1), ==, 40.5);
}

static void another_size_is_taken_from_the_nearest(void)
{
    static struct job_pace pace;
    note(&pace, "a", 64, 1000);
    note(&pace, "a", 512, 100000);
    check_real(job_pace_seconds(&pace, "a", 128 * 64, 1, 1), ==, 3);
    check_real(job_pace_seconds(&pace, "a", 512 * 256, 1, 1), ==, 50.25);
}

static void the_oldest_is_forgotten(void)
{
    static struct job_pace pace;
    note(&pace, "first", 64, 1000);
    for (int32_t i = 1; i < JOB_PACE_COUNT; ++i)
        note(&pace, "a", 64 * i, 1000);
    check_real(job_pace_seconds(&pace, "first", 64, 1, 1), >, 0);
    note(&pace, "a", 8000, 1000);
    check_real(job_pace_seconds(&pace, "first", 64, 1, 1), <, 0);
    /* Nothing was sampled: there is nothing to learn. */
    note(&pace, "b", 64, 0);
    check_real(job_pace_seconds(&pace, "b", 64, 1, 1), <, 0);
}

int main(void)
{
    check_run(what_was_seen_comes_again);
    check_run(another_size_is_taken_from_the_nearest);
    check_run(the_oldest_is_forgotten);
    return check_done();
}
