#include "forecast_text.h"

#include <string.h>

#include <darkroom/darkroom.h>

#include "budget_text.h"
#include "listing.h"

enum {
    TEXT_BYTES = 160
};

static const char *text_at(const json_t *object, const char *key)
{
    const char *const text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static uint64_t bytes_at(const json_t *object, const char *key)
{
    const json_t *const value = json_object_get(object, key);
    return json_is_integer(value) ? (uint64_t)json_integer_value(value)
                                  : DR_UNKNOWN_BYTES;
}

/* "56M": what to type. */
static const char *typed_for(uint64_t bytes, char text[static BUDGET_TEXT_BYTES])
{
    return budget_text_for(bytes, "1M", text);
}

/* The budget as it was typed, or as a size. */
static const char *budget_of(const json_t *answer, char size[static 16])
{
    const json_t *const budget = json_object_get(answer, "budget");
    return *text_at(budget, "bytes") ? text_at(budget, "bytes")
                                     : dr_format_bytes(bytes_at(budget, "bytes"), size);
}

/* A job of the service has a forecast too, of a few figures. */
bool forecast_text_fits(const json_t *answer)
{
    const json_t *const forecast = json_object_get(answer, "forecast");
    return json_is_array(json_object_get(forecast, "levels"));
}

static void print_verdict(const json_t *answer, FILE *stream)
{
    const json_t *const forecast = json_object_get(answer, "forecast");
    const json_t *const ram = json_object_get(forecast, "ram");
    json_t *const levels = json_object_get(forecast, "levels");
    const json_t *const least =
        json_array_get(levels, json_array_size(levels) - 1); /* NULL for none */
    char size[16], typed[BUDGET_TEXT_BYTES];
    fprintf(stream, "%lldx%lld: ",
            (long long)json_integer_value(json_object_get(forecast, "width")),
            (long long)json_integer_value(json_object_get(forecast, "height")));
    if (strcmp(text_at(ram, "fit"), "does_not_fit") == 0)
        listing_print_text(text_at(ram, "verdict"), 2, stream);
    else if (!json_is_true(json_object_get(forecast, "fits")))
        fprintf(stream,
                "does not fit the budget of %s; the least that is sufficient is "
                "--budget %s",
                budget_of(answer, size),
                typed_for(bytes_at(least, "budget_bytes"), typed));
    else if (strcmp(text_at(ram, "fit"), "rereads") == 0)
        listing_print_text(text_at(ram, "verdict"), 2, stream);
    else
        listing_print_text(text_at(forecast, "verdict"), 2, stream);
    fputc('\n', stream);
}

static void print_row(const char *label, const char *value, const char *meaning,
                      FILE *stream)
{
    fprintf(stream, "  %-14s  %9s  ", label, value);
    listing_print_text(meaning, 2, stream);
    fputc('\n', stream);
}

static void print_size(const char *label, uint64_t bytes, const char *meaning,
                       FILE *stream)
{
    char size[16];
    print_row(label, dr_format_bytes(bytes, size), meaning, stream);
}

static void print_needs(const json_t *answer, FILE *stream)
{
    const json_t *const forecast = json_object_get(answer, "forecast");
    const json_t *const ram = json_object_get(forecast, "ram");
    const json_t *const level = json_array_get(json_object_get(forecast, "levels"), 0);
    char size[16], text[TEXT_BYTES];
    (void)snprintf(text, sizeof text,
                   "buffers, and weights without packs; %s of it are for the process "
                   "itself",
                   dr_format_bytes(bytes_at(level, "budget_bytes") -
                                       bytes_at(level, "peak_bytes"),
                                   size));
    print_size("private memory", bytes_at(ram, "private_bytes"), text, stream);
    if (bytes_at(ram, "mapped_bytes") > 0)
        print_size("mapped weights", bytes_at(ram, "mapped_bytes"),
                   "in packs; the kernel can drop them and read them again", stream);
    print_size("RAM for a step", bytes_at(ram, "step_bytes"),
               "so that it runs at full speed: with the UNet's weights", stream);
    const uint64_t machine = bytes_at(ram, "machine_bytes");
    (void)snprintf(text, sizeof text, "%.80s%s%s", text_at(ram, "reason"),
                   machine != DR_UNKNOWN_BYTES ? "; the machine has " : "",
                   machine != DR_UNKNOWN_BYTES ? dr_format_bytes(machine, size) : "");
    print_size("available", bytes_at(ram, "available_bytes"), text, stream);
    print_row("budget", budget_of(answer, size),
              text_at(json_object_get(answer, "budget"), "reason"), stream);
}

static void print_budgets(json_t *levels, FILE *stream)
{
    size_t idx;
    const json_t *level;
    char typed[BUDGET_TEXT_BYTES];
    fputs("smallest budgets\n", stream);
    json_array_foreach(levels, idx, level)
    {
        /* Hundredths of whole numbers: printf's %f would write the decimal comma of the user's locale. */
        const long long hundredths =
            (long long)(json_number_value(json_object_get(level, "work")) * 100.0 +
                        0.5);
        fprintf(stream, "  --budget %-6s ",
                typed_for(bytes_at(level, "budget_bytes"), typed));
        listing_print_text(text_at(level, "manner"), 2, stream);
        if (hundredths > 100)
            fprintf(stream, "; %lld.%02lld times the computation", hundredths / 100,
                    hundredths % 100);
        fputc('\n', stream);
    }
}

bool forecast_text_print(const json_t *answer, FILE *stream)
{
    print_verdict(answer, stream);
    print_needs(answer, stream);
    print_budgets(json_object_get(json_object_get(answer, "forecast"), "levels"),
                  stream);
    return fflush(stream) == 0 && !ferror(stream);
}
