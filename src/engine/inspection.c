/* What a file is: dr_inspect. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "engine/engine.h"
#include "job/defaults.h"
#include "model/latent_space.h"
#include "sampling/latent.h"
#include "switch/vae_resolution.h"
#include "weights/file_hash.h"

static enum dr_code copy_metadata(const struct tensor_file *file,
                                  struct dr_inspection *out, struct dr_error *err)
{
    out->metadata = calloc(file->metadata_count + 1, sizeof *out->metadata);
    if (!out->metadata)
        return error_set(err, DR_NOMEM, "no memory for the file's metadata");
    for (size_t i = 0; i < file->metadata_count; ++i) {
        if (file->metadata[i].config != CONFIG_NONE) continue;
        const size_t place = out->metadata_count++;
        out->metadata[place].key = strdup(file->metadata[i].key);
        out->metadata[place].text = strdup(file->metadata[i].text);
        if (!out->metadata[place].key || !out->metadata[place].text)
            return error_set(err, DR_NOMEM, "no memory for the file's metadata");
    }
    return DR_OK;
}

/* One more text at the end of a list; without memory it is left out. */
static void add_text(char ***list, size_t *count, const char *text)
{
    char **const grown = realloc(*list, (*count + 1) * sizeof grown[0]);
    if (!grown) return;
    *list = grown;
    grown[*count] = strdup(text);
    if (grown[*count]) ++*count;
}

static void free_texts(char **list, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        free(list[i]);
    free(list);
}

static void add_neighbour(void *cookie, const char *path)
{
    struct dr_inspection *const out = cookie;
    add_text(&out->vae_neighbours, &out->vae_neighbour_count, path);
}

static void describe_meaning(const struct checkpoint *checkpoint,
                             struct dr_inspection *out)
{
    const struct meaning *const meaning = &checkpoint->meaning;
    const char *const unsupported = family_unsupported(checkpoint);
    (void)snprintf(out->unsupported, sizeof out->unsupported, "%s",
                   unsupported ? unsupported : "");
    for (size_t i = 0; i < meaning->finding_count; ++i)
        if (meaning->findings[i].is_warning)
            add_text(&out->warnings, &out->warning_count, meaning->findings[i].text);
        else
            add_text(&out->refused, &out->refused_count, meaning->findings[i].text);
    if (checkpoint->components[ROLE_UNET].count == 0) return;
    (void)snprintf(out->prediction, sizeof out->prediction, "%s",
                   meaning->predicts_v ? "v" : "epsilon");
    (void)snprintf(out->prediction_source, sizeof out->prediction_source, "%s",
                   meaning->prediction_source);
    out->zero_terminal_snr = meaning->zero_terminal_snr;
    (void)snprintf(out->schedule_source, sizeof out->schedule_source, "%s",
                   meaning->schedule_source);
}

static void describe_defaults(const struct checkpoint *checkpoint,
                              struct dr_inspection *out)
{
    const struct job_defaults family = job_defaults_of_family(checkpoint->family);
    struct job_defaults defaults = job_defaults_none();
    char warning[DR_TEXT_BYTES];
    if (checkpoint->components[ROLE_UNET].count == 0) return;
    job_defaults_fill_from_file(&defaults, &checkpoint->file, warning);
    job_defaults_fill(&defaults, &family);
    out->defaults = (struct dr_defaults){.width = defaults.width,
                                         .height = defaults.height,
                                         .steps = defaults.steps,
                                         .cfg = defaults.cfg};
    (void)snprintf(out->defaults.sampler, sizeof out->defaults.sampler, "%s",
                   defaults.sampler);
    (void)snprintf(out->defaults.scheduler, sizeof out->defaults.scheduler, "%s",
                   defaults.scheduler ? defaults.scheduler
                                      : dr_sampler_schedule(defaults.sampler, 0));
    if (warning[0]) add_text(&out->warnings, &out->warning_count, warning);
}

static struct dr_component_info *find_component(struct dr_model_info *model,
                                                const char *name)
{
    for (int32_t i = 0; i < model->component_count; ++i)
        if (strcmp(model->components[i].name, name) == 0) return &model->components[i];
    return NULL;
}

static enum dr_code read_digests(const struct checkpoint *checkpoint,
                                 const struct dr_inspect_options *how,
                                 struct dr_inspection *out, struct dr_error *err)
{
    enum {
        BUFFER_BYTES = 1 << 20
    };
    struct ledger ledger = {0};
    struct region buffer = {0};
    const struct region_options options = {.bytes = BUFFER_BYTES,
                                           .tag = REGION_SCRATCH,
                                           .component = "digest"};
    const struct component_index *const parts = checkpoint->components;
    struct cancel cancel = {0};
    struct load_progress progress;
    uint64_t total_bytes = 0;
    for (int i = 0; i < ROLE_COUNT; ++i)
        total_bytes += parts[i].count ? parts[i].bytes : 0;
    load_progress_begin(&progress,
                        &(struct load_progress_sink){how->progress,
                                                     how->progress_cookie, &cancel},
                        total_bytes);
    enum dr_code code = region_open(&buffer, &ledger, &options, err);
    for (int i = 0; code == DR_OK && i < ROLE_COUNT; ++i) {
        uint8_t digest[DIGEST_BYTES];
        if (!parts[i].count) continue;
        code = component_digest_read(
            &parts[i], buffer.data, buffer.bytes,
            load_progress_part(&progress, component_role_name((enum component_role)i),
                               parts[i].bytes),
            digest, err);
        if (code != DR_OK) break;
        struct dr_component_info *const info =
            find_component(&out->model, component_role_name(parts[i].role));
        if (info) digest_hex(digest, info->digest);
    }
    region_close(&buffer);
    return code;
}

/* The digest of the complete file, read beside the tensors'. A file that is one of several has none. */
static enum dr_code read_all(const struct checkpoint *checkpoint,
                             const struct dr_inspect_options *how,
                             struct dr_inspection *out, struct dr_error *err)
{
    const struct tensor_file *const file = &checkpoint->file;
    const struct tensor_shard *const shard = tensor_file_only(file);
    struct file_hash hash = {0};
    uint8_t digest[DIGEST_BYTES];
    enum dr_code code = DR_OK;
    if (shard)
        code = file_hash_begin(&hash, shard->descriptor, shard->identity.bytes,
                               FILE_HASH_BESIDE, err);
    if (code == DR_OK) code = read_digests(checkpoint, how, out, err);
    if (code == DR_OK && shard) {
        code = file_hash_wait(&hash, NULL, digest, err);
        if (code != DR_OK) error_prefix(err, "%.400s", file->path);
    }
    if (code == DR_OK && shard) digest_hex(digest, out->sha256);
    file_hash_end(&hash);
    return code;
}

/* The folder that `automatic` would look into. Settings that are damaged are no reason to show
 * what another folder has. */
static enum dr_code find_vae_folder(const char *option, char *folder,
                                    size_t folder_bytes, struct dr_error *err)
{
    struct dr_settings settings;
    const enum dr_code code = dr_settings_read(option ? "" : NULL, &settings, err);
    if (code != DR_OK) return code;
    vae_folder_find(option, settings.vae_folder, folder, folder_bytes);
    dr_settings_free(&settings);
    return DR_OK;
}

static enum dr_code inspect_neighbours(const char *path, const char *vae_folder,
                                       struct dr_inspection *out, struct dr_error *err)
{
    char folder[DR_PATH_BYTES];
    struct vae_resolution resolution;
    enum dr_code code = find_vae_folder(vae_folder, folder, sizeof folder, err);
    if (code != DR_OK) return code;
    struct folder_listing there;
    code = vae_folder_read(&there, folder, NULL, err);
    if (code != DR_OK) return code;
    const struct vae_resolution_request request = {.choice = "automatic",
                                                   .checkpoint = path,
                                                   .vae_folder = folder,
                                                   .folder = &there};
    code = vae_neighbours(&request, add_neighbour, out, err);
    if (code == DR_OK) code = vae_resolve(&resolution, &request, err);
    folder_listing_free(&there);
    if (code != DR_OK) return code;
    (void)snprintf(out->automatic, sizeof out->automatic, "%s", resolution.path);
    (void)snprintf(out->automatic_reason, sizeof out->automatic_reason, "%s",
                   resolution.reason);
    return DR_OK;
}

/* Which parts of a whole checkpoint neither the file nor its base has. */
static void describe_lacks(const struct checkpoint *checkpoint,
                           struct dr_model_info *model)
{
    if (checkpoint->family == FAMILY_VAE) return;
    const bool lacks_text2 =
        checkpoint->family == FAMILY_SDXL && !find_component(model, "text2");
    (void)snprintf(model->lacks, sizeof model->lacks, "%s%s%s%s",
                   find_component(model, "text") ? "" : "no text encoder. ",
                   lacks_text2 ? "no second text encoder. " : "",
                   find_component(model, "unet") ? "" : "no UNet. ",
                   find_component(model, "vae") ? "" : "no VAE of its own. ");
}

/* The parts that a model of this family would be loaded with. */
static enum dr_code inspect_base(const struct checkpoint *checkpoint, const char *path,
                                 struct dr_model_info *model, struct dr_error *err)
{
    struct checkpoint base = {0};
    enum dr_code code = DR_OK;
    if (path && *path && checkpoint->components[ROLE_UNET].count > 0)
        code = checkpoint_open(&base, path, err);
    if (code == DR_OK && base.family == checkpoint->family)
        engine_describe_base(checkpoint, &base, model);
    else if (code == DR_OK && base.file.path)
        code = error_set(err, DR_BAD_INPUT,
                         "%.500s is of the family %s, and so cannot be the base of "
                         "%.500s, which is of the family %s",
                         path, family_name(base.family), checkpoint->file.path,
                         family_name(checkpoint->family));
    describe_lacks(checkpoint, model);
    checkpoint_close(&base);
    return code;
}

/* No model, but latents that this program wrote? */
static bool describe_latents(const char *path, struct dr_inspection *out)
{
    struct latent_head head;
    struct stat status;
    if (latent_file_head(path, &head, NULL) != DR_OK) return false;
    out->latent_count = head.n;
    out->latent_width = head.width * LATENT_FACTOR;
    out->latent_height = head.height * LATENT_FACTOR;
    out->tensor_count = 1;
    if (stat(path, &status) == 0) out->file_bytes = (uint64_t)status.st_size;
    (void)snprintf(out->format, sizeof out->format, "safetensors");
    (void)snprintf(out->model.path, sizeof out->model.path, "%s", path);
    return true;
}

enum dr_code dr_inspect(const char *path, const struct dr_inspect_options *options,
                        struct dr_inspection *inspection, struct dr_error *err)
{
    const struct dr_inspect_options none = {0};
    const struct dr_inspect_options *const how = options ? options : &none;
    struct checkpoint checkpoint = {0};
    *inspection = (struct dr_inspection){0};
    if (!path || !*path) return error_set(err, DR_BAD_INPUT, "no file was given");
    if (strlen(path) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT, "the path is longer than %d bytes",
                         DR_PATH_BYTES - 1);
    enum dr_code code = checkpoint_open(&checkpoint, path, err);
    if (code == DR_UNSUPPORTED && describe_latents(path, inspection)) return DR_OK;
    if (code != DR_OK) return code;
    code = engine_model_info_create(&inspection->model, err);
    if (code != DR_OK) {
        checkpoint_close(&checkpoint);
        return code;
    }
    engine_describe_model(&checkpoint, path, &inspection->model);
    code = inspect_base(&checkpoint, how->base, &inspection->model, err);
    if (code != DR_OK) {
        checkpoint_close(&checkpoint);
        dr_inspection_free(inspection);
        return code;
    }
    describe_meaning(&checkpoint, inspection);
    describe_defaults(&checkpoint, inspection);
    (void)snprintf(inspection->format, sizeof inspection->format, "%s",
                   checkpoint.file.format);
    for (size_t i = 0; i < checkpoint.file.shard_count; ++i)
        inspection->file_bytes += checkpoint.file.shards[i].identity.bytes;
    inspection->tensor_count = checkpoint.file.tensor_count;
    inspection->ignored_count = checkpoint.ignored_count;
    inspection->ignored_bytes = checkpoint.ignored_bytes;
    code = copy_metadata(&checkpoint.file, inspection, err);
    if (code == DR_OK && (how->flags & DR_INSPECT_DIGESTS))
        code = read_all(&checkpoint, how, inspection, err);
    if (code == DR_OK && checkpoint.family != FAMILY_VAE)
        code = inspect_neighbours(path, how->vae_folder, inspection, err);
    checkpoint_close(&checkpoint);
    if (code != DR_OK) dr_inspection_free(inspection);
    return code;
}

void dr_inspection_free(struct dr_inspection *inspection)
{
    if (!inspection) return;
    for (size_t i = 0; i < inspection->metadata_count; ++i) {
        free(inspection->metadata[i].key);
        free(inspection->metadata[i].text);
    }
    free(inspection->metadata);
    dr_model_info_free(&inspection->model);
    free_texts(inspection->vae_neighbours, inspection->vae_neighbour_count);
    free_texts(inspection->refused, inspection->refused_count);
    free_texts(inspection->warnings, inspection->warning_count);
    *inspection = (struct dr_inspection){0};
}
