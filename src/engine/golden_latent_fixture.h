/* A job's latents beside those of a golden file. */
#ifndef ENGINE_GOLDEN_LATENT_FIXTURE_H
#define ENGINE_GOLDEN_LATENT_FIXTURE_H

#include "network.h"

#include "engine/engine_fixture.h"
#include "sampling/latent.h"

/* Relative L2 between a job's latents and the golden tensor latent.NAME. */
static inline double golden_distance(struct dr_engine *engine,
                                     const struct golden *golden, const char *name,
                                     struct dr_generate_options options)
{
    struct dr_generate_result result;
    struct latent_head head = {0};
    size_t count = 0;
    float *const expected = golden_read(golden, "latent", name, &count);
    const size_t wanted = (size_t)LATENT_CHANNELS * (size_t)(options.width / 8) *
                          (size_t)(options.height / 8);
    network_require(count == wanted, "%s has %zu values", name, count);
    float *const latents = malloc(count * sizeof *latents);
    network_require(latents && dr_engine_generate(engine, &options, &result,
                                                  &problem) == DR_OK,
                    "%s", problem.message);
    check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
    dr_generate_result_free(&result);
    network_require(latent_file_head(options.output, &head, &problem) == DR_OK &&
                        latent_file_read(options.output, &head, latents, &problem) ==
                            DR_OK,
                    "%s", problem.message);
    const double error = network_relative_error(latents, expected, count);
    fprintf(stderr, "     %s: relative L2 %.3g\n", name, error);
    free(latents);
    free(expected);
    return error;
}

#endif
