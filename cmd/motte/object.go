package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/model"
)

func (a *app) put() *cobra.Command {
	var name, identity string
	var attributes []string
	var absent bool
	cmd := a.leaf(&cobra.Command{
		Use:   "put COLLECTION FILE",
		Short: "Store an object, and print its identity",
		Long: `Store a file, or with - what comes from standard input, as an object of 16 MiB at
most, and print its identity. When it returns, the object is durable and every index
that is not lazy has it.

With --name the object takes the place of the one that had the name before.`,
		Example: `  motte put people ada.json --name ada
  echo '{"name":"Ada","age":36}' | motte put people -
  motte put photos ada.jpg --name ada --attribute by_time=2024-05-01T12:00:00Z
  motte put people ada.json --name ada --if-identity 6f1c…`,
	}, func(ctx context.Context, args []string) error {
		options, err := putOptions(name, attributes, absent, identity)
		if err != nil {
			return err
		}
		data, err := a.readObject(args[1])
		if err != nil {
			return err
		}
		if rest := withoutMark(data); len(rest) < len(data) && json.Valid(rest) {
			a.note("The object begins with a byte order mark, and is stored with it: an index does not take it for JSON.")
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		r, err := c.Put(ctx, args[0], data, options...)
		if err != nil {
			return fmt.Errorf("collection %s: %w", args[0], err)
		}
		if a.json {
			text, raw := textOrBytes(name)
			return a.emit(putView{identifier(r.Identity), text, raw, r.NotIndexed, r.Replaced})
		}
		if r.NotIndexed {
			a.note("The object is stored, but at least one index does not take its input.")
		}
		_, err = fmt.Fprintln(a.stdout, identifier(r.Identity))
		return err
	})
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "`NAME` of the object")
	f.StringArrayVar(&attributes, "attribute", nil, "input `INDEX=VALUE` for an index that takes attributes; may be given several times")
	f.BoolVar(&absent, "if-absent", false, "only if no object has the name")
	f.StringVar(&identity, "if-identity", "", "only if the object that has the name still is the one with this identity `ID`")
	return cmd
}

// putView is a stored object, for programs.
type putView struct {
	ID         string `json:"id"`
	Name       string `json:"name,omitempty"`
	NameBase64 []byte `json:"name_base64,omitempty"`
	NotIndexed bool   `json:"not_indexed"`
	Replaced   bool   `json:"replaced,omitempty"` // the object that had the name
}

func putOptions(name string, attributes []string, absent bool, identity string) (options []client.PutOption, err error) {
	switch {
	case len(name) > model.MaxName:
		return nil, usage("--name has more than %d bytes", model.MaxName)
	case name == "" && (absent || identity != ""):
		return nil, usage("--if-absent and --if-identity are about a name: --name is missing")
	case absent && identity != "":
		return nil, usage("--if-absent and --if-identity exclude each other")
	}
	if name != "" {
		options = append(options, client.Name(name))
	}
	if absent {
		options = append(options, client.IfAbsent())
	}
	if identity != "" {
		id, err := parseHex(identity)
		if err != nil {
			return nil, err
		}
		options = append(options, client.IfIdentity(id))
	}
	given := make(map[string]bool)
	for _, s := range attributes {
		index, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usage("--attribute %q is not INDEX=VALUE", s)
		}
		if given[index] {
			return nil, usage("--attribute gives the index %s two inputs: it takes one", index)
		}
		given[index] = true
		if err := argument("INDEX", index); err != nil {
			return nil, err
		}
		options = append(options, client.Attribute(index, []byte(value)))
	}
	return options, nil
}

// open opens a file, or standard input for "-".
func (a *app) open(path string) (*os.File, error) {
	if path != "-" {
		return os.Open(path)
	}
	if isTerminal(a.stdin) {
		a.note("Reading from the terminal; Ctrl-D ends.")
	}
	return a.stdin, nil
}

// readObject reads the content of an object to be put.
func (a *app) readObject(path string) ([]byte, error) {
	f, err := a.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, model.MaxObject+1))
	if err == nil && len(data) > model.MaxObject {
		err = fmt.Errorf("%s is larger than an object may be, %s: %w", f.Name(), size(model.MaxObject), client.ErrTooLarge)
	}
	return data, err
}

func (a *app) get() *cobra.Command {
	var name, identity, names, out string
	var fields []field
	var keys []sortKey
	cmd := a.leaf(&cobra.Command{
		Use:   "get COLLECTION",
		Short: "Print an object, or many",
		Long: `Print an object, its exact bytes; on a terminal only if it is text that can do it no harm.

With --out the file is there whole or not at all, and only you can read it, also if there was
one before. A link stays, and the file that it points to is replaced; a pipe or a device is
written to.

With --names it prints the objects of many names, as 'motte search' does: one on a line, in
the order of the names. A name that no object has is named on standard error, and the exit
code is 3; an object that is not one line is left out, and the exit code is 11.

--fields prints parts of JSON objects, --sort sorts those of --names: see 'motte help fields'.`,
		Example: `  motte get people --name ada
  motte get people --name ada --fields /age,/address/city
  motte get people --names names.txt --json
  motte get photos --id 6f1c… --out ada.jpg`,
	}, func(ctx context.Context, args []string) error {
		switch {
		case names != "" && name == "" && identity == "" && out == "":
			return a.getNames(ctx, args[0], names, fields, keys)
		case names != "":
			return usage("--names goes with no other flag of these")
		case (name == "") == (identity == ""):
			return usage("either --name or --id is needed, or --names")
		case keys != nil:
			return usage("--sort sorts the objects of --names, and not a single object")
		case fields != nil && out != "":
			return usage("--out writes the exact bytes of an object, and --fields prints parts of it: give one of them")
		}
		var id client.Identity
		var err error
		if identity != "" {
			if id, err = parseHex(identity); err != nil {
				return err
			}
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		var o client.Object
		if identity != "" {
			o, err = c.GetIdentity(ctx, args[0], id)
		} else {
			o, err = c.Get(ctx, args[0], name)
		}
		if err != nil {
			return fmt.Errorf("collection %s: %w", args[0], err)
		}
		if fields != nil {
			p := a.printer(fields)
			return p.finish(p.flush(p.object(o)))
		}
		return a.show(o, out)
	})
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "`NAME` of the object")
	f.StringVar(&identity, "id", "", "identity `ID` of the object")
	f.StringVar(&names, "names", "", "`FILE` with a name on each line (-: standard input)")
	f.StringVar(&out, "out", "", "`FILE` to write it to, readable for you alone (-: standard output)")
	addFieldFlags(cmd, &fields, &keys)
	return cmd
}

// gotView is an object that went into a file, for programs.
type gotView struct {
	ID         string `json:"id"`
	Name       string `json:"name,omitempty"`
	NameBase64 []byte `json:"name_base64,omitempty"`
	Out        string `json:"out,omitempty"`
	OutBase64  []byte `json:"out_base64,omitempty"`
}

// show writes an object to a file, or prints it unchanged. On a terminal it prints only harmless
// text.
func (a *app) show(o client.Object, out string) error {
	switch {
	case out != "" && out != toStream:
		if err := a.writeOut(out, o.Data); err != nil || !a.json {
			return err
		}
		v := gotView{ID: identifier(o.Identity)}
		v.Name, v.NameBase64 = textOrBytes(o.Name)
		v.Out, v.OutBase64 = textOrBytes(out)
		return a.emit(v)
	case a.json:
		return a.emit(newObject(o))
	case isTerminal(a.stdout) && !printable(o.Data, "\t\n"):
		return fmt.Errorf("the object, %s, is not text: write it to a file with --out FILE", size(uint64(len(o.Data))))
	}
	_, err := a.stdout.Write(o.Data)
	return err
}
