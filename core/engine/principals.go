package engine

import (
	"fmt"

	"motte/core/access"
	"motte/core/log"
	"motte/core/wire"
)

// takeOver makes a principal the only administrator of the server, for an operator who
// lost the keys of all others, and records an alert with it, all or nothing. The others
// lose that right alone, since somebody else may have their keys. Clients can come when
// this is durable.
func (e *Engine) takeOver(id access.Principal) {
	right := wire.Flags(wire.RightAdmin)
	group := log.Group{e.raise(wire.Alert{Reason: wire.ReasonNewAdmin})}
	for _, other := range shown(e.byID[0].grants, id, true) {
		group = append(group, entry{id: other, flags: right}.record(log.KindRevoke, 0))
	}
	if e.principals[id] == nil {
		group = append(group, e.newcomer(id, fmt.Sprintf("admin-%x", id[:8])).record(log.KindAddPrincipal, 0))
	}
	e.change(nil, append(group, entry{id: id, flags: right}.record(log.KindGrant, 0))...)
	e.then(func(code wire.Code) {
		if code == wire.OK {
			e.open()
		}
	})
}
