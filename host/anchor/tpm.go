package anchor

import (
	"bytes"
	"context"
	"errors"
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
// then nobody can remove it without that password:
//
//	tpm2_nvdefine -C o -P OWNER-PASSWORD -s 48 -p motte-anchor \
//	    -a 'authread|authwrite|ownerread|writeall|no_da' 0x1804d54
//
// Attributes: read and written with the password of the index; readable for the
// owner, to be looked at with tpm2_nvread; only written whole, which the TPM does
// in one step; no part of the protection against dictionary attacks, since there
// is nothing to guess. An index that differs in any of that, in size or type, is
// someone else's, and stays as it is.
type tpm struct {
	link
	index tpm2.TPMHandle
	pace  time.Duration
}

// password of the index. It is no secret, and stops no attacker: it keeps other
// programs from writing there by mistake, and tells their indices from ours.
const password = "motte-anchor"

// Indices that the owner of a machine gives out: the rest is its makers'.
const (
	firstIndex   tpm2.TPMHandle = 0x0180_0000
	lastIndex    tpm2.TPMHandle = 0x01bf_ffff
	defaultIndex tpm2.TPMHandle = 0x0180_4d54
)

// TPMs are sold with 100,000 to 500,000 write cycles for a cell, shared with
// whatever else of the machine depends on the TPM. One write in a quarter of an
// hour, without end, is 35,000 a year: 3 years for the worst, without any wear
// levelling, 14 for the better. A store that is idle writes none.
const (
	defaultPace = 15 * time.Minute
	minPace     = time.Minute    // 525,000 writes a year
	maxPace     = 24 * time.Hour // a day's work that is not protected
)

// tpmPatience is how long Read and Write wait for a TPM that says nothing, or
// that it is busy. Writing takes one tenth of a second.
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
	for _, option := range options[1:] {
		if err := t.set(option); err != nil {
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

func (t *tpm) set(option string) error {
	key, value, _ := strings.Cut(option, "=")
	switch key {
	case "index":
		n, err := strconv.ParseUint(value, 0, 32)
		if t.index = tpm2.TPMHandle(n); err != nil || t.index < firstIndex || t.index > lastIndex {
			return fmt.Errorf("index %q: it has to be a number from %#08x to %#08x", value, uint32(firstIndex), uint32(lastIndex))
		}
	case "pace":
		d, err := time.ParseDuration(value)
		if t.pace = d; err != nil || d < minPace || d > maxPace {
			return fmt.Errorf("pace %q: it has to be a time from %v to %v, as in 15m", value, minPace, maxPace)
		}
	default:
		return fmt.Errorf("option %q: there are index= and pace=", option)
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
	h, is, err := t.read(call{ctx, t.link})
	if err != nil {
		return Head{}, false, fmt.Errorf("%s: %w", t, err)
	}
	return h, is == written, nil
}

func (t *tpm) Write(ctx context.Context, h Head) error {
	ctx, cancel := context.WithTimeoutCause(ctx, tpmPatience, errPatience)
	defer cancel()
	c := call{ctx, t.link}
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

// state of the index.
type state int

const (
	missing state = iota
	empty         // defined, and not written yet
	written
)

func (t *tpm) read(c call) (h Head, is state, err error) {
	index, is, err := t.find(c)
	if err != nil || is != written {
		return h, is, err
	}
	answer, err := tpm2.NVRead{
		AuthHandle: authorized(index),
		NVIndex:    index,
		Size:       frameSize,
	}.Execute(c)
	if err != nil {
		return h, is, fmt.Errorf("read the index: %w", notOurs(err))
	}
	h, err = decode(answer.Data.Buffer)
	return h, is, err
}

func (t *tpm) write(c call, h Head) error {
	index, _, err := t.find(c)
	if err != nil {
		return err
	}
	frame := encode(h)
	_, err = tpm2.NVWrite{
		AuthHandle: authorized(index),
		NVIndex:    index,
		Data:       tpm2.TPM2BMaxNVBuffer{Buffer: frame[:]},
	}.Execute(c)
	if err != nil {
		return fmt.Errorf("write the index: %w", notOurs(err))
	}
	return nil
}

// find looks what the index is now: its name, which go-tpm wants to know, is a
// hash over its attributes, and changes when it is written for the first time.
func (t *tpm) find(c call) (index tpm2.NamedHandle, is state, err error) {
	answer, err := tpm2.NVReadPublic{NVIndex: t.index}.Execute(c)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return index, missing, nil
	}
	if err != nil {
		return index, missing, fmt.Errorf("look for the index: %w", err)
	}
	public, err := answer.NVPublic.Contents()
	if err != nil {
		return index, missing, fmt.Errorf("look for the index: %w", err)
	}
	is = empty
	if public.Attributes.Written {
		is = written
	}
	public.Attributes.Written = false
	if public.DataSize != frameSize {
		return index, is, fmt.Errorf("%w: its size is %d bytes", ErrForeign, public.DataSize)
	}
	if ours := t.public(); !bytes.Equal(tpm2.Marshal(public), tpm2.Marshal(&ours)) {
		return index, is, fmt.Errorf("%w: its type, attributes or policy are others", ErrForeign)
	}
	return tpm2.NamedHandle{Handle: t.index, Name: answer.NVName}, is, nil
}

func (t *tpm) define(c call) error {
	_, err := tpm2.NVDefineSpace{
		AuthHandle: tpm2.TPMRHOwner,
		Auth:       tpm2.TPM2BAuth{Buffer: []byte(password)},
		PublicInfo: tpm2.New2B(t.public()),
	}.Execute(c)
	switch {
	case refused(err):
		return fmt.Errorf("define the index: the TPM's owner hierarchy has a password (%w): define it with "+
			"tpm2_nvdefine -C o -P OWNER-PASSWORD -s %d -p %s -a 'authread|authwrite|ownerread|writeall|no_da' %#08x",
			err, frameSize, password, uint32(t.index))
	case err != nil:
		return fmt.Errorf("define the index: %w", err)
	}
	return nil
}

// public is the index as it is defined.
func (t *tpm) public() tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: t.index,
		NameAlg: tpm2.TPMAlgSHA256,
		Attributes: tpm2.TPMANV{
			NT:        tpm2.TPMNTOrdinary,
			AuthWrite: true,
			AuthRead:  true,
			OwnerRead: true,
			WriteAll:  true,
			NoDA:      true,
		},
		DataSize: frameSize,
	}
}

func authorized(index tpm2.NamedHandle) tpm2.AuthHandle {
	return tpm2.AuthHandle{
		Handle: index.Handle,
		Name:   index.Name,
		Auth:   tpm2.PasswordAuth([]byte(password)),
	}
}

// notOurs names the reason when an index has another password.
func notOurs(err error) error {
	if refused(err) {
		return fmt.Errorf("%w: its password is another (%w)", ErrForeign, err)
	}
	return err
}

func refused(err error) bool {
	return errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail)
}
