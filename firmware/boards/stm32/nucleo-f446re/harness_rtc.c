/* SPDX-License-Identifier: Apache-2.0 */
/* The F446 has no LPTIM: alarm A of its RTC ends Stop mode. A second of the calendar has 32768 counts of the crystal, which
 * SSR counts down; the alarm compares nothing but them. Registers: RM0390, chapters RTC and EXTI. */
#include "board.h"
#include "stm32f4.h"
#include "stm32_wait.h"

#define CR 0x08u
#define ISR 0x0Cu
#define PRER 0x10u
#define ALRMAR 0x1Cu
#define WPR 0x24u
#define SSR 0x28u
#define ALRMASSR 0x44u

#define EXTI_ALARM (1u << 17)

#define CR_BYPSHAD (1u << 5) /* SSR itself is read, not its copy */
#define CR_ALRAE (1u << 8)
#define CR_ALRAIE (1u << 12)
#define ISR_ALRAWF (1u << 0)
#define ISR_INITF (1u << 6)
#define ISR_INIT (1u << 7)
#define ISR_ALRAF (1u << 8)
#define PRER_A_SHIFT 16u
#define ALRMAR_ANY_TIME 0x80808080u
#define ALRMASSR_ALL_BITS (15u << 24)

#define MASK 0x7FFFu
#define PRESCALER_MAX 6u         /* divided by 64 */
#define HALF_A_ROUND_US 500000u /* when it is not divided */

/* The clock is divided so far that a period is half a round at most: or every round would cost a wake-up. */
void stm32_stop_timer_start(uint32_t rtc, uint32_t period_us, board_timer *timer) {
  uint32_t prescaler = 0;
  while (prescaler < PRESCALER_MAX && period_us > HALF_A_ROUND_US << prescaler) prescaler++;
  REGISTER(rtc + WPR) = 0xCAu; /* the keys */
  REGISTER(rtc + WPR) = 0x53u;
  REGISTER(rtc + CR) = CR_BYPSHAD;
  REGISTER(rtc + ISR) = ISR_INIT;
  wait_for(rtc + ISR, ISR_INITF, ISR_INITF);
  REGISTER(rtc + PRER) = MASK; /* in two writes */
  REGISTER(rtc + PRER) = ((1u << prescaler) - 1u) << PRER_A_SHIFT | MASK;
  REGISTER(rtc + ISR) = 0;
  wait_for(rtc + ISR, ISR_ALRAWF, ISR_ALRAWF);
  REGISTER(rtc + ALRMAR) = ALRMAR_ANY_TIME;
  timer->hz = LSE_HZ >> prescaler;
  timer->mask = MASK;
}

uint32_t stm32_stop_timer_count(uint32_t rtc) {
  uint32_t left = REGISTER(rtc + SSR), again;
  while ((again = REGISTER(rtc + SSR)) != left) left = again;
  return MASK - left;
}

/* Off at once: the alarm can be set some counts after that. */
void stm32_stop_timer_clear(uint32_t rtc) {
  REGISTER(rtc + CR) = CR_BYPSHAD;
  REGISTER(rtc + ISR) = 0;
  REGISTER(EXTI_PR) = EXTI_ALARM;
  (void)REGISTER(rtc + ISR);
}

void stm32_stop_timer_compare(uint32_t rtc, uint32_t count) {
  wait_for(rtc + ISR, ISR_ALRAWF, ISR_ALRAWF);
  REGISTER(rtc + ALRMASSR) = ALRMASSR_ALL_BITS | (MASK - count);
  REGISTER(rtc + CR) = CR_BYPSHAD | CR_ALRAE | CR_ALRAIE;
}

void stm32_stop_timer_stop(uint32_t rtc) { REGISTER(rtc + CR) = CR_BYPSHAD; }
