package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"motte/client"
	"motte/core/model"
)

var (
	errEmpty = errors.New("the value is empty: leave the flag out if there is none")
	errTwice = errors.New("another value was given before: this flag takes one")
)

// strict is the value of a flag, with the rules that all flags obey:
//
//  1. An empty value is an error. It comes from an unset variable of a script. Otherwise
//     it would count as a flag that was not given: a precondition would not be checked,
//     or a key would be put into another place.
//  2. A second value is an error, unless the flag takes a list. Otherwise the last value
//     would silently replace the first.
type strict struct {
	pflag.Value
	list  bool
	given *string
}

// Set implements pflag.Value.
func (v *strict) Set(s string) error {
	switch {
	case s == "":
		return errEmpty
	case !v.list && v.given != nil && *v.given != s:
		return errTwice
	}
	v.given = &s
	return v.Value.Set(s)
}

// strictly applies the rules to every flag of a command and of its subcommands.
func strictly(c *cobra.Command) {
	c.InitDefaultHelpFlag()
	rules := func(f *pflag.Flag) {
		if _, has := f.Value.(*strict); has {
			return
		}
		list := f.Value.Type() == "stringArray"
		if list && f.DefValue == "[]" {
			f.DefValue = "" // pflag omits an empty default only for its own types
		}
		f.Value = &strict{Value: f.Value, list: list}
	}
	c.Flags().VisitAll(rules)
	c.PersistentFlags().VisitAll(rules)
	for _, sub := range c.Commands() {
		strictly(sub)
	}
}

// wrongFlag explains to people why a flag is wrong.
func wrongFlag(_ *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return usage("%v: an argument that begins with - goes after --", err)
	case !errors.As(err, &invalid):
		return usage("%v", err)
	}
	cause := errors.Unwrap(invalid)
	var number *strconv.NumError
	switch name := invalid.GetFlag().Name; {
	case errors.Is(cause, errEmpty):
		return usage("--%s: %v", name, cause)
	case errors.As(cause, &number): // a flag that is on or off, since whole returns an error of its own
		return usage("--%s %q: it has to be true or false", name, invalid.GetValue())
	default:
		return usage("--%s %q: %v", name, invalid.GetValue(), cause)
	}
}

// whole is a whole number as a flag, in decimal digits only. The number flags of pflag take 010
// for 8, and 1_0 for 10.
type whole[T int | uint32 | uint64] struct {
	to       *T
	min, max T
}

// String implements pflag.Value.
func (n whole[T]) String() string {
	if n.to == nil {
		return "0"
	}
	return strconv.FormatUint(uint64(*n.to), 10)
}

// Type implements pflag.Value.
func (whole[T]) Type() string { return "number" }

// Set implements pflag.Value.
func (n whole[T]) Set(s string) error {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil || v < uint64(n.min) || v > uint64(n.max) {
		return fmt.Errorf("it has to be a whole number from %d to %d", n.min, n.max)
	}
	*n.to = T(v)
	return nil
}

// identities is a list of identities as a flag, with commas between them.
type identities struct{ to *[]client.Identity }

// String implements pflag.Value.
func (l identities) String() string {
	if l.to == nil {
		return ""
	}
	var texts []string
	for _, id := range *l.to {
		texts = append(texts, identifier(id))
	}
	return strings.Join(texts, ",")
}

// Type implements pflag.Value.
func (identities) Type() string { return "identities" }

// Set implements pflag.Value.
func (l identities) Set(s string) error {
	var list []client.Identity
	for _, text := range strings.Split(s, ",") {
		id, err := parseHex(text)
		if err != nil {
			return err
		}
		list = append(list, id)
	}
	if len(list) > model.MaxAfter {
		return fmt.Errorf("it takes %d identities at most", model.MaxAfter)
	}
	*l.to = list
	return nil
}

// address is HOST:PORT as a flag.
type address struct {
	to     *string
	listen bool // an address to listen on: it needs no host, and the port may be 0
}

// String implements pflag.Value.
func (a address) String() string {
	if a.to == nil {
		return ""
	}
	return *a.to
}

// Type implements pflag.Value.
func (address) Type() string { return "address" }

// Set implements pflag.Value.
func (a address) Set(s string) error {
	err := checkAddress(s)
	if a.listen {
		err = checkListen(s)
	}
	if err == nil {
		*a.to = s
	}
	return err
}

var (
	errAddress = errors.New("it has to be HOST:PORT, with a port from 1 to 65535")
	errListen  = errors.New("it has to be HOST:PORT or :PORT, with a port from 0 to 65535")
)

// checkAddress checks the address of a server.
func checkAddress(s string) error {
	host, port, ok := splitAddress(s)
	if !ok || host == "" || port == 0 {
		return errAddress
	}
	return nil
}

// checkListen checks an address that a server is to listen on.
func checkListen(s string) error {
	if _, _, ok := splitAddress(s); !ok {
		return errListen
	}
	return nil
}

// splitAddress splits HOST:PORT. A host is an IP address or the name of a machine. Any other
// text could put more than an address into a profile.
func splitAddress(s string) (host string, port uint64, ok bool) {
	host, digits, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, false
	}
	port, err = strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, false
	}
	plain := !strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || c > '~' }) // an IPv6 zone may be anything
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
	_, err = netip.ParseAddr(host)
	return host, port, err == nil && plain || strings.Trim(host, letters) == "" && len(host) <= maxHost
}

// maxHost is the length that the name of a machine may have.
const maxHost = 253 // bytes, by RFC 1035
