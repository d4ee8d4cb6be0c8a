/* SPDX-License-Identifier: Apache-2.0 */
/* USART and LPUART with ISR, RDR and TDR. Registers: RM0444, chapters USART and LPUART. */
#include "stm32.h"

#define CR1 0x00u
#define CR3 0x08u
#define BRR 0x0Cu
#define ISR 0x1Cu
#define RDR 0x24u
#define TDR 0x28u

#define CR1_UE (1u << 0)
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define CR3_OVRDIS (1u << 12)
#define ISR_RXNE (1u << 5)
#define ISR_TC (1u << 6)
#define ISR_TXE (1u << 7)
#define ISR_TEACK (1u << 21)
#define ISR_REACK (1u << 22)

/* Without overrun detection a byte that is not fetched in time is lost, and nothing else; the protocol repeats. */
void stm32f7_usart_start(uint32_t usart, uint32_t divider) {
  REGISTER(usart + CR1) = 0; /* BRR and CR3 take nothing while it runs */
  REGISTER(usart + CR3) = CR3_OVRDIS;
  REGISTER(usart + BRR) = divider;
  REGISTER(usart + CR1) = CR1_UE | CR1_TE | CR1_RE;
  wait_for(usart + ISR, ISR_TEACK | ISR_REACK, ISR_TEACK | ISR_REACK);
}

uint8_t stm32f7_usart_read(uint32_t usart) {
  wait_for(usart + ISR, ISR_RXNE, ISR_RXNE);
  return (uint8_t)REGISTER(usart + RDR);
}

void stm32f7_usart_write(uint32_t usart, const uint8_t *data, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i++) {
    wait_for(usart + ISR, ISR_TXE, ISR_TXE);
    REGISTER(usart + TDR) = data[i];
  }
  wait_for(usart + ISR, ISR_TC, ISR_TC);
}
