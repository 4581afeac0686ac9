#include "service/http_request.h"

#include <string.h>
#include <strings.h>

static const char *find(const struct http_field *fields, size_t count, const char *name,
                        int (*compare)(const char *, const char *))
{
    for (size_t i = 0; i < count; ++i)
        if (compare(fields[i].name, name) == 0) return fields[i].value;
    return NULL;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return find(request->headers, request->header_count, name, strcasecmp);
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    return find(request->query, request->query_count, name, strcmp);
}

size_t http_request_count(const struct http_request *request, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; ++i)
        count += strcasecmp(request->headers[i].name, name) == 0;
    return count;
}
