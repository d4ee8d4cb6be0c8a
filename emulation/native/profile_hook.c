/* Unicorn hooks that count what firmware executes. No libc: built with -nostdlib -ffreestanding.
 *
 * An edge is (layer, previous block, this block). Counting edges is enough: block contents are disassembled once in
 * Python, and a branch was taken where the previous block does not end at the address of this one.
 *
 * A hook that asks to stop returns before it counts: Unicorn then leaves the block unexecuted and calls the hook
 * again on resumption, so stopping never disturbs a count. (Stopping inside a memory access would restart that access.)
 */
#include <stdint.h>

enum { BANKS = 2, REGIONS_MAX = 16, KINDS = 3 };
enum { LOADS = 0, STORES = 1, UNALIGNED = 2 };
enum { MEM_WRITE = 17 };
enum { REASON_NONE, REASON_GUARD, REASON_SPIN, REASON_BAD_MARK, REASON_TABLE_FULL };
enum { SPIN_LIMIT = 100000 };

#define EPSR_THUMB 0x01000000u
#define MARK_OPEN 0xFFFFFFFEu
#define MARK_CLOSE 0xFFFFFFFFu
#define MARK_OVERHEAD 0xFFFFFFFDu

typedef struct {
    uint64_t addresses; /* previous << 32 | this */
    uint64_t sizes;     /* row << 48 | previous size << 24 | this size */
    uint64_t count;     /* 0: free slot */
} edge_t;

typedef struct {
    uint64_t begin, end;
} region_t;

typedef struct {
    uint64_t reg_read, reg_write;    /* addresses of uc_reg_read, uc_reg_write */
    uint64_t emu_stop;               /* address of uc_emu_stop */
    uint64_t register_r0;            /* Unicorn's numbers of R0 and EPSR */
    uint64_t register_epsr;
    uint64_t mark_address;           /* entry of crest_layer_mark; 1 (never executed) when absent */
    uint64_t layers_max;
    uint64_t guard_blocks;           /* blocks left before the run is stopped */
    uint64_t reason;                 /* why the run stops; peripherals set their own above 15 */
    uint64_t bad_mark;               /* the id that means nothing */
    uint64_t halfwords;              /* executed code in halfwords: the virtual clock */
    uint64_t last_address, spins;
    uint64_t counting, row;          /* row 0 is overhead, layer i is row i + 1 */
    uint64_t previous_address, previous_size;
    uint64_t bank;                   /* the bank being filled; the other holds the last complete window */
    uint64_t windows;                /* complete windows so far */
    uint64_t memory_enabled;         /* crest_memory is hooked */
    uint64_t memory_counted[BANKS];  /* it was when the window opened */
    uint64_t capacity_log2[BANKS], used[BANKS], rows_used[BANKS];
    uint64_t edges[BANKS];           /* edge_t[1 << capacity_log2] */
    uint64_t memory[BANKS];          /* uint64_t[layers_max + 1][REGIONS_MAX + 1][KINDS] */
    uint64_t region_count;
    region_t regions[REGIONS_MAX];
} state_t;

typedef int (*reg_read_t)(void *, int, void *);
typedef int (*reg_write_t)(void *, int, const void *);
typedef int (*emu_stop_t)(void *);

uint64_t crest_state_size(void) { return sizeof(state_t); }

static void stop(void *uc, state_t *s, uint64_t reason) {
    s->reason = reason;
    ((emu_stop_t)(uintptr_t)s->emu_stop)(uc);
}

static edge_t *find(edge_t *edges, uint64_t log2, uint64_t addresses, uint64_t sizes) {
    const uint64_t mask = ((uint64_t)1 << log2) - 1;
    uint64_t slot = ((addresses ^ (sizes * 0x9E3779B97F4A7C15u)) * 0xC2B2AE3D27D4EB4Fu) >> (64 - log2);
    while (edges[slot].count != 0 && (edges[slot].addresses != addresses || edges[slot].sizes != sizes)) {
        slot = (slot + 1) & mask;
    }
    return &edges[slot];
}

/* Moves a bank into a larger table whose slots are all free. */
void crest_grow(state_t *s, uint64_t bank, uint64_t target, uint64_t target_log2) {
    const edge_t *old = (const edge_t *)(uintptr_t)s->edges[bank];
    for (uint64_t i = 0; i < (uint64_t)1 << s->capacity_log2[bank]; i++) {
        if (old[i].count != 0) {
            *find((edge_t *)(uintptr_t)target, target_log2, old[i].addresses, old[i].sizes) = old[i];
        }
    }
    s->edges[bank] = target;
    s->capacity_log2[bank] = target_log2;
}

static void open_window(state_t *s) {
    const uint64_t bank = s->bank;
    edge_t *edges = (edge_t *)(uintptr_t)s->edges[bank];
    uint64_t *memory = (uint64_t *)(uintptr_t)s->memory[bank];
    for (uint64_t i = 0; i < (uint64_t)1 << s->capacity_log2[bank]; i++) {
        edges[i].count = 0;
    }
    for (uint64_t i = 0; i < s->rows_used[bank] * (REGIONS_MAX + 1) * KINDS; i++) {
        memory[i] = 0;
    }
    s->used[bank] = 0;
    s->rows_used[bank] = 1;
    s->memory_counted[bank] = s->memory_enabled;
    s->row = 0;
    s->previous_address = 0;
    s->previous_size = 0;
    s->counting = 1;
}

static int mark(void *uc, state_t *s) {
    uint64_t wide = 0;
    ((reg_read_t)(uintptr_t)s->reg_read)(uc, (int)s->register_r0, &wide);
    const uint32_t id = (uint32_t)wide;
    if (id == MARK_OPEN) {
        open_window(s);
    } else if (id == MARK_CLOSE) {
        if (s->counting) {
            s->counting = 0;
            s->bank ^= 1;
            s->windows++;
        }
    } else if (id == MARK_OVERHEAD) {
        s->row = 0;
    } else if (id < s->layers_max) {
        s->row = (uint64_t)id + 1;
        if (s->counting && s->rows_used[s->bank] < s->row + 1) {
            s->rows_used[s->bank] = s->row + 1;
        }
    } else {
        s->bad_mark = id;
        return 0;
    }
    return 1;
}

void crest_block(void *uc, uint64_t address, uint32_t size, state_t *s) {
    if (s->reason != REASON_NONE) {
        stop(uc, s, s->reason);
        return;
    }
    if (s->guard_blocks == 0) {
        stop(uc, s, REASON_GUARD);
        return;
    }
    s->guard_blocks--;
    s->halfwords += size >> 1;
    /* One instruction that branches to itself never ends, for there are no interrupts. */
    if (address == s->last_address && size <= 4) {
        if (++s->spins == SPIN_LIMIT) {
            stop(uc, s, REASON_SPIN);
            return;
        }
    } else {
        s->last_address = address;
        s->spins = 0;
    }
    if (address == s->mark_address && !mark(uc, s)) {
        stop(uc, s, REASON_BAD_MARK);
        return;
    }
    if (!s->counting) {
        return;
    }
    const uint64_t bank = s->bank;
    const uint64_t addresses = s->previous_address << 32 | address;
    const uint64_t sizes = s->row << 48 | s->previous_size << 24 | size;
    edge_t *edge = find((edge_t *)(uintptr_t)s->edges[bank], s->capacity_log2[bank], addresses, sizes);
    if (edge->count == 0) {
        if (s->used[bank] >> (s->capacity_log2[bank] - 1)) { /* half full */
            stop(uc, s, REASON_TABLE_FULL);
            return;
        }
        s->used[bank]++;
        edge->addresses = addresses;
        edge->sizes = sizes;
    }
    edge->count++;
    s->previous_address = address;
    s->previous_size = size;
}

/* A 64-bit access counts as two of the 32-bit bus. */
void crest_memory(void *uc, int type, uint64_t address, int size, int64_t value, state_t *s) {
    (void)value;
    /* Before it calls this hook, Unicorn 2.1.4 restores the IT state of the accessing instruction and never takes it
     * back: the next block would be translated as the rest of an IT block. Translated code does not read that state. */
    const uint64_t epsr = EPSR_THUMB;
    ((reg_write_t)(uintptr_t)s->reg_write)(uc, (int)s->register_epsr, &epsr);
    if (!s->counting) {
        return;
    }
    uint64_t region = 0;
    while (region < s->region_count && !(address >= s->regions[region].begin && address < s->regions[region].end)) {
        region++;
    }
    uint64_t *counts =
        (uint64_t *)(uintptr_t)s->memory[s->bank] + (s->row * (REGIONS_MAX + 1) + region) * KINDS;
    counts[type == MEM_WRITE ? STORES : LOADS] += size == 8 ? 2 : 1;
    const uint64_t alignment = size >= 4 ? 4 : (uint64_t)size;
    counts[UNALIGNED] += (address & (alignment - 1)) != 0;
}
