package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func TestFieldsAreBigEndianAndInOrder(t *testing.T) {
	r := NewReader([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 'a', 'b', 0, 'c', 'd', 'e'})
	if a, b, c, d := r.U8(), r.U16(), r.U32(), r.U64(); a != 1 || b != 0x0203 || c != 0x04050607 || d != 0x08090a0b0c0d0e0f {
		t.Errorf("the integers are read as %x %x %x %x", a, b, c, d)
	}
	var dst [2]byte
	if s := r.Text(3); s != "ab" {
		t.Errorf("the text is read as %q", s)
	}
	if r.Copy(dst[:]); dst != [2]byte{'c', 'd'} {
		t.Errorf("the bytes are copied as %q", dst)
	}
	if r.Len() != 1 || string(r.Rest()) != "e" || r.Done() != nil {
		t.Error("Rest does not return all remaining bytes")
	}
}

// reads are all reading methods. Each takes at least one byte.
var reads = map[string]func(r *Reader) (zero bool){
	"U8":   func(r *Reader) bool { return r.U8() == 0 },
	"U16":  func(r *Reader) bool { return r.U16() == 0 },
	"U32":  func(r *Reader) bool { return r.U32() == 0 },
	"U64":  func(r *Reader) bool { return r.U64() == 0 },
	"Bool": func(r *Reader) bool { return !r.Bool() },
	"Text": func(r *Reader) bool { return r.Text(3) == "" },
	"Take": func(r *Reader) bool { return r.Take(3) == nil },
	"Copy": func(r *Reader) bool { var dst [3]byte; r.Copy(dst[:]); return dst == [3]byte{} },
}

func TestAFailureSticks(t *testing.T) {
	for how, fail := range map[string]func(r *Reader){
		"too short": func(r *Reader) { r.Take(101) },
		"negative":  func(r *Reader) { r.Take(-1) },
		"required":  func(r *Reader) { r.Require(false); r.Require(true) },
	} {
		for name, read := range reads {
			r := NewReader(bytes.Repeat([]byte{1}, 100))
			if fail(r); !read(r) {
				t.Errorf("%s: after a failure %s still reads; want a zero value", how, name)
			}
			if r.Len() != 0 || len(r.Rest()) != 0 || !r.bad || !errors.Is(r.Done(), ErrMalformed) {
				t.Errorf("%s: after %s the failure is gone; want it kept", how, name)
			}
		}
	}
}

func TestAnEmptyInputHasNoFields(t *testing.T) {
	for name, read := range reads {
		var r Reader
		if !read(&r) || r.Done() == nil {
			t.Errorf("%s of an empty input returns a value; want a failure", name)
		}
	}
	var r Reader
	if r.Take(0) != nil || r.Done() != nil {
		t.Error("taking 0 bytes of an empty input fails; want no failure")
	}
}

func TestBytesLeftOverAreAFailure(t *testing.T) {
	r := NewReader([]byte{1, 2})
	if r.U8(); r.bad || r.Done() == nil {
		t.Error("one byte is left, but Done reports no failure")
	}
}

// TestWhatIsTakenCannotGrowIntoWhatFollows: an append to a field must not change the bytes after
// it in the input.
func TestWhatIsTakenCannotGrowIntoWhatFollows(t *testing.T) {
	r := NewReader([]byte{1, 2})
	_ = append(r.Take(1), 9)
	if r.U8() != 2 {
		t.Error("an append to a field changed the next field of the input")
	}
}

func TestTextHasOneEncoding(t *testing.T) {
	for _, c := range []struct {
		input, want string
		ok          bool
	}{
		{"abc", "abc", true}, {"ab\x00", "ab", true}, {"\x00\x00\x00", "", true},
		{"a\x00c", "", false}, {"\x00bc", "", false}, {"\x00\x00c", "", false}, {"ab", "", false},
	} {
		r := NewReader([]byte(c.input))
		if got := r.Text(3); got != c.want || (r.Done() == nil) != c.ok {
			t.Errorf("%q: %q, %v", c.input, got, r.bad)
		}
	}
	for s, want := range map[string]string{"": "p\x00\x00\x00", "ab": "pab\x00", "abc": "pabc", "abcd": "pabc"} {
		if got := Writer("p").Text(s, 3); string(got) != want {
			t.Errorf("%q appended as %q", s, got)
		}
	}
}

func TestABoolIsZeroOrOne(t *testing.T) {
	for b := range 256 {
		r := NewReader([]byte{byte(b)})
		if got := r.Bool(); got != (b == 1) || (r.Done() == nil) != (b <= 1) {
			t.Errorf("%d: %v, %v", b, got, r.bad)
		}
	}
}

// TestAWriterIsReadBack: a Reader reads each field that a Writer has written, and no byte is
// left.
func TestAWriterIsReadBack(t *testing.T) {
	w := Writer("before").U8(1, 2).U16(0x0304).U32(0x05060708).U64(0x090a0b0c0d0e0f10).U8(1, 0)
	w = w.Bytes([]byte("bytes")).Text("text", 6).Text("longer", 4)
	if want := "before\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x01\x00bytestext\x00\x00long"; string(w) != want {
		t.Fatalf("written as %q", w)
	}
	r := NewReader(w[len("before"):])
	if a, b, c, d, e := r.U8(), r.U8(), r.U16(), r.U32(), r.U64(); a != 1 || b != 2 || c != 0x0304 || d != 0x05060708 || e != 0x090a0b0c0d0e0f10 {
		t.Errorf("the fields are read back as %x %x %x %x %x", a, b, c, d, e)
	}
	if !r.Bool() || r.Bool() || string(r.Take(5)) != "bytes" || r.Text(6) != "text" || r.Text(4) != "long" || r.Done() != nil {
		t.Errorf("a written value can't be read back, or bytes are left: failed is %v", r.bad)
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("ab\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		r := NewReader(p)
		if s := r.Text(len(p)); r.Done() == nil && !bytes.Equal(Writer(nil).Text(s, len(p)), p) {
			t.Fatalf("%q read from %q", s, p)
		}
	})
}

// FuzzReader reads an input by a random sequence of calls. A model that indexes the whole input
// must agree.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05"), []byte(strings.Repeat("\x01", 20)))
	f.Add([]byte("\x03\x03\x00"), []byte("123456789"))
	f.Fuzz(func(t *testing.T, program, input []byte) {
		r, rest, bad := NewReader(input), input, false
		for _, op := range program {
			// The expected field, as a number or as bytes; zero if the input is too short.
			width := []int{1, 2, 4, 8, int(op >> 3)}[op%5]
			want := make([]byte, 8)
			if bad = bad || width > len(rest); !bad {
				want = append(want, rest[:width]...)
				rest = rest[width:]
			}
			number := binary.BigEndian.Uint64(want[len(want)-8:])
			var got uint64
			switch op % 5 {
			case 0:
				got = uint64(r.U8())
			case 1:
				got = uint64(r.U16())
			case 2:
				got = uint64(r.U32())
			case 3:
				got = r.U64()
			case 4:
				got = number
				if p := r.Take(width); !bytes.Equal(p, want[8:]) {
					t.Fatalf("took %x, want %x", p, want[8:])
				}
			}
			if got != number || r.bad != bad {
				t.Fatalf("operation %d: %x, want %x, error %v", op, got, number, r.bad)
			}
		}
		if (r.Done() == nil) != (!bad && len(rest) == 0) {
			t.Fatal("Done disagrees with the model")
		}
	})
}
