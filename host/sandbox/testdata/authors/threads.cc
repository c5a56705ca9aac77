// A Task that uses the threads of C++: a static variable that several make at
// once, a future, an exception.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <future>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

struct Slow {
	std::map<int, std::string> m;
	Slow() {
		std::this_thread::sleep_for(std::chrono::milliseconds(5));
		m[1] = "x";
	}
};

static Slow &slow() {
	static Slow s;
	return s;
}

int main() {
	char line[64];
	if (read(3, line, sizeof line) <= 0) return 1;
	std::cout << "to standard output" << std::endl;
	std::cerr << "to standard error" << std::endl;
	std::vector<std::thread> threads;
	for (int i = 0; i < 8; i++) threads.emplace_back([] { slow(); });
	for (auto &t : threads) t.join();
	auto later = std::async(std::launch::async, [] {
		std::this_thread::sleep_for(std::chrono::milliseconds(5));
		if (slow().m.size() == 1) throw std::string("done");
	});
	try {
		later.get();
	} catch (const std::string &s) {
		dprintf(3, "%s\n", s.c_str());
	}
	return 0;
}
