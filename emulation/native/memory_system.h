/* What a memory system sees of a run: flash lines that are entered, cache lines that miss. Cycles are none of its
 * business. A cache replaces the least recently used line of a set; a line that is stored to is fetched first and
 * written back when it is replaced.
 */
#ifndef CREST_MEMORY_SYSTEM_H
#define CREST_MEMORY_SYSTEM_H

#include <stdint.h>

/* In the order of EVENT_COUNTS in crest/emulators/profile.py. */
enum {
    FETCH_LINES_SEQUENTIAL,
    FETCH_LINES_BRANCH,
    FETCH_MISSES_SEQUENTIAL,
    FETCH_MISSES_BRANCH,
    FLASH_LOAD_LINE_CHANGES,
    FLASH_LOAD_MISSES,
    FLASH_LOAD_MISSES_SEQUENTIAL,
    RAM_LOAD_MISSES,
    RAM_STORE_MISSES,
    WRITE_BACKS,
    EVENTS,
};

#define NO_LINE UINT64_MAX

typedef struct {
    uint64_t line_log2;
    uint64_t sets, ways; /* sets: a power of two; ways 0: there is no such cache */
    uint64_t tags;       /* uint32_t[sets][ways], most recently used first: (line + 1) << 1 | dirty; 0 is free */
} cache_t;

typedef struct {
    uint64_t enabled;
    uint64_t line_log2;       /* of what flash delivers at once */
    uint64_t fetched_regions; /* bit masks over the regions: code fetched by lines, */
    uint64_t flash_regions;   /* loads from flash, */
    uint64_t cached_regions;  /* and data that goes through the cache */
    uint64_t is_unified;      /* data goes through the instruction cache, too */
    cache_t instruction, data;
    uint64_t fetch_line, load_line; /* the last ones */
} memory_system_t;

static inline uint32_t *cache_set(const cache_t *cache, uint64_t line) {
    return (uint32_t *)(uintptr_t)cache->tags + (line & (cache->sets - 1)) * cache->ways;
}

static inline int cache_holds_first(const cache_t *cache, uint64_t line) {
    return cache_set(cache, line)[0] >> 1 == (uint32_t)line + 1;
}

static inline int cache_holds(const cache_t *cache, uint64_t line) {
    const uint32_t *set = cache_set(cache, line);
    for (uint64_t way = 0; way < cache->ways; way++) {
        if (set[way] >> 1 == (uint32_t)line + 1) {
            return 1;
        }
    }
    return 0;
}

/* Touches a line; returns whether it missed. */
static inline int cache_touch(const cache_t *cache, uint64_t line, uint32_t dirty, uint64_t *events) {
    uint32_t *set = cache_set(cache, line);
    const uint32_t tag = (uint32_t)line + 1;
    if (set[0] >> 1 == tag) {
        set[0] |= dirty;
        return 0;
    }
    uint64_t way = 1;
    while (way + 1 < cache->ways && set[way] >> 1 != tag) {
        way++;
    }
    way = way < cache->ways ? way : 0;
    uint32_t entry = set[way];
    const int missed = entry >> 1 != tag;
    if (missed) {
        events[WRITE_BACKS] += entry & 1;
        entry = tag << 1;
    }
    for (; way > 0; way--) {
        set[way] = set[way - 1];
    }
    set[0] = entry | dirty;
    return missed;
}

static inline void cache_empty(const cache_t *cache) {
    uint32_t *tags = (uint32_t *)(uintptr_t)cache->tags;
    for (uint64_t i = 0; i < cache->sets * cache->ways; i++) {
        tags[i] = 0;
    }
}

static inline void memory_reset(memory_system_t *m) {
    cache_empty(&m->instruction);
    cache_empty(&m->data);
    m->fetch_line = m->load_line = NO_LINE;
}

/* The lines of a block of code, the first of which may be the one that is being read. */
static inline void memory_fetch(memory_system_t *m, uint64_t address, uint64_t size, int is_branch, uint64_t *events) {
    const cache_t *cache = &m->instruction;
    const uint64_t last = (address + size - 1) >> m->line_log2;
    for (uint64_t line = address >> m->line_log2; line <= last; line++, is_branch = 0) {
        if (line == m->fetch_line) {
            continue;
        }
        m->fetch_line = line;
        events[is_branch ? FETCH_LINES_BRANCH : FETCH_LINES_SEQUENTIAL]++;
        if (cache->ways != 0 && cache_touch(cache, line << m->line_log2 >> cache->line_log2, 0, events)) {
            events[is_branch ? FETCH_MISSES_BRANCH : FETCH_MISSES_SEQUENTIAL]++;
        }
    }
}

static inline void memory_load_flash(memory_system_t *m, const cache_t *cache, uint64_t first, uint64_t last,
                                     uint64_t *events) {
    for (uint64_t line = first; line <= last; line++) {
        events[FLASH_LOAD_LINE_CHANGES] += line != m->load_line;
        m->load_line = line;
        const uint64_t cached = line << m->line_log2 >> cache->line_log2;
        if (cache->ways == 0 || cache_holds_first(cache, cached)) {
            continue;
        }
        const int follows = cached != 0 && cache_holds(cache, cached - 1);
        if (cache_touch(cache, cached, 0, events)) {
            events[FLASH_LOAD_MISSES]++;
            events[FLASH_LOAD_MISSES_SEQUENTIAL] += (uint64_t)follows;
        }
    }
}

/* An access to data in a region, given as its bit. */
static inline void memory_access(memory_system_t *m, uint64_t address, uint64_t size, uint64_t region, int is_store,
                                 uint64_t *events) {
    const cache_t *cache = m->is_unified ? &m->instruction : &m->data;
    const uint64_t end = address + size - 1;
    if (m->flash_regions & region) {
        memory_load_flash(m, cache, address >> m->line_log2, end >> m->line_log2, events);
    } else if (m->cached_regions & region && cache->ways != 0) {
        for (uint64_t line = address >> cache->line_log2; line <= end >> cache->line_log2; line++) {
            if (cache_touch(cache, line, (uint32_t)is_store, events)) {
                events[is_store ? RAM_STORE_MISSES : RAM_LOAD_MISSES]++;
            }
        }
    }
}

#endif
