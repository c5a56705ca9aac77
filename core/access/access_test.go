package access

import (
	"encoding/hex"
	"testing"

	"motte/core/model"
)

const (
	r = model.RightRead
	o = model.RightReadOwn
	w = model.RightWrite
	d = model.RightDelete
	a = model.RightAdmin
)

// TestDecisions is the whole table. Every set of rights is a row, for objects of other
// principals and for own objects. A set that is not listed decides like the listed set without
// admin, since admin decides on no object.
func TestDecisions(t *testing.T) {
	type decision struct{ read, remove, replace bool }
	const yes, no = true, false
	table := map[model.Rights]struct{ others, own decision }{
		//             read remove replace     read remove replace
		0:             {decision{no, no, no}, decision{no, no, no}},
		r:             {decision{yes, no, no}, decision{yes, no, no}},
		o:             {decision{no, no, no}, decision{yes, no, no}},
		w:             {decision{no, no, no}, decision{no, no, yes}},
		d:             {decision{no, no, no}, decision{no, yes, no}},
		r | o:         {decision{yes, no, no}, decision{yes, no, no}},
		r | w:         {decision{yes, no, no}, decision{yes, no, yes}},
		r | d:         {decision{yes, yes, no}, decision{yes, yes, no}},
		o | w:         {decision{no, no, no}, decision{yes, no, yes}},
		o | d:         {decision{no, no, no}, decision{yes, yes, no}},
		w | d:         {decision{no, no, no}, decision{no, yes, yes}},
		r | o | w:     {decision{yes, no, no}, decision{yes, no, yes}},
		r | o | d:     {decision{yes, yes, no}, decision{yes, yes, no}},
		r | w | d:     {decision{yes, yes, yes}, decision{yes, yes, yes}},
		o | w | d:     {decision{no, no, no}, decision{yes, yes, yes}},
		r | o | w | d: {decision{yes, yes, yes}, decision{yes, yes, yes}},
	}
	for rights := range model.RightsAll + 1 {
		row, listed := table[rights&^a]
		if !listed {
			t.Fatalf("the table lacks the rights %05b", rights)
		}
		for own, want := range map[bool]decision{false: row.others, true: row.own} {
			if got := (decision{Read(rights, own), Delete(rights, own), Replace(rights, own)}); got != want {
				t.Errorf("rights %05b, own %v: %+v, want %+v", rights, own, got, want)
			}
		}
	}
}

func TestAnyWantsAtLeastOne(t *testing.T) {
	for rights := range model.RightsAll + 1 {
		if Any(rights, 0) || Any(0, rights) {
			t.Errorf("rights %05b: a request that needs no right is refused", rights)
		}
		for want := range model.RightsAll + 1 {
			shared := false
			for bit := model.Rights(1); bit < model.RightsAll; bit <<= 1 {
				shared = shared || rights&bit != 0 && want&bit != 0
			}
			if Any(rights, want) != shared {
				t.Errorf("rights %05b, want %05b: %v", rights, want, !shared)
			}
		}
	}
}

func TestWhatIsNotGrantedIsDenied(t *testing.T) {
	alice, bob := Of([]byte("alice")), Of([]byte("bob"))
	var none Grants
	if none.Rights(alice) != 0 {
		t.Error("a principal without grants has rights")
	}
	g := make(Grants)
	g.Set(alice, o)
	g.Set(alice, r|w|d)
	g.Set(bob, 0)
	if g.Rights(alice) != r|w|d || g.Rights(bob) != 0 || len(g) != 1 {
		t.Errorf("alice has the rights %05b and bob %05b; %d principals are in the grants", g.Rights(alice), g.Rights(bob), len(g))
	}
	if g.Set(alice, 0); len(g) != 0 || g.Rights(alice) != 0 {
		t.Error("the grants keep a principal without rights")
	}
}

// TestAPrincipalIsTheHashOfItsPublicKey with the key of the first test in RFC 8032, section 7.1.
func TestAPrincipalIsTheHashOfItsPublicKey(t *testing.T) {
	key, err := hex.DecodeString("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
	if err != nil {
		t.Fatal(err)
	}
	const want = "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9"
	if p := Of(key); hex.EncodeToString(p[:]) != want {
		t.Errorf("the principal of the key of RFC 8032 is %x; want its SHA-256", p)
	}
}
