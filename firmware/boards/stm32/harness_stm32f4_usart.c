/* SPDX-License-Identifier: Apache-2.0 */
/* USART with SR and DR. Registers: RM0390, chapter USART. */
#include "stm32.h"

#define SR 0x00u
#define DR 0x04u
#define BRR 0x08u
#define CR1 0x0Cu

#define SR_RXNE (1u << 5)
#define SR_TC (1u << 6)
#define SR_TXE (1u << 7)
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define CR1_UE (1u << 13)

void stm32f4_usart_start(uint32_t usart, uint32_t divider) {
  REGISTER(usart + BRR) = divider;
  REGISTER(usart + CR1) = CR1_UE | CR1_TE | CR1_RE;
}

/* Reading SR and then DR also clears an overrun; the protocol repeats what was lost. */
uint8_t stm32f4_usart_read(uint32_t usart) {
  wait_for(usart + SR, SR_RXNE, SR_RXNE);
  return (uint8_t)REGISTER(usart + DR);
}

void stm32f4_usart_write(uint32_t usart, const uint8_t *data, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i++) {
    wait_for(usart + SR, SR_TXE, SR_TXE);
    REGISTER(usart + DR) = data[i];
  }
  wait_for(usart + SR, SR_TC, SR_TC);
}
