//go:build !amd64

package main

// prefetch does nothing: the library can load ahead on amd64 only.
func prefetch[T float32 | uint8 | slot]([]T) {}
