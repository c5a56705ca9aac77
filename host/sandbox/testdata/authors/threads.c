// A Task that uses threads, condition variables, memory and the standard streams
// as an author of Tasks would, linked with glibc or with musl.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { threads = 8, rounds = 200 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int count;

static void *add(void *unused) {
	for (int i = 0; i < rounds; i++) {
		free(malloc(200000));
		pthread_mutex_lock(&lock);
		count++;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
	}
	usleep(1000);
	return unused;
}

int main(void) {
	char line[64], *answer = "done\n";
	if (read(3, line, sizeof line) <= 0) return 1;
	printf("to standard output\n");
	fflush(stdout);
	fprintf(stderr, "to standard error\n");
	if (getchar() != EOF) answer = "standard input is not empty\n";
	pthread_t t[threads];
	for (int i = 0; i < threads; i++)
		if (pthread_create(&t[i], NULL, add, NULL) != 0) {
			dprintf(3, "no thread\n");
			return 1;
		}
	pthread_mutex_lock(&lock);
	while (count < threads * rounds) {
		struct timespec at;
		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_sec++;
		pthread_cond_timedwait(&changed, &lock, &at);
	}
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < threads; i++) pthread_join(t[i], NULL);
	dprintf(3, "%s", answer);
	return 0;
}
