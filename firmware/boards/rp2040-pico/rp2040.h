/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks and resets of the RP2040, which start-up and waiting share. */
#ifndef CREST_RP2040_H
#define CREST_RP2040_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define RESETS_RESET REGISTER(0x4000C000u)
#define RESETS_RESET_DONE REGISTER(0x4000C008u)
#define RESET_IO_BANK0 (1u << 5)
#define RESET_PADS_BANK0 (1u << 8)
#define RESET_PLL_SYS (1u << 12)
#define RESET_TIMER (1u << 21)
#define RESET_UART0 (1u << 22)

#define XOSC_CTRL REGISTER(0x40024000u)
#define XOSC_STATUS REGISTER(0x40024004u)
#define XOSC_STARTUP REGISTER(0x4002400Cu)
#define XOSC_ENABLE_1_15_MHZ 0xFABAA0u
#define XOSC_STABLE (1u << 31)

#define PLL_SYS_CS REGISTER(0x40028000u)
#define PLL_SYS_PWR REGISTER(0x40028004u)
#define PLL_SYS_FBDIV REGISTER(0x40028008u)
#define PLL_SYS_PRIM REGISTER(0x4002800Cu)
#define PLL_LOCK (1u << 31)
#define PLL_PWR_DSMPD (1u << 2)
#define PLL_PWR_POSTDIVPD (1u << 3)
#define PLL_PWR_OFF 0x2Du /* all of it, as after reset */

#define CLK_REF_CTRL REGISTER(0x40008030u)
#define CLK_REF_SELECTED REGISTER(0x40008038u)
#define CLK_SYS_CTRL REGISTER(0x4000803Cu)
#define CLK_SYS_SELECTED REGISTER(0x40008044u)
#define CLK_PERI_CTRL REGISTER(0x40008048u)
#define REF_XOSC 2u
#define SYS_REF 0u
#define SYS_AUX 1u /* the auxiliary source 0 is PLL_SYS */
#define PERI_ENABLE (1u << 11)

void rp2040_release(uint32_t blocks); /* from their reset */
void rp2040_start_pll(void);          /* 133 MHz; the core is on the crystal before */
void rp2040_leave_pll(void);          /* the core runs on the reference clock */

#endif
