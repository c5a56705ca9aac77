/* The runner: the kit of sdk/c on one side, a module on the other.
 *
 * The module names an object by a number, which the runner gives it. The runner checks each number
 * and each pointer that the module hands over; a wrong one ends the process.
 * docs/reference/wasm-abi.md describes the functions. */
#include "motte.h"
#include "runner.h"

static Z_task_instance_t module;

/* Objects by number, and the query that the module answers now. */
static struct {
	motte_object **at; /* NULL: the number is free */
	size_t count, room;
	u32 *unused; /* numbers that are free; it has room for all numbers */
	size_t unused_count, unused_room;
	motte_query *query;
	motte_buffer *saved; /* what the present motte_save writes */
} runner = {.count = 1};

_Noreturn void runner_trap(void)
{
	_Exit(2);
}

uint8_t *runner_at(u32 pointer, u32 size)
{
	wasm_rt_memory_t *memory = Z_taskZ_memory(&module);
	if ((u64)pointer + size > memory->size)
		runner_trap();
	return memory->data + pointer;
}

void runner_set_u32(u32 pointer, u32 n)
{
	uint8_t *p = runner_at(pointer, 4);
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(n >> 8 * i);
}

void runner_set_u64(u32 pointer, u64 n)
{
	runner_set_u32(pointer, (u32)n);
	runner_set_u32(pointer + 4, (u32)(n >> 32));
}

/* Copies bytes into the buffer of the module, and returns their place there. */
static u32 hand_over(motte_bytes b)
{
	u32 pointer = Z_taskZ_motte_buffer(&module, (u32)b.size);
	uint8_t *to = runner_at(pointer, (u32)b.size);
	if (b.size > 0)
		memcpy(to, b.data, b.size);
	return pointer;
}

/* ---- Objects ------------------------------------------------------------------------------- */

static void *grow(void *at, size_t *room, size_t n, size_t size)
{
	if (n <= *room)
		return at;
	*room = 2 * n + 1024;
	return motte_alloc(at, *room * size);
}

/* Gives an object a number. */
static u32 number(motte_object *object)
{
	u32 n;
	if (runner.unused_count > 0) {
		n = runner.unused[--runner.unused_count];
	} else {
		if (runner.count == UINT32_MAX)
			runner_trap();
		n = (u32)runner.count++;
		runner.at = grow(runner.at, &runner.room, runner.count, sizeof *runner.at);
		runner.unused = grow(runner.unused, &runner.unused_room, runner.count, sizeof *runner.unused);
	}
	runner.at[n] = object;
	object->data = (void *)(uintptr_t)n;
	return n;
}

static void forget(u32 n)
{
	runner.at[n] = NULL;
	runner.unused[runner.unused_count++] = n;
}

static u32 number_of(const motte_object *object)
{
	return object ? (u32)(uintptr_t)object->data : 0;
}

static const motte_object *object_of(u32 n)
{
	if (n == 0 || n >= runner.count || !runner.at[n])
		runner_trap();
	return runner.at[n];
}

/* Checks a result of the module: it must be one of those up to last. */
static motte_result checked(u32 result, motte_result last)
{
	if (result > (u32)last)
		runner_trap();
	return (motte_result)result;
}

/* ---- Calls from the kit -------------------------------------------------------------------- */

static motte_result configure(void *self, const motte_config *config)
{
	(void)self;
	u32 options = hand_over(config->options);
	u32 result = Z_taskZ_motte_configure(&module, (u32)config->type, (u32)config->ordered, config->max_results, options,
					     (u32)config->options.size);
	return checked(result, MOTTE_REFUSED) == MOTTE_OK ? MOTTE_OK : MOTTE_REFUSED;
}

static motte_result insert(void *self, motte_object *object, motte_bytes input)
{
	(void)self;
	u32 at = hand_over(input), n = number(object);
	motte_result result = checked(Z_taskZ_motte_insert(&module, n, object->owner, at, (u32)input.size), MOTTE_REFUSED);
	if (result != MOTTE_OK)
		forget(n);
	return result;
}

static void drop(void *self, motte_object *object)
{
	(void)self;
	u32 n = number_of(object);
	Z_taskZ_motte_remove(&module, n);
	forget(n);
}

static motte_result search(void *self, motte_query *query)
{
	(void)self;
	u32 predicate = hand_over(query->predicate);
	runner.query = query;
	u32 result = Z_taskZ_motte_search(&module, predicate, (u32)query->predicate.size, query->limit, query->owner);
	runner.query = NULL;
	return checked(result, MOTTE_GONE);
}

#if MODULE_SAVES
static motte_result save(void *self, const motte_object *object, motte_buffer *out)
{
	(void)self;
	runner.saved = out;
	u32 result = Z_taskZ_motte_save(&module, number_of(object));
	runner.saved = NULL;
	return checked(result, MOTTE_NOTHING);
}

static motte_result load(void *self, motte_object *object, motte_bytes saved)
{
	(void)self;
	u32 at = hand_over(saved), n = number(object);
	motte_result result = checked(Z_taskZ_motte_load(&module, n, object->owner, at, (u32)saved.size), MOTTE_REFUSED);
	if (result != MOTTE_OK)
		forget(n);
	return result;
}
#endif

/* ---- Calls from the module ----------------------------------------------------------------- */

struct Z_motte_instance_t;

/* The query that the module answers. Outside of motte_search there is none. */
static motte_query *asked(void)
{
	if (!runner.query)
		runner_trap();
	return runner.query;
}

u32 Z_motteZ_found(struct Z_motte_instance_t *host, u32 object)
{
	(void)host;
	return (u32)motte_found(asked(), object_of(object));
}

void Z_motteZ_any_order(struct Z_motte_instance_t *host)
{
	(void)host;
	motte_any_order(asked());
}

u32 Z_motteZ_after_count(struct Z_motte_instance_t *host)
{
	(void)host;
	return (u32)asked()->after_count;
}

u32 Z_motteZ_after(struct Z_motte_instance_t *host, u32 i)
{
	(void)host;
	const motte_query *query = asked();
	if (i >= (u32)query->after_count)
		runner_trap();
	return number_of(query->after[i]);
}

void Z_motteZ_starts_after(struct Z_motte_instance_t *host, u32 i)
{
	(void)host;
	motte_query *query = asked();
	if (i >= (u32)query->after_count || !query->after[i])
		runner_trap();
	motte_starts_after(query, (int)i);
}

u32 Z_motteZ_candidate_count(struct Z_motte_instance_t *host)
{
	(void)host;
	const motte_query *query = asked();
	return query->narrowed ? (u32)query->candidate_count : UINT32_MAX;
}

u32 Z_motteZ_candidate(struct Z_motte_instance_t *host, u32 i)
{
	(void)host;
	const motte_query *query = asked();
	if (i >= query->candidate_count)
		runner_trap();
	return number_of(query->candidates[i]);
}

u32 Z_motteZ_is_candidate(struct Z_motte_instance_t *host, u32 object)
{
	(void)host;
	return (u32)motte_candidate(asked(), object_of(object));
}

void Z_motteZ_write(struct Z_motte_instance_t *host, u32 data, u32 size)
{
	(void)host;
	if (!runner.saved)
		runner_trap();
	motte_write(runner.saved, runner_at(data, size), size);
}

int main(void)
{
	Z_task_init_module();
	MODULE_INSTANTIATE(&module);
#if MODULE_INITIALIZE
	Z_taskZ__initialize(&module);
#endif
	const motte_task task = {
		.configure = configure,
		.insert = insert,
		.remove = drop,
		.search = search,
#if MODULE_SAVES
		.save = save,
		.load = load,
#endif
	};
	return motte_serve(&task);
}
