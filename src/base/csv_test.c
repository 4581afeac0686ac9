#include "check.h"

#include <string.h>

#include "base/csv.h"

/* The records as "a|b;c|d;", like '|'.join(fields) + ';' of Python's csv.reader(file, skipinitialspace=True). */
static void reads(const char *text, const char *expected)
{
    char copy[256], is[512] = "";
    char *fields[CSV_MAX_FIELDS];
    const size_t bytes = strlen(text);
    memcpy(copy, text, bytes);
    struct csv csv = csv_of(copy, bytes);
    for (int32_t count; (count = csv_next(&csv, fields)) >= 0;) {
        for (int32_t i = 0; i < count; ++i) {
            if (i > 0) strcat(is, "|");
            strcat(is, fields[i]);
        }
        strcat(is, ";");
    }
    check_str(is, expected);
}

/* Each expected result was printed by Python 3.11. */
static void reads_as_python_does(void)
{
    reads("", "");
    reads("a,b\nc,d\n", "a|b;c|d;");
    reads("a,b\r\nc,d", "a|b;c|d;");
    reads("a\rb\r\nc\n\rd", "a;b;c;;d;");
    reads("\n\na\n", ";;a;");
    reads("a,\n", "a|;");
    reads(",", "|;");
    reads("  a ,  b \n", "a |b ;");
    reads("\"a,b\",\"c\nd\"\n", "a,b|c\nd;");
    reads("\"say \"\"yes\"\"\",x", "say \"yes\"|x;");
    reads("a\"b\"c,d", "a\"b\"c|d;");
    reads("\"a\"b,c", "ab|c;");
    reads("\"a\" \"b\",c", "a \"b\"|c;");
    reads("  \"a, b\",c", "a, b|c;");
    reads("\"open, and\nno end", "open, and\nno end;");
    reads("\"\"\"\"", "\";");
    reads("\"\",\"\"", "|;");
    reads("   \n", ";");
}

static void knows_its_lines(void)
{
    char text[] = "a\n\"b\r\nb\",c\nd";
    char *fields[CSV_MAX_FIELDS];
    struct csv csv = csv_of(text, sizeof text - 1);
    check_int(csv_next(&csv, fields), ==, 1);
    check_int(csv.line, ==, 2);
    check_int(csv_next(&csv, fields), ==, 2);
    check_int(csv.line, ==, 4);
    check_int(csv_next(&csv, fields), ==, 1);
    check_int(csv_next(&csv, fields), ==, -1);
}

static void many_fields_are_dropped(void)
{
    char text[3 * CSV_MAX_FIELDS + 1];
    char *fields[CSV_MAX_FIELDS];
    memset(text, ',', sizeof text - 1);
    struct csv csv = csv_of(text, sizeof text - 1);
    check_int(csv_next(&csv, fields), ==, CSV_MAX_FIELDS);
    check_int(csv_next(&csv, fields), ==, -1);
}

int main(void)
{
    check_run(reads_as_python_does);
    check_run(knows_its_lines);
    check_run(many_fields_are_dropped);
    return check_done();
}
