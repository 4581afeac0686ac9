/* adapter_words — the trigger words of an adapter: the tags that were given most often to the pictures it
 * was trained with (kohya's ss_tag_frequency), or the phrase that its author names. Private to weights/.
 */
#ifndef WEIGHTS_ADAPTER_WORDS_H
#define WEIGHTS_ADAPTER_WORDS_H

#include "weights/adapter_file.h"

/* Fills words. A text that is no such table is passed over. Errors: DR_NOMEM. */
enum dr_code adapter_words_find(struct adapter_file *adapter,
                                struct dr_error *err) DR_MUST_CHECK;

#endif
