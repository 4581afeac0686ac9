#include "service/sampler_names.h"

#include <ctype.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Names are A1111's: modules/sd_samplers_kdiffusion.py, sd_samplers_extra.py and sd_samplers_timesteps.py of
 * stable-diffusion-webui, and Forge's for what it has beyond. */
static const struct sampler_entry samplers[] = {
    {"euler-a",           "Euler a",           {"k_euler_a", "k_euler_ancestral", "euler_ancestral"}},
    {"euler",             "Euler",             {"k_euler"}                                          },
    {"heun",              "Heun",              {"k_heun"}                                           },
    {"dpmpp-2m",          "DPM++ 2M",          {"k_dpmpp_2m"}                                       },
    {"dpmpp-2m-sde",      "DPM++ 2M SDE",      {"k_dpmpp_2m_sde"}                                   },
    {"dpmpp-2m-sde-heun", "DPM++ 2M SDE Heun", {"k_dpmpp_2m_sde_heun"}                              },
    {"dpmpp-3m-sde",      "DPM++ 3M SDE",      {"k_dpmpp_3m_sde"}                                   },
    {"dpmpp-sde",         "DPM++ SDE",         {"k_dpmpp_sde"}                                      },
    {"dpmpp-2s-a",        "DPM++ 2S a",        {"k_dpmpp_2s_a", "dpmpp_2s_ancestral"}               },
    {"dpm2",              "DPM2",              {"k_dpm_2", "dpm_2"}                                 },
    {"dpm2-a",            "DPM2 a",            {"k_dpm_2_a", "k_dpm_2_ancestral", "dpm_2_ancestral"}},
    {"lms",               "LMS",               {"k_lms"}                                            },
    {"restart",           "Restart",           {NULL}                                               },
    {"ddim",              "DDIM",              {"k_ddim"}                                           },
    {"plms",              "PLMS",              {"pndm"}                                             },
    {"unipc",             "UniPC",             {"k_unipc", "uni_pc"}                                },
    {"deis",              "DEIS",              {NULL}                                               },
    {"ddpm",              "DDPM",              {NULL}                                               },
    {"lcm",               "LCM",               {"k_lcm"}                                            },
    {"tcd",               "TCD",               {NULL}                                               },
};

/* "uniform" and "discrete" (stable-diffusion.cpp) lay out times from 999 to 0 as "normal" does, and "ddim" is what that sampler
 * was published with. */
static const struct schedule_entry schedules[] = {
    {"automatic",        "automatic",        "Automatic",        {"auto", "default"}     },
    {"normal",           "normal",           "Normal",           {"uniform", "discrete"} },
    {"karras",           "karras",           "Karras",           {NULL}                  },
    {"exponential",      "exponential",      "Exponential",      {NULL}                  },
    {"polyexponential",  "polyexponential",  "Polyexponential",  {NULL}                  },
    {"sgm-uniform",      "sgm_uniform",      "SGM Uniform",      {NULL}                  },
    {"simple",           "simple",           "Simple",           {NULL}                  },
    {"beta",             "beta",             "Beta",             {NULL}                  },
    {"kl-optimal",       "kl_optimal",       "KL Optimal",       {NULL}                  },
    {"align-your-steps", "align_your_steps", "Align Your Steps", {"ays"}                 },
    {"leading",          "leading",          "Leading",          {"ddim", "ddim_uniform"}},
    {"trailing",         "trailing",         "Trailing",         {NULL}                  },
    {"lcm",              "lcm",              "LCM",              {NULL}                  },
};

/* Of other programs. */
static const char *const foreign[] = {"gits",
                                      "beta57",
                                      "turbo",
                                      "smoothstep",
                                      "linear",
                                      "karras_exponential",
                                      "linear_quadratic"};

const struct sampler_entry *sampler_names_at(size_t idx)
{
    return idx < COUNT(samplers) ? &samplers[idx] : NULL;
}

const struct schedule_entry *schedule_names_at(size_t idx)
{
    return idx < COUNT(schedules) ? &schedules[idx] : NULL;
}

/* ---- comparing --------------------------------------------------------------------------- */

/* The next letter or digit, in lower case; '\0' at the end. */
static char next(const char **text)
{
    for (; **text; ++*text) {
        const unsigned char c = (unsigned char)**text;
        if (c != '+' && (c >= 0x80 || !isalnum(c))) continue;
        ++*text;
        return c == '+' ? 'p' : (char)tolower(c);
    }
    return '\0';
}

/* Where `said` goes on after `name`; NULL where it does not begin so. */
static const char *after(const char *said, const char *name)
{
    for (;;) {
        const char wanted = next(&name);
        if (!wanted) return said;
        if (next(&said) != wanted) return NULL;
    }
}

static bool is_at_end(const char *said)
{
    return said && !next(&said);
}

static bool is_same(const char *said, const char *name)
{
    return is_at_end(after(said, name));
}

static bool is_one_of(const char *said, const char *const *names)
{
    for (; *names; ++names)
        if (is_same(said, *names)) return true;
    return false;
}

static const struct schedule_entry *find_schedule(const char *said)
{
    for (size_t i = 0; i < COUNT(schedules); ++i)
        if (is_same(said, schedules[i].key) || is_one_of(said, schedules[i].aliases))
            return &schedules[i];
    return NULL;
}

/* ---- samplers ---------------------------------------------------------------------------- */

const struct sampler_entry *sampler_names_of(const char *name)
{
    for (size_t i = 0; i < COUNT(samplers); ++i)
        if (strcmp(samplers[i].name, name) == 0) return &samplers[i];
    return NULL;
}

/* "DPM++ 2M Karras", "ddim_trailing": a sampler, then a schedule. NULL where it is not that. */
static const struct schedule_entry *schedule_after(const char *said,
                                                   const struct sampler_entry *sampler)
{
    const char *rest = after(said, sampler->label);
    for (size_t i = 0; !rest && sampler->aliases[i]; ++i)
        rest = after(said, sampler->aliases[i]);
    return rest && !is_at_end(rest) ? find_schedule(rest) : NULL;
}

const struct sampler_entry *sampler_names_find(const char *said,
                                               const struct schedule_entry **schedule)
{
    *schedule = NULL;
    for (size_t i = 0; i < COUNT(samplers); ++i)
        if (is_same(said, samplers[i].name) || is_same(said, samplers[i].label) ||
            is_one_of(said, samplers[i].aliases))
            return &samplers[i];
    for (size_t i = 0; i < COUNT(samplers); ++i) {
        *schedule = schedule_after(said, &samplers[i]);
        if (*schedule) return &samplers[i];
    }
    return NULL;
}

/* ---- schedules --------------------------------------------------------------------------- */

const struct schedule_entry *schedule_names_of(const char *name)
{
    for (size_t i = 0; i < COUNT(schedules); ++i)
        if (strcmp(schedules[i].name, name) == 0) return &schedules[i];
    return NULL;
}

enum schedule_match schedule_names_find(const char *said,
                                        const struct schedule_entry **schedule)
{
    *schedule = find_schedule(said);
    if (*schedule) return SCHEDULE_FOUND;
    for (size_t i = 0; i < COUNT(foreign); ++i)
        if (is_same(said, foreign[i])) {
            *schedule = &schedules[0];
            return SCHEDULE_FOREIGN;
        }
    return SCHEDULE_UNKNOWN;
}

bool sampler_names_accepts(const char *sampler, const char *schedule)
{
    const char *name;
    for (int32_t i = 0; (name = dr_sampler_schedule(sampler, i)) != NULL; ++i)
        if (strcmp(name, schedule) == 0) return true;
    return false;
}

const char *sampler_names_schedule(const struct sampler_entry *sampler,
                                   const char *wanted)
{
    return sampler_names_accepts(sampler->name, wanted)
               ? wanted
               : dr_sampler_automatic(sampler->name);
}
