/* SPDX-License-Identifier: Apache-2.0 */
/* Raspberry Pi Pico: RP2040 at 133 MHz from its 12 MHz crystal; UART0 on GPIO0 (TX) and GPIO1 (RX).
 * Registers and sequences: RP2040 datasheet, chapters resets, clocks, XOSC, PLL, GPIO, UART. */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define RESETS_RESET REGISTER(0x4000C000u)
#define RESETS_RESET_DONE REGISTER(0x4000C008u)
#define RESET_IO_BANK0 (1u << 5)
#define RESET_PADS_BANK0 (1u << 8)
#define RESET_PLL_SYS (1u << 12)
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

#define CLK_REF_CTRL REGISTER(0x40008030u)
#define CLK_REF_SELECTED REGISTER(0x40008038u)
#define CLK_SYS_CTRL REGISTER(0x4000803Cu)
#define CLK_SYS_SELECTED REGISTER(0x40008044u)
#define CLK_PERI_CTRL REGISTER(0x40008048u)
#define REF_XOSC 2u
#define SYS_REF 0u
#define SYS_AUX 1u /* the auxiliary source 0 is PLL_SYS */
#define PERI_ENABLE (1u << 11)

#define IO_BANK0_CTRL(pin) REGISTER(0x40014004u + 8u * (pin))
#define PADS_BANK0(pin) REGISTER(0x4001C004u + 4u * (pin))
#define FUNCTION_UART 2u
#define PAD_INPUT_PULL_UP 0x5Au /* input, 4 mA, pull-up, Schmitt trigger */

#define UART0_DR REGISTER(0x40034000u)
#define UART0_FR REGISTER(0x40034018u)
#define UART0_IBRD REGISTER(0x40034024u)
#define UART0_FBRD REGISTER(0x40034028u)
#define UART0_LCR_H REGISTER(0x4003402Cu)
#define UART0_CR REGISTER(0x40034030u)
#define FR_BUSY (1u << 3)
#define FR_RXFE (1u << 4)
#define FR_TXFF (1u << 5)
#define LCR_H_8_BITS_QUEUES (3u << 5 | 1u << 4)
#define CR_ON (1u << 9 | 1u << 8 | 1u << 0)

#define CRYSTAL_HZ 12000000u
#define CLOCK_HZ 133000000u
#define BAUD 115200u
#define BAUD_DIVIDER_64THS ((CLOCK_HZ * 4u + BAUD / 2u) / BAUD) /* 16 samples a bit, in 64ths */

static void release(uint32_t blocks) {
  RESETS_RESET &= ~blocks;
  while ((RESETS_RESET_DONE & blocks) != blocks) {
  }
}

static void start_clock(void) {
  CLK_SYS_CTRL = SYS_REF; /* a debugger may have left it on the PLL */
  while (CLK_SYS_SELECTED != 1u << SYS_REF) {
  }
  XOSC_STARTUP = CRYSTAL_HZ / 1000u / 256u + 1u; /* 1 ms */
  XOSC_CTRL = XOSC_ENABLE_1_15_MHZ;
  while (!(XOSC_STATUS & XOSC_STABLE)) {
  }
  CLK_REF_CTRL = REF_XOSC;
  while (CLK_REF_SELECTED != 1u << REF_XOSC) {
  }
  RESETS_RESET |= RESET_PLL_SYS;
  release(RESET_PLL_SYS);
  PLL_SYS_CS = 1;      /* 12 MHz / 1 */
  PLL_SYS_FBDIV = 133; /* * 133 = 1596 MHz, of 750 to 1600 */
  PLL_SYS_PWR = PLL_PWR_DSMPD | PLL_PWR_POSTDIVPD;
  while (!(PLL_SYS_CS & PLL_LOCK)) {
  }
  PLL_SYS_PRIM = 6u << 16 | 2u << 12; /* / 12 */
  PLL_SYS_PWR = PLL_PWR_DSMPD;
  CLK_SYS_CTRL = SYS_AUX;
  while (CLK_SYS_SELECTED != 1u << SYS_AUX) {
  }
}

void board_init(void) {
  start_clock();
  CLK_PERI_CTRL = PERI_ENABLE; /* from the system clock; the UART leaves its reset only with a clock */
  release(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0);
  PADS_BANK0(1) = PAD_INPUT_PULL_UP; /* a line that nobody drives is idle */
  IO_BANK0_CTRL(0) = FUNCTION_UART;
  IO_BANK0_CTRL(1) = FUNCTION_UART;
  UART0_IBRD = BAUD_DIVIDER_64THS >> 6;
  UART0_FBRD = BAUD_DIVIDER_64THS & 63u;
  UART0_LCR_H = LCR_H_8_BITS_QUEUES; /* takes the divider over */
  UART0_CR = CR_ON;
}

uint8_t board_read_byte(void) {
  while (UART0_FR & FR_RXFE) {
  }
  return (uint8_t)UART0_DR;
}

void board_write(const uint8_t *data, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i++) {
    while (UART0_FR & FR_TXFF) {
    }
    UART0_DR = data[i];
  }
  while (UART0_FR & FR_BUSY) {
  }
}

uint32_t board_clock_hz(void) { return CLOCK_HZ; }
