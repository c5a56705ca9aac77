package anchor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// TestTPMRemembers across power cuts, also just after the index was defined.
func TestTPMRemembers(t *testing.T) {
	s := startTPM(t)
	a := open(t, s.spec(""))
	holdsNone(t, a)
	for _, lsn := range []byte{1, 2, 200, 3} {
		write(t, a, numbered(lsn))
		s.kill()
		s.start()
		holds(t, a, numbered(lsn))
		holds(t, open(t, s.spec("")), numbered(lsn))
	}
}

func TestTPMTakesManyWrites(t *testing.T) {
	s := startTPM(t)
	a := open(t, s.spec(""))
	for lsn := range byte(250) {
		write(t, a, numbered(lsn))
		holds(t, a, numbered(lsn))
	}
}

func TestIndicesAreApart(t *testing.T) {
	s := startTPM(t)
	a, b := open(t, s.spec("")), open(t, s.spec(",index=0x1800001"))
	write(t, a, numbered(1))
	holdsNone(t, b)
	write(t, b, numbered(2))
	holds(t, a, numbered(1))
	holds(t, b, numbered(2))
}

// TestAnIndexThatWasRemoved is like a new index. The type tpm documents who can remove an index.
func TestAnIndexThatWasRemoved(t *testing.T) {
	s := startTPM(t)
	a := open(t, s.spec(""))
	write(t, a, numbered(1))
	s.undefine(defaultIndex)
	holdsNone(t, a)
	write(t, a, numbered(2))
	holds(t, a, numbered(2))
}

// TestCrashBetweenDefineAndWrite leaves an index that works.
func TestCrashBetweenDefineAndWrite(t *testing.T) {
	s := startTPM(t)
	s.define(foreignIndex{index: defaultIndex, size: frameSize, password: password})
	a := open(t, s.spec(""))
	holdsNone(t, a)
	write(t, a, numbered(1))
	holds(t, a, numbered(1))
}

func TestForeignIndexIsNeitherReadNorWritten(t *testing.T) {
	s := startTPM(t)
	good := encode(numbered(1))
	altered := good
	altered[20] ^= 1
	attributes := func(alter func(*tpm2.TPMANV)) func(*tpm2.TPMSNVPublic) {
		return func(p *tpm2.TPMSNVPublic) { alter(&p.Attributes) }
	}
	for i, tt := range []struct {
		name string
		foreignIndex
		want error
		says string
	}{
		{"shorter", foreignIndex{size: 40, content: good[:40]}, ErrForeign, "its size is 40 bytes"},
		{"longer", foreignIndex{size: 49, content: append(good[:], 0)}, ErrForeign, "its size is 49 bytes"},
		{"counter", foreignIndex{size: 8, content: []byte{}, alter: attributes(func(x *tpm2.TPMANV) {
			x.NT, x.WriteAll = tpm2.TPMNTCounter, false
		})}, ErrForeign, "its size is 8 bytes"},
		{"owner may write", foreignIndex{size: frameSize, content: good[:], alter: attributes(func(x *tpm2.TPMANV) {
			x.OwnerWrite = true
		})}, ErrForeign, "attributes"},
		{"written in parts", foreignIndex{size: frameSize, content: good[:], alter: attributes(func(x *tpm2.TPMANV) {
			x.WriteAll = false
		})}, ErrForeign, "attributes"},
		{"kept in RAM", foreignIndex{size: frameSize, content: good[:], alter: attributes(func(x *tpm2.TPMANV) {
			x.Orderly = true
		})}, ErrForeign, "attributes"},
		{"to be locked", foreignIndex{size: frameSize, content: good[:], alter: attributes(func(x *tpm2.TPMANV) {
			x.WriteDefine = true
		})}, ErrForeign, "attributes"},
		{"policy", foreignIndex{size: frameSize, content: good[:], alter: func(p *tpm2.TPMSNVPublic) {
			p.AuthPolicy.Buffer = make([]byte, 32)
		}}, ErrForeign, "policy"},
		{"no password", foreignIndex{size: frameSize, content: good[:]}, ErrForeign, "password"},
		{"other password", foreignIndex{size: frameSize, content: good[:], password: "x"}, ErrForeign, "password"},
		{"other password, not written", foreignIndex{size: frameSize, password: "x"}, ErrForeign, "password"},
		{"other content", foreignIndex{size: frameSize, content: make([]byte, frameSize), password: password}, ErrForeign, ""},
		{"altered content", foreignIndex{size: frameSize, content: altered[:], password: password}, ErrDamaged, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			x := tt.foreignIndex
			x.index = firstIndex + tpm2.TPMHandle(i)
			s.define(x)
			content, attributes := s.content(x)
			a, err := openTPM("unix:" + s.socket() + ",index=" + fmt.Sprint(x.index))
			if err != nil {
				t.Fatal(err)
			}
			_, found, err := a.Read(context.Background())
			// Only a write shows to whom an empty index belongs.
			if x.content != nil && !errors.Is(err, tt.want) || found {
				t.Errorf("read: found %v, %v; want %v", found, err, tt.want)
			}
			err = a.Write(context.Background(), numbered(2))
			if !errors.Is(err, tt.want) {
				t.Errorf("write: %v; want %v", err, tt.want)
			} else if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), a.String()) {
				t.Errorf("%q does not name %s, or does not say %q", err, a, tt.says)
			}
			if now, are := s.content(x); now != content || are != attributes {
				t.Errorf("a refused write changed the index: %x, %+v", now, are)
			}
		})
	}
}

// TestTheOwnersPassword: if the owner hierarchy has a password, an operator must define the
// index by hand. The error of a missing index says how.
func TestTheOwnersPassword(t *testing.T) {
	s := startTPM(t)
	s.define(foreignIndex{index: firstIndex, size: frameSize, password: password})
	_, err := tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.TPMRHOwner,
		NewAuth:    tpm2.TPM2BAuth{Buffer: []byte("secret")},
	}.Execute(s.call())
	if err != nil {
		t.Fatal(err)
	}
	a := open(t, s.spec(",index="+fmt.Sprint(firstIndex)))
	write(t, a, numbered(1))
	holds(t, a, numbered(1))
	b := open(t, s.spec(""))
	holdsNone(t, b)
	err = b.Write(context.Background(), numbered(1))
	if err == nil || !strings.Contains(err.Error(), "tpm2_nvdefine -C o") {
		t.Errorf("the error %q does not name the command that defines the index", err)
	}
}

// TestPartsOfAFrameAreNotWritten: the TPM itself refuses partial writes.
func TestPartsOfAFrameAreNotWritten(t *testing.T) {
	s := startTPM(t)
	a := open(t, s.spec(""))
	write(t, a, numbered(1))
	handle, named := s.authorized(defaultIndex, password)
	_, err := tpm2.NVWrite{AuthHandle: handle, NVIndex: named, Offset: 4,
		Data: tpm2.TPM2BMaxNVBuffer{Buffer: make([]byte, 8)}}.Execute(s.call())
	if !errors.Is(err, tpm2.TPMRCNVRange) {
		t.Errorf("a write of 8 bytes to the index returns %v; want that the TPM refuses it", err)
	}
	holds(t, a, numbered(1))
}

// TestWrongPasswordsLockNothing: wrong passwords for the index must not lock the TPM.
func TestWrongPasswordsLockNothing(t *testing.T) {
	s := startTPM(t)
	a := open(t, s.spec(""))
	write(t, a, numbered(1))
	handle, named := s.authorized(defaultIndex, "guess")
	for range 50 {
		_, err := tpm2.NVRead{AuthHandle: handle, NVIndex: named, Size: frameSize}.Execute(s.call())
		if !errors.Is(err, tpm2.TPMRCBadAuth) {
			t.Fatalf("a wrong password returns %v; want a failed authorization without a lock", err)
		}
	}
	write(t, a, numbered(2))
	holds(t, a, numbered(2))
}

func TestTPMThatWasNotStarted(t *testing.T) {
	s := startTPM(t)
	s.kill()
	s.flags = "not-need-init"
	s.start()
	_, _, err := open(t, s.spec("")).Read(context.Background())
	if !errors.Is(err, tpm2.TPMRCInitialize) || !strings.Contains(err.Error(), "TPM2_Startup") {
		t.Errorf("the error %q does not say that the device lacks a TPM", err)
	}
}

func TestTPMThatIsGone(t *testing.T) {
	s := startTPM(t)
	a := open(t, s.spec(""))
	s.kill()
	if _, found, err := a.Read(context.Background()); err == nil || found {
		t.Errorf("a read without a TPM: found %v, %v; want an error", found, err)
	}
	if err := a.Write(context.Background(), numbered(1)); err == nil {
		t.Error("a write without a TPM returns no error")
	}
	s.start()
	holdsNone(t, a)
}
