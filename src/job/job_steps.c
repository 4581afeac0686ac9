#include "job/job_steps.h"

#include "job/picture_step.h"
#include "job/prompt_step.h"
#include "job/seed_noise.h"
#include "model/latent_space.h"

static struct slot *slot_of(const struct job *job, enum dr_component_kind kind,
                            int32_t kind_idx)
{
    return pipeline_slot(job->context.pipeline, kind, kind_idx);
}

void job_steps_add_text(struct job *job)
{
    struct step_list *const list = &job->list;
    for (int32_t i = 0; i < job->context.pipeline->text_count; ++i) {
        struct step step = step_init(STEP_TEXT, 0, 0);
        step.network = step_list_network(list, NETWORK_TEXT,
                                         slot_of(job, DR_COMPONENT_TEXT, i), 0, 0);
        step.arena = step_list_add_arena(list, step.network);
        const struct weight *const vectors =
            embedding_set_table(&job->request.embeddings, i);
        if (vectors)
            step.scratch = step_list_add_value(list, REGION_EMBEDDINGS, vectors->bytes);
        step_list_add(list, &step);
    }
}

int32_t job_steps_add_latents(struct job *job, int32_t width, int32_t height)
{
    return step_list_add_value(&job->list, REGION_LATENTS,
                               sizeof(float) * latent_space_count(width, height) *
                                   (size_t)job->request.batch);
}

int32_t job_steps_add_encode(struct job *job, const struct encode_part *part)
{
    struct step_list *const list = &job->list;
    struct slot *const vae = job->context.pipeline->vae_slot;
    struct step resize = step_init(STEP_RESIZE, part->width, part->height);
    resize.network =
        step_list_network(list, NETWORK_ENCODER, vae, part->width, part->height);
    resize.arena = step_list_add_arena(list, resize.network);
    resize.pixels = part->pixels;
    resize.source_width = part->source_width;
    resize.source_height = part->source_height;
    resize.scratch =
        step_list_add_value(list, REGION_IMAGE, picture_step_scratch_bytes(&resize));
    step_list_add(list, &resize);

    struct step encode = step_init(STEP_ENCODE, part->width, part->height);
    encode.network = resize.network;
    encode.arena = resize.arena;
    encode.moments =
        step_list_add_value(list, REGION_LATENTS,
                            2 * sizeof(float) * step_latent_count(&encode));
    encode.latents = part->latents;
    step_list_add(list, &encode);
    return encode.moments;
}

/* The networks of a step's batches, in one arena. Returns how many answers the step has to keep at a time. */
static int32_t add_batches(struct job *job, struct slot *unet, struct step *sample)
{
    struct step_list *const list = &job->list;
    const struct context_layout layout = prompt_step_layout(job);
    struct context_batch batches[GUIDANCE_MAX_CONTEXTS];
    const int32_t count = context_batch_list(&layout, batches);
    for (int32_t i = 0; i < count; ++i) {
        const int32_t network = step_list_unet(list, unet, sample, batches[i].count,
                                               TOKENIZER_POSITIONS * batches[i].chunks);
        if (i == 0) sample->network = network;
        if (i == 0) sample->arena = step_list_add_arena(list, network);
        step_list_share_arena(list, sample->arena, network);
    }
    const int32_t alone = context_batch_list_alone(&layout, batches);
    for (int32_t i = 0; i < alone; ++i)
        step_list_share_arena(list, sample->arena,
                              step_list_unet(list, unet, sample, batches[i].count,
                                             TOKENIZER_POSITIONS * batches[i].chunks));
    return count > 1 || alone > 1 ? context_layout_count(&layout) : 0;
}

void job_steps_add_sample(struct job *job, const struct sample_part *part)
{
    struct step_list *const list = &job->list;
    struct step sample = step_init(STEP_SAMPLE, part->width, part->height);
    const size_t count = step_latent_count(&sample);
    sample.image_idx = part->image_idx;
    sample.latents = part->latents;
    sample.sampler = job->request.sampler;
    sample.sampler.count = count;
    sample.sampler.image_to_image = part->moments != STEP_NONE;
    sample.sampler.first_step = part->first_step;
    sample.sampler.end_step = part->end_step;
    size_t state_bytes = 0;
    /* The request's options were checked; a part that has no step is refused when it runs. */
    (void)!sampler_bytes(&sample.sampler, &state_bytes, NULL);
    sample.state = step_list_add_value(list, REGION_LATENTS, state_bytes);
    if (!part->continues) {
        struct step noise = sample;
        noise.kind = STEP_NOISE;
        noise.moments = part->moments;
        const struct seed_noise seed =
            seed_noise_of(&job->request.sampling, job->request.rng, 0, 0,
                          part->width / LATENT_FACTOR, part->height / LATENT_FACTOR);
        noise.scratch =
            step_list_add_value(list, REGION_LATENTS,
                                sizeof(float) *
                                    (2 * count + seed_noise_scratch(&seed)));
        step_list_add(list, &noise);
    }
    sample.continues = part->continues;
    const int32_t answers = add_batches(job, part->unet, &sample);
    sample.scratch = step_list_add_value(list, REGION_LATENTS,
                                         sizeof(float) * count * (1 + (size_t)answers));
    step_list_add(list, &sample);
}

static struct step decode_step(struct job *job, int32_t image_idx, int32_t latents,
                               int32_t width, int32_t height)
{
    struct step_list *const list = &job->list;
    struct step step = step_init(STEP_DECODE, width, height);
    step.image_idx = image_idx;
    step.latents = latents;
    step.network = step_list_network(list, NETWORK_DECODER,
                                     job->context.pipeline->vae_slot, width, height);
    step.arena = step_list_add_arena(list, step.network);
    return step;
}

int32_t job_steps_add_decode_to_pixels(struct job *job, int32_t image_idx,
                                       int32_t latents, int32_t width, int32_t height)
{
    struct step step = decode_step(job, image_idx, latents, width, height);
    step.pixels = step_list_add_value(&job->list, REGION_IMAGE,
                                      picture_step_pixels_bytes(width, height));
    step_list_add(&job->list, &step);
    return step.pixels;
}

void job_steps_add_decode_to_file(struct job *job, int32_t image_idx, int32_t latents,
                                  int32_t width, int32_t height)
{
    const struct step decode = decode_step(job, image_idx, latents, width, height);
    struct step write = decode;
    write.kind = STEP_WRITE;
    write.latents = STEP_NONE;
    step_list_add(&job->list, &decode);
    step_list_add(&job->list, &write);
}

/* ---- the whole list ------------------------------------------------------------------------ */

/* The init picture to moments. */
static int32_t add_init(struct job *job, int32_t latents)
{
    const struct image_head *const head = &job->head;
    const struct init_frame frame = picture_step_frame(job);
    struct step read = step_init(STEP_READ, head->width, head->height);
    read.pixels =
        step_list_add_value(&job->list, REGION_IMAGE, picture_step_init_bytes(job));
    step_list_add(&job->list, &read);
    const struct encode_part part = {.pixels = read.pixels,
                                     .source_width = frame.width,
                                     .source_height = frame.height,
                                     .width = job->request.width,
                                     .height = job->request.height,
                                     .latents = latents};
    return job_steps_add_encode(job, &part);
}

static void add_latent_file(struct job *job, enum step_kind kind, int32_t latents)
{
    struct step step = step_init(kind, job->request.width, job->request.height);
    step.latents = latents;
    step_list_add(&job->list, &step);
}

/* Is a picture decoded before the next is sampled? A file of latents comes before all decoding. */
static bool decodes_at_once(const struct job *job)
{
    const struct job_request *const want = &job->request;
    return want->kind == JOB_GENERATE && job->order == JOB_BY_PICTURE &&
           !want->output_is_latent && job_request_decodes(want);
}

static void add_sampling(struct job *job, int32_t latents)
{
    const struct job_request *const want = &job->request;
    struct sample_part part = {.width = want->width,
                               .height = want->height,
                               .moments = STEP_NONE,
                               .latents = latents,
                               .unet = slot_of(job, DR_COMPONENT_UNET, 0)};
    if (want->init) part.moments = add_init(job, STEP_NONE);
    for (part.image_idx = 0; part.image_idx < want->batch; ++part.image_idx) {
        job_steps_add_sample(job, &part);
        if (decodes_at_once(job))
            job_steps_add_decode_to_file(job, part.image_idx, latents, want->width,
                                         want->height);
    }
}

void job_steps_make(struct job *job)
{
    const struct job_request *const want = &job->request;
    step_list_clear(&job->list);
    const int32_t latents = job_steps_add_latents(job, want->width, want->height);
    if (want->kind == JOB_GENERATE) job_steps_add_text(job);
    switch (want->kind) {
    case JOB_GENERATE: add_sampling(job, latents); break;
    case JOB_ENCODE: (void)add_init(job, latents); break;
    case JOB_DECODE: add_latent_file(job, STEP_READ_LATENTS, latents); break;
    }
    if (want->output_is_latent) add_latent_file(job, STEP_WRITE_LATENTS, latents);
    const bool decodes = job_request_decodes(want) && !decodes_at_once(job);
    for (int32_t i = 0; decodes && i < want->batch; ++i)
        job_steps_add_decode_to_file(job, i, latents, want->width, want->height);
}
