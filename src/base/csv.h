/* csv — the records of a comma-separated text, as Python's csv module reads them.
 *
 *     struct csv csv = csv_of(text, bytes);
 *     char *fields[CSV_MAX_FIELDS];
 *     for (int32_t count; (count = csv_next(&csv, fields)) >= 0;) ...
 *
 * The dialect is "excel" with skipinitialspace: commas; a field in double quotes may have commas, line ends and doubled quotes;
 * quotes inside a bare field are text; blanks before a field are skipped. CR, LF and CRLF end a record. A quote that is not
 * closed reaches to the end of the text. Empty lines are records of 0 fields.
 *
 * The text is taken apart in place: fields point into it. No memory, no errors. One thread at a time.
 * Source: Python's documentation of the module csv, and its _csv.c for what that leaves open.
 */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include <stddef.h>
#include <stdint.h>

enum {
    CSV_MAX_FIELDS = 32 /* of a record; those behind are dropped */
};

struct csv {
    char *at, *end;
    int32_t line; /* on which the record that comes next begins, from 1 */
};

/* text has bytes bytes without a zero among them, and room for one behind them, which is written. It is borrowed, and changed. */
struct csv csv_of(char *text, size_t bytes);

/* The next record: its fields, and how many; -1 at the end. */
int32_t csv_next(struct csv *csv, char *fields[static CSV_MAX_FIELDS]);

#endif
