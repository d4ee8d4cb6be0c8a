/* SPDX-License-Identifier: Apache-2.0 */
/* Calls kernels as a test says it. A job is the number of a kernel and its arguments, one word each. */
#include "kernel_table.h"

static void run_jobs(const word *jobs, word count) {
  for (; count; count--, jobs += 1 + ARGUMENTS_MAX) kernels[jobs[0]](jobs + 1);
}

#ifdef CASE_BYTES
#include "board.h"

#define MARK_BEGIN 0xFFFFFFFEu
#define MARK_END 0xFFFFFFFFu

void crest_layer_mark(uint32_t layer);
void harness_main(void);

/* The host writes a case here, its jobs first; a byte that it sends starts them, a byte answers. */
uint8_t case_memory[CASE_BYTES] __attribute__((aligned(16)));

__attribute__((noinline)) void crest_layer_mark(uint32_t layer) { __asm__ volatile("" ::"r"(layer) : "memory"); }

void harness_main(void) {
  for (;;) {
    uint8_t count = board_read_byte();
    crest_layer_mark(MARK_BEGIN);
    run_jobs((const word *)case_memory, count);
    crest_layer_mark(MARK_END);
    board_write(&count, 1);
  }
}
#else
void run_kernels(const word *jobs, long count);

void run_kernels(const word *jobs, long count) { run_jobs(jobs, (word)count); }
#endif
