/* Runs the exact Task on many conversations. Each comes from standard input: 4 bytes of length, 4 of
 * the most bytes in one read, and what the Core says. A child plays it and checks the kit's memory.
 * The status of each child is written to standard output, one byte. */
#define main exact_main
#define read read_said       /* unistd.h then declares these */
#define write write_answer
#include "../exact/exact.c"
#undef main
#undef read
#undef write

#include <assert.h>
#include <stdio.h>
#include <sys/wait.h>

static uint8_t said[1 << 20];
static size_t size, at, part;

ssize_t read_said(int channel, void *to, size_t room)
{
	size_t n = size - at;
	assert(channel == 3 && room > 0);
	n = n > room ? room : n;
	n = n > part ? part : n;
	memcpy(to, said + at, n);
	at += n;
	return (ssize_t)n;
}

ssize_t write_answer(int channel, const void *from, size_t n)
{
	assert(channel == 3 && from && n > 0);
	return (ssize_t)n;
}

/* Checks what must hold between two frames. */
static void check(const struct mtk_server *s)
{
	uint64_t live = 0, used = 0, logged = 0;
	for (int list = 0; list < MTK_LISTS; list++) {
		uint64_t count = 0, newest = 0;
		for (const motte_object *o = s->lists[list].first; o; o = o->next) {
			count++;
			assert(o->list == list && o->state != MTK_FREE && mtk_find(s, o->id) == o);
			assert((o->state == MTK_HELD) == (o->data != NULL));
			assert((list == MTK_SAVED) == (o->blob > 0) && o->blob >= newest && o->blob <= s->last_blob);
			assert(o->shelved || o->state != MTK_TOMB);
			newest = o->blob;
			live += o->state == MTK_TOMB ? 0 : o->size;
		}
		assert(count == s->lists[list].count);
		used += count;
	}
	assert(used == s->used && live == s->live && used <= s->slots / 4 * 3);
	for (size_t i = 0; i < s->blob_count; i++) {
		assert(i == 0 || s->blobs[i].number > s->blobs[i - 1].number);
		logged += s->blobs[i].size;
	}
	assert(logged == s->logged && live <= logged);
}

int main(void)
{
	uint8_t head[8];
	while (fread(head, sizeof head, 1, stdin) == 1) {
		size = mtk_u32(head);
		part = mtk_u32(head + 4);
		assert(size <= sizeof said && part > 0 && fread(said, 1, size, stdin) == size);
		fflush(stdout);
		pid_t child = fork();
		int status;
		if (child == 0) {
			status = exact_main();
			check(&mtk_the_server);
			_exit(status);
		}
		assert(child > 0 && waitpid(child, &status, 0) == child);
		putchar(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
	}
	return 0;
}
