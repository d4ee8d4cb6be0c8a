/* A Unicorn hook that follows calls: which block ran in which calling context, how often, and where it went from there.
 * No libc: built with -nostdlib -ffreestanding. It comes behind crest_block of profile_hook.c, whose stop it respects.
 *
 * A context is a path of functions from the first one, a node of a tree. The path is kept by a shadow stack: a call (BL,
 * BLX) pushes a frame; an indirect branch that lands on a frame's return address, with the stack pointer where it was
 * at the call or above, pops it; and frames that the stack pointer has left behind are gone, whoever unwound them
 * (longjmp). Code of another function that is reached in any other way is a tail call: that function comes under the
 * running one, or, where it is a link of the same chain of tail calls already, the path goes back to it. So the last
 * function of a path is always the one that a block belongs to, whatever became of the stack.
 */
#include <stdint.h>

enum { DEPTH_MAX = 256 };
enum { KIND_PLAIN, KIND_CALL, KIND_INDIRECT };
enum { ENDED_NOT, ENDED_TO, ENDED_RETURNED, ENDED_BUDGET, ENDED_FULL };

#define NONE 0xFFFFFFFFu

/* Entries of a table begin with a key of two words. They lie in order of arrival; the index hashes keys to them. */
typedef struct {
    uint64_t index; /* uint32_t[1 << index_log2]: entry + 1; 0: free */
    uint64_t index_log2;
    uint64_t entries; /* uint64_t[capacity][words] */
    uint64_t words;
    uint64_t used, capacity;
} table_t;

enum { BLOCK_ADDRESS, BLOCK_SIZE, BLOCK_KIND, BLOCK_FUNCTION, BLOCK_INSTRUCTIONS, BLOCK_WORDS };
enum { NODE_PARENT, NODE_FUNCTION, NODE_CALLS, NODE_WORDS };
enum { EDGE_FROM, EDGE_TO, EDGE_COUNT, EDGE_WORDS }; /* node << 32 | block */

typedef struct {
    uint32_t parent; /* node of the caller */
    uint32_t return_address, stack_pointer;
} frame_t;

typedef struct {
    uint64_t reg_read, mem_read, emu_stop; /* addresses of uc_reg_read, uc_mem_read, uc_emu_stop */
    uint64_t register_sp, register_lr;     /* Unicorn's numbers */
    uint64_t stop_reason;                  /* address of the word by which hooks and devices ask to stop */
    uint64_t reason;                       /* what is written there */
    uint64_t from_address, to_address;     /* 1, which no block has: at once, and never */
    uint64_t end_on_return;                /* of the function at from_address */
    uint64_t budget;                       /* instructions that may still be counted */
    uint64_t counting, ended, end_address; /* where the last block went, which is not counted any more */
    uint64_t instructions;
    uint64_t deep_calls;                   /* beyond DEPTH_MAX: functions between are missing from the paths */
    uint64_t node, block;
    uint64_t depth;
    uint64_t function_count;
    uint64_t function_begins, function_ends; /* uint32_t[function_count], sorted */
    table_t blocks, nodes, edges;            /* nodes have function_count + 1 entries more, for when they are full */
    frame_t frames[DEPTH_MAX];
} state_t;

typedef int (*reg_read_t)(void *, int, void *);
typedef int (*mem_read_t)(void *, uint64_t, void *, uint64_t);
typedef int (*emu_stop_t)(void *);

uint64_t crest_state_size(void) { return sizeof(state_t); }

static void stop(void *uc, const state_t *s) {
    *(uint64_t *)(uintptr_t)s->stop_reason = s->reason;
    ((emu_stop_t)(uintptr_t)s->emu_stop)(uc);
}

static void end(void *uc, state_t *s, uint64_t address, uint64_t how) {
    s->ended = how;
    s->end_address = address;
    s->counting = 0;
    stop(uc, s);
}

static uint64_t *entry(const table_t *t, uint64_t at) { return (uint64_t *)(uintptr_t)t->entries + at * t->words; }

/* The number of an entry, which is made where there is none; NONE when the table is full. */
static uint64_t find(table_t *t, uint64_t a, uint64_t b) {
    uint32_t *index = (uint32_t *)(uintptr_t)t->index;
    const uint64_t mask = ((uint64_t)1 << t->index_log2) - 1;
    uint64_t at = ((a ^ (b * 0x9E3779B97F4A7C15u)) * 0xC2B2AE3D27D4EB4Fu) >> (64 - t->index_log2);
    for (; index[at] != 0; at = (at + 1) & mask) {
        const uint64_t *found = entry(t, index[at] - 1u);
        if (found[0] == a && found[1] == b) return index[at] - 1u;
    }
    if (t->used == t->capacity) return NONE;
    uint64_t *fresh = entry(t, t->used);
    fresh[0] = a;
    fresh[1] = b;
    index[at] = (uint32_t)++t->used;
    return t->used - 1;
}

static uint32_t read_register(void *uc, const state_t *s, uint64_t number) {
    uint64_t wide = 0;
    ((reg_read_t)(uintptr_t)s->reg_read)(uc, (int)number, &wide);
    return (uint32_t)wide;
}

static uint32_t halfword(void *uc, const state_t *s, uint64_t address) {
    uint16_t half = 0;
    ((mem_read_t)(uintptr_t)s->mem_read)(uc, address, &half, sizeof half);
    return half;
}

static uint64_t kind_of(uint32_t half, uint32_t second, int is_wide) {
    if (is_wide) {
        if ((half & 0xF800) == 0xF000 && (second & 0xD000) == 0xD000) return KIND_CALL;     /* BL */
        if ((half & 0xFFD0) == 0xE890 && (second & 0x8000)) return KIND_INDIRECT;           /* LDM, POP */
        if ((half & 0xFFD0) == 0xE910 && (second & 0x8000)) return KIND_INDIRECT;           /* LDMDB */
        if ((half & 0xFF70) == 0xF850 && (second & 0xF000) == 0xF000) return KIND_INDIRECT; /* LDR pc */
        return KIND_PLAIN;
    }
    if ((half & 0xFF87) == 0x4780) return KIND_CALL; /* BLX */
    if ((half & 0xFF87) == 0x4700 || (half & 0xFF00) == 0xBD00) return KIND_INDIRECT; /* BX, POP */
    return (half & 0xFF87) == 0x4687 ? KIND_INDIRECT : KIND_PLAIN; /* MOV pc */
}

static uint64_t function_at(const state_t *s, uint32_t address) {
    const uint32_t *begins = (const uint32_t *)(uintptr_t)s->function_begins;
    const uint32_t *ends = (const uint32_t *)(uintptr_t)s->function_ends;
    uint64_t low = 0, high = s->function_count;
    while (low < high) {
        const uint64_t middle = (low + high) / 2;
        if (begins[middle] <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && address < ends[low - 1] ? low - 1 : s->function_count;
}

static int is_entry(const state_t *s, uint32_t address, uint64_t function) {
    return function < s->function_count && ((const uint32_t *)(uintptr_t)s->function_begins)[function] == address;
}

/* Decodes a block when it is met for the first time. */
static uint64_t block_at(void *uc, state_t *s, uint64_t address, uint32_t size) {
    const uint64_t known = s->blocks.used, at = find(&s->blocks, address, size);
    if (at == NONE || at < known) return at;
    uint32_t half = 0, second = 0, instructions = 0;
    int is_wide = 0;
    for (uint64_t offset = 0; offset < size; offset += is_wide ? 4 : 2) {
        half = halfword(uc, s, address + offset);
        is_wide = half >> 11 >= 0x1D;
        second = is_wide ? halfword(uc, s, address + offset + 2) : 0;
        instructions++;
    }
    uint64_t *block = entry(&s->blocks, at);
    block[BLOCK_KIND] = kind_of(half, second, is_wide);
    block[BLOCK_FUNCTION] = function_at(s, (uint32_t)address);
    block[BLOCK_INSTRUCTIONS] = instructions;
    return at;
}

static uint64_t child(state_t *s, uint64_t parent, uint64_t function) {
    uint64_t at = find(&s->nodes, parent, function);
    if (at == NONE) {
        at = s->nodes.capacity + function;
        entry(&s->nodes, at)[NODE_FUNCTION] = function;
    }
    return at;
}

static void enter(state_t *s, uint64_t parent, uint64_t function, int is_call) {
    s->node = child(s, parent, function);
    entry(&s->nodes, s->node)[NODE_CALLS] += is_call != 0;
}

static uint64_t caller(const state_t *s) { return s->depth ? s->frames[s->depth - 1].parent : NONE; }

/* Code of another function is reached without a call and without a return. Beyond the deepest frame nobody knows who
 * called whom. */
static void jump(void *uc, state_t *s, uint32_t address, uint64_t function) {
    const int enters = is_entry(s, address, function);
    const uint64_t bottom = caller(s);
    if (s->depth == DEPTH_MAX) {
        enter(s, bottom, function, enters);
        return;
    }
    for (uint64_t node = s->node; node != NONE && node != bottom; node = entry(&s->nodes, node)[NODE_PARENT]) {
        if (entry(&s->nodes, node)[NODE_FUNCTION] == function) {
            s->node = node;
            entry(&s->nodes, node)[NODE_CALLS] += enters != 0;
            return;
        }
    }
    /* In the middle of the caller, with its stack: what it had called is gone. */
    if (!enters && bottom != NONE && entry(&s->nodes, bottom)[NODE_FUNCTION] == function &&
        read_register(uc, s, s->register_sp) == s->frames[s->depth - 1].stack_pointer) {
        s->node = bottom;
        s->depth--;
        return;
    }
    enter(s, s->node, function, enters);
}

static void push(void *uc, state_t *s, uint32_t return_address, uint64_t parent) {
    s->frames[s->depth++] = (frame_t){(uint32_t)parent, return_address, read_register(uc, s, s->register_sp)};
}

/* Pops what the running function returns from, and what has been left behind; says whether the first function returned. */
static int unwind(void *uc, state_t *s, uint32_t address) {
    const uint32_t sp = read_register(uc, s, s->register_sp);
    while (s->depth) {
        const frame_t *top = &s->frames[s->depth - 1];
        const int returns = top->return_address == address && sp >= top->stack_pointer;
        if (!returns && sp <= top->stack_pointer) return 0;
        if (s->depth == 1 && s->end_on_return) return 1;
        s->node = top->parent;
        s->depth--;
        if (returns) return 0;
    }
    return 0;
}

/* Moves from the last block to one at an address; says whether the run goes on. */
static int move(void *uc, state_t *s, uint32_t address, uint64_t function) {
    const uint64_t *before = entry(&s->blocks, s->block);
    const uint64_t behind = before[BLOCK_ADDRESS] + before[BLOCK_SIZE];
    const int leaves = s->node == NONE || entry(&s->nodes, s->node)[NODE_FUNCTION] != function;
    /* On ARMv6-M, BL to a place in the same function is a long jump. */
    if (behind != address && before[BLOCK_KIND] == KIND_CALL && (leaves || is_entry(s, address, function))) {
        if (s->depth == DEPTH_MAX) {
            s->deep_calls++;
            enter(s, caller(s), function, 1);
        } else {
            push(uc, s, (uint32_t)behind, s->node);
            enter(s, s->node, function, 1);
        }
        return 1;
    }
    if (leaves || (behind != address && before[BLOCK_KIND] == KIND_INDIRECT)) {
        if (unwind(uc, s, address)) return 0;
        if (s->node == NONE || entry(&s->nodes, s->node)[NODE_FUNCTION] != function) {
            jump(uc, s, address, function);
        }
    }
    return 1;
}

void crest_call_block(void *uc, uint64_t address, uint32_t size, state_t *s) {
    if (*(const uint64_t *)(uintptr_t)s->stop_reason != 0 || s->ended) return;
    const int begins = !s->counting;
    if (begins && s->from_address != 1 && address != s->from_address) return;
    if (!begins && address == s->to_address) {
        end(uc, s, address, ENDED_TO);
        return;
    }
    const uint64_t at = block_at(uc, s, address, size);
    if (at == NONE) {
        end(uc, s, address, ENDED_FULL);
        return;
    }
    const uint64_t *block = entry(&s->blocks, at);
    if (block[BLOCK_INSTRUCTIONS] > s->budget) {
        end(uc, s, address, ENDED_BUDGET);
        return;
    }
    uint64_t from = ~(uint64_t)0;
    if (begins) {
        s->counting = 1;
        push(uc, s, read_register(uc, s, s->register_lr) & ~1u, NONE);
        enter(s, NONE, block[BLOCK_FUNCTION], 1);
    } else {
        from = s->node << 32 | s->block;
        if (!move(uc, s, (uint32_t)address, block[BLOCK_FUNCTION])) {
            end(uc, s, address, ENDED_RETURNED);
            return;
        }
    }
    const uint64_t edge = find(&s->edges, from, s->node << 32 | at);
    if (edge == NONE) {
        end(uc, s, address, ENDED_FULL);
        return;
    }
    entry(&s->edges, edge)[EDGE_COUNT]++;
    s->budget -= block[BLOCK_INSTRUCTIONS];
    s->instructions += block[BLOCK_INSTRUCTIONS];
    s->block = at;
}
