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
// It protects against an attacker who can roll back the disk, but can't give commands to this
// machine's TPM. Such an attacker has the disk in another machine, writes to a network volume, or
// restores an old backup or snapshot. The TPM is another chip, so its memory is not rolled back
// with the disk.
//
// It does not protect against:
//
//   - root on this machine, and every user who may open the device (the group tss, on many
//     systems).
//     They can write any head, and can remove the index. A counter, which only goes up, would not
//     help. It has no space for a head, so a key that root does not have would have to bind the head
//     to it.
//   - an attacker who can start this machine with another system, or clear the TPM in its
//     firmware's
//     set-up. A cleared TPM holds no head, which differs from an old head. Then the host asks the
//     operator.
//   - an attacker between processor and TPM: the TPM's answers are not authenticated.
//   - an attacker who can roll back the TPM. The TPM of a virtual machine is often a plain file
//     beside
//     the virtual disk.
//
// The index belongs to the owner hierarchy, whose password is empty on most machines. If it is not
// empty, the operator defines the index by hand. Then only that password, or clearing the TPM, can
// remove the index:
//
//	tpm2_nvdefine -C o -P OWNER-PASSWORD -s 48 -p motte-anchor \
//	    -a 'authread|authwrite|ownerread|writeall|no_da' 0x1804d54
//
// Attributes of the index: it is read and written with its password. The owner can read it, with
// tpm2_nvread. It is only written whole. It has no protection against dictionary attacks, because
// the password is not secret. An index with another attribute, size or type belongs to another
// program, and stays as it is. A TPM that loses power during a write, and has no guard against
// that, returns half a head: ErrDamaged.
type tpm struct {
	connection
	index tpm2.TPMHandle
	pace  time.Duration
}

// Indices that the owner of a machine assigns. All others belong to its makers.
const (
	firstIndex   tpm2.TPMHandle = 0x0180_0000
	lastIndex    tpm2.TPMHandle = 0x01bf_ffff
	defaultIndex tpm2.TPMHandle = 0x0180_4d54
)

// Flash memory takes some 100,000 writes, and that of TPMs up to 500,000 by their data sheets.
// Other data that the machine depends on is in the same chip. One write each quarter of an hour is
// 35,000 writes a year. That is 3 years for the worst chip, without any wear levelling, and 14 for
// the best. An idle store causes no writes.
const (
	defaultPace = 15 * time.Minute
	minPace     = time.Minute    // 525,000 writes a year
	maxPace     = 24 * time.Hour // a rollback within this time goes unnoticed
)

// tpmPatience bounds how long Read and Write wait for a TPM that is silent or busy. A write takes
// about a tenth of a second.
const tpmPatience = 20 * time.Second

var errPatience = fmt.Errorf("the TPM was not ready within %v", tpmPatience)

// openTPM parses PLACE[,index=N][,pace=D]. PLACE is a device or unix:SOCKET.
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
	// This read also refuses an index that holds a value other than a head.
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
