package control

// MaxOp and MaxCode are one more than the highest operation and code counted.
const (
	MaxOp   = 36
	MaxCode = 27
)

// Buckets is the number of buckets of a latency histogram: bucket i counts
// what took less than 2^i × 16 µs; the last one counts the rest.
const Buckets = 20

// Stats are the Core's counters since it started, by the indexes below. They
// depend on how many requests there were, on their kind, outcome and duration,
// and on nothing else: on no content, name, principal or predicate.
type Stats [statsLen]uint64

// Indexes of single counters.
const (
	Synced      = iota // records made durable
	SyncMicros         // time that took
	LogBytes           // of the store
	Objects            // in the store
	Connections        // open now
	Refused            // connections: strangers, over the limit, or a handshake that failed
	SyncLatency        // the first of Buckets, of group commits
	requests    = SyncLatency + Buckets
	latency     = requests + MaxOp*MaxCode
	micros      = latency + MaxOp*Buckets
	statsLen    = micros + MaxOp
)

// Requests is the index of the answers to an operation with a code.
func Requests(op, code int) int { return requests + op*MaxCode + code }

// Latency is the index of a bucket of an operation's latency.
func Latency(op, bucket int) int { return latency + op*Buckets + bucket }

// Micros is the index of the time that all answers to an operation took.
func Micros(op int) int { return micros + op }
