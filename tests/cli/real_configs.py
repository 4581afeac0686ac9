"""Configurations as the programs of the field write them, whole: every key of theirs, with their own values.

From the repositories named beside each. What is structure (channels, blocks) is as published too: darkroom takes that
from the tensors.
"""

# runwayml/stable-diffusion-v1-5
SD15 = {
    "model_index.json": """{
  "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.6.0",
  "feature_extractor": ["transformers", "CLIPImageProcessor"],
  "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
  "scheduler": ["diffusers", "PNDMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
  "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
  "vae": ["diffusers", "AutoencoderKL"]}""",
    "scheduler/scheduler_config.json": """{
  "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
  "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": false, "skip_prk_steps": true,
  "steps_offset": 1, "trained_betas": null, "clip_sample": false}""",
    "unet/config.json": """{
  "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.6.0", "act_fn": "silu", "attention_head_dim": 8,
  "block_out_channels": [320, 640, 1280, 1280], "center_input_sample": false, "cross_attention_dim": 768,
  "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
  "downsample_padding": 1, "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2,
  "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32, "out_channels": 4, "sample_size": 64,
  "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]}""",
    "vae/config.json": """{
  "_class_name": "AutoencoderKL", "_diffusers_version": "0.6.0", "act_fn": "silu",
  "block_out_channels": [128, 256, 512, 512],
  "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
  "in_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3,
  "sample_size": 512,
  "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]}""",
    "text_encoder/config.json": """{
  "_name_or_path": "openai/clip-vit-large-patch14", "architectures": ["CLIPTextModel"], "attention_dropout": 0.0,
  "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2, "hidden_act": "quick_gelu", "hidden_size": 768,
  "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
  "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 12, "num_hidden_layers": 12,
  "pad_token_id": 1, "projection_dim": 768, "torch_dtype": "float32", "transformers_version": "4.22.0.dev0",
  "vocab_size": 49408}""",
}

# stabilityai/stable-diffusion-xl-base-1.0
SDXL = {
    "model_index.json": """{
  "_class_name": "StableDiffusionXLPipeline", "_diffusers_version": "0.19.0.dev0", "force_zeros_for_empty_prompt": true,
  "add_watermarker": null, "feature_extractor": [null, null], "image_encoder": [null, null],
  "scheduler": ["diffusers", "EulerDiscreteScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
  "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"], "tokenizer": ["transformers", "CLIPTokenizer"],
  "tokenizer_2": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
  "vae": ["diffusers", "AutoencoderKL"]}""",
    "scheduler/scheduler_config.json": """{
  "_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.19.0.dev0", "beta_end": 0.012,
  "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false, "interpolation_type": "linear",
  "num_train_timesteps": 1000, "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": false,
  "skip_prk_steps": true, "steps_offset": 1, "timestep_spacing": "leading", "trained_betas": null,
  "use_karras_sigmas": false}""",
    "unet/config.json": """{
  "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.19.0.dev0", "act_fn": "silu",
  "addition_embed_type": "text_time", "addition_embed_type_num_heads": 64, "addition_time_embed_dim": 256,
  "attention_head_dim": [5, 10, 20], "attention_type": "default", "block_out_channels": [320, 640, 1280],
  "center_input_sample": false, "class_embed_type": null, "class_embeddings_concat": false, "conv_in_kernel": 3,
  "conv_out_kernel": 3, "cross_attention_dim": 2048, "cross_attention_norm": null,
  "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], "downsample_padding": 1,
  "dropout": 0.0, "dual_cross_attention": false, "encoder_hid_dim": null, "encoder_hid_dim_type": null,
  "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2,
  "mid_block_only_cross_attention": null, "mid_block_scale_factor": 1, "mid_block_type": "UNetMidBlock2DCrossAttn",
  "norm_eps": 1e-05, "norm_num_groups": 32, "num_attention_heads": null, "num_class_embeds": null,
  "only_cross_attention": false, "out_channels": 4, "projection_class_embeddings_input_dim": 2816,
  "resnet_out_scale_factor": 1.0, "resnet_skip_time_act": false, "resnet_time_scale_shift": "default",
  "reverse_transformer_layers_per_block": null, "sample_size": 128, "time_cond_proj_dim": null,
  "time_embedding_act_fn": null, "time_embedding_dim": null, "time_embedding_type": "positional",
  "timestep_post_act": null, "transformer_layers_per_block": [1, 2, 10],
  "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "upcast_attention": null,
  "use_linear_projection": true}""",
    "vae/config.json": """{
  "_class_name": "AutoencoderKL", "_diffusers_version": "0.20.0.dev0", "_name_or_path": "../sdxl-vae/", "act_fn": "silu",
  "block_out_channels": [128, 256, 512, 512],
  "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
  "force_upcast": true, "in_channels": 3, "latent_channels": 4, "latents_mean": null, "latents_std": null,
  "layers_per_block": 2, "mid_block_add_attention": true, "norm_num_groups": 32, "out_channels": 3,
  "sample_size": 1024, "scaling_factor": 0.13025, "shift_factor": null,
  "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
  "use_post_quant_conv": true, "use_quant_conv": true}""",
    "text_encoder/config.json": """{
  "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2,
  "hidden_act": "quick_gelu", "hidden_size": 768, "initializer_factor": 1.0, "initializer_range": 0.02,
  "intermediate_size": 3072, "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": "clip_text_model",
  "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1, "projection_dim": 768, "torch_dtype": "float16",
  "transformers_version": "4.32.0.dev0", "vocab_size": 49408}""",
    "text_encoder_2/config.json": """{
  "architectures": ["CLIPTextModelWithProjection"], "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0,
  "eos_token_id": 2, "hidden_act": "gelu", "hidden_size": 1280, "initializer_factor": 1.0, "initializer_range": 0.02,
  "intermediate_size": 5120, "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": "clip_text_model",
  "num_attention_heads": 20, "num_hidden_layers": 32, "pad_token_id": 1, "projection_dim": 1280,
  "torch_dtype": "float16", "transformers_version": "4.32.0.dev0", "vocab_size": 49408}""",
}

# Other texts of single files of such folders: each is taken whole in the place of the one above.
SCHEDULERS = {
    "stabilityai/sdxl-turbo": """{
  "_class_name": "EulerAncestralDiscreteScheduler", "_diffusers_version": "0.24.0.dev0", "beta_end": 0.012,
  "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false, "interpolation_type": "linear",
  "num_train_timesteps": 1000, "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": false,
  "skip_prk_steps": true, "steps_offset": 1, "timestep_spacing": "trailing", "trained_betas": null}""",
    "SimianLuo/LCM_Dreamshaper_v7": """{
  "_class_name": "LCMScheduler", "_diffusers_version": "0.22.0.dev0", "beta_end": 0.012,
  "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false, "clip_sample_range": 1.0,
  "dynamic_thresholding_ratio": 0.995, "num_train_timesteps": 1000, "original_inference_steps": 50,
  "prediction_type": "epsilon", "rescale_betas_zero_snr": false, "sample_max_value": 1.0, "set_alpha_to_one": true,
  "steps_offset": 1, "thresholding": false, "timestep_scaling": 10.0, "timestep_spacing": "leading",
  "trained_betas": null}""",
    "DPMSolverMultistepScheduler, as json.dumps writes its smallest lambda": """{
  "_class_name": "DPMSolverMultistepScheduler", "_diffusers_version": "0.36.0", "algorithm_type": "dpmsolver++",
  "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false,
  "dynamic_thresholding_ratio": 0.995, "euler_at_final": false, "final_sigmas_type": "zero", "flow_shift": 1.0,
  "lambda_min_clipped": -Infinity, "lower_order_final": true, "num_train_timesteps": 1000,
  "prediction_type": "epsilon", "rescale_betas_zero_snr": false, "sample_max_value": 1.0, "set_alpha_to_one": false,
  "solver_order": 2, "solver_type": "midpoint", "steps_offset": 1, "thresholding": false,
  "time_shift_type": "exponential", "timestep_spacing": "linspace", "trained_betas": null,
  "use_beta_sigmas": false, "use_dynamic_shifting": false, "use_exponential_sigmas": false, "use_flow_sigmas": false,
  "use_karras_sigmas": true, "use_lu_lambdas": false, "variance_type": null}""",
    "UniPCMultistepScheduler": """{
  "_class_name": "UniPCMultistepScheduler", "_diffusers_version": "0.36.0", "beta_end": 0.012,
  "beta_schedule": "scaled_linear", "beta_start": 0.00085, "disable_corrector": [], "dynamic_thresholding_ratio": 0.995,
  "final_sigmas_type": "zero", "flow_shift": 1.0, "lower_order_final": true, "num_train_timesteps": 1000,
  "predict_x0": true, "prediction_type": "epsilon", "rescale_betas_zero_snr": false, "sample_max_value": 1.0,
  "shift_terminal": null, "sigma_max": null, "sigma_min": null, "solver_order": 2, "solver_p": null,
  "solver_type": "bh2", "steps_offset": 1, "thresholding": false, "time_shift_type": "exponential",
  "timestep_spacing": "linspace", "trained_betas": null, "use_beta_sigmas": false, "use_dynamic_shifting": false,
  "use_exponential_sigmas": false, "use_flow_sigmas": false, "use_karras_sigmas": false}""",
    "EulerDiscreteScheduler of diffusers 0.36": """{
  "_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.36.0", "beta_end": 0.012,
  "beta_schedule": "scaled_linear", "beta_start": 0.00085, "final_sigmas_type": "zero", "interpolation_type": "linear",
  "num_train_timesteps": 1000, "prediction_type": "epsilon", "rescale_betas_zero_snr": false, "sigma_max": null,
  "sigma_min": null, "steps_offset": 1, "timestep_spacing": "leading", "timestep_type": "discrete",
  "trained_betas": null, "use_beta_sigmas": false, "use_exponential_sigmas": false, "use_karras_sigmas": false}""",
    "SASolverScheduler": """{
  "_class_name": "SASolverScheduler", "_diffusers_version": "0.29.0", "algorithm_type": "data_prediction",
  "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "corrector_order": 2,
  "dynamic_thresholding_ratio": 0.995, "lambda_min_clipped": -Infinity, "lower_order_final": true,
  "num_train_timesteps": 1000, "predictor_order": 2, "prediction_type": "epsilon", "sample_max_value": 1.0,
  "steps_offset": 0, "tau_func": null, "thresholding": false, "timestep_spacing": "linspace", "trained_betas": null,
  "use_karras_sigmas": false, "variance_type": null}""",
    "DDIMScheduler of diffusers 0.3": """{
  "_class_name": "DDIMScheduler", "_diffusers_version": "0.3.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
  "beta_start": 0.00085, "clip_sample": false, "num_train_timesteps": 1000, "set_alpha_to_one": false,
  "tensor_format": "pt", "timestep_values": null, "trained_betas": null}""",
}

UNETS = {
    "an EMA copy that diffusers' EMAModel saved": SD15["unet/config.json"].replace(
        '"act_fn"', '"decay": 0.9999, "inv_gamma": 1.0, "min_decay": 0.0, "optimization_step": 20000, "power": 0.6666667, '
                    '"update_after_step": 0, "use_ema_warmup": false, "act_fn"'),
    "heads of every level": SD15["unet/config.json"].replace('"attention_head_dim": 8', '"attention_head_dim": [8, 8, 8, 8]'),
}

# What transformers 4.19 wrote of a whole CLIP's text half.
OLD_TEXT = """
  "_name_or_path": "", "add_cross_attention": false, "architectures": null, "attention_dropout": 0.0,
  "bad_words_ids": null, "bos_token_id": 0, "chunk_size_feed_forward": 0, "cross_attention_hidden_size": null,
  "decoder_start_token_id": null, "diversity_penalty": 0.0, "do_sample": false, "dropout": 0.0,
  "early_stopping": false, "encoder_no_repeat_ngram_size": 0, "eos_token_id": 2,
  "exponential_decay_length_penalty": null, "finetuning_task": null, "forced_bos_token_id": null,
  "forced_eos_token_id": null, "hidden_act": "quick_gelu", "hidden_size": 768,
  "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "initializer_factor": 1.0, "initializer_range": 0.02,
  "intermediate_size": 3072, "is_decoder": false, "is_encoder_decoder": false,
  "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "layer_norm_eps": 1e-05, "length_penalty": 1.0, "max_length": 20,
  "max_position_embeddings": 77, "min_length": 0, "model_type": "clip_text_model", "no_repeat_ngram_size": 0,
  "num_attention_heads": 12, "num_beam_groups": 1, "num_beams": 1, "num_hidden_layers": 12,
  "num_return_sequences": 1, "output_attentions": false, "output_hidden_states": false, "output_scores": false,
  "pad_token_id": 1, "prefix": null, "problem_type": null, "projection_dim": 768, "pruned_heads": {},
  "remove_invalid_values": false, "repetition_penalty": 1.0, "return_dict": true, "return_dict_in_generate": false,
  "sep_token_id": null, "task_specific_params": null, "temperature": 1.0, "tf_legacy_loss": false,
  "tie_encoder_decoder": false, "tie_word_embeddings": true, "tokenizer_class": null, "top_k": 50, "top_p": 1.0,
  "torch_dtype": null, "torchscript": false, "transformers_version": "4.19.2", "typical_p": 1.0,
  "use_bfloat16": false, "vocab_size": 49408"""
TEXTS = {
    "all keys of transformers 4.19": "{" + OLD_TEXT + "}",
    "a whole CLIP's": '{"_commit_hash": null, "_name_or_path": "clip-vit-large-patch14/", "architectures": ["CLIPModel"], '
                      '"initializer_factor": 1.0, "logit_scale_init_value": 2.6592, "model_type": "clip", '
                      '"projection_dim": 768, "text_config": {' + OLD_TEXT + '}, "text_config_dict": {"hidden_size": 768, '
                      '"intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12, "projection_dim": 768}, '
                      '"torch_dtype": "float32", "transformers_version": null, "vision_config": {"hidden_act": '
                      '"quick_gelu", "image_size": 224, "patch_size": 14, "hidden_size": 1024}, '
                      '"vision_config_dict": {"hidden_size": 1024, "patch_size": 14}}',
}

# configs/ of A1111's stable-diffusion-webui, and the sgm and ldm repositories' own.
V1_YAML = """model:
  base_learning_rate: 1.0e-04
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: 0.00085
    linear_end: 0.0120
    num_timesteps_cond: 1
    log_every_t: 200
    timesteps: 1000
    first_stage_key: "jpg"
    cond_stage_key: "txt"
    image_size: 64
    channels: 4
    cond_stage_trainable: false   # Note: different from the one we trained before
    conditioning_key: crossattn
    monitor: val/loss_simple_ema
    scale_factor: 0.18215
    use_ema: False

    scheduler_config: # 10000 warmup steps
      target: ldm.lr_scheduler.LambdaLinearScheduler
      params:
        warm_up_steps: [ 10000 ]
        cycle_lengths: [ 10000000000000 ] # incredibly large number to prevent corner cases
        f_start: [ 1.e-6 ]
        f_max: [ 1. ]
        f_min: [ 1. ]

    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params:
        image_size: 32 # unused
        in_channels: 4
        out_channels: 4
        model_channels: 320
        attention_resolutions: [ 4, 2, 1 ]
        num_res_blocks: 2
        channel_mult: [ 1, 2, 4, 4 ]
        num_heads: 8
        use_spatial_transformer: True
        transformer_depth: 1
        context_dim: 768
        use_checkpoint: True
        legacy: False

    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        embed_dim: 4
        monitor: val/rec_loss
        ddconfig:
          double_z: true
          z_channels: 4
          resolution: 256
          in_channels: 3
          out_ch: 3
          ch: 128
          ch_mult:
          - 1
          - 2
          - 4
          - 4
          num_res_blocks: 2
          attn_resolutions: []
          dropout: 0.0
        lossconfig:
          target: torch.nn.Identity

    cond_stage_config:
      target: ldm.modules.encoders.modules.FrozenCLIPEmbedder
"""
V2_YAML = V1_YAML.replace("  params:\n    linear_start", '  params:\n    parameterization: "v"\n    linear_start', 1) \
    .replace("        num_heads: 8\n", "        use_fp16: True\n        num_head_channels: 64 # need to fix for flash-attn\n") \
    .replace("        transformer_depth: 1\n        context_dim: 768",
             "        use_linear_in_transformer: True\n        transformer_depth: 1\n        context_dim: 1024") \
    .replace("ldm.modules.encoders.modules.FrozenCLIPEmbedder",
             'ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder\n      params:\n        freeze: True\n        layer: "penultimate"')
XL_YAML = """model:
  target: sgm.models.diffusion.DiffusionEngine
  params:
    scale_factor: 0.13025
    disable_first_stage_autocast: True

    denoiser_config:
      target: sgm.modules.diffusionmodules.denoiser.DiscreteDenoiser
      params:
        num_idx: 1000

        weighting_config:
          target: sgm.modules.diffusionmodules.denoiser_weighting.EpsWeighting
        scaling_config:
          target: sgm.modules.diffusionmodules.denoiser_scaling.EpsScaling
        discretization_config:
          target: sgm.modules.diffusionmodules.discretizer.LegacyDDPMDiscretization

    network_config:
      target: sgm.modules.diffusionmodules.openaimodel.UNetModel
      params:
        adm_in_channels: 2816
        num_classes: sequential
        use_checkpoint: True
        in_channels: 4
        out_channels: 4
        model_channels: 320
        attention_resolutions: [4, 2]
        num_res_blocks: 2
        channel_mult: [1, 2, 4]
        num_head_channels: 64
        use_spatial_transformer: True
        use_linear_in_transformer: True
        transformer_depth: [1, 2, 10]  # note: the first is unused (due to attn_res starting at 2) 32, 16, 8 --> 64, 32, 16
        context_dim: 2048
        spatial_transformer_attn_type: softmax-xformers
        legacy: False

    conditioner_config:
      target: sgm.modules.GeneralConditioner
      params:
        emb_models:
          # crossattn cond
          - is_trainable: False
            input_key: txt
            target: sgm.modules.encoders.modules.FrozenCLIPEmbedder
            params:
              layer: hidden
              layer_idx: 11
          # crossattn and vector cond
          - is_trainable: False
            input_key: txt
            target: sgm.modules.encoders.modules.FrozenOpenCLIPEmbedder2
            params:
              arch: ViT-bigG-14
              version: laion2b_s39b_b160k
              freeze: True
              layer: penultimate
              always_return_pooled: True
              legacy: False
          # vector cond
          - is_trainable: False
            input_key: original_size_as_tuple
            target: sgm.modules.encoders.modules.ConcatTimestepEmbedderND
            params:
              outdim: 256  # multiplied by two

    first_stage_config:
      target: sgm.models.autoencoder.AutoencoderKLInferenceWrapper
      params:
        embed_dim: 4
        monitor: val/rec_loss
        ddconfig:
          attn_type: vanilla-xformers
          double_z: true
          z_channels: 4
          resolution: 256
          in_channels: 3
          out_ch: 3
          ch: 128
          ch_mult: [1, 2, 4, 4]
          num_res_blocks: 2
          attn_resolutions: []
          dropout: 0.0
        lossconfig:
          target: torch.nn.Identity
"""
TRAINING_YAML = V1_YAML.replace("    use_ema: False\n", """    use_ema: True
    load_ema: True
    ema_decay_rate: 0.9999
    loss_type: l2
    learn_logvar: False
    logvar_init: 0.
    l_simple_weight: 1.
    original_elbo_weight: 0.
    v_posterior: 0.
    clip_denoised: False
    make_it_fit: False
    ignore_keys: []
    load_only_unet: False
    reset_ema: False
    reset_num_ema_updates: False
    ckpt_path: models/first.ckpt
    ucg_training:
      txt:
        p: 0.1
        val: ""
    unfreeze_model: True
    optimizer_config:
      target: torch.optim.AdamW
    en_and_decode_n_samples_at_a_time: 1
    compile_model: False
""") + """
data:
  target: main.DataModuleFromConfig
  params: {batch_size: 4, num_workers: 4}

lightning:
  trainer: {benchmark: True, max_epochs: 1000}
"""
YAMLS = {"v1-inference.yaml": V1_YAML, "v2-inference-v.yaml": V2_YAML, "sd_xl_base.yaml": XL_YAML,
         "a training run's": TRAINING_YAML}

# Tensors beside the networks' own: CompVis' sd-v1-4-full-ema.ckpt, merges, NoobAI-XL v-pred.
BUFFERS = ("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
           "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod",
           "posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2",
           "logvar", "ddim_sigmas", "ddim_alphas", "ddim_alphas_prev", "ddim_sqrt_one_minus_alphas",
           "ddim_sigmas_for_original_num_steps",
           "model_ema.decay", "model_ema.num_updates", "model_ema.diffusion_modelinput_blocks00weight",
           "cond_stage_model.transformer.text_model.embeddings.position_ids", "cond_stage_model.logit_scale",
           "cond_stage_model.transformer.logit_scale", "cond_stage_model.transformer.text_projection.weight",
           "cond_stage_model.text_projection", "first_stage_model.loss.logvar",
           "first_stage_model.loss.discriminator.main.0.weight", "first_stage_model.model_ema.decay",
           "denoiser.sigmas", "denoiser.log_sigmas")
