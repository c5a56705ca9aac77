package anchor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/sys/unix"
)

// answer returns a TPM answer that is only a code.
func answer(code tpm2.TPMRC) []byte {
	p := binary.BigEndian.AppendUint32([]byte{0x80, 0x01}, 10)
	return binary.BigEndian.AppendUint32(p, uint32(code))
}

// serve accepts connections. It answers one request on each by a function of its number, and
// closes it. It returns an anchor that uses this server.
func serve(t *testing.T, respond func(n int) []byte) Anchor {
	t.Helper()
	path := filepath.Join(shortDir(t), "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; {
			c, err := l.Accept()
			if err != nil {
				return
			}
			// Open connects without a request.
			if m, err := c.Read(make([]byte, maxAnswer)); err == nil && m > 0 {
				_, _ = c.Write(respond(n))
				n++
			}
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return open(t, "tpm:unix:"+path)
}

// TestABusyTPMIsAskedAgain for all codes that mean busy.
func TestABusyTPMIsAskedAgain(t *testing.T) {
	codes := []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCNVRate, tpm2.TPMRCTesting, tpm2.TPMRCYielded, tpm2.TPMRCNVUnavailable}
	holdsNone(t, serve(t, func(n int) []byte {
		if n < len(codes) {
			return answer(codes[n])
		}
		return answer(tpm2.TPMRCHandle) // the index does not exist
	}))
}

func TestATPMThatStaysBusyIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	a := serve(t, func(n int) []byte {
		if n == 2 {
			cancel()
		}
		return answer(tpm2.TPMRCNVRate)
	})
	_, found, err := a.Read(ctx)
	if !errors.Is(err, context.Canceled) || found {
		t.Errorf("a read of a TPM that was busy returns found %v, %v; want an empty anchor", found, err)
	}
	ctx, cancel = context.WithTimeoutCause(context.Background(), 100*time.Millisecond, errPatience)
	defer cancel()
	if err := a.Write(ctx, numbered(1)); !errors.Is(err, errPatience) {
		t.Errorf("%v", err)
	}
}

// TestWhatTheTPMSaysIsPassedOn: any other code is returned, not treated as busy or as a missing
// index.
func TestWhatTheTPMSaysIsPassedOn(t *testing.T) {
	for _, code := range []tpm2.TPMRC{tpm2.TPMRCLockout, tpm2.TPMRCFailure, tpm2.TPMRCNVSpace, tpm2.TPMRCUpgrade} {
		a := serve(t, func(int) []byte { return answer(code) })
		if _, found, err := a.Read(context.Background()); !errors.Is(err, code) || found {
			t.Errorf("read: found %v, %v; want %v", found, err, code)
		}
		if err := a.Write(context.Background(), numbered(1)); !errors.Is(err, code) {
			t.Errorf("write: %v; want %v", err, code)
		}
	}
}

func TestAFullTPMSaysSo(t *testing.T) {
	a := serve(t, func(n int) []byte {
		if n == 0 {
			return answer(tpm2.TPMRCHandle) // the index does not exist
		}
		return answer(tpm2.TPMRCNVSpace)
	})
	if err := a.Write(context.Background(), numbered(1)); !errors.Is(err, tpm2.TPMRCNVSpace) {
		t.Errorf("%v", err)
	}
}

// TestWaitingEndsWithTheContext, if the TPM never answers.
func TestWaitingEndsWithTheContext(t *testing.T) {
	path := filepath.Join(shortDir(t), "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := open(t, "tpm:unix:"+path)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, _, err := a.Read(ctx)
		ended <- err
	}()
	if c, err := l.Accept(); err != nil { // the connection of Open
		t.Fatal(err)
	} else {
		defer c.Close()
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := a.Write(ctx, numbered(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a write after the end of its context returns %v; want the context's error", err)
	}
}

func TestAnswersAreReadWhole(t *testing.T) {
	good := append(answer(0), "more"...)
	binary.BigEndian.PutUint32(good[2:], uint32(len(good)))
	largest := make([]byte, maxAnswer)
	binary.BigEndian.PutUint32(largest[2:], maxAnswer)
	size := func(n uint32) []byte {
		p := answer(0)
		binary.BigEndian.PutUint32(p[2:], n)
		return p
	}
	for _, tt := range []struct {
		name string
		p    []byte
		want error
	}{
		{"short", answer(0), nil},
		{"longer", good, nil},
		{"largest", largest, nil},
		{"empty", nil, io.ErrUnexpectedEOF},
		{"half a header", good[:9], io.ErrUnexpectedEOF},
		{"cut", good[:len(good)-1], io.ErrUnexpectedEOF},
		{"smaller than a header", size(9), errNoTPM},
		{"larger than any", append(size(maxAnswer+1), make([]byte, maxAnswer)...), errNoTPM},
		{"huge", size(1<<32 - 1), errNoTPM},
		{"text", []byte("HTTP/1.1 400 Bad Request\r\n"), errNoTPM},
		{"more than it says", append(good[:len(good):len(good)], 0), errNoTPM},
	} {
		for way, r := range map[string]io.Reader{
			"at once":         bytes.NewReader(tt.p),
			"byte after byte": iotest.OneByteReader(bytes.NewReader(tt.p)),
			"with the end":    iotest.DataErrReader(bytes.NewReader(tt.p)),
		} {
			if tt.name == "more than it says" && way == "byte after byte" {
				continue // read does not wait for bytes after an answer
			}
			p, err := readAnswer(r)
			if !errors.Is(err, tt.want) || err == nil && !bytes.Equal(p, tt.p) {
				t.Errorf("%s, %s: %x, %v", tt.name, way, p, err)
			}
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(answer(0))
	f.Add(answer(tpm2.TPMRCRetry)[:9])
	f.Fuzz(func(t *testing.T, p []byte) {
		got, err := readAnswer(bytes.NewReader(p))
		if err == nil && (len(got) < 10 || len(got) > maxAnswer || !bytes.Equal(got, p)) {
			t.Fatalf("the answer %x was read from %x; want a prefix of it, as long as its header says", got, p)
		}
	})
}

// TestADevice uses a terminal as the device of a TPM: it passes bytes in both directions, like
// /dev/tpm0.
func TestADevice(t *testing.T) {
	s := startTPM(t)
	master, device := terminal(t)
	var all sync.WaitGroup
	all.Go(func() {
		command := make([]byte, maxAnswer)
		for {
			n, err := master.Read(command)
			if err != nil {
				return
			}
			p, err := s.call().exchange(command[:n])
			if err == nil {
				_, err = master.Write(p)
			}
			if err != nil {
				return
			}
		}
	})
	defer all.Wait()
	defer master.Close()
	a := open(t, "tpm:"+device)
	holdsNone(t, a)
	for _, lsn := range []byte{1, 2} {
		write(t, a, numbered(lsn))
		holds(t, a, numbered(lsn))
	}
	if !strings.HasPrefix(a.String(), "tpm:/dev/pts/") {
		t.Errorf("the anchor's name is %s; want the device", a)
	}
	holds(t, open(t, s.spec("")), numbered(2))
}

// terminal makes a terminal that passes all bytes unchanged, in both directions.
func terminal(t *testing.T) (master *os.File, device string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	err2 := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err != nil {
			return
		}
		if number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err != nil {
			return
		}
		// One byte is enough to end a read. Bytes are neither echoed nor changed.
		err = unix.IoctlSetTermios(int(fd), unix.TCSETS, &unix.Termios{
			Cflag: unix.CS8 | unix.CREAD,
			Cc:    [19]uint8{unix.VMIN: 1},
		})
	})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	device = "/dev/pts/" + strconv.Itoa(number)
	// Reads from the master end only while the device is closed everywhere.
	keep, err := os.OpenFile(device, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keep.Close() })
	return master, device
}
