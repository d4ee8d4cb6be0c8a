/* SPDX-License-Identifier: Apache-2.0 */
/* Pins. The layout of GPIO registers is the same from the STM32F2 on. */
#include "stm32.h"

#define MODER 0x00u
#define OSPEEDR 0x08u
#define PUPDR 0x0Cu
#define AFR(pin) (0x20u + 4u * ((pin) / 8u))

#define ALTERNATE 2u
#define FAST 2u
#define PULL_UP 1u

void stm32_uart_pin(uint32_t gpio, uint32_t pin, uint32_t function) {
  uint32_t nibble = 4u * (pin % 8u), pair = 2u * pin;
  set_field(gpio + AFR(pin), 15u << nibble, function << nibble);
  set_field(gpio + OSPEEDR, 3u << pair, FAST << pair);
  set_field(gpio + PUPDR, 3u << pair, PULL_UP << pair);
  set_field(gpio + MODER, 3u << pair, ALTERNATE << pair);
}
