package model

// Operation is the operation of a request.
type Operation uint8

// The operations. docs/reference/wire-protocol.md lists the parts of the request that each
// of them uses. An unused part must be empty.
const (
	OpPut         Operation = 1 // name?, attributes, object → identity
	OpGet         Operation = 2 // name or identity → object
	OpSearch      Operation = 3 // index, predicate → objects or identities
	OpDelete      Operation = 4 // name or identity
	OpDeleteWhere Operation = 5 // index, predicate → count
	OpCount       Operation = 6 // index, predicate → count of checked identities
	OpList        Operation = 7 // → every object of the collection that the principal may read
	OpBatch       Operation = 8 // puts and deletes, all or none → identities
	OpGetMany     Operation = 9 // sub-query: names and identities → the object of each

	OpCreateCollection Operation = 16
	OpDropCollection   Operation = 17
	OpCreateIndex      Operation = 18 // name: Task; sub-query: configuration
	OpDropIndex        Operation = 19
	OpRegisterTask     Operation = 20 // name: Task; sub-query: row of the API format table
	OpAddPrincipal     Operation = 21 // identity: principal; name: label
	OpRemovePrincipal  Operation = 22
	OpGrant            Operation = 23 // rights; identity: principal; no collection: the server itself
	OpRevoke           Operation = 24
	OpQuota            Operation = 25 // sub-query: quota
	OpRetry            Operation = 26 // feed an index the inputs that were set aside → count
	OpRebuild          Operation = 27 // end the process of an index, and build the index anew
	OpConfiguration    Operation = 28 // → the configuration of an index, as a status item

	OpStatus Operation = 32 // → status items
	OpAlerts Operation = 33 // → alerts
	OpHead   Operation = 34 // sub-query: a head that the log's history must have, or empty

	OpCompact Operation = 35 // remove all dead records
	OpVerify  Operation = 36 // read every live record → objects, bytes, damaged records

	OpRotatePrincipal Operation = 37 // identity: principal; sub-query: the principal of its next key

	LastOperation = OpRotatePrincipal // no operation has a higher number
)
