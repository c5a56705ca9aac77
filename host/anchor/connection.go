package anchor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// connection is the way to a TPM: a device, or the Unix socket of a software TPM. It is opened for
// each command. So other programs can use the TPM in between, and a TPM that restarts is found
// again.
type connection struct {
	path   string
	socket bool
}

// maxAnswer is the largest answer of a TPM: TPM2_MAX_RESPONSE_SIZE of the PC Client profile, and
// the size of Linux's buffer.
const maxAnswer = 4096 // bytes

// Pauses before a command is sent again to a busy TPM.
const (
	firstPause   = 20 * time.Millisecond
	longestPause = time.Second
)

func (l connection) open(ctx context.Context) (io.ReadWriteCloser, error) {
	if l.socket {
		return l.dial(ctx)
	}
	info, err := os.Stat(l.path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&os.ModeCharDevice == 0 {
		return nil, fmt.Errorf("%s is not a device", l.path)
	}
	// Not os.OpenFile, which would make the device non-blocking. Then Linux runs the command in the
	// background, and an early read returns no bytes.
	fd, err := syscall.Open(l.path, syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOCTTY, 0)
	switch {
	case errors.Is(err, syscall.EBUSY):
		return nil, fmt.Errorf("open %s: another program has it; use /dev/tpmrm0, which many can share", l.path)
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: l.path, Err: err}
	}
	return os.NewFile(uintptr(fd), l.path), nil
}

// dial waits for its turn. A software TPM serves one connection at a time, queues one or two more,
// and refuses the rest.
func (l connection) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	for pause := time.Millisecond; ; pause = min(2*pause, longestPause) {
		c, err := d.DialContext(ctx, "unix", l.path)
		if !errors.Is(err, syscall.EAGAIN) {
			return c, err
		}
		if err := wait(ctx, pause); err != nil {
			return nil, fmt.Errorf("%w: others are connected to %s", err, l.path)
		}
	}
}

// wait returns after d, or earlier with the cause of the context's end.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// call is a connection for the duration of a context. go-tpm sends its commands through it.
type call struct {
	ctx context.Context
	connection
}

// Send sends a command to the TPM and returns the answer. A busy TPM has not begun the command, so
// Send sends it again.
func (c call) Send(command []byte) ([]byte, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		answer, err := c.exchange(command)
		if err != nil {
			return nil, err
		}
		code := tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:10]))
		if !busy(code) {
			return answer, nil
		}
		if err := wait(c.ctx, pause); err != nil {
			return nil, fmt.Errorf("%w: %w", err, code)
		}
	}
}

// busy reports whether a code asks for another try.
func busy(code tpm2.TPMRC) bool {
	switch code {
	case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate, tpm2.TPMRCNVUnavailable:
		return true
	}
	return false
}

// exchange sends one command. On a socket it ends with the context. A command that a device has
// begun can't be cancelled, but the kernel limits its duration.
func (c call) exchange(command []byte) ([]byte, error) {
	if c.ctx.Err() != nil {
		return nil, context.Cause(c.ctx)
	}
	rw, err := c.open(c.ctx)
	if err != nil {
		return nil, err
	}
	defer rw.Close()
	defer context.AfterFunc(c.ctx, func() { _ = rw.Close() })()
	_, err = rw.Write(command)
	var answer []byte
	if err == nil {
		answer, err = readAnswer(rw)
	}
	if err != nil && c.ctx.Err() != nil {
		return nil, context.Cause(c.ctx)
	}
	return answer, err
}

var errNoTPM = errors.New("what answers is not a TPM")

// readAnswer reads one answer: a tag of 2 bytes, the total size in 4, a code in 4, and the
// parameters. A device must be asked for the whole answer at once.
func readAnswer(r io.Reader) ([]byte, error) {
	const header = 10
	p := make([]byte, maxAnswer)
	for n := 0; ; {
		m, err := r.Read(p[n:])
		n += m
		if n >= header {
			size := uint64(binary.BigEndian.Uint32(p[2:6]))
			switch {
			case size < header || size > maxAnswer || uint64(n) > size:
				return nil, errNoTPM
			case uint64(n) == size:
				return p[:n], nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("the TPM's answer: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return nil, fmt.Errorf("the TPM's answer: %w", err)
		}
	}
}
