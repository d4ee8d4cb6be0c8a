/* SPDX-License-Identifier: Apache-2.0 */
/* What the boards with an STM32F4 or F7 share: the clock tree with over-drive, RM0390 (F446) and RM0385 (F74x). */
#ifndef CREST_STM32F4_H
#define CREST_STM32F4_H

#include "stm32.h"

#define RCC_CR 0x40023800u
#define RCC_PLLCFGR 0x40023804u
#define RCC_CFGR 0x40023808u
#define RCC_AHB1ENR 0x40023830u
#define RCC_APB1ENR 0x40023840u
#define RCC_APB2ENR 0x40023844u
#define RCC_BDCR 0x40023870u
#define EXTI_IMR 0x40013C00u
#define EXTI_RTSR 0x40013C08u
#define EXTI_PR 0x40013C14u
#define PWR_CR 0x40007000u
#define PWR_CSR 0x40007004u
#define FLASH_ACR 0x40023C00u
#define GPIOA 0x40020000u
#define GPIOB 0x40020400u

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
#define PLLCFGR_R(divider) ((divider) << 28) /* reserved on the F74x, where it keeps its reset value of 2 */
#define CFGR_SW 3u
#define CFGR_SW_PLL 2u
#define CFGR_SWS (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define CFGR_PPRE1_4 (5u << 10)
#define CFGR_PPRE2_2 (4u << 13)
#define AHB1ENR_GPIOA (1u << 0)
#define AHB1ENR_GPIOB (1u << 1)
#define APB1ENR_USART2 (1u << 17)
#define APB1ENR_PWR (1u << 28)
#define APB2ENR_USART1 (1u << 4)
#define CR_VOS (3u << 14)
#define CR_VOS_1 (3u << 14)
#define CR_VOS_3 (1u << 14)
#define CR_DEEP (1u << 9 | 1u << 1 | 1u << 0) /* flash powered down; Standby instead of Stop; regulator in low power */
#define CR_DEEP_STOP (1u << 9 | 1u << 0)
#define CR_ODEN (1u << 16)
#define CR_ODSWEN (1u << 17)
#define CSR_ODRDY (1u << 16)
#define CSR_ODSWRDY (1u << 17)
#define ACR_LATENCY 15u
#define ACR_PRFTEN (1u << 8)

/* HSE * n / m / 2. The top clocks need voltage scale 1 and over-drive; without, it is scale 3: up to 120 MHz on the F446 and
 * 144 MHz on the F74x. The bus APB1 runs at a quarter of the clock, APB2 at half. PLLCFGR_Q and PLLCFGR_R feed nothing here
 * and only have to stay within their limits. */
static inline void stm32f4_start_clock(uint32_t bypass, uint32_t pllcfgr, uint32_t accelerators, uint32_t wait_states,
                                       int over_drive) {
  set_bits(RCC_APB1ENR, APB1ENR_PWR);
  set_field(PWR_CR, CR_VOS, over_drive ? CR_VOS_1 : CR_VOS_3); /* while the PLL is off */
  set_bits(RCC_CR, bypass);
  set_bits(RCC_CR, CR_HSEON);
  wait_for(RCC_CR, CR_HSERDY, CR_HSERDY);
  REGISTER(RCC_PLLCFGR) = PLLCFGR_SRC_HSE | PLLCFGR_P_2 | pllcfgr;
  set_bits(RCC_CR, CR_PLLON);
  if (over_drive) {
    set_bits(PWR_CR, CR_ODEN);
    wait_for(PWR_CSR, CSR_ODRDY, CSR_ODRDY);
    set_bits(PWR_CR, CR_ODSWEN);
    wait_for(PWR_CSR, CSR_ODSWRDY, CSR_ODSWRDY);
  }
  REGISTER(FLASH_ACR) = accelerators | wait_states;
  wait_for(FLASH_ACR, ACR_LATENCY, wait_states);
  REGISTER(RCC_CFGR) = CFGR_PPRE1_4 | CFGR_PPRE2_2;
  wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY);
  set_field(RCC_CFGR, CFGR_SW, CFGR_SW_PLL);
  wait_for(RCC_CFGR, CFGR_SWS, CFGR_SWS_PLL);
}

#endif
