package anchor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// tpm keeps a head in an index of a TPM's non-volatile memory.
//
// It protects against who can set back the disk, but can't give commands to
// this machine's TPM: who has the disk in another machine, writes to a network
// volume, restores an old backup or snapshot. The TPM is another chip. What it
// holds does not go back with the disk.
//
// It does not protect against:
//
//   - root on this machine, and who else may open the device (the group tss, on
//     many systems): they can write any head, and can remove the index. A counter,
//     which only goes up, would not help: it has no room for a head, so a head
//     would have to be tied to it by a key that root does not have.
//   - who can start this machine with a system of their own, or clear the TPM in
//     its firmware's set-up. A cleared TPM holds no head, which is not the same
//     as an old one, and which the host has to ask about.
//   - who sits between processor and TPM: its answers are not authenticated.
//   - who can set back the TPM: that of a virtual machine is often a plain file
//     beside the virtual disk.
//
// The index belongs to the owner hierarchy, whose password is empty on most
// machines. On one where it is not, its operator defines the index by hand, and
// then it takes that password, or clearing the TPM, to remove it:
//
//	tpm2_nvdefine -C o -P OWNER-PASSWORD -s 48 -p motte-anchor \
//	    -a 'authread|authwrite|ownerread|writeall|no_da' 0x1804d54
//
// Attributes: read and written with the password of the index; readable for the
// owner, to be looked at with tpm2_nvread; only written whole; no part of the
// protection against dictionary attacks, since there is nothing to guess. An
// index that differs in any of that, in size or type, is someone else's, and
// stays as it is. A TPM that loses power in a write, and has no guard against
// that, shows half a head: ErrDamaged.
type tpm struct {
	connection
	index tpm2.TPMHandle
	pace  time.Duration
}

// Indices that the owner of a machine gives out: the rest is its makers'.
const (
	firstIndex   tpm2.TPMHandle = 0x0180_0000
	lastIndex    tpm2.TPMHandle = 0x01bf_ffff
	defaultIndex tpm2.TPMHandle = 0x0180_4d54
)

// Flash memory takes some 100,000 writes, that of TPMs up to 500,000 by their
// data sheets, and what else of the machine depends on its TPM lies in the same
// chip. One write in a quarter of an hour, without end, is 35,000 a year: 3 years
// for the worst, without any wear levelling, 14 for the better. Nothing is
// written while the store is idle.
const (
	defaultPace = 15 * time.Minute
	minPace     = time.Minute    // 525,000 writes a year
	maxPace     = 24 * time.Hour // a day's work that is not protected
)

// tpmPatience is how long Read and Write wait for a TPM that says nothing, or
// that it is busy. A write takes about a tenth of a second.
const tpmPatience = 20 * time.Second

var errPatience = fmt.Errorf("the TPM was not ready within %v", tpmPatience)

// openTPM understands PLACE[,index=N][,pace=D], where PLACE is a device or
// unix:SOCKET.
func openTPM(spec string) (Anchor, error) {
	options := strings.Split(spec, ",")
	t := &tpm{index: defaultIndex, pace: defaultPace}
	t.path, t.socket = strings.CutPrefix(options[0], "unix:")
	if !strings.HasPrefix(t.path, "/") {
		return nil, fmt.Errorf("anchor tpm:%s: name a device, as in tpm:/dev/tpmrm0, or a socket, as in tpm:unix:/run/swtpm/sock", spec)
	}
	given := make(map[string]bool)
	for _, option := range options[1:] {
		key, value, _ := strings.Cut(option, "=")
		if given[key] {
			return nil, fmt.Errorf("anchor tpm:%s: %s is given twice", spec, key)
		}
		given[key] = true
		if err := t.set(key, value); err != nil {
			return nil, fmt.Errorf("anchor tpm:%s: %w", spec, err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), tpmPatience, errPatience)
	defer cancel()
	rw, err := t.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("anchor %s: %w", t, err)
	}
	return t, rw.Close()
}

func (t *tpm) set(key, value string) error {
	switch key {
	case "index":
		digits, base := value, 10
		if hexadecimal, ok := strings.CutPrefix(value, "0x"); ok {
			digits, base = hexadecimal, 16
		}
		n, err := strconv.ParseUint(digits, base, 32)
		if t.index = tpm2.TPMHandle(n); err != nil || t.index < firstIndex || t.index > lastIndex {
			return fmt.Errorf("index %q: it has to be a number from %#08x to %#08x", value, uint32(firstIndex), uint32(lastIndex))
		}
	case "pace":
		d, err := time.ParseDuration(value)
		if t.pace = d; err != nil || d < minPace || d > maxPace {
			return fmt.Errorf("pace %q: it has to be a time from %v to %v, as in 15m", value, minPace, maxPace)
		}
	default:
		return fmt.Errorf("option %q: there are index= and pace=", key)
	}
	return nil
}

func (t *tpm) Pace() time.Duration { return t.pace }

func (t *tpm) String() string {
	place := t.path
	if t.socket {
		place = "unix:" + place
	}
	return fmt.Sprintf("tpm:%s,index=%#08x", place, uint32(t.index))
}

func (t *tpm) Read(ctx context.Context) (h Head, found bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tpmPatience, errPatience)
	defer cancel()
	h, is, err := t.read(call{ctx, t.connection})
	if err != nil {
		return Head{}, false, fmt.Errorf("%s: %w", t, err)
	}
	return h, is == written, nil
}

func (t *tpm) Write(ctx context.Context, h Head) error {
	ctx, cancel := context.WithTimeoutCause(ctx, tpmPatience, errPatience)
	defer cancel()
	c := call{ctx, t.connection}
	// This also refuses what is there and is no head.
	_, is, err := t.read(c)
	if err == nil && is == missing {
		err = t.define(c)
	}
	if err == nil {
		err = t.write(c, h)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return nil
}
