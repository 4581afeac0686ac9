#include "budget_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <darkroom/darkroom.h>

/* The letter of the unit, a capital; '\0': bytes. */
static char unit_of(const char *typed)
{
    const char *const unit = typed + strspn(typed, "0123456789.");
    const int letter = toupper((unsigned char)*unit);
    return letter == 'K' || letter == 'M' || letter == 'G' || letter == 'T'
               ? (char)letter
               : '\0';
}

static uint64_t unit_bytes(char unit)
{
    switch (unit) {
    case 'K': return (uint64_t)1 << 10;
    case 'M': return (uint64_t)1 << 20;
    case 'G': return (uint64_t)1 << 30;
    case 'T': return (uint64_t)1 << 40;
    }
    return 1;
}

char *budget_text_of(const char *typed, char text[static BUDGET_TEXT_BYTES])
{
    const int digits = (int)strspn(typed, "0123456789.");
    const char unit = unit_of(typed);
    (void)snprintf(text, BUDGET_TEXT_BYTES, unit ? "%.*s %ciB" : "%.*s B",
                   digits < 20 ? digits : 20, typed, unit);
    return text;
}

char *budget_text_for(uint64_t bytes, const char *typed,
                      char text[static BUDGET_TEXT_BYTES])
{
    const char unit = unit_of(typed);
    /* In whole units, but in tenths of those that are large. */
    const uint64_t step =
        unit == 'G' || unit == 'T' ? unit_bytes(unit) / 10 : unit_bytes(unit);
    const uint64_t steps = bytes / step + (bytes % step != 0);
    if (unit == 'G' || unit == 'T') {
        /* A tenth is rounded down, so a step more is enough where that matters. */
        const uint64_t tenths = steps + (steps * step / 10 * 10 < bytes);
        (void)snprintf(text, BUDGET_TEXT_BYTES, "%llu.%llu%c",
                       (unsigned long long)(tenths / 10),
                       (unsigned long long)(tenths % 10), unit);
    } else if (unit) {
        (void)snprintf(text, BUDGET_TEXT_BYTES, "%llu%c", (unsigned long long)steps,
                       unit);
    } else {
        (void)snprintf(text, BUDGET_TEXT_BYTES, "%llu", (unsigned long long)steps);
    }
    return text;
}

/* "a budget of 6291456 bytes leaves" -> "a budget of 6 MiB leaves" */
static void name_typed(char *message, size_t message_bytes, const char *typed)
{
    char bytes[64], text[BUDGET_TEXT_BYTES], *rest;
    uint64_t given;
    if (dr_parse_bytes(typed, &given, NULL) != DR_OK) return;
    (void)snprintf(bytes, sizeof bytes, "a budget of %llu bytes",
                   (unsigned long long)given);
    char *const at = strstr(message, bytes);
    if (!at || !(rest = strdup(at + strlen(bytes)))) return;
    (void)snprintf(at, message_bytes - (size_t)(at - message), "a budget of %s%s",
                   budget_text_of(typed, text), rest);
    free(rest);
}

static void add_needed(char *message, size_t message_bytes, const char *typed)
{
    static const char before[] = "a budget of ", after[] = " bytes is sufficient";
    char text[BUDGET_TEXT_BYTES], *end;
    const char *const at = strstr(message, before);
    if (!at || !unit_of(typed)) return;
    const unsigned long long bytes = strtoull(at + strlen(before), &end, 10);
    const size_t used = strlen(message);
    if (strncmp(end, after, strlen(after)) != 0 ||
        used + BUDGET_TEXT_BYTES + 32 > message_bytes)
        return;
    (void)snprintf(message + used, message_bytes - used, " (%s; %s was given)",
                   budget_text_for(bytes, typed, text), typed);
}

void budget_text_complete(char *message, size_t message_bytes, const char *typed)
{
    if (!typed) return;
    add_needed(message, message_bytes, typed);
    name_typed(message, message_bytes, typed);
}
