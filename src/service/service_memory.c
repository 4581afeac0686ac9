#include "service/service_memory.h"

#include "service/http_server.h"
#include "service/picture_stream.h"

uint64_t service_memory_bytes(const struct service_options *options)
{
    const uint64_t connection =
        HTTP_SERVER_STACK_BYTES + HTTP_SERVER_POOL_BYTES + PICTURE_STREAM_BLOCK_BYTES;
    return (uint64_t)options->most_connections * connection +
           options->body_memory_bytes + SERVICE_VALUE_BYTES + STORE_HEAP_BYTES +
           STORE_PAGE_CACHE_BYTES + EVENT_LOG_BYTES + SERVICE_REST_BYTES;
}
