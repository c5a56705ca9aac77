/* A module that attacks its runner: the predicate says how. What is not inside its memory must end
 * the process. Each attack that is survived names the object, which the test takes for an answer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../../sdk/wasm/motte_wasm.h"

#define WASI(name, ...)                                                                                               \
	__attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) uint32_t wasi_##name(__VA_ARGS__)
WASI(random_get, uint32_t pointer, uint32_t size);
WASI(fd_write, uint32_t fd, uint32_t vectors, uint32_t count, uint32_t result);
WASI(args_sizes_get, uint32_t *count, uint32_t *size);
WASI(environ_sizes_get, uint32_t *count, uint32_t *size);
WASI(fd_prestat_get, uint32_t fd, uint32_t *result);

static uint32_t object; /* the only one */

/* Hides where a pointer comes from, so that the compiler keeps the access. */
static volatile uint8_t *at(uint32_t pointer)
{
	__asm__ volatile("" : "+r"(pointer));
	return (volatile uint8_t *)pointer;
}

static uint32_t end(void)
{
	return __builtin_wasm_memory_size(0) * 65536u;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a + b;
}

/* Calls a function by another type than its own. */
static void wrong_type(void)
{
	void (*volatile f)(void) = (void (*)(void))add;
	f();
}

static uint32_t recurse(uint32_t n)
{
	volatile uint32_t here[4] = {n, n, n, n};
	return n == UINT32_MAX ? 0 : recurse(n + 1) + here[n & 3];
}

static uint32_t is(const char *name, const uint8_t *predicate, uint32_t size)
{
	return strlen(name) == size && memcmp(name, predicate, size) == 0;
}

/* Grows until that fails, and writes to the last page. Returns 1 if more than 128 MiB and less than
 * 256 MiB were to be had. */
static int grow(void)
{
	while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1)
		;
	*at(end() - 1) = 1;
	return end() > 128u << 20 && end() < 256u << 20 && *at(end() - 1) == 1;
}

static int harmless(const uint8_t *p, uint32_t n)
{
	uint32_t a = 1, b = 1;
	struct timespec t = {0}, short_time = {.tv_nsec = 1000};
	uint8_t random[600] = {0};
	if (is("inside", p, n))
		return *at(end() - 1) == 0;
	if (is("grow", p, n))
		return grow();
	if (is("arguments", p, n))
		return wasi_args_sizes_get(&a, &b) == 0 && a == 0 && b == 0 && wasi_environ_sizes_get(&a, &b) == 0 && a == 0;
	if (is("files", p, n))
		return wasi_fd_prestat_get(3, &a) != 0 && write(7, "x", 1) < 0 && errno == EBADF;
	if (is("clock", p, n))
		return clock_gettime(CLOCK_REALTIME, &t) == 0 && t.tv_sec > 1700000000;
	if (is("random", p, n))
		return wasi_random_get((uint32_t)random, sizeof random) == 0 && memcmp(random, random + 300, 300) != 0;
	if (is("sleep", p, n))
		return nanosleep(&short_time, NULL) == 0;
	if (is("print", p, n))
		return printf("this goes nowhere\n") > 0 && fflush(stdout) == 0;
	return 0;
}

static void harmful(const uint8_t *p, uint32_t n)
{
	uint32_t vector[2] = {end() - 4, 8};
	if (is("read-end", p, n))
		(void)*at(end());
	else if (is("read-border", p, n))
		(void)*(volatile uint64_t *)at(end() - 7);
	else if (is("read-far", p, n))
		(void)*at(0xfffffff0u);
	else if (is("read-negative", p, n))
		(void)*(at(0xffffffffu) + 0);
	else if (is("write-end", p, n))
		*at(end()) = 1;
	else if (is("write-border", p, n))
		*(volatile uint64_t *)at(end() - 7) = 1;
	else if (is("write-negative", p, n))
		*at((uint32_t)-8) = 1;
	else if (is("copy-out", p, n))
		memcpy((void *)at(1024), (void *)at(end() - 100), 4096);
	else if (is("copy-in", p, n))
		memcpy((void *)at(end() - 100), (void *)at(1024), 4096);
	else if (is("fill", p, n))
		memset((void *)at(end() - 100), 1, 4096);
	else if (is("search-object", p, n))
		motte_found(object + 1000);
	else if (is("search-zero", p, n))
		motte_found(0);
	else if (is("after-count", p, n))
		motte_after(motte_after_count());
	else if (is("no-candidate", p, n))
		motte_candidate(0);
	else if (is("candidate-object", p, n))
		motte_is_candidate(object + 1000);
	else if (is("starts-after", p, n))
		motte_starts_after(0);
	else if (is("write-outside", p, n))
		motte_write("x", 1);
	else if (is("write-pointer", p, n))
		motte_write((void *)at(end() - 4), 8);
	else if (is("random-pointer", p, n))
		wasi_random_get(end() - 4, 8);
	else if (is("vectors-pointer", p, n))
		wasi_fd_write(1, (uint32_t)vector, 1, (uint32_t)&vector[0]);
	else if (is("call-type", p, n))
		wrong_type();
	else if (is("call-null", p, n))
		((void (*)(void))at(0))();
	else if (is("call-far", p, n))
		((void (*)(void))at(100000))();
	else if (is("recursion", p, n))
		(void)*at(recurse(0));
	else if (is("unreachable", p, n))
		__builtin_trap();
	else if (is("divide", p, n))
		object = object / *at(8);
	else if (is("exit", p, n))
		_Exit(0);
}

uint32_t motte_configure(uint32_t type, uint32_t ordered, uint32_t max_results, const uint8_t *options, uint32_t size)
{
	(void)type, (void)ordered, (void)max_results, (void)options, (void)size;
	return MOTTE_OK;
}

uint32_t motte_insert(uint32_t number, uint64_t owner, const uint8_t *input, uint32_t size)
{
	(void)owner, (void)input, (void)size;
	object = number;
	return MOTTE_OK;
}

void motte_remove(uint32_t number)
{
	(void)number;
}

uint32_t motte_search(const uint8_t *predicate, uint32_t size, uint32_t limit, uint64_t owner)
{
	(void)limit, (void)owner;
	if (is("result", predicate, size))
		return 77;
	if (harmless(predicate, size)) {
		motte_found(object);
		return MOTTE_OK;
	}
	harmful(predicate, size);
	motte_found(object);
	return MOTTE_OK;
}
