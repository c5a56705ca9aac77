// motte-task-nearest: finds the objects whose vectors are nearest to a vector. The library hnswlib
// does the work. See docs/how-to/write-a-task-in-c.md.
//
// The configuration is a JSON object:
//
//	dimensions  numbers in a vector, 1 to 4096; required
//	field       the member of each input that has the vector. Without: the input is the vector
//	metric      "euclidean", as without, or "cosine"
//	candidates  most objects of a whole answer, all pages together; 200 without, at most 10000. If a
//	            query names candidates itself, all of these are ranked
//
// An input is JSON: an array of numbers, or an object with such a member. An object without the member
// is not indexed. A predicate is an array of numbers, or {"to": [...], "within": distance}.
#include "graph.h"
#include "json.h"

#include <sys/resource.h>

#include <cmath>
#include <optional>
#include <string>
#include <string_view>

namespace {

constexpr std::size_t max_dimensions = 4096;
constexpr std::size_t max_candidates = 10000;

std::string_view text(motte_bytes b)
{
	return {reinterpret_cast<const char *>(b.data), b.size};
}

// Returns the memory that the process may use: nine tenths of its limit.
std::size_t memory()
{
	rlimit limit;
	if (getrlimit(RLIMIT_DATA, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX / 2;
	return limit.rlim_cur / 10 * 9;
}

struct Query {
	Graph::Vector to;
	float within = INFINITY;
};

class Nearest {
public:
	motte_result configure(const motte_config &config)
	{
		json::Reader r(text(config.options));
		float n;
		std::string_view s;
		bool ok = r.object([&](std::string_view name) {
			if (name == "dimensions")
				return r.number(&n) && whole(n, max_dimensions, &dimensions);
			if (name == "candidates")
				return r.number(&n) && whole(n, max_candidates, &candidates);
			if (!r.string(&s))
				return false;
			if (name == "field") {
				field = s;
				return !field.empty() && field.find('\\') == field.npos;
			}
			cosine = s == "cosine";
			return name == "metric" && (cosine || s == "euclidean");
		});
		if (!ok || !r.done() || dimensions == 0)
			return MOTTE_REFUSED;
		graph.emplace(dimensions, cosine, memory());
		return MOTTE_OK;
	}

	motte_result insert(motte_object *object, motte_bytes input)
	{
		Graph::Vector v;
		Graph::Slot slot;
		motte_result r = read(text(input), &v);
		if (r != MOTTE_OK)
			return r;
		if (!graph->add(object, v, &slot))
			return MOTTE_REFUSED;
		object->data = mark(slot);
		return MOTTE_OK;
	}

	void remove(motte_object *object) { graph->remove(slot(object)); }

	motte_result search(motte_query *query)
	{
		Query q;
		std::vector<Graph::Near> list;
		if (!read(text(query->predicate), &q))
			return MOTTE_REFUSED;
		if (rank(query, q.to, &list) != Graph::found)
			return MOTTE_TOO_EXPENSIVE;
		for (const Graph::Near &near : list)
			if (near.distance > q.within || !motte_found(query, graph->object(near.slot)))
				break;
		return MOTTE_OK;
	}

	motte_result save(const motte_object *object, motte_buffer *out) const
	{
		graph->save(slot(object), out);
		return MOTTE_OK;
	}

	motte_result load(motte_object *object, motte_bytes saved)
	{
		Graph::Slot slot;
		if (!graph->restore(object, saved, &slot))
			return MOTTE_REFUSED;
		object->data = mark(slot);
		return MOTTE_OK;
	}

	void loaded() { graph->link(); }

private:
	// Returns the objects that are nearest to a vector: of all, or of the candidates of the query.
	Graph::Found rank(const motte_query *query, const Graph::Vector &to, std::vector<Graph::Near> *list)
	{
		if (!query->narrowed)
			return graph->nearest(to, query->owner, candidates, list);
		std::vector<Graph::Slot> slots;
		for (std::size_t i = 0; i < query->candidate_count; i++)
			slots.push_back(slot(query->candidates[i]));
		return graph->best(to, slots, slots.size(), list);
	}

	// data is never NULL for an object that is held.
	static void *mark(Graph::Slot slot) { return reinterpret_cast<void *>(uintptr_t{slot} + 1); }
	static Graph::Slot slot(const motte_object *o)
	{
		return static_cast<Graph::Slot>(reinterpret_cast<uintptr_t>(o->data) - 1);
	}

	static bool whole(float n, std::size_t most, std::size_t *to)
	{
		*to = static_cast<std::size_t>(n >= 1 && n <= static_cast<float>(most) ? n : 0);
		return *to > 0 && static_cast<float>(*to) == n;
	}

	// Reads the vector of an input.
	motte_result read(std::string_view input, Graph::Vector *v) const
	{
		json::Reader r(input);
		bool has = field.empty();
		bool ok = has ? r.numbers(v, dimensions) : r.object([&](std::string_view name) {
			if (name != field)
				return r.skip();
			return has = r.numbers(v, dimensions);
		});
		if (!ok || !r.done())
			return MOTTE_REFUSED;
		if (!has)
			return MOTTE_NOTHING;
		return usable(v) ? MOTTE_OK : MOTTE_REFUSED;
	}

	bool read(std::string_view predicate, Query *q) const
	{
		json::Reader r(predicate);
		if (!r.next('{'))
			return r.numbers(&q->to, dimensions) && r.done() && usable(&q->to);
		bool ok = r.object([&](std::string_view name) {
			if (name == "to")
				return r.numbers(&q->to, dimensions);
			return name == "within" && r.number(&q->within);
		});
		if (!cosine)
			q->within *= std::fabs(q->within); // hnswlib compares squares
		return ok && r.done() && usable(&q->to);
	}

	// Reports whether a vector can be indexed. For cosine, it gets the length 1.
	bool usable(Graph::Vector *v) const
	{
		double square = 0;
		for (float x : *v)
			square += double{x} * x;
		if (v->size() != dimensions || square > 1e36)
			return false;
		if (!cosine)
			return true;
		if (square < 1e-30)
			return false;
		for (float &x : *v)
			x = static_cast<float>(x / std::sqrt(square));
		return true;
	}

	std::size_t dimensions = 0;
	std::size_t candidates = 200;
	std::string field;
	bool cosine = false;
	std::optional<Graph> graph;
};

Nearest *of(void *self)
{
	return static_cast<Nearest *>(self);
}

} // namespace

int main()
{
	static Nearest index;
	motte_task task = {};
	task.self = &index;
	task.configure = [](void *self, const motte_config *c) { return of(self)->configure(*c); };
	task.insert = [](void *self, motte_object *o, motte_bytes input) { return of(self)->insert(o, input); };
	task.remove = [](void *self, motte_object *o) { of(self)->remove(o); };
	task.search = [](void *self, motte_query *q) { return of(self)->search(q); };
	task.save = [](void *self, const motte_object *o, motte_buffer *out) { return of(self)->save(o, out); };
	task.load = [](void *self, motte_object *o, motte_bytes saved) { return of(self)->load(o, saved); };
	task.loaded = [](void *self) { of(self)->loaded(); };
	task.batch = 32; // a change takes up to some milliseconds
	return motte_serve(&task);
}
