/* SPDX-License-Identifier: Apache-2.0 */
/* Raspberry Pi Pico: RP2040 at 133 MHz from its 12 MHz crystal; UART0 on GPIO0 (TX) and GPIO1 (RX).
 * Registers and sequences: RP2040 datasheet, chapters resets, clocks, XOSC, PLL, GPIO, UART. */
#include "board.h"
#include "rp2040.h"

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

void rp2040_release(uint32_t blocks) {
  RESETS_RESET &= ~blocks;
  while ((RESETS_RESET_DONE & blocks) != blocks) {
  }
}

void rp2040_leave_pll(void) {
  CLK_SYS_CTRL = SYS_REF;
  while (CLK_SYS_SELECTED != 1u << SYS_REF) {
  }
}

static void start_crystal(void) {
  XOSC_STARTUP = CRYSTAL_HZ / 1000u / 256u + 1u; /* 1 ms */
  XOSC_CTRL = XOSC_ENABLE_1_15_MHZ;
  while (!(XOSC_STATUS & XOSC_STABLE)) {
  }
  CLK_REF_CTRL = REF_XOSC;
  while (CLK_REF_SELECTED != 1u << REF_XOSC) {
  }
}

void rp2040_start_pll(void) {
  RESETS_RESET |= RESET_PLL_SYS;
  rp2040_release(RESET_PLL_SYS);
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
  rp2040_leave_pll(); /* a debugger may have left the clock on it */
  start_crystal();
  rp2040_start_pll();
  CLK_PERI_CTRL = PERI_ENABLE; /* from the system clock; the UART leaves its reset only with a clock */
  rp2040_release(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0);
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
