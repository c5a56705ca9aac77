package model

// Operation says what a request asks for.
type Operation uint8

// The operations. Which parts of the request each one uses is listed in
// docs/reference/wire-protocol.md; a part that is not used must be empty.
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
	OpGrant            Operation = 23 // flags: rights; no collection: the server itself
	OpRevoke           Operation = 24
	OpQuota            Operation = 25 // sub-query: the most bytes and objects that the collection may hold

	OpStatus Operation = 32 // → status items
	OpAlerts Operation = 33 // → alerts
	OpHead   Operation = 34 // sub-query: a head to be found in the log's history, or nothing; also a ping

	OpCompact Operation = 35 // give back all space that nothing needs
	OpVerify  Operation = 36 // read every live record → objects, bytes, damaged ones

	OpRotatePrincipal Operation = 37 // identity: principal; sub-query: the principal of its next key

	LastOperation = OpRotatePrincipal // no operation has a higher number
)
