package anchor

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// password of the index. It is not secret, and stops no attacker. It keeps other programs from
// writing there by mistake, and distinguishes Motte's index from theirs.
const password = "motte-anchor"

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

// find reads the public area of the index. go-tpm needs the index's name. The name is a hash over
// the attributes, so the first write changes it.
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

// public is the public area of the index, as define makes it.
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

// notOurs turns a refused password into ErrForeign.
func notOurs(err error) error {
	if refused(err) {
		return fmt.Errorf("%w: its password is another (%w)", ErrForeign, err)
	}
	return err
}

func refused(err error) bool {
	return errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail)
}
