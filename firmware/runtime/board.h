/* SPDX-License-Identifier: Apache-2.0 */
/* What every board folder provides. */
#ifndef CREST_BOARD_H
#define CREST_BOARD_H

#include <stdint.h>

void board_init(void);
uint8_t board_read_byte(void); /* waits for one byte from the host */
void board_write(const uint8_t *data, uint32_t bytes);
uint32_t board_clock_hz(void);

#endif
