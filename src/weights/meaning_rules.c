/* The table of meaning.h. Within a place, a key's rules stand together and the first that has the
 * value counts. What a network's structure is (channels, depths, blocks) the tensors themselves
 * say, so the configs' keys for it are harmless. What a user chooses for each job (sampler,
 * spacing of the steps) is harmless too. */
#include "weights/meaning.h"

#define USED(place, key, values)                         \
    {                                                    \
        MEANING_##place, key, MEANING_USED, values, NULL \
    }
#define HARMLESS(place, key)                               \
    {                                                      \
        MEANING_##place, key, MEANING_HARMLESS, NULL, NULL \
    }
#define ONLY(place, key, values)                             \
    {                                                        \
        MEANING_##place, key, MEANING_HARMLESS, values, NULL \
    }
#define REFUSED(place, key, values, what)                   \
    {                                                       \
        MEANING_##place, key, MEANING_REFUSED, values, what \
    }

#define V_OR_EPSILON "v|v_prediction|v-prediction|vpred|v_pred|epsilon|eps"

static const char lora[] = "weights of a LoRA within the network; merge them first";
static const char lcm[] =
    "a distilled LCM UNet, which embeds the guidance scale; not supported yet";
static const char edm[] =
    "an EDM formulation, as Playground v2.5 has; not supported yet";
static const char cosxl[] = "the EDM formulation of CosXL; not supported yet";
static const char flow[] = "flow matching, as SD3 and Flux have; not supported";
static const char betas[] =
    "another noise schedule than Stable Diffusion's (0.00085 to 0.012, scaled_linear, "
    "1000 steps)";
static const char projection[] =
    "a projection of other inputs than a prompt's (IP-Adapter, Kandinsky)";

// clang-format off
const struct meaning_rule meaning_rules[] = {
    /* ---- tensors outside the components ---- */
    USED(MARKER, "v_pred", NULL),
    USED(MARKER, "ztsnr", NULL),
    REFUSED(MARKER, "edm_vpred.*", NULL, cosxl),
    REFUSED(MARKER, "edm_mean", NULL, edm),
    REFUSED(MARKER, "edm_std", NULL, edm),
    REFUSED(MARKER, "edm_*", NULL, "an EDM formulation; not supported yet"),
    REFUSED(MARKER, "scale_factor", NULL, "a scale of the latents of its own"),
    REFUSED(MARKER, "lora_*", NULL, "a LoRA stored beside the checkpoint; merge it first"),
    HARMLESS(MARKER, "model_ema.*"),
    HARMLESS(MARKER, "*_ema"),
    HARMLESS(MARKER, "first_stage_model_ema.*"),
    HARMLESS(MARKER, "*.position_ids"),
    HARMLESS(MARKER, "position_ids"),
    HARMLESS(MARKER, "*logit_scale"),
    HARMLESS(MARKER, "cond_stage_model.*text_projection*"), /* SD1.x takes no pooled vector */
    HARMLESS(MARKER, "conditioner.embedders.0.transformer.text_projection*"),
    HARMLESS(MARKER, "*.vision_model.*"), /* the other half of a whole CLIP */
    HARMLESS(MARKER, "*.visual_projection.*"),
    HARMLESS(MARKER, "scaled_fp8"), /* the scales themselves count */
    /* Buffers that training code computes from its own settings. */
    HARMLESS(MARKER, "betas"),
    HARMLESS(MARKER, "alphas_cumprod*"),
    HARMLESS(MARKER, "sqrt_*"),
    HARMLESS(MARKER, "log_one_minus_alphas_cumprod"),
    HARMLESS(MARKER, "posterior_*"),
    HARMLESS(MARKER, "lvlb_weights"),
    HARMLESS(MARKER, "logvar"),
    HARMLESS(MARKER, "denoiser.*"),
    HARMLESS(MARKER, "global_step"),
    HARMLESS(MARKER, "epoch"),
    HARMLESS(MARKER, "step*"),
    HARMLESS(MARKER, "loss.*"), /* of a VAE's training: its discriminator */
    HARMLESS(MARKER, "first_stage_model.loss.*"),
    HARMLESS(MARKER, "optimizer*"),
    HARMLESS(MARKER, "lr_scheduler*"),

    /* ---- tensors of the networks that are not weights of theirs ---- */
    REFUSED(UNET, "time_embedding.cond_proj.*", NULL, lcm),
    REFUSED(UNET, "time_embed.cond_proj.*", NULL, lcm),
    REFUSED(UNET, "*lora_*", NULL, lora),
    HARMLESS(UNET, "*_ema"),
    REFUSED(UNET, "encoder_hid_proj.*", NULL, projection),
    HARMLESS(UNET, "*.scale_input"), /* of activations, which are not quantised here */
    HARMLESS(UNET, "*.input_scale"),
    HARMLESS(UNET, "*.comfy_quant"), /* its weight's type and scale say the same */
    HARMLESS(UNET, "scaled_fp8"),
    REFUSED(TEXT, "*lora_*", NULL, lora),
    HARMLESS(TEXT, "*_ema"),
    HARMLESS(TEXT, "*position_ids"),
    HARMLESS(TEXT, "*logit_scale"),
    HARMLESS(TEXT, "*text_projection*"), /* only the second encoder's pooled vector is used */
    HARMLESS(TEXT, "vision_model.*"),
    HARMLESS(TEXT, "visual_projection.*"),
    HARMLESS(TEXT, "*.scale_input"),
    HARMLESS(TEXT, "*.input_scale"),
    HARMLESS(TEXT, "*.comfy_quant"),
    HARMLESS(TEXT, "*scaled_fp8"),
    REFUSED(TEXT2, "*lora_*", NULL, lora),
    HARMLESS(TEXT2, "*_ema"),
    HARMLESS(TEXT2, "*position_ids"),
    HARMLESS(TEXT2, "*logit_scale"),
    HARMLESS(TEXT2, "attn_mask"),
    HARMLESS(TEXT2, "visual.*"),
    HARMLESS(TEXT2, "vision_model.*"),
    HARMLESS(TEXT2, "visual_projection.*"),
    HARMLESS(TEXT2, "*.scale_input"),
    HARMLESS(TEXT2, "*.input_scale"),
    HARMLESS(TEXT2, "*.comfy_quant"),
    HARMLESS(TEXT2, "*scaled_fp8"),
    REFUSED(VAE, "*lora_*", NULL, lora),
    HARMLESS(VAE, "*_ema"),
    HARMLESS(VAE, "loss.*"),
    HARMLESS(VAE, "model_ema*"),
    HARMLESS(VAE, "*.scale_input"),
    HARMLESS(VAE, "*.input_scale"),
    HARMLESS(VAE, "*.comfy_quant"),
    HARMLESS(VAE, "scaled_fp8"),

    /* ---- __metadata__: free text but for these ---- */
    USED(METADATA, "darkroom.prediction", V_OR_EPSILON),
    USED(METADATA, "modelspec.prediction_type", V_OR_EPSILON),
    USED(METADATA, "modelspec.predict_key", V_OR_EPSILON),
    USED(METADATA, "darkroom.zero_terminal_snr", "true|false"),
    USED(METADATA, "darkroom.text.activation", "quick_gelu|gelu"),
    USED(METADATA, "darkroom.text2.activation", "quick_gelu|gelu"),
    HARMLESS(METADATA, "*"), /* what the networks' specs read (darkroom.unet.heads) they check */

    /* ---- model_index.json ---- */
    USED(PIPELINE_CONFIG, "force_zeros_for_empty_prompt", "true|false|null"),
    REFUSED(PIPELINE_CONFIG, "_class_name", "StableDiffusion3*|Flux*", flow),
    ONLY(PIPELINE_CONFIG, "_class_name", "StableDiffusion*|LatentConsistencyModel*"),
    HARMLESS(PIPELINE_CONFIG, "_diffusers_version"),
    HARMLESS(PIPELINE_CONFIG, "_name_or_path"),
    HARMLESS(PIPELINE_CONFIG, "requires_safety_checker"),
    HARMLESS(PIPELINE_CONFIG, "safety_checker"),
    HARMLESS(PIPELINE_CONFIG, "feature_extractor"),
    HARMLESS(PIPELINE_CONFIG, "image_encoder"),
    HARMLESS(PIPELINE_CONFIG, "tokenizer*"),
    HARMLESS(PIPELINE_CONFIG, "scheduler"), /* its own config says what counts */
    HARMLESS(PIPELINE_CONFIG, "add_watermarker"),
    ONLY(PIPELINE_CONFIG, "unet", "*\"UNet2DConditionModel\"*|*null*"),
    ONLY(PIPELINE_CONFIG, "vae", "*\"AutoencoderKL\"*|*null*"),
    ONLY(PIPELINE_CONFIG, "text_encoder*", "*\"CLIPTextModel\"*|*\"CLIPTextModelWithProjection\"*|*null*"),

    /* ---- scheduler/scheduler_config.json ---- */
    USED(SCHEDULER_CONFIG, "prediction_type", "epsilon|v_prediction"),
    USED(SCHEDULER_CONFIG, "rescale_betas_zero_snr", "true|false|null"),
    ONLY(SCHEDULER_CONFIG, "_class_name",
         "DDIMScheduler|DDIMParallelScheduler|DDPMScheduler|DDPMParallelScheduler|PNDMScheduler|LMSDiscreteScheduler|"
         "EulerDiscreteScheduler|EulerAncestralDiscreteScheduler|HeunDiscreteScheduler|KDPM2*Scheduler|"
         "DPMSolver*Scheduler|UniPCMultistepScheduler|DEISMultistepScheduler|SASolverScheduler|LCMScheduler|"
         "TCDScheduler"),
    REFUSED(SCHEDULER_CONFIG, "_class_name", "EDM*|Cosine*", edm),
    REFUSED(SCHEDULER_CONFIG, "_class_name", "*FlowMatch*", flow),
    REFUSED(SCHEDULER_CONFIG, "_class_name", NULL, "a scheduler of another family than Stable Diffusion's"),
    REFUSED(SCHEDULER_CONFIG, "sigma_data", NULL, edm),
    ONLY(SCHEDULER_CONFIG, "beta_start", "0.00085"),
    REFUSED(SCHEDULER_CONFIG, "beta_start", NULL, betas),
    ONLY(SCHEDULER_CONFIG, "beta_end", "0.012"),
    REFUSED(SCHEDULER_CONFIG, "beta_end", NULL, betas),
    ONLY(SCHEDULER_CONFIG, "beta_schedule", "scaled_linear"),
    REFUSED(SCHEDULER_CONFIG, "beta_schedule", NULL, betas),
    ONLY(SCHEDULER_CONFIG, "trained_betas", "null"),
    REFUSED(SCHEDULER_CONFIG, "trained_betas", NULL, betas),
    ONLY(SCHEDULER_CONFIG, "num_train_timesteps", "1000"),
    REFUSED(SCHEDULER_CONFIG, "num_train_timesteps", NULL, betas),
    REFUSED(SCHEDULER_CONFIG, "use_flow_sigmas", "true", flow),
    HARMLESS(SCHEDULER_CONFIG, "use_flow_sigmas"),
    HARMLESS(SCHEDULER_CONFIG, "flow_shift"),
    ONLY(SCHEDULER_CONFIG, "clip_sample", "false|null"),
    ONLY(SCHEDULER_CONFIG, "thresholding", "false|null"),
    HARMLESS(SCHEDULER_CONFIG, "clip_sample_range"), /* of what is off */
    HARMLESS(SCHEDULER_CONFIG, "dynamic_thresholding_ratio"),
    HARMLESS(SCHEDULER_CONFIG, "sample_max_value"),
    HARMLESS(SCHEDULER_CONFIG, "_diffusers_version"),
    HARMLESS(SCHEDULER_CONFIG, "_name_or_path"),
    HARMLESS(SCHEDULER_CONFIG, "_use_default_values"),
    /* What --sampler and --scheduler choose. */
    HARMLESS(SCHEDULER_CONFIG, "algorithm_type"),
    HARMLESS(SCHEDULER_CONFIG, "euler_at_final"),
    HARMLESS(SCHEDULER_CONFIG, "disable_corrector"),
    HARMLESS(SCHEDULER_CONFIG, "final_sigmas_type"),
    HARMLESS(SCHEDULER_CONFIG, "interpolation_type"),
    HARMLESS(SCHEDULER_CONFIG, "lambda_min_clipped"),
    HARMLESS(SCHEDULER_CONFIG, "lower_order_final"),
    HARMLESS(SCHEDULER_CONFIG, "noise_sampler_seed"),
    HARMLESS(SCHEDULER_CONFIG, "original_inference_steps"),
    HARMLESS(SCHEDULER_CONFIG, "predict_x0"),
    HARMLESS(SCHEDULER_CONFIG, "set_alpha_to_one"),
    HARMLESS(SCHEDULER_CONFIG, "sigma_max"),
    HARMLESS(SCHEDULER_CONFIG, "sigma_min"),
    HARMLESS(SCHEDULER_CONFIG, "skip_prk_steps"),
    HARMLESS(SCHEDULER_CONFIG, "solver_*"),
    HARMLESS(SCHEDULER_CONFIG, "steps_offset"),
    HARMLESS(SCHEDULER_CONFIG, "timestep_scaling"),
    HARMLESS(SCHEDULER_CONFIG, "timestep_spacing"),
    HARMLESS(SCHEDULER_CONFIG, "timestep_type"),
    HARMLESS(SCHEDULER_CONFIG, "use_beta_sigmas"),
    HARMLESS(SCHEDULER_CONFIG, "use_exponential_sigmas"),
    HARMLESS(SCHEDULER_CONFIG, "use_karras_sigmas"),
    HARMLESS(SCHEDULER_CONFIG, "use_lu_lambdas"),
    HARMLESS(SCHEDULER_CONFIG, "variance_type"),

    /* ---- unet/config.json ---- */
    USED(UNET_CONFIG, "attention_head_dim", NULL),
    USED(UNET_CONFIG, "num_attention_heads", NULL),
    ONLY(UNET_CONFIG, "_class_name", "UNet2DConditionModel"),
    ONLY(UNET_CONFIG, "act_fn", "silu|swish"),
    ONLY(UNET_CONFIG, "addition_embed_type", "null|text_time"),
    ONLY(UNET_CONFIG, "addition_time_embed_dim", "null|256"),
    ONLY(UNET_CONFIG, "attention_type", "default"),
    ONLY(UNET_CONFIG, "center_input_sample", "false"),
    ONLY(UNET_CONFIG, "class_embed_type", "null"),
    ONLY(UNET_CONFIG, "class_embeddings_concat", "false"),
    ONLY(UNET_CONFIG, "conv_in_kernel", "3"),
    ONLY(UNET_CONFIG, "conv_out_kernel", "3"),
    ONLY(UNET_CONFIG, "cross_attention_norm", "null"),
    ONLY(UNET_CONFIG, "downsample_padding", "1"),
    ONLY(UNET_CONFIG, "dual_cross_attention", "false"),
    ONLY(UNET_CONFIG, "encoder_hid_dim", "null"),
    ONLY(UNET_CONFIG, "encoder_hid_dim_type", "null"),
    ONLY(UNET_CONFIG, "flip_sin_to_cos", "true"),
    ONLY(UNET_CONFIG, "freq_shift", "0"),
    ONLY(UNET_CONFIG, "mid_block_only_cross_attention", "false|null"),
    ONLY(UNET_CONFIG, "mid_block_scale_factor", "1"),
    ONLY(UNET_CONFIG, "norm_eps", "0.00001"),
    ONLY(UNET_CONFIG, "norm_num_groups", "32"),
    ONLY(UNET_CONFIG, "num_class_embeds", "null"),
    ONLY(UNET_CONFIG, "only_cross_attention", "false"),
    ONLY(UNET_CONFIG, "resnet_out_scale_factor", "1"),
    ONLY(UNET_CONFIG, "resnet_skip_time_act", "false"),
    ONLY(UNET_CONFIG, "resnet_time_scale_shift", "default"),
    ONLY(UNET_CONFIG, "reverse_transformer_layers_per_block", "null"),
    ONLY(UNET_CONFIG, "time_cond_proj_dim", "null"),
    REFUSED(UNET_CONFIG, "time_cond_proj_dim", NULL, lcm),
    ONLY(UNET_CONFIG, "time_embedding_act_fn", "null"),
    ONLY(UNET_CONFIG, "time_embedding_type", "positional"),
    ONLY(UNET_CONFIG, "timestep_post_act", "null"),
    HARMLESS(UNET_CONFIG, "_diffusers_version"),
    HARMLESS(UNET_CONFIG, "_name_or_path"),
    HARMLESS(UNET_CONFIG, "_use_default_values"),
    HARMLESS(UNET_CONFIG, "addition_embed_type_num_heads"),
    HARMLESS(UNET_CONFIG, "block_out_channels"),
    HARMLESS(UNET_CONFIG, "cross_attention_dim"),
    HARMLESS(UNET_CONFIG, "down_block_types"),
    HARMLESS(UNET_CONFIG, "dropout"),
    HARMLESS(UNET_CONFIG, "in_channels"),
    HARMLESS(UNET_CONFIG, "layers_per_block"),
    HARMLESS(UNET_CONFIG, "mid_block_type"),
    HARMLESS(UNET_CONFIG, "out_channels"),
    HARMLESS(UNET_CONFIG, "projection_class_embeddings_input_dim"),
    HARMLESS(UNET_CONFIG, "sample_size"),
    HARMLESS(UNET_CONFIG, "time_embedding_dim"),
    HARMLESS(UNET_CONFIG, "transformer_layers_per_block"),
    HARMLESS(UNET_CONFIG, "up_block_types"),
    HARMLESS(UNET_CONFIG, "upcast_attention"), /* softmax is in float32 */
    HARMLESS(UNET_CONFIG, "use_linear_projection"),

    /* ---- vae/config.json ---- */
    USED(VAE_CONFIG, "scaling_factor", NULL),
    USED(VAE_CONFIG, "shift_factor", NULL),
    USED(VAE_CONFIG, "latents_mean", NULL),
    USED(VAE_CONFIG, "latents_std", NULL),
    ONLY(VAE_CONFIG, "_class_name", "AutoencoderKL"),
    ONLY(VAE_CONFIG, "act_fn", "silu|swish"),
    ONLY(VAE_CONFIG, "norm_num_groups", "32"),
    HARMLESS(VAE_CONFIG, "_diffusers_version"),
    HARMLESS(VAE_CONFIG, "_name_or_path"),
    HARMLESS(VAE_CONFIG, "_use_default_values"),
    HARMLESS(VAE_CONFIG, "block_out_channels"),
    HARMLESS(VAE_CONFIG, "down_block_types"),
    HARMLESS(VAE_CONFIG, "force_upcast"),
    HARMLESS(VAE_CONFIG, "in_channels"),
    HARMLESS(VAE_CONFIG, "latent_channels"),
    HARMLESS(VAE_CONFIG, "layers_per_block"),
    HARMLESS(VAE_CONFIG, "mid_block_add_attention"),
    HARMLESS(VAE_CONFIG, "out_channels"),
    HARMLESS(VAE_CONFIG, "sample_size"),
    HARMLESS(VAE_CONFIG, "up_block_types"),
    HARMLESS(VAE_CONFIG, "use_post_quant_conv"),
    HARMLESS(VAE_CONFIG, "use_quant_conv"),

    /* ---- text_encoder/config.json, text_encoder_2/config.json ---- */
    USED(TEXT_CONFIG, "hidden_act", "quick_gelu|gelu"),
    USED(TEXT_CONFIG, "num_attention_heads", NULL),
    ONLY(TEXT_CONFIG, "layer_norm_eps", "0.00001"),
    ONLY(TEXT_CONFIG, "model_type", "clip_text_model|clip|clip_text"),
    ONLY(TEXT_CONFIG, "architectures", "*\"CLIPTextModel*|*\"CLIPModel\"*|null"),
    /* Padding and the end of a text are the tokenizer's. */
    HARMLESS(TEXT_CONFIG, "*_token_id"),
    HARMLESS(TEXT_CONFIG, "attention_dropout"),
    HARMLESS(TEXT_CONFIG, "dropout"),
    HARMLESS(TEXT_CONFIG, "hidden_size"),
    HARMLESS(TEXT_CONFIG, "initializer_*"),
    HARMLESS(TEXT_CONFIG, "intermediate_size"),
    HARMLESS(TEXT_CONFIG, "logit_scale_init_value"),
    HARMLESS(TEXT_CONFIG, "max_position_embeddings"),
    HARMLESS(TEXT_CONFIG, "num_hidden_layers"),
    HARMLESS(TEXT_CONFIG, "projection_dim"),
    HARMLESS(TEXT_CONFIG, "vocab_size"),
    /* Of transformers itself, and of text generation. */
    HARMLESS(TEXT_CONFIG, "_*"),
    HARMLESS(TEXT_CONFIG, "add_cross_attention"),
    HARMLESS(TEXT_CONFIG, "attn_implementation"),
    HARMLESS(TEXT_CONFIG, "bad_words_ids"),
    HARMLESS(TEXT_CONFIG, "begin_suppress_tokens"),
    HARMLESS(TEXT_CONFIG, "chunk_size_feed_forward"),
    HARMLESS(TEXT_CONFIG, "cross_attention_hidden_size"),
    HARMLESS(TEXT_CONFIG, "diversity_penalty"),
    HARMLESS(TEXT_CONFIG, "do_sample"),
    HARMLESS(TEXT_CONFIG, "dtype"),
    HARMLESS(TEXT_CONFIG, "early_stopping"),
    HARMLESS(TEXT_CONFIG, "exponential_decay_length_penalty"),
    HARMLESS(TEXT_CONFIG, "finetuning_task"),
    HARMLESS(TEXT_CONFIG, "id2label.*"),
    HARMLESS(TEXT_CONFIG, "is_*"),
    HARMLESS(TEXT_CONFIG, "label2id.*"),
    HARMLESS(TEXT_CONFIG, "length_penalty"),
    HARMLESS(TEXT_CONFIG, "max_length"),
    HARMLESS(TEXT_CONFIG, "min_length"),
    HARMLESS(TEXT_CONFIG, "*no_repeat_ngram_size"),
    HARMLESS(TEXT_CONFIG, "num_beam*"),
    HARMLESS(TEXT_CONFIG, "num_return_sequences"),
    HARMLESS(TEXT_CONFIG, "output_*"),
    HARMLESS(TEXT_CONFIG, "prefix"),
    HARMLESS(TEXT_CONFIG, "problem_type"),
    HARMLESS(TEXT_CONFIG, "pruned_heads.*"),
    HARMLESS(TEXT_CONFIG, "remove_invalid_values"),
    HARMLESS(TEXT_CONFIG, "repetition_penalty"),
    HARMLESS(TEXT_CONFIG, "return_dict*"),
    HARMLESS(TEXT_CONFIG, "suppress_tokens"),
    HARMLESS(TEXT_CONFIG, "task_specific_params"),
    HARMLESS(TEXT_CONFIG, "temperature"),
    HARMLESS(TEXT_CONFIG, "tf_legacy_loss"),
    HARMLESS(TEXT_CONFIG, "tie_*"),
    HARMLESS(TEXT_CONFIG, "tokenizer_class"),
    HARMLESS(TEXT_CONFIG, "top_*"),
    HARMLESS(TEXT_CONFIG, "torch*"),
    HARMLESS(TEXT_CONFIG, "transformers_version"),
    HARMLESS(TEXT_CONFIG, "typical_p"),
    HARMLESS(TEXT_CONFIG, "use_bfloat16"),
    HARMLESS(TEXT_CONFIG, "use_cache"),

    /* ---- NAME.yaml ---- */
    USED(YAML, "model.params.parameterization", "v|eps"),
    USED(YAML, "model.params.denoiser_config.params.scaling_config.target", "*.EpsScaling|*.VScaling"),
    REFUSED(YAML, "model.params.denoiser_config.params.scaling_config.target", "*EDM*", edm),
    ONLY(YAML, "model.params.denoiser_config.params.discretization_config.target", "*.LegacyDDPMDiscretization"),
    HARMLESS(YAML, "model.params.denoiser_config.*"),
    ONLY(YAML, "model.params.linear_start", "0.00085"),
    REFUSED(YAML, "model.params.linear_start", NULL, betas),
    ONLY(YAML, "model.params.linear_end", "0.012"),
    REFUSED(YAML, "model.params.linear_end", NULL, betas),
    ONLY(YAML, "model.params.timesteps", "1000"),
    REFUSED(YAML, "model.params.timesteps", NULL, betas),
    ONLY(YAML, "model.params.beta_schedule", "linear"), /* ldm's name for scaled_linear */
    REFUSED(YAML, "model.params.beta_schedule", NULL, betas),
    ONLY(YAML, "model.params.scale_factor", "0.18215|0.13025"),
    ONLY(YAML, "model.params.scale_by_std", "false|False"),
    ONLY(YAML, "model.target", "ldm.models.diffusion.ddpm.Latent*|sgm.models.diffusion.DiffusionEngine|"
                               "modules.models.diffusion.ddpm_edit.Latent*"),
    ONLY(YAML, "model.params.conditioning_key", "crossattn|hybrid|concat"), /* the channels say the rest */
    ONLY(YAML, "model.params.unet_config.params.num_heads", "8|-1"),
    ONLY(YAML, "model.params.unet_config.params.num_head_channels", "64|-1"),
    ONLY(YAML, "model.params.network_config.params.num_head_channels", "64"),
    HARMLESS(YAML, "model.params.unet_config.*"),
    HARMLESS(YAML, "model.params.network_config.*"),
    HARMLESS(YAML, "model.params.network_wrapper"),
    HARMLESS(YAML, "model.params.first_stage_config.*"),
    HARMLESS(YAML, "model.params.cond_stage_config.*"),
    HARMLESS(YAML, "model.params.cond_stage_config"),
    HARMLESS(YAML, "model.params.conditioner_config.*"),
    HARMLESS(YAML, "model.params.sampler_config.*"),
    HARMLESS(YAML, "model.params.loss_fn_config.*"),
    HARMLESS(YAML, "model.params.scheduler_config.*"),
    HARMLESS(YAML, "model.params.optimizer_config.*"),
    HARMLESS(YAML, "model.params.ema_config.*"),
    HARMLESS(YAML, "model.params.ckpt*"),
    HARMLESS(YAML, "model.params.cond_stage_key"),
    HARMLESS(YAML, "model.params.cond_stage_trainable"),
    HARMLESS(YAML, "model.params.cond_stage_forward"),
    HARMLESS(YAML, "model.params.concat_mode"),
    HARMLESS(YAML, "model.params.channels"),
    HARMLESS(YAML, "model.params.disable_first_stage_autocast"),
    HARMLESS(YAML, "model.params.first_stage_key"),
    HARMLESS(YAML, "model.params.finetune_keys"),
    HARMLESS(YAML, "model.params.image_size"),
    HARMLESS(YAML, "model.params.input_key"),
    HARMLESS(YAML, "model.params.log_*"),
    HARMLESS(YAML, "model.params.monitor"),
    HARMLESS(YAML, "model.params.num_timesteps_cond"),
    HARMLESS(YAML, "model.params.no_cond_log"),
    HARMLESS(YAML, "model.params.unfreeze_model"),
    HARMLESS(YAML, "model.params.use_ema"),
    HARMLESS(YAML, "model.base_learning_rate"),
    HARMLESS(YAML, "model.learning_rate"),
    HARMLESS(YAML, "data.*"),
    HARMLESS(YAML, "lightning.*"),
};
// clang-format on
const size_t meaning_rule_count = sizeof meaning_rules / sizeof meaning_rules[0];
