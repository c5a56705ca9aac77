// Package keyexport exports the keys of a store: the root key and the file of the data keys'
// secret. An export is encrypted to the given recipients, in the format of age
// (age-encryption.org/v1).
//
// A backup and an export together are the store, and neither alone opens anything. An export opens
// all backups of the store, older and newer. It opens no data of a principal that was erased before
// the export. An older export still opens such data in remaining copies. So an erasure is complete
// only when older exports are destroyed.
//
// This package and its users hold keys of a store in a process other than the Core. That process
// belongs to the store's operator, who has the keys anyway, and no client can reach it.
package keyexport

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"motte/core/seal"
	"motte/core/seglog"
	"motte/core/server"
)

// Errors that callers can tell apart.
var (
	ErrNoExport = errors.New("not an export of a store's keys")
	ErrKeys     = errors.New("the root key does not open the store's data keys")
)

// The format of an export, inside its encryption.
const (
	exportFormat  = "motte-key-export"
	exportVersion = 1
	maxExport     = 128 << 20 // bytes: an erasure adds at most 1 KiB
)

// Keys are the keys of a store.
type Keys struct {
	Root seal.Root
	Data []byte // the file of the data keys' secret, which is sealed under Root
	Made time.Time
}

// export is the plaintext of an export.
type export struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Store   string    `json:"store"`
	Made    time.Time `json:"made"`
	Root    string    `json:"root_key"`
	Data    []byte    `json:"data_keys"`
}

// Read reads the keys of the store in a data directory. A Core may have it open.
func Read(dir, rootKey string, now time.Time) (*Keys, error) {
	root, err := server.ReadRootKey(rootKey)
	if err != nil {
		return nil, fmt.Errorf("read the root key: %w", err)
	}
	// Read takes the newer of the two copies. During an erasure its generation is higher by 1.
	var newest *Keys
	var generation uint64
	var failed error
	for _, name := range seglog.KeysNames {
		k := &Keys{Root: root, Made: now.UTC().Truncate(time.Second)}
		k.Data, err = os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("read the data keys: %w", err))
			continue
		}
		_, n, err := k.open()
		if err != nil {
			failed = errors.Join(failed, err)
		} else if newest == nil || n > generation {
			newest, generation = k, n
		}
	}
	if newest == nil {
		return nil, failed
	}
	return newest, nil
}

// open opens the file of the data keys.
func (k *Keys) open() (keys *seal.Keys, generation uint64, err error) {
	keys, generation, err = seglog.OpenKeys(k.Root, k.Data)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s: %w", ErrKeys, seglog.KeysNames[0], err)
	}
	if keys == nil {
		return nil, 0, ErrKeys
	}
	return keys, generation, nil
}

// Store returns the identifier of the store.
func (k *Keys) Store() seal.StoreID { return seal.StoreID(k.Data[8:24]) }

// CoreKey returns the public key by which clients know the store's Core.
func (k *Keys) CoreKey() (key [ed25519.PublicKeySize]byte) {
	if keys, _, err := k.open(); err == nil { // Read and Open have opened it before
		copy(key[:], ed25519.NewKeyFromSeed(keys.Core[:]).Public().(ed25519.PublicKey))
	}
	return key
}

// Write encrypts the keys to the recipients. Each of them can decrypt the export.
func (k *Keys) Write(w io.Writer, armored bool, to ...age.Recipient) error {
	store := k.Store()
	text, err := json.Marshal(export{exportFormat, exportVersion, hex.EncodeToString(store[:]), k.Made, hex.EncodeToString(k.Root[:]), k.Data})
	if err != nil {
		return err
	}
	var a io.WriteCloser
	if armored {
		a = armor.NewWriter(w)
		w = a
	}
	out, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("encrypt the keys: %w", err)
	}
	_, err = out.Write(text)
	if err = errors.Join(err, out.Close()); a != nil {
		err = errors.Join(err, a.Close())
	}
	return err
}

// Open decrypts an export, armored or not, and checks that its keys belong
// together.
func Open(r io.Reader, identities ...age.Identity) (*Keys, error) {
	p, err := io.ReadAll(io.LimitReader(r, maxExport))
	if err != nil {
		return nil, err
	}
	var in io.Reader = bytes.NewReader(p)
	if bytes.HasPrefix(bytes.TrimSpace(p), []byte(armor.Header)) {
		in = armor.NewReader(in)
	}
	plain, err := age.Decrypt(in, identities...)
	var other *age.NoIdentityMatchError
	if errors.As(err, &other) {
		return nil, errors.New("the export is not encrypted to this identity")
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoExport, err)
	}
	text, err := io.ReadAll(io.LimitReader(plain, maxExport))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoExport, err)
	}
	return decode(text)
}

// decode reads the plaintext of an export. No error of it quotes the plaintext.
func decode(text []byte) (*Keys, error) {
	var x export
	if err := json.Unmarshal(text, &x); err != nil || x.Format != exportFormat {
		return nil, ErrNoExport
	}
	if x.Version != exportVersion {
		return nil, fmt.Errorf("the export has version %d; this is for version %d", x.Version, exportVersion)
	}
	root, err := hex.DecodeString(x.Root)
	if err != nil || len(root) != seal.KeySize {
		return nil, ErrNoExport
	}
	k := &Keys{seal.Root(root), x.Data, x.Made}
	_, _, err = k.open()
	return k, err
}
