/* generate — from a user's options to a job: what report.c's forecast shares with running. */
#ifndef ENGINE_GENERATE_H
#define ENGINE_GENERATE_H

#include "engine/engine.h"
#include "engine/job.h"

/* Check all options and make the request. Errors: DR_BAD_INPUT says what to give instead. */
enum dr_code generate_request(struct dr_engine *engine,
                              const struct dr_generate_options *options,
                              struct job_request *want,
                              struct dr_error *err) DR_MUST_CHECK;

/* The same for a forecast: no output, no vocabulary needed; prompts count as not cached. */
enum dr_code forecast_request(struct dr_engine *engine,
                              const struct dr_generate_options *options,
                              struct job_request *want,
                              struct dr_error *err) DR_MUST_CHECK;

/* A VAE choice that is for one job only. */
struct job_vae {
    bool said;             /* the job made a choice */
    bool to_base;          /* base, though the setting has an override */
    struct vae_file *file; /* opened for this job; NULL: the setting's or base */
    struct vae_resolution resolution;
};
enum dr_code job_vae_open(struct dr_engine *engine, const char *choice,
                          struct job_vae *vae, struct dr_error *err) DR_MUST_CHECK;

#endif
