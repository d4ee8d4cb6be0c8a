/* SPDX-License-Identifier: Apache-2.0 */
/* A firmware that knows nothing of CREST: it reads the temperature of an nRF52840 16 times, sorts the readings, and
 * writes their median to the UART. Its start-up code, vectors and linker script are its own. */
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define TEMP_START REGISTER(0x4000C000u)
#define TEMP_READY REGISTER(0x4000C100u)
#define TEMP_VALUE REGISTER(0x4000C508u)
#define UART_START REGISTER(0x40002008u)
#define UART_SENT REGISTER(0x4000211Cu)
#define UART_ENABLE REGISTER(0x40002500u)
#define UART_DATA REGISTER(0x4000251Cu)

enum { READINGS = 16 };

extern uint32_t stack_top, data_load, data_begin, data_end, bss_begin, bss_end;
void Reset_Handler(void);
int main(void);

__attribute__((section(".vectors"), used)) const void *const vectors[16] = {&stack_top, (void *)Reset_Handler};

void Reset_Handler(void) {
  const uint32_t *from = &data_load;
  for (uint32_t *to = &data_begin; to < &data_end;) *to++ = *from++;
  for (uint32_t *to = &bss_begin; to < &bss_end;) *to++ = 0;
  main();
  for (;;) __asm__ volatile("wfi");
}

/* Quarters of a degree. */
__attribute__((noinline)) static int32_t read_temperature(void) {
  TEMP_READY = 0;
  TEMP_START = 1;
  while (!TEMP_READY) {
  }
  return (int32_t)TEMP_VALUE;
}

__attribute__((noinline)) static void sort(int32_t *values, int32_t first, int32_t last) {
  if (first >= last) return;
  const int32_t pivot = values[(first + last) / 2];
  int32_t low = first, high = last;
  while (low <= high) {
    while (values[low] < pivot) low++;
    while (values[high] > pivot) high--;
    if (low <= high) {
      const int32_t value = values[low];
      values[low++] = values[high];
      values[high--] = value;
    }
  }
  sort(values, first, high);
  sort(values, low, last);
}

__attribute__((noinline)) static void put_char(char c) {
  UART_SENT = 0;
  UART_DATA = (uint8_t)c;
  while (!UART_SENT) {
  }
}

__attribute__((noinline)) static void put_number(uint32_t number) {
  if (number >= 10) put_number(number / 10);
  put_char((char)('0' + number % 10));
}

int main(void) {
  static int32_t readings[READINGS];
  UART_ENABLE = 4;
  UART_START = 1;
  for (int32_t i = 0; i < READINGS; i++) readings[i] = read_temperature();
  sort(readings, 0, READINGS - 1);
  const uint32_t median = (uint32_t)(readings[READINGS / 2 - 1] + readings[READINGS / 2]) * 125 / 10;
  put_number(median / 100);
  put_char('.');
  put_number(median % 100);
  put_char('\n');
  return 0;
}
