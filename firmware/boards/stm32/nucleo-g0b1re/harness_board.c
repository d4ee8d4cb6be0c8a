/* SPDX-License-Identifier: Apache-2.0 */
/* NUCLEO-G0B1RE: STM32G0B1 at 64, 32 or 16 MHz from its own 16 MHz oscillator; USART2 is the ST-LINK's serial port.
 * Registers: RM0444, chapters RCC, FLASH, GPIO, USART, PWR (Stop 1), EXTI. After reset the regulator is in range 1; it
 * stays there. */
#include "board.h"
#include "stm32.h"
#include "stm32_wait.h"

#define RCC_CR 0x40021000u
#define RCC_CFGR 0x40021008u
#define RCC_PLLCFGR 0x4002100Cu
#define RCC_IOPENR 0x40021034u
#define RCC_APBENR1 0x4002103Cu
#define RCC_CCIPR 0x40021054u
#define RCC_BDCR 0x4002105Cu
#define PWR_CR1 0x40007000u
#define EXTI_IMR1 0x40021880u
#define FLASH_ACR 0x40022000u
#define GPIOA 0x50000000u
#define USART2 0x40004400u

#define CR_HSION (1u << 8)
#define CR_HSIRDY (1u << 10)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define PLLCFGR_SRC_HSI 2u
#define PLLCFGR_M(divider) (((divider) - 1u) << 4)
#define PLLCFGR_N(factor) ((factor) << 8)
#define PLLCFGR_REN (1u << 28)
#define PLLCFGR_R(divider) (((divider) - 1u) << 29)
#define CFGR_SW 7u
#define CFGR_SW_HSI 0u
#define CFGR_SW_PLL 2u
#define CFGR_SWS_SHIFT 3u
#define IOPENR_GPIOA (1u << 0)
#define APBENR1_USART2 (1u << 17)
#define APBENR1_PWR (1u << 28)
#define APBENR1_LPTIM1 (1u << 31)
#define CCIPR_LPTIM1SEL (3u << 18)
#define CCIPR_LPTIM1SEL_LSE (3u << 18)
#define CR1_LPMS 7u
#define CR1_LPMS_STOP_1 1u
#define IMR1_LPTIM1 (1u << 29)
#define ACR_LATENCY 7u
#define ACR_PRFTEN (1u << 8)
#define ACR_ICEN (1u << 9)

#ifndef CREST_CLOCK_MHZ
#define CREST_CLOCK_MHZ 64
#endif
#if CREST_CLOCK_MHZ == 64
#define WAIT_STATES 2u
#define PLL_R 2u
#elif CREST_CLOCK_MHZ == 32
#define WAIT_STATES 1u
#define PLL_R 4u
#elif CREST_CLOCK_MHZ == 16
#define WAIT_STATES 0u
#else
#error "the board has no such clock"
#endif
#define CLOCK_HZ (CREST_CLOCK_MHZ * 1000000u)
#define AF1 1u

static void select_clock(uint32_t source) {
  set_field(RCC_CFGR, CFGR_SW, source);
  wait_for(RCC_CFGR, CFGR_SW << CFGR_SWS_SHIFT, source << CFGR_SWS_SHIFT);
}

static void start_clock(void) {
  set_bits(RCC_CR, CR_HSION);
  wait_for(RCC_CR, CR_HSIRDY, CR_HSIRDY);
  set_field(FLASH_ACR, ACR_LATENCY, ACR_PRFTEN | ACR_ICEN | WAIT_STATES); /* the rest is the debugger's */
  wait_for(FLASH_ACR, ACR_LATENCY, WAIT_STATES);
#ifdef PLL_R
  /* 16 MHz / 1 * 8 / PLL_R */
  REGISTER(RCC_PLLCFGR) = PLLCFGR_SRC_HSI | PLLCFGR_M(1u) | PLLCFGR_N(8u) | PLLCFGR_R(PLL_R) | PLLCFGR_REN;
  set_bits(RCC_CR, CR_PLLON);
  wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY);
  select_clock(CFGR_SW_PLL);
#else
  select_clock(CFGR_SW_HSI);
#endif
}

void board_init(void) {
  start_clock();
  set_bits(RCC_IOPENR, IOPENR_GPIOA);
  set_bits(RCC_APBENR1, APBENR1_USART2);
  stm32_uart_pin(GPIOA, 2, AF1);
  stm32_uart_pin(GPIOA, 3, AF1);
  stm32f7_usart_start(USART2, USART_DIVIDER(CLOCK_HZ));
}

uint8_t board_read_byte(void) { return stm32f7_usart_read(USART2); }

void board_write(const uint8_t *data, uint32_t bytes) { stm32f7_usart_write(USART2, data, bytes); }

uint32_t board_clock_hz(void) { return CLOCK_HZ; }

const stm32_timer stm32_sleep_timer = {TIM2, RCC_APBENR1, 1u << 0, 15u, CLOCK_HZ};

static const stm32_timer lptim1 = {0x40007C00u, RCC_APBENR1, APBENR1_LPTIM1, 17u, LSE_HZ};

const stm32_timer *stm32_prepare_stop(void) {
  set_bits(RCC_APBENR1, APBENR1_PWR);
  stm32_start_lse(PWR_CR1, RCC_BDCR);
  set_field(RCC_CCIPR, CCIPR_LPTIM1SEL, CCIPR_LPTIM1SEL_LSE);
  set_bits(EXTI_IMR1, IMR1_LPTIM1);
  set_field(PWR_CR1, CR1_LPMS, CR1_LPMS_STOP_1);
  return &lptim1;
}

void stm32_leave_stop(void) { start_clock(); } /* the core wakes on the 16 MHz oscillator */
