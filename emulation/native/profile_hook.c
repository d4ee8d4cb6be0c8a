/* Unicorn hooks that count what firmware executes. No libc: built with -nostdlib -ffreestanding.
 *
 * An edge is (layer, previous block, this block). Counting edges is enough: block contents are disassembled once in
 * Python, and a branch was taken where the previous block does not end at the address of this one.
 *
 * A hook that asks to stop returns before it counts: Unicorn then leaves the block unexecuted and calls the hook
 * again on resumption, so stopping never disturbs a count. (Stopping inside a memory access would restart that access.)
 */
#include <stdint.h>

#include "memory_system.h"

enum { BANKS = 2, REGIONS_MAX = 16, KINDS = 3 };
enum { LOADS = 0, STORES = 1, UNALIGNED = 2 };
enum { MEM_WRITE = 17 };
enum { REASON_NONE, REASON_GUARD, REASON_SPIN, REASON_BAD_MARK, REASON_TABLE_FULL, REASON_STACK };
enum { SPIN_LIMIT = 100000, STACK_CHECK_BLOCKS = 64 };

#define EPSR_THUMB 0x01000000u
#define MARK_OPEN 0xFFFFFFFEu
#define MARK_CLOSE 0xFFFFFFFFu
#define MARK_OVERHEAD 0xFFFFFFFDu

/* What is counted: an edge, or a place that made an unaligned access. */
typedef struct {
    uint64_t key;   /* edge: previous << 32 | this; place: block << 32 | number of the access in its execution */
    uint64_t sizes; /* edge: row << 48 | previous size << 24 | this size; place: block size << 24 | access size */
    uint64_t count; /* 0: free slot */
} slot_t;

typedef struct {
    uint64_t slots; /* slot_t[1 << capacity_log2] */
    uint64_t capacity_log2, used;
} table_t;

typedef struct {
    uint64_t begin, end;
} region_t;

typedef struct {
    uint64_t reg_read, reg_write;    /* addresses of uc_reg_read, uc_reg_write */
    uint64_t emu_stop;               /* address of uc_emu_stop */
    uint64_t register_r0;            /* Unicorn's numbers of R0 and EPSR */
    uint64_t register_epsr;
    uint64_t register_sp;
    uint64_t lazy_pc;                /* address of Unicorn's flag, see set_lazy_pc; 0: unknown */
    uint64_t mark_address;           /* entry of crest_layer_mark; 1 (never executed) when absent */
    uint64_t layers_max;
    uint64_t guard_blocks;           /* blocks left before the run is stopped */
    uint64_t reason;                 /* why the run stops; above 15 somebody else asked */
    uint64_t stack_limit;            /* lowest address that the stack may reach; 0 when it is not known */
    uint64_t stack_pointer;          /* where it was found below */
    uint64_t bad_mark;               /* the id that means nothing */
    uint64_t halfwords;              /* executed code in halfwords: the virtual clock */
    uint64_t last_address, spins;
    uint64_t counting, row;          /* row 0 is overhead, layer i is row i + 1 */
    uint64_t previous_address, previous_size;
    uint64_t accesses;               /* of the block at hand, so far */
    uint64_t bank;                   /* the bank being filled; the other holds the last complete window */
    uint64_t windows;                /* complete windows so far */
    uint64_t opened_at[BANKS];       /* the virtual clock when the window of the bank opened, and when it closed */
    uint64_t closed_at[BANKS];
    uint64_t memory_enabled;         /* crest_memory is hooked */
    uint64_t memory_counted[BANKS];  /* it was when the window opened */
    uint64_t rows_used[BANKS];
    table_t edges[BANKS], unaligned[BANKS];
    uint64_t memory[BANKS];          /* uint64_t[layers_max + 1][REGIONS_MAX + 1][KINDS] */
    uint64_t events[BANKS];          /* uint64_t[layers_max + 1][EVENTS] */
    memory_system_t system;
    uint64_t region_count;
    region_t regions[REGIONS_MAX];
} state_t;

typedef int (*reg_read_t)(void *, int, void *);
typedef int (*reg_write_t)(void *, int, const void *);
typedef int (*emu_stop_t)(void *);

uint64_t crest_state_size(void) { return sizeof(state_t); }

/* Before it calls a memory hook, Unicorn 2.1.4 looks up PC and IT state of the accessing instruction, from the
 * beginning of its block: that takes ten times longer than everything else here. A flag of its own keeps it from doing
 * so. Whoever stops the run must clear the flag first, or the PC stays wherever it was written last. */
static void set_lazy_pc(const state_t *s, uint8_t value) {
    if (s->lazy_pc != 0) {
        *(uint8_t *)(uintptr_t)s->lazy_pc = value;
    }
}

static void stop(void *uc, state_t *s, uint64_t reason) {
    s->reason = reason;
    set_lazy_pc(s, 0);
    ((emu_stop_t)(uintptr_t)s->emu_stop)(uc);
}

static slot_t *find(const table_t *table, uint64_t key, uint64_t sizes) {
    slot_t *slots = (slot_t *)(uintptr_t)table->slots;
    const uint64_t mask = ((uint64_t)1 << table->capacity_log2) - 1;
    uint64_t at = ((key ^ (sizes * 0x9E3779B97F4A7C15u)) * 0xC2B2AE3D27D4EB4Fu) >> (64 - table->capacity_log2);
    while (slots[at].count != 0 && (slots[at].key != key || slots[at].sizes != sizes)) {
        at = (at + 1) & mask;
    }
    return &slots[at];
}

static int half_full(const table_t *table) { return table->used >> (table->capacity_log2 - 1) != 0; }

/* The slot of a key, which becomes used. */
static slot_t *enter(table_t *table, slot_t *slot, uint64_t key, uint64_t sizes) {
    table->used++;
    slot->key = key;
    slot->sizes = sizes;
    return slot;
}

static void clear(table_t *table) {
    slot_t *slots = (slot_t *)(uintptr_t)table->slots;
    for (uint64_t i = 0; i < (uint64_t)1 << table->capacity_log2; i++) {
        slots[i].count = 0;
    }
    table->used = 0;
}

/* Moves a table to a larger place whose slots are all free. */
void crest_grow(table_t *table, uint64_t slots, uint64_t capacity_log2) {
    const slot_t *old = (const slot_t *)(uintptr_t)table->slots;
    const table_t grown = {slots, capacity_log2, table->used};
    for (uint64_t i = 0; i < (uint64_t)1 << table->capacity_log2; i++) {
        if (old[i].count != 0) {
            *find(&grown, old[i].key, old[i].sizes) = old[i];
        }
    }
    *table = grown;
}

static uint64_t *events_of(const state_t *s) {
    return (uint64_t *)(uintptr_t)s->events[s->bank] + s->row * EVENTS;
}

/* Every window begins with empty caches, so that it counts the same whatever ran before it. */
static void open_window(state_t *s) {
    const uint64_t bank = s->bank;
    uint64_t *memory = (uint64_t *)(uintptr_t)s->memory[bank];
    uint64_t *events = (uint64_t *)(uintptr_t)s->events[bank];
    clear(&s->edges[bank]);
    clear(&s->unaligned[bank]);
    for (uint64_t i = 0; i < s->rows_used[bank] * (REGIONS_MAX + 1) * KINDS; i++) {
        memory[i] = 0;
    }
    for (uint64_t i = 0; i < s->rows_used[bank] * EVENTS; i++) {
        events[i] = 0;
    }
    memory_reset(&s->system);
    s->rows_used[bank] = 1;
    s->memory_counted[bank] = s->memory_enabled;
    s->opened_at[bank] = s->halfwords;
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
            s->closed_at[s->bank] = s->halfwords;
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

static uint64_t region_of(const state_t *s, uint64_t address) {
    uint64_t region = 0;
    while (region < s->region_count && !(address >= s->regions[region].begin && address < s->regions[region].end)) {
        region++;
    }
    return region;
}

/* Asking for a register takes longer than all else in a block: every block where accesses are slow anyhow, else some. */
static int stack_overflows(void *uc, state_t *s) {
    if (s->stack_limit == 0 || (!s->memory_enabled && s->guard_blocks % STACK_CHECK_BLOCKS != 0)) {
        return 0;
    }
    ((reg_read_t)(uintptr_t)s->reg_read)(uc, (int)s->register_sp, &s->stack_pointer);
    s->stack_pointer &= 0xFFFFFFFFu;
    return s->stack_pointer < s->stack_limit;
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
    if (stack_overflows(uc, s)) {
        stop(uc, s, REASON_STACK);
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
    if (s->memory_enabled) {
        set_lazy_pc(s, 1);
    }
    if (!s->counting) {
        return;
    }
    table_t *edges = &s->edges[s->bank];
    const uint64_t key = s->previous_address << 32 | address;
    const uint64_t sizes = s->row << 48 | s->previous_size << 24 | size;
    slot_t *edge = find(edges, key, sizes);
    if (edge->count == 0) {
        if (half_full(edges)) {
            stop(uc, s, REASON_TABLE_FULL);
            return;
        }
        enter(edges, edge, key, sizes);
    }
    edge->count++;
    if (s->memory_enabled && s->system.enabled && s->system.fetched_regions >> region_of(s, address) & 1) {
        memory_fetch(&s->system, address, size, s->previous_address + s->previous_size != address, events_of(s));
    }
    s->previous_address = address;
    s->previous_size = size;
    s->accesses = 0;
}

static void count_unaligned(state_t *s, int size) {
    table_t *places = &s->unaligned[s->bank];
    const uint64_t key = s->previous_address << 32 | s->accesses;
    const uint64_t sizes = s->previous_size << 24 | (uint64_t)size;
    slot_t *place = find(places, key, sizes);
    if (place->count == 0) {
        if (half_full(places)) { /* before the next block; the other half is room for this one */
            s->reason = s->reason == REASON_NONE ? REASON_TABLE_FULL : s->reason;
        }
        if (places->used + 1 == (uint64_t)1 << places->capacity_log2) {
            return;
        }
        enter(places, place, key, sizes);
    }
    place->count++;
}

/* A 64-bit access counts as two of the 32-bit bus. */
void crest_memory(void *uc, int type, uint64_t address, int size, int64_t value, state_t *s) {
    (void)value;
    if (s->lazy_pc == 0) {
        /* Unicorn never takes back the IT state that it looked up: the next block would be translated as the rest of
         * an IT block. Translated code does not read that state. */
        const uint64_t epsr = EPSR_THUMB;
        ((reg_write_t)(uintptr_t)s->reg_write)(uc, (int)s->register_epsr, &epsr);
    }
    if (!s->counting) {
        return;
    }
    const uint64_t region = region_of(s, address);
    uint64_t *counts =
        (uint64_t *)(uintptr_t)s->memory[s->bank] + (s->row * (REGIONS_MAX + 1) + region) * KINDS;
    counts[type == MEM_WRITE ? STORES : LOADS] += size == 8 ? 2 : 1;
    const uint64_t alignment = size >= 4 ? 4 : (uint64_t)size;
    if (address & (alignment - 1)) {
        counts[UNALIGNED]++;
        count_unaligned(s, size);
    }
    s->accesses++;
    if (s->system.enabled) {
        memory_access(&s->system, address, (uint64_t)size, (uint64_t)1 << region, type == MEM_WRITE, events_of(s));
    }
}
