/* A checkpoint written in another type: dr_convert. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/path.h"
#include "base/temporary_file.h"
#include "engine/engine.h"
#include "pipeline/load_progress.h"
#include "weights/conversion.h"

static enum dtype type_of(const struct dr_convert_options *options)
{
    switch (options->weights) {
    case DR_WEIGHTS_Q8: return DTYPE_Q8_0;
    case DR_WEIGHTS_Q4: return DTYPE_Q4_0;
    case DR_WEIGHTS_F16: return DTYPE_F16;
    case DR_WEIGHTS_F32: return DTYPE_F32;
    case DR_WEIGHTS_AUTO:
    case DR_WEIGHTS_UNSET: break;
    }
    return conversion_is_gguf(options->output) ? DTYPE_Q8_0 : DTYPE_F16;
}

static bool is_in(const struct tensor_file *file, const char *path)
{
    for (size_t i = 0; i < file->shard_count; ++i)
        if (path_is_same_file(file->shards[i].path, path)) return true;
    return false;
}

/* What can be known of the output before the model is read. */
static enum dr_code check_output(const struct checkpoint *checkpoint,
                                 const struct dr_convert_options *options,
                                 struct dr_error *err)
{
    const char *const output = options->output;
    char folder[DR_PATH_BYTES];
    struct stat status;
    if (!conversion_is_gguf(output) && !conversion_is_safetensors(output))
        return error_set(
            err, DR_BAD_INPUT,
            "%.600s: its extension says what is written: name a .gguf or a "
            ".safetensors file",
            output);
    if (is_in(&checkpoint->file, output))
        return error_set(err, DR_BAD_INPUT,
                         "%.600s is the model that is converted; name another output",
                         output);
    if (stat(output, &status) == 0 && !options->overwrite)
        return error_set(err, DR_BAD_INPUT,
                         "%.600s exists; name another output, or replace it with "
                         "--overwrite",
                         output);
    path_folder(output, folder, sizeof folder);
    (void)temporary_file_sweep(folder);
    return DR_OK;
}

/* A file that is not run is not written either: a setting that darkroom does not know would be lost. */
static enum dr_code check_model(const struct checkpoint *checkpoint,
                                struct dr_error *err)
{
    const char *const what = family_unsupported(checkpoint);
    char warnings[DR_TEXT_BYTES];
    unsigned roles = 1U << ROLE_COUNT;
    if (what)
        return error_set(err, DR_UNSUPPORTED,
                         "%.600s is %s; not supported yet: this version converts SD1.x "
                         "and SDXL, and their VAEs",
                         checkpoint->file.path, what);
    for (int i = 0; i < ROLE_COUNT; ++i)
        if (checkpoint->components[i].count > 0) roles |= 1U << i;
    return meaning_check(checkpoint, roles, false, warnings, sizeof warnings, err);
}

static enum dr_code convert(const struct checkpoint *checkpoint,
                            const struct dr_convert_options *options,
                            struct dr_conversion *out, struct dr_error *err)
{
    struct ledger ledger = {0};
    struct region buffer = {0};
    struct cancel cancel = {0};
    struct load_progress progress;
    struct conversion_result result = {0};
    struct stat status;
    const uint64_t total_bytes = conversion_bytes(checkpoint);
    load_progress_begin(&progress,
                        &(struct load_progress_sink){options->progress,
                                                     options->progress_cookie, &cancel},
                        total_bytes);
    enum dr_code code =
        region_open(&buffer, &ledger,
                    &(struct region_options){.bytes = CONVERSION_BUFFER_BYTES,
                                             .tag = REGION_SCRATCH,
                                             .component = "convert"},
                    err);
    if (code != DR_OK) return code;
    const struct conversion_options how = {
        .output = options->output,
        .type = type_of(options),
        .progress = load_progress_part(&progress, "convert", total_bytes),
        .buffer = buffer.data};
    code = conversion_run(checkpoint, &how, &result, err);
    region_close(&buffer);
    if (code != DR_OK) return code;
    (void)snprintf(out->type, sizeof out->type, "%s", dtype_name(how.type));
    (void)snprintf(out->format, sizeof out->format, "%s",
                   conversion_is_gguf(options->output) ? "GGUF" : "safetensors");
    if (stat(options->output, &status) == 0) out->file_bytes = (uint64_t)status.st_size;
    for (size_t i = 0; i < checkpoint->file.shard_count; ++i)
        out->source_bytes += checkpoint->file.shards[i].identity.bytes;
    out->tensor_count = result.tensor_count;
    out->block_tensor_count = result.block_count;
    out->parameter_count = result.element_count;
    out->block_parameter_count = result.block_element_count;
    return DR_OK;
}

enum dr_code dr_convert(const char *path, const struct dr_convert_options *options,
                        struct dr_conversion *conversion, struct dr_error *err)
{
    struct checkpoint checkpoint = {0};
    *conversion = (struct dr_conversion){0};
    if (!path || !*path || !options || !options->output || !*options->output)
        return error_set(err, DR_BAD_INPUT, "a model and an output are needed");
    if (strlen(path) >= DR_PATH_BYTES || strlen(options->output) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT, "a path is longer than %d bytes",
                         DR_PATH_BYTES - 1);
    enum dr_code code = checkpoint_open(&checkpoint, path, err);
    if (code != DR_OK) return code;
    (void)snprintf(conversion->path, sizeof conversion->path, "%s", path);
    (void)snprintf(conversion->output, sizeof conversion->output, "%s",
                   options->output);
    code = check_model(&checkpoint, err);
    if (code == DR_OK) code = check_output(&checkpoint, options, err);
    if (code == DR_OK) code = convert(&checkpoint, options, conversion, err);
    checkpoint_close(&checkpoint);
    if (code != DR_OK) *conversion = (struct dr_conversion){0};
    return code;
}
