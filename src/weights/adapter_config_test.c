#include "weights/adapter_config.h"

#include <math.h>
#include <string.h>

#include "check.h"

static struct pool pool;
static struct dr_error error;
static struct adapter_config config;

static enum dr_code parse(const char *text, const char *prefix)
{
    return adapter_config_parse(&config, text, strlen(text), prefix, &pool, &error);
}

static float scale(const char *module, int32_t rank)
{
    return adapter_config_scale(&config, module, rank);
}

static void reads_alpha(void)
{
    check_int(parse("{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": 4}", ""), ==,
              DR_OK);
    check_real((double)scale("conv_in", 8), ==, 0.5);
    check_int(parse("{\"peft_type\": \"LOHA\", \"alpha\": 16}", ""), ==, DR_OK);
    check_real((double)scale("conv_in", 8), ==, 2.0);
    check_int(parse("{\"lora_alpha\": 16, \"use_rslora\": true}", ""), ==, DR_OK);
    check_real((double)scale("conv_in", 4), ==, 8.0);
    check_int(parse("{\"lora_alpha\": null}", ""), ==, DR_OK);
    check_real((double)scale("conv_in", 4), ==, 1.0);
    config = (struct adapter_config){0};
    check_real((double)scale("conv_in", 4), ==, 1.0);
}

static void reads_one_network_of_several(void)
{
    static const char text[] =
        "{\"unet.lora_alpha\": 4, \"text_encoder.lora_alpha\": 8, "
        "\"text_encoder.use_rslora\": true}";
    check_int(parse(text, "unet."), ==, DR_OK);
    check_real((double)scale("conv_in", 4), ==, 1.0);
    check_int(parse(text, "text_encoder."), ==, DR_OK);
    check_real((double)scale("x", 4), ==, 4.0);
    check_int(parse(text, "text_encoder_2."), ==, DR_OK);
    check_real((double)scale("x", 4), ==, 1.0);
}

static void patterns_are_ends_of_names(void)
{
    check_int(parse("{\"lora_alpha\": 8, \"alpha_pattern\": {\"attn1.to_q\": 2, "
                    "\"mid_block.conv\": 32}}",
                    ""),
              ==, DR_OK);
    check_real((double)scale("down_blocks_0_attn1_to_q", 8), ==, 0.25);
    check_real((double)scale("attn1_to_q", 8), ==, 0.25);
    check_real((double)scale("mid_block_conv", 8), ==, 4.0);
    check_real((double)scale("xattn1_to_q", 8), ==, 1.0);
    check_real((double)scale("attn1_to_q_x", 8), ==, 1.0);
}

static void refused(const char *text, enum dr_code code, const char *words)
{
    check_int(parse(text, ""), ==, code);
    check_has(error.message, words);
    check(config.alpha == 0.0F && config.pattern_count == 0);
}

static void refuses_what_it_does_not_obey(void)
{
    refused("", DR_CORRUPT, "no JSON object");
    refused("[1]", DR_CORRUPT, "no JSON object");
    refused("{\"lora_alpha\": \"8\"}", DR_CORRUPT, "not a number");
    refused("{\"lora_alpha\": 1e300}", DR_CORRUPT, "not a number");
    refused("{\"lora_alpha\": 0}", DR_BAD_INPUT, "is 0");
    refused("{\"lora_alpha\": 8, \"alpha_pattern\": {\"a.*\": 1}}", DR_UNSUPPORTED,
            "regular expression");
    refused("{\"alpha_pattern\": [1]}", DR_CORRUPT, "no table");
    refused("{\"alpha_pattern\": {\"a\": 0}}", DR_BAD_INPUT, "alpha of a is 0");
}

int main(void)
{
    check_run(reads_alpha);
    check_run(reads_one_network_of_several);
    check_run(patterns_are_ends_of_names);
    check_run(refuses_what_it_does_not_obey);
    pool_finish(&pool);
    return check_done();
}
