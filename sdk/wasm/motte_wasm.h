/* motte_wasm.h: declarations for a Task that is a WebAssembly module in C or C++.
 *
 * Write the functions below, and compile with clang --target=wasm32-wasi -mexec-model=reactor. Then
 * 'motte task build' makes the Task. docs/how-to/write-a-task-in-wasm.md builds one step by step, and
 * docs/reference/wasm-abi.md has all rules. Include this file in one source file of the module: it
 * defines motte_buffer.
 *
 * An object has a number, never 0. The runner chooses it, and uses it again after motte_remove. A
 * Task can so keep its entries in an array.
 */
#ifndef MOTTE_WASM_H
#define MOTTE_WASM_H

#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOTTE_EXPORT(name) __attribute__((export_name(#name)))
#define MOTTE_IMPORT(name) __attribute__((import_module("motte"), import_name(#name)))

/* What a function returns. */
enum {
	MOTTE_OK = 0,
	MOTTE_NOTHING = 1,       /* insert: the object has nothing to index. save: do not save it */
	MOTTE_REFUSED = 2,       /* configuration, input, predicate or record is not understood */
	MOTTE_TOO_EXPENSIVE = 3, /* search: the client may try again, or ask for less */
	MOTTE_GONE = 4           /* search: no object of the page before matches */
};

/* The functions of a Task. What a pointer names is valid during the call. */

/* The first call, made once. MOTTE_REFUSED: the index is not built. */
MOTTE_EXPORT(motte_configure)
uint32_t motte_configure(uint32_t type, uint32_t ordered, uint32_t max_results, const uint8_t *options, uint32_t size);

/* Hold an object. MOTTE_NOTHING and MOTTE_REFUSED: the index does not find it, and its number is
 * free; the second tells the client. */
MOTTE_EXPORT(motte_insert)
uint32_t motte_insert(uint32_t object, uint64_t owner, const uint8_t *input, uint32_t size);

/* Drop an object that motte_insert or motte_load took: it was removed, or comes anew. */
MOTTE_EXPORT(motte_remove)
void motte_remove(uint32_t object);

/* Name the objects that match, with motte_found. The owner is 0, or the one owner whose objects the
 * client may see. */
MOTTE_EXPORT(motte_search)
uint32_t motte_search(const uint8_t *predicate, uint32_t size, uint32_t limit, uint64_t owner);

/* Both or neither. Save writes, with motte_write, what load needs to hold the object again. */
MOTTE_EXPORT(motte_save)
uint32_t motte_save(uint32_t object);
MOTTE_EXPORT(motte_load)
uint32_t motte_load(uint32_t object, uint64_t owner, const uint8_t *record, uint32_t size);

/* The functions of the runner. The last may be called in motte_save, the others in motte_search. */

/* Names an object. Returns 0 if the answer needs no more, and motte_search should return. */
MOTTE_IMPORT(found) uint32_t motte_found(uint32_t object);

/* Says that the objects are named in no particular order: the runner sorts them by identity. */
MOTTE_IMPORT(any_order) void motte_any_order(void);

/* The objects before the page, the last one first; 0 for one that is gone. A Task can ignore them,
 * and name all objects from the start. */
MOTTE_IMPORT(after_count) uint32_t motte_after_count(void);
MOTTE_IMPORT(after) uint32_t motte_after(uint32_t i);

/* Says that only objects after motte_after(i) are named. It is the first that still matches. */
MOTTE_IMPORT(starts_after) void motte_starts_after(uint32_t i);

/* The candidates: if there are any, the client wants only the matches among these objects. The
 * objects before the page are among them. MOTTE_ALL: it wants all. A Task can ignore them, and name
 * all objects that match. But a Task that itself stops at the limit must count the candidates alone. */
#define MOTTE_ALL UINT32_MAX
MOTTE_IMPORT(candidate_count) uint32_t motte_candidate_count(void);
MOTTE_IMPORT(candidate) uint32_t motte_candidate(uint32_t i);

/* Reports whether an object is a candidate: 1 if the client wants all. */
MOTTE_IMPORT(is_candidate) uint32_t motte_is_candidate(uint32_t object);

/* Appends bytes to what is saved of an object. */
MOTTE_IMPORT(write) void motte_write(const void *data, uint32_t size);

/* The place for what the runner hands over next. */
MOTTE_EXPORT(motte_buffer)
void *motte_buffer(uint32_t size)
{
	static uint8_t *place;
	static uint32_t room = 4096;
	if (!place || size > room) {
		free(place);
		room = size > room ? size : room;
		place = (uint8_t *)malloc(room);
		if (!place)
			abort();
	}
	return place;
}

#ifdef __cplusplus
}
#endif

#endif
