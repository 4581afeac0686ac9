#include "listing.h"

#include <stdlib.h>
#include <string.h>

#include <darkroom/darkroom.h>

#include "front/member.h"

enum {
    MAX_COLUMNS = 12,
    CELL_BYTES = 64,
    INDENT = 2,
    MAX_LABEL = 24,
    MAX_VERBATIM = 48
};

struct listing {
    FILE *stream;
    enum listing_detail detail;
};

/* ---- names and values -------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *ending)
{
    const size_t a = strlen(text), b = strlen(ending);
    return a >= b && strcmp(text + a - b, ending) == 0;
}

/* "stored_bytes" is shown as "stored", "unet_per_step" as "unet per step". */
static void label_of(const char *key, char label[CELL_BYTES])
{
    static const char *const endings[] = {"_bytes", "_ms", "_count"};
    /* Keys of JSON that are not plain English, and stay for the programs that read them. */
    static const char *const plain[][2] = {
        {"manner",        "mode"               },
        {"work",          "relative FLOP"      },
        {"lacks",         "missing"            },
        {"fit",           "status"             },
        {"step_bytes",    "a step needs in RAM"},
        {"machine_bytes", "RAM of the machine" }
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; ++i)
        if (strcmp(key, plain[i][0]) == 0) key = plain[i][1];
    (void)snprintf(label, CELL_BYTES, "%s", key);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; ++i)
        if (ends_with(label, endings[i]))
            label[strlen(label) - strlen(endings[i])] = '\0';
    if (strcmp(key, "tensor_count") == 0 || strcmp(key, "parameter_count") == 0 ||
        strcmp(key, "latent_count") == 0)
        (void)strncat(label, "s", CELL_BYTES - strlen(label) - 1);
    for (char *c = label; *c; ++c)
        if (*c == '_') *c = ' ';
}

/* 1607000000000 -> "1.607 T" */
static void format_scaled(double value, char *out, size_t out_bytes)
{
    static const char *const scales[] = {"", " k", " M", " G", " T", " P"};
    size_t scale = 0;
    for (; value >= 999.95 && scale + 1 < sizeof scales / sizeof *scales; ++scale)
        value /= 1000.0;
    (void)snprintf(out, out_bytes, scale == 0 ? "%.0f%s" : "%.4g%s", value,
                   scales[scale]);
}

static void format_ms(double ms, char *out, size_t out_bytes)
{
    if (ms >= 1000.0)
        (void)snprintf(out, out_bytes, "%.2f s", ms / 1000.0);
    else
        (void)snprintf(out, out_bytes, ms >= 10.0 ? "%.0f ms" : "%.1f ms", ms);
}

static void format_number(const char *key, const json_t *value, bool is_time, char *out,
                          size_t out_bytes)
{
    const double real = json_number_value(value);
    const long long integer = (long long)json_integer_value(value);
    char size[16];
    if (strcmp(key, "bytes") == 0 || ends_with(key, "_bytes"))
        (void)snprintf(out, out_bytes, "%s", dr_format_bytes((uint64_t)integer, size));
    else if (is_time || strcmp(key, "ms") == 0 || ends_with(key, "_ms"))
        format_ms(real, out, out_bytes);
    else if (ends_with(key, "_flop"))
        format_scaled(real, out, out_bytes);
    else if (strcmp(key, "parameter_count") == 0)
        format_scaled(real, out, out_bytes);
    else if (strcmp(key, "start") == 0)
        (void)snprintf(out, out_bytes, "%#llx", (unsigned long long)integer);
    else if (strcmp(key, "seed") == 0)
        (void)snprintf(out, out_bytes, "%llu", (unsigned long long)member_seed(value));
    else if (json_is_integer(value))
        (void)snprintf(out, out_bytes, "%lld", integer);
    else
        (void)snprintf(out, out_bytes, "%.6g", real);
}

void listing_print_text(const char *text, int indent, FILE *stream)
{
    for (; *text; ++text) {
        const unsigned char c = (unsigned char)*text;
        if (c == '\n')
            fprintf(stream, "\n%*s", text[1] ? indent : 0, "");
        else
            fputc(c < 0x20 && c != '\t' ? '?' : c == 0x7F ? '?' : c, stream);
    }
}

static void print_text(const struct listing *listing, const char *text, int indent)
{
    listing_print_text(text, indent, listing->stream);
}

/* A figure that is null is one that the kernel does not tell; other things that are null are none. */
static const char *null_text(const char *key)
{
    if (strcmp(key, "usable") == 0) return "not tried";
    return strcmp(key, "bytes") == 0 || ends_with(key, "_bytes") ||
                   strcmp(key, "regions_agree") == 0 || strstr(key, "_bytes_per_")
               ? "unknown"
               : "none";
}

/* Anything but arrays and objects. `indent` is where a text's next lines begin. */
static void print_scalar(const struct listing *listing, const char *key,
                         const json_t *value, bool is_time, int indent)
{
    char number[CELL_BYTES];
    if (json_is_string(value)) {
        print_text(listing, json_string_value(value), indent);
    } else if (json_is_boolean(value)) {
        fputs(json_is_true(value) ? "yes" : "no", listing->stream);
    } else if (json_is_number(value)) {
        format_number(key, value, is_time, number, sizeof number);
        fputs(number, listing->stream);
    } else {
        fputs(null_text(key), listing->stream);
    }
}

static bool is_empty(const json_t *value)
{
    return (json_is_string(value) && !*json_string_value(value)) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* ---- tables ------------------------------------------------------------------------------ */

struct table {
    const char *keys[MAX_COLUMNS];
    int widths[MAX_COLUMNS], count;
};

int listing_columns(const char *text)
{
    int columns = 0;
    for (; *text; ++text)
        columns += ((unsigned char)*text & 0xC0) != 0x80;
    return columns;
}

static const char *cell_of(const json_t *row, const char *key, char number[CELL_BYTES])
{
    const json_t *const value = json_object_get(row, key);
    if (!value) return "";
    if (json_is_string(value)) return json_string_value(value);
    if (json_is_boolean(value)) return json_is_true(value) ? "yes" : "no";
    if (json_is_null(value)) return null_text(key);
    format_number(key, value, false, number, CELL_BYTES);
    return number;
}

/* A column after the one that the row's last key has, so that a key which the first rows lack
 * stands where its row has it. */
static void insert_column(struct table *table, int column, const char *key)
{
    char label[CELL_BYTES];
    const size_t later = (size_t)(table->count - column);
    memmove(&table->keys[column + 1], &table->keys[column],
            later * sizeof *table->keys);
    memmove(&table->widths[column + 1], &table->widths[column],
            later * sizeof *table->widths);
    label_of(key, label);
    table->keys[column] = key;
    table->widths[column] = listing_columns(label);
    ++table->count;
}

static int column_of(const struct table *table, const char *key)
{
    int column = 0;
    while (column < table->count && strcmp(table->keys[column], key) != 0)
        ++column;
    return column;
}

static void measure(json_t *rows, struct table *table)
{
    size_t idx;
    json_t *row, *value;
    const char *key;
    char number[CELL_BYTES];
    *table = (struct table){0};
    json_array_foreach(rows, idx, row)
    {
        int next = 0;
        json_object_foreach(row, key, value)
        {
            int column = column_of(table, key);
            if (column == table->count) {
                if (table->count == MAX_COLUMNS || is_empty(value)) continue;
                column = next;
                insert_column(table, column, key);
            }
            const int width = listing_columns(cell_of(row, key, number));
            if (width > table->widths[column]) table->widths[column] = width;
            next = column + 1;
        }
    }
}

static void print_cell(const struct listing *listing, const struct table *table,
                       int column, const char *text, bool to_the_right)
{
    const int pad = table->widths[column] - listing_columns(text);
    const bool is_last = column + 1 == table->count;
    if (to_the_right) fprintf(listing->stream, "%*s", pad, "");
    print_text(listing, text, 0);
    if (!is_last) fprintf(listing->stream, "%*s", to_the_right ? 2 : pad + 2, "");
}

static void print_table(const struct listing *listing, json_t *rows, int indent)
{
    struct table table;
    size_t idx;
    json_t *row;
    char number[CELL_BYTES];
    measure(rows, &table);
    const json_t *const first = json_array_get(rows, 0);
    fprintf(listing->stream, "%*s", indent, "");
    for (int column = 0; column < table.count; ++column) {
        label_of(table.keys[column], number);
        print_cell(listing, &table, column, number,
                   json_is_number(json_object_get(first, table.keys[column])));
    }
    fputc('\n', listing->stream);
    json_array_foreach(rows, idx, row)
    {
        fprintf(listing->stream, "%*s", indent, "");
        for (int column = 0; column < table.count; ++column)
            print_cell(listing, &table, column,
                       cell_of(row, table.keys[column], number),
                       json_is_number(json_object_get(row, table.keys[column])));
        fputc('\n', listing->stream);
    }
}

/* ---- receipts and VAEs, in short --------------------------------------------------------- */

static const char *text_at(const json_t *object, const char *key)
{
    const char *const text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void print_bytes(const struct listing *listing, const char *before,
                        const json_t *object, const char *key, const char *after)
{
    char size[16];
    const json_t *const value = json_object_get(object, key);
    const uint64_t bytes =
        json_is_null(value) ? DR_UNKNOWN_BYTES : (uint64_t)json_integer_value(value);
    fprintf(listing->stream, "%s%s%s", before, dr_format_bytes(bytes, size), after);
}

static void print_receipt(const struct listing *listing, const json_t *receipt,
                          int indent)
{
    const json_t *const before = json_object_get(receipt, "before");
    const json_t *const after = json_object_get(receipt, "after");
    char time[CELL_BYTES];
    format_ms(json_number_value(json_object_get(receipt, "ms")), time, sizeof time);
    print_bytes(listing, "released ", receipt, "released_bytes", ", ");
    print_bytes(listing, "acquired ", receipt, "acquired_bytes", " in ");
    fprintf(listing->stream, "%s\n%*s", time, indent, "");
    print_bytes(listing, "private ", before, "private_bytes", " before, ");
    print_bytes(listing, "", after, "private_bytes", " after; kernel: ");
    print_bytes(listing, "", before, "kernel_private_bytes", ", ");
    print_bytes(listing, "", after, "kernel_private_bytes", "");
    if (*text_at(receipt, "reason")) {
        fprintf(listing->stream, "\n%*s", indent, "");
        print_text(listing, text_at(receipt, "reason"), indent);
    }
    fputc('\n', listing->stream);
}

static void print_vae(const struct listing *listing, const json_t *vae, int indent)
{
    const bool is_override = strcmp(text_at(vae, "active"), "override") == 0;
    if (is_override)
        print_text(listing, text_at(vae, "path"), indent);
    else
        fputs("the checkpoint's own", listing->stream);
    fputs(" (", listing->stream);
    print_text(listing, text_at(vae, "choice"), indent);
    fprintf(listing->stream, ", %s)\n%*s", text_at(vae, "source"), indent, "");
    print_text(listing, text_at(vae, "reason"), indent);
    if (*text_at(vae, "probe")) {
        fprintf(listing->stream, "\n%*s", indent, "");
        print_text(listing, text_at(vae, "probe"), indent);
    }
    fputc('\n', listing->stream);
}

/* ---- objects ----------------------------------------------------------------------------- */

static bool is_short_form(const struct listing *listing, const char *key,
                          const json_t *value)
{
    return listing->detail == LISTING_BRIEF && json_is_object(value) &&
           (strcmp(key, "vae") == 0 || ends_with(key, "receipt"));
}

static void print_lines(const struct listing *listing, json_t *array, int indent)
{
    size_t idx;
    json_t *item;
    json_array_foreach(array, idx, item)
    {
        fprintf(listing->stream, "%*s", indent, "");
        print_scalar(listing, "", item, false, indent);
        fputc('\n', listing->stream);
    }
}

/* How the members of an object are to be read. */
enum manner {
    PLAIN,
    TIMES,
    VERBATIM
};

static void member_label(enum manner manner, const char *key, char label[CELL_BYTES])
{
    if (manner == VERBATIM)
        (void)snprintf(label, CELL_BYTES, "%s", key);
    else
        label_of(key, label);
}

static int label_width(const struct listing *listing, enum manner manner,
                       json_t *object)
{
    const char *key;
    json_t *value;
    char label[CELL_BYTES];
    int width = 0;
    json_object_foreach(object, key, value)
    {
        const bool is_block = json_is_object(value) || json_is_array(value);
        if (is_empty(value) || (is_block && !is_short_form(listing, key, value)))
            continue;
        member_label(manner, key, label);
        if (listing_columns(label) > width) width = listing_columns(label);
    }
    const int most = manner == VERBATIM ? MAX_VERBATIM : MAX_LABEL;
    return width < most ? width : most;
}

static void print_object(const struct listing *listing, json_t *object,
                         enum manner manner, int indent);

/* An array, or an object that is not shown in short: below its label, indented. The depth is that
 * of the answers that src/front builds: three. */
static void print_block(const struct listing *listing, const char *key, json_t *value,
                        int indent)
{
    fputc('\n', listing->stream);
    if (json_is_object(value))
        print_object(listing, value,
                     ends_with(key, "_ms")          ? TIMES
                     : strcmp(key, "metadata") == 0 ? VERBATIM
                                                    : PLAIN,
                     indent + INDENT);
    else if (json_is_object(json_array_get(value, 0)))
        print_table(listing, value, indent + INDENT);
    else
        print_lines(listing, value, indent + INDENT);
}

static void print_object(const struct listing *listing, json_t *object,
                         enum manner manner, int indent)
{
    const char *key;
    json_t *value;
    char label[CELL_BYTES];
    const int width = label_width(listing, manner, object);
    json_object_foreach(object, key, value)
    {
        if (is_empty(value)) continue;
        member_label(manner, key, label);
        fprintf(listing->stream, "%*s", indent, "");
        print_text(listing, label, indent);
        const bool is_short = is_short_form(listing, key, value);
        if (!is_short && (json_is_object(value) || json_is_array(value))) {
            print_block(listing, key, value, indent);
            continue;
        }
        const int pad =
            width > listing_columns(label) ? width - listing_columns(label) : 0;
        const int column = indent + width + 2;
        fprintf(listing->stream, "%*s", pad + 2, "");
        if (is_short && ends_with(key, "receipt")) {
            print_receipt(listing, value, column);
        } else if (is_short) {
            print_vae(listing, value, column);
        } else {
            print_scalar(listing, key, value, manner == TIMES, column);
            fputc('\n', listing->stream);
        }
    }
}

const char *listing_help(const json_t *answer)
{
    return json_string_value(json_object_get(answer, "help"));
}

void listing_name_budget(json_t *answer, const char *text)
{
    json_t *const budget = json_object_get(answer, "budget");
    if (strcmp(text_at(budget, "reason"), "as given") == 0)
        member_set_text(budget, "bytes", text);
}

bool listing_has_receipt(const json_t *answer)
{
    return json_object_get(answer, "receipt") != NULL;
}

bool listing_print(json_t *answer, enum listing_detail detail, FILE *stream)
{
    const struct listing listing = {stream, detail};
    print_object(&listing, answer, PLAIN, 0);
    return fflush(stream) == 0 && !ferror(stream);
}
