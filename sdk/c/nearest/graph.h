// A graph of nearest neighbours (hnswlib) whose elements can be removed, saved and restored.
//
// An element is a slot: a vector, and links to other slots. hnswlib itself never removes one. So a
// removed element stays as a free slot: it only leads searches to others, until a new vector takes it.
//
// A search that needs few elements, or has few to choose from, compares with each of them. Any other
// search goes through the graph. The result depends on the graph and the query alone.
#pragma once

#include "../motte.h"

#include <algorithm>
#include <iostream> // hnswlib needs it, and does not include it
#include <hnswlib/hnswlib.h>
#include <memory>
#include <queue>
#include <unordered_map>
#include <vector>

class Graph {
public:
	using Slot = hnswlib::tableint;
	using Vector = std::vector<float>;
	struct Near {
		float distance;
		Slot slot;
		bool operator<(const Near &o) const { return distance < o.distance; }
	};
	enum Found { found, too_expensive };

	// A graph of vectors of one size. It takes at most limit bytes.
	Graph(std::size_t vector_size, bool cosine, std::size_t limit) : dimensions(vector_size), memory(limit)
	{
		if (cosine)
			space = std::make_unique<hnswlib::InnerProductSpace>(dimensions);
		else
			space = std::make_unique<hnswlib::L2Space>(dimensions);
		clear();
	}

	// Adds an element. Returns false if there is no memory for another.
	bool add(const motte_object *object, const Vector &v, Slot *slot)
	{
		if (!take(slot))
			return false;
		graph->addPoint(v.data(), *slot);
		hold(*slot, object);
		return true;
	}

	void remove(Slot slot)
	{
		auto at = owners.find(slots[slot].object->owner);
		std::vector<Slot> &list = at->second;
		list[slots[slot].place] = list.back();
		slots[list.back()].place = slots[slot].place;
		list.pop_back();
		if (list.empty())
			owners.erase(at);
		slots[slot].object = nullptr;
		unused.push_back(slot);
	}

	const motte_object *object(Slot slot) const { return slots[slot].object; }

	// Returns up to n elements that are nearest to a vector: of one owner, or of all if owner is 0.
	Found nearest(const Vector &to, uint64_t owner, std::size_t n, std::vector<Near> *list)
	{
		list->clear();
		auto of = owners.find(owner);
		if (owner != 0 && of == owners.end())
			return found;
		std::size_t wanted = owner != 0 ? of->second.size() : slots.size() - unused.size();
		if (wanted > 8 * n && walk(to, owner, n, list))
			return found;
		if (wanted > max_work / dimensions)
			return too_expensive;
		if (owner != 0)
			return best(to, of->second, n, list);
		std::vector<Slot> all;
		for (Slot s = 0; s < slots.size(); s++)
			if (slots[s].object)
				all.push_back(s);
		return best(to, all, n, list);
	}

	// Returns up to n of some elements, those that are nearest to a vector. It compares with each.
	Found best(const Vector &to, const std::vector<Slot> &of, std::size_t n, std::vector<Near> *list) const
	{
		list->clear();
		if (of.size() > max_work / dimensions)
			return too_expensive;
		for (Slot s : of)
			list->push_back({distance(to, s), s});
		std::size_t kept = std::min(n, list->size());
		std::partial_sort(list->begin(), list->begin() + static_cast<std::ptrdiff_t>(kept), list->end(),
		                  [&](const Near &a, const Near &b) { return before(a, b); });
		list->resize(kept);
		return found;
	}

	// The order of answers: the nearest first, and of equally near elements that with the lower identity.
	bool before(const Near &a, const Near &b) const
	{
		if (a.distance != b.distance)
			return a.distance < b.distance;
		return memcmp(slots[a.slot].object->id, slots[b.slot].object->id, MOTTE_ID) < 0;
	}

	// Saves an element: its vector, and the names of its neighbours on each level.
	void save(Slot slot, motte_buffer *out) const
	{
		const auto *v = reinterpret_cast<const float *>(graph->getDataByInternalId(slot));
		for (std::size_t i = 0; i < dimensions; i++) {
			uint32_t bits;
			memcpy(&bits, &v[i], sizeof bits);
			motte_write_u32(out, bits);
		}
		motte_write_u32(out, static_cast<uint32_t>(graph->element_levels_[slot]));
		for (int level = 0; level <= graph->element_levels_[slot]; level++) {
			Links links = at(slot, level);
			motte_write_u32(out, links.count());
			for (unsigned i = 0; i < links.count(); i++) {
				const motte_object *o = slots[links[i]].object;
				motte_write_u32(out, o ? name(o) : 0);
			}
		}
	}

	// Adds an element that was saved. Its links are names until link is called.
	bool restore(const motte_object *object, motte_bytes saved, Slot *slot)
	{
		Vector v(dimensions);
		uint32_t bits, level;
		for (float &x : v) {
			if (!motte_read_u32(&saved, &bits))
				return false;
			memcpy(&x, &bits, sizeof x);
		}
		if (!motte_read_u32(&saved, &level) || level > max_level || !take(slot))
			return false;
		place(*slot, v, static_cast<int>(level));
		hold(*slot, object);
		for (unsigned l = 0; l <= level; l++) {
			uint32_t count;
			Links links = at(*slot, static_cast<int>(l));
			if (!motte_read_u32(&saved, &count))
				break; // it has fewer links then
			for (uint32_t n; count > 0 && motte_read_u32(&saved, &n); count--)
				links.add(n);
		}
		return true;
	}

	// Makes the names of all restored elements links, and connects elements that have too few. An
	// element that was saved later may have links that its neighbours don't know.
	void link()
	{
		if (unused.size() == slots.size()) {
			clear();
			return;
		}
		resolve();
		for (Slot s = 0; s < slots.size(); s++)
			for (int level = 0; level <= graph->element_levels_[s]; level++) {
				Links links = at(s, level);
				for (unsigned i = 0; i < links.count(); i++)
					if (Links others = at(links[i], level); !others.has(s))
						others.add(s);
			}
		std::vector<unsigned> incoming(slots.size());
		for (Slot s = 0; s < slots.size(); s++)
			for (unsigned i = 0; i < at(s, 0).count(); i++)
				incoming[at(s, 0)[i]]++;
		for (Slot s = 0; s < slots.size(); s++)
			if (slots[s].object && incoming[s] < few_links)
				graph->repairConnectionsForUpdate(graph->getDataByInternalId(s), graph->enterpoint_node_, s,
				                                  graph->element_levels_[s], graph->maxlevel_);
	}

private:
	static constexpr std::size_t degree = 16;        // links of a vector on the higher levels; twice on level 0
	static constexpr std::size_t build_width = 128;  // candidates for the links of a new element
	static constexpr std::size_t max_work = 64 << 20; // multiplications for one query: some 30 ms
	static constexpr std::size_t first_room = 1024;  // elements
	static constexpr unsigned few_links = 4;
	static constexpr unsigned max_level = 32;
	static constexpr std::size_t overhead = 8 << 20; // bytes beside the elements

	struct Element {
		const motte_object *object; // nullptr: the slot is free
		uint32_t place;             // in the list of its owner
	};

	// The links of an element on one level, where hnswlib keeps them.
	struct Links {
		hnswlib::linklistsizeint *head;
		std::size_t room;

		unsigned count() const { return *reinterpret_cast<const unsigned short *>(head); }
		Slot &operator[](unsigned i) const { return head[1 + i]; }
		void resize(unsigned n) const
		{
			*reinterpret_cast<unsigned short *>(head) = static_cast<unsigned short>(n);
		}
		bool has(Slot s) const { return std::find(head + 1, head + 1 + count(), s) != head + 1 + count(); }
		void add(Slot s) const
		{
			if (count() == room)
				return;
			(*this)[count()] = s;
			resize(count() + 1);
		}
	};

	Links at(Slot s, int level) const
	{
		return {graph->get_linklist_at_level(s, level), level == 0 ? graph->maxM0_ : graph->maxM_};
	}

	float distance(const Vector &to, Slot s) const
	{
		return graph->fstdistfunc_(to.data(), graph->getDataByInternalId(s), graph->dist_func_param_);
	}

	// A name that an identity has in each process. Two identities rarely have the same one; then a
	// link leads to a vector that is not near, which does no harm.
	static uint32_t name(const motte_object *o)
	{
		uint64_t n = 0, part;
		for (int i = 0; i < MOTTE_ID; i += 8) {
			memcpy(&part, o->id + i, sizeof part);
			n = (n ^ part) * UINT64_C(0x9e3779b97f4a7c15);
			n ^= n >> 32;
		}
		return static_cast<uint32_t>(n) | 1; // 0 is no name
	}

	void clear()
	{
		graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(space.get(), first_room, degree, build_width);
		slots.clear();
		unused.clear();
		owners.clear();
	}

	// Takes a free slot, or a new one.
	bool take(Slot *slot)
	{
		if (!unused.empty()) {
			*slot = unused.back();
			unused.pop_back();
			return true;
		}
		if (slots.size() == graph->max_elements_ && !grow())
			return false;
		*slot = static_cast<Slot>(slots.size());
		slots.push_back({nullptr, 0});
		return true;
	}

	void hold(Slot slot, const motte_object *object)
	{
		std::vector<Slot> &list = owners[object->owner];
		slots[slot] = {object, static_cast<uint32_t>(list.size())};
		list.push_back(slot);
	}

	// Makes room for more elements, as far as the memory allows. hnswlib copies its vectors to a larger
	// place, so both places must fit.
	bool grow()
	{
		std::size_t each = graph->size_data_per_element_ + 384; // locks, tables, lists, and the kit's object
		std::size_t old = slots.size(), copy = old * graph->size_data_per_element_;
		if (memory < overhead + copy)
			return false;
		std::size_t room = std::min({old + old / 2, (memory - overhead - copy) / each, std::size_t{1} << 31});
		if (room <= old)
			return false;
		graph->resizeIndex(room);
		return true;
	}

	// Writes an element into hnswlib's memory, without a link.
	void place(Slot slot, const Vector &v, int level)
	{
		if (slot == graph->cur_element_count) {
			graph->cur_element_count++;
			graph->label_lookup_[slot] = slot;
		} else if (graph->element_levels_[slot] > 0) {
			free(graph->linkLists_[slot]);
		}
		memset(graph->get_linklist0(slot), 0, graph->size_data_per_element_);
		memcpy(graph->getDataByInternalId(slot), v.data(), v.size() * sizeof v[0]);
		graph->setExternalLabel(slot, slot);
		graph->element_levels_[slot] = level;
		if (level > 0) {
			std::size_t size = graph->size_links_per_element_ * static_cast<std::size_t>(level) + sizeof(Slot);
			graph->linkLists_[slot] = static_cast<char *>(motte_alloc(nullptr, size));
			memset(graph->linkLists_[slot], 0, size);
		}
	}

	// Turns names into slots, and drops links to elements that are not there. The highest element is
	// where searches enter.
	void resolve()
	{
		std::unordered_map<uint32_t, Slot> named(slots.size());
		graph->maxlevel_ = -1;
		for (Slot s = 0; s < slots.size(); s++)
			if (slots[s].object) {
				named[name(slots[s].object)] = s;
				if (graph->element_levels_[s] > graph->maxlevel_) {
					graph->maxlevel_ = graph->element_levels_[s];
					graph->enterpoint_node_ = s;
				}
			} else {
				place(s, Vector(dimensions), 0);
			}
		for (Slot s = 0; s < slots.size(); s++)
			for (int level = 0; level <= graph->element_levels_[s]; level++) {
				Links links = at(s, level);
				unsigned n = links.count();
				links.resize(0);
				for (unsigned i = 0; i < n; i++) {
					auto to = named.find(links[i]);
					if (to != named.end() && to->second != s && graph->element_levels_[to->second] >= level
					    && !links.has(to->second))
						links.add(to->second);
				}
			}
	}

	// Searches the graph for n elements. Returns false if it does not reach as many, or takes too much work.
	bool walk(const Vector &to, uint64_t owner, std::size_t n, std::vector<Near> *list)
	{
		std::size_t work = max_work / dimensions;
		auto further = [](const Near &a, const Near &b) { return a.distance > b.distance; };
		std::priority_queue<Near, std::vector<Near>, decltype(further)> open(further);
		auto last = [&](const Near &a, const Near &b) { return before(a, b); };
		std::priority_queue<Near, std::vector<Near>, decltype(last)> best(last);
		Near from = descend(to);
		hnswlib::VisitedList *visited = graph->visited_list_pool_->getFreeVisitedList();
		auto visit = [&](const Near &e) {
			visited->mass[e.slot] = visited->curV;
			if (best.size() == n && e.distance > best.top().distance)
				return;
			open.push(e);
			const motte_object *o = slots[e.slot].object;
			if (!o || (owner != 0 && o->owner != owner))
				return;
			best.push(e);
			if (best.size() > n)
				best.pop();
		};
		visit(from);
		while (!open.empty() && work > 0 && !(best.size() == n && open.top().distance > best.top().distance)) {
			Links links = at(open.top().slot, 0);
			open.pop();
			for (unsigned i = 0; i < links.count() && work > 0; i++)
				if (visited->mass[links[i]] != visited->curV) {
					visit({distance(to, links[i]), links[i]});
					work--;
				}
		}
		graph->visited_list_pool_->releaseVisitedList(visited);
		for (; !best.empty(); best.pop())
			list->push_back(best.top());
		std::reverse(list->begin(), list->end());
		return list->size() == n;
	}

	// Goes down to level 0, on each level to the element that is nearest.
	Near descend(const Vector &to) const
	{
		Near here = {distance(to, graph->enterpoint_node_), graph->enterpoint_node_};
		for (int level = graph->maxlevel_; level > 0; level--)
			for (bool moved = true; moved;) {
				moved = false;
				Links links = at(here.slot, level);
				for (unsigned i = 0; i < links.count(); i++)
					if (Near next = {distance(to, links[i]), links[i]}; next < here) {
						here = next;
						moved = true;
					}
			}
		return here;
	}

	std::size_t dimensions;
	std::size_t memory;
	std::unique_ptr<hnswlib::SpaceInterface<float>> space;
	std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph;
	std::vector<Element> slots;
	std::vector<Slot> unused;
	std::unordered_map<uint64_t, std::vector<Slot>> owners;
};
