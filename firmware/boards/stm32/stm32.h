/* SPDX-License-Identifier: Apache-2.0 */
/* What the STM32 boards share: register access, alternate functions of pins, their two generations of USART. */
#ifndef CREST_STM32_H
#define CREST_STM32_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define BAUD 115200u
#define USART_DIVIDER(clock_hz) (((clock_hz) + BAUD / 2u) / BAUD) /* BRR with 16 samples a bit */

static inline void set_bits(uint32_t address, uint32_t bits) {
  REGISTER(address) |= bits;
  (void)REGISTER(address); /* a clock that was just enabled needs the time of a read */
}

static inline void set_field(uint32_t address, uint32_t mask, uint32_t value) {
  REGISTER(address) = (REGISTER(address) & ~mask) | value;
}

static inline void wait_for(uint32_t address, uint32_t mask, uint32_t value) {
  while ((REGISTER(address) & mask) != value) {
  }
}

/* RX keeps its pull-up, so that a line which nobody drives is idle. */
void stm32_uart_pin(uint32_t gpio, uint32_t pin, uint32_t function);

/* Status and data registers SR and DR: F1, F2, F4, L1. */
void stm32f4_usart_start(uint32_t usart, uint32_t divider);
uint8_t stm32f4_usart_read(uint32_t usart);
void stm32f4_usart_write(uint32_t usart, const uint8_t *data, uint32_t bytes);

/* ISR, RDR and TDR: all later ones, and the LPUART. */
void stm32f7_usart_start(uint32_t usart, uint32_t divider);
uint8_t stm32f7_usart_read(uint32_t usart);
void stm32f7_usart_write(uint32_t usart, const uint8_t *data, uint32_t bytes);

void cortex_m7_enable_caches(void);

#endif
