// Measures hnswlib in one thread, for a comparison: g++ -O3 -march=native hnswlib.cc -o hnswlib
//
//	hnswlib DIMENSIONS M EF_CONSTRUCTION BASE QUERIES TRUTH
//
// BASE and QUERIES have vectors of float32, TRUTH has the numbers (uint32) of the ten nearest vectors of
// each query. The first line of the output is the processor time of the construction in seconds. Each
// other line is: ef, recall, and microseconds of processor time for a query.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <vector>

#include <hnswlib/hnswlib.h>

template <typename T> static std::vector<T> read(const char *path) {
	std::ifstream in(path, std::ios::binary);
	std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
	const T *begin = reinterpret_cast<const T *>(bytes.data());
	return std::vector<T>(begin, begin + bytes.size() / sizeof(T));
}

static double cpu() {
	timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int, char **argv) {
	const size_t length = atoi(argv[1]), m = atoi(argv[2]), construction = atoi(argv[3]), k = 10;
	auto base = read<float>(argv[4]), queries = read<float>(argv[5]);
	auto truth = read<uint32_t>(argv[6]);
	hnswlib::L2Space space(length);
	hnswlib::HierarchicalNSW<float> graph(&space, base.size() / length, m, construction);
	double begin = cpu();
	for (size_t n = 0; n < base.size() / length; n++)
		graph.addPoint(&base[n * length], n);
	printf("%f\n", cpu() - begin);
	const size_t count = queries.size() / length;
	for (size_t ef : {10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536}) {
		graph.setEf(ef);
		size_t hits = 0;
		double spent = 0;
		for (int round = 0; round < 3; round++) {
			hits = 0;
			begin = cpu();
			for (size_t q = 0; q < count; q++) {
				auto found = graph.searchKnn(&queries[q * length], k);
				for (; !found.empty(); found.pop())
					for (size_t i = 0; i < k; i++)
						hits += truth[q * k + i] == found.top().second;
			}
			double used = cpu() - begin;
			spent = round == 0 || used < spent ? used : spent;
		}
		printf("%zu %f %f\n", ef, double(hits) / (count * k), spent * 1e6 / count);
	}
}
