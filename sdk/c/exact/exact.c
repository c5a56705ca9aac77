/* motte-task-exact: finds the objects whose input equals the predicate, byte for byte.
 *
 * It has no configuration, and refuses an input of more than MAX_KEY bytes. The objects of one key
 * are in a list, and a hash table finds the list. See docs/how-to/write-a-task-in-c.md.
 */
#define _DEFAULT_SOURCE /* getentropy */
#include "../motte.h"

enum { MAX_KEY = 1024 }; /* bytes */

/* An input, and the objects that have it. */
struct key {
	struct key *next; /* of the same slot */
	struct entry *first;
	uint64_t hash;
	size_t size;
	uint8_t bytes[];
};

/* An object's place in the list of its key. It is the data of the object. */
struct entry {
	struct entry *prev, *next;
	struct key *key;
	motte_object *object;
};

/* The table of keys. It has as many slots as keys, or up to twice as many. */
struct exact {
	struct key **table;
	size_t slots; /* a power of 2, or 0 */
	size_t keys;
	uint64_t secret[2]; /* of the hash: writers of inputs can't choose keys of one slot */
};

static uint64_t turn(uint64_t n, int bits)
{
	return n << bits | n >> (64 - bits);
}

static void mix(uint64_t v[4])
{
	v[0] += v[1], v[1] = turn(v[1], 13) ^ v[0], v[0] = turn(v[0], 32);
	v[2] += v[3], v[3] = turn(v[3], 16) ^ v[2];
	v[0] += v[3], v[3] = turn(v[3], 21) ^ v[0];
	v[2] += v[1], v[1] = turn(v[1], 17) ^ v[2], v[2] = turn(v[2], 32);
}

/* SipHash-1-3 */
static uint64_t hash(const struct exact *x, motte_bytes key)
{
	uint64_t v[4] = {
		x->secret[0] ^ UINT64_C(0x736f6d6570736575), x->secret[1] ^ UINT64_C(0x646f72616e646f6d),
		x->secret[0] ^ UINT64_C(0x6c7967656e657261), x->secret[1] ^ UINT64_C(0x7465646279746573),
	};
	for (size_t i = 0; i <= key.size; i += 8) {
		uint64_t word = key.size - i < 8 ? (uint64_t)key.size << 56 : 0;
		for (size_t k = 0; k < 8 && i + k < key.size; k++)
			word |= (uint64_t)key.data[i + k] << 8 * k;
		v[3] ^= word;
		mix(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		mix(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct key **slot(const struct exact *x, uint64_t h)
{
	return &x->table[h & (x->slots - 1)];
}

static struct key *find(const struct exact *x, motte_bytes key, uint64_t h)
{
	if (x->slots == 0)
		return NULL;
	for (struct key *k = *slot(x, h); k; k = k->next)
		if (k->hash == h && k->size == key.size && memcmp(k->bytes, key.data, key.size) == 0)
			return k;
	return NULL;
}

static void widen(struct exact *x)
{
	struct exact old = *x;
	x->slots = old.slots ? 2 * old.slots : 1024;
	x->table = calloc(x->slots, sizeof *x->table);
	if (!x->table)
		_Exit(1);
	for (size_t i = 0; i < old.slots; i++)
		for (struct key *k = old.table[i], *next; k; k = next) {
			next = k->next;
			k->next = *slot(x, k->hash);
			*slot(x, k->hash) = k;
		}
	free(old.table);
}

static struct key *add(struct exact *x, motte_bytes key, uint64_t h)
{
	if (x->keys == x->slots)
		widen(x);
	struct key *k = motte_alloc(NULL, sizeof *k + key.size);
	k->next = *slot(x, h);
	k->first = NULL;
	k->hash = h;
	k->size = key.size;
	memcpy(k->bytes, key.data, key.size);
	*slot(x, h) = k;
	x->keys++;
	return k;
}

static motte_result configure(void *self, const motte_config *config)
{
	(void)self;
	return config->options.size == 0 ? MOTTE_OK : MOTTE_REFUSED;
}

static motte_result insert(void *self, motte_object *object, motte_bytes input)
{
	struct exact *x = self;
	if (input.size == 0)
		return MOTTE_NOTHING;
	if (input.size > MAX_KEY)
		return MOTTE_REFUSED;
	uint64_t h = hash(x, input);
	struct key *k = find(x, input, h);
	if (!k)
		k = add(x, input, h);
	struct entry *e = motte_alloc(NULL, sizeof *e);
	*e = (struct entry){NULL, k->first, k, object};
	if (e->next)
		e->next->prev = e;
	k->first = e;
	object->data = e;
	return MOTTE_OK;
}

static void drop(void *self, motte_object *object)
{
	struct exact *x = self;
	struct entry *e = object->data;
	struct key *k = e->key;
	*(e->prev ? &e->prev->next : &k->first) = e->next;
	if (e->next)
		e->next->prev = e->prev;
	free(e);
	if (k->first)
		return;
	struct key **at = slot(x, k->hash);
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	free(k);
	x->keys--;
}

static motte_result search(void *self, motte_query *query)
{
	const struct exact *x = self;
	motte_any_order(query);
	const struct key *k = find(x, query->predicate, hash(x, query->predicate));
	if (query->narrowed) {
		for (size_t i = 0; i < query->candidate_count; i++) {
			const struct entry *e = query->candidates[i]->data;
			if (e->key == k && !motte_found(query, e->object))
				break;
		}
		return MOTTE_OK;
	}
	for (const struct entry *e = k ? k->first : NULL; e; e = e->next)
		if (!motte_found(query, e->object))
			break;
	return MOTTE_OK;
}

/* A record is the input. */
static motte_result save(void *self, const motte_object *object, motte_buffer *out)
{
	(void)self;
	const struct entry *e = object->data;
	motte_write(out, e->key->bytes, e->key->size);
	return MOTTE_OK;
}

int main(void)
{
	static struct exact index;
	if (getentropy(index.secret, sizeof index.secret) != 0)
		return 1;
	const motte_task task = {
		.self = &index,
		.configure = configure,
		.insert = insert,
		.remove = drop,
		.search = search,
		.save = save,
		.load = insert,
	};
	return motte_serve(&task);
}
