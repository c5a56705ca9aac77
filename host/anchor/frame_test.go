package anchor

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

// golden is the content of anchors in use. It must never change for this version.
const golden = "4d544101" + "000000000000002a" +
	"22232021262724253a3b38393e3f3c3d" + "32333031363734350a0b08090e0f0c0d" + "dbcc0e87"

func TestGoldenFrame(t *testing.T) {
	want, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	p := encode(numbered(42))
	if !bytes.Equal(p[:], want) {
		t.Errorf("a head is encoded as\n%x, want\n%x", p, want)
	}
	if h, err := decode(want); err != nil || h != numbered(42) {
		t.Errorf("the golden bytes are decoded as %x: %v", h, err)
	}
}

func TestEveryAlteredBitIsNoticed(t *testing.T) {
	good := encode(numbered(42))
	for i := range len(good) * 8 {
		p := good
		p[i/8] ^= 1 << (i % 8)
		want := ErrDamaged
		if i/8 < 4 {
			want = ErrForeign
		}
		if h, err := decode(p[:]); !errors.Is(err, want) || h != (Head{}) {
			t.Errorf("with bit %d changed, the bytes are decoded as %x, %v; want %v", i, h, err, want)
		}
	}
}

func TestOtherSizesAreForeign(t *testing.T) {
	good := encode(numbered(42))
	for size := range len(good) {
		if _, err := decode(good[:size]); !errors.Is(err, ErrForeign) {
			t.Errorf("%d bytes are decoded: %v; want an error", size, err)
		}
	}
	if _, err := decode(append(good[:], 0)); !errors.Is(err, ErrForeign) {
		t.Errorf("a frame with an additional byte is decoded: %v; want an error", err)
	}
	if _, err := decode(make([]byte, frameSize)); !errors.Is(err, ErrForeign) {
		t.Errorf("zeros: %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	good := encode(numbered(42))
	f.Add(good[:])
	f.Add(good[:20])
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := decode(p)
		if again := encode(h); err == nil && !bytes.Equal(again[:], p) {
			t.Fatalf("%x has two encodings", p)
		}
	})
}
