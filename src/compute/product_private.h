/* product_private — the two ways of product.h: the library's GEMM (product.c), and this layer's own (product_own.c). */
#ifndef COMPUTE_PRODUCT_PRIVATE_H
#define COMPUTE_PRODUCT_PRIVATE_H

#include "compute/product.h"

/* Are the inputs of a product that is own multiplied in parts? */
bool product_own_has_parts(const struct weight_layout *layout);

/* Of a new product that product_is_own: its pieces and its scratch memory. */
void product_own_prepare(struct product *product, const struct kernels *kernels);
void product_own_run(const struct product *product, const struct product_call *call);

#endif
