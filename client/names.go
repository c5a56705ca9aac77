package client

import (
	"fmt"
	"strings"

	"motte/core/wire"
)

// Names of what the Core numbers, for people and programs. They are stable.
var (
	operationNames = map[wire.Operation]string{
		wire.OpPut: "put", wire.OpGet: "get", wire.OpSearch: "search", wire.OpDelete: "delete",
		wire.OpDeleteWhere: "delete-where", wire.OpCount: "count", wire.OpList: "list", wire.OpBatch: "batch",
		wire.OpCreateCollection: "create-collection", wire.OpDropCollection: "drop-collection",
		wire.OpCreateIndex: "create-index", wire.OpDropIndex: "drop-index", wire.OpRegisterTask: "register-task",
		wire.OpAddPrincipal: "add-principal", wire.OpRemovePrincipal: "remove-principal",
		wire.OpGrant: "grant", wire.OpRevoke: "revoke", wire.OpStatus: "status", wire.OpAlerts: "alerts", wire.OpHead: "head",
		wire.OpCompact: "compact", wire.OpVerify: "verify", wire.OpQuota: "quota", wire.OpRotatePrincipal: "rotate-principal",
	}
	reasonNames = map[wire.Reason]string{
		wire.ReasonInvalidIdentity: "invalid-identity", wire.ReasonOtherCollection: "other-collection",
		wire.ReasonBadFrame: "bad-frame", wire.ReasonUnasked: "unasked", wire.ReasonTooManyResults: "too-many-results",
		wire.ReasonTooSlow: "too-slow", wire.ReasonTaskEnded: "task-ended",
		wire.ReasonDamagedRecord: "damaged-record", wire.ReasonStorage: "storage",
		wire.ReasonCheckpoint: "checkpoint", wire.ReasonLossAccepted: "loss-accepted",
		wire.ReasonFileLost: "file-lost", wire.ReasonKeysOlder: "keys-older", wire.ReasonAdrift: "directory-moved",
		wire.ReasonReadFailed: "read-failed", wire.ReasonNewAdmin: "new-administrator",
	}
	stateNames = map[wire.IndexState]string{
		wire.IndexNotShown: "not-shown", wire.IndexStarting: "starting", wire.IndexBuilding: "building", wire.IndexServing: "serving",
		wire.IndexQuarantined: "quarantined", wire.IndexRefused: "refused",
	}
	typeNames = map[wire.DataType]string{
		wire.TypeAny: "any", wire.TypeBytes: "bytes", wire.TypeText: "text", wire.TypeInt64: "int64",
		wire.TypeFloat64: "float64", wire.TypeString: "string", wire.TypeTime: "time",
	}
	codeNames = map[wire.Code]string{
		wire.OK: "ok", wire.Malformed: "malformed", wire.UnsupportedVersion: "unsupported-version",
		wire.InvalidRequest: "invalid-request", wire.UnknownPrincipal: "unknown-principal", wire.Denied: "denied",
		wire.NotFound: "not-found", wire.NoCollection: "no-collection", wire.NoIndex: "no-index", wire.NoTask: "no-task",
		wire.NoPrincipal: "no-principal", wire.Exists: "exists", wire.PreconditionFailed: "precondition-failed",
		wire.TooLarge: "too-large", wire.TooManyConnections: "too-many-connections",
		wire.LimitReached: "limit-reached", wire.IndexUnavailable: "index-unavailable", wire.QueryRefused: "query-refused",
		wire.Damaged: "damaged", wire.StorageFailed: "storage-failed",
		wire.LeakBudgetExhausted: "leak-budget-exhausted", wire.ShuttingDown: "shutting-down",
		wire.Overloaded: "overloaded", wire.IndexViolated: "index-violated",
		wire.HistoryDiffers: "history-differs", wire.Expired: "expired",
		wire.QuotaExceeded: "quota-exceeded", wire.ReadFailed: "read-failed", wire.TooSlow: "too-slow",
		wire.DiskFull: "disk-full",
	}
	// rightNames is in the order in which rights are written.
	rightNames = []struct {
		right wire.Rights
		name  string
	}{
		{wire.RightRead, "read"}, {wire.RightReadOwn, "read-own"}, {wire.RightWrite, "write"},
		{wire.RightDelete, "delete"}, {wire.RightAdmin, "admin"},
	}
)

func name[T interface{ ~uint8 }](names map[T]string, v T) string {
	if n, ok := names[v]; ok {
		return n
	}
	return fmt.Sprint(uint8(v))
}

// OperationName returns the name of an operation.
func OperationName(o wire.Operation) string { return name(operationNames, o) }

// CodeName returns the name of a code.
func CodeName(c wire.Code) string { return name(codeNames, c) }

// ReasonName returns the name of an alert's reason.
func ReasonName(r wire.Reason) string { return name(reasonNames, r) }

// StateName returns the name of an index's state.
func StateName(s wire.IndexState) string { return name(stateNames, s) }

// TypeName returns the name of a data type.
func TypeName(t DataType) string { return name(typeNames, t) }

// ParseType returns the data type of a name.
func ParseType(s string) (DataType, error) {
	for t, n := range typeNames {
		if n == s {
			return t, nil
		}
	}
	return 0, fmt.Errorf("unknown data type %q: int64, float64, string, time, text, bytes or any", s)
}

// RightsName writes rights as "read,write".
func RightsName(r Rights) string {
	var list []string
	for _, n := range rightNames {
		if r&n.right != 0 {
			list = append(list, n.name)
		}
	}
	return strings.Join(list, ",")
}

// ParseRights reads rights as RightsName writes them; "all" is every right.
func ParseRights(s string) (r Rights, err error) {
	for _, word := range strings.Split(s, ",") {
		known := word == "all"
		if known {
			r |= wire.RightsAll
		}
		for _, n := range rightNames {
			if n.name == word {
				r, known = r|n.right, true
			}
		}
		if !known {
			return 0, fmt.Errorf("unknown right %q: read, read-own, write, delete, admin or all", word)
		}
	}
	return r, nil
}
