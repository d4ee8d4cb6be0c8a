/* SPDX-License-Identifier: Apache-2.0 */
/* Before a loop that is not to be unrolled: clang would spend hundreds of bytes where the loop itself is unrolled already,
 * or rarely runs. */
#ifndef CREST_ROLLED_H
#define CREST_ROLLED_H

#if defined(__clang__)
#define CREST_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define CREST_ROLLED
#endif

#endif
