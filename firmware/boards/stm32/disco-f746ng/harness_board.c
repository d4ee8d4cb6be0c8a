/* SPDX-License-Identifier: Apache-2.0 */
/* 32F746GDISCOVERY: STM32F746 at 216 or 108 MHz from its 25 MHz crystal; USART1 is the ST-LINK's serial port.
 * Registers and sequences: RM0385, chapters PWR (over-drive, Stop), RCC, FLASH, GPIO, EXTI. */
#include "board.h"
#include "stm32f4.h"
#include "stm32_wait.h"

#define USART1 0x40011000u
#define RCC_DCKCFGR2 0x40023890u

#define ACR_ARTEN (1u << 9)
#define APB1ENR_LPTIM1 (1u << 9)
#define DCKCFGR2_LPTIM1SEL (3u << 24)
#define DCKCFGR2_LPTIM1SEL_LSE (3u << 24)
#define EXTI_LPTIM1 (1u << 23)
#define AF7 7u

#ifndef CREST_CLOCK_MHZ
#define CREST_CLOCK_MHZ 216
#endif
#if CREST_CLOCK_MHZ == 216
#define WAIT_STATES 7u
#define PLL_Q 9u
#define OVER_DRIVE 1
#elif CREST_CLOCK_MHZ == 108
#define WAIT_STATES 3u
#define PLL_Q 5u
#define OVER_DRIVE 0
#else
#error "the board has no such clock"
#endif
#define CLOCK_HZ (CREST_CLOCK_MHZ * 1000000u)

static void start_clock(void) {
  uint32_t pll = PLLCFGR_M(25u) | PLLCFGR_N(2u * CREST_CLOCK_MHZ) | PLLCFGR_Q(PLL_Q) | PLLCFGR_R(2u);
  /* The accelerator serves the flash's ITCM port; code is linked for its AXI port, behind the caches. */
  stm32f4_start_clock(0, pll, ACR_PRFTEN | ACR_ARTEN, WAIT_STATES, OVER_DRIVE);
}

void board_init(void) {
  start_clock();
  cortex_m7_enable_caches();
  set_bits(RCC_AHB1ENR, AHB1ENR_GPIOA | AHB1ENR_GPIOB);
  set_bits(RCC_APB2ENR, APB2ENR_USART1);
  stm32_uart_pin(GPIOA, 9, AF7);
  stm32_uart_pin(GPIOB, 7, AF7);
  stm32f7_usart_start(USART1, USART_DIVIDER(CLOCK_HZ / 2u));
}

uint8_t board_read_byte(void) { return stm32f7_usart_read(USART1); }

void board_write(const uint8_t *data, uint32_t bytes) { stm32f7_usart_write(USART1, data, bytes); }

uint32_t board_clock_hz(void) { return CLOCK_HZ; }

/* APB1 is a quarter of the core's clock, its timers count twice that */
const stm32_timer stm32_sleep_timer = {TIM2, RCC_APB1ENR, 1u << 0, 28u, CLOCK_HZ / 2u};

static const stm32_timer lptim1 = {0x40002400u, RCC_APB1ENR, APB1ENR_LPTIM1, 93u, LSE_HZ};

const stm32_timer *stm32_prepare_stop(void) {
  stm32_start_lse(PWR_CR, RCC_BDCR);
  set_field(RCC_DCKCFGR2, DCKCFGR2_LPTIM1SEL, DCKCFGR2_LPTIM1SEL_LSE);
  set_bits(EXTI_IMR, EXTI_LPTIM1);
  set_bits(EXTI_RTSR, EXTI_LPTIM1);
  set_field(PWR_CR, CR_DEEP, CR_DEEP_STOP);
  return &lptim1;
}

/* The core wakes on the 16 MHz oscillator; over-drive is off, and so are the crystal and the PLL. */
void stm32_leave_stop(void) {
  REGISTER(EXTI_PR) = EXTI_LPTIM1;
  start_clock();
}
