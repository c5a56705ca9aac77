package main

import (
	"bufio"
	"fmt"
	"iter"

	"motte/client"
	"motte/sdk/ijson"
)

// printer prints objects, one on a line.
type printer struct {
	*app
	out    *bufio.Writer
	person bool                     // standard output is a terminal
	fields []field                  // parts to print instead of whole objects, or nil
	mark   func(data []byte) []byte // puts marks into an object, or nil
	left   int                      // objects that were left out
}

func (a *app) printer(fields []field) *printer {
	return &printer{app: a, out: bufio.NewWriter(a.stdout), person: isTerminal(a.stdout), fields: fields}
}

// objects prints objects until there is an error.
func (p *printer) objects(list iter.Seq2[client.Object, error]) error {
	for o, err := range list {
		if err == nil {
			err = p.object(o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) object(o client.Object) (err error) {
	if p.mark != nil {
		o.Data = p.mark(o.Data)
	}
	if p.fields != nil {
		return p.parts(o)
	}
	line, ok := oneLine(o.Data, p.person)
	switch {
	case p.json:
		err = encode(p.out, newObject(o))
	case ok:
		_, err = fmt.Fprintf(p.out, "%s\n", line)
	case p.person:
		_, err = fmt.Fprintf(p.out, "<%s: %s, not one line of text>\n", identifier(o.Identity), size(uint64(len(o.Data))))
	default: // a reader of the lines could not tell a placeholder from an object
		p.left++
		p.say("left out: %s (%s, not one line)\n", identifier(o.Identity), size(uint64(len(o.Data))))
	}
	return err
}

// parts prints the parts of an object.
func (p *printer) parts(o client.Object) (err error) {
	switch {
	case ijson.Check(o.Data) != nil:
		p.left++
		p.say("left out: %s (%s, not JSON)\n", identifier(o.Identity), size(uint64(len(o.Data))))
	case p.json:
		err = encode(p.out, newParts(o, p.fields))
	default:
		_, err = fmt.Fprintf(p.out, "%s\n", partsLine(o.Data, p.fields))
	}
	return err
}

// identities prints identities until there is an error.
func (p *printer) identities(ids iter.Seq2[client.Identity, error]) error {
	for id, err := range ids {
		switch {
		case err != nil:
			return err
		case p.json:
			err = encode(p.out, object{ID: identifier(id)})
		default:
			_, err = fmt.Fprintln(p.out, identifier(id))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// flush writes what is buffered. It returns err, or else the error of the write.
func (p *printer) flush(err error) error {
	if flush := p.out.Flush(); err == nil {
		err = flush
	}
	return err
}

// finish returns err, or else the error of a command that left out objects.
func (p *printer) finish(err error) error {
	switch {
	case err != nil || p.left == 0:
		return err
	case p.fields != nil:
		return leftOutError{fmt.Sprintf("left out %s without unambiguous JSON, which have no fields", plural(p.left, "object"))}
	}
	return leftOutError{fmt.Sprintf("left out %s of more than one line: use --json", plural(p.left, "object"))}
}
