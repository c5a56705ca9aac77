// A Task in C++17 that finds each object for each predicate, in the order of identities. It begins a
// page in the middle, and refuses the input "no". It has no save and no load.
#include "../motte.h"

#include <set>
#include <string>

namespace {

struct later {
	bool operator()(const motte_object *a, const motte_object *b) const
	{
		return memcmp(a->id, b->id, MOTTE_ID) < 0;
	}
};

struct holder {
	std::set<const motte_object *, later> objects;
};

motte_result configure(void *, const motte_config *config)
{
	std::string options(reinterpret_cast<const char *>(config->options.data), config->options.size);
	return options == "no" ? MOTTE_REFUSED : MOTTE_OK;
}

motte_result insert(void *self, motte_object *object, motte_bytes input)
{
	if (std::string(reinterpret_cast<const char *>(input.data), input.size) == "no")
		return MOTTE_REFUSED;
	static_cast<holder *>(self)->objects.insert(object);
	return MOTTE_OK;
}

void drop(void *self, motte_object *object)
{
	static_cast<holder *>(self)->objects.erase(object);
}

motte_result search(void *self, motte_query *query)
{
	std::string predicate(reinterpret_cast<const char *>(query->predicate.data), query->predicate.size);
	if (predicate == "expensive")
		return MOTTE_TOO_EXPENSIVE;
	if (predicate == "no")
		return MOTTE_REFUSED;
	const auto &objects = static_cast<holder *>(self)->objects;
	auto next = objects.begin();
	if (query->after_count > 0) {
		int i = 0;
		while (i < query->after_count && !query->after[i])
			i++;
		if (i == query->after_count)
			return MOTTE_GONE;
		motte_starts_after(query, i);
		next = objects.upper_bound(query->after[i]);
	}
	for (; next != objects.end(); ++next)
		if (motte_wants(query, (*next)->owner) && !motte_found(query, *next))
			break;
	return MOTTE_OK;
}

} // namespace

int main()
{
	static holder all;
	motte_task task = {};
	task.self = &all;
	task.configure = configure;
	task.insert = insert;
	task.remove = drop;
	task.search = search;
	return motte_serve(&task);
}
