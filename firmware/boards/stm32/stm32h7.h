/* SPDX-License-Identifier: Apache-2.0 */
/* What the STM32H7 boards share: power and clock registers of RM0399 (H745/747) and RM0455 (H7A3/7B3). */
#ifndef CREST_STM32H7_H
#define CREST_STM32H7_H

#include "stm32.h"

#define RCC_CR 0x58024400u
#define RCC_CFGR 0x58024410u
#define RCC_PLLCKSELR 0x58024428u
#define RCC_PLLCFGR 0x5802442Cu
#define RCC_PLL1DIVR 0x58024430u
#define PWR_CSR1 0x58024804u
#define PWR_CR3 0x5802480Cu
#define FLASH_ACR 0x52002000u

#define CR_HSION (1u << 0)
#define CR_HSIRDY (1u << 2)
#define CR_HSIDIV (3u << 3)
#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_HSEBYP (1u << 18)
#define CR_PLL1ON (1u << 24)
#define CR_PLL1RDY (1u << 25)
#define CFGR_SW 7u
#define CFGR_SW_HSI 0u
#define CFGR_SW_PLL1 3u
#define CFGR_SWS_SHIFT 3u
#define PLLCKSELR_SRC_HSE 2u
#define PLLCKSELR_SRC 3u
#define PLLCKSELR_M1_SHIFT 4u
#define PLLCKSELR_M1 (0x3Fu << PLLCKSELR_M1_SHIFT)
#define PLLCFGR_PLL1 (0xFu | 7u << 16) /* fraction, range of the oscillator, range of the input; outputs P, Q, R */
#define PLLCFGR_RGE1_2_TO_4_MHZ (1u << 2)
#define PLLCFGR_RGE1_4_TO_8_MHZ (2u << 2)
#define PLLCFGR_P1EN (1u << 16)
#define PLL1DIVR(n, p, q, r) (((n) - 1u) | ((p) - 1u) << 9 | ((q) - 1u) << 16 | ((r) - 1u) << 24)
#define CR3_SUPPLY 0x3Fu
#define CR3_LDOEN (1u << 1)
#define CR3_SMPSEN (1u << 2)
#define CR3_SMPSLEVEL_1V8 (1u << 4)
#define CSR1_ACTVOSRDY (1u << 13)
#define VOSRDY (1u << 13)
#define VOS (3u << 14)
#define ACR_LATENCY 15u
#define ACR_WRHIGHFREQ (3u << 4)

/* The supply must be the one that the board is wired for. It is taken once after power-up; later writes do nothing. */
static inline void stm32h7_set_supply(uint32_t supply) {
  set_field(PWR_CR3, CR3_SUPPLY, supply);
  wait_for(PWR_CSR1, CSR1_ACTVOSRDY, CSR1_ACTVOSRDY);
}

static inline void stm32h7_select_clock(uint32_t source) {
  set_field(RCC_CFGR, CFGR_SW, source);
  wait_for(RCC_CFGR, CFGR_SW << CFGR_SWS_SHIFT, source << CFGR_SWS_SHIFT);
}

/* The chip's own oscillator, 64 MHz when it is not divided. */
static inline void stm32h7_start_hsi(void) {
  set_field(RCC_CR, CR_HSIDIV, CR_HSION);
  wait_for(RCC_CR, CR_HSIRDY, CR_HSIRDY);
  stm32h7_select_clock(CFGR_SW_HSI);
}

/* PLL1 from an oscillator that drives OSC_IN: HSE / m * n / p; only output P is on. */
static inline void stm32h7_start_pll(uint32_t m, uint32_t input_range, uint32_t dividers) {
  set_bits(RCC_CR, CR_HSEBYP);
  set_bits(RCC_CR, CR_HSEON);
  wait_for(RCC_CR, CR_HSERDY, CR_HSERDY);
  set_field(RCC_PLLCKSELR, PLLCKSELR_SRC | PLLCKSELR_M1, PLLCKSELR_SRC_HSE | m << PLLCKSELR_M1_SHIFT);
  set_field(RCC_PLLCFGR, PLLCFGR_PLL1, input_range | PLLCFGR_P1EN);
  REGISTER(RCC_PLL1DIVR) = dividers;
  set_bits(RCC_CR, CR_PLL1ON);
  wait_for(RCC_CR, CR_PLL1RDY, CR_PLL1RDY);
}

#endif
