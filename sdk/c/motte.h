/* motte.h: the kit for a Task in C11 or C++17.
 *
 * A Task is a static executable that keeps an index in memory and answers predicates. Write the
 * functions of a motte_task, and call motte_serve from main. The kit speaks version 2 of the Task
 * protocol (docs/reference/task-protocol.md) with the Core. It needs no library but libc.
 * docs/how-to/write-a-task-in-c.md builds a Task step by step; sdk/c/exact is a complete one.
 *
 * Include this file in one source file of the Task: it has the whole kit, as static functions.
 *
 * What the kit guarantees
 *
 *  1. It makes one call at a time, in the order in which the Core sent the frames. So a search
 *     sees every change that the Core sent before it, and no later change.
 *  2. It keeps the identity of each object, and answers with that of the last insert alone. A Task
 *     names objects by pointers, which stay valid until the kit calls remove for the object.
 *  3. It keeps the protocol for any functions: numbers, limits, pages, owners and candidates. It
 *     checks each length before it uses it, and ends if the Core breaks the protocol.
 *  4. It writes all answers to one read at once, or each 64 KiB of them.
 *  5. If the Task has save and load, the index survives a restart: see "The shelf" below.
 *
 * What a Task must do
 *
 *  1. Copy the bytes that it keeps. A motte_bytes is valid during the call only.
 *  2. Name the objects of a predicate in one order, each once. The order does not depend on the
 *     limit, the owner or the page, and stays the same while no change comes. A Task without an
 *     order of its own calls motte_any_order.
 *  3. Bound its work. A frame that takes longer than the deadline of the Task's row loses the
 *     query, and later the process. Return MOTTE_TOO_EXPENSIVE before that.
 *  4. End the process if it has no memory left. The Core then starts and feeds another one.
 *
 * After its start the kit makes the system calls read, write and exit, and those of realloc and
 * free. It prints only if a person starts the Task. Descriptors 0 to 2 of a Task are /dev/null.
 *
 * Memory
 *
 * An object takes about 110 bytes on a 64-bit machine, beside what the Task hangs on it. The
 * buffers take 256 KiB, more while a larger frame arrives (16 MiB at most), and 16 bytes for each
 * object of the present answer: the limit of the query, or all matches after motte_any_order. The
 * candidates of a query take 8 bytes each.
 * Reconciliation takes 16 bytes for each object until the first search.
 *
 * The shelf
 *
 * The Core keeps bytes for a Task while its process is gone. The kit saves a record for each
 * object: what the function save writes, at most MOTTE_MAX_SAVED bytes. A fresh process gets the
 * records back, as calls of load, and then the Core tells which objects changed meanwhile. The kit
 * drops those entries, and the Core inserts the changed objects as if they were new. So a record
 * may be missing or old, but never foreign: the Core gives it to the same executable only.
 *
 * The records form a log in blobs, each written once. A change and a removal are records, too. The
 * kit writes the oldest blob's live records again when more than half of the log is out of date,
 * and joins small blobs. So it writes two to three bytes for each byte that changes.
 */
#ifndef MOTTE_H
#define MOTTE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sizes in bytes, and counts, of the protocol. */
enum {
	MOTTE_VALUE = 16,                  /* first half of an identity: names the object */
	MOTTE_ID = 32,                     /* an identity: the value, and a tag of the content */
	MOTTE_MAX_AFTER = 8,               /* objects before a page */
	MOTTE_MAX_WITHIN = 65536,          /* candidates of a query */
	MOTTE_MAX_PREDICATE = 1 << 20,     /* and configuration */
	MOTTE_MAX_INPUT = 16 << 20,        /* if the Task's row allows as much */
	MOTTE_MAX_BLOB = 131056,           /* of the shelf */
	MOTTE_MAX_SAVED = MOTTE_MAX_BLOB - 45 /* what save writes for one object */
};

/* Data types of an index: of its inputs and predicates. */
enum {
	MOTTE_ANY = 0, /* not declared */
	MOTTE_BYTES = 1,
	MOTTE_TEXT = 2,
	MOTTE_INT64 = 3,
	MOTTE_FLOAT64 = 4,
	MOTTE_STRING = 5,
	MOTTE_TIME = 6 /* RFC 3339 */
};

/* The result of a function of a Task. */
typedef enum {
	MOTTE_OK = 0,
	MOTTE_NOTHING = 1,       /* insert: the object has nothing to index. save: do not save it */
	MOTTE_REFUSED = 2,       /* configuration, input, predicate or record is not understood */
	MOTTE_TOO_EXPENSIVE = 3, /* search: the client may try again, or ask for less */
	MOTTE_GONE = 4           /* search: no object of after matches; the kit finds that itself */
} motte_result;

/* Bytes that belong to the kit. They are valid during the call. */
typedef struct {
	const uint8_t *data;
	size_t size;
} motte_bytes;

/* The declaration of an index. */
typedef struct {
	int type;             /* MOTTE_ANY, … */
	int ordered;          /* 1: clients see the order of the Task. 0: the Core sorts each page */
	uint32_t max_results; /* most identities in one answer */
	motte_bytes options;  /* the configuration, byte for byte as the creator of the index gave it */
} motte_config;

/* An object of the collection. The Task may set data, and reads id and owner. */
typedef struct motte_object {
	uint8_t id[MOTTE_ID];
	uint64_t owner; /* a random number: the same owner has the same number in this index */
	void *data;     /* the Task's entry; NULL in insert and load */

	/* The kit's own. */
	struct motte_object *prev, *next; /* in a list, below; next: free */
	uint64_t blob;                    /* that has its newest record; 0: no blob */
	uint32_t size;                    /* of that record */
	uint8_t state;                    /* enum mtk_state */
	uint8_t list;                     /* enum mtk_list */
	uint8_t shelved;                  /* a record of this value may be on the shelf */
	uint8_t role;                     /* enum mtk_role, in the present query */
} motte_object;

/* A question. The kit makes it; search reads it and calls motte_found. */
typedef struct {
	motte_bytes predicate;
	uint32_t limit; /* most objects of the answer; motte_found says when to stop */
	uint64_t owner; /* 0, or the one owner whose objects the client may see */

	/* The objects before the page, the last one first: NULL for an object that is gone or has
	 * changed. A Task can ignore them, and name all objects from the start: the kit finds the page.
	 * A Task that can begin in the middle calls motte_starts_after. */
	int after_count;
	const motte_object *after[MOTTE_MAX_AFTER];

	/* If narrowed, the client wants only the matches among these objects, the candidates. The
	 * objects of after are among them, since they say where the page begins. A Task can ignore
	 * them, and name all objects that match: the kit leaves the others out. But a Task that itself
	 * stops at the limit must count the candidates alone. See motte_candidate. */
	int narrowed;
	size_t candidate_count;
	const motte_object *const *candidates;

	/* The kit's own. */
	size_t wanted; /* candidates of the client that were not named yet */
	int any_order;
	int anchor; /* the first of after that was named; after_count: not yet */
	int begins; /* the Task begins after the anchor itself */
} motte_query;

/* Bytes that a Task saves. See motte_write. */
typedef struct {
	uint8_t *data;
	size_t size;
	size_t room;  /* allocated */
	size_t limit; /* more is not kept */
	int overflow; /* more was written */
} motte_buffer;

/* A Task. self is the first argument of each call. */
typedef struct {
	void *self;

	/* The first call, made once. MOTTE_REFUSED: the index is not built. */
	motte_result (*configure)(void *self, const motte_config *config);

	/* Hold an object, and set its data. MOTTE_NOTHING and MOTTE_REFUSED: the index does not find
	 * it, and must keep nothing of it; the second tells the client. */
	motte_result (*insert)(void *self, motte_object *object, motte_bytes input);

	/* Drop an object that insert or load took: it was removed, or comes anew in the next call. */
	void (*remove)(void *self, motte_object *object);

	/* Name the objects that match, with motte_found. */
	motte_result (*search)(void *self, motte_query *query);

	/* Both or neither. Save writes what load needs to hold the object again. A record that load
	 * refuses is dropped, and the object is inserted anew. */
	motte_result (*save)(void *self, const motte_object *object, motte_buffer *out);
	motte_result (*load)(void *self, motte_object *object, motte_bytes saved);

	/* Optional: all that the shelf has was loaded. */
	void (*loaded)(void *self);

	/* The most changes that are confirmed together; 0: all that one read brought. A Task that needs
	 * a millisecond for a change says 64, so that the Core sees it work. */
	uint32_t batch;
} motte_task;

/* For main: serves until the Core closes the channel. Returns the status of the process. */
static inline int motte_serve(const motte_task *task);

/* Names an object, in order. Returns 0 if the answer needs no more, and search should return. Each
 * object is named once, also those of other owners, which the kit leaves out. */
static inline int motte_found(motte_query *query, const motte_object *object);

/* Says that motte_found is called in no particular order. The kit then takes all objects that
 * match, sorts them by identity, and returns the page. */
static inline void motte_any_order(motte_query *query);

/* Says that the Task names only objects that come after query->after[i], which still matches. The
 * Task must choose the first of after that does. */
static inline void motte_starts_after(motte_query *query, int i);

/* Reports whether the client may see the objects of this owner. A hint: see motte_query. */
static inline int motte_wants(const motte_query *query, uint64_t owner);

/* Reports whether the object is a candidate of the query: 1 if it is not narrowed. */
static inline int motte_candidate(const motte_query *query, const motte_object *object);

/* Appends bytes to what is saved of an object. */
static inline void motte_write(motte_buffer *out, const void *data, size_t size);
static inline void motte_write_u32(motte_buffer *out, uint32_t n);
static inline void motte_write_u64(motte_buffer *out, uint64_t n);

/* Take big-endian numbers and bytes from the front of b. Return 0 if b has too few bytes. */
static inline int motte_read(motte_bytes *b, size_t size, motte_bytes *part);
static inline int motte_read_u32(motte_bytes *b, uint32_t *n);
static inline int motte_read_u64(motte_bytes *b, uint64_t *n);

/* malloc and realloc that end the process if there is no memory. */
static inline void *motte_alloc(void *old, size_t size);

/* ---- From here on: the kit's own ------------------------------------------------------------- */

/* Frames of the protocol. */
enum {
	MTK_CONFIGURE = 1, MTK_INSERT, MTK_REMOVE, MTK_SEARCH, MTK_STORED, MTK_SAVE, MTK_RUNS, MTK_LIST,
	MTK_VOIDED,
	MTK_APPLIED = 64, MTK_FOUND, MTK_FAILED, MTK_BLOB, MTK_SET, MTK_DIFFER, MTK_LACKS
};

/* Bytes of the protocol, and of the kit's buffers. */
enum {
	MTK_HEADER = 16,
	MTK_CHUNK = 4096,         /* identities in a Found and a List, runs in a Runs */
	MTK_DROPPED = 4096,       /* numbers in a Set */
	MTK_RUN = 16 + 4 + 16,
	MTK_READ = 256 << 10,     /* a socket buffer of Linux: one read empties it */
	MTK_WRITE = 64 << 10,     /* answers are written at once from this size on */
	MTK_SLAB = 1024,          /* objects that are allocated together */
	MTK_JOIN = 4              /* small blobs that are joined */
};

/* Failures, and states of an answer. */
enum { MTK_BAD_CONFIGURATION = 1, MTK_BAD_INPUT, MTK_BAD_QUERY, MTK_EXPENSIVE, MTK_IS_GONE };
enum { MTK_LAST = 0, MTK_CONTINUES = 1, MTK_MORE = 2 };

/* States of an object. */
enum mtk_state {
	MTK_FREE = 0, /* not in the table */
	MTK_HELD,     /* the Task has an entry */
	MTK_VOID,     /* has nothing to index, or was refused: counts as held */
	MTK_TOMB      /* removed; the shelf may still have a record of it */
};

/* Each object in the table is in one list. */
enum mtk_list {
	MTK_LOOSE = 0, /* never saved: no shelf, or the record is too large */
	MTK_DIRTY,     /* to be saved, the oldest change first */
	MTK_SAVED,     /* its record is on the shelf; in the order of the log */
	MTK_LISTS
};

/* What an object is to a query with candidates. */
enum mtk_role {
	MTK_OTHER = 0,
	MTK_WANTED, /* a candidate */
	MTK_PLACE   /* no candidate, but an object of after */
};

/* Phases of a process. */
enum mtk_phase { MTK_STARTING = 0, MTK_STORING, MTK_RECONCILING, MTK_SERVING };

struct mtk_list_ends {
	motte_object *first, *last;
	uint64_t count;
};

/* An object with the first 8 bytes of its identity, for sorting. */
struct mtk_ref {
	uint64_t key;
	motte_object *object;
};

struct mtk_refs {
	struct mtk_ref *at;
	size_t count, room;
};

struct mtk_blob {
	uint64_t number;
	uint64_t size;
};

/* The Task's end of the protocol. */
struct mtk_server {
	const motte_task *task;
	int channel;

	motte_buffer in; /* size: bytes that were read */
	size_t at;       /* of them, bytes that were handled */
	motte_buffer out;
	uint64_t seq;       /* of the last frame handled */
	uint64_t applied;   /* the last change that is done */
	uint64_t told;      /* the value of applied that the Core was told last */
	uint32_t unapplied; /* changes since */
	enum mtk_phase phase;
	int refused; /* the configuration; the Core will close the channel */
	int restored; /* a Stored frame came */

	/* The table of objects by value: open addressing, at most three quarters full. */
	motte_object **table;
	size_t slots; /* a power of 2, or 0 */
	size_t used;
	int shift; /* 64 - log2(slots) */
	motte_object *unused;
	struct mtk_list_ends lists[MTK_LISTS];

	struct mtk_refs answer;
	const motte_object **candidates; /* of the present query */
	size_t candidate_room;
	struct mtk_refs snapshot; /* objects by identity, from the first Runs frame on */
	int has_snapshot;
	size_t cursor; /* first object of the snapshot behind the last run */

	/* The shelf. Blobs ascend. The first of them are the oldest; retired ones are not among them. */
	uint64_t quota; /* 0: no shelf */
	struct mtk_blob *blobs;
	size_t blob_count, blob_room;
	uint64_t *retired; /* numbers that leave with the next Set */
	size_t retired_count, retired_room;
	uint64_t logged;    /* bytes of blobs */
	uint64_t live;      /* bytes of newest records of objects that are held or void */
	uint64_t last_blob; /* number */
	int saving;         /* between the first Save and its Set */
	int written;        /* a blob since the last Set */
	int full;           /* the last saving ended for lack of room */
	uint64_t planned;   /* objects that this saving still writes */
	motte_buffer record;
};

/* The one server of the process. A static object keeps all memory in reach. */
static struct mtk_server mtk_the_server;

/* ---- Bytes --------------------------------------------------------------------------------- */

static inline void *motte_alloc(void *old, size_t size)
{
	void *p = realloc(old, size > 0 ? size : 1);
	if (!p)
		_Exit(1);
	return p;
}

/* Makes room for n elements of a size in an array that has room for *room. */
static inline void *mtk_grow(void *at, size_t *room, size_t n, size_t size)
{
	if (n <= *room)
		return at;
	size_t more = *room + *room / 2;
	*room = more > n ? more : n;
	if (*room > SIZE_MAX / size)
		_Exit(1);
	return motte_alloc(at, *room * size);
}

static inline void motte_write(motte_buffer *out, const void *data, size_t size)
{
	if (size > out->limit - out->size || out->overflow) {
		out->overflow = 1;
		return;
	}
	out->data = (uint8_t *)mtk_grow(out->data, &out->room, out->size + size, 1);
	if (size > 0)
		memcpy(out->data + out->size, data, size);
	out->size += size;
}

static inline void mtk_write_u8(motte_buffer *out, unsigned n)
{
	uint8_t b = (uint8_t)n;
	motte_write(out, &b, 1);
}

static inline void motte_write_u64(motte_buffer *out, uint64_t n)
{
	uint8_t b[8];
	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(n >> (56 - 8 * i));
	motte_write(out, b, sizeof b);
}

static inline void motte_write_u32(motte_buffer *out, uint32_t n)
{
	uint8_t b[4];
	for (int i = 0; i < 4; i++)
		b[i] = (uint8_t)(n >> (24 - 8 * i));
	motte_write(out, b, sizeof b);
}

static inline uint64_t mtk_u64(const uint8_t *p)
{
	uint64_t n = 0;
	for (int i = 0; i < 8; i++)
		n = n << 8 | p[i];
	return n;
}

static inline uint32_t mtk_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline int motte_read(motte_bytes *b, size_t size, motte_bytes *part)
{
	if (b->size < size)
		return 0;
	part->data = b->data;
	part->size = size;
	b->data += size;
	b->size -= size;
	return 1;
}

static inline int motte_read_u32(motte_bytes *b, uint32_t *n)
{
	motte_bytes part;
	if (!motte_read(b, 4, &part))
		return 0;
	*n = mtk_u32(part.data);
	return 1;
}

static inline int motte_read_u64(motte_bytes *b, uint64_t *n)
{
	motte_bytes part;
	if (!motte_read(b, 8, &part))
		return 0;
	*n = mtk_u64(part.data);
	return 1;
}

/* ---- Objects: lists and the table ---------------------------------------------------------- */

static inline void mtk_unlink(struct mtk_server *s, motte_object *o)
{
	struct mtk_list_ends *l = &s->lists[o->list];
	*(o->prev ? &o->prev->next : &l->first) = o->next;
	*(o->next ? &o->next->prev : &l->last) = o->prev;
	l->count--;
}

/* Puts an object at the end of a list. */
static inline void mtk_link(struct mtk_server *s, motte_object *o, enum mtk_list list)
{
	struct mtk_list_ends *l = &s->lists[list];
	o->list = (uint8_t)list;
	o->next = NULL;
	o->prev = l->last;
	*(l->last ? &l->last->next : &l->first) = o;
	l->last = o;
	l->count++;
}

static inline size_t mtk_slot(const struct mtk_server *s, const uint8_t *value)
{
	uint64_t mixed = (mtk_u64(value) ^ mtk_u64(value + 8)) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(mixed >> s->shift);
}

/* Returns the object of a value in any state, or NULL. */
static inline motte_object *mtk_find(const struct mtk_server *s, const uint8_t *value)
{
	if (s->slots == 0)
		return NULL;
	for (size_t i = mtk_slot(s, value); s->table[i]; i = (i + 1) & (s->slots - 1))
		if (memcmp(s->table[i]->id, value, MOTTE_VALUE) == 0)
			return s->table[i];
	return NULL;
}

/* Returns the object of an identity that is held or void, or NULL. */
static inline motte_object *mtk_find_id(const struct mtk_server *s, const uint8_t *id)
{
	motte_object *o = mtk_find(s, id);
	return o && o->state != MTK_TOMB && memcmp(o->id, id, MOTTE_ID) == 0 ? o : NULL;
}

static inline void mtk_place(struct mtk_server *s, motte_object *o)
{
	size_t i = mtk_slot(s, o->id);
	while (s->table[i])
		i = (i + 1) & (s->slots - 1);
	s->table[i] = o;
}

static inline void mtk_widen(struct mtk_server *s)
{
	motte_object **old = s->table;
	size_t n = s->slots;
	s->slots = n ? 2 * n : 1024;
	s->shift = n ? s->shift - 1 : 54;
	if (s->slots > SIZE_MAX / sizeof *old)
		_Exit(1);
	s->table = (motte_object **)motte_alloc(NULL, s->slots * sizeof *old);
	memset(s->table, 0, s->slots * sizeof *old);
	for (size_t i = 0; i < n; i++)
		if (old[i])
			mtk_place(s, old[i]);
	free(old);
}

/* Returns a fresh object under a value that the table does not have. It is in the list LOOSE. */
static inline motte_object *mtk_add(struct mtk_server *s, const uint8_t *value)
{
	if (s->used >= s->slots / 4 * 3)
		mtk_widen(s);
	if (!s->unused) {
		motte_object *slab = (motte_object *)motte_alloc(NULL, MTK_SLAB * sizeof *slab);
		memset(slab, 0, MTK_SLAB * sizeof *slab);
		for (int i = 0; i < MTK_SLAB; i++) {
			slab[i].next = s->unused;
			s->unused = &slab[i];
		}
	}
	motte_object *o = s->unused;
	s->unused = o->next;
	memset(o, 0, sizeof *o);
	memcpy(o->id, value, MOTTE_VALUE);
	mtk_place(s, o);
	s->used++;
	mtk_link(s, o, MTK_LOOSE);
	return o;
}

/* Takes an object out of the table. Objects behind it move up, so that each can be found. */
static inline void mtk_discard(struct mtk_server *s, motte_object *o)
{
	size_t mask = s->slots - 1, hole = mtk_slot(s, o->id);
	while (s->table[hole] != o)
		hole = (hole + 1) & mask;
	for (size_t i = (hole + 1) & mask; s->table[i]; i = (i + 1) & mask) {
		size_t home = mtk_slot(s, s->table[i]->id);
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			s->table[hole] = s->table[i];
			hole = i;
		}
	}
	s->table[hole] = NULL;
	s->used--;
	mtk_unlink(s, o);
	o->state = MTK_FREE;
	o->next = s->unused;
	s->unused = o;
}

static inline int mtk_saves(const struct mtk_server *s)
{
	return s->quota > 0 && s->task->save && s->task->load;
}

/* Says that the newest record of an object is out of date. */
static inline void mtk_touch(struct mtk_server *s, motte_object *o)
{
	if (o->blob && o->state != MTK_TOMB)
		s->live -= o->size;
	o->blob = 0;
	o->size = 0;
	mtk_unlink(s, o);
	mtk_link(s, o, mtk_saves(s) ? MTK_DIRTY : MTK_LOOSE);
}

/* Tells the Task to drop its entry, if it has one. */
static inline void mtk_forget(struct mtk_server *s, motte_object *o)
{
	if (o->state == MTK_HELD)
		s->task->remove(s->task->self, o);
	o->data = NULL;
}

/* Removes an object that is held or void. */
static inline void mtk_drop(struct mtk_server *s, motte_object *o)
{
	mtk_forget(s, o);
	mtk_touch(s, o);
	if (o->shelved)
		o->state = MTK_TOMB;
	else
		mtk_discard(s, o);
}

/* ---- Sorting by identity ------------------------------------------------------------------- */

static inline void mtk_refer(struct mtk_refs *r, const motte_object *o)
{
	r->at = (struct mtk_ref *)mtk_grow(r->at, &r->room, r->count + 1, sizeof *r->at);
	r->at[r->count].key = mtk_u64(o->id);
	r->at[r->count++].object = (motte_object *)o;
}

static inline void mtk_release(struct mtk_refs *r)
{
	free(r->at);
	r->at = NULL;
	r->count = r->room = 0;
}

static inline int mtk_before(const struct mtk_ref *a, const struct mtk_ref *b)
{
	return a->key != b->key ? a->key < b->key : memcmp(a->object->id, b->object->id, MOTTE_ID) < 0;
}

static inline int mtk_bit(const struct mtk_ref *r, int bit)
{
	return bit < 64 ? (int)(r->key >> (63 - bit) & 1) : r->object->id[bit / 8] >> (7 - bit % 8) & 1;
}

/* Sorts n references that agree in the bits before bit. It parts them by that bit, and goes on
 * with both parts: at most 256 calls deep. */
static inline void mtk_sort(struct mtk_ref *r, size_t n, int bit)
{
	while (n > 16 && bit < 8 * MOTTE_ID) {
		size_t zeros = 0;
		for (size_t i = 0; i < n; i++)
			if (!mtk_bit(&r[i], bit)) {
				struct mtk_ref swapped = r[i];
				r[i] = r[zeros];
				r[zeros++] = swapped;
			}
		bit++;
		mtk_sort(r, zeros, bit);
		r += zeros;
		n -= zeros;
	}
	for (size_t i = 1; i < n; i++) {
		struct mtk_ref moving = r[i];
		size_t k = i;
		for (; k > 0 && mtk_before(&moving, &r[k - 1]); k--)
			r[k] = r[k - 1];
		r[k] = moving;
	}
}

/* ---- Frames to the Core -------------------------------------------------------------------- */

static inline void mtk_header(struct mtk_server *s, int type, size_t length, uint64_t seq)
{
	motte_write(&s->out, "MT\2", 3);
	mtk_write_u8(&s->out, (unsigned)type);
	motte_write_u32(&s->out, (uint32_t)length);
	motte_write_u64(&s->out, seq);
}

/* Writes all answers, and one number that confirms all changes that are done. Returns 0 if the
 * channel is broken. */
static inline int mtk_flush(struct mtk_server *s)
{
	if (s->applied > s->told) {
		mtk_header(s, MTK_APPLIED, 0, s->applied);
		s->told = s->applied;
		s->unapplied = 0;
	}
	for (size_t sent = 0; sent < s->out.size;) {
		ssize_t n = write(s->channel, s->out.data + sent, s->out.size - sent);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		sent += (size_t)n;
	}
	s->out.size = 0;
	return 1;
}

static inline int mtk_fail(struct mtk_server *s, int failure)
{
	mtk_header(s, MTK_FAILED, 1, s->seq);
	mtk_write_u8(&s->out, (unsigned)failure);
	return 1;
}

/* Writes n identities as Found frames. */
static inline int mtk_send_found(struct mtk_server *s, const struct mtk_ref *r, size_t n, int state)
{
	size_t i = 0;
	do {
		size_t part = n - i > MTK_CHUNK ? (size_t)MTK_CHUNK : n - i;
		mtk_header(s, MTK_FOUND, 1 + part * MOTTE_ID, s->seq);
		mtk_write_u8(&s->out, (unsigned)(i + part < n ? MTK_CONTINUES : state));
		for (size_t end = i + part; i < end; i++)
			motte_write(&s->out, r[i].object->id, MOTTE_ID);
		if (s->out.size >= MTK_WRITE && !mtk_flush(s))
			return 0;
	} while (i < n);
	return 1;
}

/* ---- Changes ------------------------------------------------------------------------------- */

static inline int mtk_changed(struct mtk_server *s)
{
	s->applied = s->seq;
	s->unapplied++;
	return s->task->batch == 0 || s->unapplied < s->task->batch || mtk_flush(s);
}

/* Configure: data type 1 | ordered 1 | most results 4 | shelf 8 | configuration … */
static inline int mtk_on_configure(struct mtk_server *s, motte_bytes p)
{
	if (p.data[1] > 1)
		return 0;
	motte_config c;
	c.type = p.data[0];
	c.ordered = p.data[1];
	c.max_results = mtk_u32(p.data + 2);
	s->quota = mtk_u64(p.data + 6);
	c.options.data = p.data + 14;
	c.options.size = p.size - 14;
	if (s->task->configure(s->task->self, &c) != MOTTE_OK) {
		s->refused = 1;
		return mtk_fail(s, MTK_BAD_CONFIGURATION);
	}
	s->phase = MTK_STORING;
	return mtk_changed(s);
}

/* Returns the object of an identity, void, in place of any object under the same value. */
static inline motte_object *mtk_replace(struct mtk_server *s, const uint8_t *id)
{
	motte_object *o = mtk_find(s, id);
	if (o)
		mtk_forget(s, o);
	else
		o = mtk_add(s, id);
	mtk_touch(s, o);
	memcpy(o->id, id, MOTTE_ID);
	o->owner = 0;
	o->state = MTK_VOID;
	return o;
}

/* Insert: LSN 8 | identity 32 | owner 8 | input … */
static inline int mtk_on_insert(struct mtk_server *s, motte_bytes p)
{
	motte_object *o = mtk_replace(s, p.data + 8);
	o->owner = mtk_u64(p.data + 40);
	motte_bytes input = {p.data + 48, p.size - 48};
	motte_result r = s->task->insert(s->task->self, o, input);
	if (r == MOTTE_OK)
		o->state = MTK_HELD;
	else
		o->data = NULL;
	if (r != MOTTE_OK && r != MOTTE_NOTHING)
		mtk_fail(s, MTK_BAD_INPUT);
	return mtk_changed(s);
}

/* Remove: LSN 8 | identity 32 */
static inline int mtk_on_remove(struct mtk_server *s, motte_bytes p)
{
	motte_object *o = mtk_find(s, p.data + 8);
	if (o && o->state != MTK_TOMB)
		mtk_drop(s, o);
	return mtk_changed(s);
}

/* Void: LSN 8 | identity 32: the object has no input for this index */
static inline int mtk_on_void(struct mtk_server *s, motte_bytes p)
{
	mtk_replace(s, p.data + 8);
	return mtk_changed(s);
}

/* ---- Queries ------------------------------------------------------------------------------- */

static inline int motte_wants(const motte_query *q, uint64_t owner)
{
	return q->owner == 0 || q->owner == owner;
}

static inline int motte_candidate(const motte_query *q, const motte_object *o)
{
	return !q->narrowed || o->role != MTK_OTHER;
}

static inline void motte_any_order(motte_query *q)
{
	q->any_order = 1;
}

static inline void motte_starts_after(motte_query *q, int i)
{
	q->anchor = i;
	q->begins = 1;
}

/* Reports whether the answer needs more objects, or the place where it begins. */
static inline int mtk_needs_more(const motte_query *q)
{
	int placed = q->anchor == 0 || q->begins;
	if (!placed)
		return 1;
	if (q->narrowed && q->wanted == 0)
		return 0;
	return q->any_order || mtk_the_server.answer.count <= q->limit;
}

/* The page begins after the first of after that matches. So an object of after that comes before
 * the present anchor in after begins the page anew. */
static inline int motte_found(motte_query *q, const motte_object *o)
{
	struct mtk_refs *answer = &mtk_the_server.answer;
	for (int i = 0; i < q->anchor && !q->begins; i++)
		if (q->after[i] == o) {
			q->anchor = i;
			if (q->any_order)
				break;
			answer->count = 0;
			return mtk_needs_more(q);
		}
	if (q->narrowed && o->role != MTK_WANTED)
		return mtk_needs_more(q);
	if (q->wanted > 0)
		q->wanted--;
	if (motte_wants(q, o->owner) && (q->any_order || answer->count <= q->limit))
		mtk_refer(answer, o);
	return mtk_needs_more(q);
}

/* Sorts an answer that has no order, and leaves out the part before the page. */
static inline void mtk_sort_answer(struct mtk_refs *a, const motte_query *q)
{
	mtk_sort(a->at, a->count, 0);
	if (q->anchor == q->after_count)
		return;
	struct mtk_ref anchor = {mtk_u64(q->after[q->anchor]->id), (motte_object *)q->after[q->anchor]};
	size_t first = 0;
	while (first < a->count && !mtk_before(&anchor, &a->at[first]))
		first++;
	a->count -= first;
	if (a->count > 0)
		memmove(a->at, a->at + first, a->count * sizeof *a->at);
}

/* Makes an object a candidate of the query. The role is MTK_WANTED first, then MTK_PLACE. */
static inline void mtk_add_candidate(struct mtk_server *s, motte_query *q, motte_object *o, enum mtk_role role)
{
	if (!o || o->state != MTK_HELD || o->role != MTK_OTHER)
		return;
	o->role = (uint8_t)role;
	q->wanted += role == MTK_WANTED;
	s->candidates = (const motte_object **)mtk_grow(s->candidates, &s->candidate_room, q->candidate_count + 1,
							sizeof *s->candidates);
	s->candidates[q->candidate_count++] = o;
}

/* Reads the candidates: n identities, which must ascend. */
static inline int mtk_narrow(struct mtk_server *s, motte_query *q, const uint8_t *ids, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (memcmp(ids + (i - 1) * MOTTE_ID, ids + i * MOTTE_ID, MOTTE_ID) >= 0)
			return 0;
	q->narrowed = n > 0;
	for (size_t i = 0; i < n; i++)
		mtk_add_candidate(s, q, mtk_find_id(s, ids + i * MOTTE_ID), MTK_WANTED);
	for (int i = 0; q->narrowed && i < q->after_count; i++)
		mtk_add_candidate(s, q, (motte_object *)q->after[i], MTK_PLACE);
	q->candidates = s->candidates;
	return 1;
}

/* Ends the roles of the query's objects. */
static inline void mtk_clear_roles(struct mtk_server *s, const motte_query *q)
{
	for (size_t i = 0; i < q->candidate_count; i++)
		((motte_object *)s->candidates[i])->role = MTK_OTHER;
}

/* Reads limit 4 | owner 8 | n 1 | n identities | m 4 | m candidates | predicate … Returns 0 if the Core
 * broke the protocol. */
static inline int mtk_read_query(struct mtk_server *s, motte_bytes p, motte_query *q)
{
	memset(q, 0, sizeof *q);
	q->limit = mtk_u32(p.data);
	q->owner = mtk_u64(p.data + 4);
	q->after_count = q->anchor = p.data[12];
	motte_bytes after = {NULL, 0}, within = {NULL, 0};
	uint32_t n = 0;
	p.data += 13;
	p.size -= 13;
	if (q->limit == 0 || q->after_count > MOTTE_MAX_AFTER || !motte_read(&p, (size_t)q->after_count * MOTTE_ID, &after)
	    || !motte_read_u32(&p, &n) || n > MOTTE_MAX_WITHIN || !motte_read(&p, (size_t)n * MOTTE_ID, &within)
	    || p.size > MOTTE_MAX_PREDICATE)
		return 0;
	for (int i = 0; i < q->after_count; i++) {
		motte_object *o = mtk_find_id(s, after.data + (size_t)i * MOTTE_ID);
		q->after[i] = o && o->state == MTK_HELD ? o : NULL;
	}
	q->predicate = p;
	return mtk_narrow(s, q, within.data, n);
}

static inline int mtk_on_search(struct mtk_server *s, motte_bytes p)
{
	motte_query q;
	if (!mtk_read_query(s, p, &q))
		return 0;
	s->answer.count = 0;
	motte_result result = s->task->search(s->task->self, &q);
	mtk_clear_roles(s, &q);
	switch (result) {
	case MOTTE_OK:
	case MOTTE_NOTHING:
		break;
	case MOTTE_TOO_EXPENSIVE:
		return mtk_fail(s, MTK_EXPENSIVE);
	case MOTTE_GONE:
		return mtk_fail(s, q.after_count > 0 ? MTK_IS_GONE : MTK_BAD_QUERY);
	default:
		return mtk_fail(s, MTK_BAD_QUERY);
	}
	if (q.after_count > 0 && q.anchor == q.after_count)
		return mtk_fail(s, MTK_IS_GONE);
	if (q.any_order)
		mtk_sort_answer(&s->answer, &q);
	size_t n = s->answer.count > q.limit ? q.limit : s->answer.count;
	int sent = mtk_send_found(s, s->answer.at, n, s->answer.count > q.limit ? MTK_MORE : MTK_LAST);
	if (s->answer.room > 1 << 16) /* a large answer is rare */
		mtk_release(&s->answer);
	return sent;
}

/* ---- The shelf: back from it --------------------------------------------------------------- */

/* Records of a blob: kind 1, then
 *   MTK_HELD  identity 32 | owner 8 | length 4 | bytes that save wrote
 *   MTK_VOID  identity 32
 *   MTK_TOMB  value 16
 * A later record of a value takes the place of an earlier one. */

/* Notes that the newest record of an object is the last one of a blob. */
static inline void mtk_shelve(struct mtk_server *s, motte_object *o, uint64_t blob, size_t size)
{
	mtk_unlink(s, o);
	mtk_link(s, o, MTK_SAVED);
	o->blob = blob;
	o->size = (uint32_t)size;
	o->shelved = 1;
	if (o->state != MTK_TOMB)
		s->live += size;
}

/* Takes one record from the front of b. Returns 0 if it is malformed. */
static inline int mtk_load(struct mtk_server *s, motte_bytes *b, uint64_t blob)
{
	motte_bytes kind, id, saved = {NULL, 0};
	uint64_t owner = 0;
	uint32_t n = 0;
	size_t before = b->size;
	if (!motte_read(b, 1, &kind) || kind.data[0] < MTK_HELD || kind.data[0] > MTK_TOMB)
		return 0;
	if (!motte_read(b, kind.data[0] == MTK_TOMB ? MOTTE_VALUE : MOTTE_ID, &id))
		return 0;
	if (kind.data[0] == MTK_HELD
	    && !(motte_read_u64(b, &owner) && motte_read_u32(b, &n) && motte_read(b, n, &saved)))
		return 0;
	motte_object *o = mtk_find(s, id.data);
	if (o) {
		mtk_forget(s, o);
		mtk_touch(s, o);
	} else if (kind.data[0] == MTK_TOMB) {
		return 1;
	} else {
		o = mtk_add(s, id.data);
	}
	o->state = kind.data[0];
	memcpy(o->id, id.data, id.size);
	o->owner = owner;
	if (kind.data[0] == MTK_HELD && s->task->load(s->task->self, o, saved) != MOTTE_OK) {
		o->data = NULL;
		o->state = MTK_TOMB;
	}
	mtk_shelve(s, o, blob, before - b->size);
	return 1;
}

/* Notes a blob that is the newest. */
static inline void mtk_add_blob(struct mtk_server *s, uint64_t number, size_t size)
{
	s->blobs = (struct mtk_blob *)mtk_grow(s->blobs, &s->blob_room, s->blob_count + 1, sizeof *s->blobs);
	s->blobs[s->blob_count].number = number;
	s->blobs[s->blob_count++].size = size;
	s->logged += size;
}

/* Stored: number 8 | records … */
static inline int mtk_on_stored(struct mtk_server *s, motte_bytes p)
{
	uint64_t number = mtk_u64(p.data);
	if (number <= s->last_blob || s->phase != MTK_STORING)
		return 0;
	s->restored = 1;
	s->last_blob = number;
	mtk_add_blob(s, number, p.size - 8);
	motte_bytes records = {p.data + 8, p.size - 8};
	while (mtk_saves(s) && records.size > 0 && mtk_load(s, &records, number))
		continue;
	return mtk_changed(s);
}

/* ---- Reconciliation ------------------------------------------------------------------------ */

/* Takes a sorted snapshot of all objects that count. It holds for all Runs frames: until the last
 * of them, only objects of earlier runs change. */
static inline void mtk_take_snapshot(struct mtk_server *s)
{
	for (size_t i = 0; i < s->slots; i++)
		if (s->table[i] && s->table[i]->state != MTK_TOMB)
			mtk_refer(&s->snapshot, s->table[i]);
	mtk_sort(s->snapshot.at, s->snapshot.count, 0);
	s->has_snapshot = 1;
	s->cursor = 0;
}

/* Counts the objects from the cursor to a value, and adds up their tags modulo 2^128. */
static inline uint32_t mtk_sum(struct mtk_server *s, const uint8_t *last, uint64_t sum[2])
{
	uint32_t count = 0;
	sum[0] = sum[1] = 0;
	for (; s->cursor < s->snapshot.count; s->cursor++, count++) {
		const motte_object *o = s->snapshot.at[s->cursor].object;
		if (memcmp(o->id, last, MOTTE_VALUE) > 0)
			break;
		uint64_t low = sum[1] + mtk_u64(o->id + 24);
		sum[0] += mtk_u64(o->id + 16) + (low < sum[1]);
		sum[1] = low;
	}
	return count;
}

/* Appends bit i of a bitmap to the frames for the Core. */
static inline void mtk_write_bit(struct mtk_server *s, size_t i, int bit)
{
	if (i % 8 == 0)
		mtk_write_u8(&s->out, 0);
	if (bit)
		s->out.data[s->out.size - 1] |= (uint8_t)(0x80 >> i % 8);
}

/* Runs: n × (last value 16 | count 4 | sum of tags 16) */
static inline int mtk_on_runs(struct mtk_server *s, motte_bytes p)
{
	if (s->phase != MTK_RECONCILING)
		return 0;
	if (!s->has_snapshot)
		mtk_take_snapshot(s);
	size_t n = p.size / MTK_RUN;
	mtk_header(s, MTK_DIFFER, (n + 7) / 8, s->seq);
	for (size_t i = 0; i < n; i++, p.data += MTK_RUN) {
		uint64_t sum[2];
		uint32_t count = mtk_sum(s, p.data, sum);
		int same = count == mtk_u32(p.data + 16)
		        && sum[0] == mtk_u64(p.data + 20) && sum[1] == mtk_u64(p.data + 28);
		mtk_write_bit(s, i, !same);
	}
	return 1;
}

/* Reports whether an identity is among n that ascend. */
static inline int mtk_is_listed(const uint8_t *ids, size_t n, const uint8_t *id)
{
	size_t from = 0;
	while (from < n) {
		size_t middle = from + (n - from) / 2;
		int order = memcmp(ids + middle * MOTTE_ID, id, MOTTE_ID);
		if (order == 0)
			return 1;
		if (order < 0)
			from = middle + 1;
		else
			n = middle;
	}
	return 0;
}

/* Drops the objects of the snapshot, from first to last, that are not listed. An object may be free
 * or hold another value since the snapshot was taken. Then it is out of the range, or listed. */
static inline void mtk_drop_unlisted(struct mtk_server *s, const uint8_t *first, const uint8_t *ids, size_t n)
{
	const uint8_t *last = first + MOTTE_VALUE;
	size_t i = 0, end = s->snapshot.count;
	while (i < end) {
		size_t middle = i + (end - i) / 2;
		if (s->snapshot.at[middle].key < mtk_u64(first))
			i = middle + 1;
		else
			end = middle;
	}
	for (; i < s->snapshot.count && s->snapshot.at[i].key <= mtk_u64(last); i++) {
		motte_object *o = s->snapshot.at[i].object;
		if (o->state != MTK_HELD && o->state != MTK_VOID)
			continue;
		if (memcmp(o->id, first, MOTTE_VALUE) < 0 || memcmp(o->id, last, MOTTE_VALUE) > 0)
			continue;
		if (!mtk_is_listed(ids, n, o->id))
			mtk_drop(s, o);
	}
}

/* List: first value 16 | last value 16 | identities … */
static inline int mtk_on_list(struct mtk_server *s, motte_bytes p)
{
	if (s->phase != MTK_RECONCILING || !s->has_snapshot)
		return 0;
	const uint8_t *ids = p.data + 2 * MOTTE_VALUE;
	size_t n = (p.size - 2 * MOTTE_VALUE) / MOTTE_ID;
	mtk_drop_unlisted(s, p.data, ids, n);
	mtk_header(s, MTK_LACKS, (n + 7) / 8, s->seq);
	for (size_t i = 0; i < n; i++)
		mtk_write_bit(s, i, !mtk_find_id(s, ids + i * MOTTE_ID));
	return 1;
}

/* ---- The shelf: to it ---------------------------------------------------------------------- */

/* Takes the blob at an end of the log out of it. Its live records are written again. The shelf has
 * no older record than those of the oldest blob: its tombs have no purpose any more. */
static inline void mtk_retire(struct mtk_server *s, int oldest)
{
	struct mtk_list_ends *saved = &s->lists[MTK_SAVED];
	struct mtk_blob blob = s->blobs[oldest ? 0 : s->blob_count - 1];
	motte_object *o;
	while ((o = oldest ? saved->first : saved->last) && o->blob == blob.number) {
		int useless = oldest && o->state == MTK_TOMB;
		mtk_touch(s, o);
		if (useless)
			mtk_discard(s, o);
	}
	s->blob_count--;
	if (oldest)
		memmove(s->blobs, s->blobs + 1, s->blob_count * sizeof *s->blobs);
	s->logged -= blob.size;
	s->retired = (uint64_t *)mtk_grow(s->retired, &s->retired_room, s->retired_count + 1, sizeof *s->retired);
	s->retired[s->retired_count++] = blob.number;
}

/* Reports whether so many blobs at the end of the log are small that they should be one. */
static inline int mtk_last_are_small(const struct mtk_server *s, uint64_t small)
{
	for (size_t i = 1; i <= MTK_JOIN; i++)
		if (i > s->blob_count || s->blobs[s->blob_count - i].size > small)
			return 0;
	return 1;
}

/* Decides what this saving writes: the objects that changed, and the live records of blobs that
 * leave. The oldest blobs leave while more than half of the log is out of date, or an eighth if
 * there is no room. Small blobs at the end leave before they become many. */
static inline void mtk_plan(struct mtk_server *s, size_t room)
{
	uint64_t moved = 0; /* live bytes of the blobs that leave */
	s->saving = 1;
	while (s->blob_count > 0 && s->retired_count < MTK_DROPPED) {
		uint64_t garbage = s->logged - s->live, before = s->live;
		if (garbage <= (s->full ? s->logged / 8 : s->live + moved + MOTTE_MAX_BLOB))
			break;
		mtk_retire(s, 1);
		moved += before - s->live;
	}
	int joins = s->lists[MTK_DIRTY].count > 0 && room == MOTTE_MAX_BLOB;
	for (uint64_t small = 1024; joins && small < MOTTE_MAX_BLOB; small *= 4)
		for (int i = mtk_last_are_small(s, small) ? MTK_JOIN : 0; i > 0 && s->retired_count < MTK_DROPPED; i--)
			mtk_retire(s, 0);
	s->full = 0;
	s->planned = s->lists[MTK_DIRTY].count;
}

/* Encodes the record of an object. Returns 0 if it has none, or a record that is too large. */
static inline int mtk_encode(struct mtk_server *s, const motte_object *o)
{
	motte_buffer *r = &s->record;
	r->size = 0;
	r->overflow = 0;
	r->limit = MOTTE_MAX_BLOB;
	mtk_write_u8(r, o->state);
	motte_write(r, o->id, o->state == MTK_TOMB ? MOTTE_VALUE : MOTTE_ID);
	if (o->state == MTK_HELD) {
		motte_write_u64(r, o->owner);
		motte_write_u32(r, 0);
		size_t head = r->size;
		if (r->overflow || s->task->save(s->task->self, o, r) != MOTTE_OK || r->overflow)
			return 0;
		for (int i = 0; i < 4; i++)
			r->data[head - 4 + (size_t)i] = (uint8_t)((r->size - head) >> (24 - 8 * i));
	}
	return !r->overflow;
}

/* Appends records to the frames for the Core until the room of a blob is used up. */
static inline void mtk_fill_blob(struct mtk_server *s, size_t room)
{
	size_t used = 0;
	motte_object *o;
	while (s->planned > 0 && (o = s->lists[MTK_DIRTY].first)) {
		if (!mtk_encode(s, o)) {
			mtk_unlink(s, o);
			mtk_link(s, o, MTK_LOOSE);
			s->planned--;
			continue;
		}
		if (s->record.size > room - used) {
			if (used > 0)
				return;
			s->full = 1;
			s->planned = 0;
			mtk_touch(s, o); /* so that the next saving begins with another one */
			return;
		}
		motte_write(&s->out, s->record.data, s->record.size);
		used += s->record.size;
		mtk_shelve(s, o, s->last_blob, s->record.size);
		s->planned--;
	}
}

/* Ends a saving: the retired blobs leave the shelf. The newest blob stays if none came after it: the
 * next process learns from it which numbers are used. */
static inline int mtk_set(struct mtk_server *s)
{
	/* The oldest blobs were retired first and ascend; then come the newest, which descend. */
	for (size_t i = 1; i < s->retired_count; i++)
		for (size_t k = i; k > 0 && s->retired[k - 1] > s->retired[k]; k--) {
			uint64_t swapped = s->retired[k];
			s->retired[k] = s->retired[k - 1];
			s->retired[k - 1] = swapped;
		}
	if (!s->written && s->retired_count > 0
	    && (s->blob_count == 0 || s->blobs[s->blob_count - 1].number < s->retired[s->retired_count - 1]))
		mtk_add_blob(s, s->retired[--s->retired_count], 0);
	size_t n = s->retired_count;
	mtk_header(s, MTK_SET, 1 + 8 * n, s->seq);
	mtk_write_u8(&s->out, s->written || n > 0);
	for (size_t i = 0; i < n; i++)
		motte_write_u64(&s->out, s->retired[i]);
	s->retired_count = 0;
	s->saving = s->written = 0;
	return 1;
}

/* Forgets the shelf: the Core has emptied it. All objects are to be saved. */
static inline void mtk_begin_anew(struct mtk_server *s)
{
	motte_object *next;
	for (int list = 0; list < MTK_LISTS; list++)
		for (motte_object *o = s->lists[list].first; o; o = next) {
			next = o->next;
			o->shelved = 0;
			if (list == MTK_SAVED)
				mtk_touch(s, o);
			if (o->state == MTK_TOMB)
				mtk_discard(s, o);
		}
	s->blob_count = s->retired_count = 0;
	s->logged = s->planned = 0;
	s->saving = s->written = s->full = 0;
}

/* Save: room 4 | anew 1. The room is 0 if the quota is used up. */
static inline int mtk_on_save(struct mtk_server *s, motte_bytes p)
{
	size_t room = mtk_u32(p.data);
	if (room > MOTTE_MAX_BLOB || p.data[4] > 1)
		return 0;
	if (p.data[4] == 1)
		mtk_begin_anew(s);
	if (!s->saving && mtk_saves(s))
		mtk_plan(s, room);
	if (s->planned > 0 && s->lists[MTK_DIRTY].first) {
		size_t start = s->out.size;
		s->last_blob++;
		mtk_header(s, MTK_BLOB, 0, s->seq);
		motte_write_u64(&s->out, s->last_blob);
		size_t records = s->out.size;
		mtk_fill_blob(s, room);
		size_t size = s->out.size - records;
		if (size > 0) {
			for (int i = 0; i < 4; i++)
				s->out.data[start + 4 + (size_t)i] = (uint8_t)((size + 8) >> (24 - 8 * i));
			mtk_add_blob(s, s->last_blob, size);
			s->written = 1;
			return s->out.size < MTK_WRITE || mtk_flush(s);
		}
		s->out.size = start;
		s->last_blob--;
	}
	s->planned = 0;
	return mtk_set(s);
}

/* ---- The channel --------------------------------------------------------------------------- */

/* Reports whether a frame of this type may have a payload of n bytes. So it bounds the buffer
 * before the frame has arrived. */
static inline int mtk_allowed(int type, size_t n)
{
	switch (type) {
	case MTK_CONFIGURE:
		return n >= 14 && n <= 14 + MOTTE_MAX_PREDICATE;
	case MTK_INSERT:
		return n >= 48 && n <= 48 + MOTTE_MAX_INPUT;
	case MTK_REMOVE:
	case MTK_VOIDED:
		return n == 40;
	case MTK_SEARCH:
		return n >= 17 && n <= 17 + (MOTTE_MAX_AFTER + MOTTE_MAX_WITHIN) * MOTTE_ID + MOTTE_MAX_PREDICATE;
	case MTK_STORED:
		return n > 8 && n <= 8 + MOTTE_MAX_BLOB;
	case MTK_SAVE:
		return n == 5;
	case MTK_RUNS:
		return n > 0 && n <= MTK_CHUNK * MTK_RUN && n % MTK_RUN == 0;
	case MTK_LIST:
		return n >= 2 * MOTTE_VALUE && n <= 2 * MOTTE_VALUE + (size_t)MTK_CHUNK * MOTTE_ID && n % MOTTE_ID == 0;
	}
	return 0;
}

/* Handles one frame. Returns 0 if the Core broke the protocol, or the channel is broken. */
static inline int mtk_handle(struct mtk_server *s, int type, uint64_t seq, motte_bytes p)
{
	if (seq != s->seq + 1 || (type == MTK_CONFIGURE) != (seq == 1))
		return 0;
	s->seq = seq;
	if (s->refused)
		return 1; /* the Core sent this frame before it read the refusal */
	if (type != MTK_CONFIGURE && type != MTK_STORED && s->phase == MTK_STORING) {
		s->phase = MTK_RECONCILING;
		if (s->restored && s->task->loaded)
			s->task->loaded(s->task->self);
	}
	if (type == MTK_SEARCH && s->phase == MTK_RECONCILING) {
		s->phase = MTK_SERVING;
		mtk_release(&s->snapshot);
	}
	switch (type) {
	case MTK_CONFIGURE:
		return mtk_on_configure(s, p);
	case MTK_INSERT:
		return mtk_on_insert(s, p);
	case MTK_REMOVE:
		return mtk_on_remove(s, p);
	case MTK_VOIDED:
		return mtk_on_void(s, p);
	case MTK_SEARCH:
		return mtk_on_search(s, p);
	case MTK_STORED:
		return mtk_on_stored(s, p);
	case MTK_SAVE:
		return mtk_on_save(s, p);
	case MTK_RUNS:
		return mtk_on_runs(s, p);
	default: /* mtk_allowed refuses all other types */
		return mtk_on_list(s, p);
	}
}

/* Handles all whole frames that were read. *need is the size of the next frame, as far as known. */
static inline int mtk_handle_all(struct mtk_server *s, size_t *need)
{
	for (;;) {
		const uint8_t *h = s->in.data + s->at;
		size_t rest = s->in.size - s->at;
		*need = MTK_HEADER;
		if (rest < MTK_HEADER)
			return 1;
		size_t n = mtk_u32(h + 4);
		if (memcmp(h, "MT\2", 3) != 0 || !mtk_allowed(h[3], n))
			return 0;
		*need += n;
		if (rest < *need)
			return 1;
		motte_bytes payload = {h + MTK_HEADER, n};
		s->at += *need;
		if (!mtk_handle(s, h[3], mtk_u64(h + 8), payload))
			return 0;
		if (s->out.size >= MTK_WRITE && !mtk_flush(s))
			return 0;
	}
}

/* Moves the rest to the front of a buffer for need bytes: larger for a large frame, and back. */
static inline void mtk_make_room(struct mtk_server *s, size_t need)
{
	size_t rest = s->in.size - s->at, room = need > MTK_READ ? need : (size_t)MTK_READ;
	if (s->at > 0 && rest > 0)
		memmove(s->in.data, s->in.data + s->at, rest);
	s->at = 0;
	s->in.size = rest;
	if (s->in.room < room || (s->in.room > room && rest <= room)) {
		s->in.data = (uint8_t *)motte_alloc(s->in.data, room);
		s->in.room = room;
	}
}

/* Tells a person who started the Task that nobody can. */
static inline int mtk_explain(void)
{
	static const char text[] = "this is a Task: a Motte server starts it and hands it a channel on descriptor 3\n";
	ssize_t n = write(2, text, sizeof text - 1);
	return n < 0 ? 2 : 1;
}

static inline int motte_serve(const motte_task *task)
{
	struct mtk_server *s = &mtk_the_server;
	size_t need = MTK_HEADER;
	s->task = task;
	s->channel = 3;
	s->out.limit = SIZE_MAX;
	for (;;) {
		mtk_make_room(s, need);
		ssize_t n = read(s->channel, s->in.data + s->in.size, s->in.room - s->in.size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EBADF)
			return mtk_explain();
		if (n <= 0)
			return n == 0 && s->in.size == 0 ? 0 : 1;
		s->in.size += (size_t)n;
		if (!mtk_handle_all(s, &need) || !mtk_flush(s))
			return 1;
	}
}

#endif
