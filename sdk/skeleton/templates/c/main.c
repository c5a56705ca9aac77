/* motte-task-{{name}}: a Task that finds the objects whose input equals the predicate.
 *
 * It looks through all entries: replace that by your index. The comment at the beginning of motte.h
 * says what the kit does, and what a Task must do. */
#include "motte.h"

enum { MAX_TEXT = 4096 }; /* bytes of an input */

/* An entry is the data of its object. All entries are in a list. */
struct entry {
	struct entry *prev, *next;
	const motte_object *object;
	size_t size;
	uint8_t text[];
};

struct index {
	struct entry *first;
};

static motte_result configure(void *self, const motte_config *config)
{
	(void)self;
	return config->options.size == 0 ? MOTTE_OK : MOTTE_REFUSED;
}

static motte_result insert(void *self, motte_object *object, motte_bytes input)
{
	struct index *x = self;
	if (input.size == 0)
		return MOTTE_NOTHING;
	if (input.size > MAX_TEXT)
		return MOTTE_REFUSED;
	struct entry *e = motte_alloc(NULL, sizeof *e + input.size);
	e->prev = NULL;
	e->next = x->first;
	e->object = object;
	e->size = input.size;
	memcpy(e->text, input.data, input.size);
	if (e->next)
		e->next->prev = e;
	x->first = e;
	object->data = e;
	return MOTTE_OK;
}

static void drop(void *self, motte_object *object)
{
	struct index *x = self;
	struct entry *e = object->data;
	if (e->prev)
		e->prev->next = e->next;
	else
		x->first = e->next;
	if (e->next)
		e->next->prev = e->prev;
	free(e);
}

static motte_result search(void *self, motte_query *query)
{
	const struct index *x = self;
	const motte_bytes want = query->predicate;
	if (want.size == 0)
		return MOTTE_REFUSED;
	motte_any_order(query);
	for (const struct entry *e = x->first; e; e = e->next)
		if (e->size == want.size && memcmp(e->text, want.data, want.size) == 0 && !motte_found(query, e->object))
			break;
	return MOTTE_OK;
}

/* What the next process needs of an object is its input: insert takes it again. */
static motte_result save(void *self, const motte_object *object, motte_buffer *out)
{
	(void)self;
	const struct entry *e = object->data;
	motte_write(out, e->text, e->size);
	return MOTTE_OK;
}

int main(void)
{
	static struct index index;
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
