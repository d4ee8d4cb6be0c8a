/* SPDX-License-Identifier: Apache-2.0 */
/* 32F746GDISCOVERY: STM32F746 at 216 MHz from its 25 MHz crystal; USART1 is the ST-LINK's serial port.
 * Registers and sequences: RM0385, chapters PWR (over-drive), RCC, FLASH, GPIO. */
#include "board.h"
#include "stm32.h"

#define RCC_CR 0x40023800u
#define RCC_PLLCFGR 0x40023804u
#define RCC_CFGR 0x40023808u
#define RCC_AHB1ENR 0x40023830u
#define RCC_APB1ENR 0x40023840u
#define RCC_APB2ENR 0x40023844u
#define PWR_CR1 0x40007000u
#define PWR_CSR1 0x40007004u
#define FLASH_ACR 0x40023C00u
#define GPIOA 0x40020000u
#define GPIOB 0x40020400u
#define USART1 0x40011000u

#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define PLLCFGR_RESERVED (2u << 28) /* keeps its reset value */
#define PLLCFGR_M(divider) (divider)
#define PLLCFGR_N(factor) ((factor) << 6)
#define PLLCFGR_P_2 (0u << 16)
#define PLLCFGR_SRC_HSE (1u << 22)
#define PLLCFGR_Q(divider) ((divider) << 24)
#define CFGR_SW 3u
#define CFGR_SW_PLL 2u
#define CFGR_SWS (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define CFGR_PPRE1_4 (5u << 10)
#define CFGR_PPRE2_2 (4u << 13)
#define AHB1ENR_GPIOA (1u << 0)
#define AHB1ENR_GPIOB (1u << 1)
#define APB1ENR_PWR (1u << 28)
#define APB2ENR_USART1 (1u << 4)
#define CR1_VOS_1 (3u << 14)
#define CR1_ODEN (1u << 16)
#define CR1_ODSWEN (1u << 17)
#define CSR1_ODRDY (1u << 16)
#define CSR1_ODSWRDY (1u << 17)
#define ACR_LATENCY 15u
#define ACR_PRFTEN (1u << 8)
#define ACR_ARTEN (1u << 9)
#define WAIT_STATES 7u

#define APB2_HZ 108000000u
#define AF7 7u

static void start_clock(void) {
  set_bits(RCC_APB1ENR, APB1ENR_PWR);
  set_bits(PWR_CR1, CR1_VOS_1);
  set_bits(RCC_CR, CR_HSEON);
  wait_for(RCC_CR, CR_HSERDY, CR_HSERDY);
  /* 25 MHz / 25 * 432 / 2; Q feeds nothing here and stays within its limit */
  REGISTER(RCC_PLLCFGR) =
      PLLCFGR_RESERVED | PLLCFGR_M(25u) | PLLCFGR_N(432u) | PLLCFGR_P_2 | PLLCFGR_SRC_HSE | PLLCFGR_Q(9u);
  set_bits(RCC_CR, CR_PLLON);
  set_bits(PWR_CR1, CR1_ODEN); /* above 180 MHz */
  wait_for(PWR_CSR1, CSR1_ODRDY, CSR1_ODRDY);
  set_bits(PWR_CR1, CR1_ODSWEN);
  wait_for(PWR_CSR1, CSR1_ODSWRDY, CSR1_ODSWRDY);
  /* The accelerator serves the flash's ITCM port; code is linked for its AXI port, behind the caches. */
  REGISTER(FLASH_ACR) = ACR_PRFTEN | ACR_ARTEN | WAIT_STATES;
  wait_for(FLASH_ACR, ACR_LATENCY, WAIT_STATES);
  REGISTER(RCC_CFGR) = CFGR_PPRE1_4 | CFGR_PPRE2_2;
  wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY);
  set_field(RCC_CFGR, CFGR_SW, CFGR_SW_PLL);
  wait_for(RCC_CFGR, CFGR_SWS, CFGR_SWS_PLL);
}

void board_init(void) {
  start_clock();
  cortex_m7_enable_caches();
  set_bits(RCC_AHB1ENR, AHB1ENR_GPIOA | AHB1ENR_GPIOB);
  set_bits(RCC_APB2ENR, APB2ENR_USART1);
  stm32_uart_pin(GPIOA, 9, AF7);
  stm32_uart_pin(GPIOB, 7, AF7);
  stm32f7_usart_start(USART1, USART_DIVIDER(APB2_HZ));
}

uint8_t board_read_byte(void) { return stm32f7_usart_read(USART1); }

void board_write(const uint8_t *data, uint32_t bytes) { stm32f7_usart_write(USART1, data, bytes); }

uint32_t board_clock_hz(void) { return 216000000u; }
