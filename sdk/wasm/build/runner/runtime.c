/* What the code that wasm2c makes needs at run time: memory, tables, types of functions, traps.
 *
 * The memory is one reservation of addresses, and never moves. Its pages become accessible when the
 * module asks for them, and count against the Task's limit from then on. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "runner.h"

enum { PAGE = 65536, MAX_PAGES = 65535 }; /* the size of a memory is kept in 32 bits */

void wasm_rt_trap(wasm_rt_trap_t why)
{
	(void)why;
	runner_trap();
}

bool wasm_rt_is_initialized(void)
{
	return true;
}

static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n > 0 ? n : 1, size);
	if (!p)
		_Exit(1);
	return p;
}

/* ---- Memory -------------------------------------------------------------------------------- */

/* Returns the most pages that are worth a reservation: the limit of the Task's memory. */
static uint32_t useful_pages(uint32_t max_pages)
{
	struct rlimit limit;
	uint64_t most = max_pages < MAX_PAGES ? max_pages : MAX_PAGES;
	if (getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur / PAGE < most)
		most = limit.rlim_cur / PAGE;
	return (uint32_t)most;
}

void wasm_rt_allocate_memory(wasm_rt_memory_t *memory, uint32_t pages, uint32_t max_pages)
{
	memory->max_pages = useful_pages(max_pages);
	memory->pages = memory->size = 0;
	memory->data = mmap(NULL, (size_t)memory->max_pages * PAGE + PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory->data == MAP_FAILED || wasm_rt_grow_memory(memory, pages) != 0)
		_Exit(1);
}

uint32_t wasm_rt_grow_memory(wasm_rt_memory_t *memory, uint32_t delta)
{
	uint32_t pages = memory->pages;
	if (delta > memory->max_pages - pages)
		return UINT32_MAX;
	uint8_t *end = memory->data + (size_t)pages * PAGE;
	if (delta > 0 && mprotect(end, (size_t)delta * PAGE, PROT_READ | PROT_WRITE) != 0)
		return UINT32_MAX;
	memory->pages += delta;
	memory->size = memory->pages * PAGE;
	return pages;
}

void wasm_rt_free_memory(wasm_rt_memory_t *memory)
{
	munmap(memory->data, (size_t)memory->max_pages * PAGE + PAGE);
}

/* ---- Tables -------------------------------------------------------------------------------- */

#define TABLE(type)                                                                                                   \
	void wasm_rt_allocate_##type##_table(wasm_rt_##type##_table_t *table, uint32_t size, uint32_t max_size)       \
	{                                                                                                             \
		table->data = allocate(size, sizeof *table->data);                                                    \
		table->size = size;                                                                                   \
		table->max_size = max_size;                                                                           \
	}                                                                                                             \
	void wasm_rt_free_##type##_table(wasm_rt_##type##_table_t *table)                                             \
	{                                                                                                             \
		free(table->data);                                                                                    \
	}                                                                                                             \
	uint32_t wasm_rt_grow_##type##_table(wasm_rt_##type##_table_t *table, uint32_t delta, wasm_rt_##type##_t init) \
	{                                                                                                             \
		uint32_t size = table->size;                                                                          \
		if (delta > table->max_size - size)                                                                   \
			return UINT32_MAX;                                                                            \
		size_t bytes = ((size_t)size + delta) * sizeof *table->data;                                          \
		void *data = realloc(table->data, bytes > 0 ? bytes : 1);                                             \
		if (!data)                                                                                            \
			return UINT32_MAX;                                                                            \
		table->data = data;                                                                                   \
		table->size += delta;                                                                                 \
		for (uint32_t i = size; i < table->size; i++)                                                         \
			table->data[i] = init;                                                                        \
		return size;                                                                                          \
	}

TABLE(funcref)
TABLE(externref)

/* ---- Types of functions: equal types have one number, from 1 on ----------------------------- */

struct type {
	uint32_t params, results;
	wasm_rt_type_t *all; /* params, then results */
};

static struct type *types;
static uint32_t type_count;

uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...)
{
	size_t n = (size_t)params + results;
	struct type t = {params, results, allocate(n, sizeof *t.all)};
	va_list list;
	va_start(list, results);
	for (size_t i = 0; i < n; i++)
		t.all[i] = va_arg(list, wasm_rt_type_t);
	va_end(list);
	for (uint32_t i = 0; i < type_count; i++)
		if (types[i].params == params && types[i].results == results &&
		    memcmp(types[i].all, t.all, n * sizeof *t.all) == 0) {
			free(t.all);
			return i + 1;
		}
	types = realloc(types, (type_count + 1) * sizeof *types);
	if (!types)
		_Exit(1);
	types[type_count++] = t;
	return type_count;
}
