/* The functions of wasip1 that C's and Go's libraries need. A Task has no arguments, no environment
 * and no files: the standard streams swallow what is written, and no directory is open. */
#define _DEFAULT_SOURCE /* getentropy, clock_gettime */
#include <time.h>
#include <unistd.h>

#include "runner.h"

/* Error numbers of wasip1. */
enum { SUCCESS = 0, BADF = 8, INVAL = 28, IO = 29, NOTSUP = 58, SPIPE = 70 };

/* Layouts of wasip1. */
enum {
	IOVEC = 8,         /* pointer 4, size 4 */
	FDSTAT = 24,       /* file type 1, flags 2 at 2, rights 8 at 8, inherited rights 8 at 16 */
	SUBSCRIPTION = 48, /* user data 8, kind 1 at 8, clock 4 at 16, time 8 at 24, precision 8, flags 2 at 40 */
	EVENT = 32,        /* user data 8, error 2 at 8, kind 1 at 10 */
	CHARACTER_DEVICE = 2,
	ABSOLUTE = 1, /* flag of a subscription to a clock */
	STREAMS = 3   /* descriptors 0 to 2 */
};

struct Z_wasi_snapshot_preview1_instance_t;
typedef struct Z_wasi_snapshot_preview1_instance_t host_t;

#define WASI(name) Z_wasi_snapshot_preview1Z_##name

static u32 get_u32(u32 pointer)
{
	const uint8_t *p = runner_at(pointer, 4);
	return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

static u64 get_u64(u32 pointer)
{
	u64 low = get_u32(pointer);
	return low | (u64)get_u32(pointer + 4) << 32;
}

/* ---- Arguments, environment, end ----------------------------------------------------------- */

static u32 nothing(u32 count, u32 size)
{
	runner_set_u32(count, 0);
	runner_set_u32(size, 0);
	return SUCCESS;
}

u32 WASI(args_sizes_get)(host_t *host, u32 count, u32 size)
{
	(void)host;
	return nothing(count, size);
}

u32 WASI(environ_sizes_get)(host_t *host, u32 count, u32 size)
{
	(void)host;
	return nothing(count, size);
}

u32 WASI(args_get)(host_t *host, u32 pointers, u32 bytes)
{
	(void)host, (void)pointers, (void)bytes;
	return SUCCESS;
}

u32 WASI(environ_get)(host_t *host, u32 pointers, u32 bytes)
{
	(void)host, (void)pointers, (void)bytes;
	return SUCCESS;
}

void WASI(proc_exit)(host_t *host, u32 status)
{
	(void)host;
	_Exit((int)status);
}

/* ---- Clocks and randomness ----------------------------------------------------------------- */

/* Returns the clock of the system for one of wasip1: real time, monotonic, processor time. */
static int clock_of(u32 id, clockid_t *clock)
{
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
	if (id >= sizeof clocks / sizeof *clocks)
		return 0;
	*clock = clocks[id];
	return 1;
}

static u64 nanoseconds(const struct timespec *t)
{
	return (u64)t->tv_sec * 1000000000u + (u64)t->tv_nsec;
}

u32 WASI(clock_res_get)(host_t *host, u32 id, u32 result)
{
	(void)host;
	clockid_t clock;
	struct timespec t;
	if (!clock_of(id, &clock) || clock_getres(clock, &t) != 0)
		return INVAL;
	runner_set_u64(result, nanoseconds(&t));
	return SUCCESS;
}

u32 WASI(clock_time_get)(host_t *host, u32 id, u64 precision, u32 result)
{
	(void)host, (void)precision;
	clockid_t clock;
	struct timespec t;
	if (!clock_of(id, &clock) || clock_gettime(clock, &t) != 0)
		return INVAL;
	runner_set_u64(result, nanoseconds(&t));
	return SUCCESS;
}

u32 WASI(random_get)(host_t *host, u32 pointer, u32 size)
{
	(void)host;
	uint8_t *p = runner_at(pointer, size);
	while (size > 0) {
		u32 part = size < 256 ? size : 256; /* the most that getentropy gives at once */
		if (getentropy(p, part) != 0)
			return IO;
		p += part;
		size -= part;
	}
	return SUCCESS;
}

u32 WASI(sched_yield)(host_t *host)
{
	(void)host;
	return SUCCESS;
}

/* Sleeps until a point of a clock, or for a time. */
static u32 sleep_on(u32 id, u64 time, int absolute)
{
	clockid_t clock;
	if (!clock_of(id, &clock) || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
		return NOTSUP;
	struct timespec t = {.tv_sec = (time_t)(time / 1000000000u), .tv_nsec = (long)(time % 1000000000u)};
	return clock_nanosleep(clock, absolute ? TIMER_ABSTIME : 0, &t, NULL) == 0 ? SUCCESS : INVAL;
}

/* Waits for the first of subscriptions to clocks. Others are answered at once, with an error, since
 * a Task has nothing else to wait for. */
u32 WASI(poll_oneoff)(host_t *host, u32 in, u32 out, u32 count, u32 result)
{
	(void)host;
	if (count == 0 || count > UINT32_MAX / SUBSCRIPTION)
		return INVAL;
	runner_at(in, count * SUBSCRIPTION);
	u32 first = 0, error = SUCCESS;
	u64 shortest = UINT64_MAX;
	for (u32 i = 0; i < count; i++) {
		u32 s = in + i * SUBSCRIPTION, flags = get_u32(s + 40) & 0xffff;
		if (*runner_at(s + 8, 1) != 0) {
			first = i;
			error = NOTSUP;
			break;
		}
		u64 time = get_u64(s + 24), now = 0;
		clockid_t clock;
		struct timespec t;
		if (flags & ABSOLUTE && clock_of(get_u32(s + 16), &clock) && clock_gettime(clock, &t) == 0)
			now = nanoseconds(&t);
		u64 wait = time > now ? time - now : 0;
		if (wait < shortest) {
			shortest = wait;
			first = i;
		}
	}
	u32 s = in + first * SUBSCRIPTION;
	if (error == SUCCESS)
		error = sleep_on(get_u32(s + 16), get_u64(s + 24), (get_u32(s + 40) & ABSOLUTE) != 0);
	memset(runner_at(out, EVENT), 0, EVENT);
	runner_set_u64(out, get_u64(s));
	*runner_at(out + 8, 1) = (uint8_t)error;
	*runner_at(out + 10, 1) = *runner_at(s + 8, 1);
	runner_set_u32(result, 1);
	return SUCCESS;
}

/* ---- Descriptors: three streams that lead nowhere ------------------------------------------- */

u32 WASI(fd_write)(host_t *host, u32 fd, u32 vectors, u32 count, u32 result)
{
	(void)host;
	if (fd >= STREAMS)
		return BADF;
	u32 size = 0;
	for (u32 i = 0; i < count; i++) {
		u32 part = get_u32(vectors + i * IOVEC + 4);
		runner_at(get_u32(vectors + i * IOVEC), part);
		if (part > UINT32_MAX - size)
			return INVAL;
		size += part;
	}
	runner_set_u32(result, size);
	return SUCCESS;
}

u32 WASI(fd_close)(host_t *host, u32 fd)
{
	(void)host;
	return fd < STREAMS ? SUCCESS : BADF;
}

u32 WASI(fd_seek)(host_t *host, u32 fd, u64 offset, u32 whence, u32 result)
{
	(void)host, (void)offset, (void)whence, (void)result;
	return fd < STREAMS ? SPIPE : BADF;
}

u32 WASI(fd_fdstat_get)(host_t *host, u32 fd, u32 result)
{
	(void)host;
	if (fd >= STREAMS)
		return BADF;
	uint8_t *p = runner_at(result, FDSTAT);
	memset(p, 0, FDSTAT);
	p[0] = CHARACTER_DEVICE;
	return SUCCESS;
}

u32 WASI(fd_fdstat_set_flags)(host_t *host, u32 fd, u32 flags)
{
	(void)host, (void)flags;
	return fd < STREAMS ? SUCCESS : BADF;
}

u32 WASI(fd_prestat_get)(host_t *host, u32 fd, u32 result)
{
	(void)host, (void)fd, (void)result;
	return BADF;
}

u32 WASI(fd_prestat_dir_name)(host_t *host, u32 fd, u32 path, u32 size)
{
	(void)host, (void)fd, (void)path, (void)size;
	return BADF;
}
