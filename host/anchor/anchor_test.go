package anchor

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// numbered returns a head with an LSN, with different bytes.
func numbered(lsn byte) Head {
	h := Head{7: lsn}
	for i := 8; i < len(h); i++ {
		h[i] = byte(i) ^ lsn
	}
	return h
}

// holds fails the test unless the anchor holds this head.
func holds(t *testing.T, a Anchor, want Head) {
	t.Helper()
	if h, found, err := a.Read(context.Background()); err != nil || !found || h != want {
		t.Fatalf("%s holds %x (found: %v, %v); want %x, as written", a, h, found, err, want)
	}
}

// holdsNone fails the test unless the anchor can be used, and is empty.
func holdsNone(t *testing.T, a Anchor) {
	t.Helper()
	if h, found, err := a.Read(context.Background()); err != nil || found || h != (Head{}) {
		t.Fatalf("%s holds %x (found: %v, %v); want no head", a, h, found, err)
	}
}

func write(t *testing.T, a Anchor, h Head) {
	t.Helper()
	if err := a.Write(context.Background(), h); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, spec string) Anchor {
	t.Helper()
	a, err := Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestLSNIsTheFirstEightBytes(t *testing.T) {
	h := Head{1, 2, 3, 4, 5, 6, 7, 8, 9}
	if h.LSN() != 0x0102030405060708 {
		t.Errorf("the LSN of the head is %#x; want its first 8 bytes", h.LSN())
	}
}

// shortDir returns a directory for sockets, whose paths are limited to 107 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestSpecs(t *testing.T) {
	dir := shortDir(t)
	socket := filepath.Join(dir, "sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Chdir(dir)
	for _, tt := range []struct {
		spec, name string
		pace       time.Duration
	}{
		{"file:" + dir + "/head", "file:" + dir + "/head", time.Second},
		{"file:head", "file:" + dir + "/head", time.Second},
		{"file:/tmp/a:b,c=d", "file:/tmp/a:b,c=d", time.Second},
		{"tpm:unix:" + socket, "tpm:unix:" + socket + ",index=0x01804d54", 15 * time.Minute},
		{"tpm:unix:" + socket + ",index=0x1800000", "tpm:unix:" + socket + ",index=0x01800000", 15 * time.Minute},
		{"tpm:unix:" + socket + ",pace=1m,index=0x01BFFFFF", "tpm:unix:" + socket + ",index=0x01bfffff", time.Minute},
		{"tpm:/dev/null,pace=24h", "tpm:/dev/null,index=0x01804d54", 24 * time.Hour},
	} {
		a := open(t, tt.spec)
		if a.String() != tt.name || a.Pace() != tt.pace {
			t.Errorf("%s opens %s with a pace of %v; want %s with %v", tt.spec, a, a.Pace(), tt.name, tt.pace)
		}
	}
}

func TestBadSpecsSayWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ spec, says string }{
		{"", "file:PATH"},
		{"file", "file:PATH"},
		{"/dev/tpmrm0", "file:PATH"},
		{"TPM:/dev/tpmrm0", "file:PATH"},
		{"file:", "no path"},
		{"file:" + dir + "/no/head", "no such file"},
		{"file:" + plain + "/head", "not a directory"},
		{"tpm:", "name a device"},
		{"tpm:tpmrm0", "name a device"},
		{"tpm:unix:", "name a device"},
		{"tpm:unix:sock", "name a device"},
		{"tpm:" + dir + "/none", "no such file"},
		{"tpm:" + plain, "is not a device"},
		{"tpm:" + dir, "is not a device"},
		{"tpm:unix:" + dir + "/none", "no such file"},
		{"tpm:unix:" + plain, "refused"},
		{"tpm:/dev/null,index", "index"},
		{"tpm:/dev/null,index=", "index"},
		{"tpm:/dev/null,index=0x17fffff", "0x01800000 to 0x01bfffff"},
		{"tpm:/dev/null,index=0x1c00000", "0x01800000 to 0x01bfffff"},
		{"tpm:/dev/null,index=0x101800000", "0x01800000 to 0x01bfffff"},
		{"tpm:/dev/null,index=0x18_00001", "0x01800000 to 0x01bfffff"},
		{"tpm:/dev/null,index=0140000001", "0x01800000 to 0x01bfffff"}, // would be valid as octal
		{"tpm:/dev/null,index=0x1800001,index=0x1800002", "index is given twice"},
		{"tpm:/dev/null,pace=15m,pace=1h", "pace is given twice"},
		{"tpm:/dev/null,pace=59s", "1m0s to 24h0m0s"},
		{"tpm:/dev/null,pace=25h", "1m0s to 24h0m0s"},
		{"tpm:/dev/null,pace=15", "1m0s to 24h0m0s"},
		{"tpm:/dev/null,auth=x", "index= and pace="},
		{"tpm:/dev/null,", "index= and pace="},
	} {
		a, err := Open(tt.spec)
		if err == nil {
			t.Errorf("%q opens %s; want an error", tt.spec, a)
		} else if !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "anchor") && !strings.HasPrefix(err.Error(), "directory of the anchor") {
			t.Errorf("%q: %q does not say %q", tt.spec, err, tt.says)
		}
	}
}
