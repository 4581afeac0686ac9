#include "service/query_number.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_DIGITS = 18 /* as many as 64 bits always hold */
};

bool query_number(const struct http_request *request, const char *name,
                  const struct query_range *range, int64_t *number,
                  struct http_reply *reply)
{
    const char *const text = http_request_query(request, name);
    *number = range->fallback;
    if (!text || !*text) return true;
    const size_t digits = strspn(text, "0123456789");
    const bool is_number = text[digits] == '\0' && digits <= MOST_DIGITS;
    if (is_number) *number = strtoll(text, NULL, 10);
    if (is_number && *number >= range->least && *number <= range->most) return true;
    http_reply_error(reply, API_OWN, 400, name,
                     "%s has to be a whole number from %lld to %lld", name,
                     (long long)range->least, (long long)range->most);
    return false;
}
