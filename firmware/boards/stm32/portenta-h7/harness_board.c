/* SPDX-License-Identifier: Apache-2.0 */
/* Arduino Portenta H7: Cortex-M7 of the STM32H747 at 480, 400 or 240 MHz from the 25 MHz oscillator; the M4 stays in reset.
 * There is no serial port over USB: USART1 is on the header, TX PA9 and RX PA10. The bootloader leaves its clocks running.
 * Registers and sequences: RM0399, chapters PWR, RCC, SYSCFG, FLASH, GPIO, USART. */
#include "board.h"
#include "stm32h7.h"
#include "stm32_wait.h"

#define RCC_D1CFGR 0x58024418u
#define RCC_D2CFGR 0x5802441Cu
#define RCC_D3CFGR 0x58024420u
#define RCC_D2CCIP2R 0x58024454u
#define RCC_AHB4ENR 0x580244E0u
#define RCC_APB1LENR 0x580244E8u
#define RCC_APB2ENR 0x580244F0u
#define RCC_APB4ENR 0x580244F4u
#define PWR_D3CR 0x58024818u
#define SYSCFG_PWRCR 0x5800042Cu
#define GPIOA 0x58020000u
#define GPIOH_MODER 0x58021C00u
#define GPIOH_BSRR 0x58021C18u
#define USART1 0x40011000u

#define D1CFGR_HPRE_2 8u
#define D1CFGR_D1PPRE_2 (4u << 4)
#define D2CFGR_D2PPRE1_2 (4u << 4)
#define D2CFGR_D2PPRE2_2 (4u << 8)
#define D3CFGR_D3PPRE_2 (4u << 4)
#define D2CCIP2R_USART16SEL (7u << 3)
#define AHB4ENR_GPIOA (1u << 0)
#define AHB4ENR_GPIOH (1u << 7)
#define APB2ENR_USART1 (1u << 4)
#define APB4ENR_SYSCFG (1u << 1)
#define PWRCR_ODEN (1u << 0)
#define VOS_1 (3u << 14)

#ifndef CREST_CLOCK_MHZ
#define CREST_CLOCK_MHZ 480
#endif
#if CREST_CLOCK_MHZ == 480
#define WAIT_STATES 4u
#define PLL_N 192u
#define PLL_P 2u
#define OVER_DRIVE PWRCR_ODEN /* VOS0: above 400 MHz */
#elif CREST_CLOCK_MHZ == 400
#define WAIT_STATES 2u
#define PLL_N 160u
#define PLL_P 2u
#define OVER_DRIVE 0u
#elif CREST_CLOCK_MHZ == 240
#define WAIT_STATES 1u
#define PLL_N 192u
#define PLL_P 4u
#define OVER_DRIVE 0u
#else
#error "the board has no such clock"
#endif
#define CLOCK_HZ (CREST_CLOCK_MHZ * 1000000u)

#define CR_PLLS_ON (0x15u << 24)
#define CR_PLLS_RDY (0x2Au << 24)
#define SYST_CSR 0xE000E010u
#define OSCEN_PIN 1u
#define MODER_OUTPUT 1u
#define APB2_HZ (CLOCK_HZ / 4u)
#define AF7 7u

/* Interrupts of the bootloader find no handler here; the source of the PLLs can be chosen while all of them stand. */
static void leave_bootloader(void) {
  __asm__ volatile("cpsid i" ::: "memory");
  REGISTER(SYST_CSR) = 0;
  stm32h7_start_hsi();
  set_field(RCC_CR, CR_PLLS_ON, 0);
  wait_for(RCC_CR, CR_PLLS_RDY, 0);
}

/* VOS1, and with over-drive VOS0, which the core reaches only behind the LDO. A bootloader may have left over-drive on. */
static void set_voltage(void) {
  stm32h7_set_supply(CR3_SMPSEN | CR3_SMPSLEVEL_1V8 | CR3_LDOEN);
  set_field(PWR_D3CR, VOS, VOS_1);
  wait_for(PWR_D3CR, VOSRDY, VOSRDY);
  set_bits(RCC_APB4ENR, APB4ENR_SYSCFG);
  set_field(SYSCFG_PWRCR, PWRCR_ODEN, OVER_DRIVE);
  wait_for(PWR_D3CR, VOSRDY, VOSRDY);
}

static void enable_oscillator(void) {
  set_bits(RCC_AHB4ENR, AHB4ENR_GPIOH);
  REGISTER(GPIOH_BSRR) = 1u << OSCEN_PIN;
  set_field(GPIOH_MODER, 3u << 2u * OSCEN_PIN, MODER_OUTPUT << 2u * OSCEN_PIN);
}

static void start_clock(void) {
  leave_bootloader();
  set_voltage();
  enable_oscillator();
  set_field(FLASH_ACR, ACR_LATENCY, WAIT_STATES);
  wait_for(FLASH_ACR, ACR_LATENCY, WAIT_STATES);
  REGISTER(RCC_D1CFGR) = D1CFGR_HPRE_2 | D1CFGR_D1PPRE_2; /* buses at half the clock of the core, peripherals at a quarter */
  REGISTER(RCC_D2CFGR) = D2CFGR_D2PPRE1_2 | D2CFGR_D2PPRE2_2;
  REGISTER(RCC_D3CFGR) = D3CFGR_D3PPRE_2;
  stm32h7_start_pll(5u, PLLCFGR_RGE1_4_TO_8_MHZ, PLL1DIVR(PLL_N, PLL_P, 10u, 2u));
  stm32h7_select_clock(CFGR_SW_PLL1);
}

void board_init(void) {
  start_clock();
  cortex_m7_enable_caches();
  set_bits(RCC_AHB4ENR, AHB4ENR_GPIOA);
  set_field(RCC_D2CCIP2R, D2CCIP2R_USART16SEL, 0); /* the clock of its bus */
  set_bits(RCC_APB2ENR, APB2ENR_USART1);
  stm32_uart_pin(GPIOA, 9, AF7);
  stm32_uart_pin(GPIOA, 10, AF7);
  stm32f7_usart_start(USART1, USART_DIVIDER(APB2_HZ));
}

uint8_t board_read_byte(void) { return stm32f7_usart_read(USART1); }

void board_write(const uint8_t *data, uint32_t bytes) { stm32f7_usart_write(USART1, data, bytes); }

uint32_t board_clock_hz(void) { return CLOCK_HZ; }

/* APB1 is a quarter of the core's clock, its timers count twice that */
const stm32_timer stm32_sleep_timer = {TIM2, RCC_APB1LENR, 1u << 0, 28u, CLOCK_HZ / 2u};
