/* SPDX-License-Identifier: Apache-2.0 */
/* Second stage of the RP2040's boot. The boot ROM copies the first 256 bytes of the flash to RAM, checks the CRC-32 in
 * the last four and jumps to the first: from there on the flash has to be read in place. Sets the serial interface
 * (SSI) up for the Pico's W25Q16JV: four data lines at half the system clock, and reads that need no command byte.
 * Then goes on as a reset would, with the vector table behind these 256 bytes.
 *
 * Registers: RP2040 datasheet, chapters SSI and pads; commands: W25Q16JV data sheet. In assembly, for the CRC (polynomial
 * 0x04C11DB7, start 0xFFFFFFFF, bits not reflected) holds for exactly these bytes; it runs at any address. */
__asm__(
    ".syntax unified\n"
    ".section .boot2, \"ax\"\n"
    ".balign 4\n"
    ".thumb\n"
    ".thumb_func\n"
    ".type crest_boot2, %function\n"
    "crest_boot2:\n"
    /* pads: clock fast and 8 mA, data lines without the delay of a Schmitt trigger */
    "  ldr r4, .Lpads\n"
    "  movs r0, #0x21\n"
    "  str r0, [r4, #0x04]\n" /* SCLK */
    "  ldr r0, [r4, #0x08]\n"
    "  movs r1, #0x02\n"
    "  bics r0, r1\n"
    "  str r0, [r4, #0x08]\n" /* SD0 to SD3 */
    "  str r0, [r4, #0x0C]\n"
    "  str r0, [r4, #0x10]\n"
    "  str r0, [r4, #0x14]\n"
    /* r4 SSI, r5 0, r6 1, r7 SSI + 0xF0 */
    "  ldr r4, .Lssi\n"
    "  movs r5, #0\n"
    "  movs r6, #1\n"
    "  movs r7, #0xF0\n"
    "  adds r7, r7, r4\n"
    "  str r5, [r4, #0x08]\n" /* SSIENR: off */
    "  str r6, [r4, #0x10]\n" /* SER: the one flash */
    "  movs r0, #2\n"
    "  str r0, [r4, #0x14]\n" /* BAUDR: half the system clock */
    "  str r6, [r7, #0x00]\n" /* RX_SAMPLE_DLY: one clock later */
    "  lsls r0, r6, #19\n"
    "  lsls r1, r6, #16\n"
    "  subs r0, r0, r1\n"
    "  str r0, [r4, #0x00]\n" /* CTRLR0: 8 bits both ways on one line */
    "  str r6, [r4, #0x08]\n"
    /* the quad-enable bit of status register 2 turns write protect and hold into data lines */
    "  movs r0, #0x35\n"
    "  bl .Lstatus\n"
    "  movs r1, #0x02\n"
    "  tst r0, r1\n"
    "  bne .Lquad\n"
    "  movs r0, #0x06\n" /* write enable */
    "  str r0, [r4, #0x60]\n"
    "  bl .Lwait\n"
    "  ldr r0, [r4, #0x60]\n"
    "  movs r0, #0x31\n" /* write status register 2 */
    "  str r0, [r4, #0x60]\n"
    "  str r1, [r4, #0x60]\n"
    "  bl .Lwait\n"
    "  ldr r0, [r4, #0x60]\n"
    "  ldr r0, [r4, #0x60]\n"
    ".Lbusy:\n"
    "  movs r0, #0x05\n"
    "  bl .Lstatus\n"
    "  tst r0, r6\n"
    "  bne .Lbusy\n"
    /* one fast read (0xEB) whose mode bits 0xA0 say that no later one begins with a command */
    ".Lquad:\n"
    "  str r5, [r4, #0x08]\n"
    "  ldr r0, .Lread_frames\n"
    "  str r0, [r4, #0x00]\n"
    "  str r5, [r4, #0x04]\n" /* CTRLR1: one frame */
    "  ldr r0, .Lwith_command\n"
    "  str r0, [r7, #0x04]\n" /* SPI_CTRLR0 */
    "  str r6, [r4, #0x08]\n"
    "  movs r0, #0xEB\n"
    "  str r0, [r4, #0x60]\n"
    "  movs r0, #0xA0\n"
    "  str r0, [r4, #0x60]\n"
    "  bl .Lwait\n"
    /* from here on every access to the flash is such a read */
    "  str r5, [r4, #0x08]\n"
    "  ldr r0, .Lwithout_command\n"
    "  str r0, [r7, #0x04]\n"
    "  str r6, [r4, #0x08]\n"
    "  ldr r0, .Lvectors\n"
    "  ldr r1, .Lvtor\n"
    "  str r0, [r1]\n"
    "  ldm r0!, {r1, r2}\n"
    "  msr msp, r1\n"
    "  bx r2\n"
    ".Lstatus:\n" /* r0: command, then the status */
    "  push {lr}\n"
    "  str r0, [r4, #0x60]\n"
    "  str r0, [r4, #0x60]\n"
    "  bl .Lwait\n"
    "  ldr r0, [r4, #0x60]\n"
    "  ldr r0, [r4, #0x60]\n"
    "  pop {pc}\n"
    ".Lwait:\n" /* SR: transmit queue empty, not busy */
    "  ldr r2, [r4, #0x28]\n"
    "  movs r3, #0x04\n"
    "  tst r2, r3\n"
    "  beq .Lwait\n"
    "  tst r2, r6\n"
    "  bne .Lwait\n"
    "  bx lr\n"
    "  .short 0\n"
    ".Lpads: .word 0x40020000\n"
    ".Lssi: .word 0x18000000\n"
    ".Lread_frames: .word 0x005F0300\n"     /* CTRLR0: 4 lines, 32 bits, send then receive */
    ".Lwith_command: .word 0x00002221\n"    /* 8-bit command on 1 line; address and mode: 8 nibbles on 4; wait 4 */
    ".Lwithout_command: .word 0xA0002022\n" /* no command, mode bits 0xA0 behind the address */
    ".Lvectors: .word 0x10000100\n"
    ".Lvtor: .word 0xE000ED08\n"
    ".org 252\n"
    ".word 0xFF9AB644\n" /* CRC-32 of the 252 bytes before */
    ".text\n");
