/* SPDX-License-Identifier: Apache-2.0 */
/* NUCLEO-L4R5ZI: STM32L4R5 at 120, 80 or 16 MHz from its own 16 MHz oscillator; LPUART1 is the ST-LINK's serial port.
 * Registers and sequences: RM0432, chapters PWR (range 1 boost, VDDIO2, Stop 2), RCC, FLASH, EXTI, GPIO, LPUART. */
#include "board.h"
#include "stm32.h"
#include "stm32_wait.h"

#define RCC_CR 0x40021000u
#define RCC_CFGR 0x40021008u
#define RCC_PLLCFGR 0x4002100Cu
#define RCC_AHB2ENR 0x4002104Cu
#define RCC_APB1ENR1 0x40021058u
#define RCC_APB1ENR2 0x4002105Cu
#define RCC_CCIPR 0x40021088u
#define RCC_BDCR 0x40021090u
#define PWR_CR1 0x40007000u
#define PWR_CR2 0x40007004u
#define PWR_SR2 0x40007014u
#define PWR_CR5 0x40007080u
#define EXTI_IMR2 0x40010420u
#define FLASH_ACR 0x40022000u
#define GPIOG 0x48001800u
#define LPUART1 0x40008000u

#define CR_HSION (1u << 8)
#define CR_HSIRDY (1u << 10)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define PLLCFGR_SRC_HSI 2u
#define PLLCFGR_M(divider) (((divider) - 1u) << 4)
#define PLLCFGR_N(factor) ((factor) << 8)
#define PLLCFGR_REN (1u << 24)
#define PLLCFGR_R_2 (0u << 25)
#define CFGR_SW 3u
#define CFGR_SW_HSI 1u
#define CFGR_SW_PLL 3u
#define CFGR_SWS_SHIFT 2u
#define CFGR_HPRE (15u << 4)
#define CFGR_HPRE_2 (8u << 4)
#define CFGR_STOPWUCK (1u << 15) /* the core wakes on the 16 MHz oscillator */
#define CCIPR_LPTIM1SEL (3u << 18)
#define CCIPR_LPTIM1SEL_LSE (3u << 18)
#define AHB2ENR_GPIOG (1u << 6)
#define APB1ENR1_PWR (1u << 28)
#define APB1ENR1_LPTIM1 (1u << 31)
#define APB1ENR2_LPUART1 (1u << 0)
#define CR1_LPMS 7u
#define CR1_LPMS_STOP_2 2u
#define IMR2_LPTIM1 (1u << 0) /* line 32 */
#define CR1_VOS (3u << 9)
#define CR1_VOS_1 (1u << 9)
#define CR2_IOSV (1u << 9)
#define SR2_VOSF (1u << 10)
#define CR5_R1MODE (1u << 8)
#define ACR_LATENCY 15u
#define ACR_PRFTEN (1u << 8)
#define ACR_ICEN (1u << 9)
#define ACR_DCEN (1u << 10)

#ifndef CREST_CLOCK_MHZ
#define CREST_CLOCK_MHZ 120
#endif
#if CREST_CLOCK_MHZ == 120
#define WAIT_STATES 5u
#define PLL_N 30u
#define R1MODE 0u /* boost: above 80 MHz */
#elif CREST_CLOCK_MHZ == 80
#define WAIT_STATES 3u
#define PLL_N 20u
#define R1MODE CR5_R1MODE
#elif CREST_CLOCK_MHZ == 16
#define WAIT_STATES 0u
#define R1MODE CR5_R1MODE
#else
#error "the board has no such clock"
#endif
#define CLOCK_HZ (CREST_CLOCK_MHZ * 1000000u)
#define LPUART_DIVIDER ((uint32_t)((256ull * CLOCK_HZ + BAUD / 2u) / BAUD))
#define AF8 8u
#define MICROSECOND 120u

static void select_clock(uint32_t source) {
  set_field(RCC_CFGR, CFGR_SW, source);
  wait_for(RCC_CFGR, CFGR_SW << CFGR_SWS_SHIFT, source << CFGR_SWS_SHIFT);
}

static void start_clock(void) {
  set_bits(RCC_APB1ENR1, APB1ENR1_PWR);
  set_field(PWR_CR1, CR1_VOS, CR1_VOS_1);
  wait_for(PWR_SR2, SR2_VOSF, 0);
  set_field(PWR_CR5, CR5_R1MODE, R1MODE);
  set_bits(RCC_CR, CR_HSION);
  wait_for(RCC_CR, CR_HSIRDY, CR_HSIRDY);
  REGISTER(FLASH_ACR) = ACR_PRFTEN | ACR_ICEN | ACR_DCEN | WAIT_STATES;
  wait_for(FLASH_ACR, ACR_LATENCY, WAIT_STATES);
#ifdef PLL_N
  /* 16 MHz / 2 * PLL_N / 2 */
  REGISTER(RCC_PLLCFGR) = PLLCFGR_SRC_HSI | PLLCFGR_M(2u) | PLLCFGR_N(PLL_N) | PLLCFGR_R_2 | PLLCFGR_REN;
  set_bits(RCC_CR, CR_PLLON);
  wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY);
  set_field(RCC_CFGR, CFGR_HPRE, CFGR_HPRE_2); /* half the speed for the first microsecond, needed above 80 MHz */
  select_clock(CFGR_SW_PLL);
  for (volatile uint32_t i = 0; i < MICROSECOND; i++) {
  }
  set_field(RCC_CFGR, CFGR_HPRE, 0);
#else
  select_clock(CFGR_SW_HSI);
#endif
}

void board_init(void) {
  start_clock();
  set_bits(PWR_CR2, CR2_IOSV); /* pins PG2 to PG15 are on a supply of their own */
  set_bits(RCC_AHB2ENR, AHB2ENR_GPIOG);
  set_bits(RCC_APB1ENR2, APB1ENR2_LPUART1);
  stm32_uart_pin(GPIOG, 7, AF8);
  stm32_uart_pin(GPIOG, 8, AF8);
  stm32f7_usart_start(LPUART1, LPUART_DIVIDER);
}

uint8_t board_read_byte(void) { return stm32f7_usart_read(LPUART1); }

void board_write(const uint8_t *data, uint32_t bytes) { stm32f7_usart_write(LPUART1, data, bytes); }

uint32_t board_clock_hz(void) { return CLOCK_HZ; }

const stm32_timer stm32_sleep_timer = {TIM2, RCC_APB1ENR1, 1u << 0, 28u, CLOCK_HZ};

static const stm32_timer lptim1 = {0x40007C00u, RCC_APB1ENR1, APB1ENR1_LPTIM1, 65u, LSE_HZ};

const stm32_timer *stm32_prepare_stop(void) {
  stm32_start_lse(PWR_CR1, RCC_BDCR);
  set_field(RCC_CCIPR, CCIPR_LPTIM1SEL, CCIPR_LPTIM1SEL_LSE);
  set_bits(RCC_CFGR, CFGR_STOPWUCK);
  set_bits(EXTI_IMR2, IMR2_LPTIM1);
  set_field(PWR_CR1, CR1_LPMS, CR1_LPMS_STOP_2);
  return &lptim1;
}

void stm32_leave_stop(void) { start_clock(); }
