/* A Task as a WebAssembly module: it finds the objects whose input equals the predicate, byte for
 * byte. It has no configuration. An input has at most MAX_KEY bytes.
 *
 * The objects of one key are in a list, and a hash table finds the list. */
#include <string.h>
#include <unistd.h>

#include "../motte_wasm.h"

enum { MAX_KEY = 1024 }; /* bytes */

/* An input, and the first of the objects that have it. */
struct key {
	struct key *next; /* of the same slot */
	uint32_t first;
	uint32_t hash;
	uint32_t size;
	uint8_t bytes[];
};

/* An object's place in the list of its key, by its number. */
static struct entry {
	uint32_t prev, next; /* 0: none */
	struct key *key;
} *entries;
static uint32_t entry_room;

static struct key **table;
static uint32_t slots; /* a power of 2 */
static uint32_t keys;
static uint32_t secret; /* of the hash: writers of inputs can't choose keys of one slot */

static void *checked(void *p)
{
	if (!p)
		abort();
	return p;
}

/* A multiplication by an odd secret for each byte. */
static uint32_t hash(const uint8_t *bytes, uint32_t size)
{
	uint64_t h = secret;
	for (uint32_t i = 0; i < size; i++)
		h = (h ^ bytes[i]) * (((uint64_t)secret << 32) | 0x01000193u), h ^= h >> 29;
	return (uint32_t)(h ^ h >> 32);
}

static struct key **slot(uint32_t h)
{
	return &table[h & (slots - 1)];
}

static struct key *find(const uint8_t *bytes, uint32_t size, uint32_t h)
{
	for (struct key *k = *slot(h); k; k = k->next)
		if (k->hash == h && k->size == size && memcmp(k->bytes, bytes, size) == 0)
			return k;
	return NULL;
}

static void widen(void)
{
	struct key **old = table;
	uint32_t n = slots;
	slots = n ? 2 * n : 1024;
	table = checked(calloc(slots, sizeof *table));
	for (uint32_t i = 0; i < n; i++)
		for (struct key *k = old[i], *next; k; k = next) {
			next = k->next;
			k->next = *slot(k->hash);
			*slot(k->hash) = k;
		}
	free(old);
}

static struct key *add(const uint8_t *bytes, uint32_t size, uint32_t h)
{
	if (keys == slots)
		widen();
	struct key *k = checked(malloc(sizeof *k + size));
	*k = (struct key){.next = *slot(h), .hash = h, .size = size};
	memcpy(k->bytes, bytes, size);
	*slot(h) = k;
	keys++;
	return k;
}

uint32_t motte_configure(uint32_t type, uint32_t ordered, uint32_t max_results, const uint8_t *options, uint32_t size)
{
	(void)type, (void)ordered, (void)max_results, (void)options;
	if (getentropy(&secret, sizeof secret) != 0)
		abort();
	secret |= 1;
	widen();
	return size == 0 ? MOTTE_OK : MOTTE_REFUSED;
}

uint32_t motte_insert(uint32_t object, uint64_t owner, const uint8_t *input, uint32_t size)
{
	(void)owner;
	if (size == 0)
		return MOTTE_NOTHING;
	if (size > MAX_KEY)
		return MOTTE_REFUSED;
	if (object >= entry_room) {
		entry_room = 2 * object + 1024;
		entries = checked(realloc(entries, entry_room * sizeof *entries));
	}
	uint32_t h = hash(input, size);
	struct key *k = find(input, size, h);
	if (!k)
		k = add(input, size, h);
	entries[object] = (struct entry){0, k->first, k};
	if (k->first)
		entries[k->first].prev = object;
	k->first = object;
	return MOTTE_OK;
}

void motte_remove(uint32_t object)
{
	struct entry *e = &entries[object];
	struct key *k = e->key;
	*(e->prev ? &entries[e->prev].next : &k->first) = e->next;
	if (e->next)
		entries[e->next].prev = e->prev;
	if (k->first)
		return;
	struct key **at = slot(k->hash);
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	free(k);
	keys--;
}

uint32_t motte_search(const uint8_t *predicate, uint32_t size, uint32_t limit, uint64_t owner)
{
	(void)limit, (void)owner;
	motte_any_order();
	const struct key *k = find(predicate, size, hash(predicate, size));
	const uint32_t candidates = motte_candidate_count();
	if (candidates != MOTTE_ALL) {
		for (uint32_t i = 0; i < candidates; i++) {
			const uint32_t object = motte_candidate(i);
			if (entries[object].key == k && !motte_found(object))
				break;
		}
		return MOTTE_OK;
	}
	for (uint32_t object = k ? k->first : 0; object; object = entries[object].next)
		if (!motte_found(object))
			break;
	return MOTTE_OK;
}

/* A record is the input. */
uint32_t motte_save(uint32_t object)
{
	const struct key *k = entries[object].key;
	motte_write(k->bytes, k->size);
	return MOTTE_OK;
}

uint32_t motte_load(uint32_t object, uint64_t owner, const uint8_t *record, uint32_t size)
{
	return motte_insert(object, owner, record, size);
}
