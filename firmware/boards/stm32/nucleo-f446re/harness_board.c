/* SPDX-License-Identifier: Apache-2.0 */
/* NUCLEO-F446RE: STM32F446 at 180 or 84 MHz from the 8 MHz of the ST-LINK; USART2 is the ST-LINK's serial port.
 * Registers and sequences: RM0390, chapters PWR (over-drive, Stop), RCC, FLASH, GPIO, EXTI. */
#include "board.h"
#include "stm32f4.h"
#include "stm32_wait.h"

#define USART2 0x40004400u
#define RTC 0x40002800u
#define RTC_ALARM_INTERRUPT 41u

#define BDCR_RTCSEL (3u << 8)
#define BDCR_RTCSEL_LSE (1u << 8)
#define BDCR_RTCEN (1u << 15)
#define EXTI_ALARM (1u << 17)
#define ACR_ICEN (1u << 9)
#define ACR_DCEN (1u << 10)
#define AF7 7u

#ifndef CREST_CLOCK_MHZ
#define CREST_CLOCK_MHZ 180
#endif
#if CREST_CLOCK_MHZ == 180
#define WAIT_STATES 5u
#define PLL_Q 8u
#define OVER_DRIVE 1
#elif CREST_CLOCK_MHZ == 84
#define WAIT_STATES 2u
#define PLL_Q 4u
#define OVER_DRIVE 0
#else
#error "the board has no such clock"
#endif
#define CLOCK_HZ (CREST_CLOCK_MHZ * 1000000u)

static void start_clock(void) {
  uint32_t pll = PLLCFGR_M(4u) | PLLCFGR_N(CREST_CLOCK_MHZ) | PLLCFGR_Q(PLL_Q) | PLLCFGR_R(2u);
  stm32f4_start_clock(CR_HSEBYP, pll, ACR_PRFTEN | ACR_ICEN | ACR_DCEN, WAIT_STATES, OVER_DRIVE);
}

void board_init(void) {
  start_clock();
  set_bits(RCC_AHB1ENR, AHB1ENR_GPIOA);
  set_bits(RCC_APB1ENR, APB1ENR_USART2);
  stm32_uart_pin(GPIOA, 2, AF7);
  stm32_uart_pin(GPIOA, 3, AF7);
  stm32f4_usart_start(USART2, USART_DIVIDER(CLOCK_HZ / 4u));
}

uint8_t board_read_byte(void) { return stm32f4_usart_read(USART2); }

void board_write(const uint8_t *data, uint32_t bytes) { stm32f4_usart_write(USART2, data, bytes); }

uint32_t board_clock_hz(void) { return CLOCK_HZ; }

/* APB1 is a quarter of the core's clock, its timers count twice that */
const stm32_timer stm32_sleep_timer = {TIM2, RCC_APB1ENR, 1u << 0, 28u, CLOCK_HZ / 2u};

static const stm32_timer rtc = {RTC, RCC_BDCR, BDCR_RTCEN, RTC_ALARM_INTERRUPT, LSE_HZ};

const stm32_timer *stm32_prepare_stop(void) {
  stm32_start_lse(PWR_CR, RCC_BDCR);
  set_field(RCC_BDCR, BDCR_RTCSEL, BDCR_RTCSEL_LSE);
  set_bits(EXTI_IMR, EXTI_ALARM);
  set_bits(EXTI_RTSR, EXTI_ALARM);
  set_field(PWR_CR, CR_DEEP, CR_DEEP_STOP);
  return &rtc;
}

void stm32_leave_stop(void) { start_clock(); } /* the core wakes on the 16 MHz oscillator, without over-drive */
