/* motte-task-{{name}}: a WebAssembly module that finds the objects whose input equals the predicate.
 *
 * It looks through all entries: replace that by your index. motte_wasm.h says what each function
 * does. An error here reaches only the module's own memory. */
#include <string.h>

#include "motte_wasm.h"

enum { MAX_TEXT = 4096 }; /* bytes of an input */

/* The inputs, by the numbers of their objects. */
static struct entry {
	uint8_t *text; /* NULL: no entry */
	uint32_t size;
} *entries;
static uint32_t room;

static void *checked(void *p)
{
	if (!p)
		abort();
	return p;
}

uint32_t motte_configure(uint32_t type, uint32_t ordered, uint32_t max_results, const uint8_t *options, uint32_t size)
{
	(void)type, (void)ordered, (void)max_results, (void)options;
	return size == 0 ? MOTTE_OK : MOTTE_REFUSED;
}

uint32_t motte_insert(uint32_t object, uint64_t owner, const uint8_t *input, uint32_t size)
{
	(void)owner;
	if (size == 0)
		return MOTTE_NOTHING;
	if (size > MAX_TEXT)
		return MOTTE_REFUSED;
	if (object >= room) {
		uint32_t more = 2 * object + 1024;
		entries = checked(realloc(entries, more * sizeof *entries));
		memset(entries + room, 0, (more - room) * sizeof *entries);
		room = more;
	}
	entries[object].text = checked(malloc(size));
	entries[object].size = size;
	memcpy(entries[object].text, input, size);
	return MOTTE_OK;
}

void motte_remove(uint32_t object)
{
	free(entries[object].text);
	entries[object].text = NULL;
}

uint32_t motte_search(const uint8_t *predicate, uint32_t size, uint32_t limit, uint64_t owner)
{
	(void)limit, (void)owner;
	if (size == 0)
		return MOTTE_REFUSED;
	motte_any_order();
	for (uint32_t object = 1; object < room; object++) {
		const struct entry *e = &entries[object];
		if (e->text && e->size == size && memcmp(e->text, predicate, size) == 0 && !motte_found(object))
			break;
	}
	return MOTTE_OK;
}

/* What the next process needs of an object is its input. */
uint32_t motte_save(uint32_t object)
{
	motte_write(entries[object].text, entries[object].size);
	return MOTTE_OK;
}

uint32_t motte_load(uint32_t object, uint64_t owner, const uint8_t *record, uint32_t size)
{
	return motte_insert(object, owner, record, size);
}
