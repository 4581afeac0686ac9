/* adapter_shape — do the tensors of an adapter's layer go together? Private to weights/. */
#ifndef WEIGHTS_ADAPTER_SHAPE_H
#define WEIGHTS_ADAPTER_SHAPE_H

#include "weights/adapter_file.h"

/* Sets kind and rank. Errors: as adapter_file_open. */
enum dr_code adapter_layer_check(struct adapter_layer *layer,
                                 struct dr_error *err) DR_MUST_CHECK;

#endif
