package echo

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Args[0] == Name {
		fmt.Fprintln(os.Stderr, Serve())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestEchoesComeBack with one object in flight, and with many, in several runs on the same
// connection.
func TestEchoesComeBack(t *testing.T) {
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	conns, err := s.Dial(2)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		one, err := Alternate(t.Context(), time.Millisecond, conns)
		if err != nil || len(one.Latencies) == 0 || one.Quantile(1000) <= 0 {
			t.Fatalf("one in flight: %d echoes, %v", len(one.Latencies), err)
		}
		many, err := Pipeline(t.Context(), time.Millisecond, conns[0], 64)
		if err != nil || len(many.Latencies) == 0 || many.Quantile(1) <= 0 {
			t.Fatalf("64 in flight: %d echoes, %v", len(many.Latencies), err)
		}
	}
}
