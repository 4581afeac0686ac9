/* service_memory — what the service takes beside the engine, as one number that is set aside of the budget.
 *
 *     connections   each a stack, buffers and a block of   most_connections x (HTTP_SERVER_STACK_BYTES + HTTP_SERVER_POOL_BYTES
 *                   the pictures that it answers            + PICTURE_STREAM_BLOCK_BYTES)
 *     bodies        together                               body_memory_bytes
 *     values        parsed from them, and answers          SERVICE_VALUE_BYTES
 *     database      SQLite's heap                          STORE_HEAP_BYTES + STORE_PAGE_CACHE_BYTES
 *     events        their texts                            EVENT_LOG_BYTES
 *     rest          previews, receipts, lists, records     SERVICE_REST_BYTES
 */
#ifndef SERVICE_SERVICE_MEMORY_H
#define SERVICE_SERVICE_MEMORY_H

#include <stdint.h>

#include "service/service.h"

#define SERVICE_VALUE_BYTES ((uint64_t)16 << 20)
#define SERVICE_REST_BYTES  ((uint64_t)4 << 20)

uint64_t service_memory_bytes(const struct service_options *options);

#endif
