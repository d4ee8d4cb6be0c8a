/* SPDX-License-Identifier: Apache-2.0 */
/* NUCLEO-H7A3ZI-Q: STM32H7A3 at 280 or 140 MHz from the 8 MHz of the ST-LINK, or at the 64 MHz of its own oscillator; core
 * supplied by the step-down converter; USART3 is the ST-LINK's serial port.
 * Registers and sequences: RM0455, chapters PWR, RCC, FLASH, GPIO, USART, EXTI. */
#include "board.h"
#include "stm32h7.h"
#include "stm32_wait.h"

#define RCC_CDCFGR1 0x58024418u
#define RCC_CDCFGR2 0x5802441Cu
#define RCC_SRDCFGR 0x58024420u
#define RCC_CDCCIP2R 0x58024454u
#define RCC_BDCR 0x58024470u
#define RCC_AHB4ENR 0x58024540u
#define RCC_APB1LENR 0x58024548u
#define PWR_CR1 0x58024800u
#define PWR_SRDCR 0x58024818u
#define EXTI_CPUIMR2 0x58000090u
#define GPIOD 0x58020C00u
#define USART3 0x40004800u

#define CDCFGR1_CDPPRE_2 (4u << 4)
#define CDCFGR2_CDPPRE1_2 (4u << 4)
#define CDCFGR2_CDPPRE2_2 (4u << 8)
#define SRDCFGR_SRDPPRE_2 (4u << 4)
#define AHB4ENR_GPIOD (1u << 3)
#define APB1LENR_USART3 (1u << 18)
#define APB1LENR_LPTIM1 (1u << 9)
#define CDCCIP2R_LPTIM1SEL (7u << 28)
#define CDCCIP2R_LPTIM1SEL_LSE (3u << 28)
#define CR1_LPDS (1u << 0) /* regulator in low power */
#define CPUIMR2_LPTIM1 (1u << 15) /* line 47 */
#define VOS_0 (3u << 14)

#ifndef CREST_CLOCK_MHZ
#define CREST_CLOCK_MHZ 280
#endif
#if CREST_CLOCK_MHZ == 280
#define WAIT_STATES 6u
#define PLL_P 2u
#elif CREST_CLOCK_MHZ == 140
#define WAIT_STATES 3u
#define PLL_P 4u
#elif CREST_CLOCK_MHZ == 64
#define WAIT_STATES 1u
#else
#error "the board has no such clock"
#endif
#define CLOCK_HZ (CREST_CLOCK_MHZ * 1000000u)

#define APB1_HZ (CLOCK_HZ / 2u)
#define AF7 7u

static void start_clock(void) {
  stm32h7_set_supply(CR3_SMPSEN);
  set_field(PWR_SRDCR, VOS, VOS_0);
  wait_for(PWR_SRDCR, VOSRDY, VOSRDY);
  set_field(FLASH_ACR, ACR_LATENCY, ACR_WRHIGHFREQ | WAIT_STATES);
  wait_for(FLASH_ACR, ACR_LATENCY, WAIT_STATES);
  REGISTER(RCC_CDCFGR1) = CDCFGR1_CDPPRE_2; /* the buses run at the clock of the core, the peripherals at half of it */
  REGISTER(RCC_CDCFGR2) = CDCFGR2_CDPPRE1_2 | CDCFGR2_CDPPRE2_2;
  REGISTER(RCC_SRDCFGR) = SRDCFGR_SRDPPRE_2;
#ifdef PLL_P
  stm32h7_start_pll(4u, PLLCFGR_RGE1_2_TO_4_MHZ, PLL1DIVR(280u, PLL_P, 4u, 2u));
  stm32h7_select_clock(CFGR_SW_PLL1);
#else
  stm32h7_start_hsi();
#endif
}

void board_init(void) {
  start_clock();
  cortex_m7_enable_caches();
  set_bits(RCC_AHB4ENR, AHB4ENR_GPIOD);
  set_bits(RCC_APB1LENR, APB1LENR_USART3);
  stm32_uart_pin(GPIOD, 8, AF7);
  stm32_uart_pin(GPIOD, 9, AF7);
  stm32f7_usart_start(USART3, USART_DIVIDER(APB1_HZ));
}

uint8_t board_read_byte(void) { return stm32f7_usart_read(USART3); }

void board_write(const uint8_t *data, uint32_t bytes) { stm32f7_usart_write(USART3, data, bytes); }

uint32_t board_clock_hz(void) { return CLOCK_HZ; }

/* APB1 is half of the core's clock, its timers count twice that */
const stm32_timer stm32_sleep_timer = {TIM2, RCC_APB1LENR, 1u << 0, 28u, CLOCK_HZ};

static const stm32_timer lptim1 = {0x40002400u, RCC_APB1LENR, APB1LENR_LPTIM1, 93u, LSE_HZ};

/* All domains stop with the core: nothing asks for Standby, and nothing runs on by itself. */
const stm32_timer *stm32_prepare_stop(void) {
  stm32_start_lse(PWR_CR1, RCC_BDCR);
  set_field(RCC_CDCCIP2R, CDCCIP2R_LPTIM1SEL, CDCCIP2R_LPTIM1SEL_LSE);
  set_bits(EXTI_CPUIMR2, CPUIMR2_LPTIM1);
  set_bits(PWR_CR1, CR1_LPDS);
  return &lptim1;
}

void stm32_leave_stop(void) { start_clock(); } /* the core wakes on its own oscillator, at the lowest voltage */
