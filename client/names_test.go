package client_test

import (
	"strings"
	"testing"

	"motte/client"
	"motte/client/frames"
	"motte/core/model"
)

// TestEveryNumberHasAName: every number in an answer of the Core has a name for people. An
// unknown number is shown as a number.
func TestEveryNumberHasAName(t *testing.T) {
	for _, c := range []struct {
		what  string
		valid func(uint8) bool
		name  func(uint8) string
	}{
		{"operation", func(n uint8) bool { return frames.ValidOperation(model.Operation(n)) }, func(n uint8) string { return client.OperationName(model.Operation(n)) }},
		{"code", func(n uint8) bool { return frames.ValidCode(model.Code(n)) }, func(n uint8) string { return client.CodeName(model.Code(n)) }},
		{"error", func(n uint8) bool { return n != 0 && frames.ValidCode(model.Code(n)) }, func(n uint8) string { return (&client.Error{Code: model.Code(n)}).Error() }},
		{"reason", func(n uint8) bool { return n > 0 && n <= uint8(model.LastReason) }, func(n uint8) string { return client.ReasonName(model.Reason(n)) }},
		{"state", func(n uint8) bool { return n <= uint8(model.IndexParked) }, func(n uint8) string { return client.StateName(model.IndexState(n)) }},
		{"step of an upgrade", func(n uint8) bool { return n <= uint8(model.UpgradeRefused) }, func(n uint8) string { return client.UpgradeName(model.Upgrade(n)) }},
	} {
		for n := range 256 {
			name := c.name(uint8(n))
			if named := !strings.ContainsAny(name, "0123456789"); named != c.valid(uint8(n)) {
				t.Errorf("%s %d is called %q", c.what, n, name)
			}
		}
	}
}
