/* SPDX-License-Identifier: Apache-2.0 */
/* NUCLEO-F446RE: STM32F446 at 180 MHz from the 8 MHz of the ST-LINK; USART2 is the ST-LINK's serial port.
 * Registers and sequences: RM0390, chapters PWR (over-drive), RCC, FLASH, GPIO. */
#include "board.h"
#include "stm32.h"

#define RCC_CR 0x40023800u
#define RCC_PLLCFGR 0x40023804u
#define RCC_CFGR 0x40023808u
#define RCC_AHB1ENR 0x40023830u
#define RCC_APB1ENR 0x40023840u
#define PWR_CR 0x40007000u
#define PWR_CSR 0x40007004u
#define FLASH_ACR 0x40023C00u
#define GPIOA 0x40020000u
#define USART2 0x40004400u

#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_HSEBYP (1u << 18)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define PLLCFGR_M(divider) (divider)
#define PLLCFGR_N(factor) ((factor) << 6)
#define PLLCFGR_P_2 (0u << 16)
#define PLLCFGR_SRC_HSE (1u << 22)
#define PLLCFGR_Q(divider) ((divider) << 24)
#define PLLCFGR_R(divider) ((divider) << 28)
#define CFGR_SW 3u
#define CFGR_SW_PLL 2u
#define CFGR_SWS (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define CFGR_PPRE1_4 (5u << 10)
#define CFGR_PPRE2_2 (4u << 13)
#define AHB1ENR_GPIOA (1u << 0)
#define APB1ENR_USART2 (1u << 17)
#define APB1ENR_PWR (1u << 28)
#define CR_VOS_1 (3u << 14)
#define CR_ODEN (1u << 16)
#define CR_ODSWEN (1u << 17)
#define CSR_ODRDY (1u << 16)
#define CSR_ODSWRDY (1u << 17)
#define ACR_LATENCY 15u
#define ACR_PRFTEN (1u << 8)
#define ACR_ICEN (1u << 9)
#define ACR_DCEN (1u << 10)
#define WAIT_STATES 5u

#define APB1_HZ 45000000u
#define AF7 7u

static void start_clock(void) {
  set_bits(RCC_APB1ENR, APB1ENR_PWR);
  set_bits(PWR_CR, CR_VOS_1);
  set_bits(RCC_CR, CR_HSEBYP);
  set_bits(RCC_CR, CR_HSEON);
  wait_for(RCC_CR, CR_HSERDY, CR_HSERDY);
  /* 8 MHz / 4 * 180 / 2; Q and R feed nothing here and stay within their limits */
  REGISTER(RCC_PLLCFGR) =
      PLLCFGR_M(4u) | PLLCFGR_N(180u) | PLLCFGR_P_2 | PLLCFGR_SRC_HSE | PLLCFGR_Q(8u) | PLLCFGR_R(2u);
  set_bits(RCC_CR, CR_PLLON);
  set_bits(PWR_CR, CR_ODEN); /* above 168 MHz */
  wait_for(PWR_CSR, CSR_ODRDY, CSR_ODRDY);
  set_bits(PWR_CR, CR_ODSWEN);
  wait_for(PWR_CSR, CSR_ODSWRDY, CSR_ODSWRDY);
  REGISTER(FLASH_ACR) = ACR_PRFTEN | ACR_ICEN | ACR_DCEN | WAIT_STATES;
  wait_for(FLASH_ACR, ACR_LATENCY, WAIT_STATES);
  REGISTER(RCC_CFGR) = CFGR_PPRE1_4 | CFGR_PPRE2_2;
  wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY);
  set_field(RCC_CFGR, CFGR_SW, CFGR_SW_PLL);
  wait_for(RCC_CFGR, CFGR_SWS, CFGR_SWS_PLL);
}

void board_init(void) {
  start_clock();
  set_bits(RCC_AHB1ENR, AHB1ENR_GPIOA);
  set_bits(RCC_APB1ENR, APB1ENR_USART2);
  stm32_uart_pin(GPIOA, 2, AF7);
  stm32_uart_pin(GPIOA, 3, AF7);
  stm32f4_usart_start(USART2, USART_DIVIDER(APB1_HZ));
}

uint8_t board_read_byte(void) { return stm32f4_usart_read(USART2); }

void board_write(const uint8_t *data, uint32_t bytes) { stm32f4_usart_write(USART2, data, bytes); }

uint32_t board_clock_hz(void) { return 180000000u; }
