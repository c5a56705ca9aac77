package client

import (
	"cmp"
	"strings"

	"motte/core/model"
	"motte/core/wire"
)

// check refuses a request whose parts do not fit their fields. The encoders rely on it. They
// would cut a long name, and the request would address another object.
func check(r *wire.Request) error {
	return cmp.Or(checkIdentifier(r.Collection), checkIdentifier(r.Index), checkParts(r.Name, r.Query, r.Object))
}

// checkParts does the same for the body of a request, or of an operation of a batch.
func checkParts(name, query, object []byte) error {
	return cmp.Or(checkLength(name, model.MaxName), checkLength(query, model.MaxSubQuery), checkLength(object, model.MaxObject))
}

func checkLength(p []byte, limit int) error {
	if len(p) > limit {
		return ErrTooLarge
	}
	return nil
}

// checkIdentifier refuses an identifier that its field can't hold. A zero byte is refused,
// since at the end it would vanish in the padding.
func checkIdentifier(s string) error {
	if len(s) > model.MaxIdentifier || strings.IndexByte(s, 0) >= 0 {
		return ErrInvalidRequest
	}
	return nil
}
