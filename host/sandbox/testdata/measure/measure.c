// Command measure is a Task that takes as much of a resource as it gets, says how
// much, and keeps it; and that waits on futexes and wakes other waiters. It reads
// one command a line from its channel, and answers each with one line.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { channel = 3, most = 300000 };

// signals queues signals that are blocked.
static long signals(void) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	long n = 0;
	while (n < most && syscall(SYS_tgkill, getpid(), gettid(), SIGRTMIN + 2) == 0) n++;
	return n;
}

static void *stay(void *unused) {
	(void)unused;
	for (;;) sleep(3600);
	return NULL;
}

static long threads(void) {
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN + 65536);
	long n = 0;
	pthread_t t;
	while (n < most && pthread_create(&t, &small, stay, NULL) == 0) n++;
	return n;
}

static long descriptors(void) {
	long n = 0;
	while (n < most && eventfd(0, EFD_CLOEXEC) >= 0) n++;
	return n;
}

// watches has some epolls watch every descriptor.
static long watches(void) {
	long n = 0;
	for (int i = 0; i < 6; i++) {
		int e = epoll_create1(EPOLL_CLOEXEC), file = eventfd(0, EFD_CLOEXEC);
		for (int fd = 0; fd < 64; fd++) {
			struct epoll_event what = {.events = EPOLLIN};
			if (fd != file && fd > channel) fcntl(file, F_DUPFD_CLOEXEC, fd);
			n += epoll_ctl(e, EPOLL_CTL_ADD, fd, &what) == 0;
		}
		for (int fd = file + 1; fd < 64; fd++) close(fd); // what was added stays
	}
	return n;
}

// piece takes memory in pieces of 1 MiB.
static long pieces(int kind, int flags, int lock) {
	long n = 0;
	for (; n < 8192; n++) {
		void *p = mmap(NULL, 1 << 20, kind, flags, -1, 0);
		if (p == MAP_FAILED || (lock && mlock(p, 4096) != 0)) break;
	}
	return n;
}

static long memory(void) { return pieces(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0); }
static long locked(void) { return pieces(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 1); }
static long lockedAtOnce(void) { return pieces(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, 0); }
static long hugePages(void) { return pieces(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, 0); }
static long sharedMemory(void) { return pieces(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, 0); }
static long droppable(void) { return pieces(PROT_READ | PROT_WRITE, 0x08 | MAP_ANONYMOUS, 0); }

// repeated makes a call as often as it succeeds.
static long repeated(long number, long a, long b, long c, long d) {
	long n = 0;
	while (n < 1000 && syscall(number, a, b, c, d) >= 0) n++;
	return n;
}

static char space[4096];
static long pipes(void) { return repeated(SYS_pipe2, (long)space, 0, 0, 0); }
static long watchedFiles(void) { return repeated(SYS_inotify_init1, 0, 0, 0, 0); }
static long keys(void) { return repeated(SYS_add_key, (long)"user", (long)"k", (long)space, 1); }
static long keyrings(void) { return repeated(SYS_keyctl, 1, 0, 0, 0); }
static long timers(void) { return repeated(SYS_timer_create, CLOCK_MONOTONIC, 0, (long)space, 0); }
static long timerFiles(void) { return repeated(SYS_timerfd_create, CLOCK_MONOTONIC, 0, 0, 0); }
static long queues(void) { return repeated(SYS_mq_open, (long)"q", O_CREAT | O_RDWR, 0600, 0); }
static long sysvQueues(void) { return repeated(SYS_msgget, 0, 0600, 0, 0); }
static long semaphores(void) { return repeated(SYS_semget, 0, 1, 0600, 0); }
static long segments(void) { return repeated(SYS_shmget, 0, 4096, 0600, 0); }
static long fileLocks(void) { return repeated(SYS_flock, 0, 1 /* LOCK_SH */, 0, 0); }
static long recordLocks(void) {
	struct flock l = {.l_type = F_RDLCK};
	return repeated(SYS_fcntl, 0, F_SETLK, (long)&l, 0);
}
static long leases(void) { return repeated(SYS_fcntl, 0, F_SETLEASE, F_RDLCK, 0); }
static long sockets(void) { return repeated(SYS_socketpair, 1, 1, 0, (long)space); }
static long namespaces(void) { return repeated(SYS_unshare, 0x10000000, 0, 0, 0); }
static long processes(void) { return repeated(SYS_clone, SIGCHLD, 0, 0, 0); }
static long memoryFiles(void) { return repeated(SYS_memfd_create, (long)"", 0, 0, 0); }
static long rings(void) { return repeated(SYS_io_uring_setup, 1, (long)space, 0, 0); }
static long barriers(void) { return repeated(SYS_membarrier, 1 /* global */, 0, 0, 0); }
static long queuedSignals(void) { return repeated(SYS_rt_sigqueueinfo, 1, SIGRTMIN + 2, (long)space, 0); }

static const struct {
	const char *name;
	long (*take)(void);
} resources[] = {
	{"signals", signals}, {"threads", threads}, {"descriptors", descriptors}, {"epoll watches", watches},
	{"memory", memory}, {"locked memory", locked}, {"memory locked at once", lockedAtOnce},
	{"huge pages", hugePages}, {"shared memory", sharedMemory}, {"droppable memory", droppable},
	{"pipes", pipes}, {"inotify", watchedFiles}, {"keys", keys}, {"keyrings", keyrings}, {"timers", timers},
	{"timer files", timerFiles}, {"message queues", queues}, {"System V queues", sysvQueues},
	{"semaphores", semaphores}, {"shared segments", segments}, {"file locks", fileLocks},
	{"record locks", recordLocks}, {"leases", leases}, {"sockets", sockets}, {"namespaces", namespaces},
	{"processes", processes}, {"memory files", memoryFiles}, {"rings", rings}, {"memory barriers", barriers},
	{"queued signals", queuedSignals},
};

// Places for a futex whose page is not this process's own writable memory.
static const char text[] = "a page of the image that is only read";
static int *place(const char *name) {
	if (strcmp(name, "code") == 0) return (int *)((unsigned long)place & ~4095ul);
	if (strcmp(name, "constants") == 0) return (int *)((unsigned long)text & ~3ul);
	if (strcmp(name, "vdso") == 0) return (int *)getauxval(AT_SYSINFO_EHDR);
	if (strcmp(name, "zeros") == 0) {
		static int *zeros;
		if (!zeros) zeros = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return zeros;
	}
	return NULL;
}

// wait has a thread wait on a futex until somebody wakes it.
static int *where;
static void *waiter(void *operation) {
	long op = (long)operation;
	struct timespec *forever = NULL;
	for (;;) {
		if (syscall(SYS_futex, where, op, *where, forever, NULL, FUTEX_BITSET_MATCH_ANY) < 0 && errno != EINTR && errno != EAGAIN) return NULL;
	}
}

static void answer(long n) {
	char line[32];
	int length = snprintf(line, sizeof line, "%ld\n", n);
	if (write(channel, line, length) != length) _exit(1);
}

// call makes a system call without arguments, and returns its error, or 1000 and
// the signal that it raised. compat makes one as programs of 32 bits do.
static sigjmp_buf before;
static void raised(int s) { siglongjmp(before, 1000 + s); }

static long errorOf(long (*make)(long), long number) {
	for (int s = SIGILL; s <= SIGSEGV; s++) signal(s, raised);
	int s = sigsetjmp(before, 1);
	return s ? s : make(number);
}

static long call(long number) { return syscall(number) < 0 ? errno : 0; }

static long compat(long number) {
#ifdef __x86_64__
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number) : "memory", "r8", "r9", "r10", "r11");
	return result < 0 ? -result : 0;
#else
	return number ? EPERM : 0;
#endif
}

static void run(char *line) {
	int operation, at;
	if (sscanf(line, "call %d", &operation) == 1) {
		answer(errorOf(call, operation));
		return;
	}
	if (sscanf(line, "compat %d", &operation) == 1) {
		answer(errorOf(compat, operation));
		return;
	}
	for (unsigned i = 0; i < sizeof resources / sizeof resources[0]; i++) {
		if (strncmp(line, "take ", 5) == 0 && strcmp(line + 5, resources[i].name) == 0) {
			answer(resources[i].take());
			return;
		}
	}
	if (sscanf(line, "wait %d %n", &operation, &at) == 1 && place(line + at)) {
		pthread_t t;
		where = place(line + at);
		answer(pthread_create(&t, NULL, waiter, (void *)(long)operation));
	} else if (sscanf(line, "wake %d %n", &operation, &at) == 1 && place(line + at)) {
		// Waking one and moving others to this word, as FUTEX_REQUEUE can.
		static int other;
		answer(syscall(SYS_futex, place(line + at), operation, 1, (void *)1000L, &other, FUTEX_BITSET_MATCH_ANY));
	} else {
		_exit(2); // an unknown command
	}
}

int main(void) {
	static char line[256];
	size_t n = 0;
	while (n < sizeof line - 1 && read(channel, line + n, 1) == 1) {
		if (line[n] != '\n') {
			n++;
			continue;
		}
		line[n] = 0;
		n = 0;
		run(line);
	}
	return 0;
}
