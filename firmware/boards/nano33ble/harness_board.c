/* SPDX-License-Identifier: Apache-2.0 */
/* Arduino Nano 33 BLE: nRF52840 at 64 MHz, UARTE0 on the pins TX and RX. Registers: nRF52840 product specification. */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define CLOCK_TASKS_HFCLKSTART REGISTER(0x40000000u)
#define CLOCK_EVENTS_HFCLKSTARTED REGISTER(0x40000100u)

#define POWER_DCDCEN REGISTER(0x40000578u)

#define NVMC_ICACHECNF REGISTER(0x4001E540u)

#define UARTE_TASKS_STARTRX REGISTER(0x40002000u)
#define UARTE_TASKS_STARTTX REGISTER(0x40002008u)
#define UARTE_EVENTS_ENDRX REGISTER(0x40002110u)
#define UARTE_EVENTS_ENDTX REGISTER(0x40002120u)
#define UARTE_ENABLE REGISTER(0x40002500u)
#define UARTE_PSEL_TXD REGISTER(0x4000250Cu)
#define UARTE_PSEL_RXD REGISTER(0x40002514u)
#define UARTE_BAUDRATE REGISTER(0x40002524u)
#define UARTE_RXD_PTR REGISTER(0x40002534u)
#define UARTE_RXD_MAXCNT REGISTER(0x40002538u)
#define UARTE_TXD_PTR REGISTER(0x40002544u)
#define UARTE_TXD_MAXCNT REGISTER(0x40002548u)

#define GPIO1_OUTSET REGISTER(0x50000808u)
#define GPIO1_DIRSET REGISTER(0x50000818u)
#define GPIO1_PIN_CNF(pin) REGISTER(0x50000A00u + 4u * (pin))

#define PIN(port, pin) ((port) << 5 | (pin))
#define TX_PIN PIN(1u, 3u)
#define RX_PIN PIN(1u, 10u)
#define BAUD_115200 0x01D60000u
#define UARTE_ON 8u

void board_init(void) {
  CLOCK_TASKS_HFCLKSTART = 1; /* the crystal: the UART needs its accuracy */
  while (!CLOCK_EVENTS_HFCLKSTARTED) {
  }
  POWER_DCDCEN = 1; /* the energy model holds for this regulator */
  NVMC_ICACHECNF = 1;
  GPIO1_OUTSET = 1u << 3; /* idle high */
  GPIO1_DIRSET = 1u << 3;
  GPIO1_PIN_CNF(10) = 0; /* input, connected */
  UARTE_PSEL_TXD = TX_PIN;
  UARTE_PSEL_RXD = RX_PIN;
  UARTE_BAUDRATE = BAUD_115200;
  UARTE_ENABLE = UARTE_ON;
}

uint8_t board_read_byte(void) {
  static uint8_t byte; /* EasyDMA reaches RAM only */
  UARTE_RXD_PTR = (uint32_t)&byte;
  UARTE_RXD_MAXCNT = 1;
  UARTE_EVENTS_ENDRX = 0;
  UARTE_TASKS_STARTRX = 1;
  while (!UARTE_EVENTS_ENDRX) {
  }
  return *(volatile uint8_t *)&byte;
}

void board_write(const uint8_t *data, uint32_t bytes) {
  UARTE_TXD_PTR = (uint32_t)data;
  UARTE_TXD_MAXCNT = bytes;
  UARTE_EVENTS_ENDTX = 0;
  UARTE_TASKS_STARTTX = 1;
  while (!UARTE_EVENTS_ENDTX) {
  }
}

uint32_t board_clock_hz(void) { return 64000000u; }
