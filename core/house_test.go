package core

import (
	"crypto/tls"
	"testing"

	"motte/core/wire"
)

// erase asks for the principal of key(5) to be erased.
func (s *server) erase(admin *tls.Conn) {
	s.t.Helper()
	do(s.t, admin, wire.OK, &wire.Request{Header: wire.Header{Op: wire.OpRemovePrincipal, Number: 9, Identity: wire.Identity(principalOf(key(5))), Flags: wire.FlagErase}})
}

// TestAStoreOpensAfterAnErasure, though the log behind the checkpoint holds what
// nobody can open any more.
func TestAStoreOpensAfterAnErasure(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	admin := s.dial(key(1))
	do(t, admin, wire.OK, request(1, wire.OpCreateCollection, "c", "", ""))
	s.add(admin)
	do(t, admin, wire.OK, &wire.Request{Header: wire.Header{Op: wire.OpGrant, Number: 3, Collection: "c",
		Identity: wire.Identity(principalOf(key(5))), Flags: wire.Flags(wire.RightWrite)}})
	do(t, s.dial(key(5)), wire.OK, request(1, wire.OpPut, "c", "hers", "data of hers"))
	do(t, admin, wire.OK, request(4, wire.OpPut, "c", "before", "data"))
	s.erase(admin)
	do(t, admin, wire.OK, request(5, wire.OpPut, "c", "after", "data"))
	for range 2 {
		s.stop()
		s = start(t, dir)
		admin = s.dial(key(1))
		do(t, admin, wire.OK, request(1, wire.OpGet, "c", "before", ""), request(2, wire.OpGet, "c", "after", ""))
		do(t, admin, wire.NotFound, request(3, wire.OpGet, "c", "hers", ""))
		do(t, admin, wire.OK, request(4, wire.OpCompact, "", "", ""))
	}
	s.stop()
}
