package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/model"
	"motte/host"
	"motte/storetool/rotate"
)

// Exit codes. They are stable: scripts depend on them. None is 2, with which Go ends a
// process after a panic: a script would take a crash for its own mistake.
const (
	exitOK           = 0
	exitError        = 1
	exitNotFound     = 3
	exitDenied       = 4
	exitConflict     = 5
	exitTemporary    = 6
	exitNoConnection = 7
	exitWentBack     = 8
	exitDamaged      = 9
	exitQuota        = 10
	exitLeftOut      = 11
	exitRefused      = 12
	exitUsage        = 64
)

// usageError is a mistake in the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// connectionError is a server that can't be reached.
type connectionError struct{ error }

func (e connectionError) Unwrap() error { return e.error }

// leftOutError says that an import, export or search left out lines or objects, and did the rest.
type leftOutError struct{ text string }

func (e leftOutError) Error() string { return e.text }

// hostError is an error of a server that runs in this process. So an address that it can't
// reach is not the server of a profile.
type hostError struct{ error }

func (e hostError) Unwrap() error { return e.error }

// runs marks an error as one of a host that runs in this process.
func runs(err error) error {
	if err == nil {
		return nil
	}
	return hostError{err}
}

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	var wrong usageError
	var unreachable connectionError
	var network *net.OpError
	var refused *client.Error
	var here hostError
	var broken damageError
	var left leftOutError
	switch {
	case errors.As(err, &wrong):
		return exitUsage
	case errors.Is(err, host.ErrOlder), errors.Is(err, host.ErrForgotten):
		return exitWentBack
	case errors.Is(err, host.ErrRefused):
		return exitRefused
	case errors.As(err, &broken):
		return exitDamaged
	case errors.As(err, &left):
		return exitLeftOut
	case errors.As(err, &here):
		return exitError
	case errors.As(err, &refused):
		return codeExit(refused.Code)
	case errors.As(err, &unreachable), errors.As(err, &network),
		errors.Is(err, client.ErrConnectionLost), errors.Is(err, client.ErrWrongCore):
		return exitNoConnection
	}
	return exitError
}

// codeExit returns the exit code for a code of the Core.
func codeExit(c model.Code) int {
	switch c {
	case model.NotFound, model.NoCollection, model.NoIndex, model.NoTask, model.NoPrincipal, model.Gone:
		return exitNotFound
	case model.Denied, model.UnknownPrincipal:
		return exitDenied
	case model.PreconditionFailed, model.Exists:
		return exitConflict
	case model.HistoryDiffers:
		return exitWentBack
	case model.QuotaExceeded:
		return exitQuota
	case model.Damaged:
		return exitDamaged
	}
	if client.Temporary(&client.Error{Code: c}) {
		return exitTemporary
	}
	return exitError
}

// hint says how to go on after an error, unless the error's text says so.
func hint(err error) string {
	var refused *client.Error
	if !errors.As(err, &refused) {
		var cut *client.TruncatedError
		switch {
		case errors.As(err, &cut) && len(cut.After) > 0:
			return fmt.Sprintf("--all shows all objects. The next: --after %s", identifier(cut.After[0]))
		case errors.Is(err, client.ErrTruncated):
			return "Narrow the predicate, so that the index finds fewer objects."
		case errors.Is(err, client.ErrWrongCore):
			return "This is another server than the profile's, or the Core's key was replaced: ask its administrator for the key, then: motte profile set FILE --core-key KEY"
		case errors.Is(err, client.ErrHeadFile):
			return "The file keeps the newest state of the store that was seen, and is damaged: 'motte head accept' makes it anew."
		case errors.Is(err, errNotAccepted):
			return "'motte index create --help' says what the built-in Tasks take; a Task can't say what is wrong with a configuration."
		case errors.Is(err, rotate.ErrBegun):
			return "When all clients have been told, --finish ends it; if the key was stolen, say --now."
		case exitCode(err) == exitWentBack:
			return "'motte help recover' says what that means, and how to go on."
		case exitCode(err) == exitRefused:
			return "Starting it again does not help: first remove the cause."
		case exitCode(err) == exitNoConnection:
			return "Is 'motte serve' running there? 'motte profile show' prints the address that the profile has."
		}
		return ""
	}
	switch refused.Code {
	case model.UnknownPrincipal:
		return "An administrator registers a key with: motte principal add LABEL --public-key KEY ('motte profile show' prints yours)."
	case model.Denied:
		return "'motte status' shows your rights; an administrator gives more with: motte grant COLLECTION PRINCIPAL RIGHTS."
	case model.NoCollection:
		return "'motte collection list' shows those in which you have a right."
	case model.NoIndex:
		return "'motte index list' shows those there are; only indexes made with --attribute take attributes."
	case model.NoTask:
		return "'motte task list' shows those there are."
	case model.IndexUnavailable, model.IndexViolated:
		return "'motte index list' shows how far it is."
	case model.TooSlow:
		return "The index lives, and gets more time next time. A narrower predicate or a limit helps; so does a longer --deadline: 'motte task register'."
	case model.LimitReached:
		return "docs/reference/limits.md lists the limits, among them that of the indexes of a collection."
	case model.QueryRefused:
		return "'motte help predicates' shows what the built-in Tasks can be asked; another Task's documentation says what that Task can be asked."
	case model.Damaged:
		return "'motte alerts' shows where; 'motte help verify' says what can be done."
	case model.StorageFailed:
		return "Free or repair the server's disk: the server tries again all the time, and goes on by itself."
	case model.QuotaExceeded:
		return "'motte collection list' shows what there is; a server administrator sets more with: motte collection quota COLLECTION."
	case model.HistoryDiffers:
		return "'motte help head accept' says what that means."
	}
	return ""
}

// failure is an error as JSON.
type failure struct {
	Error string `json:"error"`
	Code  string `json:"code"`
	Exit  int    `json:"exit"`
	Line  int    `json:"line,omitempty"` // of an import
	// Missing lists objects that are not in an answer; Count says how many there are.
	Missing []missingView `json:"missing,omitempty"`
	Count   int           `json:"missing_count,omitempty"`
	moreView
}

// missingView is an object that is missing from an answer, as JSON.
type missingView struct {
	ID         string `json:"id,omitempty"`
	Name       string `json:"name,omitempty"`
	NameBase64 []byte `json:"name_base64,omitempty"`
	Code       string `json:"code"`
}

func newMissing(m client.Missing) missingView {
	v := missingView{Code: codeName(m.Err)}
	if m.Identity != (client.Identity{}) {
		v.ID = identifier(m.Identity)
	}
	v.Name, v.NameBase64 = textOrBytes(m.Name)
	return v
}

// missingName names a missing object to people: by its requested name, if it was requested by
// name.
func missingName(m client.Missing) string {
	if m.Name != "" {
		return strconv.Quote(m.Name)
	}
	return identifier(m.Identity)
}

// newFailure describes an error to a program.
func newFailure(err error) failure {
	f := failure{Error: err.Error(), Code: codeName(err), Exit: exitCode(err)}
	var at lineError
	if errors.As(err, &at) {
		f.Line = at.line
	}
	var missing *client.MissingError
	if errors.As(err, &missing) {
		f.Count = missing.Count
		for _, m := range missing.Objects {
			f.Missing = append(f.Missing, newMissing(m))
		}
	}
	var cut *client.TruncatedError
	switch {
	case errors.As(err, &cut):
		f.moreView = newMore(cut.After)
	case errors.Is(err, client.ErrTruncated):
		f.moreView = newMore(nil)
	}
	return f
}

// codeName names an error: by the Core's code, or else by its exit code.
func codeName(err error) string {
	var refused *client.Error
	if errors.As(err, &refused) {
		return client.CodeName(refused.Code)
	}
	if errors.Is(err, client.ErrTruncated) {
		return "truncated"
	}
	switch exitCode(err) {
	case exitUsage:
		return "usage"
	case exitNoConnection:
		return "no-connection"
	case exitWentBack:
		return client.CodeName(model.HistoryDiffers)
	case exitRefused:
		return "refused"
	case exitDamaged:
		return client.CodeName(model.Damaged)
	case exitLeftOut:
		return "left-out"
	}
	return "error"
}

// tell prints an error.
func (a *app) tell(who string, err error) {
	if a.json {
		_ = encode(a.stderr, newFailure(err))
	} else {
		a.say("%s: %v\n", who, err)
	}
}

// fail prints the error that ended a command, and how to go on.
func (a *app) fail(cmd *cobra.Command, err error) {
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	if a.tell(cmd.CommandPath(), err); a.json {
		return
	}
	var missing *client.MissingError
	if errors.As(err, &missing) {
		for _, m := range missing.Objects {
			a.say("missing: %s (%s)\n", missingName(m), codeName(m.Err))
		}
	}
	if h := hint(err); h != "" {
		a.say("%s\n", h)
	}
	if exitCode(err) == exitUsage {
		a.say("See: %s --help\n", cmd.CommandPath())
	}
}
