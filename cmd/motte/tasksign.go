package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"motte/internal/atomicfile"
	"motte/taskpkg"
)

// maxSigningKey bounds the file of a signing key, in bytes.
const maxSigningKey = 1 << 10

// signingKeyView is a signing key without its secret.
type signingKeyView struct {
	Key       string `json:"key,omitempty"` // file
	KeyBase64 []byte `json:"key_base64,omitempty"`
	Verifier  string `json:"verifier"` // the public half, for a trust file
}

// signedView is the result of a signature.
type signedView struct {
	Task            string `json:"task"`
	Measurement     string `json:"measurement"`
	Signature       string `json:"signature,omitempty"` // file
	SignatureBase64 []byte `json:"signature_base64,omitempty"`
	Verifier        string `json:"verifier"`
}

// pushedView is the result of a push.
type pushedView struct {
	Task        string `json:"task"`
	Measurement string `json:"measurement"`
	Source      string `json:"source"` // to install it from, with the digest
}

func (a *app) taskVerify() *cobra.Command {
	var f packageFlags
	cmd := a.leaf(&cobra.Command{
		Use:   "verify SOURCE",
		Short: "Check a package, and print what is in it",
		Long: `Check a package as 'motte task install' does: executable, manifest, signature and trust file.
Print its content, and change nothing. The command fails if the package could not be
installed. It needs no server.`,
		Example: `  motte task verify near/
  motte task verify oci://registry.example/tasks/near:v1 --trust trust.json`,
	}, func(ctx context.Context, args []string) error {
		x, err := f.examine(ctx, args[0])
		if err != nil {
			return err
		}
		defer x.Close()
		if a.json {
			return a.emit(x.view())
		}
		return writeClaims(a.stdout, x.claims())
	})
	f.add(cmd)
	return cmd
}

func (a *app) taskKey() *cobra.Command {
	var out string
	cmd := a.leaf(&cobra.Command{
		Use:   "key SIGNER",
		Short: "Make a key that signs packages, and print its public half",
		Long: `Make a key that signs packages of Tasks, and print its public half, which an operator puts
into a trust file. SIGNER names the key in each signature: a domain that you own is a good name.
Keep the file secret, and keep a copy: it can't be made again.`,
		Example: `  motte task key acme.example --out acme.key`,
	}, func(_ context.Context, args []string) error {
		if out == "" || out == toStream {
			return usage("--out is missing: the file that is made for the key")
		}
		text, key, err := taskpkg.NewKey(args[0])
		if err != nil {
			return usage("%v", err)
		}
		if err := atomicfile.Create(out, 0o600, []byte(text+"\n")); err != nil {
			return err
		}
		v := signingKeyView{Verifier: key.Verifier}
		v.Key, v.KeyBase64 = textOrBytes(out)
		if a.json {
			return a.emit(v)
		}
		a.note("The key is in %s. This is its public half, for trust files:", out)
		_, err = fmt.Fprintln(a.stdout, key.Verifier)
		return err
	})
	cmd.Flags().StringVar(&out, "out", "", "`FILE` to make")
	return cmd
}

func (a *app) taskSign() *cobra.Command {
	var keyFile string
	cmd := a.leaf(&cobra.Command{
		Use:   "sign SOURCE",
		Short: "Sign a package: name, executable and row together",
		Long: `Sign a package in a directory, and write the signature beside the executable:
motte-task-NAME.sig. SOURCE is the directory or the executable. The signature binds the name,
the SHA-256 of the executable, and each value of the manifest. Signatures by other keys stay,
if they are for exactly the same; otherwise they are dropped.`,
		Example: `  motte task sign near/ --key acme.key`,
	}, func(ctx context.Context, args []string) error {
		if keyFile == "" {
			return usage("--key is missing: a file that 'motte task key' made")
		}
		key, err := readSigningKey(keyFile)
		if err != nil {
			return err
		}
		executable, err := taskpkg.Executable(args[0])
		if err != nil {
			return err
		}
		p, err := taskpkg.Open(ctx, executable, taskpkg.Access{})
		if err != nil {
			return err
		}
		defer p.Close()
		signature, err := p.Sign(key)
		if err != nil {
			return err
		}
		path := executable + taskpkg.SignatureSuffix
		if err := atomicfile.Replace(path, 0o644, signature); err != nil {
			return err
		}
		v := signedView{Task: p.Name, Measurement: identifier(p.Row.Measurement), Verifier: key.Verifier}
		v.Signature, v.SignatureBase64 = textOrBytes(path)
		return a.done(v, "Task %s is signed: %s.", p.Name, path)
	})
	cmd.Flags().StringVar(&keyFile, "key", "", "`FILE` with the signing key")
	return cmd
}

// readSigningKey reads a signing key. It refuses a file that others can read.
func readSigningKey(path string) (*taskpkg.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key %s can be read by others; run: chmod 600 %s", path, path)
	}
	if info.Size() > maxSigningKey {
		return nil, fmt.Errorf("key %s has more than %s", path, size(maxSigningKey))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := taskpkg.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func (a *app) taskPush() *cobra.Command {
	var f packageFlags
	cmd := a.leaf(&cobra.Command{
		Use:   "push SOURCE REFERENCE",
		Short: "Store a package in a registry",
		Long: `Store a package in a registry, as an OCI artefact. SOURCE is a directory or an executable;
REFERENCE is oci://REGISTRY/REPOSITORY:TAG. The command prints the reference with the digest,
which names exactly this package for ever. The same package has the same digest each time.`,
		Example: `  motte task push near/ oci://registry.example/tasks/near:v1`,
	}, func(ctx context.Context, args []string) error {
		access := taskpkg.Access{Config: f.logins}
		p, err := taskpkg.Open(ctx, args[0], access)
		if err != nil {
			return err
		}
		defer p.Close()
		pinned, err := p.Push(ctx, args[1], access)
		if err != nil {
			return fmt.Errorf("push to %s: %w", args[1], err)
		}
		v := pushedView{p.Name, identifier(p.Row.Measurement), pinned}
		if a.json {
			return a.emit(v)
		}
		_, err = fmt.Fprintln(a.stdout, pinned)
		return err
	})
	f.addLogins(cmd)
	return cmd
}
