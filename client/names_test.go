package client_test

import (
	"strings"
	"testing"

	"motte/client"
	"motte/client/frames"
	"motte/core/wire"
)

// TestEveryNumberHasAName: what the Core can answer, a person can read. What
// has no name is called by its number.
func TestEveryNumberHasAName(t *testing.T) {
	for _, c := range []struct {
		what  string
		valid func(uint8) bool
		name  func(uint8) string
	}{
		{"operation", func(n uint8) bool { return frames.ValidOperation(wire.Operation(n)) }, func(n uint8) string { return client.OperationName(wire.Operation(n)) }},
		{"code", func(n uint8) bool { return frames.ValidCode(wire.Code(n)) }, func(n uint8) string { return client.CodeName(wire.Code(n)) }},
		{"error", func(n uint8) bool { return n != 0 && frames.ValidCode(wire.Code(n)) }, func(n uint8) string { return (&client.Error{Code: wire.Code(n)}).Error() }},
		{"reason", func(n uint8) bool { return n > 0 && n <= uint8(wire.LastReason) }, func(n uint8) string { return client.ReasonName(wire.Reason(n)) }},
		{"state", func(n uint8) bool { return n <= uint8(wire.IndexRefused) }, func(n uint8) string { return client.StateName(wire.IndexState(n)) }},
	} {
		for n := range 256 {
			name := c.name(uint8(n))
			if named := !strings.ContainsAny(name, "0123456789"); named != c.valid(uint8(n)) {
				t.Errorf("%s %d is called %q", c.what, n, name)
			}
		}
	}
}
