// A reader of JSON that keeps only what it is asked for: arrays of numbers, and members of an object.
// It reads hostile text: it never looks behind the end, and its depth is bounded.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <vector>

namespace json {

class Reader {
public:
	explicit Reader(std::string_view text) : rest(text) {}

	// Takes a character, after white space.
	bool take(char c)
	{
		space();
		if (rest.empty() || rest.front() != c)
			return false;
		rest.remove_prefix(1);
		return true;
	}

	// Reports whether the next value begins with this character.
	bool next(char c)
	{
		space();
		return !rest.empty() && rest.front() == c;
	}

	// Reports whether the text has ended.
	bool done()
	{
		space();
		return rest.empty();
	}

	// Takes a number that a float can hold.
	bool number(float *n)
	{
		space();
		std::string_view digits = rest.substr(0, rest.find_first_not_of("+-.0123456789eE"));
		std::string_view whole = digits.substr(!digits.empty() && digits.front() == '-');
		if (whole.empty() || whole.front() < '0' || whole.front() > '9')
			return false;
		if (whole.size() > 1 && whole.front() == '0' && whole[1] >= '0' && whole[1] <= '9')
			return false;
		double wide = 0;
		auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), wide);
		*n = static_cast<float>(wide);
		if (error != std::errc() || end != digits.data() + digits.size() || end[-1] == '.' || !std::isfinite(*n))
			return false;
		rest.remove_prefix(digits.size());
		return true;
	}

	// Takes an array of numbers, at most most of them.
	bool numbers(std::vector<float> *list, std::size_t most)
	{
		list->clear();
		if (!take('['))
			return false;
		if (take(']'))
			return true;
		do {
			float n;
			if (list->size() == most || !number(&n))
				return false;
			list->push_back(n);
		} while (take(','));
		return take(']');
	}

	// Takes a string, and returns it with its escapes as they are.
	bool string(std::string_view *s)
	{
		if (!take('"'))
			return false;
		for (std::size_t i = 0; i < rest.size(); i++) {
			if (rest[i] == '"') {
				*s = rest.substr(0, i);
				rest.remove_prefix(i + 1);
				return true;
			}
			if (static_cast<unsigned char>(rest[i]) < 0x20)
				return false;
			i += rest[i] == '\\'; // the next character does not end the string
		}
		return false;
	}

	// Takes an object. It calls member(name) for each member; member takes the value, or returns false.
	template <typename Member> bool object(Member member)
	{
		if (!take('{'))
			return false;
		if (take('}'))
			return true;
		do {
			std::string_view name;
			if (!string(&name) || !take(':') || !member(name))
				return false;
		} while (take(','));
		return take('}');
	}

	// Takes any value.
	bool skip(int depth = 0)
	{
		float n;
		std::string_view s;
		if (depth > max_depth)
			return false;
		if (next('"'))
			return string(&s);
		if (next('{'))
			return object([&](std::string_view) { return skip(depth + 1); });
		if (!next('['))
			return word("true") || word("false") || word("null") || number(&n);
		take('[');
		if (take(']'))
			return true;
		do {
			if (!skip(depth + 1))
				return false;
		} while (take(','));
		return take(']');
	}

private:
	static constexpr int max_depth = 100;

	bool word(std::string_view w)
	{
		if (rest.substr(0, w.size()) != w)
			return false;
		rest.remove_prefix(w.size());
		return true;
	}

	void space()
	{
		std::size_t n = rest.find_first_not_of(" \t\r\n");
		rest.remove_prefix(n == rest.npos ? rest.size() : n);
	}

	std::string_view rest;
};

} // namespace json
