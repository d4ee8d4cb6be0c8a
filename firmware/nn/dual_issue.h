/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the core issues two instructions at a time, like the Cortex-M7, which no predefined macro tells: the build says so.
 * Results are the same either way. */
#ifndef CREST_DUAL_ISSUE_H
#define CREST_DUAL_ISSUE_H

#ifndef CREST_DUAL_ISSUE
#define CREST_DUAL_ISSUE 0
#endif

#endif
