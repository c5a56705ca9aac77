package main

import (
	"unsafe"

	"github.com/weaviate/weaviate/adapters/repos/db/vector/hnsw/distancer/asm"
	"golang.org/x/sys/cpu"
)

// The distances of the library use instructions that not every processor has. It is asked once, by an
// instruction that each process may execute.
func init() {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		squaredL2, dotProduct = asm.L2AVX256, asm.DotAVX256
		squaredL2OfBytes, dotProductOfBytes = asm.L2ByteAVX256, asm.DotByteAVX256
	}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
		squaredL2, dotProduct = asm.L2AVX512, asm.DotAVX512
	}
}

// lineSize is the size of a cache line in bytes. At most maxLines are loaded ahead: the processor loads
// those behind them by itself.
const (
	lineSize = 64
	maxLines = 8
)

// prefetch loads the beginning of a vector, or of links, into the cache.
func prefetch[T float32 | uint8 | slot](v []T) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(v)))
	size := min(uintptr(len(v))*unsafe.Sizeof(v[0]), lineSize*maxLines)
	for n := uintptr(0); n < size; n += lineSize {
		asm.Prefetch(at + n)
	}
}
