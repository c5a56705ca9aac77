package client

import (
	"fmt"
	"strings"

	"motte/core/model"
)

// Names of the Core's numbers, for people and programs. A name never changes.
var (
	operationNames = map[model.Operation]string{
		model.OpPut: "put", model.OpGet: "get", model.OpSearch: "search", model.OpDelete: "delete",
		model.OpDeleteWhere: "delete-where", model.OpCount: "count", model.OpList: "list", model.OpBatch: "batch", model.OpGetMany: "get-many",
		model.OpCreateCollection: "create-collection", model.OpDropCollection: "drop-collection",
		model.OpCreateIndex: "create-index", model.OpDropIndex: "drop-index", model.OpRegisterTask: "register-task",
		model.OpAddPrincipal: "add-principal", model.OpRemovePrincipal: "remove-principal",
		model.OpGrant: "grant", model.OpRevoke: "revoke", model.OpStatus: "status", model.OpAlerts: "alerts", model.OpHead: "head",
		model.OpCompact: "compact", model.OpVerify: "verify", model.OpQuota: "quota", model.OpRotatePrincipal: "rotate-principal",
		model.OpRetry: "retry", model.OpRebuild: "rebuild", model.OpConfiguration: "configuration",
	}
	reasonNames = map[model.Reason]string{
		model.ReasonInvalidIdentity: "invalid-identity", model.ReasonOtherCollection: "other-collection",
		model.ReasonBadFrame: "bad-frame", model.ReasonUnasked: "unasked", model.ReasonTooManyResults: "too-many-results",
		model.ReasonTooSlow: "too-slow", model.ReasonTaskEnded: "task-ended",
		model.ReasonDamagedRecord: "damaged-record", model.ReasonStorage: "storage",
		model.ReasonCheckpoint: "checkpoint", model.ReasonLossAccepted: "loss-accepted",
		model.ReasonFileLost: "file-lost", model.ReasonKeysOlder: "keys-older", model.ReasonAdrift: "directory-moved",
		model.ReasonReadFailed: "read-failed", model.ReasonNewAdmin: "new-administrator",
		model.ReasonSetAside: "set-aside", model.ReasonUpgradeRefused: "upgrade-refused",
	}
	stateNames = map[model.IndexState]string{
		model.IndexNotShown: "not-shown", model.IndexStarting: "starting", model.IndexBuilding: "building", model.IndexServing: "serving",
		model.IndexQuarantined: "quarantined", model.IndexRefused: "refused", model.IndexParked: "parked",
	}
	upgradeNames = map[model.Upgrade]string{
		model.UpgradeNone: "none", model.UpgradeWaits: "waiting", model.UpgradeBuilds: "building",
		model.UpgradeFails: "failing", model.UpgradeRefused: "refused",
	}
	typeNames = map[model.DataType]string{
		model.TypeAny: "any", model.TypeBytes: "bytes", model.TypeText: "text", model.TypeInt64: "int64",
		model.TypeFloat64: "float64", model.TypeString: "string", model.TypeTime: "time",
	}
	codeNames = map[model.Code]string{
		model.OK: "ok", model.Malformed: "malformed", model.UnsupportedVersion: "unsupported-version",
		model.InvalidRequest: "invalid-request", model.UnknownPrincipal: "unknown-principal", model.Denied: "denied",
		model.NotFound: "not-found", model.NoCollection: "no-collection", model.NoIndex: "no-index", model.NoTask: "no-task",
		model.NoPrincipal: "no-principal", model.Exists: "exists", model.PreconditionFailed: "precondition-failed",
		model.TooLarge: "too-large", model.TooManyConnections: "too-many-connections",
		model.LimitReached: "limit-reached", model.IndexUnavailable: "index-unavailable", model.QueryRefused: "query-refused",
		model.Damaged: "damaged", model.StorageFailed: "storage-failed",
		model.LeakBudgetExhausted: "leak-budget-exhausted", model.ShuttingDown: "shutting-down",
		model.Overloaded: "overloaded", model.IndexViolated: "index-violated",
		model.HistoryDiffers: "history-differs", model.Expired: "expired",
		model.QuotaExceeded: "quota-exceeded", model.ReadFailed: "read-failed", model.TooSlow: "too-slow",
		model.DiskFull: "disk-full", model.TooExpensive: "too-expensive", model.Gone: "gone",
	}
	// rightNames is in the order in which rights are written.
	rightNames = []struct {
		right model.Rights
		name  string
	}{
		{model.RightRead, "read"}, {model.RightReadOwn, "read-own"}, {model.RightWrite, "write"},
		{model.RightDelete, "delete"}, {model.RightAdmin, "admin"},
	}
)

func name[T interface{ ~uint8 }](names map[T]string, v T) string {
	if n, ok := names[v]; ok {
		return n
	}
	return fmt.Sprint(uint8(v))
}

// OperationName returns the name of an operation.
func OperationName(o model.Operation) string { return name(operationNames, o) }

// CodeName returns the name of a code.
func CodeName(c model.Code) string { return name(codeNames, c) }

// ReasonName returns the name of an alert's reason.
func ReasonName(r model.Reason) string { return name(reasonNames, r) }

// StateName returns the name of an index's state.
func StateName(s model.IndexState) string { return name(stateNames, s) }

// UpgradeName returns the name of a step of an upgrade.
func UpgradeName(u model.Upgrade) string { return name(upgradeNames, u) }

// TypeName returns the name of a data type.
func TypeName(t DataType) string { return name(typeNames, t) }

// ParseType returns the data type with a name.
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

// ParseRights reads rights as [RightsName] writes them. "all" means every right.
func ParseRights(s string) (r Rights, err error) {
	for _, word := range strings.Split(s, ",") {
		known := word == "all"
		if known {
			r |= model.RightsAll
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
